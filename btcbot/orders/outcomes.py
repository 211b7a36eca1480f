"""What became of a submit, and what listings prove about orders of ours.

An order is matched by client id only, never by price and size. Nothing is terminal because it is
missing from a list: an order that left the open orders is read by id, an unknown one is hunted.
"""

from btcbot.domain.facts import (
    OrderAcked,
    OrderClosing,
    OrderNotSent,
    OrderRejected,
    OrderUnknown,
    OrderZombie,
)
from btcbot.domain.ids import IntentId, OrderId, is_of_btcbot, is_ours
from btcbot.domain.venue import (
    AllOrdersRead,
    Cancel,
    OpenOrdersRead,
    OrderRead,
    Outcome,
    ReadAllOrders,
    ReadOrder,
    Submitted,
    VenueOrder,
)
from btcbot.domain.words import OrderState, TradingState
from btcbot.orders.accept import live_orders
from btcbot.orders.alarms import alarm
from btcbot.orders.lifecycle import IN_DOUBT, ON_EXCHANGE, is_terminal
from btcbot.orders.state import Order
from btcbot.orders.turn import Turn


def take_submitted(turn: Turn, message: Submitted) -> None:
    """Note what a submit came to; a late reply may still resolve what was unknown."""
    _note_key(turn, message)
    order = turn.desk.orders.get(message.intent_id)
    if order is None:
        return
    if message.outcome is Outcome.ACKED and _is_of_another(turn, order, message.order_id):
        detail = f"the reply names order {message.order_id}, which is another's"
        _doubt(turn, order, detail)
        alarm(turn, TradingState.REDUCE, f"reply to {order.client_order_id}", detail)
    elif order.state not in IN_DOUBT:
        _late(turn, order, message)
    elif message.outcome is Outcome.ACKED:
        _found(turn, order, message.order_id, is_found=False)
    elif message.outcome is Outcome.REJECTED:
        turn.say(
            OrderRejected(
                intent_id=message.intent_id,
                code=message.code,
                detail=message.detail,
                at_ns=turn.now_ns,
            )
        )
    elif message.outcome is Outcome.NOT_SENT and order.state is OrderState.SENDING:
        turn.say(
            OrderNotSent(intent_id=message.intent_id, detail=message.detail, at_ns=turn.now_ns)
        )
    else:
        _doubt(turn, order, message.detail)


def take_open_orders(turn: Turn, message: OpenOrdersRead) -> None:
    """Adopt what is ours; read by id each live order that should be listed and is not."""
    listed = {row.order_id for row in message.orders}
    for row in message.orders:
        take_order(turn, row)
    known = turn.desk.by_order_id
    turn.desk.foreign[message.pair] = tuple(r for r in message.orders if r.order_id not in known)
    for order in tuple(live_orders(turn.desk, message.pair)):
        was_there = order.state in ON_EXCHANGE and order.created_ns < message.asked_ns
        if was_there and order.order_id not in listed and order.state is not OrderState.CLOSING:
            assert order.order_id is not None, f"{order.client_order_id} is {order.state}, no id"
            turn.ask(ReadOrder(order.order_id))


def take_all_orders(turn: Turn, message: AllOrdersRead) -> None:
    """Adopt what is ours, from the history."""
    for row in message.orders:
        take_order(turn, row)


def take_order_read(turn: Turn, message: OrderRead) -> None:
    """Take one order's state. That the exchange knows no such id proves nothing: ask further."""
    if message.order is not None:
        take_order(turn, message.order)
        return
    intent_id = turn.desk.by_order_id.get(message.order_id)
    if intent_id is not None and intent_id in turn.desk.live:
        order = turn.desk.orders[intent_id]
        turn.ask(ReadAllOrders(order.intent.pair, message.order_id))


def take_order(turn: Turn, row: VenueOrder) -> None:
    """Take what the exchange says of one order, whichever listing said it."""
    desk = turn.desk
    floor = desk.id_floor.get(row.pair, row.order_id)
    desk.id_floor[row.pair] = max(floor, row.order_id)
    order = claim(turn, row.order_id, row.client_id)
    if order is None:
        if row.is_open and is_of_btcbot(row.client_id):
            _disown(turn, row)
    elif row.is_terminal and order.state in (
        OrderState.OPEN,
        OrderState.CANCEL_REQ,
        OrderState.ZOMBIE,
    ):
        turn.say(
            OrderClosing(
                intent_id=order.intent.intent_id,
                executed=row.executed,
                status=row.status,
                at_ns=turn.now_ns,
            )
        )


