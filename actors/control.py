"""Control: the socket for people, the watchdog, the picture of the whole fleet.

Hears   commands on `run/ctl.sock`, heartbeats of all, facts, account, risk and feed streams
Says    SetTradingState, SetPause, CancelIntent to execution; answers to people
Never   answers a command before execution committed it
"""

import logging
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from actors import CODEC
from btcbot.config import Config
from btcbot.domain import control as ctl
from btcbot.domain.facts import (
    OrderAbsent,
    OrderAcked,
    OrderClosed,
    OrderNotSent,
    OrderRejected,
    OrderSubmitting,
    OrderUnknown,
    OrderZombie,
    PauseChanged,
    TradingStateChanged,
)
from btcbot.domain.ids import CommandId, IntentId, Pair
from btcbot.domain.messages import (
    AccountSnapshot,
    CancelIntent,
    CommandDone,
    FeedState,
    PnlReport,
    RiskState,
    Scope,
    SetPause,
    SetTradingState,
)
from btcbot.domain.status import Picture, status_of
from btcbot.domain.words import OrderState, TradingState
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
    Wake,
    Woken,
)
from bus.clock import SystemClock
from bus.doorway import Doorway
from bus.runtime import PeersView, Place, run_on_loop, serve

Ended = OrderClosed | OrderRejected | OrderNotSent | OrderAbsent
OrderFact = OrderSubmitting | OrderAcked | OrderUnknown | OrderZombie | Ended
Inbox = (
    ctl.Asked | CommandDone | OrderFact | TradingStateChanged | PauseChanged | AccountSnapshot
    | PnlReport | RiskState | FeedState | PeerLost | PeerBack | CaughtUp | RequestExpired | Started
    | Woken
)  # fmt: skip

log = logging.getLogger("btcbot.control")
HANGS_NS = 4_000_000_000  # After the second of silence that makes a peer lost.
COMMAND_TTL_NS = 5_000_000_000
OTHERS = ("market_data", "strategy", "risk_gate", "execution", "accounting", "dashboard")


class State(Struct, kw_only=True):
    """What control has heard; owned, changed in place."""

    mode: str
    pairs: tuple[Pair, ...]
    epoch: int = 0
    commands: int = 0
    waiting: dict[CommandId, tuple[int, int]] = field(default_factory=dict)  # Who asked, when.
    orders: dict[IntentId, tuple[OrderState, int]] = field(default_factory=dict)
    trading: TradingStateChanged | None = None
    pauses: dict[Scope, PauseChanged] = field(default_factory=dict)
    account: AccountSnapshot | None = None
    pnl: PnlReport | None = None
    risk: RiskState | None = None
    feeds: dict[Pair, FeedState] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)
    lives: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)


class Respond(Struct, frozen=True):
    """Answer a person."""

    connection: int
    answer: dict[str, Any]


class ShowStatus(Struct, frozen=True):
    """Answer with the picture of the fleet, heartbeats included."""

    connection: int


class EndProcess(Struct, frozen=True):
    """Send a signal to an actor's process; supervisord starts it again."""

    actor: str
    pid: int
    number: int


def handle(state: State, message: Inbox, now_ns: int) -> Step[State]:  # noqa: C901, PLR0912
    """Return the state, changed in place, and what to ask and to answer."""
    match message:
        case AccountSnapshot():
            state.account = message
        case PnlReport():
            state.pnl = message
        case RiskState():
            state.risk = message
        case FeedState():
            state.feeds[message.pair] = message
        case ctl.Asked():
            return Step(state, _asked(state, message, now_ns))
        case CommandDone():
            return Step(state, _done(state, message, now_ns))
        case TradingStateChanged():
            state.trading = message
        case PauseChanged():
            if message.is_paused:
                state.pauses[message.scope] = message
            else:
                state.pauses.pop(message.scope, None)
        case PeerLost():
            state.lost[message.source] = now_ns
            return Step(state, (Wake(f"hangs {message.source}", now_ns + HANGS_NS),))
        case PeerBack():
            state.lost.pop(message.source, None)
            state.pids[message.source] = message.pid
            state.lives[message.source] = state.lives.get(message.source, 0) + 1
        case Woken():
            return Step(state, _hangs(state, message.name.removeprefix("hangs ")))
        case Started():
            state.epoch = message.epoch
        case CaughtUp() | RequestExpired():
            pass
        case _:
            _order(state, message)
    return Step(state)


