"""Execution's desk on a floor: its handle, a real SQLite in memory, lists written by hand.

The lists are what the exchange would show. Time is the test's; every fact is committed before
anything else happens, as the actor does it.
"""

from decimal import Decimal
from typing import Any, Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from actors import execution
from btcbot.domain.facts import Fact
from btcbot.domain.ids import (
    Asset,
    ClientOrderId,
    CommandId,
    OrderId,
    Pair,
    TradeId,
    client_order_id,
    intent_id,
)
from btcbot.domain.instruments import DOCUMENTED, default_fees
from btcbot.domain.messages import (
    ApprovedOrder,
    AssetBalance,
    BookTop,
    CommandDone,
    InstrumentRules,
    IntentVerdict,
    OrderIntent,
    SetTradingState,
)
from btcbot.domain.money import Amount, Price, Quantity
from btcbot.domain.venue import (
    AllOrdersRead,
    BalancesRead,
    ConnectionsIdle,
    FillsRead,
    OpenOrdersRead,
    OrderRead,
    Outcome,
    ReadAllOrders,
    ReadBalances,
    ReadFills,
    ReadOpenOrders,
    ReadOrder,
    ReadTime,
    Submit,
    Submitted,
    TimeRead,
    VenueEffect,
    VenueFill,
    VenueOrder,
)
from btcbot.domain.words import OrderState, Side, TradingState
from btcbot.orders.bounds import OrderBounds
from btcbot.orders.recovery import desk_of
from btcbot.orders.state import GateLimits, Order, Setup
from btcbot.store.writer import Writer
from bus.actor import Answer, PeerBack, Started, Woken

NOW: Final = 1_795_000_000_000_000_000
SECOND: Final = 1_000_000_000
TICK: Final = SECOND // 2
TAG: Final = "tests"
BTCTRY, ETHTRY = Pair("BTCTRY"), Pair("ETHTRY")
TRY, BTC, ETH = Asset("TRY"), Asset("BTC"), Asset("ETH")
BID, ASK = Price(Decimal(2_499_990)), Price(Decimal(2_500_010))
GATE: Final = GateLimits(
    order_notional_max_try=Decimal(5_000),
    position_notional_max_try=Decimal(20_000),
    open_orders_max=10,
    orders_per_minute_max=30,
    price_collar_bps=Decimal(100),
    gross_exposure_max_try=Decimal(40_000),
    cash_reserve_min_try=Decimal(1_000),
)
M = TypeVar("M", bound=Struct)


def setup(**changes: Any) -> Setup:
    default = Setup(
        tag=TAG,
        mode="sandbox",
        pairs=(BTCTRY, ETHTRY),
        bounds=OrderBounds(),
        fees={TRY: default_fees(TRY)},
        gate=GATE,
    )
    return replace(default, **changes)


def row(asset: Asset, total: str, free: str | None = None) -> AssetBalance:
    return AssetBalance(asset, Amount(Decimal(total)), Amount(Decimal(free or total)))


def intent(number: int = 1, **changes: Any) -> OrderIntent:
    """Return a buy of 0.001 BTC at 2,490,000, which rests; decided now, good for an hour."""
    default = OrderIntent(
        intent_id=intent_id("test", 1, number, 0),
        strategy="test",
        slot=f"test:{number}",
        pair=BTCTRY,
        side=Side.BUY,
        quantity=Quantity(Decimal("0.001")),
        limit_price=Price(Decimal(2_490_000)),
        reason="a test wants it",
        seen_ns=NOW,
        decided_ns=NOW,
        expires_ns=NOW + 3_600 * SECOND,
    )
    decimals = {
        name: Decimal(value) if name in {"quantity", "limit_price"} else value
        for name, value in changes.items()
    }
    return replace(default, **decimals)


def label(wanted: OrderIntent) -> ClientOrderId:
    return client_order_id(TAG, wanted.intent_id)


def listed(order_id: int, wanted: OrderIntent | None = None, **changes: Any) -> VenueOrder:
    """Return an open order as the exchange lists it; of `wanted`, or of somebody else."""
    of = wanted or intent()
    default = VenueOrder(
        order_id=OrderId(order_id),
        client_id=label(of) if wanted else "somebody",
        pair=of.pair,
        side=of.side,
        quantity=Amount(of.quantity),
        left=Amount(of.quantity),
        price=of.limit_price,
        status="Untouched",
    )
    decimals = {
        name: Decimal(value) if name in {"quantity", "left", "price"} else value
        for name, value in changes.items()
    }
    return replace(default, **decimals)


