"""What became of a submit: the outcome table, late replies, and contradictions."""

from decimal import Decimal
from typing import Any

import pytest

from btcbot.domain.facts import (
    Discrepancy,
    OrderAbsent,
    OrderAcked,
    OrderUnknown,
    TradingStateChanged,
)
from btcbot.domain.ids import OrderId
from btcbot.domain.venue import (
    Cancel,
    CancelAnswered,
    OrderRead,
    Outcome,
    ReadAllOrders,
    ReadOrder,
    Submitted,
)
from btcbot.domain.words import OrderState as S
from btcbot.domain.words import TradingState
from tests.orders.desks import BTCTRY, ETHTRY, SECOND, Floor, intent, listed, ready, trade

ACK = {"outcome": Outcome.ACKED, "order_id": OrderId(7)}
NO = {"outcome": Outcome.REJECTED, "code": "1055"}
NEVER = {"outcome": Outcome.NOT_SENT, "detail": "no connection"}
DOUBT = {"outcome": Outcome.UNKNOWN, "detail": "time-out"}
WANTED = intent()


def sent() -> Floor:
    floor = ready()
    assert floor.approve(WANTED).rule is None
    return floor


def said(floor: Floor, *outcomes: dict[str, Any]) -> Floor:
    for fields in outcomes:
        floor.hear(Submitted(intent_id=WANTED.intent_id, **fields))
    return floor


def proven_absent() -> Floor:
    floor = said(sent(), DOUBT)
    floor.wait(100)
    assert floor.state(WANTED) is S.ABSENT
    return floor


@pytest.mark.parametrize(
    ("outcomes", "state", "trading"),
    [
        ([ACK], S.OPEN, TradingState.LIVE),
        ([NO], S.REJECTED, TradingState.LIVE),
        ([NEVER], S.NOT_SENT, TradingState.LIVE),
        ([DOUBT], S.UNKNOWN, TradingState.LIVE),
        # A late reply is evidence.
        ([DOUBT, ACK], S.OPEN, TradingState.LIVE),
        ([DOUBT, NO], S.REJECTED, TradingState.LIVE),
        ([DOUBT, NEVER], S.UNKNOWN, TradingState.LIVE),  # It had been called sent.
        # The same again is nothing.
        ([ACK, ACK], S.OPEN, TradingState.LIVE),
        ([NO, NO], S.REJECTED, TradingState.LIVE),
        ([NEVER, NEVER], S.NOT_SENT, TradingState.LIVE),
        ([DOUBT, DOUBT], S.UNKNOWN, TradingState.LIVE),
        ([ACK, DOUBT], S.OPEN, TradingState.LIVE),
        ([NO, DOUBT], S.REJECTED, TradingState.LIVE),
        # A contradiction is written down, and stops everything.
        ([ACK, NO], S.OPEN, TradingState.HALTED),
        ([ACK, NEVER], S.OPEN, TradingState.HALTED),
        ([ACK, ACK | {"order_id": OrderId(8)}], S.OPEN, TradingState.HALTED),
        ([NO, ACK], S.ZOMBIE, TradingState.HALTED),
        ([NEVER, ACK], S.ZOMBIE, TradingState.HALTED),
    ],
)
def test_the_outcome_table(outcomes: list[dict[str, Any]], state: S, trading: TradingState) -> None:
    floor = said(sent(), *outcomes)

    assert floor.state(WANTED) is state
    assert floor.is_in(trading)
    assert bool(floor.said(Discrepancy)) is (trading is TradingState.HALTED)
    assert len(floor.posts) == 1
    assert floor.restart().state(WANTED) is state


def test_a_reply_after_the_proof_of_absence_is_a_zombie_that_is_cancelled() -> None:
    floor = said(proven_absent(), ACK)
    assert floor.state(WANTED) is S.ZOMBIE
    assert floor.is_in(TradingState.HALTED)

    floor.wait(1)
    assert Cancel(OrderId(7)) in floor.asked


def test_a_reply_for_nobody_is_nothing() -> None:
    floor = ready()
    said(floor, ACK)
    assert not floor.facts