def _asked(state: State, asked: ctl.Asked, now_ns: int) -> tuple[Struct, ...]:
    command, who = asked.command, f"uid {asked.uid}"
    if isinstance(command, ctl.Status):
        return (ShowStatus(asked.connection),)
    if isinstance(command, ctl.Restart):
        return _restart(state, asked.connection, command.actor)
    state.commands += 1
    command_id = CommandId(f"ctl-{state.epoch}-{state.commands}")
    state.waiting[command_id] = (asked.connection, now_ns)
    request = _request(command, command_id, who)
    return (Ask("execution", request, command_id, ttl_ns=COMMAND_TTL_NS),)


def _request(
    command: ctl.Pause | ctl.Resume | ctl.Kill | ctl.Cancel, command_id: CommandId, who: str
) -> SetTradingState | SetPause | CancelIntent:
    """Return what execution is asked for a person's command."""
    match command:
        case ctl.Kill():
            return SetTradingState(
                command_id=command_id, state=TradingState.KILLED, by=who, reason=command.reason
            )
        case ctl.Cancel():
            return CancelIntent(
                command_id=command_id,
                client_order_id=command.client_order_id,
                by=who,
                reason=command.reason,
            )
        case ctl.Pause() | ctl.Resume():
            is_paused = isinstance(command, ctl.Pause)
            scope = Scope(command.pair, command.strategy, command.side)
            until_ns = command.until_ns if isinstance(command, ctl.Pause) else None
            if scope == Scope() and until_ns is None:
                return SetTradingState(
                    command_id=command_id,
                    state=TradingState.PAUSED if is_paused else TradingState.LIVE,
                    by=who,
                    reason=command.reason,
                    acknowledge=command.acknowledge if isinstance(command, ctl.Resume) else "",
                )
            return SetPause(
                command_id=command_id,
                scope=scope,
                is_paused=is_paused,
                until_ns=until_ns,
                by=who,
                reason=command.reason,
            )


def _done(state: State, done: CommandDone, now_ns: int) -> tuple[Respond, ...]:
    connection, asked_ns = state.waiting.pop(done.command_id, (0, now_ns))
    answer = {
        "ok": not done.refused,
        "refused": done.refused,
        "command_id": done.command_id,
        "event": done.seq,
        "ack_ms": (now_ns - asked_ns) / 1e6,
    }
    return (Respond(connection, answer),) if connection else ()


def _restart(state: State, connection: int, name: str) -> tuple[Struct, ...]:
    pid = state.pids.get(name, 0)
    if name not in OTHERS or not pid:
        known = ", ".join(OTHERS)
        refused = f"no live actor {name!r}; allowed are {known}"
        return (Respond(connection, {"ok": False, "refused": refused, "code": "not_found"}),)
    ended = EndProcess(name, pid, signal.SIGTERM)
    return ended, Respond(connection, {"ok": True, "refused": "", "pid": pid})


def _hangs(state: State, name: str) -> tuple[EndProcess, ...]:
    """End a process that was lost and did not come back; one that died is long replaced."""
    if name not in state.lost or not state.pids.get(name):
        return ()
    return (EndProcess(name, state.pids[name], signal.SIGKILL),)


def _order(state: State, fact: OrderFact) -> None:
    if isinstance(fact, OrderSubmitting):
        state.orders[fact.intent.intent_id] = (OrderState.SENDING, fact.at_ns)
    elif isinstance(fact, OrderAcked):
        state.orders[fact.intent_id] = (OrderState.OPEN, fact.at_ns)
    elif isinstance(fact, OrderUnknown | OrderZombie):
        kind = OrderState.UNKNOWN if isinstance(fact, OrderUnknown) else OrderState.ZOMBIE
        state.orders[fact.intent_id] = (kind, fact.at_ns)
    else:
        state.orders.pop(fact.intent_id, None)


