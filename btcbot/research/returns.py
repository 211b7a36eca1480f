"""What an equity curve tells: returns, ratios, drawdown, months. Pure; exact until shown.

A return is of a whole period of the UTC clock: a day, an hour or a minute, the longest of which
the run has thirty; the first and the last may be cut. Ratios are of simple returns, with no rate of
interest taken off, and scaled to a year of 365 days by the root of the periods in it. What cannot
be said - a run of one period, a curve that never moves - is None: nothing is divided by zero.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from btcbot.domain.money import ZERO

SECOND_NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * SECOND_NS
YEAR_NS: Final = 365 * DAY_NS
ONE: Final = Decimal(1)
PERIODS: Final = {"day": DAY_NS, "hour": DAY_NS // 24, "minute": 60 * SECOND_NS}
PERIODS_MIN: Final = 30  # Of one length: fewer say nothing, so a shorter one is taken.
ROLLING: Final = 60  # Periods in each value of the rolling ratio.
ANNUAL_MIN_NS: Final = 30 * DAY_NS  # A year made of less is an exaggeration.

Curve = Sequence[tuple[int, Decimal]]
"""(time, equity) in order of time, in one currency."""


class Return(Struct, frozen=True):
    """What one period brought, as a fraction; `at_ns` is its end, or the curve's."""

    at_ns: int
    value: Decimal


class Drawdown(Struct, frozen=True, kw_only=True):
    """The deepest fall from a peak; `recovered_ns` None: not to this day."""

    amount: Decimal
    ratio: Decimal  # Of the peak.
    peak_ns: int
    trough_ns: int
    recovered_ns: int | None


def period_of(curve: Curve) -> str:
    """Return the name of the period that returns of this curve are of."""
    span_ns = curve[-1][0] - curve[0][0] if curve else 0
    for name, length_ns in PERIODS.items():
        if span_ns >= PERIODS_MIN * length_ns:
            return name
    return "minute"


def returns(curve: Curve, length_ns: int) -> tuple[Return, ...]:
    """Return what each period of `length_ns` brought; none once the equity is not above 0."""
    found: list[Return] = []
    before = curve[0][1] if curve else ZERO
    for at_ns, close in _closes(curve, length_ns):
        if before <= 0:
            return ()
        found.append(Return(at_ns, close / before - 1))
        before = close
    return tuple(found)