def trade(number: int, order_id: int, wanted: OrderIntent | None = None, **given: Any) -> VenueFill:
    """Return one own trade, of the whole quantity of `wanted` at its price, without a fee."""
    of = wanted or intent()
    default = VenueFill(
        trade_id=TradeId(number),
        order_id=OrderId(order_id),
        client_id=label(of) if wanted else "somebody",
        pair=of.pair,
        side=of.side,
        quantity=of.quantity,
        price=of.limit_price,
        fee=Amount(Decimal(0)),
        tax=Amount(Decimal(0)),
        event_ns=NOW + SECOND,
    )
    decimals = {
        name: Decimal(value) if name in {"quantity", "price", "fee", "tax"} else value
        for name, value in given.items()
    }
    return replace(default, **decimals)


class Floor:
    """One desk, its database, and the lists of an exchange."""

    def __init__(self, **changes: Any) -> None:
        self.setup = setup(**changes)
        self.writer = Writer(":memory:")
        self.now_ns = NOW
        self.facts: list[Fact] = []
        self.asked: list[VenueEffect] = []
        self.answers: list[IntentVerdict | CommandDone] = []
        self.effects: list[Struct] = []  # The rest.
        # What the exchange shows.
        self.open: list[VenueOrder] = []
        self.ended: list[VenueOrder] = []
        self.trades: list[VenueFill] = []
        self.balances = [row(BTC, "1"), row(ETH, "10"), row(TRY, "100000")]
        self.bid, self.ask = BID, ASK  # Of every pair.
        self.is_priced = True  # Prices stay confirmed.
        self.is_complete = True
        self.offset_ns = 0
        self.mute: tuple[type[Struct], ...] = ()  # What it does not answer.
        self._begin()

    # --- a life -----------------------------------------------------------------------------------

    def _begin(self) -> None:
        self.desk = desk_of(self.setup, self.writer.reader.recover())
        self.writer.epoch = self.desk.epoch
        self.hear(Started(epoch=self.desk.epoch))

    def restart(self) -> "Floor":
        """End the life of the desk and begin another over the same database."""
        self._begin()
        return self

    def open_up(self) -> "Floor":
        """Let everything come that a desk must know before it sends."""
        self.hear(
            ConnectionsIdle(count=4),
            PeerBack(source="risk_gate", epoch=1, pid=0),
            InstrumentRules(instruments=tuple(DOCUMENTED[p] for p in self.setup.pairs), at_ns=NOW),
        )
        self.wait(1)
        return self

    def hear(self, *messages: Struct) -> None:
        """Handle messages one after another, and note what each of them asks for."""
        for message in messages:
            step = execution.handle(self.desk, message, self.now_ns)  # type: ignore[arg-type]
            for effect in step.effects:
                self._perform(effect)

    def _perform(self, effect: Struct) -> None:
        if isinstance(effect, execution.Persist):
            self.writer.commit(effect.facts, effect.first)
            self.facts += effect.facts
        elif isinstance(effect, VenueEffect):
            self.asked.append(effect)
        elif isinstance(effect, Answer):
            assert isinstance(effect.message, IntentVerdict | CommandDone)
            self.answers.append(effect.message)
        else:
            self.effects.append(effect)

    def wait(self, seconds: float) -> None:
        """Let time pass tick by tick; prices are confirmed and the exchange answers its reads."""
        until_ns = self.now_ns + round(seconds * SECOND)
        while self.now_ns < until_ns:
            self.now_ns = min(self.now_ns + TICK, until_ns)
            before = len(self.asked)
            if self.is_priced:
                self.price(self.bid, self.ask)
            self.hear(Woken(name="tick", due_ns=self.now_ns))
            while before < len(self.asked):
                effect, before = self.asked[before], before + 1
                self.now_ns += 1_000_000
                self.answer(effect)

    def price(self, bid: Price = BID, ask: Price = ASK) -> None:
        size = Quantity(Decimal(1))
        for pair in self.setup.pairs:
            top = BookTop(
                pair=pair, bid=bid, bid_quantity=size, ask=ask, ask_quantity=size,
                changed_ns=self.now_ns, confirmed_ns=self.now_ns,
            )  # fmt: skip
            self.hear(top)

    def answer(self, effect: VenueEffect) -> None:
        """Answer one read out of the lists."""
        if isinstance(effect, self.mute):
            return
        found = self._found(effect)
        if found is not None:
            self.hear(found)

    def _found(self, effect: VenueEffect) -> Struct | None:
        now_ns = self.now_ns
        match effect:
            case ReadTime():
                return TimeRead(offset_ns=self.offset_ns, error_ns=1_000_000)
            case ReadOpenOrders(pair=pair):
                rows = tuple(r for r in self.open if r.pair == pair)
                return OpenOrdersRead(pair=pair, orders=rows, asked_ns=now_ns)
            case ReadAllOrders(pair=pair):
                rows = tuple(r for r in (*self.open, *self.ended) if r.pair == pair)
                return AllOrdersRead(
                    pair=pair, orders=rows, is_complete=self.is_complete, asked_ns=now_ns
                )
            case ReadFills(order_id=order_id):
                fills = tuple(f for f in self.trades if order_id in (None, f.order_id))
                return FillsRead(order_id=order_id, fills=fills, asked_ns=now_ns)
            case ReadBalances():
                return BalancesRead(balances=tuple(self.balances), asked_ns=now_ns)
            case ReadOrder(order_id=order_id):
                every = (*self.open, *self.ended)
                found = next((r for r in every if r.order_id == order_id), None)
                return OrderRead(order_id=order_id, order=found)
            case _:
                return None

    # --- what tests do and see --------------------------------------------------------------------

    def approve(self, wanted: OrderIntent, **changes: Any) -> IntentVerdict:
        """Approve an intent this very moment; return the verdict."""
        default = ApprovedOrder(intent=wanted, approved_ns=self.now_ns)
        self.hear(replace(default, **changes))
        verdict = self.answers[-1]
        assert isinstance(verdict, IntentVerdict)
        return verdict

    def reply(self, wanted: OrderIntent, outcome: Outcome, **fields: Any) -> None:
        self.hear(Submitted(intent_id=wanted.intent_id, outcome=outcome, **fields))
        self.hear(ConnectionsIdle(count=4))

    def place(self, wanted: OrderIntent, order_id: int) -> None:
        """Approve an intent and have the exchange take it."""
        assert self.approve(wanted).rule is None, self.answers[-1]
        self.reply(wanted, Outcome.ACKED, order_id=OrderId(order_id))
        self.open.append(listed(order_id, wanted))
        self.hold(wanted)

    def hold(self, wanted: OrderIntent) -> None:
        """Let the exchange hold the money of an open order: a buy with the taker's fee on top."""
        cost = wanted.quantity * wanted.limit_price
        if wanted.side is Side.BUY:
            rate = self.setup.fees[TRY].taker_bps / 10_000
            self.move(TRY, Decimal(0), -cost * (1 + rate))
        else:
            self.move(Asset(wanted.pair[:3]), Decimal(0), -wanted.quantity)

    def move(self, asset: Asset, total: Decimal, free: Decimal) -> None:
        """Change what the exchange says of an asset."""
        self.balances = [
            replace(r, total=r.total + total, free=r.free + free) if r.asset == asset else r
            for r in self.balances
        ]

    def release(self) -> None:
        """Let the exchange hold nothing any more."""
        self.balances = [replace(r, free=r.total) for r in self.balances]

    def lose(self, wanted: OrderIntent) -> None:
        """Approve an intent, and have nobody know what became of it."""
        assert self.approve(wanted).rule is None, self.answers[-1]
        self.reply(wanted, Outcome.UNKNOWN, detail="time-out")

    def command(self, state: TradingState, name: str, **fields: Any) -> CommandDone:
        default = SetTradingState(
            command_id=CommandId(name), state=state, by="uid 1000", reason="a person says so"
        )
        self.hear(replace(default, **fields))
        done = self.answers[-1]
        assert isinstance(done, CommandDone)
        return done

    def order(self, wanted: OrderIntent) -> Order:
        return self.desk.orders[wanted.intent_id]

    def state(self, wanted: OrderIntent) -> OrderState:
        return self.desk.orders[wanted.intent_id].state

    def is_in(self, state: TradingState) -> bool:
        return self.desk.trading is state

    def said(self, kind: type[M]) -> list[M]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def wanted(self, kind: type[M]) -> list[M]:
        return [effect for effect in self.asked if isinstance(effect, kind)]

    @property
    def posts(self) -> list[Submit]:
        return self.wanted(Submit)

    def drop(self) -> None:
        """Forget what was asked and said so far, so that a test sees only what comes next."""
        self.asked.clear()
        self.facts.clear()
        self.answers.clear()
        self.effects.clear()


def ready(**changes: Any) -> Floor:
    """Return a floor that trades, and has forgotten how it came to."""
    floor = Floor(**changes).open_up()
    assert not floor.desk.first_reads, floor.desk.first_reads
    floor.drop()
    return floor