def picture(state: State, peers: PeersView, clock: SystemClock) -> dict[str, Any]:
    """Return the public status document; see docs/reference/status.md."""
    heard = {
        peer.name: (peer.pid, peer.health.value, (clock.monotonic_ns() - peer.heard_ns) / 1e9)
        for peer in peers().values()
    }
    heard["control"] = (os.getpid(), "READY", 0.0)
    return status_of(
        Picture(
            mode=state.mode,
            pairs=state.pairs,
            heard=heard,
            restarts={name: lives - 1 for name, lives in state.lives.items()},
            rss_mb={name: _rss_mb(row[0]) for name, row in heard.items()},
            orders=state.orders,
            trading=state.trading,
            pauses=tuple(state.pauses.values()),
            account=state.account,
            pnl=state.pnl,
            risk=state.risk,
            feeds=state.feeds,
        ),
        clock.now_ns(),
    )


def _rss_mb(pid: int) -> float | None:
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)
    return None


def end_process(effect: EndProcess) -> None:
    """Signal the actor's process, if the pid is still its own."""
    with suppress(OSError):
        handle_ = os.pidfd_open(effect.pid)
        try:
            title = Path(f"/proc/{effect.pid}/cmdline").read_bytes()
            if f"btcbot: {effect.actor}".encode() in title:
                log.warning("process_ended", extra={"peer": effect.actor, "signal": effect.number})
                signal.pidfd_send_signal(handle_, effect.number)
        finally:
            os.close(handle_)


def actor(mode: str, pairs: tuple[Pair, ...], perform: Any) -> Actor[State]:  # noqa: ANN401
    """Return control; `perform` answers people and ends processes."""
    return Actor(
        name="control",
        state=State(mode=mode, pairs=pairs),
        handle=handle,
        hears=(
            Hears(source="market_data", topic="feed."),
            Hears(source="accounting", topic="account"),
            Hears(source="accounting", topic="pnl"),
            Hears(source="risk_gate", topic="risk"),
            Hears(source="execution", topic="fact", conflate=False),
        ),
        facts=(
            OrderSubmitting,
            OrderAcked,
            OrderUnknown,
            OrderZombie,
            OrderClosed,
            OrderRejected,
            OrderNotSent,
            OrderAbsent,
            TradingStateChanged,
            PauseChanged,
        ),
        asks=("execution",),
        needs=("execution",),
        watches=OTHERS,
        perform=perform,
    )


def main(config: Config) -> None:
    """Serve people until SIGTERM."""
    run_on_loop(_serve(config))


async def _serve(config: Config) -> None:  # noqa: C901 - it wires
    doorways: list[Doorway] = []
    states: list[State] = []
    clock = SystemClock()
    decoder = msgspec.msgpack.Decoder(ctl.AnyCommand)

    def make(deliver: Deliver, peers: PeersView) -> Actor[State]:
        def on_frame(connection: int, uid: int, frame: bytes) -> None:
            try:
                command = decoder.decode(frame)
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                refused = {"ok": False, "refused": f"not a command: {str(error)[:200]}"}
                doorway.answer(connection, msgspec.msgpack.encode(refused))
                return
            deliver(ctl.Asked(connection=connection, uid=uid, command=command))

        doorway = Doorway(config.run / "ctl.sock", on_frame)
        doorways.append(doorway)

        def perform(effect: Struct) -> None:
            match effect:
                case ShowStatus():
                    answer = picture(states[0], peers, clock)
                    doorway.answer(effect.connection, msgspec.msgpack.encode(answer))
                case Respond():
                    doorway.answer(effect.connection, msgspec.msgpack.encode(effect.answer))
                case EndProcess():
                    end_process(effect)
                case _:
                    raise AssertionError(f"nobody performs {effect}")

        made = actor(config.mode, config.pairs, perform)
        states.append(made.state)
        return made

    async def open_door() -> None:
        await doorways[0].open()

    place = Place(run=config.run, journal=config.journal, quarantine=config.quarantine, codec=CODEC)
    try:
        await serve(make, place, before=open_door)
    finally:
        for doorway in doorways:
            await doorway.close()