def test_a_submit_without_any_word_is_in_doubt_after_ten_seconds() -> None:
    floor = sent()
    floor.wait(9.5)
    assert floor.state(WANTED) is S.SENDING
    floor.wait(1)
    assert floor.state(WANTED) is S.UNKNOWN


def test_an_id_that_is_another_orders_leaves_the_order_in_doubt() -> None:
    """Writing it down would break the table's promise that an id is one order's."""
    floor = ready()
    floor.place(intent(2), 7)
    floor.approve(WANTED)
    said(floor, ACK)

    assert floor.state(WANTED) is S.UNKNOWN
    assert floor.is_in(TradingState.REDUCE)
    assert floor.said(Discrepancy)
    said(floor, ACK)  # Again, while it is in doubt.
    assert floor.state(WANTED) is S.UNKNOWN


def test_an_id_that_another_order_had_in_an_earlier_life_is_known() -> None:
    floor = ready()
    other = intent(2)
    floor.place(other, 7)
    floor.open.clear()
    floor.release()
    floor.ended.append(listed(7, other, status="Canceled"))
    floor.wait(20)
    assert floor.state(other) is S.CLOSED
    floor.restart().open_up()

    floor.approve(WANTED)
    said(floor, ACK)
    assert floor.state(WANTED) is S.UNKNOWN


def test_ids_that_do_not_grow_break_every_later_search() -> None:
    floor = ready()
    floor.place(intent(2), 7)
    floor.approve(WANTED)
    said(floor, ACK | {"order_id": OrderId(6)})

    assert floor.state(WANTED) is S.OPEN  # It is ours all the same.
    assert floor.is_in(TradingState.HALTED)


# --- listings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["open", "ended", "trades"])
def test_an_order_in_doubt_is_found_by_its_label(where: str) -> None:
    floor = said(sent(), DOUBT)
    if where == "open":
        floor.open.append(listed(7, WANTED))
    elif where == "ended":
        floor.ended.append(listed(7, WANTED, status="Canceled"))
    else:
        floor.trades.append(trade(1, 7, WANTED))
    floor.wait(10)

    [found] = floor.said(OrderAcked)
    assert (found.order_id, found.found) == (7, True)
    assert not floor.said(OrderAbsent)


def test_nothing_is_adopted_by_price_and_size() -> None:
    floor = said(sent(), DOUBT)
    floor.open.append(listed(7))
    floor.wait(300)
    assert floor.state(WANTED) is S.UNKNOWN  # Nor proven absent: it may be ours, its label lost.


def test_an_order_that_left_the_list_is_read_and_not_concluded_upon() -> None:
    floor = ready()
    floor.place(WANTED, 7)
    floor.open.clear()
    floor.wait(6)

    assert ReadOrder(OrderId(7)) in floor.asked
    assert ReadAllOrders(WANTED.pair, OrderId(7)) in floor.asked  # It was not found by id either.
    assert floor.state(WANTED) is S.OPEN


@pytest.mark.parametrize("is_accepted", [True, False])
def test_the_answer_to_a_cancel_is_a_reason_to_read(is_accepted: bool) -> None:
    floor = ready()
    floor.place(WANTED, 7)
    floor.hear(CancelAnswered(order_id=OrderId(7), is_accepted=is_accepted))
    assert floor.asked[-1] == ReadOrder(OrderId(7))
    assert floor.state(WANTED) is S.OPEN


@pytest.mark.parametrize("lives", [1, 2])
def test_an_order_proven_absent_that_is_listed_later_is_a_zombie(lives: int) -> None:
    floor = proven_absent()
    if lives == 2:
        floor.restart().open_up()
    floor.open.append(listed(7, WANTED))
    floor.wait(61)

    assert floor.state(WANTED) is S.ZOMBIE
    assert floor.is_in(TradingState.HALTED)
    assert Cancel(OrderId(7)) in floor.asked


def test_a_trade_of_an_order_proven_absent_is_booked_and_stops_everything() -> None:
    floor = proven_absent()
    floor.trades.append(trade(1, 7, WANTED))
    floor.wait(61)

    assert floor.state(WANTED) is S.ZOMBIE
    assert floor.order(WANTED).filled == WANTED.quantity
    assert floor.is_in(TradingState.HALTED)


