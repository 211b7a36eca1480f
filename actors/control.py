"""Control: the socket for people, the watchdog, the picture of the whole fleet.

Hears   commands on `run/ctl.sock`, heartbeats of all, facts, account, risk and feed streams
Says    SetTradingState, SetPause, CancelIntent, ResolveOrder, TightenLimit and SetRiskMode to
        execution; answers to people
Never   answers a command before execution committed it
"""

import logging
import os
import signal
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from actors import place_of
from btcbot import vitals
from btcbot.config import Config
from btcbot.domain import control as ctl
from btcbot.domain.ids import CommandId
from btcbot.domain.messages import CommandDone, FeedState
from btcbot.domain.money import parse
from btcbot.domain.status import ACTORS, SHOWN_FACTS, Shown, View, learn, status_of
from btcbot.risk import limits
from btcbot.risk.limits import RiskLimits
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
from bus.kept import revived
from bus.runtime import PeersView, run_on_loop, serve
from bus.standby import waiting_file

Inbox = (
    FeedState | Shown | ctl.Asked | CommandDone | PeerLost | PeerBack | CaughtUp | RequestExpired
    | Started | Woken
)  # fmt: skip
Respond: TypeAlias = Callable[[int, bytes], None]

log = logging.getLogger("btcbot.control")
HANGS_NS: Final = 4_000_000_000  # After the second of silence that makes a peer lost.
COMMAND_TTL_NS: Final = 5_000_000_000
OTHERS: Final = tuple(name for name in ACTORS if name != "control")
LATE: Final = (
    "execution did not answer within 5 s, so nobody knows; it goes on being asked. "
    "To stop all sending without it: touch run/KILL"
)
NO_AGENT: Final = (
    "this fleet was started with [agent] mode = 'off': set it to 'shadow' or 'advise', start again"
)
# The bus asks until answered: what is riskier must not take effect when nobody expects it any more.
SILENT: Final = "execution is silent: again when it is back (btcbot-ctl status)"


class Waiting(Struct, frozen=True, kw_only=True):
    """A person who waits for execution: on which connection, since when, for which answers."""

    connection: int
    asked_ns: int
    left: tuple[CommandId, ...]
    refused: str = ""


class State(Struct, kw_only=True):
    """What control has heard; owned, changed in place."""

    view: View
    strategies: tuple[str, ...]  # As they are named on the account.
    limits: RiskLimits  # As configured.
    has_agent: bool
    pids: dict[str, int]
    epoch: int = 0
    commands: int = 0
    waiting: dict[CommandId, Waiting] = field(default_factory=dict)  # By the first request's id.
    lost: dict[str, int] = field(default_factory=dict)  # Silent since.


class Answered(Struct, frozen=True):
    """Answer a person."""

    connection: int
    reply: ctl.Reply


class ShowStatus(Struct, frozen=True):
    """Answer with the picture of the fleet, heartbeats included."""

    connection: int


class EndProcess(Struct, frozen=True):
    """Send a signal to an actor's process; supervisord starts it again."""

    actor: str
    pid: int
    number: int


def handle(state: State, message: Inbox, now_ns: int) -> Step[State]:  # noqa: C901 - one line each
    """Return the state, changed in place, and what to ask and to answer."""
    match message:
        case ctl.Asked():
            return Step(state, _asked(state, message, now_ns))
        case CommandDone():
            return Step(state, _done(state, message, now_ns))
        case RequestExpired():
            return Step(state, _late(state, CommandId(message.request_id), now_ns))
        case PeerLost():
            state.lost[message.source] = now_ns
            return Step(state, (Wake(f"hangs {message.source}", now_ns + HANGS_NS),))
        case PeerBack():
            state.lost.pop(message.source, None)
            state.pids[message.source] = message.pid
        case Woken():
            return Step(state, _hangs(state, message.name.removeprefix("hangs ")))
        case Started():
            state.epoch = message.epoch
        case CaughtUp():
            pass
        case _:
            learn(state.view, message)
    return Step(state)


