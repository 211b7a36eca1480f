"""Weights, and amounts split by scores: never more than there is."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcbot.domain.ids import Pair
from btcbot.portfolio.targets import WeightsError, equal, normalised, split
from tests.portfolio.accounts import A, B, C
from tests.portfolio.markets import D


@pytest.mark.parametrize("total", ["0.95", "1", "1.05"])
def test_weights_that_nearly_add_up_are_normalised(total: str) -> None:
    half = D(total) / 2
    assert normalised({B: half, A: half}, ()) == {A: D("0.5"), B: D("0.5")}


def test_one_pair_may_be_all_and_another_nothing() -> None:
    assert normalised({A: D(1), B: D(0)}, ()) == {A: D(1), B: D(0)}


@pytest.mark.parametrize(
    ("weights", "found"),
    [
        ({A: "0.9499"}, "weights add up to 0.9499: allowed is 0.95 to 1.05"),
        ({A: "0.6", B: "0.4501"}, "weights add up to 1.0501"),
        ({A: "-0.1", B: "1"}, "weight of ATRY = -0.1: allowed is 0 to 1"),
        ({A: "1.01"}, "weight of ATRY = 1.01"),
        ({A: "NaN"}, "weight of ATRY = NaN"),
    ],
)
def test_other_weights_are_refused_with_what_is_allowed(
    weights: dict[Pair, str], found: str
) -> None:
    with pytest.raises(WeightsError, match=found):
        normalised({pair: D(weight) for pair, weight in weights.items()}, ())


def test_no_weights_mean_equal_ones() -> None:
    third = D("0.333333333333")
    assert normalised({}, (C, A, B, A)) == {A: third, B: third, C: third}
    assert equal(()) == {}


@given(st.dictionaries(st.text("ABC", min_size=1).map(Pair), st.decimals("0", "1", places=9)))
def test_normalised_weights_never_add_up_to_more_than_one(weights: dict[Pair, Decimal]) -> None:
    total = sum(weights.values(), D(0))
    if weights and D("0.95") <= total <= D("1.05"):
        assert D("0.999999") < sum(normalised(weights, ()).values(), D(0)) <= 1


def test_an_amount_is_split_by_positive_scores() -> None:
    assert split(D(1_000), {A: D(3), B: D(1), C: D(-5)}, D(10)) == {A: D(750), B: D(250)}
    assert split(D(1_000), {A: D(0), B: D(-1)}, D(10)) == {}
    assert split(D(0), {A: D(1)}, D(0)) == {}


def test_a_part_too_small_for_an_order_goes_to_the_others() -> None:
    assert split(D(100), {A: D(8), B: D(1), C: D(1)}, D(20)) == {A: D(100)}
    assert split(D(100), {A: D(1), B: D(1), C: D(1)}, D(50)) == {A: D(50), B: D(50)}  # By name.
    assert split(D(100), {A: D(1)}, D("100.01")) == {}


@given(
    st.decimals("0", "100000", places=4),
    st.dictionaries(st.text("ABC", min_size=1).map(Pair), st.decimals("-9", "9", places=5)),
    st.decimals("0", "1000", places=2),
)
def test_a_split_is_never_more_than_the_amount_and_no_part_below_the_least(
    amount: Decimal, scores: dict[Pair, Decimal], least: Decimal
) -> None:
    found = split(amount, scores, least)
    assert sum(found.values(), D(0)) <= amount
    assert all(part >= least and scores[pair] > 0 for pair, part in found.items())
    assert split(amount, dict(reversed(list(scores.items()))), least) == found
