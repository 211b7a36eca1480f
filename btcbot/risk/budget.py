"""The risk mode, and how large buys may be: one formula over how the day stands.

    OBSERVE  a person says so, or the degrade level is 3
    REDUCE   a person says so; level 2; a loss, the fees or the turnover of the day at its limit;
             more held than the gross limit allows; or one of these is not known
    NORMAL   otherwise

Buys shrink to half while three selling orders in a row lost, and on degrade level 1. The smallest
part counts, parts are not multiplied. A person can only make it stricter.
"""

from decimal import Decimal
from typing import Final

from msgspec import Struct

from btcbot.domain.money import BPS_IN_ONE, ZERO
from btcbot.domain.standing import Standing
from btcbot.domain.tightening import stricter
from btcbot.domain.words import Concern, RiskMode
from btcbot.risk.degrade import MODE_OF
from btcbot.risk.limits import RiskLimits

STREAK: Final = 3
HALF_BPS: Final = BPS_IN_ONE / 2


class Budget(Struct, frozen=True):
    """What may be done now, and why."""

    mode: RiskMode
    size_bps: Decimal  # Of the limits on buys: 10000 is all; 0 unless the mode is NORMAL.
    shrunk_bps: Decimal  # The same without regard to the mode, which has refusals of its own.
    concerns: tuple[Concern, ...]


def budget(
    limits: RiskLimits,
    standing: Standing,
    gross: Decimal | None,
    level: int,
    override: RiskMode = RiskMode.NORMAL,
) -> Budget:
    """Return the mode and the size of buys; `gross` is what is held and may be bought, in TRY."""
    concerns = _spent(limits, standing, gross)
    mode = stricter(MODE_OF[level], override)
    if concerns:
        mode = stricter(mode, RiskMode.REDUCE)
    if standing.loss_streak >= STREAK:
        concerns.append(Concern.LOSS_STREAK)
    if level:
        concerns.append(Concern.DEGRADED)
    if override is not RiskMode.NORMAL:
        concerns.append(Concern.OVERRIDE)
    is_half = level == 1 or standing.loss_streak >= STREAK
    size = HALF_BPS if is_half else BPS_IN_ONE
    return Budget(mode, size if mode is RiskMode.NORMAL else ZERO, size, tuple(concerns))


def _spent(limits: RiskLimits, now: Standing, gross: Decimal | None) -> list[Concern]:
    """Return what is at its limit, or not known."""
    rows = (
        (Concern.DAILY_LOSS, now.day_loss, limits.daily_loss_max_try),
        (Concern.WEEKLY_LOSS, now.week_loss, limits.weekly_loss_max_try),
        (Concern.DRAWDOWN, now.drawdown, limits.drawdown_max_try),
        (Concern.FEES, now.fees, limits.fees_per_day_max_try),
        (Concern.TURNOVER, now.turnover, limits.turnover_per_day_max_try),
    )
    found, is_known = [], gross is not None
    for concern, value, limit in rows:
        if value is None:
            is_known = False
        elif value >= limit:
            found.append(concern)
    if gross is not None and gross > limits.gross_exposure_max_try:
        found.append(Concern.GROSS_EXPOSURE)
    return found if is_known else [Concern.ACCOUNT_UNKNOWN, *found]
