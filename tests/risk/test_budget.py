"""The mode and the size of buys follow from how the day stands; the strictest word counts."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from btcbot.domain.standing import Standing
from btcbot.domain.tightening import stricter
from btcbot.domain.words import Concern, RiskMode
from btcbot.risk.budget import budget
from btcbot.risk.limits import RiskLimits

D = Decimal
LIMITS = RiskLimits()
WELL = Standing(
    equity=D(100_000), capital=D(100_000), turnover=D(0), fees=D(0), day_loss=D(0),
    week_loss=D(0), drawdown=D(0),
)  # fmt: skip
ALL, HALF = D(10_000), D(5_000)


def test_a_good_day_is_normal_and_whole() -> None:
    now = budget(LIMITS, WELL, D(0), 0)
    assert (now.mode, now.size_bps, now.concerns) == (RiskMode.NORMAL, ALL, ())


@pytest.mark.parametrize(
    ("field", "limit", "concern"),
    [("day_loss", "daily_loss_max_try", Concern.DAILY_LOSS),
     ("week_loss", "weekly_loss_max_try", Concern.WEEKLY_LOSS),
     ("drawdown", "drawdown_max_try", Concern.DRAWDOWN),
     ("fees", "fees_per_day_max_try", Concern.FEES),
     ("turnover", "turnover_per_day_max_try", Concern.TURNOVER)],
)  # fmt: skip
def test_a_limit_of_the_day_that_is_reached_leaves_sells_only(
    field: str, limit: str, concern: Concern
) -> None:
    most = getattr(LIMITS, limit)
    below = budget(LIMITS, replace(WELL, **{field: most - D("0.01")}), D(0), 0)
    reached = budget(LIMITS, replace(WELL, **{field: most}), D(0), 0)
    unknown = budget(LIMITS, replace(WELL, **{field: None}), D(0), 0)

    assert below.mode is RiskMode.NORMAL
    assert (reached.mode, reached.size_bps) == (RiskMode.REDUCE, D(0))
    assert reached.concerns == (concern,)
    assert (unknown.mode, unknown.concerns) == (RiskMode.REDUCE, (Concern.ACCOUNT_UNKNOWN,))


def test_more_than_the_gross_limit_leaves_sells_only() -> None:
    most = LIMITS.gross_exposure_max_try
    assert budget(LIMITS, WELL, most, 0).mode is RiskMode.NORMAL
    over = budget(LIMITS, WELL, most + 1, 0)
    assert (over.mode, over.concerns) == (RiskMode.REDUCE, (Concern.GROSS_EXPOSURE,))
    assert budget(LIMITS, WELL, None, 0).mode is RiskMode.REDUCE


@pytest.mark.parametrize(
    ("changes", "level", "size"),
    [({"loss_streak": 2}, 0, ALL), ({"loss_streak": 3}, 0, HALF), ({}, 1, HALF),
     ({"loss_streak": 9}, 1, HALF)],
)  # fmt: skip
def test_losses_in_a_row_and_level_1_halve_buys_and_parts_are_not_multiplied(
    changes: dict[str, Any], level: int, size: Decimal
) -> None:
    now = budget(LIMITS, replace(WELL, **changes), D(0), level)
    assert (now.mode, now.size_bps) == (RiskMode.NORMAL, size)


def test_levels_and_overrides_only_make_it_stricter() -> None:
    strict = list(RiskMode)
    for level in range(4):
        for override in RiskMode:
            for spent in (WELL, replace(WELL, day_loss=D(10**6))):
                alone = [
                    budget(LIMITS, spent, D(0), 0).mode,
                    budget(LIMITS, WELL, D(0), level).mode,
                    budget(LIMITS, WELL, D(0), 0, override).mode,
                ]
                found = budget(LIMITS, spent, D(0), level, override)
                assert found.mode is max(alone, key=strict.index)
                assert (found.size_bps == 0) == (found.mode is not RiskMode.NORMAL)


def test_the_stricter_mode_is_the_one_that_allows_less() -> None:
    assert stricter(RiskMode.NORMAL, RiskMode.REDUCE) is RiskMode.REDUCE
    assert stricter(RiskMode.OBSERVE, RiskMode.REDUCE) is RiskMode.OBSERVE
