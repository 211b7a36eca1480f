"""Strategy: from prices and our own fills to wishes.

Hears   BookTop on `top.`, BookDepth if it is wanted, InstrumentRules, FeedState, facts,
        IntentVerdict
Says    OrderIntent to risk_gate
Never   orders: a wish is judged by risk_gate and again by execution
"""

from decimal import Decimal
from typing import Any, assert_never

from msgspec import Struct, field

from actors import CODEC
from btcbot.config import Config
from btcbot.domain.facts import (
    Fill,
    OrderAbsent,
    OrderClosed,
    OrderNotSent,
    OrderRejected,
    OrderSubmitting,
    PauseChanged,
    TradingStateChanged,
)
from btcbot.domain.ids import IntentId, Pair, intent_id
from btcbot.domain.messages import (
    BookDepth,
    BookTop,
    FeedState,
    InstrumentRules,
    IntentVerdict,
    OrderIntent,
)
from btcbot.domain.words import FeedStatus, Side, TradingState
from btcbot.strategies.contract import NO_HOLDING, Holding, MarketView, Strategy, Want, slot_of
from btcbot.strategies.registry import find, parameters
from bus.actor import (
    Actor,
    Ask,
    CaughtUp,
    Deliver,
    Hears,
    PeerBack,
    PeerLost,
    RequestExpired,
    Started,
    Step,
)
from bus.runtime import PeersView, Place, run

Inbox = (
    BookTop | BookDepth | FeedState | IntentVerdict | Fill | OrderSubmitting | OrderClosed
    | OrderRejected | OrderNotSent | OrderAbsent | InstrumentRules | TradingStateChanged
    | PauseChanged | PeerLost | PeerBack | CaughtUp | RequestExpired | Started
)  # fmt: skip

USABLE = (FeedStatus.LIVE, FeedStatus.FALLBACK)
BACK_OFF_FIRST_NS, BACK_OFF_LAST_NS = 1_000_000_000, 60_000_000_000


class Setup(Struct, frozen=True, kw_only=True):
    """What does not change within a life. `interval_ns` 0: decide on every quote."""

    name: str
    params: Any
    interval_ns: int = 250_000_000


class State(Struct, kw_only=True):
    """What the actor remembers; owned, changed in place."""

    setup: Setup
    inner: Any  # The strategy's own state.
    view: MarketView
    epoch: int = 0
    decisions: int = 0
    decided_ns: dict[Pair, int] = field(default_factory=dict)
    slots: dict[IntentId, str] = field(default_factory=dict)  # Wishes that are open or live.
    refused: dict[str, tuple[int, int]] = field(default_factory=dict)  # Slot: not before, pause.
    silent: tuple[str, ...] = ("market_data", "risk_gate", "execution")
    feeds: dict[Pair, FeedStatus] = field(default_factory=dict)
    trading: TradingState = TradingState.PAUSED  # Fail closed until execution says otherwise.
    is_caught_up: bool = False
    may_decide: bool = False


def make_handle(strategy: Strategy) -> Any:  # noqa: ANN401 - a Handle over this State
    """Return the pure `handle` of an actor that hosts `strategy`."""
    decide = strategy.decide

    def handle(state: State, message: Inbox, now_ns: int) -> Step[State]:
        if type(message) is BookTop:
            pair = message.pair
            state.view.tops[pair] = message
            setup = state.setup
            if not state.may_decide or state.feeds.get(pair) not in USABLE:
                return Step(state)
            if setup.interval_ns:
                if now_ns - state.decided_ns.get(pair, 0) < setup.interval_ns:
                    return Step(state)
                state.decided_ns[pair] = now_ns
            state.inner, wants = decide(state.inner, setup.params, state.view, message, now_ns)
            return Step(state, _asks(state, wants, now_ns)) if wants else Step(state)
        _note(state, message, now_ns)
        state.may_decide = (
            state.is_caught_up
            and not state.silent
            and state.trading in (TradingState.LIVE, TradingState.REDUCE)
        )
        return Step(state)

    return handle


def _asks(state: State, wants: tuple[Want, ...], now_ns: int) -> tuple[Ask, ...]:
    """Turn wants into intents, for slots that are free and not resting after a refusal."""
    asks = []
    for leg, want in enumerate(wants):
        slot = slot_of(state.setup.name, want.pair, want.side)
        not_before, _ = state.refused.get(slot, (0, 0))
        is_allowed = state.trading is TradingState.LIVE or want.side is Side.SELL
        if slot in state.view.live or now_ns < not_before or not is_allowed:
            continue
        state.decisions += 1
        intent = OrderIntent(
            intent_id=intent_id(state.setup.name, state.epoch, state.decisions, leg),
            strategy=state.setup.name,
            slot=slot,
            pair=want.pair,
            side=want.side,
            quantity=want.quantity,
            limit_price=want.limit_price,
            reason=want.reason,
            seen_ns=state.view.tops[want.pair].confirmed_ns,
            decided_ns=now_ns,
            expires_ns=now_ns + want.life_ns,
        )
        state.view.live[slot] = want.side
        state.slots[intent.intent_id] = slot
        asks.append(Ask("risk_gate", intent, intent.intent_id))
    return tuple(asks)


