"""What became of a submit, and what listings prove about orders of ours.

An order is matched by client id only, never by price and size. Nothing is terminal because it is
missing from a list: an order that left the open orders is read by id, an unknown one is hunted.
"""

from btcbot.domain.facts import (
    OrderAbsent,
    OrderAcked,
    OrderClosing,
    OrderNotSent,
    OrderRejected,
    OrderUnknown,
    OrderZombie,
    TradingStateChanged,
)
from btcbot.domain.ids import CommandId, IntentId, OrderId, is_ours
from btcbot.domain.venue import (
    AllOrdersRead,
    OpenOrdersRead,
    OrderRead,
    Outcome,
    ReadOrder,
    Submitted,
    VenueOrder,
)
from btcbot.domain.words import OrderState, TradingState
from btcbot.orders.accept import live_orders
from btcbot.orders.lifecycle import IN_DOUBT, ON_EXCHANGE
from btcbot.orders.state import Order
from btcbot.orders.turn import Turn

SWEEPS_NEEDED = 3


def take_submitted(turn: Turn, message: Submitted) -> None:
    """Note what a submit came to; a late reply may still resolve what was unknown."""
    order = turn.desk.orders.get(message.intent_id)
    if order is None:
        return
    turn.desk.unauthorised = _unauthorised(turn.desk.unauthorised, message)
    if order.state not in IN_DOUBT:
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
    elif order.state is OrderState.SENDING:
        turn.say(
            OrderUnknown(intent_id=message.intent_id, detail=message.detail, at_ns=turn.now_ns)
        )


def _unauthorised(row: int, message: Submitted) -> int:
    """Return how many 401s there are in a row; what was not sent or not answered says nothing."""
    if message.is_unauthorised:
        return row + 1
    return 0 if message.outcome in (Outcome.ACKED, Outcome.REJECTED) else row


def take_open_orders(turn: Turn, message: OpenOrdersRead) -> None:
    """Adopt what is ours; read by id each live order that should be listed and is not."""
    listed = {row.order_id for row in message.orders}
    for row in message.orders:
        take_order(turn, row)
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
    """Take one order's state; that the exchange knows no such id proves nothing by itself."""
    if message.order is not None:
        take_order(turn, message.order)


def take_order(turn: Turn, row: VenueOrder) -> None:
    """Take what the exchange says of one order, whichever listing said it."""
    desk = turn.desk
    floor = desk.id_floor.get(row.pair, row.order_id)
    desk.id_floor[row.pair] = max(floor, row.order_id)
    order = _ours(turn, row)
    if order is None:
        return
    if order.order_id is None:
        _found(turn, order, row.order_id, is_found=True)
    elif order.order_id != row.order_id:
        _halt(
            turn,
            f"{order.client_order_id} is on the exchange as {order.order_id} and {row.order_id}",
        )
        return
    order = desk.orders[order.intent.intent_id]
    if row.is_terminal and order.state in (
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


def prove_absent(turn: Turn, order: Order, began_ns: int) -> None:
    """Count one full sweep that did not find `order`; three past the bound prove it absent.

    The bound: stamp window, clock error, processing and visibility of the exchange together.
    """
    wait_ns = turn.desk.setup.bounds.absence_wait_s * 10**9
    if began_ns < order.stamp_ms * 10**6 + wait_ns:
        return
    order = turn.change(order, sweeps=(*order.sweeps, began_ns))
    if len(order.sweeps) >= SWEEPS_NEEDED:
        turn.say(
            OrderAbsent(
                intent_id=order.intent.intent_id, sweeps=len(order.sweeps), at_ns=turn.now_ns
            )
        )


def _ours(turn: Turn, row: VenueOrder) -> Order | None:
    """Return our order behind a listed one; None when it is somebody else's."""
    desk = turn.desk
    known = desk.by_order_id.get(row.order_id)
    if known is not None:
        return desk.orders.get(known)
    if not is_ours(row.client_id, desk.setup.tag):
        return None
    intent_id = IntentId(row.client_id.rpartition("-")[2])
    order = desk.orders.get(intent_id)
    if order is not None and order.state is OrderState.CLOSED:
        return None
    if order is None and intent_id not in desk.verdicts and row.is_open:
        _halt(
            turn, f"order {row.order_id} carries our label {row.client_id}, but no intent of ours"
        )
    return order


def _found(turn: Turn, order: Order, order_id: OrderId | None, *, is_found: bool) -> None:
    assert order_id is not None, f"{order.client_order_id}: accepted without an id"
    intent_id = order.intent.intent_id
    if order.state in IN_DOUBT:
        turn.say(
            OrderAcked(intent_id=intent_id, order_id=order_id, found=is_found, at_ns=turn.now_ns)
        )
    elif order.state in (OrderState.ABSENT, OrderState.REJECTED, OrderState.NOT_SENT):
        was = order.state
        turn.say(OrderZombie(intent_id=intent_id, order_id=order_id, at_ns=turn.now_ns))
        _halt(turn, f"{order.client_order_id} was {was}, and is on the exchange as {order_id}")


def _late(turn: Turn, order: Order, message: Submitted) -> None:
    """Take a reply that came after we had concluded: agreement is nothing, the rest is an alarm."""
    if message.outcome is Outcome.ACKED and message.order_id != order.order_id:
        if order.order_id is None:
            _found(turn, order, message.order_id, is_found=False)
        else:
            _halt(turn, f"{order.client_order_id}: {order.order_id} and {message.order_id}")


def _halt(turn: Turn, reason: str) -> None:
    """Stop everything: an invariant or an assumption about the exchange broke."""
    if turn.desk.trading is not TradingState.HALTED:
        turn.say(
            TradingStateChanged(
                state=TradingState.HALTED,
                by="execution",
                reason=reason,
                command_id=CommandId(""),
                at_ns=turn.now_ns,
            )
        )
