"""Exposure equals balances times marks, with a fingerprint that equal accounts share."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from btcbot.portfolio.exposure import Held, exposure
from tests.portfolio.accounts import A, B, C, account, line
from tests.portfolio.markets import D


def test_exposure_and_concentration_equal_balances_times_marks() -> None:
    on = account(50, line("A", held="1", free="0"), line("B", "50", held="6"), line("C"))
    found = exposure(on, largest=1)
    assert found.held == (Held(B, D(300), D("0.75")), Held(A, D(100), D("0.25")))
    assert (found.total, found.concentration, found.cash_free) == (D(400), D("0.75"), D(50))


def test_nothing_held_is_no_exposure_and_no_concentration() -> None:
    found = exposure(account(50))
    assert (found.held, found.total, found.concentration) == ((), D(0), D(0))


def test_what_has_no_price_is_named_and_not_guessed() -> None:
    found = exposure(account(0, line("A", None, held="1"), line("C", held="1")))
    assert found.unpriced == (A,)
    assert [row.pair for row in found.held] == [C]


def test_the_fingerprint_is_of_the_values_and_not_of_how_they_are_written() -> None:
    on = account("50.0", line("A", held="1.00"), line("B"))
    same = account(50, line("B"), line("A", held="1"))
    assert exposure(on).fingerprint == exposure(same).fingerprint
    for other in (
        account(51, line("A", held="1"), line("B")),
        account(50, line("A", held="2"), line("B")),
        account(50, line("A", "101", held="1"), line("B")),
        account(50, line("A", None, held="1"), line("B")),
        account(50, line("A", held="1", free="1"), line("B")),
        account(50, line("A", held="1", buying="1"), line("B")),
        account(50, line("A", held="1")),
        replace(on, quote="USDT"),
    ):
        assert exposure(other).fingerprint != exposure(on).fingerprint


@given(st.lists(st.decimals("0", "9", places=3), min_size=3, max_size=3), st.integers(0, 4))
def test_shares_never_add_up_to_more_than_all(held: list[Decimal], largest: int) -> None:
    rows = [line(base, held=str(found)) for base, found in zip("ABC", held, strict=True)]
    found = exposure(account(0, *rows), largest)
    assert found.total == sum(held, D(0)) * 100
    assert sum((row.share for row in found.held), D(0)) <= 1
    assert 0 <= found.concentration <= 1
    assert [row.value for row in found.held] == sorted((row.value for row in found.held),
                                                       reverse=True)  # fmt: skip
