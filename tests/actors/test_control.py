"""Control: what it asks of execution for a person, what it answers, whom it ends."""

import signal
from typing import Any

import msgspec
import pytest
from msgspec import Struct, structs

from actors import CODEC, control
from actors.control import Answered, EndProcess, ShowStatus, State
from btcbot.config import Config
from btcbot.domain import control as ctl
from btcbot.domain.agent import AGENT_MODE, AGENT_OWNER, AgentMode, ModeOrdered
from btcbot.domain.facts import PauseChanged, TradingStateChanged
from btcbot.domain.ids import ClientOrderId, CommandId, Pair
from btcbot.domain.messages import (
    CancelIntent,
    CommandDone,
    Message,
    Record,
    Scope,
    SetPause,
    SetTradingState,
)
from btcbot.domain.words import Side, TradingState
from btcbot.sections import Agent, Seat
from bus.actor import Actor, Answer, Ask, Late, PeerBack, PeerLost, Step
from bus.clock import ManualClock
from bus.memory import MemoryBus

START_NS = 1_795_000_000_000_000_000
CONFIG = Config(pairs=(Pair("BTCTRY"), Pair("ETHTRY")))
MY_PID = 4242


class Execution:
    """Answers like execution: says yes, unless told what to say."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.refusal = ""
        self.is_mute = False

    def handle(self, state: State, message: Any, _now_ns: int) -> Step[State]:
        if isinstance(message, Late):
            message = message.request
        if not isinstance(message, SetTradingState | SetPause | CancelIntent | Record):
            return Step(state)
        self.heard.append(message)
        done = CommandDone(command_id=message.command_id, refused=self.refusal, seq=7)
        return Step(state, () if self.is_mute else (Answer(message.request_id, done),))


class Room:
    """Control and an execution on a bus that encodes everything; what control performed."""

    def __init__(self, config: Config = CONFIG) -> None:
        self.clock = ManualClock(START_NS)
        self.bus = MemoryBus(self.clock, CODEC)
        self.execution = Execution()
        self.done: list[Struct] = []
        asked = (SetTradingState, SetPause, CancelIntent, Record)
        actor: Actor[Any] = Actor(
            name="execution", state=None, handle=self.execution.handle, receives=asked
        )
        self.bus.start(actor)
        self.bus.start(control.actor(config, self.done.append, MY_PID))
        self.bus.run()

    def ask(self, command: ctl.AnyCommand, connection: int = 1) -> None:
        self.bus.deliver("control", ctl.Asked(connection=connection, uid=1000, command=command))
        self.bus.run()

    def reply(self, command: ctl.AnyCommand) -> ctl.Reply:
        """Ask, and return the one answer."""
        self.done.clear()
        self.ask(command)
        [answered] = [effect for effect in self.done if isinstance(effect, Answered)]
        assert answered.connection == 1
        return answered.reply

    def tell(self, message: Message | PeerBack | PeerLost) -> None:
        self.bus.deliver("control", message)
        self.bus.run()

    @property
    def ended(self) -> list[EndProcess]:
        return [effect for effect in self.done if isinstance(effect, EndProcess)]


@pytest.fixture
def room() -> Room:
    return Room()


def test_pause_is_answered_after_executions_commit_and_says_who_and_why(room: Room) -> None:
    reply = room.reply(ctl.Pause(reason="lunch"))

    [asked] = room.execution.heard
    assert isinstance(asked, SetTradingState)
    assert (asked.state, asked.by, asked.reason) == (TradingState.PAUSED, "uid 1000", "lunch")
    assert (reply.ok, reply.event, reply.command_id) == (True, 7, asked.command_id)


def test_nothing_is_answered_before_execution_did(room: Room) -> None:
    room.execution.is_mute = True

    room.ask(ctl.Pause())
    room.bus.advance(4)

    assert room.done == []


@pytest.mark.parametrize(
    ("command", "scope", "until_ns"),
    [
        (ctl.Pause(pair=Pair("ETHTRY")), Scope(pair=Pair("ETHTRY")), None),
        (ctl.Pause(side=Side.BUY, until_ns=9), Scope(side=Side.BUY), 9),
        (ctl.Pause(strategy="profit_aware"), Scope(strategy="profit_aware"), None),
        (ctl.Pause(until_ns=9), Scope(), 9),
    ],
)
def test_a_pause_of_a_part_or_for_a_time_is_a_scope(
    room: Room, command: ctl.Pause, scope: Scope, until_ns: int | None
) -> None:
    assert room.reply(command).ok

    [asked] = room.execution.heard
    assert isinstance(asked, SetPause)
    assert (asked.scope, asked.until_ns, asked.is_paused) == (scope, until_ns, True)


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        (ctl.Pause(pair=Pair("ETHTYR")), "did you mean ETHTRY?"),
        (ctl.Pause(pair=Pair("XRPUSDT")), "there are BTCTRY, ETHTRY"),
        (ctl.Pause(strategy="profit_aware2"), "did you mean profit_aware?"),
    ],
)
def test_a_pause_of_what_does_not_exist_would_protect_nothing(
    room: Room, command: ctl.Pause, hint: str
) -> None:
    reply = room.reply(command)

    assert (reply.ok, reply.code) == (False, "not_found")
    assert hint in reply.refused
    assert room.execution.heard == []


def test_each_of_several_strategies_can_be_paused_by_its_name() -> None:
    seats = {"dips": Seat(uses="profit_aware"), "slow": Seat(uses="mean_reversion")}
    room = Room(structs.replace(CONFIG, strategies=seats))

    assert room.reply(ctl.Pause(strategy="slow")).ok
    assert room.reply(ctl.Pause(strategy="profit_aware")).code == "not_found"

    [asked] = room.execution.heard
    assert isinstance(asked, SetPause)
    assert asked.scope == Scope(strategy="slow")


def test_the_mode_of_an_agent_is_changed_by_a_record_and_never_without_a_reason_or_an_agent() -> (
    None
):
    without = Room()
    command = ctl.SetAgentMode(mode=AgentMode.OFF, reason="enough")
    assert without.reply(command).code == "refused"

    room = Room(structs.replace(CONFIG, agent=Agent(mode="shadow")))
    assert room.reply(ctl.SetAgentMode(mode=AgentMode.OFF)).code == "refused"
    assert room.reply(command).ok

    [asked] = room.execution.heard
    assert isinstance(asked, Record)
    assert (asked.owner, asked.kind) == (AGENT_OWNER, AGENT_MODE)
    ordered = msgspec.json.decode(asked.payload, type=ModeOrdered)
    assert (ordered.mode, ordered.reason) == (AgentMode.OFF, "enough")


def test_a_refusal_of_execution_reaches_the_person(room: Room) -> None:
    room.execution.refusal = "the kill is not complete"

    reply = room.reply(ctl.Resume(reason="now"))

    assert (reply.ok, reply.code, reply.refused) == (False, "refused", "the kill is not complete")


def test_resume_needs_a_reason(room: Room) -> None:
    assert room.reply(ctl.Resume(reason="  ")).code == "refused"
    assert room.execution.heard == []


def test_resume_is_refused_while_execution_is_silent(room: Room) -> None:
    """It would be asked until answered, and take effect when nobody expects it."""
    room.tell(PeerLost(source="execution"))

    assert room.reply(ctl.Resume(reason="now")).code == "refused"
    assert room.execution.heard == []

    room.tell(PeerBack(source="execution", epoch=2, pid=77))
    assert room.reply(ctl.Resume(reason="now")).ok


def paused(scope: Scope, until_ns: int | None = None) -> PauseChanged:
    return PauseChanged(
        scope=scope, is_paused=True, until_ns=until_ns, by="uid 1000", reason="r",
        command_id=CommandId("c"), at_ns=START_NS,
    )  # fmt: skip


def test_resuming_everything_lifts_the_timed_pause_over_everything_too(room: Room) -> None:
    room.bus.say_fact(paused(Scope(), until_ns=START_NS + 10**12))
    room.bus.run()

    reply = room.reply(ctl.Resume(reason="now", acknowledge="12"))

    live, lift = room.execution.heard
    assert isinstance(live, SetTradingState)
    assert (live.state, live.acknowledge) == (TradingState.LIVE, "12")
    assert isinstance(lift, SetPause)
    assert (lift.scope, lift.is_paused) == (Scope(), False)
    assert (reply.ok, reply.command_id) == (True, live.command_id)


def test_one_refusal_of_two_requests_is_a_refusal(room: Room) -> None:
    room.bus.say_fact(paused(Scope()))
    room.bus.run()
    room.execution.refusal = "still recovering"

    assert room.reply(ctl.Resume(reason="now")).refused == "still recovering"


def test_resuming_one_scope_lifts_exactly_that(room: Room) -> None:
    room.reply(ctl.Resume(reason="now", pair=Pair("BTCTRY"), side=Side.SELL))

    [asked] = room.execution.heard
    assert isinstance(asked, SetPause)
    assert asked.scope == Scope(pair=Pair("BTCTRY"), side=Side.SELL)
    assert not asked.is_paused


def test_kill_and_cancel_are_passed_on(room: Room) -> None:
    room.reply(ctl.Kill(reason="fire"))
    room.reply(ctl.Cancel(client_order_id=ClientOrderId("b1-x-y"), reason="old"))

    kill, cancel = room.execution.heard
    assert isinstance(kill, SetTradingState)
    assert (kill.state, kill.reason) == (TradingState.KILLED, "fire")
    assert isinstance(cancel, CancelIntent)
    assert (cancel.client_order_id, cancel.by) == ("b1-x-y", "uid 1000")


def test_a_late_answer_is_told_as_not_known_and_execution_goes_on_being_asked(room: Room) -> None:
    room.execution.is_mute = True
    room.ask(ctl.Pause())

    room.bus.advance(6)

    [answered] = room.done
    assert isinstance(answered, Answered)
    assert (answered.reply.ok, answered.reply.code) == (False, "timeout")
    assert "run/KILL" in answered.reply.refused
    heard = len(room.execution.heard)
    room.bus.advance(10)
    assert len(room.execution.heard) > heard
    room.execution.is_mute = False
    room.bus.advance(10)
    assert len(room.done) == 1  # The person is answered once.


def test_every_command_has_an_id_of_its_own(room: Room) -> None:
    for number in range(3):
        room.ask(ctl.Kill(), connection=number + 1)

    ids = [effect.reply.command_id for effect in room.done if isinstance(effect, Answered)]
    assert len(set(ids)) == 3


def test_status_is_shown_without_asking_anybody(room: Room) -> None:
    room.ask(ctl.Status(), connection=5)

    assert room.done == [ShowStatus(5)]
    assert room.execution.heard == []


def test_a_restart_ends_that_process_in_order_after_the_answer(room: Room) -> None:
    room.tell(PeerBack(source="strategy", epoch=3, pid=55))

    reply = room.reply(ctl.Restart(actor="strategy"))

    assert (reply.ok, reply.pid) == (True, 55)
    assert room.done[-1] == EndProcess("strategy", 55, signal.SIGTERM)


def test_control_may_be_restarted_too(room: Room) -> None:
    room.reply(ctl.Restart(actor="control"))

    assert room.ended == [EndProcess("control", MY_PID, signal.SIGTERM)]


def test_who_is_not_there_cannot_be_restarted(room: Room) -> None:
    room.tell(PeerBack(source="strategy", epoch=3, pid=55))

    reply = room.reply(ctl.Restart(actor="stratgy"))

    assert (reply.code, room.ended) == ("not_found", [])
    assert "did you mean strategy?" in reply.refused


def test_an_actor_that_stays_silent_for_five_seconds_is_ended(room: Room) -> None:
    room.tell(PeerBack(source="risk_gate", epoch=3, pid=55))
    room.tell(PeerLost(source="risk_gate"))  # A second of silence.

    room.bus.advance(3.9)
    assert room.ended == []
    room.bus.advance(0.2)

    assert room.ended == [EndProcess("risk_gate", 55, signal.SIGKILL)]


@pytest.mark.parametrize("epoch", [3, 4])
def test_an_actor_that_came_back_is_left_alone(room: Room, epoch: int) -> None:
    room.tell(PeerBack(source="risk_gate", epoch=3, pid=55))
    room.tell(PeerLost(source="risk_gate"))
    room.bus.advance(2)
    room.tell(PeerBack(source="risk_gate", epoch=epoch, pid=56))

    room.bus.advance(10)

    assert room.ended == []


def test_silence_is_counted_anew_after_every_return(room: Room) -> None:
    room.tell(PeerBack(source="risk_gate", epoch=3, pid=55))
    room.tell(PeerLost(source="risk_gate"))
    room.bus.advance(3)
    room.tell(PeerBack(source="risk_gate", epoch=3, pid=55))
    room.tell(PeerLost(source="risk_gate"))

    room.bus.advance(3.9)
    assert room.ended == []
    room.bus.advance(0.2)
    assert len(room.ended) == 1


def test_an_actor_that_was_never_heard_is_not_ended(room: Room) -> None:
    state = room.bus.state("control")
    state.pids.clear()
    room.tell(PeerLost(source="risk_gate"))

    room.bus.advance(10)

    assert room.ended == []


def test_facts_reach_the_view(room: Room) -> None:
    room.bus.say_fact(paused(Scope(pair=Pair("BTCTRY"))))
    room.bus.say_fact(
        TradingStateChanged(
            state=TradingState.KILLED, by="x", reason="y", command_id=CommandId("z"), at_ns=START_NS
        )
    )
    room.bus.run()

    view = room.bus.state("control").view
    assert view.is_killing
    assert list(view.pauses) == [Scope(pair=Pair("BTCTRY"))]


def test_an_actor_is_made_equal_for_equal_arguments() -> None:
    one = control.actor(CONFIG, lambda _effect: None, MY_PID)
    asked = ctl.Asked(connection=1, uid=1, command=ctl.Pause(reason="r"))
    two = control.actor(CONFIG, lambda _effect: None, MY_PID)

    first = one.handle(one.state, asked, START_NS).effects
    second = two.handle(two.state, asked, START_NS).effects

    assert first == second
    assert isinstance(first[0], Ask)
