"""Strategy: from prices, facts and the clock to intents, for every strategy on the account.

Hears   BookTop on `top.`, BookDepth and Candle if they are wanted, InstrumentRules, FeedState,
        facts, IntentVerdict, what the policy hears
Says    OrderIntent to risk_gate, DecisionRecord, Record to execution
Never   orders: an intent is judged by risk_gate and again by execution
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, assert_never

from msgspec import Struct

from actors import ask_to_record, place_of
from btcbot.agent.contracts import AskModel
from btcbot.chosen import configured, policy_of
from btcbot.config import Config
from btcbot.domain.agent import ModelAnswered
from btcbot.domain.decisions import Trigger
from btcbot.domain.facts import (
    Balances,
    BalancesExplained,
    Fill,
    Opening,
    OrderAbsent,
    OrderClosed,
    OrderNotSent,
    OrderRejected,
    OrderSubmitting,
    PauseChanged,
    Recorded,
    TradingStateChanged,
)
from btcbot.domain.ids import Pair
from btcbot.domain.instruments import FeeRates
from btcbot.domain.messages import (
    AccountSnapshot,
    BookDepth,
    BookTop,
    Candle,
    CommandDone,
    FeedState,
    InstrumentRules,
    IntentVerdict,
    PnlReport,
)
from btcbot.domain.policy import Policy
from btcbot.domain.words import TradingState
from btcbot.pipeline import book, clock, slots
from btcbot.pipeline.registry import AnyStrategy, find, is_allocator, is_quoted
from btcbot.pipeline.seats import Setup
from btcbot.pipeline.state import State, hear_feed, learn, opened, restored, standing_in
from btcbot.pipeline.turn import Said, Wishes, turn
from btcbot.portfolio.account import Wish
from btcbot.portfolio.picture import Allocator
from btcbot.secret import leaks, read_secret
from btcbot.sections import Agent
from btcbot.strategies.contract import Strategy, Want
from bus.actor import (
    Actor,
    Ask,
    CaughtUp,
    Deliver,
    Hears,
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
from bus.runtime import PeersView, Place, run, run_on_loop, serve

Inbox = (
    BookTop | BookDepth | Candle | FeedState | IntentVerdict | Fill | Balances | Opening
    | BalancesExplained
    | OrderSubmitting | OrderClosed | OrderRejected | OrderNotSent | OrderAbsent | Recorded
    | InstrumentRules | TradingStateChanged | PauseChanged | PeerLost | PeerBack | CaughtUp
    | RequestExpired | CommandDone | AccountSnapshot | PnlReport | ModelAnswered | Woken | Started
)  # fmt: skip
Effects = tuple[Struct, ...]

TICK_NS: Final = 1_000_000_000
ACCOUNT, PNL = (Hears(source="accounting", topic=name) for name in ("account", "pnl"))
KEEP_NS: Final = 250_000_000  # Records wait so long: their commit must not stand before an order's.


class Hosted:
    """The strategies by seat and the policy: code, which no state holds."""

    def __init__(
        self, strategies: Sequence[AnyStrategy], setup: Setup, policy: Policy | None
    ) -> None:
        self.policy = policy
        self.on_quotes: list[tuple[str, Strategy]] = []
        self.by_clock: list[tuple[str, Allocator]] = []
        for seat, strategy in zip(setup.seats, strategies, strict=True):
            if is_allocator(strategy):
                self.by_clock.append((seat.name, strategy))
            elif is_quoted(strategy):
                self.on_quotes.append((seat.name, strategy))


def make_handle(hosted: Hosted) -> Any:  # noqa: ANN401, C901 - a Handle over State
    """Return the pure `handle` of an actor that hosts these strategies."""
    on_quotes = [(name, strategy.decide) for name, strategy in hosted.on_quotes]

    def handle(state: State, message: Any, now_ns: int) -> Step[State]:  # noqa: ANN401 - Inbox
        if type(message) is not BookTop:
            return Step(state, _hear(state, hosted, message, now_ns))
        pair = message.pair
        state.tops[pair] = message
        if not state.may_decide or pair not in state.trusted:
            return Step(state)
        wanted: list[Wish] | None = None
        for name, decide in on_quotes:
            seat = state.seats[name]
            setup = seat.setup
            if setup.interval_ns:
                # A clock that was set back must not keep anybody from getting out.
                if 0 <= now_ns - seat.decided_ns.get(pair, 0) < setup.interval_ns:
                    continue
                seat.decided_ns[pair] = now_ns
            seat.inner, wants = decide(seat.inner, setup.params, seat.view, message, now_ns)
            if wants:
                wanted = [*(wanted or ()), *(_wish(name, want) for want in wants)]
        if wanted is None:
            return Step(state)
        asked = Wishes(tuple(wanted))
        return Step(
            state, _said(state, turn(state, hosted.policy, asked, Trigger.QUOTE, now_ns), now_ns)
        )

    return handle


def _wish(name: str, want: Want) -> Wish:
    return Wish(
        strategy=name,
        pair=want.pair,
        side=want.side,
        quantity=want.quantity,
        limit_price=want.limit_price,
        life_ns=want.life_ns,
        reason=want.reason,
    )


def _said(state: State, said: Said, now_ns: int) -> Effects:
    """Return the effects of a turn; the first record that waits starts the wait."""
    asks = [Ask("risk_gate", intent, intent.intent_id) for intent in said.intents]
    tells = [Publish(f"decision.{record.quote}", record) for record in said.records]
    wakes = () if state.is_keeping or not state.unkept else (Wake("keep", now_ns + KEEP_NS),)
    state.is_keeping = bool(state.unkept)
    return (*asks, *map(_effect, said.effects), *tells, *wakes)


def _effect(of_policy: Struct) -> Struct:
    """Return what the policy wants done: its records are execution's to keep."""
    request_id = getattr(of_policy, "request_id", None)
    return of_policy if request_id is None else Ask("execution", of_policy, request_id)


