"""Execution: the only actor that sends orders and the only writer of the database.

Hears   ApprovedOrder, RefuseIntent, commands, BookTop on `mark.`, InstrumentRules, venue outcomes;
        where the exchange is the model in this process, tops, depth and trades instead of marks
Says    facts, each after its commit; VenueState; IntentVerdict and CommandDone as answers
Never   sends twice for one intent, forgets an order, or takes silence for an answer

To start is to recover: lock, open and verify the database, read the exchange, then listen. How its
process does that is in btcbot/cli/life.py: a panic lives the same life.
"""

import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import assert_never, get_args

from msgspec import Struct
from msgspec.structs import replace

from btcbot.domain.agent import RecordDecision
from btcbot.domain.facts import Fact, Posting
from btcbot.domain.ids import CommandId
from btcbot.domain.instruments import Instrument
from btcbot.domain.messages import (
    ApprovedOrder,
    BookDepth,
    BookTop,
    CancelIntent,
    DiskSeen,
    InstrumentRules,
    Record,
    RefuseIntent,
    ResolveOrder,
    SetPause,
    SetRiskMode,
    SetTradingState,
    TightenLimit,
    Trade,
    TradesGap,
    VenueState,
)
from btcbot.domain.venue import (
    ArmingSeen,
    BalancesRead,
    ConnectionsIdle,
    ReadFailed,
    ShowMarket,
    Venue,
    VenueEffect,
    VenueFill,
)
from btcbot.domain.words import TradingState
from btcbot.killfile import KillFile
from btcbot.ledger import postings
from btcbot.orders import commands, disk, resolve, schedule, settle
from btcbot.orders.accept import take_approval, take_late, take_refusal
from btcbot.orders.answers import Answered, take_answer
from btcbot.orders.commands import riskier
from btcbot.orders.recovery import begin
from btcbot.orders.schedule import QUIET_NS, SOON_NS, TICK_NS, is_quiet
from btcbot.orders.state import Desk, learn_rules
from btcbot.orders.turn import Turn
from btcbot.store.database import StoreBusy
from btcbot.store.writer import Writer
from bus.actor import (
    Actor,
    Answer,
    CaughtUp,
    Deliver,
    FactReader,
    Health,
    Hears,
    Late,
    PeerBack,
    PeerLost,
    Publish,
    PublishFact,
    RequestExpired,
    Started,
    Step,
    StreamGap,
    Wake,
    Woken,
)

Request = (
    ApprovedOrder | RefuseIntent | SetTradingState | SetPause | CancelIntent | Record
    | RecordDecision | ResolveOrder | TightenLimit | SetRiskMode
)  # fmt: skip
Inbox = (
    BookTop | BookDepth | Trade | TradesGap | Request | Late[Request] | Answered | ReadFailed
    | InstrumentRules | ConnectionsIdle | DiskSeen | ArmingSeen | VenueState | Started | Woken
    | PeerLost | PeerBack | CaughtUp | RequestExpired | StreamGap
)  # fmt: skip

log = logging.getLogger("btcbot.execution")
RULES, MARK = (Hears(source="market_data", topic=name) for name in ("rules", "mark."))
PAPER = tuple(
    Hears(source="market_data", topic=name, conflate=name != "trade.")
    for name in ("top.", "depth.", "trade.")
)
CONTROL_HANGS_NS = 4_000_000_000  # After the second that makes it PeerLost.
CHECKPOINT_NS = 10_000_000_000
KILL_FILE = "run/KILL"


class Persist(Struct, frozen=True):
    """Commit `facts` as the rows `first`, `first` + 1, …; nothing after it happens otherwise."""

    facts: tuple[Fact, ...]
    first: int


class LookForKill(Struct, frozen=True):
    """See whether somebody made `run/KILL`; if so it arrives as a command."""


class LookAtGates(Struct, frozen=True):
    """See which gates of live trading are shut; what changed arrives as ArmingSeen."""


LOOKS = (LookForKill(),)
LOOKS_LIVE = (LookForKill(), LookAtGates())


class KeepKillFile(Struct, frozen=True):
    """Make `run/KILL`, or remove it; only the file whose command was given already is removed."""

    exists: bool


class Checkpoint(Struct, frozen=True):
    """Tidy the database, copy it when that is due, and see how much room its disk has."""


class Complain(Struct, frozen=True):
    """Tell the people who read logs."""

    event: str
    detail: str


class KillProcess(Struct, frozen=True):
    """End a process that hangs; supervisord starts it again."""

    pid: int


