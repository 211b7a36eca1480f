"""Whatever changes in what a run did changes its fingerprint, and the first change is named."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from btcbot.domain.words import Side
from btcbot.research import fingerprint
from btcbot.research.lines import Run
from tests.research.runs import DAY_NS, START_NS, fill, order, run

ORDERS = [order(n, side) for n, side in enumerate((Side.BUY, Side.BUY, Side.SELL))]
WHOLE = run(
    ORDERS,
    [fill(n, line) for n, line in enumerate(ORDERS)],
    [(START_NS + n * DAY_NS, Decimal(equity)) for n, equity in enumerate((100, 130, 120))],
)
PLACES = [
    (section, row, name)
    for section in ("orders", "fills", "equity")
    for row in range(3)
    for name in getattr(WHOLE, section)[0].__struct_fields__
]


def changed(whole: Run, section: str, row: int, name: str, value: Any) -> Run:
    rows = list(getattr(whole, section))
    rows[row] = replace(rows[row], **{name: value})
    return replace(whole, **{section: tuple(rows)})


def other(value: Any, by: int) -> Any:
    """Return another value of the same type."""
    match value:
        case Side():
            return Side.SELL if value is Side.BUY else Side.BUY
        case int():
            return value + by
        case Decimal():
            return value + Decimal(by).scaleb(-8)
        case None:
            return Decimal(by)
        case _:
            return f"{value}{by}"


@given(st.sampled_from(PLACES), st.integers(1, 10**9))
def test_any_change_in_an_order_a_fill_or_the_equity_changes_it_and_is_named(
    place: tuple[str, int, str], by: int
) -> None:
    section, row, name = place
    before = getattr(getattr(WHOLE, section)[row], name)

    after = changed(WHOLE, section, row, name, other(before, by))

    assert fingerprint.of(after).whole != fingerprint.of(WHOLE).whole
    [found] = fingerprint.differences(WHOLE, after)
    assert (found.section, found.row, found.field) == (section, row + 1, name)
    assert (found.a, found.b) != (found.b, found.a)


@given(
    st.sampled_from(["balances_first", "balances_last"]),
    st.sampled_from(["TRY", "BTC", "ETH"]),
    st.integers(1, 10**9).map(lambda n: Decimal(n).scaleb(-8)),
)
def test_any_change_in_a_balance_changes_it(when: str, asset: str, by: Decimal) -> None:
    before = getattr(WHOLE, when)

    after = replace(WHOLE, **{when: {**before, asset: before.get(asset, Decimal(0)) + by}})

    assert fingerprint.of(after).whole != fingerprint.of(WHOLE).whole
    [found] = fingerprint.differences(WHOLE, after)
    assert (found.section, found.name) == ("balances", asset)


def test_amounts_count_by_value_and_not_by_how_they_are_written() -> None:
    spelled = changed(WHOLE, "orders", 0, "quantity", Decimal("0.0100"))

    assert fingerprint.of(spelled) == fingerprint.of(WHOLE)
    assert fingerprint.differences(spelled, WHOLE) == []


@pytest.mark.parametrize("section", ["orders", "fills", "equity"])
def test_a_row_that_one_run_alone_has_is_a_difference(section: str) -> None:
    shorter = replace(WHOLE, **{section: getattr(WHOLE, section)[:-1]})

    [found] = fingerprint.differences(shorter, WHOLE)

    assert (found.section, found.row, found.field, found.a) == (section, 3, "", None)


def test_of_several_differences_the_earliest_in_time_comes_first() -> None:
    late = changed(WHOLE, "orders", 2, "limit_price", Decimal(1))
    both = changed(late, "fills", 1, "fee", Decimal(1))

    found = fingerprint.differences(WHOLE, both)

    assert [(one.section, one.row) for one in found] == [("fills", 2), ("orders", 3)]
    assert msgspec.json.encode(found)