def _note(state: State, message: Inbox, now_ns: int) -> None:  # noqa: C901, PLR0912 - one line each
    match message:
        case Fill():
            _hold(state, message)
        case FeedState():
            state.feeds[message.pair] = message.status
        case InstrumentRules():
            state.view.rules = {rules.pair: rules for rules in message.instruments}
        case IntentVerdict():
            if message.rule is not None:
                _refuse(state, message.intent_id, now_ns)
        case OrderSubmitting():
            slot = message.intent.slot
            state.slots[message.intent.intent_id] = slot
            state.view.live[slot] = message.intent.side
        case OrderClosed() | OrderNotSent() | OrderAbsent():
            slot = _free(state, message.intent_id)
            state.refused.pop(slot, None)
        case OrderRejected():
            _refuse(state, message.intent_id, message.at_ns)  # Perhaps long ago: catching up.
        case TradingStateChanged():
            state.trading = message.state
        case PeerLost():
            state.silent = tuple(dict.fromkeys((*state.silent, message.source)))
        case PeerBack():
            state.silent = tuple(name for name in state.silent if name != message.source)
        case CaughtUp():
            state.is_caught_up = True
        case Started():
            state.epoch = message.epoch
        case BookDepth():
            state.view.depths[message.pair] = message
        case BookTop() | PauseChanged() | RequestExpired():
            # Late is not refused: the bus goes on asking. Pauses are judged by execution.
            pass
        case _:
            assert_never(message)


def _hold(state: State, fill: Fill) -> None:
    """Fold a fill of ours into what is held; the average cost carries the fees of the buys."""
    if fill.intent_id is None:
        return
    held = state.view.holdings.get(fill.pair, NO_HOLDING)
    if fill.side is Side.BUY:
        cost = held.quantity * held.average_cost + fill.quantity * fill.price + fill.fee + fill.tax
        quantity = held.quantity + fill.quantity
        state.view.holdings[fill.pair] = Holding(quantity, cost / quantity)
    else:
        quantity = max(held.quantity - fill.quantity, Decimal(0))
        state.view.holdings[fill.pair] = Holding(quantity, held.average_cost)


def _free(state: State, ended: IntentId) -> str:
    """Forget a wish that ended; its slot is free unless another order stands in it."""
    slot = state.slots.pop(ended, "")
    if slot not in state.slots.values():
        state.view.live.pop(slot, None)
    return slot


def _refuse(state: State, refused: IntentId, at_ns: int) -> None:
    """Let a refused slot rest, twice as long each time, so that refusals do not flood the log."""
    slot = _free(state, refused)
    if slot:
        _, pause = state.refused.get(slot, (0, BACK_OFF_FIRST_NS // 2))
        pause = min(2 * pause, BACK_OFF_LAST_NS)
        state.refused[slot] = (at_ns + pause, pause)


def actor(setup: Setup, fees: dict[Pair, Any], strategy: Strategy | None = None) -> Actor[State]:
    """Return the actor that hosts `strategy`, or the one of btcbot that `setup` names."""
    strategy = strategy or find(setup.name)
    view = MarketView(fees=fees)
    state = State(setup=setup, inner=strategy.start(setup.params), view=view)
    return Actor(
        name="strategy",
        state=state,
        handle=make_handle(strategy),
        hears=(
            Hears(source="market_data", topic="top."),
            Hears(source="market_data", topic="feed."),
            Hears(source="market_data", topic="rules"),
            *((Hears(source="market_data", topic="depth."),) if strategy.WANTS_DEPTH else ()),
            Hears(source="execution", topic="fact", conflate=False),
        ),
        facts=(
            Fill,
            OrderSubmitting,
            OrderClosed,
            OrderRejected,
            OrderNotSent,
            OrderAbsent,
            TradingStateChanged,
            PauseChanged,
        ),
        asks=("risk_gate",),
        needs=("market_data", "risk_gate", "execution"),
    )


def setup_of(config: Config) -> Setup:
    """Return the configured strategy with its parameters. Raises StrategyError."""
    strategy = find(config.strategy.name)
    is_sandbox = config.mode == "sandbox"
    params = parameters(strategy, config.strategy.params, is_sandbox=is_sandbox)
    return Setup(name=config.strategy.name, params=params)


def main(config: Config) -> None:
    """Decide until SIGTERM."""

    def make(_deliver: Deliver, _peers: PeersView) -> Actor[State]:
        return actor(setup_of(config), {pair: config.fees_of(pair) for pair in config.pairs})

    run(
        make,
        Place(run=config.run, journal=config.journal, quarantine=config.quarantine, codec=CODEC),
    )
