"""How good a pair is to trade now: what bars it, and the score it is ranked by."""

from decimal import Context, Decimal
from functools import lru_cache
from typing import Final

from msgspec import Struct

from btcbot.domain.ids import Pair
from btcbot.domain.money import ZERO
from btcbot.portfolio.bounds import check_amounts
from btcbot.portfolio.features import Features
from btcbot.portfolio.reasons import Exclusion, Missing
from btcbot.portfolio.universe import Excluded

# A book's depth moves by more than a thousandth from one second to the next: three digits of it
# are enough, and few enough to remember their logarithms.
DEPTH: Final = Context(prec=3)
LOGARITHM: Final = Context(prec=9)


class ScoreRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a pair must have to be scored, and the weight of each part of its score."""

    spread_max_bps: Decimal = Decimal(60)
    depth_min: Decimal = Decimal(25_000)  # Quote asset, of the thinner side.
    momentum_weight: Decimal = Decimal(1)
    spread_weight: Decimal = Decimal("0.01")
    depth_weight: Decimal = Decimal("0.1")
    reject_weight: Decimal = Decimal("0.05")

    def __post_init__(self) -> None:
        check_amounts(self)


class Score(Struct, frozen=True):
    pair: Pair
    value: Decimal


def judge(
    rules: ScoreRules, pair: Pair, features: Features | None, rejects: int
) -> Score | Excluded:
    """Return the score of `pair`, or why its market bars it now.

    momentum_weight x momentum - spread_weight x spread_bps + depth_weight x ln(depth + 1)
    - reject_weight x rejects, where depth + 1 has three digits.
    """
    if features is None or features.spread_bps is None:
        is_old = features is not None and Missing.STALE_QUOTE in features.missing
        return Excluded(pair, Exclusion.STALE_QUOTE if is_old else Exclusion.NO_QUOTE)
    spread, depth, momentum = features.spread_bps, features.depth or ZERO, features.momentum
    if spread > rules.spread_max_bps:
        found = f"{spread:.1f} bps; at most {rules.spread_max_bps}"
        return Excluded(pair, Exclusion.SPREAD_TOO_WIDE, found)
    if depth < rules.depth_min:
        return Excluded(pair, Exclusion.DEPTH_TOO_THIN, f"{depth:.0f}; at least {rules.depth_min}")
    if momentum is None:
        return Excluded(pair, Exclusion.NO_HISTORY)
    value = (
        rules.momentum_weight * momentum
        - rules.spread_weight * spread
        + rules.depth_weight * _ln(DEPTH.plus(depth + 1))
        - rules.reject_weight * rejects
    )
    return Score(pair, value)


@lru_cache(4_096)
def _ln(value: Decimal) -> Decimal:
    return LOGARITHM.ln(value)
