"""Weights: which part of the capital each pair should have, and how to split an amount."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from btcbot.domain.ids import Pair
from btcbot.domain.money import ZERO, floor_to

WEIGHT_STEP: Final = Decimal("0.000000000001")
SUM_MIN, SUM_MAX = Decimal("0.95"), Decimal("1.05")
CENT: Final = Decimal("0.01")


class WeightsError(ValueError):
    """Weights that are not parts of one; says what was found and what is allowed."""


def normalised(weights: Mapping[Pair, Decimal], universe: Sequence[Pair]) -> dict[Pair, Decimal]:
    """Return `weights` by pair with a sum of 1, or just below it; none given: equal weights.

    Raises WeightsError for a weight that is no part of one, and for a sum outside 0.95 to 1.05.
    """
    if not weights:
        return equal(universe)
    for pair in sorted(weights):
        weight = weights[pair]
        if not (weight.is_finite() and 0 <= weight <= 1):
            raise WeightsError(f"weight of {pair} = {weight}: allowed is 0 to 1")
    total = sum(weights.values(), ZERO)
    if not SUM_MIN <= total <= SUM_MAX:
        raise WeightsError(f"weights add up to {total}: allowed is {SUM_MIN} to {SUM_MAX}")
    return {pair: floor_to(weights[pair] / total, WEIGHT_STEP) for pair in sorted(weights)}


def equal(universe: Sequence[Pair]) -> dict[Pair, Decimal]:
    """Return the same weight for each pair, rounded down; nothing for no pairs."""
    pairs = sorted(dict.fromkeys(universe))
    return {pair: floor_to(Decimal(1) / len(pairs), WEIGHT_STEP) for pair in pairs}


def split(amount: Decimal, scores: Mapping[Pair, Decimal], least: Decimal) -> dict[Pair, Decimal]:
    """Return `amount` split by the positive scores, each part rounded down to a cent.

    A part below `least` would make no order: the lowest score is left out, of equals the last by
    name, and the rest is split again. The parts never add up to more than `amount`; nothing with a
    positive score gives nothing.
    """
    ranked = sorted(
        ((pair, score) for pair, score in scores.items() if score > 0),
        key=lambda row: (-row[1], row[0]),
    )
    while ranked and amount > 0:
        total = sum((score for _, score in ranked), ZERO)
        parts = {pair: floor_to(amount * score / total, CENT) for pair, score in ranked}
        if parts[ranked[-1][0]] >= least:
            return {pair: parts[pair] for pair in sorted(parts)}
        ranked.pop()
    return {}