# --- commands ---------------------------------------------------------------------------------


def _asked(state: State, asked: ctl.Asked, now_ns: int) -> tuple[Struct, ...]:
    command = asked.command
    if isinstance(command, ctl.Status):
        return (ShowStatus(asked.connection),)
    if isinstance(command, ctl.Restart):
        return _restart(state, asked.connection, command.actor)
    if reply := ctl.refusal(command, state.view.pairs, state.strategies):
        return (Answered(asked.connection, reply),)
    if isinstance(command, ctl.Tighten) and (why := _not_tighter(state, command)):
        return (Answered(asked.connection, why),)
    if isinstance(command, ctl.SetAgentMode) and not state.has_agent:
        return (Answered(asked.connection, ctl.no(NO_AGENT)),)
    if ctl.is_riskier(command) and not _hears_execution(state):
        return (Answered(asked.connection, ctl.no(SILENT)),)
    state.commands += 1
    first = CommandId(f"ctl-{state.epoch}-{state.commands}")
    requests = ctl.requests(command, first, f"uid {asked.uid}", state.view.pauses)
    ids = tuple(request.command_id for request in requests)
    state.waiting[first] = Waiting(connection=asked.connection, asked_ns=now_ns, left=ids)
    return tuple(Ask("execution", r, r.command_id, ttl_ns=COMMAND_TTL_NS) for r in requests)


def _not_tighter(state: State, command: ctl.Tighten) -> ctl.Reply | None:
    """Return why a limit may not be set so; None: it is one, and stricter than what holds."""
    if command.name not in limits.TIGHTENABLE:
        return ctl.not_found("limit", command.name, limits.TIGHTENABLE)
    holds = limits.holding(state.limits, state.view.tightened)
    why = limits.why_not(holds, command.name, parse(command.value))
    return ctl.no(why) if why else None


def _hears_execution(state: State) -> bool:
    return "execution" in state.pids and "execution" not in state.lost


def _done(state: State, done: CommandDone, now_ns: int) -> tuple[Answered, ...]:
    first = ctl.first_of(done.command_id)
    waiting = state.waiting.pop(first, None)
    if waiting is None:
        return ()  # They were told that it is late.
    left = tuple(name for name in waiting.left if name != done.command_id)
    waiting = replace(waiting, left=left, refused=waiting.refused or done.refused)
    if left:
        state.waiting[first] = waiting
        return ()
    reply = ctl.Reply(
        ok=not waiting.refused,
        code="refused" if waiting.refused else "",
        refused=waiting.refused,
        command_id=first,
        event=done.seq,
        ack_ms=(now_ns - waiting.asked_ns) / 1e6,
    )
    return (Answered(waiting.connection, reply),)


def _late(state: State, request: CommandId, now_ns: int) -> tuple[Answered, ...]:
    first = ctl.first_of(request)
    waiting = state.waiting.pop(first, None)
    if waiting is None:
        return ()
    ack_ms = (now_ns - waiting.asked_ns) / 1e6
    reply = replace(ctl.no(LATE, "timeout"), command_id=first, ack_ms=ack_ms)
    return (Answered(waiting.connection, reply),)


def _restart(state: State, connection: int, name: str) -> tuple[Struct, ...]:
    """Answer first: control itself may be the one that ends."""
    pid = state.pids.get(name)
    if pid is None:
        return (Answered(connection, ctl.not_found("live actor", name, tuple(state.pids))),)
    return Answered(connection, ctl.Reply(ok=True, pid=pid)), EndProcess(name, pid, signal.SIGTERM)


def _hangs(state: State, name: str) -> tuple[EndProcess, ...]:
    """End a process that was lost and did not come back; one that died is long replaced."""
    if name not in state.lost or name not in state.pids:
        return ()
    return (EndProcess(name, state.pids[name], signal.SIGKILL),)


# --- the process ------------------------------------------------------------------------------


