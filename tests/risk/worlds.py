"""A world around the real gate, drawn from a seed: whatever happens to orders, in any order.

It keeps the truth in the plainest way, adds everything up anew for each approval, and shares no sum
with the gate: what is held, what may still happen, what was paid. Nothing that was approved may be
able to lead past a limit.
"""

from decimal import Decimal
from random import Random
from typing import Any, Final, TypeGuard

from msgspec import Struct
from msgspec.structs import replace

from actors import risk_gate
from btcbot.domain.facts import Fact, Fill, OrderNotSent, Recorded
from btcbot.domain.ids import IntentId, Pair
from btcbot.domain.instruments import FEES_TRY
from btcbot.domain.messages import ApprovedOrder, OrderIntent, Record, RefuseIntent
from btcbot.domain.money import Amount, parse
from btcbot.domain.words import Rule, Side
from btcbot.ledger.result import BEST
from btcbot.risk.limits import RiskLimits
from bus.actor import Ask, CaughtUp, PeerBack, Started, Woken
from tests import builders as make
from tests.builders import BTCTRY, ETHTRY, FEES, SECOND_NS, START_NS

D: Final = Decimal
CASH: Final = D(12_000)
LIMITS: Final = RiskLimits(
    order_notional_max_try=D(2_000), position_notional_max_try=D(4_000),
    gross_exposure_max_try=D(4_500), concentration_max_bps=D(3_000), cash_reserve_min_try=D(7_500),
    open_orders_max=4, pair_open_orders_max=2, decision_orders_max=2,
    decision_notional_max_try=D(2_500), orders_per_minute_max=7,
    buy_cooldown_ms=700,
    daily_loss_max_try=D(60), drawdown_max_try=D(150), price_collar_bps=D(100),
)  # fmt: skip
# One is tight, so that each speaks: what is paid follows what is traded.
TIGHT: Final[tuple[dict[str, Any], ...]] = (
    {"turnover_per_day_max_try": D(8_200)}, {"fees_per_day_max_try": D(18)},
    {"orders_per_hour_max": 8}, {"drawdown_max_try": D(30)},
)  # fmt: skip
PRICES: Final = {BTCTRY: (D(2_500_000), D(10), D("0.0002")), ETHTRY: (D(100_000), D(1), D("0.005"))}
TAKER: Final = FEES_TRY.taker_bps / 10_000


def is_best(fact: Fact) -> TypeGuard[Recorded]:
    return isinstance(fact, Recorded) and fact.kind == BEST


class Live(Struct):
    """An order of ours, as it really is."""

    intent: OrderIntent
    left: Decimal
    is_journaled: bool = False


