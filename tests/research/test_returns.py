"""Statistics of an equity curve, against the arithmetic of polars and against the definitions."""

import math
import statistics
from decimal import Decimal
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcbot.research import returns
from tests.research.runs import DAY_NS, START_NS, Curve, curve

HOUR_NS = DAY_NS // 24
MONEY = st.integers(1, 10**9).map(lambda n: Decimal(n) / 100)


def values(found: Curve, length_ns: int = DAY_NS) -> list[Decimal]:
    return [one.value for one in returns.returns(found, length_ns)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_ratio_is_what_another_library_computes(seed: int) -> None:
    made = curve(400, seed=seed)
    frame = pl.DataFrame({"equity": [float(equity) for _, equity in made]})
    change = frame["equity"].pct_change().drop_nulls()
    below = change.clip(upper_bound=0.0)
    year = math.sqrt(365)

    found = values(made)

    assert [float(value) for value in found] == pytest.approx(change.to_list())
    assert float(returns.sharpe(found, DAY_NS) or 0) == pytest.approx(
        change.mean() / change.std(ddof=1) * year  # type: ignore[operator]
    )
    assert float(returns.sortino(found, DAY_NS) or 0) == pytest.approx(
        change.mean() / math.sqrt((below * below).mean()) * year  # type: ignore[operator, arg-type]
    )
    fall = frame.select((1 - pl.col("equity") / pl.col("equity").cum_max()).max()).item()
    worst = returns.drawdown(made)
    assert worst is not None
    assert float(worst.ratio) == pytest.approx(fall)
    yearly = ((1 + change).product() ** (365 / 399)) - 1
    assert float(returns.annual_return(made) or 0) == pytest.approx(yearly)
    assert float(returns.calmar(made) or 0) == pytest.approx(yearly / fall)
    rolling = (
        change.rolling_mean(returns.ROLLING) / change.rolling_std(returns.ROLLING, ddof=1) * year
    ).drop_nulls()
    shown = returns.rolling_sharpe(returns.returns(made, DAY_NS), DAY_NS)
    assert [float(one.value) for one in shown] == pytest.approx(rolling.to_list())
    for share in ("0.05", "0.5", "0.95"):
        expected = change.quantile(float(share), interpolation="linear")
        assert float(returns.quantile(found, Decimal(share)) or 0) == pytest.approx(expected)


def test_the_deepest_fall_names_its_peak_its_bottom_and_its_recovery() -> None:
    steps = [100, 120, 90, 110, 121, 60, 70, 121, 130, 65, 130]
    made = [(START_NS + n * DAY_NS, Decimal(equity)) for n, equity in enumerate(steps)]

    worst = returns.drawdown(made)

    assert worst is not None
    assert (worst.amount, worst.ratio) == (Decimal(61), Decimal(61) / 121)
    days = [(at_ns - START_NS) // DAY_NS for at_ns in (worst.peak_ns, worst.trough_ns)]
    assert days == [4, 5]
    assert worst.recovered_ns == START_NS + 7 * DAY_NS
    not_yet = returns.drawdown(made[:7])
    assert not_yet is not None
    assert not_yet.recovered_ns is None


def test_an_hour_in_which_nothing_was_said_brought_nothing() -> None:
    made = [
        (START_NS + HOUR_NS // 2, Decimal(100)),
        (START_NS + HOUR_NS, Decimal(110)),  # The very end of the first hour.
        (START_NS + 3 * HOUR_NS + 1, Decimal(121)),
    ]

    found = returns.returns(made, HOUR_NS)

    assert [one.value for one in found] == [Decimal("0.1"), 0, 0, Decimal("0.1")]
    assert [one.at_ns for one in found] == [
        *(START_NS + n * HOUR_NS for n in (1, 2, 3)),
        START_NS + 3 * HOUR_NS + 1,
    ]


@pytest.mark.parametrize(
    ("span_ns", "name"),
    [(30 * DAY_NS, "day"), (30 * DAY_NS - 1, "hour"), (30 * HOUR_NS - 1, "minute"), (0, "minute")],
)
def test_the_period_is_the_longest_of_which_there_are_thirty(span_ns: int, name: str) -> None:
    assert returns.period_of([(START_NS, Decimal(1)), (START_NS + span_ns, Decimal(1))]) == name


@given(st.lists(MONEY, max_size=40), st.integers(1, 20 * 24))
def test_parts_compound_to_the_whole_whatever_they_are(money: list[Decimal], hours: int) -> None:
    made = [(START_NS + n * hours * HOUR_NS, equity) for n, equity in enumerate(money)]
    whole = returns.total_return(made)
    for rows in (values(made), list(returns.by_month(made).values())):
        grown = Fraction(1)
        for value in rows:
            grown *= 1 + Fraction(value)
        assert float(grown) == pytest.approx(1 + float(whole or 0))
    assert sum(count for _, count in returns.histogram(values(made))) == len(values(made))


@given(st.lists(MONEY, min_size=2, max_size=30))
def test_mean_and_deviation_are_those_of_the_standard_library(money: list[Decimal]) -> None:
    assert returns.mean(money) == statistics.mean(money)
    assert float(returns.deviation(money) or 0) == pytest.approx(
        float(Fraction(statistics.variance([Fraction(x) for x in money]))) ** 0.5, abs=1e-9
    )


@pytest.mark.parametrize(
    "made",
    [
        [],
        [(START_NS, Decimal(100))],
        [(START_NS, Decimal(0)), (START_NS + DAY_NS, Decimal(0))],
        [(START_NS, Decimal(100)), (START_NS + DAY_NS, Decimal(0)), (START_NS + 9, Decimal(0))],
        [(START_NS + n * DAY_NS, Decimal(100)) for n in range(90)],
    ],
    ids=["empty", "one point", "worthless", "lost", "flat"],
)
def test_what_cannot_be_said_is_not_known_and_nothing_is_divided_by_zero(made: Curve) -> None:
    found = values(made)

    assert returns.sharpe(found, DAY_NS) is None
    assert returns.sortino(found, DAY_NS) is None or Decimal(-1) in found
    assert returns.calmar(made) is None
    assert returns.rolling_sharpe(returns.returns(made, DAY_NS), DAY_NS) == ()
    assert returns.quantile([], Decimal("0.5")) is None
    returns.period_of(made)
    returns.by_month(made)
    returns.histogram(found)
    returns.drawdown(made)