def _hear(state: State, hosted: Hosted, message: Any, now_ns: int) -> Effects:  # noqa: ANN401
    """Handle what is no quote."""
    match message:
        case FeedState():  # The most frequent; whether we may decide at all does not hang on it.
            hear_feed(state, message)
        case Woken():
            return _woken(state, hosted, message, now_ns)
        case Started():
            state.epoch = message.epoch
            return (Wake("tick", now_ns + TICK_NS),) if hosted.by_clock else ()
        case Fill():
            return _filled(state, hosted, message, now_ns)
        case AccountSnapshot() | PnlReport() | ModelAnswered():
            return _heard_by_policy(state, hosted.policy, message, now_ns)
        case _:
            _note(state, message, now_ns)
            state.may_decide = (
                state.is_caught_up
                and not state.silent
                and state.trading in (TradingState.LIVE, TradingState.REDUCE)
            )
    return _heard_by_policy(state, hosted.policy, message, now_ns)


def _heard_by_policy(state: State, policy: Policy | None, message: Struct, now_ns: int) -> Effects:
    """Let the policy take in what it hears; others may have heard the same."""
    if policy is None or not isinstance(message, policy.HEARS):
        return ()
    state.policy = policy.hear(state.policy, message, now_ns)
    return tuple(map(_effect, policy.due(state.policy)))


def _woken(state: State, hosted: Hosted, woken: Woken, now_ns: int) -> Effects:
    if woken.name == "keep":
        return _keep(state)
    return (*_look(state, hosted, Trigger.CLOCK, now_ns), Wake("tick", now_ns + TICK_NS))


def _look(state: State, hosted: Hosted, trigger: Trigger, now_ns: int) -> Effects:
    """Let the strategies whose time has come look at the whole account."""
    if not state.may_decide:
        return ()
    due = [
        (state.seats[name], strategy)
        for name, strategy in hosted.by_clock
        if clock.is_time(state, state.seats[name], strategy, now_ns)
    ]
    if not due:
        return _said(state, Said(), now_ns) if state.unkept else ()
    standing = standing_in(state, state.setup.universe.pairs.quote, now_ns)
    found = [clock.look(state, seat, strategy, standing, now_ns) for seat, strategy in due]
    asked = Wishes(
        tuple(wish for one in found for wish in one.wishes),
        tuple(idle for one in found for idle in one.idle),
        standing,
    )
    if not (asked.wishes or asked.idle or state.unkept):
        return ()
    return _said(state, turn(state, hosted.policy, asked, trigger, now_ns), now_ns)


def _filled(state: State, hosted: Hosted, fill: Fill, now_ns: int) -> Effects:
    """Book a fill, and let the strategy it is of decide at once."""
    seat = book.fill(state.books, state.seats, fill)
    if seat is None or not state.may_decide:
        return ()
    state.looked_ns.pop(seat.setup.name, None)  # A strategy of the clock looks at its next tick.
    top = state.tops.get(fill.pair)
    strategy = next((s for name, s in hosted.on_quotes if name == seat.setup.name), None)
    is_trusted = fill.pair in state.trusted
    if strategy is None or top is None or not is_trusted or not strategy.DECIDES_ON_FILLS:
        return ()
    seat.inner, wants = strategy.decide(seat.inner, seat.setup.params, seat.view, top, now_ns)
    if not wants:
        return ()
    asked = Wishes(tuple(_wish(seat.setup.name, want) for want in wants))
    return _said(state, turn(state, hosted.policy, asked, Trigger.FILL, now_ns), now_ns)


def _keep(state: State) -> Effects:
    """Ask execution to keep what waits: decisions to be explained, transfers to be booked."""
    asks = []
    for name, payload in state.unkept:
        kind, _, key = name.partition(" ")
        asks.append(ask_to_record(state, slots.OWNER, kind, key, payload))
    state.unkept.clear()
    state.is_keeping = False
    return tuple(asks)


