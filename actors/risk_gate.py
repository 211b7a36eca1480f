"""The risk gate: the only actor that turns an intent into an order.

Hears   OrderIntent, BookTop on `mark.`, FeedState, InstrumentRules, facts
Says    ApprovedOrder or RefuseIntent to execution, IntentVerdict to the asker, RiskState; asks
        execution to keep what prices decided (Record), and to kill when our books contradict
        themselves again and again
Never   remembers a verdict: execution does; every asking is judged and passed on
"""

from decimal import Decimal
from typing import Final, assert_never

from msgspec import Struct, field
from msgspec.structs import replace

from actors import ask_to_record, place_of
from btcbot.config import Config
from btcbot.domain.facts import (
    Balances,
    BalancesExplained,
    Discrepancy,
    Fill,
    LimitTightened,
    Opening,
    OrderAbsent,
    OrderAcked,
    OrderClosed,
    OrderNotSent,
    OrderRejected,
    OrderSubmitting,
    OrderUnknown,
    OrderZombie,
    PauseChanged,
    Recorded,
    RiskModeSet,
    TradingStateChanged,
)
from btcbot.domain.ids import Asset, CommandId, Pair
from btcbot.domain.instruments import FeeRates, Instrument
from btcbot.domain.messages import (
    ApprovedOrder,
    BookTop,
    CommandDone,
    FeedState,
    InstrumentRules,
    IntentVerdict,
    OrderIntent,
    RefuseIntent,
    RiskState,
    SetTradingState,
)
from btcbot.domain.money import ZERO, Price, parse, text
from btcbot.domain.repeats import NEVER_NS, SAY_NS, Repeats
from btcbot.domain.standing import Standing
from btcbot.domain.tightening import mode_at, stricter
from btcbot.domain.words import Anomaly, RiskMode, Rule, TradingState
from btcbot.ledger import holdings, pnl, result, value
from btcbot.ledger.result import Result
from btcbot.risk import degrade, exposure, follow
from btcbot.risk.budget import Budget, budget
from btcbot.risk.degrade import Degrade, note
from btcbot.risk.limits import RiskLimits, holding
from btcbot.risk.picture import Picture, gross_in_try, take_price
from btcbot.risk.rules import MILLISECOND_NS, judge, minute_ends_ns
from btcbot.risk.uses import risk_state
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
from bus.kept import revived
from bus.runtime import PeersView, run

Rare = (
    InstrumentRules | Discrepancy | OrderZombie | BalancesExplained | Recorded | CommandDone
    | LimitTightened | RiskModeSet
    | TradingStateChanged | PauseChanged | PeerLost | CaughtUp | RequestExpired
)  # fmt: skip
Inbox = (
    OrderIntent | BookTop | IntentVerdict | FeedState | Fill | Balances | Opening
    | OrderSubmitting | OrderAcked | OrderUnknown | OrderClosed | OrderRejected | OrderNotSent
    | OrderAbsent | Started | Woken | Late[OrderIntent] | PeerBack | Rare
)  # fmt: skip

KILL_TTL_NS: Final = 5_000_000_000
NEEDS: Final = ("market_data", "execution")
SHOWS: Final = ("control", "dashboard")  # They hear where the limits stand.
OWNER: Final = "risk_gate"
BEST_STEP: Final = Decimal("0.01")  # Of the drawdown limit: a smaller rise is not written down.


class State(Picture, kw_only=True):
    """What the gate remembers between messages, its picture first; owned, changed in place."""

    configured: RiskLimits
    tightened: dict[str, LimitTightened] = field(default_factory=dict)  # The last of each limit.
    override: RiskModeSet | None = None
    instruments: tuple[Instrument, ...] = ()
    traded: tuple[Asset, ...] = ()
    accounts: holdings.Accounts = field(default_factory=dict)
    shown: holdings.Shown = holdings.NOTHING_SHOWN
    result: Result = field(default_factory=Result)
    budget: Budget | None = None
    refusals: dict[Rule, int] = field(default_factory=dict)  # By gate or execution.
    epoch: int = 0
    records: int = 0
    is_kill_asked: bool = False
    repeats: Repeats = field(default_factory=Repeats)
    found: tuple[Anomaly, ...] = ()  # At the last look.
    shown_to: tuple[str, ...] = ()  # Those of SHOWS who are there: nobody else hears it.
    # What was said last; the same again until something changes or its time is over.
    said: RiskState | None = None
    is_changed: bool = True
    is_moved: bool = True  # The standing is older than what was heard of orders and money.
    same_until_ns: int = 0


