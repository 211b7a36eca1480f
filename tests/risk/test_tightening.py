"""From the outside limits and modes only get stricter; both gates fold the same facts."""

from decimal import Decimal

import pytest

from btcbot.domain.facts import LimitTightened, RiskModeSet
from btcbot.domain.ids import CommandId
from btcbot.domain.tightening import is_tighter, mode_at, stricter, tightest
from btcbot.domain.words import RiskMode
from btcbot.risk.limits import TIGHTENABLE, RiskLimits, holding, why_not

LIMITS = RiskLimits()
D = Decimal


def tightened(name: str, value: str, at_ns: int = 5) -> LimitTightened:
    return LimitTightened(
        name=name, value=D(value), by="uid 1", reason="", command_id=CommandId("c"), at_ns=at_ns
    )


def held(mode: RiskMode, until_ns: int | None = None) -> RiskModeSet:
    return RiskModeSet(
        mode=mode, until_ns=until_ns, by="uid 1", reason="", command_id=CommandId("c"), at_ns=1
    )


def test_a_most_is_lowered_and_a_least_is_raised() -> None:
    assert is_tighter("order_notional_max_try", D(4_999), D(5_000))
    assert not is_tighter("order_notional_max_try", D(5_000), D(5_000))
    assert is_tighter("cash_reserve_min_try", D(1_001), D(1_000))
    assert is_tighter("buy_cooldown_ms", D(1_001), 1_000)
    assert not is_tighter("buy_cooldown_ms", D(999), 1_000)


@pytest.mark.parametrize("name", TIGHTENABLE)
def test_no_fact_makes_a_limit_looser(name: str) -> None:
    loose = "0" if name in {"cash_reserve_min_try", "buy_cooldown_ms"} else "9999999"
    assert holding(LIMITS, {name: tightened(name, loose)}) == LIMITS


def test_tightenings_hold_in_the_unit_and_the_type_of_the_limit() -> None:
    facts = [tightened("order_notional_max_try", "100"), tightened("open_orders_max", "3")]
    found = tightest(LIMITS, facts, 0)
    assert (found.order_notional_max_try, found.open_orders_max) == (D(100), 3)
    assert isinstance(found.open_orders_max, int)
    assert tightest(LIMITS, [tightened("of_a_later_version", "1")], 0) == LIMITS


def test_tightened_since_ns_lifts_what_was_tightened_before_it() -> None:
    facts = {"open_orders_max": tightened("open_orders_max", "3", at_ns=5)}
    assert holding(RiskLimits(tightened_since_ns=5), facts).open_orders_max == 3
    assert holding(RiskLimits(tightened_since_ns=6), facts).open_orders_max == 10


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("open_orders_max", "10", "as strict"),
        ("open_orders_max", "11", "as strict"),
        ("open_orders_max", "2.5", "whole number"),
        ("book_age_max_ms", "50", "book_age_max_ms = 50"),
        ("cash_reserve_min_try", "999", "as strict"),
        ("cash_reserve_min_try", "1000.5", None),
        ("daily_loss_max_try", "0", None),
    ],
)
def test_what_may_not_be_set_is_told_with_its_reason(
    name: str, value: str, why: str | None
) -> None:
    found = why_not(LIMITS, name, D(value))
    assert (found is None) if why is None else (found is not None and why in found)


def test_a_mode_holds_until_its_time_is_over_and_the_stricter_of_two_counts() -> None:
    assert mode_at(None, 7) is RiskMode.NORMAL
    assert mode_at(held(RiskMode.REDUCE), 7) is RiskMode.REDUCE
    assert mode_at(held(RiskMode.OBSERVE, until_ns=8), 7) is RiskMode.OBSERVE
    assert mode_at(held(RiskMode.OBSERVE, until_ns=7), 7) is RiskMode.NORMAL
    assert stricter(RiskMode.REDUCE, RiskMode.NORMAL) is RiskMode.REDUCE
    assert stricter(RiskMode.REDUCE, RiskMode.OBSERVE) is RiskMode.OBSERVE