def test_two_orders_under_one_label_stop_everything_and_the_second_is_cancelled() -> None:
    floor = ready()
    floor.place(WANTED, 7)
    floor.open.append(listed(8, WANTED))
    floor.trades.append(trade(1, 8, WANTED, quantity="0.0004"))
    before = floor.desk.ledger["BTC"]  # type: ignore[index]
    floor.wait(10)

    assert floor.is_in(TradingState.HALTED)
    assert Cancel(OrderId(8)) in floor.asked
    assert floor.order(WANTED).filled == 0
    assert floor.desk.ledger["BTC"] - before == Decimal("0.0004")  # type: ignore[index]


def test_our_label_on_an_order_nobody_sent_stops_everything() -> None:
    floor = ready()
    floor.open.append(listed(7, intent(99)))
    floor.wait(61)
    assert floor.is_in(TradingState.HALTED)
    assert Cancel(OrderId(7)) in floor.asked


def test_another_btcbot_on_the_account_stops_everything_and_is_left_alone() -> None:
    floor = ready()
    floor.open.append(listed(7, client_id="b1-other-aaaaaaaaaaaaaaaaaaaaaaaaaa"))
    floor.wait(61)
    assert floor.is_in(TradingState.HALTED)
    assert not floor.wanted(Cancel)


def test_an_order_of_a_person_is_left_alone() -> None:
    floor = ready()
    floor.open.append(listed(7, price="2400000"))
    floor.wait(61)
    assert floor.is_in(TradingState.LIVE)
    assert not floor.wanted(Cancel)


def test_a_contradiction_is_said_once_so_that_a_person_can_acknowledge_it() -> None:
    floor = ready()
    floor.place(WANTED, 7)
    floor.ended.append(listed(8, WANTED, status="Canceled"))
    said(floor, ACK | {"order_id": OrderId(8)})
    event = floor.desk.trading_seq
    for _ in range(3):
        said(floor, ACK | {"order_id": OrderId(8)})
        floor.wait(30)

    assert len(floor.said(Discrepancy)) == 1
    assert len(floor.said(TradingStateChanged)) == 1
    floor.open.clear()
    floor.ended.append(listed(7, WANTED, status="Canceled"))
    floor.release()
    floor.wait(30)
    done = floor.command(TradingState.LIVE, "resume", acknowledge=str(event))
    assert not done.refused
    said(floor, ACK | {"order_id": OrderId(8)})
    floor.wait(30)
    assert floor.is_in(TradingState.LIVE)


# --- the key ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("between", "is_blind"), [(DOUBT, True), (NEVER, True), (NO, False), (ACK, False)]
)
def test_three_refusals_of_the_key_in_a_row_are_counted_past_what_proves_nothing(
    between: dict[str, Any],
    is_blind: bool,
) -> None:
    floor = ready()
    refused = {"outcome": Outcome.REJECTED, "code": "401", "is_unauthorised": True}
    for number, fields in enumerate([refused, refused, between, refused], 1):
        wanted = intent(number, pair=ETHTRY if fields is between else BTCTRY)
        assert floor.approve(wanted).rule is None
        floor.reply(wanted, **fields)
    assert floor.desk.is_blind is is_blind


def test_a_restart_in_the_middle_of_a_submit_is_doubt() -> None:
    floor = sent()
    floor.restart()
    [doubt] = floor.said(OrderUnknown)
    assert doubt.intent_id == WANTED.intent_id
    assert floor.now_ns < floor.order(WANTED).created_ns + SECOND


def test_an_unknown_id_that_no_live_order_has_is_not_followed() -> None:
    floor = ready()
    floor.hear(OrderRead(order_id=OrderId(404), order=None))
    assert (floor.asked, floor.facts) == ([], [])


def test_a_second_order_under_one_label_is_cancelled() -> None:
    floor = said(sent(), ACK)
    floor.drop()
    said(floor, ACK | {"order_id": OrderId(8)})
    assert floor.wanted(Cancel) == [Cancel(OrderId(8))]
    assert floor.is_in(TradingState.HALTED)