def handle(state: State, message: Inbox, now_ns: int) -> Step[State]:  # noqa: C901, PLR0912 - one line each
    """Return the state, changed in place, and what to say."""
    match message:
        case BookTop():
            if not take_price(state, message):
                return Step(state)
        case Woken():
            return Step(state, _tick(state, now_ns))
        case FeedState():
            before, state.feeds[message.pair] = state.feeds.get(message.pair), message.status
            return Step(state, () if message.status is before else _soon(state, now_ns))
        case OrderIntent():
            return Step(state, (_judged(state, message, now_ns), *_soon(state, now_ns)))
        case Late(request=intent):
            return Step(state, (_refused(intent, Rule.EXPIRED, "asked for longer than allowed"),))
        case IntentVerdict():
            return Step(state, (*_answered(state, message), *_soon(state, now_ns)))
        case OrderSubmitting():
            follow.submitting(state, message)
        case Fill():
            _fill(state, message)
        case OrderClosed() | OrderRejected() | OrderNotSent() | OrderAbsent():
            follow.end(state, message, now_ns)
            result.close(state.result, message.intent_id)
        case OrderUnknown() | OrderAcked():
            follow.doubt(state, message)
        case Balances() | Opening():
            _state_balances(state, message)
        case Started():
            state.epoch, state.repeats = message.epoch, Repeats(said_ns=now_ns)
        case PeerBack(source=name):
            state.silent = tuple(other for other in state.silent if other != name)
            if name in SHOWS:
                state.shown_to = tuple(dict.fromkeys((*state.shown_to, name)))
            state.repeats.hearer_came(now_ns)
        case InstrumentRules() if message.instruments == state.instruments:
            return Step(state)  # Said again for late hearers.
        case _:
            _note(state, message)
    state.is_moved = True
    return Step(state, _soon(state, now_ns))


def _soon(state: State, now_ns: int) -> tuple[Wake, ...]:
    """Ask to look soon at what changed; nothing if that will be soon enough."""
    state.is_changed = True
    at_ns = state.repeats.changed(now_ns)
    return () if at_ns is None else (Wake("say", at_ns),)


def _note(state: State, message: Rare) -> None:  # noqa: C901, PLR0912 - one line each
    match message:
        case InstrumentRules():
            state.instruments = message.instruments
            state.rules = {rules.pair: rules for rules in message.instruments}
            named = (asset for row in message.instruments for asset in (row.base, row.quote))
            state.traded = tuple(sorted({value.TRY, *named}))
        case TradingStateChanged():
            state.trading = message.state
            if message.state is TradingState.LIVE:
                _cool(state)
        case LimitTightened():
            state.tightened[message.name] = message
            state.limits = holding(state.configured, state.tightened)
        case RiskModeSet():
            state.override = message
            if message.mode is RiskMode.NORMAL:
                _cool(state)
        case PauseChanged():
            if message.is_paused:
                state.pauses[message.scope] = message.until_ns
            else:
                state.pauses.pop(message.scope, None)
        case Discrepancy() | OrderZombie():
            note(state.seen.errors_ns, message.at_ns, degrade.CRITICAL_NS)
        case BalancesExplained():
            result.explain(state.result, message)
            state.accounts = holdings.explain(state.accounts, message.postings)
        case Recorded():
            _recall(state, message)
        case PeerLost():
            if message.source in NEEDS:
                state.silent = tuple(dict.fromkeys((*state.silent, message.source)))
            state.shown_to = tuple(name for name in state.shown_to if name != message.source)
        case CaughtUp():
            state.is_caught_up = True
        case RequestExpired() | CommandDone():
            pass  # Late is not refused: the bus goes on asking, and execution decides.
        case _:
            assert_never(message)