def claim(turn: Turn, order_id: OrderId, client_id: str) -> Order | None:
    """Return our order behind an id and label of the exchange, adopting it if it was in doubt.

    None: it is nobody's order, or one too many under a label of ours.
    """
    desk = turn.desk
    known = desk.by_order_id.get(order_id)
    if known is not None:
        return desk.orders.get(known)
    if not is_ours(client_id, desk.setup.tag):
        return None
    order = desk.orders.get(IntentId(client_id.rpartition("-")[2]))
    if order is None:
        return None
    if order.order_id is not None:
        detail = f"is on the exchange as {order.order_id} and {order_id}"
        alarm(turn, TradingState.HALTED, order.client_order_id, detail)
        return None
    _found(turn, order, order_id, is_found=True)
    return desk.orders[order.intent.intent_id]


def _note_key(turn: Turn, message: Submitted) -> None:
    """Count refusals of our key in a row; an answer that took the key ends the row."""
    if message.is_unauthorised:
        turn.desk.unauthorised += 1
    elif message.outcome in (Outcome.ACKED, Outcome.REJECTED):
        turn.desk.unauthorised = 0


def _is_of_another(turn: Turn, order: Order, order_id: OrderId | None) -> bool:
    owner = turn.desk.by_order_id.get(order_id) if order_id is not None else None
    return owner is not None and owner != order.intent.intent_id


def _doubt(turn: Turn, order: Order, detail: str) -> None:
    if order.state is OrderState.SENDING:
        intent_id = order.intent.intent_id
        turn.say(OrderUnknown(intent_id=intent_id, detail=detail, at_ns=turn.now_ns))


def _found(turn: Turn, order: Order, order_id: OrderId | None, *, is_found: bool) -> None:
    assert order_id is not None, f"{order.client_order_id}: accepted without an id"
    intent_id, was = order.intent.intent_id, order.state
    if is_terminal(was):
        turn.say(OrderZombie(intent_id=intent_id, order_id=order_id, at_ns=turn.now_ns))
        detail = f"was {was}, and is on the exchange as {order_id}"
        alarm(turn, TradingState.HALTED, order.client_order_id, detail)
        return
    turn.say(OrderAcked(intent_id=intent_id, order_id=order_id, found=is_found, at_ns=turn.now_ns))
    if order_id <= order.id_floor:  # Every search for an order in doubt begins at this floor.
        detail = f"has id {order_id}, but {order.id_floor} was there before it was sent"
        alarm(turn, TradingState.HALTED, order.client_order_id, detail)


def _disown(turn: Turn, row: VenueOrder) -> None:
    """Stop for an open order with a label of btcbot that no order of this desk answers to."""
    subject = f"order {row.order_id}"
    if is_ours(row.client_id, turn.desk.setup.tag):
        detail = f"carries our label {row.client_id}, and is none of our orders: cancelling it"
        alarm(turn, TradingState.HALTED, subject, detail)
        turn.ask(Cancel(row.order_id))
    else:
        turn.desk.rival_ns = turn.now_ns
        detail = f"carries the label {row.client_id}: another btcbot trades on this account"
        alarm(turn, TradingState.HALTED, subject, detail)


def _late(turn: Turn, order: Order, message: Submitted) -> None:
    """Take a reply that came after we had concluded: agreement is nothing, the rest is an alarm."""
    if message.outcome is Outcome.ACKED and message.order_id != order.order_id:
        if order.order_id is None:
            _found(turn, order, message.order_id, is_found=False)
        else:
            detail = f"is on the exchange as {order.order_id} and {message.order_id}"
            alarm(turn, TradingState.HALTED, order.client_order_id, detail)
            assert message.order_id is not None, f"{order.client_order_id}: accepted, no id"
            turn.ask(Cancel(message.order_id))
    elif message.outcome in (Outcome.REJECTED, Outcome.NOT_SENT) and order.order_id is not None:
        detail = f"is order {order.order_id}, but its submit came back {message.outcome}"
        alarm(turn, TradingState.HALTED, order.client_order_id, detail)
