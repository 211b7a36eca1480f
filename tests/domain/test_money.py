"""Money: one strict grammar in, one canonical text out, and rounding that never enlarges."""

from decimal import Decimal, FloatOperation

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcbot.domain.money import (
    DIGITS_MAX,
    MAGNITUDE_MAX,
    Bps,
    MoneyError,
    Notional,
    ceil_to,
    floor_to,
    half_up,
    is_sane,
    parse,
    part_of,
    step_of,
    text,
)

plain = st.from_regex(r"-?[0-9]{1,15}(\.[0-9]{1,16})?", fullmatch=True, alphabet="-.0123456789")
amounts = st.decimals("-999999999999999", "999999999999999", places=16)
steps = st.sampled_from(["10", "1", "0.01", "0.001", "0.00000001", "0.05", "0.03"]).map(Decimal)


@given(plain)
def test_text_of_the_grammar_is_read_exactly(said: str) -> None:
    assert parse(said) == Decimal(said)


@pytest.mark.parametrize(
    "said",
    ["", " 1 ", "1 ", "+1", "1_000", "1,5", "1.", ".5", "1e5", "1E5", "0x10", "--1", "NaN", "sNaN",
     "-NaN", "Infinity", "-inf", "1e999999", "\u0661\u0662", "\uff11", "1\n", "1" * 16,
     "0." + "1" * 17],
)  # fmt: skip
def test_anything_else_is_refused_with_what_was_found(said: str) -> None:
    with pytest.raises(MoneyError, match="not a decimal number") as refused:
        parse(said)
    assert repr(said[:40]) in str(refused.value)


@given(amounts)
def test_text_is_canonical_and_means_the_same(value: Decimal) -> None:
    said = text(value)
    assert parse(said) == value
    assert "e" not in said.lower()
    assert text(Decimal(said)) == said
    assert text(value * Decimal("1.000")) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [("-0", "0"), ("0E+7", "0"), ("-0.000", "0"), ("1E+3", "1000"), ("1E-8", "0.00000001"),
     ("12.500", "12.5"), ("100", "100")],
)  # fmt: skip
def test_odd_spellings_have_one_text(value: str, said: str) -> None:
    assert text(Decimal(value)) == said


@given(st.decimals("-1e15", "1e15", places=30), steps)
def test_rounding_stays_within_a_step_and_on_the_grid(value: Decimal, step: Decimal) -> None:
    down, up = floor_to(value, step), ceil_to(value, step)
    assert down <= value <= up
    assert value - down < step
    assert up - value < step
    assert down % step == 0 == up % step


def test_rounding_down_never_goes_up_however_close_the_next_step_is() -> None:
    nearly = 3 * Decimal("0.03") - Decimal("1e-63")
    assert floor_to(nearly, Decimal("0.03")) == Decimal("0.06")
    assert floor_to(-nearly, Decimal("0.03")) == Decimal("-0.09")
    assert ceil_to(3 * Decimal("0.03") + Decimal("1e-63"), Decimal("0.03")) == Decimal("0.12")


def test_halves_go_away_from_zero() -> None:
    assert half_up(Decimal("0.125"), 2) == Decimal("0.13")
    assert half_up(Decimal("-0.125"), 2) == Decimal("-0.13")


def test_a_part_in_bps_is_exact() -> None:
    assert part_of(Notional(Decimal("99.91")), Bps(Decimal(24))) == Decimal("0.239784")


def test_a_step_is_the_smallest_unit_of_a_scale() -> None:
    assert step_of(8) == Decimal("0.00000001")
    assert step_of(0) == 1


@pytest.mark.parametrize(
    ("value", "is_fine"),
    [("0", True), ("-0.00", True), ("1e15", True), ("-1e15", True), ("1e-16", True),
     ("1" * DIGITS_MAX + "E-33", True), ("1" * (DIGITS_MAX + 1) + "E-34", False),
     ("1000000000000000.0000000000000001", False), ("9e-17", False), ("NaN", False),
     ("sNaN", False), ("Infinity", False), ("1e999999", False), ("0e-999999", False),
     ("0e+999999", False)],
)  # fmt: skip
def test_sane_is_finite_bounded_and_short(value: str, is_fine: bool) -> None:
    assert is_sane(Decimal(value)) is is_fine
    assert MAGNITUDE_MAX == 10**15


def test_mixing_in_a_float_raises() -> None:
    with pytest.raises(FloatOperation):
        assert Decimal(1) < 1.5