def _cool(state: State) -> None:
    """Forget what went wrong: a person looked."""
    state.seen.errors_ns.clear()
    state.degrade, state.is_kill_asked = Degrade(), False


# --- intents --------------------------------------------------------------------------------------


def _judged(state: State, intent: OrderIntent, now_ns: int) -> Ask:
    """Ask execution to send the intent, or to write down why not."""
    if state.is_moved or now_ns >= state.same_until_ns:
        _refresh(state, now_ns)
    refusal = judge(state, intent, now_ns)
    if refusal is None:
        follow.approve(state, intent)
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
        exposure.drop(state.exposure, verdict.intent_id)
        state.refusals[verdict.rule] = state.refusals.get(verdict.rule, 0) + 1
    return (Answer(verdict.intent_id, verdict),)


# --- facts ----------------------------------------------------------------------------------------


def _fill(state: State, fill: Fill) -> None:
    if fill.intent_id is not None:
        result.add(state.result, fill, state.limits.profit_reinvested_bps)
        quantity = state.result.held[fill.pair].quantity
        if quantity:
            state.held[fill.pair] = quantity
        else:
            state.held.pop(fill.pair, None)
        known = state.exposure.orders.get(fill.intent_id)
        if known is not None:
            left = max(known.left - fill.quantity, ZERO)
            exposure.put(state.exposure, replace(known, left=left))
    state.accounts = holdings.post(state.accounts, fill.postings, fill.at_ns)


def _state_balances(state: State, stated: Balances | Opening) -> None:
    state.accounts = holdings.state(state.accounts, stated.balances, stated.at_ns)
    if isinstance(stated, Opening):
        state.accounts = holdings.post(state.accounts, stated.postings, stated.at_ns)
        result.open_with(state.result, stated)


def _recall(state: State, fact: Recorded) -> None:
    """Take back what an earlier life saw and prices have moved on from."""
    if fact.owner == OWNER:
        result.recall(state.result, fact.kind, fact.key, parse(fact.payload.decode()))


# --- how it stands --------------------------------------------------------------------------------


def _tick(state: State, now_ns: int) -> tuple[Struct, ...]:
    """Look for trouble, and say where the limits stand: as before, while nothing changed."""
    found = degrade.anomalies(
        state.seen, state.marks, state.feeds,
        state.limits.book_age_max_ms * MILLISECOND_NS, now_ns,
    )  # fmt: skip
    before, state.degrade = state.degrade, degrade.follow(state.degrade, found, now_ns)
    is_same = found == state.found and state.degrade.level == before.level
    if state.is_changed or now_ns >= state.same_until_ns or not is_same:
        (_refresh if state.shown_to else _look)(state, now_ns)
        state.found, state.said, state.is_changed = found, None, False
    # Trouble heats and cools by the second.
    next_ns = now_ns + SAY_NS if found or state.degrade.heat else NEVER_NS
    said = (*_said(state, now_ns), *_records(state, now_ns), *_kill(state, now_ns))
    return (*said, Wake("say", state.repeats.said(now_ns, next_ns, state.same_until_ns)))


def _said(state: State, now_ns: int) -> tuple[Publish, ...]:
    """Say where the limits stand to whoever shows it; adding it all up is dear."""
    if not state.shown_to:
        return ()
    assert state.budget is not None, "it is drawn with every refresh"
    said = state.said or risk_state(state, state.budget, state.found, state.refusals, now_ns)
    state.said = replace(said, at_ns=now_ns)
    return (Publish("risk", state.said),)


def _look(state: State, now_ns: int) -> None:
    """See what we brought in so far, and whether it is the best; the next intent has all the rest.

    So it is while nobody is shown the limits: the result goes up and down unseen otherwise.
    """
    if state.is_caught_up:
        result.look(state.result, _marks(state), now_ns)
    state.is_moved, state.same_until_ns = True, pnl.day_ends_ns(now_ns)


def _marks(state: State) -> dict[Pair, Price]:
    return {pair: value.mark_of(top) for pair, top in state.marks.items()}