def actor(config: Config, perform: Callable[[Struct], None], pid: int) -> Actor[State]:
    """Return control, living in process `pid`; `perform` answers people and ends processes."""
    state = State(
        view=View(mode=config.mode, pairs=config.pairs),
        strategies=config.strategy_names,
        limits=config.risk,
        has_agent=config.agent.mode != "off",
        pids={"control": pid},
    )
    return Actor(
        name="control",
        state=state,
        handle=handle,
        hears=(
            Hears(source="market_data", topic="feed."),
            Hears(source="market_data", topic="mark."),
            Hears(source="accounting", topic="account"),
            Hears(source="accounting", topic="pnl"),
            Hears(source="risk_gate", topic="risk"),
            Hears(source="execution", topic="venue"),
            Hears(source="execution", topic="fact", conflate=False),
        ),
        facts=SHOWN_FACTS,
        asks=("execution",),
        needs=("execution",),
        watches=OTHERS,
        perform=perform,
    )


class Performer:
    """Does what control asks of its socket and of the kernel."""

    def __init__(self, config: Config, peers: PeersView, respond: Respond) -> None:
        self._config, self._peers, self._respond = config, peers, respond
        self._clock = SystemClock()
        self.view: View | None = None

    def __call__(self, effect: Struct) -> None:
        match effect:
            case ShowStatus():
                self._respond(effect.connection, msgspec.msgpack.encode(self.status()))
            case Answered():
                self._respond(effect.connection, msgspec.msgpack.encode(effect.reply))
            case EndProcess():
                sent = vitals.end(effect.actor, effect.pid, signal.Signals(effect.number))
                about = {"peer": effect.actor, "pid": effect.pid, "signal": effect.number}
                log.warning("process_ended" if sent else "process_gone", extra=about)
            case _:
                raise AssertionError(f"nobody performs {effect}")

    def status(self) -> dict[str, Any]:
        """Return the public status document; see docs/reference/json-shapes.md."""
        assert self.view is not None, "asked for status before control was made"
        now_ns = self._clock.monotonic_ns()
        heard = {
            peer.name: (peer.pid, peer.health.value, (now_ns - peer.heard_ns) / 1e9)
            for peer in self._peers().values()
        }
        heard["control"] = (os.getpid(), "READY", 0.0)
        config = self._config
        lives = vitals.lives(
            heard,
            config.journal,
            config.run / "config.json",
            waiting_file(config.run / "exec.lock"),
        )
        return status_of(self.view, lives, self._clock.now_ns())


def main(config: Config) -> None:
    """Serve people until SIGTERM."""
    run_on_loop(_serve(config))


async def _serve(config: Config) -> None:
    doorways: list[Doorway] = []
    place = place_of(config)

    def make(deliver: Deliver, peers: PeersView) -> Actor[State]:
        doorway = Doorway(config.run / "ctl.sock", receiver(deliver, answer), refused)
        doorways.append(doorway)
        performer = Performer(config, peers, answer)
        made = revived(actor(config, performer, 0), place.journal, place.code)
        made.state.pids["control"] = os.getpid()  # Each life has its own: no part of what is kept.
        performer.view = made.state.view
        return made

    def answer(connection: int, frame: bytes) -> None:
        doorways[0].answer(connection, frame)

    async def open_door() -> None:
        await doorways[0].open()

    try:
        await serve(make, place, before=open_door)
    finally:
        for doorway in doorways:
            await doorway.close()


def receiver(deliver: Deliver, respond: Respond) -> Callable[[int, int, bytes], None]:
    """Return what takes a frame from the socket: into the inbox, or back with a reason."""
    decode = msgspec.msgpack.Decoder(ctl.AnyCommand).decode

    def receive(connection: int, uid: int, frame: bytes) -> None:
        try:
            command = decode(frame)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            respond(connection, refused(f"not a command: {str(error)[:200]}"))
        else:
            deliver(ctl.Asked(connection=connection, uid=uid, command=command))

    return receive


def refused(why: str) -> bytes:
    """Return the frame that tells a caller why nothing was done."""
    return msgspec.msgpack.encode(ctl.no(why))
