"""What `btcbot-ctl` may ask of the control socket; one map a frame, told apart by `command`.

Whoever sends a frame is hostile until it is parsed: every text has a length and an alphabet, so
nothing of it can end a log line, steer a terminal or fill a disk.
"""

import difflib
from collections.abc import Container, Sequence
from typing import Annotated, Final, TypeAlias, assert_never

import msgspec
from msgspec import Meta, Struct

from btcbot.domain.agent import AGENT_MODE, AGENT_OWNER, AgentMode, ModeOrdered
from btcbot.domain.ids import ClientOrderId, CommandId, Pair
from btcbot.domain.messages import (
    CancelIntent,
    Message,
    Record,
    ResolveOrder,
    Scope,
    SetPause,
    SetRiskMode,
    SetTradingState,
    TightenLimit,
)
from btcbot.domain.money import parse
from btcbot.domain.words import Resolution, RiskMode, Side, TradingState

Line = Annotated[str, Meta(max_length=500, pattern=r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z")]
Word = Annotated[str, Meta(max_length=64, pattern=r"\A[A-Za-z0-9_.:-]+\Z")]
PairWord = Annotated[Pair, Meta(pattern=r"\A[A-Z0-9]{5,16}\Z")]
OrderWord = Annotated[ClientOrderId, Meta(max_length=64, pattern=r"\A[A-Za-z0-9-]+\Z")]
UntilNs = Annotated[int, Meta(ge=0, lt=1 << 62)]


class Command(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="command"):
    """One frame."""


class Status(Command, frozen=True, kw_only=True, tag="status"):
    """How everything is."""


class Pause(Command, frozen=True, kw_only=True, tag="pause"):
    """Pause the bot, or the scope that is given; `until_ns` None: until resumed."""

    pair: PairWord | None = None
    strategy: Word | None = None
    side: Side | None = None
    until_ns: UntilNs | None = None
    reason: Line = ""


class Resume(Command, frozen=True, kw_only=True, tag="resume"):
    """Resume the bot, or one paused scope."""

    reason: Line
    pair: PairWord | None = None
    strategy: Word | None = None
    side: Side | None = None
    acknowledge: Line = ""


class Kill(Command, frozen=True, kw_only=True, tag="kill"):
    """Stop all sending and cancel everything."""

    reason: Line = ""


class Cancel(Command, frozen=True, kw_only=True, tag="cancel"):
    client_order_id: OrderWord
    reason: Line = ""


class Resolve(Command, frozen=True, kw_only=True, tag="resolve"):
    """End the doubt about an order by a person's word."""

    client_order_id: OrderWord
    resolution: Resolution
    reason: Line


class Tighten(Command, frozen=True, kw_only=True, tag="tighten"):
    """Make one limit of [risk] stricter."""

    name: Word
    value: Annotated[str, Meta(max_length=32, pattern=r"\A[0-9]{1,15}(\.[0-9]{1,16})?\Z")]
    reason: Line = ""


class Override(Command, frozen=True, kw_only=True, tag="override"):
    """Hold the risk mode at `mode` or stricter; NORMAL, with a reason: leave it to risk_gate."""

    mode: RiskMode
    until_ns: UntilNs | None = None
    reason: Line = ""


class SetAgentMode(Command, frozen=True, kw_only=True, tag="agent_mode"):
    """Change what follows from the agent policy's answers; it survives every restart."""

    mode: AgentMode
    reason: Line = ""


class Restart(Command, frozen=True, kw_only=True, tag="restart"):
    """End one actor's process; supervisord starts it again."""

    actor: Word


Steering: TypeAlias = Pause | Resume | Kill | Cancel | Resolve | Tighten | Override | SetAgentMode
AnyCommand: TypeAlias = Status | Steering | Restart


Asking: TypeAlias = (
    SetTradingState | SetPause | CancelIntent | ResolveOrder | TightenLimit | SetRiskMode | Record
)
"""What execution is asked for it."""


class Asked(Message, frozen=True, kw_only=True, tag="asked"):
    """A command that came through the control socket; `uid` is the kernel's word."""

    connection: int
    uid: int
    command: AnyCommand


class Reply(Struct, frozen=True, kw_only=True):
    """The answer to every command but Status.

    `code` is "" when done, else "refused", "not_found" or "timeout"; `refused` says why. `event` is
    the head of the fact log after the command. `ack_ms` is from the frame to execution's commit.
    """

    ok: bool
    code: str = ""
    refused: str = ""
    command_id: CommandId = CommandId("")
    event: int = 0
    pid: int = 0  # Of the process that a Restart ended.
    ack_ms: float = 0.0


CONTROL: tuple[type[Message], ...] = (Asked,)


# --- from a command to what execution is asked --------------------------------------------------


_WORDS: Final[dict[type[Command], str]] = {
    Resume: "resume", Resolve: "resolve", Override: "clear", SetAgentMode: "agent mode",
}  # fmt: skip


def refusal(command: Steering, pairs: Sequence[Pair], strategies: Sequence[str]) -> Reply | None:
    """Return why `command` is not passed on; None: it is. Execution has its own reasons.

    A pause that covers nothing would only look like protection: its words must exist.
    """
    match command:
        case Pause(pair=pair) if pair is not None and pair not in pairs:
            return not_found("pair", pair, pairs)
        case Pause(strategy=name) if name is not None and name not in strategies:
            return not_found("strategy", name, strategies)
        case _ if is_riskier(command) and not command.reason.strip():
            return no(f"{_WORDS[type(command)]} needs a reason")
        case _:
            return None


def requests(  # noqa: C901, PLR0911 - one line each
    command: Steering, first: CommandId, who: str, pauses: Container[Scope]
) -> tuple[Asking, ...]:
    """Return what execution is asked; `first` is the id of the first, the rest derive from it.

    To resume everything is to lift the timed pause over everything too, which is one of `pauses`.
    """
    match command:
        case Kill(reason=reason):
            return (_state(first, TradingState.KILLED, who, reason),)
        case Cancel(client_order_id=label, reason=reason):
            return (CancelIntent(command_id=first, client_order_id=label, by=who, reason=reason),)
        case Resolve():
            return (_resolve(first, who, command),)
        case Tighten():
            return (_tighten(first, who, command),)
        case Override():
            return (_override(first, who, command),)
        case SetAgentMode():
            return (_agent_mode(first, who, command),)
        case Pause(reason=reason):
            if _scope(command) == Scope() and command.until_ns is None:
                return (_state(first, TradingState.PAUSED, who, reason),)
            return (_pause(first, who, command),)
        case Resume(reason=reason):
            if _scope(command) != Scope():
                return (_pause(first, who, command),)
            live = _state(first, TradingState.LIVE, who, reason, command.acknowledge)
            if Scope() not in pauses:
                return (live,)
            return (live, _pause(CommandId(f"{first}.2"), who, command))
        case _:
            assert_never(command)


def _resolve(command_id: CommandId, who: str, command: Resolve) -> ResolveOrder:
    return ResolveOrder(
        command_id=command_id,
        client_order_id=command.client_order_id,
        resolution=command.resolution,
        by=who,
        reason=command.reason,
    )


def _tighten(command_id: CommandId, who: str, command: Tighten) -> TightenLimit:
    return TightenLimit(
        command_id=command_id,
        name=command.name,
        value=parse(command.value),
        by=who,
        reason=command.reason,
    )


def _override(command_id: CommandId, who: str, command: Override) -> SetRiskMode:
    return SetRiskMode(
        command_id=command_id,
        mode=command.mode,
        until_ns=command.until_ns,
        by=who,
        reason=command.reason,
    )


def is_riskier(command: Steering) -> bool:
    """Return whether `command` may let more happen: not to be taken when nobody expects it."""
    is_clear = isinstance(command, Override) and command.mode is RiskMode.NORMAL
    return is_clear or isinstance(command, Resume | Resolve | SetAgentMode)


def _agent_mode(command_id: CommandId, who: str, command: SetAgentMode) -> Record:
    ordered = ModeOrdered(mode=command.mode, by=who, reason=command.reason)
    return Record(
        command_id=command_id,
        owner=AGENT_OWNER,
        kind=AGENT_MODE,
        key=AGENT_MODE,
        payload=msgspec.json.encode(ordered),
    )


def first_of(command_id: CommandId) -> CommandId:
    """Return the id of the first request of the command that `command_id` belongs to."""
    return CommandId(command_id.partition(".")[0])


def no(why: str, code: str = "refused") -> Reply:
    """Return the answer to a command that was not done."""
    return Reply(ok=False, code=code, refused=why)


def not_found(what: str, given: str, known: Sequence[str]) -> Reply:
    """Return the answer to a command that names what is not there."""
    near = difflib.get_close_matches(given, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
    return no(f"no {what} {given!r}; {hint}", "not_found")


def _scope(command: Pause | Resume) -> Scope:
    return Scope(command.pair, command.strategy, command.side)


def _state(
    command_id: CommandId, state: TradingState, who: str, reason: str, acknowledge: str = ""
) -> SetTradingState:
    return SetTradingState(
        command_id=command_id, state=state, by=who, reason=reason, acknowledge=acknowledge
    )


def _pause(command_id: CommandId, who: str, command: Pause | Resume) -> SetPause:
    return SetPause(
        command_id=command_id,
        scope=_scope(command),
        is_paused=isinstance(command, Pause),
        until_ns=command.until_ns if isinstance(command, Pause) else None,
        by=who,
        reason=command.reason,
    )
