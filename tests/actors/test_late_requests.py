"""What arrives after its deadline makes nothing riskier, and never loses an answer."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec import Struct

from actors import CODEC, execution, risk_gate
from btcbot.config import Config
from btcbot.domain.facts import CommandRefused, IntentRefused, PauseChanged, TradingStateChanged
from btcbot.domain.ids import CommandId, Pair, intent_id
from btcbot.domain.messages import (
    ApprovedOrder,
    CommandDone,
    IntentVerdict,
    OrderIntent,
    RefuseIntent,
    Scope,
    SetPause,
    SetTradingState,
)
from btcbot.domain.money import Price, Quantity
from btcbot.domain.venue import TimeRead
from btcbot.domain.words import Rule, Side, TradingState
from btcbot.opening import Identity, setup_of
from btcbot.orders.recovery import desk_of
from btcbot.orders.state import Desk
from btcbot.risk.limits import RiskLimits
from btcbot.store.writer import Writer
from bus.actor import Actor, Ask, Late, Started, Step
from bus.clock import ManualClock
from bus.memory import MemoryBus

NOW_NS = 1_795_000_000_000_000_000
INTENT = OrderIntent(
    intent_id=intent_id("s", 1, 1, 0), strategy="s", slot="s:BTCTRY:buy", pair=Pair("BTCTRY"),
    side=Side.BUY, quantity=Quantity(Decimal(1)), limit_price=Price(Decimal(10)), reason="",
    seen_ns=NOW_NS, decided_ns=NOW_NS, expires_ns=NOW_NS + 10**11,
)  # fmt: skip


def test_the_gate_approves_nothing_that_was_asked_for_too_long_ago() -> None:
    bus = MemoryBus(ManualClock(NOW_NS), CODEC)
    heard: list[Struct] = []

    def desk(state: int, message: Struct, _now_ns: int) -> Step[int]:
        heard.append(message)
        return Step(state)

    def wish(state: int, message: Struct, _now_ns: int) -> Step[int]:
        is_told = isinstance(message, OrderIntent)
        return Step(state, (Ask("risk_gate", message, INTENT.intent_id),) if is_told else ())

    receives = (ApprovedOrder, RefuseIntent)
    bus.start(Actor(name="execution", state=0, handle=desk, receives=receives))
    bus.start(risk_gate.actor(RiskLimits(), {}))
    bus.start(Actor(name="strategy", state=0, handle=wish))
    bus.run()
    bus.pause("risk_gate")
    bus.deliver("strategy", INTENT)
    bus.advance(0.6)  # Longer than a request is good for; the intent itself still is.

    bus.wake("risk_gate")
    bus.run()

    asked = [message for message in heard if isinstance(message, ApprovedOrder | RefuseIntent)]
    assert asked
    for message in asked:
        assert isinstance(message, RefuseIntent)
        assert message.rule is Rule.EXPIRED


def effects(desk: Desk, message: Any) -> tuple[list[Any], list[Any]]:
    """Return the facts that execution commits over `message`, and its answers."""
    step = execution.handle(desk, message, NOW_NS)
    facts = [fact for e in step.effects if isinstance(e, execution.Persist) for fact in e.facts]
    said = [e.message for e in step.effects if hasattr(e, "request_id") and hasattr(e, "message")]
    return facts, said


def to(state: TradingState, name: str = "c-1") -> SetTradingState:
    return SetTradingState(command_id=CommandId(name), state=state, by="uid 1", reason="because")


def pause(is_paused: bool) -> SetPause:
    return SetPause(
        command_id=CommandId("p-1"), scope=Scope(), is_paused=is_paused, until_ns=None,
        by="uid 1", reason="because",
    )  # fmt: skip


@pytest.fixture
def desk() -> Desk:
    """Return a desk that trades."""
    writer = Writer(":memory:")
    made = desk_of(setup_of(Config(), "abcde", Identity("", "")), writer.reader.recover())
    writer.close()
    effects(made, Started(epoch=made.epoch))
    made.first_reads = ()
    made.clock, made.clock_read_ns = TimeRead(offset_ns=0, error_ns=10**6), NOW_NS
    assert made.trading is TradingState.LIVE
    return made


def test_a_late_approval_is_refused_and_a_known_one_keeps_its_verdict(desk: Desk) -> None:
    late = Late(ApprovedOrder(intent=INTENT, approved_ns=NOW_NS))
    [refused], [verdict] = effects(desk, late)
    assert isinstance(refused, IntentRefused)
    assert isinstance(verdict, IntentVerdict)
    assert verdict.rule is Rule.EXPIRED
    assert effects(desk, late) == ([], [verdict])


@pytest.mark.parametrize("state", [TradingState.PAUSED, TradingState.KILLED])
def test_going_safer_is_never_too_late(desk: Desk, state: TradingState) -> None:
    facts, [done] = effects(desk, Late(to(state)))
    assert isinstance(facts[0], TradingStateChanged)
    assert desk.trading is state
    assert isinstance(done, CommandDone)
    assert not done.refused
    facts, _ = effects(desk, Late(pause(is_paused=True)))
    assert isinstance(facts[0], PauseChanged)


def test_resuming_too_late_is_refused_once_and_for_all(desk: Desk) -> None:
    effects(desk, to(TradingState.PAUSED))
    [refused], [done] = effects(desk, Late(to(TradingState.LIVE, "c-2")))
    assert isinstance(refused, CommandRefused)
    assert "after its deadline" in done.refused
    assert desk.trading is TradingState.PAUSED
    assert effects(desk, to(TradingState.LIVE, "c-2")) == ([], [done])


def test_lifting_a_pause_too_late_is_refused(desk: Desk) -> None:
    effects(desk, pause(is_paused=True))
    lift = SetPause(
        command_id=CommandId("p-2"), scope=Scope(), is_paused=False, until_ns=None, by="uid 1",
        reason="because",
    )  # fmt: skip
    [refused], _ = effects(desk, Late(lift))
    assert isinstance(refused, CommandRefused)
    assert desk.pauses


def test_what_was_done_in_time_is_answered_also_when_it_is_asked_late(desk: Desk) -> None:
    effects(desk, to(TradingState.PAUSED, "c-1"))
    _, [done] = effects(desk, to(TradingState.LIVE, "c-2"))
    effects(desk, to(TradingState.PAUSED, "c-3"))
    assert not done.refused
    assert effects(desk, Late(to(TradingState.LIVE, "c-2"))) == ([], [done])
