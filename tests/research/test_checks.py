"""A run that does not add up is told from one that does, whatever is wrong with it."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from btcbot.domain.words import Side
from btcbot.research.checks import SHOWN_MAX, problems
from tests.research.runs import DAY_NS, START_NS, fill, order, run
from tests.research.test_fingerprint import changed

ORDERS = [order(n, side) for n, side in enumerate((Side.BUY, Side.BUY, Side.SELL))]
FILLS = [fill(n, line) for n, line in enumerate(ORDERS)]
POINTS = [(START_NS + n * DAY_NS, Decimal(equity)) for n, equity in enumerate((100, 130, 120))]
GOOD = run(ORDERS, FILLS, POINTS, kind="sandbox")


def test_a_run_that_adds_up_has_no_problem() -> None:
    assert problems(GOOD) == []
    assert problems(run(kind="sandbox")) == []


@pytest.mark.parametrize(
    ("section", "name", "value", "said"),
    [
        ("fills", "quantity", Decimal("0.02"), "its fills are 0.02"),
        ("fills", "price", Decimal(4_000_001), "the limit is 4000000"),
        ("fills", "price", Decimal(0), "both are above 0"),
        ("fills", "fee", Decimal(-1), "costs are >= 0"),
        ("fills", "fee", Decimal(1), "the fills make it"),
        ("fills", "tax", Decimal(1), "the fills make it"),
        ("fills", "side", Side.SELL, "its order is a buy"),
        ("fills", "pair", "ETHTRY", "its order is a buy of BTCTRY"),
        ("fills", "fee_asset", "USD", "is not quoted in"),
        ("fills", "client_order_id", "b1-9", "b1-9 is not there"),
        ("fills", "client_order_id", "b1-1", "a sell of BTCTRY|its fills are|BTCTRY; its order"),
        ("orders", "filled", Decimal("0.005"), "0.005 is filled, its fills are 0.01"),
        ("orders", "average_price", Decimal(4), "an average price of 4"),
        ("orders", "quantity", Decimal("0.001"), "0.01 is filled of 0.001"),
        ("orders", "closed_ns", START_NS - 1, "over before it was sent"),
        ("orders", "client_order_id", "b1-1", "b1-1 is there twice"),
        ("equity", "drawdown", Decimal(1), "a drawdown of 1"),
        ("equity", "equity", Decimal(999), "from its peak of 999"),
        ("equity", "at_ns", START_NS + DAY_NS, "not after"),
    ],
)
def test_every_figure_that_does_not_fit_is_found(
    section: str, name: str, value: Any, said: str
) -> None:
    wrong = changed(GOOD, section, 0, name, value)

    found = problems(wrong)

    assert any(part in problem for problem in found for part in said.split("|")), found


@given(st.sampled_from(["TRY", "BTC"]), st.integers(1, 10**12))
def test_a_balance_that_the_fills_do_not_explain_is_found(asset: str, units: int) -> None:
    more = GOOD.balances_last[asset] + Decimal(units).scaleb(-8)
    wrong = replace(GOOD, balances_last={**GOOD.balances_last, asset: more})

    [found] = problems(wrong)

    assert f"{asset} at the end" in found
    paid_in = {asset: Decimal(units).scaleb(-8)}
    assert problems(replace(wrong, moved_in=paid_in)) == []


def test_a_fill_that_comes_twice_is_found() -> None:
    assert "trade 1000 is there twice" in problems(replace(GOOD, fills=(FILLS[0], *FILLS)))


def test_at_most_twenty_problems_are_listed() -> None:
    many = [fill(n, order(n)) for n in range(50)]

    assert len(problems(replace(GOOD, fills=tuple(many)))) == SHOWN_MAX
