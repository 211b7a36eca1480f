"""Every pair of state and event is in the table or refused."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from btcbot.domain.facts import (
    Fact,
    OrderAbsent,
    OrderAcked,
    OrderClosed,
    OrderClosing,
    OrderNotSent,
    OrderRejected,
    OrderSubmitting,
    OrderUnknown,
    OrderZombie,
)
from btcbot.domain.ids import OrderId
from btcbot.domain.money import Amount
from btcbot.domain.words import OrderState as S
from btcbot.orders.lifecycle import IN_DOUBT, LEGAL, ON_EXCHANGE, TERMINAL, is_terminal, may_move
from btcbot.orders.turn import Turn
from tests.orders.desks import NOW, Floor, intent, label

# By row: where an order may go from there. Written by hand, from the law.
TABLE: dict[S, set[S]] = {
    S.SENDING: {S.NOT_SENT, S.REJECTED, S.OPEN, S.UNKNOWN},
    S.UNKNOWN: {S.OPEN, S.REJECTED, S.ABSENT, S.CLOSED},
    S.OPEN: {S.CANCEL_REQ, S.CLOSING},
    S.CANCEL_REQ: {S.CLOSING},
    S.CLOSING: {S.CLOSED},
    S.ABSENT: {S.ZOMBIE},
    S.REJECTED: {S.ZOMBIE},
    S.NOT_SENT: {S.ZOMBIE},
    S.ZOMBIE: {S.CLOSING},
    S.CLOSED: {S.ZOMBIE},
}
WANTED = intent()
ID = WANTED.intent_id
SEVEN = OrderId(7)
NONE = Amount(Decimal(0))
EVENTS: dict[S, Callable[[], Fact]] = {
    S.NOT_SENT: lambda: OrderNotSent(intent_id=ID, detail="", at_ns=NOW),
    S.REJECTED: lambda: OrderRejected(intent_id=ID, code="1", detail="", at_ns=NOW),
    S.OPEN: lambda: OrderAcked(intent_id=ID, order_id=SEVEN, at_ns=NOW),
    S.UNKNOWN: lambda: OrderUnknown(intent_id=ID, detail="", at_ns=NOW),
    S.CLOSING: lambda: OrderClosing(intent_id=ID, executed=NONE, status="Canceled", at_ns=NOW),
    S.CLOSED: lambda: OrderClosed(
        intent_id=ID, filled=NONE, average_price=None, reason="canceled", at_ns=NOW
    ),
    S.ABSENT: lambda: OrderAbsent(intent_id=ID, sweeps=3, at_ns=NOW),
    S.ZOMBIE: lambda: OrderZombie(intent_id=ID, order_id=SEVEN, at_ns=NOW),
}
WAY: dict[S, tuple[S, ...]] = {
    S.SENDING: (),
    S.UNKNOWN: (S.UNKNOWN,),
    S.OPEN: (S.OPEN,),
    S.CANCEL_REQ: (S.OPEN,),
    S.CLOSING: (S.OPEN, S.CLOSING),
    S.CLOSED: (S.OPEN, S.CLOSING, S.CLOSED),
    S.NOT_SENT: (S.NOT_SENT,),
    S.REJECTED: (S.REJECTED,),
    S.ABSENT: (S.UNKNOWN, S.ABSENT),
    S.ZOMBIE: (S.REJECTED, S.ZOMBIE),
}


def turn_with(state: S) -> Turn:
    """Return a turn over a desk whose one order has come to `state`."""
    floor = Floor()
    turn = Turn(floor.desk, NOW)
    turn.say(
        OrderSubmitting(
            intent=WANTED, client_order_id=label(WANTED), approved_ns=NOW, stamp_ms=1,
            id_floor=OrderId(0), reserved=Amount(Decimal(1)), at_ns=NOW,
        )
    )  # fmt: skip
    for step in WAY[state]:
        turn.say(EVENTS[step]())
    if state is S.CANCEL_REQ:
        turn.desk.orders[ID] = turn.change(turn.desk.orders[ID], state=S.CANCEL_REQ)
    assert turn.desk.orders[ID].state is state
    return turn


@pytest.mark.parametrize("old", list(S))
@pytest.mark.parametrize("new", list(S))
def test_the_table_is_the_law(old: S, new: S) -> None:
    assert may_move(old, new) is (new in TABLE[old])
    assert ((old, new) in LEGAL) is (new in TABLE[old])


@pytest.mark.parametrize("old", list(S))
@pytest.mark.parametrize("new", list(EVENTS))
def test_an_event_moves_an_order_along_the_table_or_ends_the_process(old: S, new: S) -> None:
    turn = turn_with(old)

    if new in TABLE[old]:
        turn.say(EVENTS[new]())
        assert turn.desk.orders[ID].state is new
    else:
        with pytest.raises(AssertionError, match=f"{old} -> {new}"):
            turn.say(EVENTS[new]())


@pytest.mark.parametrize("state", list(S))
def test_an_order_is_live_until_it_is_terminal(state: S) -> None:
    desk = turn_with(state).desk

    assert is_terminal(state) is (state in {S.REJECTED, S.NOT_SENT, S.ABSENT, S.CLOSED})
    assert (ID in desk.live) is not is_terminal(state)
    assert (ID in desk.ended) is is_terminal(state)


def test_only_orders_that_were_never_sent_for_sure_may_be_in_neither_class() -> None:
    assert set(S) == TERMINAL | ON_EXCHANGE | IN_DOUBT
    assert not TERMINAL & (ON_EXCHANGE | IN_DOUBT)
    assert not ON_EXCHANGE & IN_DOUBT
