"""Every cap of [plan] and every key of [universe] changes what the seats order."""

from typing import Any

import pytest

from btcbot.chosen import chosen_of
from btcbot.domain.decisions import DecisionRecord, Why
from btcbot.portfolio.budget import PlanLimits
from tests.config.settled import configured
from tests.pipeline.rooms import played, seat

# A value for each cap that is reached at once, and the reason that must be given.
PLAN = {
    "cash_reserve": ("100000", Why.STRATEGY_BUDGET),
    "use_share": ("0.001", Why.CASH),
    "fee_buffer_bps": ("9999999", Why.CASH),
    "position_max": ("150", Why.POSITION_CAP),
    "exposure_max": ("150", Why.EXPOSURE_CAP),
    "cycle_max": ("150", Why.CYCLE_CAP),
    "order_max": ("150", Why.ORDER_CAP),
    "notional_min": ("450", Why.BELOW_MINIMUM),
    "orders_max": (0, Why.ORDERS_MAX),
}


def test_by_default_the_plan_asks_for_nothing_that_a_limit_of_risk_would_refuse() -> None:
    cap, limit = caps(), configured().risk
    assert cap.order_max <= limit.order_notional_max_try
    assert cap.position_max <= limit.position_notional_max_try
    assert cap.exposure_max <= limit.gross_exposure_max_try
    assert cap.cycle_max <= limit.decision_notional_max_try
    assert cap.orders_max <= limit.decision_orders_max
    assert cap.cash_reserve >= limit.cash_reserve_min_try


def caps(**keys: Any) -> PlanLimits:
    return chosen_of(configured(**keys)).setup.limits


@pytest.fixture(scope="module")
def usual() -> list[str]:
    """Return what is ordered within the caps as they are."""
    orders = played(seat("profit_aware"), seconds=30, caps=caps())[0].orders
    assert orders
    return list(map(str, orders))


@pytest.mark.parametrize("key", PLAN)
def test_each_cap_of_the_plan_cuts_what_is_ordered_and_the_record_names_it(
    key: str, usual: list[str]
) -> None:
    value, why = PLAN[key]

    result, stage = played(seat("profit_aware"), seconds=30, caps=caps(**{f"plan__{key}": value}))

    assert list(map(str, result.orders)) != usual
    records = stage.bus.heard(DecisionRecord)
    assert why in [c.why for record in records for x in record.lines for c in x.cuts]


@pytest.mark.parametrize(
    ("key", "value"),
    [("quote", "USDT"), ("allow", ["ETHTRY"]), ("deny", ["BTCTRY"]), ("spread_max_bps", "0"),
     ("size", 0)],
)  # fmt: skip
def test_each_key_of_the_universe_leaves_a_pair_out_of_what_is_chosen_from(
    key: str, value: Any
) -> None:
    usual = chosen_of(configured()).setup.universe
    other = chosen_of(configured(**{f"universe__{key}": value})).setup.universe

    assert played(seat("sweep"), seconds=20, universe=usual)[0].orders
    assert not played(seat("sweep"), seconds=20, universe=other)[0].orders


def test_stables_lets_pairs_of_two_currencies_in() -> None:
    usual, other = (
        chosen_of(configured(universe__stables=value)).setup.universe for value in (False, True)
    )

    assert "USDT" in usual.pairs.stables
    assert other.pairs.stables == ()