def _closes(curve: Curve, length_ns: int) -> Iterator[tuple[int, Decimal]]:
    """Yield the equity at the end of every period, the last one known where none was said.

    What is said at the very end of a period belongs to it.
    """
    if len(curve) < 2:
        return
    end_ns, equity = (curve[0][0] // length_ns + 1) * length_ns, curve[0][1]
    for at_ns, now in curve:
        while at_ns > end_ns:
            yield end_ns, equity
            end_ns += length_ns
        equity = now
    yield curve[-1][0], equity


def total_return(curve: Curve) -> Decimal | None:
    """Return last over first, less one."""
    if not curve or curve[0][1] <= 0:
        return None
    return curve[-1][1] / curve[0][1] - 1


def annual_return(curve: Curve) -> Decimal | None:
    """Return the yearly rate that compounds to the whole; None for less than thirty days."""
    whole = total_return(curve)
    if whole is None or whole <= -1:
        return None
    span_ns = curve[-1][0] - curve[0][0]
    if span_ns < ANNUAL_MIN_NS:
        return None
    years = Decimal(span_ns) / YEAR_NS
    return ((1 + whole).ln() / years).exp() - 1


def mean(values: Sequence[Decimal]) -> Decimal | None:
    return sum(values, start=ZERO) / len(values) if values else None


def deviation(values: Sequence[Decimal]) -> Decimal | None:
    """Return the sample's standard deviation (n - 1); None for less than two values."""
    middle = mean(values)
    if middle is None or len(values) < 2:
        return None
    squares = sum(((value - middle) ** 2 for value in values), start=ZERO)
    return (squares / (len(values) - 1)).sqrt()


def sharpe(values: Sequence[Decimal], length_ns: int) -> Decimal | None:
    """Return mean over standard deviation, yearly; None when nothing varies."""
    middle, spread = mean(values), deviation(values)
    if middle is None or not spread:
        return None
    return middle / spread * _root_of_year(length_ns)


def sortino(values: Sequence[Decimal], length_ns: int) -> Decimal | None:
    """Return mean over downside deviation (of all periods, below 0), yearly; None: no loss."""
    middle = mean(values)
    losses = sum((min(value, ZERO) ** 2 for value in values), start=ZERO)
    if middle is None or not losses:
        return None
    return middle / (losses / len(values)).sqrt() * _root_of_year(length_ns)


def _root_of_year(length_ns: int) -> Decimal:
    return (Decimal(YEAR_NS) / length_ns).sqrt()


def drawdown(curve: Curve) -> Drawdown | None:
    """Return the deepest fall as a part of its peak, the first of equal ones; None: never fell."""
    worst: Drawdown | None = None
    deepest, peak_ns, peak = ZERO, 0, ZERO
    for at_ns, equity in curve:
        if equity >= peak:
            if worst is not None and worst.recovered_ns is None and worst.peak_ns == peak_ns:
                worst = replace(worst, recovered_ns=at_ns)
            peak_ns, peak = at_ns, equity
        elif peak > 0 and (fall := (peak - equity) / peak) > deepest:
            deepest = fall
            worst = Drawdown(
                amount=peak - equity,
                ratio=fall,
                peak_ns=peak_ns,
                trough_ns=at_ns,
                recovered_ns=None,
            )
    return worst


def calmar(curve: Curve) -> Decimal | None:
    """Return the yearly return over the deepest fall; None without either."""
    yearly, worst = annual_return(curve), drawdown(curve)
    return None if yearly is None or worst is None else yearly / worst.ratio


def rolling_sharpe(found: Sequence[Return], length_ns: int) -> tuple[Return, ...]:
    """Return the ratio of the last sixty periods at the end of each; none where nothing varies."""
    rows = []
    for end in range(ROLLING, len(found) + 1):
        ratio = sharpe([one.value for one in found[end - ROLLING : end]], length_ns)
        if ratio is not None:
            rows.append(Return(found[end - 1].at_ns, ratio))
    return tuple(rows)


def by_month(curve: Curve) -> dict[str, Decimal]:
    """Return what each UTC month ("2026-01") brought; they compound to the whole."""
    found: dict[str, Decimal] = {}
    before = opened = curve[0][1] if curve else ZERO
    month = ""
    for at_ns, equity in curve:
        name = f"{datetime.fromtimestamp(at_ns // SECOND_NS, UTC):%Y-%m}"
        if name != month:
            month, opened = name, before
        if opened <= 0:
            return {}
        found[month] = equity / opened - 1
        before = equity
    return found


def histogram(values: Sequence[Decimal], bins: int = 21) -> tuple[tuple[Decimal, int], ...]:
    """Return (lower edge, how many) of equal bins from the least to the greatest; empty for none.

    Values that are all the same are one bin.
    """
    if not values:
        return ()
    least, most = min(values), max(values)
    if least == most:
        return ((least, len(values)),)
    width = (most - least) / bins
    counts = [0] * bins
    for value in values:
        counts[min(int((value - least) / width), bins - 1)] += 1
    return tuple((least + width * number, count) for number, count in enumerate(counts))


def quantile(values: Sequence[Decimal], share: Decimal) -> Decimal | None:
    """Return the value below which `share` of all lie, between neighbours in proportion."""
    if not values:
        return None
    rows = sorted(values)
    place = share * (len(rows) - 1)
    low = int(place)
    high = min(low + 1, len(rows) - 1)
    return rows[low] + (rows[high] - rows[low]) * (place - low)