def handle(desk: Desk, message: Inbox, now_ns: int) -> Step[Desk]:
    """Return the desk, changed in place, and what to do: commit first, then send, then say."""
    if type(message) is BookTop:  # The hottest, and never a fact.
        desk.marks[message.pair] = message
        return Step(desk, _shown(desk, message))
    if type(message) is InstrumentRules:  # Said again and again, for late hearers.
        learn_rules(desk, message.instruments)
        return Step(desk, _shown(desk, message))
    if type(message) is Woken and message.name == "tick" and is_quiet(desk, now_ns, message.due_ns):
        return Step(desk, (*_tick(desk, now_ns, QUIET_NS), *_tidy(desk, now_ns)))
    if isinstance(message, (BookDepth, Trade)):  # A union would be made anew each time.
        return Step(desk, _shown(desk, message))
    was_quiet, desk.quiet_until_ns = desk.quiet_until_ns > now_ns, 0
    turn, first = Turn(desk, now_ns), desk.head + 1
    before = desk.trading
    effects = _take(turn, message)
    settle.report_kill(turn)
    has_kill_file = commands.kill_file_after(before, desk.trading)
    if has_kill_file is not None:
        effects += (KeepKillFile(has_kill_file),)
    said = tuple(PublishFact(first + n, fact) for n, fact in enumerate(turn.facts))
    persist = (Persist(tuple(turn.facts), first),) if turn.facts else ()
    answers = tuple(Answer(answer.request_id, answer) for answer in turn.answers)
    if was_quiet and desk.tick_ns - now_ns > SOON_NS and not is_quiet(desk, now_ns, now_ns):
        effects += _tick(desk, now_ns, SOON_NS)
    return Step(desk, (*persist, *turn.asks, *answers, *said, *effects))


def _shown(desk: Desk, seen: BookTop | BookDepth | Trade | InstrumentRules) -> tuple[Struct, ...]:
    return (ShowMarket(seen),) if desk.setup.is_paper else ()


def _take(turn: Turn, message: Inbox) -> tuple[Struct, ...]:  # noqa: C901, PLR0912, PLR0915 - one line each
    desk = turn.desk
    if isinstance(message, Answered):  # Most of all that is no quiet tick.
        take_answer(turn, message, _postings_of_fill, _postings_of_opening)
        return ()
    match message:
        case ApprovedOrder():
            take_approval(turn, message)
        case Woken():
            return _woken(turn, message)
        case RefuseIntent():
            take_refusal(turn, message)
        case SetTradingState():
            return _set_trading_state(turn, message)
        case SetPause():
            commands.set_pause(turn, message)
        case TightenLimit():
            commands.tighten_limit(turn, message)
        case SetRiskMode():
            commands.set_risk_mode(turn, message)
        case CancelIntent():
            commands.cancel(turn, message)
        case Record():
            commands.record(turn, message)
        case RecordDecision():
            commands.record_decision(turn, message)
        case ResolveOrder():
            resolve.resolve(turn, message)
        case Late():
            return _late(turn, message.request)
        case ReadFailed():
            schedule.note_trouble(turn, message)  # Read again soon; DEGRADED meanwhile.
            return (Complain("exchange_trouble", desk.trouble),)
        case ConnectionsIdle():
            desk.idle_connections = message.count
        case DiskSeen():
            disk.take_disk(turn, message)
        case ArmingSeen():
            desk.shut_gates = message.shut
            return (Complain("gates_shut", ", ".join(message.shut)),) if message.shut else ()
        case VenueState():
            return (Publish("venue", replace(message, trouble=desk.trouble or message.trouble)),)
        case PeerBack() | PeerLost():
            return _note_peer(turn, message)
        case Started():
            begin(turn)
            return _tick(desk, turn.now_ns, 0)
        case (
            BookTop() | BookDepth() | Trade() | TradesGap() | InstrumentRules() | CaughtUp()
            | RequestExpired() | StreamGap()
        ):  # fmt: skip
            pass
        case _:
            assert_never(message)
    return ()


def _late(turn: Turn, request: Request) -> tuple[Struct, ...]:
    """Take a request past its deadline: what is riskier then is refused, the rest is as ever."""
    match request:
        case ResolveOrder():
            resolve.take_late(turn, request)
        case ApprovedOrder():
            take_late(turn, request)
        case SetTradingState() | SetPause() | SetRiskMode() if riskier(turn.desk, request):
            commands.refuse_late(turn, request)
        case _:
            return _take(turn, request)
    return ()


def _woken(turn: Turn, message: Woken) -> tuple[Struct, ...]:
    desk, now_ns = turn.desk, turn.now_ns
    if message.name == "control_hangs":
        hangs = desk.control_is_lost and desk.control_pid > 1
        return (KillProcess(desk.control_pid),) if hangs else ()
    commands.end_pauses(turn)
    resolve.give_up(turn)
    schedule.tend(turn, message.due_ns)
    return (*_tick(desk, now_ns, TICK_NS), *(() if turn.facts else _tidy(desk, now_ns)))


def _tidy(desk: Desk, now_ns: int) -> tuple[Struct, ...]:
    """Look after the database now and then, also while nothing is written: disks fill up."""
    if now_ns < desk.due.get("checkpoint", 0):
        return ()
    desk.due["checkpoint"] = now_ns + CHECKPOINT_NS
    return (Checkpoint(),)