class World:
    """One seed's world; `step` does one thing and judges what the gate makes of it."""

    def __init__(self, seed: int) -> None:
        self.draw = Random(seed)
        self.limits = replace(LIMITS, **TIGHT[seed % len(TIGHT)])
        self.now_ns = START_NS
        self.middle = {pair: middle for pair, (middle, _, _) in PRICES.items()}
        self.cash, self.held = CASH, dict.fromkeys(PRICES, D(0))
        self.live: dict[IntentId, Live] = {}
        self.asked: list[OrderIntent] = []
        self.facts: list[Fact] = []
        self.fills: list[Fill] = []
        self.sent: list[tuple[int, OrderIntent]] = []
        self.approved: set[IntentId] = set()
        self.best, self.stated_ns = D(0), START_NS
        self.approvals, self.is_moved = 0, False
        self.refusals: set[Rule] = set()
        self.say(make.trading())
        self.say(make.opening(START_NS, TRY=str(CASH)))
        self.begin()

    # --- the gate -----------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a life of the gate: it hears every fact, then where the market is."""
        self.gate = risk_gate.actor(self.limits, FEES)
        for message in (Started(epoch=1), make.instrument_rules(), *self.facts):
            self.tell(message)
        for name in ("market_data", "execution"):
            self.tell(PeerBack(source=name, epoch=1, pid=1))
        for pair in PRICES:
            self.tell(make.feed_state(pair=pair))
        self.quote()
        self.tell(CaughtUp(head=len(self.facts)))

    def tell(self, message: Struct) -> list[Any]:
        step = self.gate.handle(self.gate.state, message, self.now_ns)
        asked = [effect.message for effect in step.effects if isinstance(effect, Ask)]
        for record in asked:
            if isinstance(record, Record):
                self.say(make.recorded(record, self.now_ns))
        return [message for message in asked if not isinstance(message, Record)]

    def say(self, fact: Fact) -> None:
        self.facts.append(fact)
        if hasattr(self, "gate"):
            self.tell(fact)

    def quote(self) -> None:
        for pair, middle in self.middle.items():
            tick = PRICES[pair][1]
            top = make.book_top(
                pair=pair, bid=middle - tick, ask=middle + tick, confirmed_ns=self.now_ns
            )
            self.tell(top)

    # --- what happens -------------------------------------------------------------------------

    def step(self) -> None:
        """Let a moment pass and something happen."""
        self.now_ns += self.draw.choice((0, 1, 300, 900, 2_000)) * SECOND_NS // 1_000 + 1
        if self.now_ns - self.stated_ns > 30 * SECOND_NS:  # Execution reads them as often.
            self.restate()
        happen = self.draw.choices(
            (self.wish, self.wish_again, self.journal, self.turn_down, self.fill, self.end,
             self.doubt, self.move, self.restate, self.restart),
            (34, 4, 25, 2, 20, 6, 4, 8, 3, 1),
        )  # fmt: skip
        self.quote()
        if (
            self.is_moved or self.draw.random() < 0.3
        ):  # The gate looks once a second, as prices come.
            self.is_moved = False
            self.tell(Woken(name="say", due_ns=self.now_ns))
            self.best = max(self.best, self.result)  # What nobody looked at is not missed.
        happen[0]()

    def wish(self) -> None:
        pair = self.draw.choice((BTCTRY, ETHTRY))
        _, tick, quantum = PRICES[pair]
        price = self.middle[pair] + tick * self.draw.randrange(-5, 6)
        number = len(self.asked) + 1
        intent = make.intent(
            number,
            pair=pair,
            side=self.draw.choice((Side.BUY, Side.BUY, Side.SELL)),
            quantity=quantum * self.draw.randrange(1, 5),
            limit_price=price - price % tick,
            slot=f"slot {self.draw.randrange(7)}",
            decided_ns=self.now_ns - self.draw.choice((0, 0, SECOND_NS)),
            expires_ns=self.now_ns + 20 * SECOND_NS,
        )
        self.asked.append(intent)
        self.ask(intent)

    def wish_again(self) -> None:
        if self.asked:
            self.ask(self.draw.choice(self.asked[-4:]))

    def ask(self, intent: OrderIntent) -> None:
        [answer] = self.tell(intent)
        assert answer.intent == intent, "an order is approved as it was asked for, or not at all"
        if isinstance(answer, RefuseIntent):
            self.refusals.add(answer.rule)
            return
        assert isinstance(answer, ApprovedOrder)
        if intent.intent_id in self.approved:
            return  # Execution has a verdict for it, and will do nothing.
        self.approved.add(intent.intent_id)
        self.live[intent.intent_id] = Live(intent, intent.quantity)
        self.approvals += 1
        self.judge(intent)

    def journal(self) -> None:
        """Let execution journal the oldest approval on its way."""
        waiting = [order for order in self.live.values() if not order.is_journaled]
        if waiting:
            order = waiting[0]
            order.is_journaled = True
            self.sent.append((self.now_ns, order.intent))
            self.say(make.submitting(order.intent, self.now_ns))

    def turn_down(self) -> None:
        """Let execution refuse an approval that it has not journaled."""
        waiting = [order for order in self.live.values() if not order.is_journaled]
        if waiting:
            intent = self.draw.choice(waiting).intent
            del self.live[intent.intent_id]
            number = int(intent.intent_id.removeprefix("intent"))
            self.tell(make.verdict(number, Rule.NO_CONNECTION))

    def fill(self) -> None:
        order = self.any_live()
        if order is None or not order.left:
            return
        intent, sign = order.intent, 1 if order.intent.side is Side.BUY else -1
        quantity = min(PRICES[intent.pair][2] * self.draw.randrange(1, 6), order.left)
        price = intent.limit_price - sign * PRICES[intent.pair][1] * self.draw.randrange(3)
        fee = quantity * price * TAKER
        order.left -= quantity
        self.cash -= sign * quantity * price + fee
        self.held[intent.pair] += sign * quantity
        fill = make.fill(
            intent, len(self.fills) + 1, quantity=quantity, price=price, fee=Amount(fee),
            at_ns=self.now_ns, event_ns=self.now_ns,
        )  # fmt: skip
        self.fills.append(fill)
        self.say(fill)
        if not order.left:
            del self.live[intent.intent_id]
            self.say(make.closed(intent, str(intent.quantity)))

    def end(self) -> None:
        """Prove a cancel, reject an order, or prove that it was never there."""
        order = self.any_live()
        if order is not None:
            del self.live[order.intent.intent_id]
            if order.left < order.intent.quantity:
                self.say(make.closed(order.intent, str(order.intent.quantity - order.left)))
            else:
                ends = (make.closed, make.rejected, make.not_sent, make.absent)
                self.say(self.draw.choice(ends)(order.intent))

    def doubt(self) -> None:
        order = self.any_live()
        if order is not None:
            say = self.draw.choice((make.unknown, make.acked))
            self.say(replace(say(order.intent), at_ns=self.now_ns))

    def move(self) -> None:
        """Move the market by up to 3 %."""
        pair = self.draw.choice((BTCTRY, ETHTRY))
        moved = self.middle[pair] * (1 + D(self.draw.randrange(-300, 301)) / 10_000)
        self.middle[pair] = moved - moved % PRICES[pair][1]
        self.is_moved = True

    def restate(self) -> None:
        """State the balances, as they are."""
        self.stated_ns = self.now_ns
        rows = {"TRY": str(self.cash), "BTC": str(self.held[BTCTRY]), "ETH": str(self.held[ETHTRY])}
        self.say(make.balances(self.now_ns, **rows))
        self.now_ns += 1

    def restart(self) -> None:
        """Let the gate die; what it approved and is not journaled yet expires meanwhile."""
        self.live = {key: row for key, row in self.live.items() if row.is_journaled}
        self.now_ns += SECOND_NS
        kept = [parse(f.payload.decode()) for f in self.facts if is_best(f)]
        self.best = max((D(0), *kept))  # What was not written down is forgotten.
        self.begin()

    def any_live(self) -> Live | None:
        sent = [order for order in self.live.values() if order.is_journaled]
        return self.draw.choice(sent) if sent else None

    # --- the truth ----------------------------------------------------------------------------

    @property
    def result(self) -> Decimal:
        """Return what trading brought: cash and coins at the middle, less the first cash."""
        coins = sum((self.held[pair] * self.middle[pair] for pair in PRICES), start=D(0))
        return self.cash + coins - CASH

    def orders(self, pair: Pair | None = None, side: Side | None = None) -> list[Live]:
        return [
            order for order in self.live.values()
            if pair in (None, order.intent.pair) and side in (None, order.intent.side)
        ]  # fmt: skip

    def value(self, orders: list[Live]) -> Decimal:
        return sum((order.left * order.intent.limit_price for order in orders), start=D(0))

    def position(self, pair: Pair) -> Decimal:
        """Return what is held, at the ask, and may still be bought."""
        ask = self.middle[pair] + PRICES[pair][1]
        return self.held[pair] * ask + self.value(self.orders(pair, Side.BUY))

    def judge(self, intent: OrderIntent) -> None:
        """Hold the worst that can come of everything approved so far against every limit."""
        assert intent.quantity * intent.limit_price <= self.limits.order_notional_max_try
        assert len(self.live) <= self.limits.open_orders_max
        slots = [order.intent.slot for order in self.live.values()]
        assert len(slots) == len(set(slots))
        for seconds, most in (
            (60, self.limits.orders_per_minute_max),
            (3_600, self.limits.orders_per_hour_max),
        ):
            since_ns = self.now_ns - seconds * SECOND_NS
            assert sum(at_ns > since_ns for at_ns, _ in self.sent) <= most + len(self.unsent())
        promised = sum((o.left for o in self.orders(intent.pair, Side.SELL)), start=D(0))
        assert promised <= self.held[intent.pair]
        self.judge_crossing(intent)
        if intent.side is Side.BUY:
            self.judge_buy(intent)

    def unsent(self) -> list[Live]:
        return [order for order in self.live.values() if not order.is_journaled]

    def judge_crossing(self, intent: OrderIntent) -> None:
        buys, sells = (self.orders(intent.pair, side) for side in Side)
        for buy in buys:
            for sell in sells:
                assert buy.intent.limit_price < sell.intent.limit_price

    def judge_buy(self, intent: OrderIntent) -> None:
        pair, limits = intent.pair, self.limits
        cost = self.value(self.orders(side=Side.BUY)) * (1 + TAKER)
        assert self.cash - cost >= limits.cash_reserve_min_try
        assert self.position(pair) <= limits.position_notional_max_try
        gross = sum((self.position(each) for each in PRICES), start=D(0))
        assert gross <= limits.gross_exposure_max_try
        equity = self.result + CASH
        assert self.position(pair) * 10_000 <= limits.concentration_max_bps * equity
        assert len(self.orders(pair)) <= limits.pair_open_orders_max
        not_sent = {fact.intent_id for fact in self.facts if isinstance(fact, OrderNotSent)}
        bought = [
            at for at, sent in self.sent
            if sent.pair == pair and sent.side is Side.BUY and sent.intent_id not in not_sent
        ]  # fmt: skip
        unsent = [order.intent for order in self.orders(pair, Side.BUY) if not order.is_journaled]
        assert unsent == [intent], "two buys of a pair on their way"
        if bought:
            assert self.now_ns - max(bought) >= limits.buy_cooldown_ms * SECOND_NS // 1_000
        traded = sum((fill.quantity * fill.price for fill in self.fills), start=D(0))
        working = self.value(self.orders())
        assert traded + working <= limits.turnover_per_day_max_try
        paid = sum((fill.fee for fill in self.fills), start=D(0))
        assert paid + working * TAKER <= limits.fees_per_day_max_try
        assert -self.result < limits.daily_loss_max_try
        assert self.best - self.result < limits.drawdown_max_try
