"""The risk gate: the only actor that turns an intent into an order.

Hears   OrderIntent, BookTop on `mark.`, FeedState, InstrumentRules, facts
Says    ApprovedOrder or RefuseIntent to execution, IntentVerdict to the asker, RiskState
Never   remembers a verdict: execution does; every asking is judged and passed on
"""

from decimal import Decimal
from typing import assert_never

from msgspec import Struct, field
from msgspec.structs import replace

from actors import CODEC
from btcbot.config import Config
from btcbot.domain.facts import (
    Balances,
    Fill,
    Opening,
    OrderAbsent,
    OrderAcked,
    OrderClosed,
    OrderNotSent,
    OrderRejected,
    OrderSubmitting,
    OrderUnknown,
    PauseChanged,
    TradingStateChanged,
)
from btcbot.domain.ids import Asset, IntentId, Pair
from btcbot.domain.instruments import FeeRates, Instrument
from btcbot.domain.messages import (
    ApprovedOrder,
    BookTop,
    FeedState,
    InstrumentRules,
    IntentVerdict,
    LimitUse,
    OrderIntent,
    RefuseIntent,
    RiskState,
    Scope,
)
from btcbot.domain.words import FeedStatus, Rule, Side, TradingState
from btcbot.ledger import holdings
from btcbot.risk.limits import RiskLimits
from btcbot.risk.rules import MINUTE_NS, Picture, Resting, judge, position_in_try
from bus.actor import (
    Actor,
    Answer,
    Ask,
    CaughtUp,
    Deliver,
    Hears,
    Late,
    PeerBack,
    PeerLost,
    Publish,
    RequestExpired,
    Started,
    Step,
    Wake,
    Woken,
)
from bus.runtime import PeersView, Place, run

Inbox = (
    OrderIntent | BookTop | IntentVerdict | FeedState | InstrumentRules | Fill | Balances | Opening
    | OrderSubmitting | OrderAcked | OrderUnknown | OrderClosed | OrderRejected | OrderNotSent
    | OrderAbsent
    | TradingStateChanged | PauseChanged | PeerLost | PeerBack | CaughtUp | RequestExpired
    | Started | Woken | Late[OrderIntent]
)  # fmt: skip

SAY_NS = 1_000_000_000
NEVER_NS = (1 << 63) - 1


class State(Struct, kw_only=True):
    """What the gate remembers between messages; owned, changed in place."""

    limits: RiskLimits
    fees: dict[Pair, FeeRates]
    instruments: tuple[Instrument, ...] = ()
    rules: dict[Pair, Instrument] = field(default_factory=dict)
    marks: dict[Pair, BookTop] = field(default_factory=dict)
    feeds: dict[Pair, FeedStatus] = field(default_factory=dict)
    orders: dict[IntentId, Resting] = field(default_factory=dict)
    ended: dict[IntentId, int] = field(default_factory=dict)  # Until the intent expires.
    held: dict[Pair, Decimal] = field(default_factory=dict)
    accounts: holdings.Accounts = field(default_factory=dict)
    sent_ns: tuple[int, ...] = ()
    trading: TradingState = TradingState.PAUSED  # Fail closed until execution says otherwise.
    pauses: dict[Scope, int | None] = field(default_factory=dict)
    silent: tuple[str, ...] = ("market_data", "execution")
    is_caught_up: bool = False
    refusals: dict[Rule, int] = field(default_factory=dict)  # By gate or execution.
    # What was said last; said again as it is until something changes or its time is over.
    said: RiskState | None = None
    is_changed: bool = True
    same_until_ns: int = 0


