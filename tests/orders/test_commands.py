"""Safer is always allowed; riskier needs a reason, and a bot that knows where it stands."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from msgspec import Struct

from btcbot.domain.agent import RecordDecision
from btcbot.domain.facts import (
    AgentDecided,
    CommandRefused,
    KillCompleted,
    LimitTightened,
    OrderCancelRequested,
    PauseChanged,
    Recorded,
    RiskModeSet,
    TradingStateChanged,
)
from btcbot.domain.ids import ClientOrderId, CommandId, OrderId
from btcbot.domain.messages import (
    CancelIntent,
    CommandDone,
    Record,
    Scope,
    SetPause,
    SetRiskMode,
    SetTradingState,
    TightenLimit,
)
from btcbot.domain.venue import Cancel, Outcome, ReadFailed, ReadTime
from btcbot.domain.words import OrderState as S
from btcbot.domain.words import RiskMode, Rule, Side, TradingState
from btcbot.orders.commands import kill_file_after
from tests.agent.asking import Bench, reply, said
from tests.orders.desks import BTCTRY, SECOND, Floor, intent, label, listed, ready

WANTED = intent()
T = TradingState


def done(floor: Floor) -> CommandDone:
    answer = floor.answers[-1]
    assert isinstance(answer, CommandDone)
    return answer


def halted() -> Floor:
    floor = ready()
    floor.open.append(listed(9, intent(99)))
    floor.wait(61)
    floor.open.clear()
    assert floor.is_in(T.HALTED)
    return floor


def arrive(state: T) -> Floor:
    if state is T.HALTED:
        return halted()
    floor = ready()
    if state is not T.LIVE:
        floor.command(state, "arrive")
    floor.drop()
    return floor


@pytest.mark.parametrize("before", list(T))
@pytest.mark.parametrize("wanted", [T.PAUSED, T.KILLED])
def test_to_pause_and_to_kill_is_always_allowed_and_never_loosens(before: T, wanted: T) -> None:
    floor = arrive(before)

    answer = floor.command(wanted, "c", reason="")

    assert not answer.refused
    order = list(T)
    assert floor.desk.trading is max(before, wanted, key=order.index)


@pytest.mark.parametrize("before", [T.REDUCE, T.PAUSED, T.KILLED])
def test_to_resume_needs_a_reason(before: T) -> None:
    floor = arrive(before)
    assert "needs a reason" in floor.command(T.LIVE, "c1", reason="").refused
    assert floor.is_in(before)
    assert not floor.command(T.LIVE, "c2", reason="looked into it").refused
    assert floor.is_in(T.LIVE)


def test_halted_is_left_by_naming_its_event_and_by_nothing_else() -> None:
    floor = halted()
    event = floor.desk.trading_seq
    for wrong in ("", "0", str(event + 1)):
        refused = floor.command(T.LIVE, f"r{wrong}", acknowledge=wrong).refused
        assert f"--ack {event}" in refused
    assert not floor.command(T.LIVE, "right", acknowledge=str(event)).refused
    assert floor.is_in(T.LIVE)


def unknown(floor: Floor) -> None:
    floor.command(T.LIVE, "back")
    floor.lose(WANTED)
    floor.command(T.PAUSED, "stop")


def sending(floor: Floor) -> None:
    floor.command(T.LIVE, "back")
    assert floor.approve(WANTED).rule is None
    floor.command(T.PAUSED, "stop")


def recovering(floor: Floor) -> None:
    floor.desk.first_reads = ("balances",)


def blind(floor: Floor) -> None:
    for _ in range(3):
        floor.hear(ReadFailed(what="fills", detail="401", is_unauthorised=True))


def clockless(floor: Floor) -> None:
    floor.desk.clock = None


def different(floor: Floor) -> None:
    floor.wait(10)
    floor.move(floor.balances[0].asset, floor.balances[0].total, floor.balances[0].total)
    floor.wait(60)


@pytest.mark.parametrize("trouble", [unknown, sending, recovering, blind, clockless, different])
def test_nobody_resumes_a_bot_that_does_not_know_where_it_stands(trouble: Any) -> None:
    floor = arrive(T.PAUSED)
    trouble(floor)

    for state in (T.LIVE, T.REDUCE):
        assert floor.command(state, f"r-{state}").refused
    assert floor.is_in(T.PAUSED)
    assert len(floor.said(CommandRefused)) == 2
    assert {refused.by for refused in floor.said(CommandRefused)} == {"uid 1000"}


def test_a_command_happens_once_and_has_one_answer() -> None:
    floor = ready()
    first = floor.command(T.PAUSED, "p")
    floor.command(T.LIVE, "l")

    again = floor.command(T.PAUSED, "p")
    floor.restart()
    last = floor.command(T.PAUSED, "p")

    assert first == again == last
    assert floor.is_in(T.LIVE)
    assert len(floor.said(TradingStateChanged)) == 2


def decided() -> RecordDecision:
    bench = Bench()
    bench.judge()
    bench.answer(reply(said(stance="observe")))
    [record] = bench.records
    return record


@pytest.mark.parametrize(
    "request_of",
    [
        lambda: SetPause(
            command_id=CommandId("c"),
            scope=Scope(pair=BTCTRY),
            is_paused=True,
            until_ns=None,
            by="x",
            reason="y",
        ),
        lambda: TightenLimit(
            command_id=CommandId("c"), name="open_orders_max", value=Decimal(1), by="x", reason="y"
        ),
        lambda: SetRiskMode(
            command_id=CommandId("c"), mode=RiskMode.REDUCE, until_ns=None, by="x", reason="y"
        ),
        lambda: Record(command_id=CommandId("c"), owner="o", kind="k", key="y", payload=b"x"),
        decided,
    ],
)
def test_what_is_asked_again_of_the_next_life_is_not_done_again(
    request_of: Callable[[], Struct],
) -> None:
    floor, request = ready(), request_of()
    floor.hear(request)
    first, facts = done(floor), len(floor.facts)
    assert first.refused == ""

    floor.restart()
    floor.hear(request)

    assert done(floor) == first
    kinds = (PauseChanged, LimitTightened, RiskModeSet, Recorded, AgentDecided)
    assert not [fact for fact in floor.facts[facts:] if isinstance(fact, kinds)]


def test_a_refusal_is_an_answer_too() -> None:
    floor = arrive(T.PAUSED)
    first = floor.command(T.LIVE, "r", reason="")
    floor.restart()
    assert floor.command(T.LIVE, "r", reason="now with one") == first


# --- kill ---------------------------------------------------------------------------------------


def test_a_kill_of_nothing_is_complete_at_once() -> None:
    floor = ready()
    floor.command(T.KILLED, "k")
    [complete] = floor.said(KillCompleted)
    assert complete.command_id == "k"


def test_a_kill_cancels_in_the_same_breath_and_is_complete_when_all_is_closed() -> None:
    floor = ready()
    floor.place(WANTED, 7)
    floor.command(T.KILLED, "k")
    assert floor.asked[-1] == Cancel(OrderId(7))
    assert floor.approve(intent(2)).rule is Rule.TRADING_STATE
    assert "not complete" in floor.command(T.LIVE, "r").refused
    floor.wait(20)
    assert not floor.said(KillCompleted)

    floor.open.clear()
    floor.ended.append(listed(7, WANTED, status="Canceled"))
    floor.release()
    floor.wait(6)
    assert len(floor.said(KillCompleted)) == 1
    assert floor.state(WANTED) is S.CLOSED


@pytest.mark.parametrize("lives", [1, 2])
def test_a_kill_waits_for_an_order_in_doubt_and_cancels_it_when_it_is_found(lives: int) -> None:
    floor = ready()
    floor.lose(WANTED)
    floor.command(T.KILLED, "k")
    if lives == 2:
        floor.restart().open_up()
    floor.wait(8)
    assert floor.state(WANTED) is S.UNKNOWN
    assert not floor.said(KillCompleted)

    floor.open.append(listed(7, WANTED))
    floor.hold(WANTED)
    floor.wait(6)
    assert Cancel(OrderId(7)) in floor.asked
    floor.open.clear()
    floor.ended.append(listed(7, WANTED, status="Canceled"))
    floor.release()
    floor.wait(10)
    assert [k.command_id for k in floor.said(KillCompleted)] == ["k"]


@pytest.mark.parametrize("end", [Outcome.REJECTED, None])
def test_a_kill_is_complete_the_moment_doubt_ends(end: Outcome | None) -> None:
    floor = ready()
    floor.lose(WANTED)
    floor.command(T.KILLED, "k")
    if end is not None:
        floor.reply(WANTED, end, code="1055")
    else:
        while floor.state(WANTED) is not S.ABSENT:
            floor.wait(0.5)
    assert len(floor.said(KillCompleted)) == 1


def test_a_kill_goes_on_through_a_halt_and_a_restart() -> None:
    floor = ready()
    floor.place(WANTED, 7)
    floor.command(T.KILLED, "k")
    floor.open.append(listed(9, intent(99)))
    floor.wait(6)
    assert floor.is_in(T.HALTED)
    floor.restart().open_up()

    floor.open.clear()
    floor.ended.append(listed(7, WANTED, status="Canceled"))
    floor.release()
    floor.wait(10)
    assert [k.command_id for k in floor.said(KillCompleted)] == ["k"]
    assert floor.is_in(T.HALTED)


@pytest.mark.parametrize("before", list(T))
@pytest.mark.parametrize("now", list(T))
def test_the_kill_file_goes_only_when_a_person_lets_the_bot_out(before: T, now: T) -> None:
    wanted = None
    if now is not before and now is T.KILLED:
        wanted = True
    elif before in {T.KILLED, T.HALTED} and now not in {T.KILLED, T.HALTED}:
        wanted = False
    assert kill_file_after(before, now) is wanted


# --- pauses -------------------------------------------------------------------------------------


def pause(floor: Floor, name: str, *, on: bool = True, **fields: Any) -> str:
    default: dict[str, Any] = {"until_ns": None, "by": "uid 1000", "reason": "lunch"}
    scope = Scope(pair=BTCTRY, side=Side.BUY)
    floor.hear(
        SetPause(command_id=CommandId(name), is_paused=on, **({"scope": scope} | default | fields))
    )
    return done(floor).refused


def test_a_pause_is_lifted_by_its_own_scope_with_a_reason() -> None:
    floor = ready()
    assert not pause(floor, "p")
    assert "needs a reason" in pause(floor, "r1", on=False, reason="")
    assert "exactly this scope" in pause(floor, "r2", on=False, scope=Scope(pair=BTCTRY))
    floor.restart().open_up()
    assert floor.approve(WANTED).rule is Rule.PAUSED_SCOPE

    assert not pause(floor, "r3", on=False)
    assert floor.approve(intent(2)).rule is None
    assert not floor.restart().desk.pauses


def test_a_pause_with_an_end_ends_by_itself_and_says_so() -> None:
    floor = ready()
    pause(floor, "p", until_ns=floor.now_ns + 30 * SECOND)
    floor.wait(29)
    assert floor.approve(WANTED).rule is Rule.PAUSED_SCOPE
    floor.wait(2)

    on, off = floor.said(PauseChanged)
    assert (on.is_paused, off.is_paused, off.by) == (True, False, "execution")
    assert floor.approve(intent(2)).rule is None


# --- cancel and record --------------------------------------------------------------------------


def cancel(floor: Floor, name: str, client_id: ClientOrderId) -> str:
    floor.hear(
        CancelIntent(
            command_id=CommandId(name), client_order_id=client_id, by="uid 1000", reason="mine"
        )
    )
    return done(floor).refused


def test_a_cancel_is_sent_at_once_and_again_by_itself_only() -> None:
    floor = ready()
    floor.place(WANTED, 7)
    for name in ("c1", "c1", "c2"):
        assert not cancel(floor, name, label(WANTED))
    assert floor.wanted(Cancel) == [Cancel(OrderId(7))]
    [asked] = floor.said(OrderCancelRequested)
    assert (asked.by, asked.reason) == ("uid 1000", "mine")


def test_a_cancel_of_an_order_in_doubt_is_kept_until_it_is_found() -> None:
    floor = ready()
    floor.lose(WANTED)
    assert not cancel(floor, "c", label(WANTED))
    assert floor.state(WANTED) is S.UNKNOWN
    assert not floor.wanted(Cancel)

    floor.reply(WANTED, Outcome.ACKED, order_id=OrderId(7))
    floor.wait(0.5)
    assert floor.wanted(Cancel) == [Cancel(OrderId(7))]


def test_a_cancel_of_what_is_over_or_never_was_is_refused() -> None:
    floor = ready()
    floor.approve(WANTED)
    floor.reply(WANTED, Outcome.REJECTED, code="1055")
    assert "is REJECTED already" in cancel(floor, "c1", label(WANTED))
    assert "no such order" in cancel(floor, "c2", label(intent(2)))


def test_a_cancel_goes_in_every_trading_state() -> None:
    for number, state in enumerate([T.REDUCE, T.PAUSED], 1):
        floor = ready()
        floor.place(WANTED, 7)
        floor.command(state, f"s{number}")
        assert not cancel(floor, f"c{number}", label(WANTED))
        assert floor.wanted(Cancel)


@pytest.mark.parametrize(("size", "is_kept"), [(64 << 10, True), ((64 << 10) + 1, False)])
def test_a_record_has_a_size(size: int, is_kept: bool) -> None:
    floor = ready()
    floor.hear(Record(command_id=CommandId("r"), owner="o", kind="k", key="y", payload=b"x" * size))
    assert bool(floor.said(Recorded)) is is_kept
    assert bool(done(floor).refused) is not is_kept


def test_a_decision_of_the_agent_is_kept_whole_and_once() -> None:
    record, floor = decided(), ready()

    floor.hear(record)
    floor.hear(record)

    [kept] = floor.said(AgentDecided)
    assert kept.decision == record.decision
    assert not done(floor).refused


def test_a_kill_file_that_was_resumed_from_is_a_leftover() -> None:
    floor = ready()
    file = SetTradingState(
        command_id=CommandId("kill-file-1"), state=T.KILLED, by="run/KILL", reason="made"
    )
    floor.hear(file)
    assert floor.is_in(T.KILLED)
    floor.mute = (ReadTime,)
    floor.command(T.LIVE, "r")
    floor.drop()

    floor.hear(file)  # It is still there: the life that was to remove it ended before.

    assert floor.is_in(T.LIVE)
    assert [getattr(e, "exists", None) for e in floor.effects] == [False]
