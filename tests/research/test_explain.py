"""Why two runs differ: each cause is found where it was made, and all of them are the whole."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcbot.domain.words import Side
from btcbot.research.explain import (
    CAUSES,
    Intents,
    Traded,
    brought,
    by_cause,
    explained,
    traded_of,
)
from tests.research.runs import START_NS, fill, order, run

SECOND = 10**9
NONE = Intents()
MARKS = {"BTCTRY": Decimal(4_010_000)}


def middle(_pair: str, at_ns: int) -> Decimal:
    """Rise by 100 a second."""
    return Decimal(4_000_000) + Decimal(at_ns - START_NS) / SECOND * 100


def one(side: Side = Side.BUY, **given: Any) -> list[Traded]:
    """Return a run of one order, filled 25 ms after its decision at its limit."""
    fields = {name: given.pop(name) for name in ("fee", "ts_ns", "price") if name in given}
    line = order(1, side, **given)
    return traded_of(run([line], [fill(1, line, **fields)]))


def causes(
    a: list[Traded], b: list[Traded], a_refused: Intents = NONE, b_refused: Intents = NONE
) -> dict[str, Decimal]:
    found = explained(a, b, a_refused, b_refused, MARKS, middle)
    return {cause: amount for cause, amount in by_cause(found).items() if amount}


def test_two_runs_that_did_the_same_have_no_difference() -> None:
    assert causes(one(), one()) == {}
    assert causes([], []) == {}


def test_a_later_decision_is_a_difference_of_what_was_seen() -> None:
    later = one(at_ns=START_NS + 3 * SECOND, price=Decimal(4_000_000 + 200))

    found = causes(later, one())

    assert set(found) == {"data", "fee"}
    assert found["data"] == -Decimal("0.01") * 200


def test_a_fill_that_came_later_and_took_is_latency_and_one_that_rested_is_queue() -> None:
    at_ns = START_NS + SECOND
    slow = one(ts_ns=at_ns + 525_000_000, price=Decimal(4_000_050), acked_ns=at_ns + SECOND)
    rested = one(ts_ns=at_ns + 525_000_000, price=Decimal(4_000_050))

    assert causes(slow, one())["latency"] == -Decimal("0.01") * 50
    assert causes(rested, one())["queue"] == -Decimal("0.01") * 50


@pytest.mark.parametrize(("side", "sign"), [(Side.BUY, -1), (Side.SELL, 1)])
def test_a_price_beyond_the_same_middle_is_slippage(side: Side, sign: int) -> None:
    found = causes(one(side, price=Decimal(4_000_030)), one(side))

    assert found["slippage"] == sign * Decimal("0.01") * 30


def test_another_rate_is_a_fee() -> None:
    assert causes(one(fee=Decimal(50)), one(fee=Decimal(40))) == {"fee": Decimal(-10)}


def test_what_the_exchange_did_not_take_is_a_rejection() -> None:
    line = order(1, state="REJECTED", filled=Decimal(0), average_price=None, acked_ns=None)

    found = causes(traded_of(run([line])), one())

    assert found["rejection"] == -Decimal("0.01") * 10_000
    assert set(found) == {"rejection", "fee"}


def test_what_filled_in_part_is_queue_and_what_was_sent_smaller_is_data() -> None:
    half = order(1, filled=Decimal("0.005"))
    small = order(1, quantity=Decimal("0.005"))

    part = causes(traded_of(run([half], [fill(1, half, quantity=Decimal("0.005"))])), one())
    cut = causes(traded_of(run([small], [fill(1, small)])), one())

    assert part["queue"] == cut["data"] == -Decimal("0.005") * 10_000


def test_an_order_that_one_run_alone_has_is_risk_where_the_other_refused_it_else_data() -> None:
    refused = Intents(refused={("BTCTRY", "buy"): [START_NS]})
    whole = brought(one(), MARKS)

    assert causes(one(), []) == {"data": whole}
    assert causes([], one()) == {"data": -whole}
    assert causes(one(), [], b_refused=refused) == {"risk": whole}
    assert causes([], one(), a_refused=refused) == {"risk": -whole}
    assert causes(one(), [], a_refused=refused) == {"data": whole}


ORDERS = st.lists(
    st.tuples(
        st.sampled_from(list(Side)),
        st.integers(0, 60),  # Seconds.
        st.integers(1, 500),  # Quantity in 1e-4.
        st.integers(0, 500),  # Filled.
        st.integers(-900, 900),  # Price beyond 4,000,000.
        st.sampled_from(["CLOSED", "REJECTED"]),
    ),
    max_size=8,
)


def made(rows: list[tuple[Side, int, int, int, int, str]]) -> list[Traded]:
    orders, fills = [], []
    for number, (side, second, size, filled, beyond, state) in enumerate(rows):
        part = Decimal(min(size, filled)).scaleb(-4)
        line = order(
            number,
            side,
            at_ns=START_NS + second * SECOND,
            quantity=Decimal(size).scaleb(-4),
            price=Decimal(4_000_000 + beyond),
            state=state,
            filled=part,
        )
        orders.append(line)
        if part:
            fills.append(fill(number, line, quantity=part))
    return traded_of(run(orders, fills))


@given(ORDERS, ORDERS)
def test_the_causes_add_up_to_the_difference_whatever_the_runs(
    a: list[tuple[Side, int, int, int, int, str]], b: list[tuple[Side, int, int, int, int, str]]
) -> None:
    first, second = made(a), made(b)

    found = explained(first, second, Intents(), Intents(), MARKS, middle)

    whole = brought(first, MARKS) - brought(second, MARKS)
    assert abs(sum(by_cause(found).values()) - whole) < Decimal("0.00000001")
    assert set(by_cause(found)) == set(CAUSES)
    named = [row.a for row in found if row.a], [row.b for row in found if row.b]
    assert [sorted(names) for names in named] == [
        sorted(one.line.client_order_id for one in orders) for orders in (first, second)
    ]


def test_orders_are_paired_with_the_nearest_within_ten_seconds() -> None:
    def at(*seconds: float) -> list[Traded]:
        lines = [order(n, at_ns=START_NS + round(s * SECOND)) for n, s in enumerate(seconds)]
        return traded_of(run(lines))

    def pairs(a: list[Traded], b: list[Traded]) -> list[tuple[str, str]]:
        return [(one.a, one.b) for one in explained(a, b, NONE, NONE, MARKS, middle)]

    assert pairs(at(20), at(30)) == pairs(at(20), at(10)) == [("b1-0", "b1-0")]
    assert sorted(pairs(at(20), at(30.1))) == [("", "b1-0"), ("b1-0", "")]
    assert pairs(at(20, 24), at(23)) == [("b1-0", ""), ("b1-1", "b1-0")]
