"""What people and strategies may change: trading state, pauses, cancels, records.

Safer is always allowed. Riskier needs a reason, and a bot that knows where it stands. A command
has an id and happens once; asked again, it gets its old answer.
"""

from collections.abc import Callable

from btcbot.domain.agent import AGENT_OWNER, RecordDecision
from btcbot.domain.facts import (
    AgentDecided,
    CommandRefused,
    LimitTightened,
    OrderCancelRequested,
    PauseChanged,
    Recorded,
    RiskModeSet,
    TradingStateChanged,
)
from btcbot.domain.ids import CommandId
from btcbot.domain.messages import (
    CancelIntent,
    CommandDone,
    Record,
    SetPause,
    SetRiskMode,
    SetTradingState,
    TightenLimit,
)
from btcbot.domain.tightening import is_tighter, mode_at, stricter
from btcbot.domain.words import OrderState, RiskMode, TradingState
from btcbot.orders.accept import live_orders
from btcbot.orders.alarms import is_stricter
from btcbot.orders.lifecycle import is_terminal
from btcbot.orders.schedule import cancel_all, send_cancel
from btcbot.orders.settle import BOOKS, differences, explain, said_of
from btcbot.orders.state import Desk, remember
from btcbot.orders.turn import Turn

RECORD_MAX = 64 << 10
RIVAL_NS = 900_000_000_000
STOPPED = (TradingState.KILLED, TradingState.HALTED)
_TRADING = (TradingState.LIVE, TradingState.REDUCE)


def once(turn: Turn, command: CommandId, by: str, do: Callable[[], str | None]) -> None:
    """Do a command unless it has an answer; answer it. `do` returns a refusal, or None."""
    desk = turn.desk
    if command not in desk.commands:
        refused = do()
        if refused is not None:
            turn.say(CommandRefused(command_id=command, by=by, detail=refused, at_ns=turn.now_ns))
    turn.answer(desk.commands[command])


def refuse_late(turn: Turn, command: SetTradingState | SetPause | SetRiskMode) -> None:
    """Refuse what nobody waits for any more, unless it has an answer already."""
    late = "it came after its deadline; ask again"
    once(turn, command.command_id, command.by, lambda: late)


def riskier(desk: Desk, command: SetTradingState | SetPause | SetRiskMode) -> bool:
    """Return whether `command` would let more happen than may happen now."""
    if isinstance(command, SetRiskMode):
        return command.mode is RiskMode.NORMAL
    if isinstance(command, SetPause):
        return not command.is_paused
    return is_stricter(desk.trading, command.state)


def set_trading_state(turn: Turn, message: SetTradingState) -> None:
    """Pause, resume, kill."""
    desk = turn.desk

    def do() -> str | None:
        if message.state is desk.trading or _is_covered(desk, message.state):
            _note_done(turn, message.command_id)  # Nothing changes, so there is no fact to state.
            return None
        refused = None if is_stricter(message.state, desk.trading) else _may_loosen(turn, message)
        if refused:
            return refused
        turn.say(
            TradingStateChanged(
                state=message.state,
                by=message.by,
                reason=message.reason,
                command_id=message.command_id,
                at_ns=turn.now_ns,
            )
        )
        if message.state is TradingState.KILLED:
            cancel_all(turn)
        return None

    once(turn, message.command_id, message.by, do)


def kill_file_after(before: TradingState, now: TradingState) -> bool | None:
    """Return whether `run/KILL` has to exist after a change of trading state; None: leave it.

    It goes when a person lets the bot out of KILLED or HALTED, and by nothing else: somebody may
    have made it this very moment.
    """
    if now is before:
        return None
    if now is TradingState.KILLED:
        return True
    return False if before in STOPPED and now not in STOPPED else None


def set_pause(turn: Turn, message: SetPause) -> None:
    """Pause or resume one scope."""

    def do() -> str | None:
        if not message.is_paused and not message.reason:
            return "resume needs a reason"
        if not message.is_paused and message.scope not in turn.desk.pauses:
            return "nothing is paused under exactly this scope; see `btcbot-ctl status`"
        turn.say(
            PauseChanged(
                scope=message.scope,
                is_paused=message.is_paused,
                until_ns=message.until_ns,
                by=message.by,
                reason=message.reason,
                command_id=message.command_id,
                at_ns=turn.now_ns,
            )
        )
        return None

    once(turn, message.command_id, message.by, do)


def tighten_limit(turn: Turn, message: TightenLimit) -> None:
    """Make one limit stricter; what is no limit of ours is risk_gate's, which takes none looser."""

    def do() -> str | None:
        present = getattr(turn.desk.gate, message.name, None)
        if present is not None and not is_tighter(message.name, message.value, present):
            return f"{message.name} is {present}, which is as strict; looser is the configuration's"
        turn.say(
            LimitTightened(
                name=message.name,
                value=message.value,
                by=message.by,
                reason=message.reason,
                command_id=message.command_id,
                at_ns=turn.now_ns,
            )
        )
        return None

    once(turn, message.command_id, message.by, do)


def set_risk_mode(turn: Turn, message: SetRiskMode) -> None:
    """Hold the risk mode at something stricter, or leave it to risk_gate again."""

    def do() -> str | None:
        present = mode_at(turn.desk.risk_mode, turn.now_ns)
        if message.mode is RiskMode.NORMAL:
            if not message.reason:
                return "clear needs a reason"
        elif stricter(present, message.mode) is not message.mode:
            return f"it is held at {present}, which is stricter; `btcbot-ctl degrade clear` first"
        turn.say(
            RiskModeSet(
                mode=message.mode,
                until_ns=message.until_ns,
                by=message.by,
                reason=message.reason,
                command_id=message.command_id,
                at_ns=turn.now_ns,
            )
        )
        return None

    once(turn, message.command_id, message.by, do)


