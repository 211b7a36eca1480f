"""Execution takes stricter limits and modes, keeps them over a restart, and judges by them."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from btcbot.domain.facts import LimitTightened, RiskModeSet
from btcbot.domain.ids import CommandId
from btcbot.domain.messages import CommandDone, SetRiskMode, TightenLimit
from btcbot.domain.venue import ConnectionsIdle, Outcome
from btcbot.domain.words import RiskMode, Rule, Side
from bus.actor import Late, PeerBack
from tests.orders.desks import GATE, NOW, SECOND, Floor, intent, ready

SELL = {"side": Side.SELL, "limit_price": 2_500_010}


def done(floor: Floor) -> CommandDone:
    answer = floor.answers[-1]
    assert isinstance(answer, CommandDone)
    return answer


def tighten(floor: Floor, name: str, value: Any, command: str = "t") -> CommandDone:
    floor.hear(
        TightenLimit(
            command_id=CommandId(command),
            name=name,
            value=Decimal(value),
            by="uid 1",
            reason="storm",
        )
    )
    return done(floor)


def hold(
    floor: Floor, mode: RiskMode, command: str, *, seconds: int | None = None, reason: str = "storm"
) -> CommandDone:
    until_ns = None if seconds is None else floor.now_ns + seconds * SECOND
    floor.hear(
        SetRiskMode(
            command_id=CommandId(command), mode=mode, until_ns=until_ns, by="uid 1", reason=reason
        )
    )
    return done(floor)


def again(floor: Floor) -> Floor:
    floor.restart().open_up()
    floor.hear(ConnectionsIdle(count=4), PeerBack(source="risk_gate", epoch=2, pid=0))
    return floor


def test_a_tightened_limit_holds_at_once_and_over_a_restart() -> None:
    floor = ready()
    floor.place(intent(1), 7)  # 2,490 TRY.
    assert not tighten(floor, "order_notional_max_try", GATE.order_notional_max_try / 5).refused

    assert floor.approve(intent(2)).rule is Rule.ORDER_NOTIONAL
    assert again(floor).approve(intent(3)).rule is Rule.ORDER_NOTIONAL


def test_what_is_as_strict_already_is_refused_and_nothing_is_written() -> None:
    floor = ready()
    refused = tighten(floor, "open_orders_max", GATE.open_orders_max + 1).refused
    assert "as strict" in refused
    assert not floor.said(LimitTightened)


def test_a_limit_of_the_risk_gate_alone_is_written_down_for_it() -> None:
    floor = ready()
    assert not tighten(floor, "daily_loss_max_try", 100).refused
    [fact] = floor.said(LimitTightened)
    assert (fact.name, fact.value, fact.by, fact.reason) == (
        "daily_loss_max_try", Decimal(100), "uid 1", "storm",
    )  # fmt: skip
    assert floor.approve(intent(1)).rule is None


def test_a_person_lifts_tightenings_by_the_configuration_and_by_nothing_else() -> None:
    floor = ready()
    tighten(floor, "order_notional_max_try", 100)
    [fact] = floor.said(LimitTightened)
    floor.setup = replace(floor.setup, gate=replace(GATE, tightened_since_ns=fact.at_ns + 1))
    assert again(floor).approve(intent(1)).rule is None


@pytest.mark.parametrize(
    ("mode", "buy", "sell"),
    [(RiskMode.REDUCE, Rule.OVERRIDE, None), (RiskMode.OBSERVE, Rule.OVERRIDE, Rule.OVERRIDE)],
)
def test_a_mode_that_a_person_set_holds_over_a_restart_until_its_time_is_over(
    mode: RiskMode, buy: Rule, sell: Rule | None
) -> None:
    floor = ready()
    assert not hold(floor, mode, "m", seconds=60).refused
    for turn in (1, 2):
        assert floor.approve(intent(turn)).rule is buy
        selling = intent(10 + turn, quantity="0.0005", **SELL)
        assert floor.approve(selling).rule is sell
        if sell is None:
            floor.reply(selling, Outcome.REJECTED, code="1055")
        if turn == 1:
            again(floor)
    floor.wait(60)
    assert floor.approve(intent(3)).rule is None


def test_a_mode_is_made_looser_only_by_clearing_it_with_a_reason() -> None:
    floor = ready()
    hold(floor, RiskMode.OBSERVE, "m1")
    assert "stricter" in hold(floor, RiskMode.REDUCE, "m2").refused
    assert "reason" in hold(floor, RiskMode.NORMAL, "m3", reason="").refused
    assert floor.approve(intent(1)).rule is Rule.OVERRIDE

    assert not hold(floor, RiskMode.NORMAL, "m4").refused
    assert floor.approve(intent(2)).rule is None


def test_a_command_is_carried_out_once() -> None:
    floor = ready()
    first = hold(floor, RiskMode.REDUCE, "m")
    assert hold(floor, RiskMode.REDUCE, "m") == first
    assert len(floor.said(RiskModeSet)) == 1


def test_clearing_that_comes_after_its_deadline_is_refused_and_holding_is_not() -> None:
    floor = ready()
    wanted = SetRiskMode(
        command_id=CommandId("a"), mode=RiskMode.REDUCE, until_ns=None, by="uid 1", reason="storm"
    )
    floor.hear(Late(wanted))
    assert not done(floor).refused
    floor.hear(Late(replace(wanted, command_id=CommandId("b"), mode=RiskMode.NORMAL)))
    assert "deadline" in done(floor).refused
    assert floor.now_ns >= NOW
    assert floor.approve(intent(1)).rule is Rule.OVERRIDE
