"""Ratios, not milliseconds: ours and the yardstick in turns, pair by pair, and the median."""

import statistics
from collections.abc import Callable

from msgspec import Struct


class BenchError(Exception):
    """Something could not be measured at all; says what."""


class Figure(Struct, frozen=True, kw_only=True):
    """One goal and what was measured; `limit` None: reported, not judged."""

    name: str
    what: str
    ratios: tuple[float, ...]
    ours: float
    yardstick: float
    unit: str
    limit: float | None = None
    is_floor: bool = False  # The limit is a least, not a most.

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def is_met(self) -> bool:
        if self.limit is None:
            return True
        return self.ratio >= self.limit if self.is_floor else self.ratio <= self.limit


def in_pairs(
    count: int, ours: Callable[[], float], yardstick: Callable[[], float]
) -> tuple[tuple[float, ...], float, float]:
    """Return (ratios ours / yardstick, median of ours, median of the yardstick)."""
    rows = [(ours(), yardstick()) for _ in range(count)]
    ratios = tuple(mine / theirs for mine, theirs in rows)
    return (
        ratios,
        statistics.median(row[0] for row in rows),
        statistics.median(row[1] for row in rows),
    )


def percentile(values: list[int], part: float) -> float:
    """Return the value below which `part` of `values` lie, the first twentieth left out."""
    warm = sorted(values[len(values) // 20 :])
    return float(warm[min(len(warm) - 1, int(part * len(warm)))])