def end_pauses(turn: Turn) -> None:
    """Lift the pauses whose time is over; each as a fact of its own."""
    for scope, pause in tuple(turn.desk.pauses.items()):
        if pause.until_ns is not None and pause.until_ns <= turn.now_ns:
            turn.say(
                PauseChanged(
                    scope=scope,
                    is_paused=False,
                    until_ns=None,
                    by="execution",
                    reason="its time is over",
                    command_id=CommandId(""),
                    at_ns=turn.now_ns,
                )
            )


def cancel(turn: Turn, message: CancelIntent) -> None:
    """Ask for one order's cancel; the answer says that it was asked for, facts say when it is."""
    desk = turn.desk

    def do() -> str | None:
        found = [o for o in desk.orders.values() if o.client_order_id == message.client_order_id]
        if not found:
            return f"no such order: {message.client_order_id}"
        [order] = found
        if is_terminal(order.state) or order.state is OrderState.CLOSING:
            return f"{order.client_order_id} is {order.state} already"
        if order.cancel_by is None:
            turn.say(
                OrderCancelRequested(
                    intent_id=order.intent.intent_id,
                    by=message.by,
                    reason=message.reason,
                    at_ns=turn.now_ns,
                )
            )
            order = desk.orders[order.intent.intent_id]
            if order.state is OrderState.CANCEL_REQ:
                send_cancel(turn, order)
        _note_done(turn, message.command_id)  # The fact names the order; a row would add nothing.
        return None

    once(turn, message.command_id, message.by, do)


def record(turn: Turn, message: Record) -> None:
    """Keep something for another actor."""

    def do() -> str | None:
        if len(message.payload) > RECORD_MAX:
            return f"{len(message.payload)} bytes; allowed are {RECORD_MAX}"
        turn.say(
            Recorded(
                owner=message.owner,
                kind=message.kind,
                key=message.key,
                payload=message.payload,
                command_id=message.command_id,
                at_ns=turn.now_ns,
            )
        )
        return None

    once(turn, message.command_id, message.owner, do)


def record_decision(turn: Turn, message: RecordDecision) -> None:
    """Keep a decision of the agent; it is bounded where it is made, and by the bus."""

    def do() -> None:
        decided = AgentDecided(
            decision=message.decision, command_id=message.command_id, at_ns=turn.now_ns
        )
        turn.say(decided)

    once(turn, message.command_id, AGENT_OWNER, do)


def _note_done(turn: Turn, command: CommandId) -> None:
    """Remember a command that is harmless to repeat: its effect says whether it was done."""
    done = CommandDone(command_id=command, refused="", seq=turn.desk.head)
    remember(turn.desk.commands, command, done)


def _is_covered(desk: Desk, wanted: TradingState) -> bool:
    """Return whether the bot is safer than `wanted` already: to pause must never undo a kill."""
    stops = (TradingState.PAUSED, TradingState.KILLED)
    return wanted in stops and is_stricter(desk.trading, wanted)


def _may_loosen(turn: Turn, message: SetTradingState) -> str | None:
    """Return why the state may not be set to a riskier one; None: it may."""
    desk = turn.desk
    if not message.reason:
        return "resume needs a reason"
    if desk.trading is TradingState.HALTED and message.acknowledge != str(desk.trading_seq):
        return f"HALTED: {desk.trading_reason}; look into it, then --ack {desk.trading_seq}"
    if desk.kill_command is not None:
        return "the kill is not complete: some orders are not proven closed yet"
    if desk.first_reads:
        return f"still recovering: {', '.join(desk.first_reads)}"
    return _unfit(turn, message) if message.state in _TRADING else None


def _unfit(turn: Turn, message: SetTradingState) -> str | None:
    """Return why the bot does not know where it stands; None: it does."""
    desk = turn.desk
    doubtful = [
        order.client_order_id
        for order in live_orders(desk)
        if order.state in (OrderState.SENDING, OrderState.UNKNOWN, OrderState.ZOMBIE)
    ]
    if doubtful:
        return f"nobody knows yet what became of {', '.join(doubtful)}"
    if desk.rival_ns and turn.now_ns - desk.rival_ns < RIVAL_NS:
        ago_s = (turn.now_ns - desk.rival_ns) // 10**9
        return f"another btcbot traded on this account {ago_s} s ago; end it, and wait for 900 s"
    if desk.is_disk_full:
        return "the disk of the journal is full; make room, it is looked at every 10 s"
    if desk.is_blind:
        return "the exchange refuses our key; see the key and the clock"
    if desk.clock is None:
        return "the exchange's clock is not read yet"
    return _unexplained(turn, message) if desk.mismatch is not None else None


def _unexplained(turn: Turn, message: SetTradingState) -> str | None:
    """Return how books and balances differ, unless the person names just that event."""
    desk = turn.desk
    wrong = said_of(differences(desk))
    event = desk.discrepancies.get((BOOKS, wrong))
    if event is None:
        return f"{wrong}, beyond our books; being read again"
    if message.acknowledge not in (str(event), str(desk.trading_seq)):
        return f"{wrong}, beyond our books; if that is a deposit or withdrawal, --ack {event}"
    explain(turn, CommandId(""), message.by, message.reason)
    return None