def _note(state: State, message: Inbox, now_ns: int) -> None:  # noqa: C901, PLR0912 - one line each
    match message:
        case InstrumentRules():
            learn(state, message.instruments)
        case IntentVerdict():
            slots.judged(state, message, now_ns)
        case OrderSubmitting():
            book.rest(state.books, message.intent)
            seat = state.seats.get(message.intent.strategy)
            if seat is not None:
                seat.view.live[message.intent.slot] = message.intent.side
                seat.tally.counts.sent += 1
        case OrderClosed() | OrderNotSent() | OrderAbsent():
            state.refused.pop(slots.free(state, message.intent_id), None)
        case OrderRejected():
            slots.reject(state, message)
        case Balances() | Opening() | BalancesExplained():
            book.state(state.books, message)
        case Recorded():
            slots.recall(state, message)
        case TradingStateChanged():
            state.trading = message.state
        case PeerLost():
            state.silent = tuple(dict.fromkeys((*state.silent, message.source)))
        case PeerBack():
            state.silent = tuple(name for name in state.silent if name != message.source)
        case CaughtUp():
            state.is_caught_up = True
        case BookDepth():
            for seat in state.seats.values():
                seat.view.depths[message.pair] = message
        case Candle():
            clock.hear_candle(state, message)
        case CommandDone() | PauseChanged() | RequestExpired():
            # Late is not refused: the bus goes on asking. Pauses are judged by execution.
            pass
        case (
            BookTop()
            | FeedState()
            | Fill()
            | Started()
            | Woken()
            | AccountSnapshot()
            | PnlReport()
            | (ModelAnswered())
        ):
            raise AssertionError(f"handled before: {message}")
        case _:
            assert_never(message)


def actor(
    setup: Setup,
    fees: Mapping[Pair, FeeRates],
    strategies: Sequence[AnyStrategy] | None = None,
    policy: Policy | None = None,
    perform: Callable[[Struct], None] | None = None,
) -> Actor[State]:
    """Return the actor that hosts `strategies`, one a seat, or those that the seats name.

    `perform` starts the policy's effects; one that asks nobody has none.
    """
    chosen = [find(seat.uses) for seat in setup.seats] if strategies is None else strategies

    def begin() -> State:
        state = opened(setup, chosen, fees)
        state.policy = None if policy is None else policy.start()
        return state

    wants_day = any(is_allocator(strategy) and strategy.WANTS_DAY for strategy in chosen)
    wants_depth = any(strategy.WANTS_DEPTH for strategy in chosen)
    return Actor(
        name="strategy",
        state=begin(),
        handle=make_handle(Hosted(chosen, setup, policy)),
        hears=(
            Hears(source="market_data", topic="top."),
            Hears(source="market_data", topic="feed."),
            Hears(source="market_data", topic="rules"),
            *((Hears(source="market_data", topic="depth."),) if wants_depth else ()),
            *((Hears(source="market_data", topic="candle.", conflate=False),) if wants_day else ()),
            Hears(source="execution", topic="fact", conflate=False),
            *((ACCOUNT, PNL) if policy is not None else ()),
        ),
        facts=(
            Fill, Balances, BalancesExplained, Opening, OrderSubmitting, OrderClosed,
            OrderRejected, OrderNotSent, OrderAbsent, Recorded, TradingStateChanged, PauseChanged,
        ),
        asks=("risk_gate", "execution"),
        needs=("market_data", "risk_gate", "execution"),
        perform=perform,
        restore=partial(restored, begin),
    )  # fmt: skip


def main(config: Config) -> None:
    """Decide until SIGTERM. Raises ConfigError."""
    chosen = configured(config)
    fees = {pair: config.fees_of(pair) for pair in config.pairs}
    place = place_of(config)

    def make(perform: Callable[[Struct], None] | None = None) -> Actor[State]:
        policy = policy_of(config.agent)
        made = actor(chosen.setup, fees, chosen.strategies, policy, perform)
        return revived(made, place.journal, place.code)

    if config.agent.has_model:
        run_on_loop(_with_model(config.agent, make, place))
    else:
        run(lambda _deliver, _peers: make(), place)


async def _with_model(
    agent: Agent, make: Callable[[Callable[[Struct], None]], Actor[State]], place: Place
) -> None:
    """Decide beside a client that asks the model: nobody waits for its answer."""
    from btcbot.agent.client import ModelClient  # noqa: PLC0415 - its library costs 6 MB

    key = None if agent.key_file is None else read_secret(agent.key_file).reveal()
    clients: list[ModelClient] = []

    def with_client(deliver: Deliver, _peers: PeersView) -> Actor[State]:
        client = ModelClient(agent.url, key, deliver, leaks)
        clients.append(client)

        def start(effect: Struct) -> None:
            assert isinstance(effect, AskModel), f"nobody performs {effect}"
            client.start(effect)

        return make(start)

    try:
        await serve(with_client, place)
    finally:
        for client in clients:
            await client.close()