def handle(state: State, message: Inbox, now_ns: int) -> Step[State]:  # noqa: C901, PLR0912 - one line each
    """Return the state, changed in place, and what to say."""
    match message:
        case BookTop():
            old = state.marks.get(message.pair)
            state.marks[message.pair] = message
            if old is None or old.ask != message.ask:  # What positions are valued at.
                state.is_changed = True
            return Step(state)
        case Woken():
            return Step(state, (_said(state, now_ns), Wake("say", now_ns + SAY_NS)))
        case FeedState():
            state.feeds[message.pair] = message.status
            return Step(state)
        case OrderIntent():
            state.is_changed = True
            return Step(state, (_judged(state, message, now_ns),))
        case Late(request=intent):
            return Step(state, (_refused(intent, Rule.EXPIRED, "asked for longer than allowed"),))
        case IntentVerdict():
            state.is_changed = True
            return Step(state, _answered(state, message))
        case OrderSubmitting():
            intent = message.intent
            state.orders[intent.intent_id] = Resting(intent, intent.quantity)
            recent = (t for t in state.sent_ns if now_ns - t < MINUTE_NS)
            state.sent_ns = (*recent, message.at_ns)
        case Fill():
            _fill(state, message)
        case OrderClosed() | OrderRejected() | OrderNotSent() | OrderAbsent():
            _end(state, message.intent_id, now_ns)
        case OrderUnknown() | OrderAcked():
            known = state.orders.get(message.intent_id)
            if known is not None:
                is_unknown = isinstance(message, OrderUnknown)
                state.orders[message.intent_id] = Resting(known.intent, known.left, is_unknown)
        case Balances() | Opening():
            _state_balances(state, message)
        case Started():
            return Step(state, (Wake("say", now_ns + SAY_NS),))
        case _:
            _note(state, message)
            return Step(state)
    state.is_changed = True
    return Step(state)


def _note(  # noqa: C901 - one line each
    state: State,
    message: InstrumentRules
    | TradingStateChanged
    | PauseChanged
    | PeerLost
    | PeerBack
    | CaughtUp
    | RequestExpired,
) -> None:
    match message:
        case InstrumentRules():
            if message.instruments == state.instruments:  # Said again for late hearers.
                return
            state.instruments, state.is_changed = message.instruments, True
            state.rules = {rules.pair: rules for rules in message.instruments}
        case TradingStateChanged():
            state.trading = message.state
        case PauseChanged():
            if message.is_paused:
                state.pauses[message.scope] = message.until_ns
            else:
                state.pauses.pop(message.scope, None)
        case PeerLost():
            state.silent = tuple(dict.fromkeys((*state.silent, message.source)))
        case PeerBack():
            state.silent = tuple(name for name in state.silent if name != message.source)
        case CaughtUp():
            state.is_caught_up = True
        case RequestExpired():
            pass  # Late is not refused: the bus goes on asking, and execution decides.
        case _:
            assert_never(message)


def _judged(state: State, intent: OrderIntent, now_ns: int) -> Ask:
    """Ask execution to send the intent, or to write down why not."""
    refusal = judge(_picture(state, now_ns), intent, now_ns)
    if refusal is None:
        # Counted at once: the next intent is judged as if this one were live already.
        if intent.intent_id not in state.ended:
            state.orders.setdefault(intent.intent_id, Resting(intent, intent.quantity))
        approved = ApprovedOrder(intent=intent, approved_ns=now_ns)
        return Ask("execution", approved, intent.intent_id)
    return _refused(intent, *refusal)


def _refused(intent: OrderIntent, rule: Rule, detail: str) -> Ask:
    """Ask execution to write the refusal down; it answers with its own verdict if it has one."""
    refused = RefuseIntent(intent=intent, rule=rule, detail=detail)
    return Ask("execution", refused, intent.intent_id)


def _answered(state: State, verdict: IntentVerdict) -> tuple[Answer, ...]:
    """Pass a verdict on; a refusal is counted here, once, however often it was asked for."""
    if verdict.rule is not None:
        state.orders.pop(verdict.intent_id, None)
        state.refusals[verdict.rule] = state.refusals.get(verdict.rule, 0) + 1
    return (Answer(verdict.intent_id, verdict),)


def _end(state: State, intent_id: IntentId, now_ns: int) -> None:
    """Free what an order took; its intent, asked again while it may be approved, takes nothing."""
    order = state.orders.pop(intent_id, None)
    if order is not None:
        known = {**state.ended, intent_id: order.intent.expires_ns}
        state.ended = {key: until_ns for key, until_ns in known.items() if until_ns > now_ns}


def _fill(state: State, fill: Fill) -> None:
    sign = 1 if fill.side is Side.BUY else -1
    if fill.intent_id is not None:
        held = state.held.get(fill.pair, Decimal(0)) + sign * fill.quantity
        state.held[fill.pair] = max(held, Decimal(0))
        known = state.orders.get(fill.intent_id)
        if known is not None:
            left = max(known.left - fill.quantity, Decimal(0))
            state.orders[fill.intent_id] = Resting(known.intent, left, known.is_unknown)
    state.accounts = holdings.post(state.accounts, fill.postings, fill.at_ns)