def _refresh(state: State, now_ns: int) -> None:
    """Value everything at the newest prices, and draw the budget from it."""
    state.shown = shown = holdings.show(state.accounts, now_ns, state.shown)
    state.totals = {row.asset: row.total for row in shown.balances}
    marks = _marks(state)
    state.standing = Standing()  # Nothing is known of the day before every fact is.
    if state.is_caught_up:
        part_bps = state.limits.profit_reinvested_bps
        state.standing = result.standing(state.result, marks, state.traded, part_bps, now_ns)
    if shown.balances:
        equity = value.equity(shown.balances, marks, state.traded)
        state.standing = replace(state.standing, equity=equity)
    gross, level = gross_in_try(state), state.degrade.level
    held_at = mode_at(state.override, now_ns)
    state.budget = now = budget(state.limits, state.standing, gross, level, held_at)
    state.size_bps, state.opens_pairs = now.shrunk_bps, level == 0
    state.mode = stricter(degrade.MODE_OF[level], held_at)
    state.mode_rule = Rule.OVERRIDE if state.mode is held_at else Rule.DEGRADED
    state.is_moved, state.same_until_ns = False, _same_until_ns(state, now_ns)


def _same_until_ns(state: State, now_ns: int) -> int:
    """Return when time alone changes what is said: a minute or a day is over, or a lead."""
    minute = minute_ends_ns(state.sent_ns, now_ns) or NEVER_NS
    held = state.override.until_ns if state.override else None
    until_ns = held if held is not None and held > now_ns else NEVER_NS
    return min(minute, until_ns, pnl.day_ends_ns(now_ns), state.shown.until_ns)


def _records(state: State, now_ns: int) -> tuple[Ask, ...]:
    """Ask execution to keep what the day began with, and the best result, once we have traded."""
    if not state.is_caught_up:
        return ()
    due = result.to_keep(state.result, BEST_STEP * state.limits.drawdown_max_try, now_ns)
    return tuple(
        ask_to_record(state, OWNER, kind, key, text(value.fit(kept)).encode())
        for kind, key, kept in due
    )


def _kill(state: State, now_ns: int) -> tuple[Ask, ...]:
    """Kill when our books contradict themselves again and again: a person has to look."""
    if state.is_kill_asked or not degrade.is_critical(state.seen, now_ns):
        return ()
    state.is_kill_asked = True
    kill = SetTradingState(
        command_id=CommandId(f"{OWNER}-{state.epoch}-kill-{now_ns}"),
        state=TradingState.KILLED,
        by=OWNER,
        reason=f"{degrade.CRITICAL} contradictions within an hour; see the discrepancies",
    )
    return (Ask("execution", kill, kill.request_id, ttl_ns=KILL_TTL_NS),)


def actor(limits: RiskLimits, fees: dict[Pair, FeeRates]) -> Actor[State]:
    """Return the gate with `limits`; it refuses until it knows enough."""
    return Actor(
        name="risk_gate",
        state=State(limits=limits, configured=limits, fees=fees),
        handle=handle,
        hears=(
            Hears(source="market_data", topic="mark."),
            Hears(source="market_data", topic="feed."),
            Hears(source="market_data", topic="rules"),
            Hears(source="execution", topic="fact", conflate=False),
        ),
        facts=(
            OrderSubmitting, OrderAcked, OrderUnknown, OrderClosed, OrderRejected, OrderNotSent,
            OrderAbsent, OrderZombie, Fill, Opening, Balances, BalancesExplained, Discrepancy,
            Recorded, TradingStateChanged, PauseChanged, LimitTightened, RiskModeSet,
        ),
        receives=(OrderIntent,),
        asks=("execution",),
        needs=NEEDS,
        watches=SHOWS,
    )  # fmt: skip


def main(config: Config) -> None:
    """Judge until SIGTERM."""
    place = place_of(config)

    def make(_deliver: Deliver, _peers: PeersView) -> Actor[State]:
        made = actor(config.risk, {pair: config.fees_of(pair) for pair in config.pairs})
        return revived(made, place.journal, place.code)

    run(make, place)
