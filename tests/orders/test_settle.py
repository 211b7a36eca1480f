"""Fills once each, closing by conservation, and books that agree with balances to the last unit."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import CODEC
from btcbot.domain.facts import (
    BalancesExplained,
    Discrepancy,
    Fill,
    OrderClosed,
    OrderClosing,
    TradingStateChanged,
)
from btcbot.domain.ids import OrderId, Pair
from btcbot.domain.money import half_up
from btcbot.domain.venue import Doorbell, FillsRead, ReadBalances, ReadFills, ReadOrder
from btcbot.domain.words import OrderState as S
from btcbot.domain.words import Side, TradingState
from tests.orders.desks import BTC, ETH, NOW, SECOND, TRY, Floor, intent, listed, ready, trade

WANTED = intent()  # 0.001 BTC at 2,490,000.


def placed() -> Floor:
    floor = ready()
    floor.place(WANTED, 7)
    return floor


def fill(floor: Floor, number: int, quantity: str, **changes: Any) -> None:
    """Let the exchange list a trade of the order, and move the money."""
    row = trade(number, 7, WANTED, quantity=quantity, **changes)
    floor.trades.append(row)
    cost = row.quantity * row.price + row.fee + row.tax
    floor.move(BTC, row.quantity, row.quantity)
    floor.move(TRY, -cost, Decimal(0))


def end(floor: Floor, left: str, status: str = "Canceled") -> None:
    """Let the order leave the book."""
    floor.open.clear()
    floor.ended.append(listed(7, WANTED, left=left, status=status))
    floor.release()


def test_a_fill_is_booked_once_however_often_it_is_listed() -> None:
    floor = placed()
    fill(floor, 1, "0.0004", fee="1.2", tax="0.3")
    floor.wait(60)
    floor.restart().open_up()
    floor.wait(60)

    [booked] = floor.said(Fill)
    assert (booked.trade_id, booked.order_id, booked.intent_id) == (1, 7, WANTED.intent_id)
    assert floor.order(WANTED).filled == Decimal("0.0004")
    assert floor.desk.ledger[BTC] == Decimal("1.0004")
    assert floor.desk.ledger[TRY] == 100_000 - Decimal(996) - Decimal("1.5")
    assert floor.is_in(TradingState.LIVE)


def test_a_trade_that_stands_twice_in_one_list_is_booked_once() -> None:
    floor = placed()
    fill(floor, 1, "0.0004")
    floor.trades.append(floor.trades[-1])
    floor.wait(60)

    assert len(floor.said(Fill)) == 1
    assert floor.is_in(TradingState.LIVE)


def test_trades_are_booked_in_the_order_in_which_they_happened() -> None:
    floor = placed()
    for number, at_ns in ((3, 20), (2, 30), (1, 10)):
        floor.trades.append(trade(number, 7, WANTED, quantity="0.0001", event_ns=NOW + at_ns))
    floor.wait(3)

    assert [booked.trade_id for booked in floor.said(Fill)] == [1, 3, 2]


def test_the_same_trade_id_of_another_order_or_side_is_another_fill() -> None:
    floor = placed()
    floor.trades += [
        trade(1, 7, WANTED, quantity="0.0001"),
        trade(1, 8),
        trade(1, 8, side=Side.SELL),
    ]
    floor.wait(3)
    assert len(floor.said(Fill)) == 3


@pytest.mark.parametrize(
    "change", [{"quantity": "0.0005"}, {"price": "2480000"}, {"fee": "9"}, {"tax": "9"}]
)
def test_a_trade_that_changed_stops_everything_and_is_not_booked_again(
    change: dict[str, Any],
) -> None:
    floor = placed()
    fill(floor, 1, "0.0004")
    floor.wait(3)
    floor.trades[0] = trade(1, 7, WANTED, **({"quantity": "0.0004"} | change))
    floor.wait(30)

    assert floor.is_in(TradingState.HALTED)
    assert len(floor.said(Discrepancy)) == 1
    assert len(floor.said(TradingStateChanged)) == 1
    assert len(floor.said(Fill)) == 1


def test_the_same_number_in_other_digits_is_no_change() -> None:
    floor = placed()
    fill(floor, 1, "0.0004")
    floor.wait(3)
    floor.trades[0] = trade(1, 7, WANTED, quantity="0.00040000", price="2490000.00", fee="0.0")
    floor.wait(3)
    assert floor.is_in(TradingState.LIVE)


def test_an_order_closes_when_its_fills_add_up_and_not_before() -> None:
    floor = placed()
    end(floor, left="0.0003")
    fill(floor, 1, "0.0004")
    floor.wait(30)
    assert floor.state(WANTED) is S.CLOSING
    assert ReadFills(0, OrderId(7)) in floor.asked
    assert not floor.said(OrderClosed)

    fill(floor, 2, "0.0003", price="2490010")
    floor.wait(3)
    [closed] = floor.said(OrderClosed)
    assert closed.filled == Decimal("0.0007")
    assert closed.reason == "canceled"
    mean = (4 * Decimal(2_490_000) + 3 * Decimal(2_490_010)) / 7
    assert closed.average_price == half_up(mean, 16)


def test_an_order_that_filled_whole_closes_as_filled() -> None:
    floor = placed()
    end(floor, left="0", status="Closed")
    fill(floor, 1, "0.001")
    floor.wait(10)
    assert [c.reason for c in floor.said(OrderClosed)] == ["filled"]


def test_a_canceled_order_without_a_fill_closes_at_once() -> None:
    floor = placed()
    end(floor, left="0.001")
    floor.wait(6)
    [closed] = floor.said(OrderClosed)
    assert closed.filled == 0
    assert closed.average_price is None
    assert closed.reason == "canceled"


def test_a_fill_after_a_cancel_was_heard_counts() -> None:
    floor = placed()
    floor.command(TradingState.KILLED, "k")
    fill(floor, 1, "0.001")
    end(floor, left="0", status="Closed")
    floor.wait(10)
    assert floor.state(WANTED) is S.CLOSED
    assert floor.order(WANTED).filled == WANTED.quantity


def test_more_than_was_ordered_is_booked_and_stops_everything() -> None:
    floor = placed()
    fill(floor, 1, "0.001")
    fill(floor, 2, "0.0002")
    floor.wait(3)

    assert floor.is_in(TradingState.HALTED)
    assert floor.desk.ledger[BTC] == Decimal("1.0012")
    assert floor.order(WANTED).filled == Decimal("0.0012")


@pytest.mark.parametrize("when", ["closing", "closed"])
def test_more_than_the_exchange_said_was_executed_stops_everything(when: str) -> None:
    floor = placed()
    end(floor, left="0.0006")
    if when == "closed":
        fill(floor, 1, "0.0004")
        floor.wait(6)
        assert floor.state(WANTED) is S.CLOSED
        floor.restart().open_up()
        fill(floor, 2, "0.0001")
    else:
        fill(floor, 1, "0.0005")
    floor.wait(31)
    assert floor.is_in(TradingState.HALTED)
    assert sum(f.quantity for f in floor.said(Fill)) == Decimal("0.0005")


@pytest.mark.parametrize(("left", "how"), [("0", "filled"), ("0.0006", "canceled")])
def test_an_order_that_was_filled_beyond_its_end_is_over_all_the_same(left: str, how: str) -> None:
    floor = placed()
    end(floor, left=left, status="Closed" if left == "0" else "Canceled")
    fill(floor, 1, "0.0012" if left == "0" else "0.0005")
    floor.wait(10)

    [closed] = floor.said(OrderClosed)
    assert closed.reason == how
    assert floor.is_in(TradingState.HALTED)
    assert not floor.desk.live  # Else no kill could ever be complete.


def test_a_trade_of_a_person_moves_our_books_and_none_of_our_orders() -> None:
    floor = placed()
    floor.trades.append(trade(1, 99, quantity="0.5", price="2000000"))
    floor.move(BTC, Decimal("0.5"), Decimal("0.5"))
    floor.move(TRY, Decimal(-1_000_000), Decimal(-1_000_000))
    floor.wait(60)

    [booked] = floor.said(Fill)
    assert (booked.intent_id, booked.client_order_id) == (None, None)
    assert floor.desk.ledger[BTC] == Decimal("1.5")
    assert floor.desk.positions == {}
    assert floor.is_in(TradingState.LIVE)


def test_what_happened_before_our_books_began_is_in_them_already() -> None:
    floor = ready()
    floor.trades.append(trade(1, 99, event_ns=NOW - SECOND))
    floor.wait(60)
    assert not floor.said(Fill)


def test_a_trade_while_nobody_read_is_found_by_the_next_life() -> None:
    floor = ready()
    floor.trades.append(trade(1, 99, event_ns=floor.now_ns + SECOND))
    floor.now_ns += 7 * 24 * 3_600 * SECOND
    floor.restart().open_up()
    floor.wait(40)

    first = floor.wanted(ReadFills)[0]
    assert first.since_ms < (NOW + 10 * SECOND) // 10**6
    assert len(floor.said(Fill)) == 1


def test_a_doorbell_has_trades_and_the_order_read_at_once() -> None:
    floor = placed()
    floor.wait(1)
    floor.drop()
    floor.hear(Doorbell(order_id=OrderId(7)), Doorbell(order_id=OrderId(99)))
    assert floor.asked == [ReadOrder(OrderId(7))]
    floor.wait(0.5)
    assert floor.wanted(ReadFills)


def test_a_doorbell_is_no_evidence() -> None:
    floor = placed()
    floor.drop()
    floor.hear(Doorbell(order_id=OrderId(7)))
    assert not floor.facts


# --- books and balances -------------------------------------------------------------------------


def test_money_that_moved_unexplained_takes_two_equal_reads_and_then_allows_no_new_risk() -> None:
    floor = ready()
    floor.wait(10)
    floor.move(ETH, Decimal(1), Decimal(1))
    floor.drop()
    while len(floor.wanted(ReadBalances)) < 1:
        floor.wait(0.5)
    assert floor.is_in(TradingState.LIVE)
    floor.wait(6)

    assert floor.is_in(TradingState.REDUCE)
    [said] = floor.said(Discrepancy)
    assert said.detail == "the exchange has 1 ETH more"


def test_a_difference_is_reported_within_a_minute() -> None:
    floor = ready()
    floor.wait(10)
    floor.move(TRY, Decimal(-5), Decimal(-5))
    floor.wait(60)
    assert floor.is_in(TradingState.REDUCE)


def test_the_smallest_difference_counts() -> None:
    floor = ready()
    floor.wait(10)
    floor.move(TRY, Decimal("-0.0000000000000001"), Decimal(0))
    floor.wait(60)
    assert "0.0000000000000001 TRY less" in floor.said(Discrepancy)[0].detail


def test_reads_that_differ_from_each_other_prove_nothing() -> None:
    floor = ready()
    floor.wait(10)
    for _ in range(20):
        floor.move(TRY, Decimal(1), Decimal(1))
        floor.wait(5)
    assert floor.is_in(TradingState.LIVE)


@pytest.mark.parametrize("state", [S.UNKNOWN, S.CLOSING])
def test_money_is_not_compared_while_an_order_may_have_moved_it(state: S) -> None:
    floor = ready()
    if state is S.UNKNOWN:
        floor.lose(WANTED)
    else:
        floor.place(WANTED, 7)
        end(floor, left="0.0006")
        floor.wait(6)
    assert floor.state(WANTED) is state
    floor.move(BTC, Decimal("0.0004"), Decimal("0.0004"))
    floor.wait(50)
    assert not floor.said(Discrepancy)


def test_balances_are_compared_soon_after_an_order_closed() -> None:
    floor = placed()
    floor.wait(40)
    end(floor, left="0.001")
    while floor.state(WANTED) is not S.CLOSED:
        floor.wait(0.5)
    floor.drop()
    floor.wait(6)
    assert floor.wanted(ReadBalances)


def test_a_person_may_say_that_a_difference_is_a_deposit_by_naming_its_event() -> None:
    floor = ready()
    floor.wait(10)
    floor.move(TRY, Decimal(500), Decimal(500))
    floor.wait(60)
    refused = floor.command(TradingState.LIVE, "r1").refused
    event = floor.desk.discrepancies["books and balances", "the exchange has 500 TRY more"]
    assert refused.endswith(f"--ack {event}")
    assert floor.command(TradingState.LIVE, "r2", acknowledge="1").refused

    assert not floor.command(TradingState.LIVE, "r3", acknowledge=str(event)).refused

    [explained] = floor.said(BalancesExplained)
    assert sum(line.amount for line in explained.postings) == 0
    assert {line.account for line in explained.postings} == {"asset", "external"}
    assert (explained.by, explained.reason) == ("uid 1000", "a person says so")
    assert floor.desk.ledger[TRY] == 100_500
    floor.wait(120)
    assert floor.is_in(TradingState.LIVE)
    assert floor.restart().desk.ledger[TRY] == 100_500


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(st.integers(1, 20_000), min_size=1, max_size=5),
    listings=st.lists(st.lists(st.integers(0, 4), max_size=6), max_size=8),
)
def test_whatever_the_listings_show_when_the_books_hold_each_fill_once(
    parts: list[int], listings: list[list[int]]
) -> None:
    """Lists may lag, repeat and change order; the order closes only with every fill."""
    floor = placed()
    rows = [
        trade(n, 7, WANTED, quantity=Decimal(q).scaleb(-8), event_ns=NOW + n * SECOND)
        for n, q in enumerate(parts)
    ]
    executed = sum((row.quantity for row in rows), start=Decimal(0))
    end(floor, left=str(WANTED.quantity - executed))
    floor.wait(6)

    for numbers in listings:
        shown = tuple(rows[n] for n in numbers if n < len(rows))
        floor.hear(FillsRead(order_id=None, fills=shown, asked_ns=floor.now_ns))
        booked = floor.said(Fill)
        assert len({f.trade_id for f in booked}) == len(booked)
        is_whole = len(booked) == len(rows)
        assert (floor.state(WANTED) is S.CLOSED) is is_whole
    floor.hear(FillsRead(order_id=None, fills=tuple(rows), asked_ns=floor.now_ns))

    assert floor.state(WANTED) is S.CLOSED
    assert floor.desk.ledger[BTC] == 1 + executed
    assert floor.order(WANTED).filled == executed


def test_a_trade_of_a_pair_that_nobody_configured_is_not_guessed_at() -> None:
    floor = ready()
    floor.trades.append(trade(1, 99, pair=Pair("XRPTRY")))
    floor.wait(60)
    assert not floor.said(Fill)


def test_the_fills_of_an_order_are_read_twenty_times_a_minute_at_most() -> None:
    """An answer that does not complete the order must not be the next question."""
    floor = placed()
    end(floor, left="0.0006")
    floor.wait(6)
    floor.drop()
    floor.wait(60)
    assert 10 <= len([r for r in floor.wanted(ReadFills) if r.order_id == 7]) <= 20


def test_closing_is_said_once() -> None:
    floor = placed()
    end(floor, left="0.0006")
    floor.wait(60)
    assert len(floor.said(OrderClosing)) == 1


def test_an_average_price_without_end_is_said_with_sixteen_decimals() -> None:
    """Hearers refuse a number of more digits than the wire takes: the fact would stop them all."""
    floor = placed()
    fill(floor, 1, "0.0003")
    fill(floor, 2, "0.0004", price="2489999")
    end(floor, "0.0003")
    floor.wait(30)

    [closed] = floor.said(OrderClosed)
    assert closed.average_price is not None
    assert closed.average_price == half_up(closed.average_price, 16)
    assert CODEC.decode_message(CODEC.encode_message(closed)) == closed
