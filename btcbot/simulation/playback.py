"""The exchange model in virtual time: the venue and the feed that backtests trade against.

Nothing here knows a bus: `call_at(ns, function)` and `deliver` are given. Latencies are stated and
the same for every order of a run.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal

from msgspec import Struct

from btcbot.domain.feed import (
    BookChange,
    BookSnapshot,
    FeedUp,
    FrameSeen,
    Join,
    QuoteSeen,
    ReadRules,
    RulesRead,
    SeenTrade,
    TextLevel,
    TradesSeen,
)
from btcbot.domain.ids import Pair
from btcbot.domain.messages import AssetBalance, Message
from btcbot.domain.money import Amount, Price, Quantity, text
from btcbot.domain.venue import (
    AllOrdersRead,
    BalancesRead,
    Cancel,
    CancelAnswered,
    ConnectionsIdle,
    Doorbell,
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
from btcbot.simulation.account import Order, Rejected, Trade
from btcbot.simulation.exchange import Exchange, NewOrder
from btcbot.simulation.recording import BookMoved, BookSet, Happening, Quoted, Traded

BATCH_NS = 760_000_000
WINDOW = 100
CONNECTIONS = 4
Deliver = Callable[[Message], None]
CallAt = Callable[[int, Callable[[], None]], None]
Now = Callable[[], int]


class Latency(Struct, frozen=True, kw_only=True):
    """Nanoseconds, one way; the way back is the same."""

    submit_ns: int = 25_000_000
    cancel_ns: int = 25_000_000
    read_ns: int = 25_000_000
    doorbell_ns: int = 10_000_000


class SimulatedVenue:
    """Performs venue effects against the exchange model, in virtual time."""

    def __init__(
        self, exchange: Exchange, latency: Latency, now: Now, call_at: CallAt, deliver: Deliver
    ) -> None:
        self._exchange, self._latency = exchange, latency
        self._now, self._call_at, self._deliver = now, call_at, deliver
        self._idle = CONNECTIONS

    def open(self) -> None:
        """Say that the connections stand."""
        self._deliver(ConnectionsIdle(count=self._idle))

    def start(self, effect: VenueEffect) -> None:
        """Begin one effect; its outcome comes after the round trip."""
        if isinstance(effect, Submit):
            self._idle -= 1
            self._after(self._latency.submit_ns, lambda: self._submit(effect))
        elif isinstance(effect, Cancel):
            self._after(self._latency.cancel_ns, lambda: self._cancel(effect))
        else:
            self._after(self._latency.read_ns, lambda: self._read(effect))

    def ring(self) -> None:
        """Tell execution that something of ours moved; called after every market event."""
        if self._exchange.events:
            events, self._exchange.events = self._exchange.events, []
            for event in events:
                doorbell = Doorbell(order_id=event.order.id)
                self._later(self._latency.doorbell_ns, doorbell)

    def _submit(self, effect: Submit) -> None:
        self._exchange.advance(self._now())
        new = NewOrder(
            pair=effect.pair,
            side=effect.side,
            method="limit",
            quantity=effect.quantity,
            price=effect.limit_price,
            client_id=effect.client_order_id,
        )
        try:
            order = self._exchange.submit(new, self._now())
        except Rejected as no:
            outcome = Submitted(
                intent_id=effect.intent_id,
                outcome=Outcome.REJECTED,
                code=str(no.code),
                detail=no.message,
            )
        else:
            outcome = Submitted(
                intent_id=effect.intent_id, outcome=Outcome.ACKED, order_id=order.id
            )
        self._later(self._latency.submit_ns, outcome)
        self._after(self._latency.submit_ns, self._free)
        self.ring()

    def _free(self) -> None:
        self._idle += 1
        self._deliver(ConnectionsIdle(count=self._idle))

    def _cancel(self, effect: Cancel) -> None:
        try:
            self._exchange.cancel(effect.order_id, self._now())
            answer = CancelAnswered(order_id=effect.order_id, is_accepted=True)
        except Rejected as no:
            answer = CancelAnswered(order_id=effect.order_id, is_accepted=False, detail=no.message)
        self._later(self._latency.cancel_ns, answer)
        due = self._exchange.next_ns
        if due is not None:
            self._call_at(due, self._advance)

    def _advance(self) -> None:
        self._exchange.advance(self._now())
        self.ring()

    def _read(self, effect: VenueEffect) -> None:
        self._exchange.advance(self._now())
        self.ring()
        self._later(self._latency.read_ns, self._found(effect))

    def _found(self, effect: VenueEffect) -> Message:
        account, asked_ns = self._exchange.account, self._now()
        orders = account.orders.values()
        match effect:
            case ReadOrder():
                found = account.orders.get(effect.order_id)
                row = _venue_order(found) if found else None
                return OrderRead(order_id=effect.order_id, order=row)
            case ReadOpenOrders():
                rows = (o for o in orders if o.pair == effect.pair and o.is_open)
                return OpenOrdersRead(
                    pair=effect.pair, orders=tuple(map(_venue_order, rows)), asked_ns=asked_ns
                )
            case ReadAllOrders():
                rows = (o for o in orders if o.pair == effect.pair and o.id >= effect.from_order_id)
                return AllOrdersRead(
                    pair=effect.pair,
                    orders=tuple(map(_venue_order, rows)),
                    is_complete=True,
                    asked_ns=asked_ns,
                )
            case ReadFills():
                return FillsRead(
                    order_id=effect.order_id,
                    fills=tuple(map(_venue_fill, self._trades(effect))),
                    asked_ns=asked_ns,
                )
            case ReadBalances():
                held = account.balances.items()
                rows_ = (AssetBalance(a, Amount(b.total), Amount(b.free)) for a, b in held)
                balances = tuple(sorted(rows_, key=lambda row: row.asset))
                return BalancesRead(balances=balances, asked_ns=asked_ns)
            case _:
                assert isinstance(effect, ReadTime), f"not a read: {effect}"
                return TimeRead(offset_ns=0, error_ns=0)

    def _trades(self, effect: ReadFills) -> Iterator[Trade]:
        since_ns = effect.since_ms * 1_000_000
        for trade in reversed(self._exchange.account.trades):
            if effect.order_id is None and trade.at_ns < since_ns:
                return
            if effect.order_id in (None, trade.order_id):
                yield trade

    def _after(self, delay_ns: int, call: Callable[[], None]) -> None:
        self._call_at(self._now() + delay_ns, call)

    def _later(self, delay_ns: int, message: Message) -> None:
        self._after(delay_ns, lambda: self._deliver(message))


class SimulatedFeed:
    """Plays a recording into the exchange, and shows market_data what a subscriber would see.

    Depth comes in batches every 760 ms of market time over a window of 100 levels; matching uses
    every event. Quotes without depth are shown one by one.
    """

    def __init__(
        self, exchange: Exchange, pair: Pair, venue: SimulatedVenue, now: Now, deliver: Deliver
    ) -> None:
        self._exchange, self._pair, self._venue = exchange, pair, venue
        self._now, self._deliver = now, deliver
        self._market = exchange.markets[pair]
        self._shown: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]] = ({}, {})
        self._change_set = 0
        self._is_joined = False
        self._batch_ns = 0
        self._trade_id = 0
        self._trades: list[SeenTrade] = []

    def start(self, effect: Struct) -> None:
        """Begin an effect of market_data; the feed is up from the first."""
        if isinstance(effect, ReadRules):
            rules = tuple(market.rules for market in self._exchange.markets.values())
            self._deliver(RulesRead(instruments=rules))
        elif isinstance(effect, Join) and not self._is_joined:
            self._is_joined = True
            self._deliver(FeedUp(session=1))

    def happen(self, event: Happening) -> None:
        """Let one recorded event happen now."""
        pair, exchange, now_ns = self._pair, self._exchange, event.at_ns
        if type(event) is Quoted:
            exchange.set_top(
                pair, event.bid, event.bid_quantity, event.ask, event.ask_quantity, now_ns
            )
            if exchange.events:
                self._venue.ring()
            self._deliver(
                QuoteSeen(
                    pair=pair,
                    bid=Price(event.bid),
                    bid_quantity=Quantity(event.bid_quantity),
                    ask=Price(event.ask),
                    ask_quantity=Quantity(event.ask_quantity),
                )
            )
            return
        if isinstance(event, Traded):
            self._trade(event)
        elif isinstance(event, BookMoved):
            exchange.change_book(pair, event.bids, event.asks, now_ns)
        elif isinstance(event, BookSet):
            exchange.set_book(pair, event.bids, event.asks, now_ns)
        self._venue.ring()
        if now_ns >= self._batch_ns:
            self._batch_ns = now_ns + BATCH_NS
            self._batch()

    def _trade(self, event: Traded) -> None:
        """Match against a print; where no book is recorded, the print is the book's middle too."""
        self._trade_id += 1
        if not self._market.bids and not self._market.asks:
            self._market.last = event.price
        self._exchange.print_trade(self._pair, event.side, event.price, event.quantity, event.at_ns)
        self._trades.append(
            SeenTrade(
                self._trade_id,
                event.side,
                Price(event.price),
                Quantity(event.quantity),
                event.at_ns,
            )
        )

    def _batch(self) -> None:
        """Show what changed since the last batch, and the trades meanwhile."""
        market = self._market
        bids = dict(sorted(market.bids.items(), reverse=True)[:WINDOW])
        asks = dict(sorted(market.asks.items())[:WINDOW])
        first, self._change_set = not self._change_set, self._change_set + 1
        old_bids, old_asks = self._shown
        self._shown = bids, asks
        if first:
            self._deliver(
                BookSnapshot(
                    pair=self._pair,
                    change_set=self._change_set,
                    bids=tuple(_level(row) for row in bids.items()),
                    asks=tuple(_level(row) for row in asks.items()),
                )
            )
        elif (bids, asks) != (old_bids, old_asks):
            self._deliver(
                BookChange(
                    pair=self._pair,
                    change_set=self._change_set,
                    bids=_changes(old_bids, bids),
                    asks=_changes(old_asks, asks),
                )
            )
        else:
            self._change_set -= 1
            self._deliver(FrameSeen())
        if self._trades:
            trades, self._trades = tuple(self._trades), []
            self._deliver(TradesSeen(pair=self._pair, trades=trades, is_backlog=False))


def _changes(old: dict[Decimal, Decimal], new: dict[Decimal, Decimal]) -> tuple[TextLevel, ...]:
    changed = [_level((p, q)) for p, q in new.items() if old.get(p) != q]
    gone = [TextLevel(text(p), "0") for p in old if p not in new]
    return (*changed, *gone)


def _level(row: tuple[Decimal, Decimal]) -> TextLevel:
    return TextLevel(text(row[0]), text(row[1]))


def _venue_order(order: Order) -> VenueOrder:
    return VenueOrder(
        order_id=order.id,
        client_id=order.client_id,
        pair=order.pair,
        side=order.side,
        quantity=Amount(order.quantity),
        left=Amount(order.left),
        price=Price(order.price),
        status=order.status,
    )


def _venue_fill(trade: Trade) -> VenueFill:
    return VenueFill(
        trade_id=trade.id,
        order_id=trade.order_id,
        client_id=trade.client_id,
        pair=trade.pair,
        side=trade.side,
        quantity=Quantity(trade.quantity),
        price=Price(trade.price),
        fee=Amount(trade.fee),
        tax=Amount(trade.tax),
        event_ns=trade.at_ns,
    )
