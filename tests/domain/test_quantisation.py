"""Quantisation and units: rounding never enlarges an order, and base is never taken for quote."""

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import DOCUMENTED, Instrument
from btcbot.domain.money import Notional, Price, step_of

ROOT = Path(__file__).resolve().parents[2]


@st.composite
def instruments(draw: st.DrawFn) -> Instrument:
    """Rules as exchange info may state them: the tick is never finer than the price's scale."""
    scale = draw(st.integers(0, 8))
    coarse = draw(st.sampled_from(["0.0001", "0.01", "0.05", "0.25", "1", "5", "10", "1000"]))
    return Instrument(
        pair=Pair("XTRY"), base=Asset("X"), quote=Asset("TRY"), price_scale=scale,
        quantity_scale=draw(st.integers(0, 8)), tick=max(Decimal(coarse), step_of(scale)),
        notional_min=Notional(Decimal("99.91")),
    )  # fmt: skip


amounts = st.decimals("0.00000001", "9999999", places=10)


@given(rules=instruments(), price=amounts, quantity=amounts)
def test_rounding_never_enlarges_an_order(
    rules: Instrument, price: Decimal, quantity: Decimal
) -> None:
    less, low, high = rules.quantity_down(quantity), rules.price_down(price), rules.price_up(price)

    assert 0 <= less <= quantity < less + rules.step
    assert less % rules.step == 0
    assert 0 <= low <= price < low + rules.tick
    assert low % rules.tick == 0
    assert high - rules.tick < price <= high  # A sell asks no less.
    assert high % rules.tick == 0
    assert less * low <= quantity * price  # A buy costs no more.


@given(rules=instruments(), price=amounts, quantity=amounts)
def test_rounding_what_is_rounded_changes_nothing(
    rules: Instrument, price: Decimal, quantity: Decimal
) -> None:
    less, low, high = rules.quantity_down(quantity), rules.price_down(price), rules.price_up(price)

    assert rules.quantity_down(less) == less
    assert rules.price_down(low) == rules.price_up(low) == low
    assert rules.price_up(high) == rules.price_down(high) == high


@pytest.mark.parametrize(
    ("price", "is_right"),
    [("99", False), ("100", True), ("9999", True), ("10000", True), ("10000.01", False)],
)
def test_a_price_outside_the_bounds_is_not_right(price: str, *, is_right: bool) -> None:
    low, high = Price(Decimal(100)), Price(Decimal(10_000))
    rules = replace(DOCUMENTED[Pair("BTCTRY")], price_min=low, price_max=high)

    assert rules.is_priced_right(Price(Decimal(price))) is is_right
    assert DOCUMENTED[Pair("BTCTRY")].is_priced_right(Price(Decimal(price)))


MIXED = """
from decimal import Decimal
from btcbot.domain.money import Bps, Notional, Price, Quantity, part_of

price, quantity, notional = Price(Decimal(1)), Quantity(Decimal(1)), Notional(Decimal(1))

def order(quantity: Quantity, price: Price) -> None: ...

order(quantity, price)
part_of(notional, Bps(Decimal(12)))
order(notional, price)  # WRONG: quote for base
order(price, quantity)  # WRONG, twice
order(quantity, price * 2)  # WRONG: a bare number
part_of(quantity, Bps(Decimal(12)))  # WRONG: base for quote
part_of(notional, price)  # WRONG
"""


def test_the_type_checker_refuses_base_for_quote_and_a_price_for_an_amount(
    tmp_path: Path,
) -> None:
    pytest.importorskip("mypy", reason="the lint extra is not installed")
    (tmp_path / "mixed.py").write_text(MIXED)

    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "mixed.py"]
    checked = subprocess.run(
        command, cwd=tmp_path, env={"MYPYPATH": str(ROOT), "PATH": ""},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip

    found = {int(row.split(":")[1]) for row in checked.stdout.splitlines() if "error:" in row}
    wrong = {n for n, row in enumerate(MIXED.splitlines(), 1) if "# WRONG" in row}
    assert found == wrong, checked.stdout + checked.stderr