def _tick(desk: Desk, now_ns: int, wait_ns: int) -> tuple[Struct, ...]:
    """Ask for the next tick, and look on disk, where a person may stop us."""
    desk.tick_ns = now_ns + wait_ns
    looks = LOOKS_LIVE if desk.setup.mode == "live" else LOOKS
    return (Wake("tick", desk.tick_ns), *looks)


def _set_trading_state(turn: Turn, message: SetTradingState) -> tuple[Struct, ...]:
    """Do what is said; a kill file that was obeyed before, and resumed from, is a leftover."""
    is_old = message.command_id in turn.desk.commands
    commands.set_trading_state(turn, message)
    is_leftover = message.by == KILL_FILE and is_old
    is_stopped = turn.desk.trading in commands.STOPPED
    return (KeepKillFile(exists=False),) if is_leftover and not is_stopped else ()


def _note_peer(turn: Turn, message: PeerBack | PeerLost) -> tuple[Struct, ...]:
    """Follow risk_gate and control; a control that stays silent is ended."""
    desk, is_back = turn.desk, isinstance(message, PeerBack)
    if message.source == "risk_gate":
        desk.risk_gate_is_heard = is_back
    elif message.source == "control":
        desk.control_is_lost = not is_back
        if isinstance(message, PeerBack):
            desk.control_pid = message.pid
        else:
            return (Wake("control_hangs", turn.now_ns + CONTROL_HANGS_NS),)
    return ()


def _postings_of_fill(fill: VenueFill, rules: Instrument) -> tuple[Posting, ...]:
    return postings.of_fill(
        fill.side, rules.base, rules.quote, fill.quantity, fill.price, fill.fee, fill.tax
    )


def _postings_of_opening(read: BalancesRead) -> tuple[Posting, ...]:
    return postings.of_opening(read.balances)


def health(desk: Desk) -> Health:
    """RECOVERING until every first read came back; DEGRADED while reads fail after that."""
    if desk.trouble:
        return Health.DEGRADED
    return Health.RECOVERING if desk.first_reads or not desk.rules else Health.READY


class Performer:
    """Does what execution asks of the disk, the kill file and the exchange, in order."""

    def __init__(
        self,
        writer: Writer,
        venue: Venue,
        kill_file: Path,
        deliver: Deliver,
        tidy: Callable[[], None] | None = None,
        gates: Callable[[], ArmingSeen | None] = lambda: None,
    ) -> None:
        """`tidy` begins a checkpoint and returns at once; None: it is done on the spot.

        `gates` looks at the gates of live trading, and tells what changed since it looked last.
        """
        self._writer, self._venue, self._gates = writer, venue, gates
        self._tidy = tidy or writer.checkpoint
        self._kill_file, self._deliver = KillFile(kill_file), deliver

    def __call__(self, effect: Struct) -> None:
        match effect:
            case Persist():
                self._persist(effect)
            case LookForKill():
                self._look_for_kill()
            case LookAtGates():
                self._look_at_gates()
            case KeepKillFile():
                self._kill_file.keep(exists=effect.exists)
            case Checkpoint():
                self._tidy()
            case Complain():
                log.warning(effect.event, extra={"error": effect.detail})
            case KillProcess():
                log.error("control_hangs", extra={"pid": effect.pid})
                with suppress(ProcessLookupError):
                    os.kill(effect.pid, signal.SIGKILL)
            case _:
                assert isinstance(effect, VenueEffect), f"nobody performs {effect}"
                self._venue.start(effect)

    def _persist(self, effect: Persist) -> None:
        try:
            self._writer.commit(effect.facts, effect.first)
        except StoreBusy:
            self._kill_file.make()  # Nobody may send while two of us write.
            raise

    def kill_by_signal(self) -> None:
        """Take SIGUSR2 for a kill; the file stops what is about to be sent this moment."""
        made_ns = self._kill_file.make()
        self._kill(f"signal-{made_ns}", "SIGUSR2", "the signal SIGUSR2")

    def _look_for_kill(self) -> None:
        """Turn a new `run/KILL` into a command; its time of change makes it one command."""
        made_ns = self._kill_file.look()
        if made_ns is not None:
            self._kill(f"kill-file-{made_ns}", KILL_FILE, f"the file {KILL_FILE} was made")

    def _kill(self, command: str, by: str, reason: str) -> None:
        killed, command_id = TradingState.KILLED, CommandId(command)
        self._deliver(SetTradingState(command_id=command_id, state=killed, by=by, reason=reason))

    def _look_at_gates(self) -> None:
        if (seen := self._gates()) is not None:
            self._deliver(seen)


def actor(desk: Desk, perform: Callable[[Struct], None], read_facts: FactReader) -> Actor[Desk]:
    """Return execution over a recovered desk; `perform` does its own effects."""
    return Actor(
        name="execution",
        state=desk,
        handle=handle,
        hears=(*(PAPER if desk.setup.is_paper else (MARK,)), RULES),
        receives=get_args(Request),
        needs=("market_data", "risk_gate"),
        watches=("control",),
        perform=perform,
        health=health,
        read_facts=read_facts,
        facts_head=lambda state: state.head,
    )