def _state_balances(state: State, stated: Balances | Opening) -> None:
    state.accounts = holdings.state(state.accounts, stated.balances, stated.at_ns)
    if isinstance(stated, Opening):
        state.accounts = holdings.post(state.accounts, stated.postings, stated.at_ns)


def _picture(state: State, now_ns: int) -> Picture:
    return Picture(
        limits=state.limits,
        rules=state.rules,
        marks=state.marks,
        feeds=state.feeds,
        fees=state.fees,
        orders=state.orders,
        held=state.held,
        totals={a: held.shown(a, now_ns).total for a, held in state.accounts.items()},
        sent_ns=state.sent_ns,
        trading=state.trading,
        pauses=state.pauses,
        silent=state.silent,
        is_caught_up=state.is_caught_up,
    )


def _said(state: State, now_ns: int) -> Publish:
    """Say where the limits stand: as before, while nothing changed."""
    said = state.said
    if said is None or state.is_changed or now_ns >= state.same_until_ns:
        said = _risk_state(state, now_ns)
        state.is_changed, state.same_until_ns = False, _same_until_ns(state, now_ns)
    else:
        said = replace(said, at_ns=now_ns)
    state.said = said
    return Publish("risk", said)


def _same_until_ns(state: State, now_ns: int) -> int:
    """Return when time alone changes what is said: a minute is over, or the books' lead."""
    minutes = (t + MINUTE_NS for t in state.sent_ns if now_ns - t < MINUTE_NS)
    leads = filter(None, (held.same_until_ns(now_ns) for held in state.accounts.values()))
    return min((*minutes, *leads), default=NEVER_NS)


def _risk_state(state: State, now_ns: int) -> RiskState:
    """Return how much of each limit is used: the worst pair, the worst order."""
    limits, picture = state.limits, _picture(state, now_ns)
    positions = (position_in_try(picture, pair) for pair in state.marks)
    largest = max(
        (r.left * r.intent.limit_price for r in state.orders.values()), default=Decimal(0)
    )
    recent = sum(1 for t in state.sent_ns if now_ns - t < MINUTE_NS)
    uses = (
        LimitUse("order_notional_max_try", largest, limits.order_notional_max_try),
        LimitUse(
            "position_notional_max_try",
            max((p for p in positions if p is not None), default=Decimal(0)),
            limits.position_notional_max_try,
        ),
        LimitUse(
            "cash_reserve_min_try",
            picture.totals.get(Asset("TRY"), Decimal(0)),
            limits.cash_reserve_min_try,
        ),
        LimitUse("open_orders_max", Decimal(len(state.orders)), Decimal(limits.open_orders_max)),
        LimitUse("orders_per_minute_max", Decimal(recent), Decimal(limits.orders_per_minute_max)),
    )
    refusals = tuple(sorted(state.refusals.items()))
    return RiskState(limits=uses, refusals=refusals, at_ns=now_ns)


def actor(limits: RiskLimits, fees: dict[Pair, FeeRates]) -> Actor[State]:
    """Return the gate with `limits`; it refuses until it knows enough."""
    return Actor(
        name="risk_gate",
        state=State(limits=limits, fees=fees),
        handle=handle,
        hears=(
            Hears(source="market_data", topic="mark."),
            Hears(source="market_data", topic="feed."),
            Hears(source="market_data", topic="rules"),
            Hears(source="execution", topic="fact", conflate=False),
        ),
        facts=(
            OrderSubmitting,
            OrderAcked,
            OrderUnknown,
            OrderClosed,
            OrderRejected,
            OrderNotSent,
            OrderAbsent,
            Fill,
            Opening,
            Balances,
            TradingStateChanged,
            PauseChanged,
        ),
        receives=(OrderIntent,),
        asks=("execution",),
        needs=("market_data", "execution"),
    )


def main(config: Config) -> None:
    """Judge until SIGTERM."""

    def make(_deliver: Deliver, _peers: PeersView) -> Actor[State]:
        return actor(config.risk, {pair: config.fees_of(pair) for pair in config.pairs})

    run(
        make,
        Place(run=config.run, journal=config.journal, quarantine=config.quarantine, codec=CODEC),
    )
