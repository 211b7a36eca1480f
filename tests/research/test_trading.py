"""What trading did, and how well: recomputed from the fills one by one."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcbot.domain.words import Side
from btcbot.research import quality, trading
from btcbot.research.lines import FillLine, OrderLine
from tests.research.runs import START_NS, fill, order

SECOND_NS = 10**9
Tape = tuple[list[OrderLine], list[FillLine]]
LEGS = st.lists(
    st.tuples(st.sampled_from(list(Side)), st.integers(1, 900), st.integers(3_900, 4_100)),
    max_size=25,
)


def tape(legs: list[tuple[Side, int, int]]) -> Tape:
    """Return an order and its fill for each (side, quantity in 1e-4, price in thousands)."""
    orders = [
        order(n, side, quantity=Decimal(units).scaleb(-4), price=Decimal(price * 1_000))
        for n, (side, units, price) in enumerate(legs)
    ]
    return orders, [fill(n, line) for n, line in enumerate(orders)]


@given(LEGS)
def test_turnover_fees_and_closed_trades_are_those_of_a_second_computation(
    legs: list[tuple[Side, int, int]],
) -> None:
    _, fills = tape(legs)
    held, cost, gained, lost = (Fraction(0),) * 4
    wins = closed = 0
    for line in fills:
        price, size = Fraction(line.price), Fraction(line.quantity)
        charges = Fraction(line.fee) + Fraction(line.tax)
        if line.side is Side.BUY:
            held, cost = held + size, cost + price * size + charges
            continue
        sold = min(size, held)
        part = cost * sold / held if held else Fraction(0)
        result = sold * price - part - charges
        if held:
            closed, wins = closed + 1, wins + (result > 0)
            gained += max(result, Fraction(0))
            lost += max(-result, Fraction(0))
        held, cost = held - sold, cost - part

    found = trading.traded(fills, START_NS)
    rows = list(found.closed.values())

    sums = found.totals.get("TRY")  # type: ignore[call-overload]
    assert (sums.turnover if sums else 0) == sum(x.price * x.quantity for x in fills)
    assert (sums.fees if sums else 0) == sum(x.fee + x.tax for x in fills)
    rate, factor = trading.win_rate(rows), trading.profit_factor(rows)
    assert rate == (None if not closed else Decimal(wins) / closed)
    assert (factor is None) is (not lost)
    if factor is not None:
        assert float(factor) == pytest.approx(float(gained / lost), abs=1e-9)


@given(LEGS)
def test_the_days_and_the_pairs_add_up_to_the_whole(legs: list[tuple[Side, int, int]]) -> None:
    orders, fills = tape(legs)
    spread_out = [
        fill(n, line, ts_ns=START_NS + n * 17 * 3_600 * SECOND_NS) for n, line in enumerate(orders)
    ]
    found = trading.traded(spread_out, START_NS)
    for name in ("turnover", "fees", "realized", "fills"):
        whole = sum((getattr(one, name) for one in found.totals.values()), start=Decimal(0))
        for parts in (found.days, found.pairs):
            assert sum(getattr(one, name) for one in parts.values()) == whole
    assert sum(one.fills for one in found.totals.values()) == len(fills)


def test_time_in_the_market_is_from_the_first_unit_to_the_last() -> None:
    buy, sell, again = order(0), order(60, Side.SELL), order(90)
    fills = [fill(n, line, ts_ns=line.created_ns) for n, line in enumerate((buy, sell, again))]

    held = trading.traded(fills, START_NS + 100 * SECOND_NS).in_market_ns

    assert held == 70 * SECOND_NS
    assert trading.traded([], START_NS).in_market_ns == 0


def test_what_a_person_traded_is_counted_and_in_no_sum() -> None:
    mine, theirs = order(0), order(1)
    fills = [fill(0, mine), fill(1, theirs, intent_id=None, client_order_id=None)]

    found = trading.traded(fills, START_NS)

    assert (found.foreign, sum(one.fills for one in found.totals.values())) == (1, 1)


def test_slippage_is_what_was_paid_beyond_the_middle_weighted_by_value() -> None:
    middle = Decimal(4_000_000)
    buy = order(0, arrival_price=middle, quantity=Decimal("0.03"), price=middle + 4_000)
    sell = order(1, Side.SELL, arrival_price=middle, price=middle + 2_000)
    blind = order(2, arrival_price=None)
    lines = [buy, sell, blind]

    found = list(quality.slippages(lines, [fill(n, line) for n, line in enumerate(lines)]))

    assert [one.bps for one in found] == [10, -5]
    assert [one.cost for one in found] == [120, -20]
    assert quality.mean_bps(found) == Decimal("6.25")
    assert quality.mean_bps([]) is None


def test_the_makers_share_is_of_what_is_known() -> None:
    rest, take, quiet = (order(n) for n in range(3))
    fills = [
        fill(0, rest, liquidity="maker", quantity=Decimal("0.03")),
        fill(1, take, liquidity="taker"),
        fill(2, quiet, liquidity=None),
    ]

    found = quality.maker_of(fills)

    assert (found.share, found.unknown) == (Decimal("0.75"), Decimal(40_000))
    assert quality.maker_of([]).share is None


def test_the_time_to_fill_is_measured_from_the_sending_to_the_first_fill() -> None:
    orders = [order(n) for n in range(10)]
    never = order(11, state="CLOSED", filled=Decimal(0), closed_ns=None, acked_ns=None)
    fills = [fill(n, line, ts_ns=line.created_ns + (n + 1) * SECOND_NS)
             for n, line in enumerate(orders)]  # fmt: skip
    later = [fill(20 + n, line, ts_ns=line.created_ns + 60 * SECOND_NS)
             for n, line in enumerate(orders)]  # fmt: skip

    found = quality.hops([*orders, never], [*later, *fills])

    took = found["sent to first fill"]
    assert (took.count, took.median, took.longest) == (10, Decimal("5.5e9"), 10 * SECOND_NS)
    assert found["sent to acknowledged"].count == 10
    assert found["decided to approved"].count == 11
    assert quality.spread([]) == quality.Spread(count=0, median=None, most=None, longest=None)
