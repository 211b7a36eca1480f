"""Ending the doubt about an order by hand: a person's word, held against the exchange once more.

It is the only way out of UNKNOWN besides being found and being proven absent. The lists are read
after the word was given, in the order in which an order moves through them; what they show is
stronger than what a person says.
"""

from msgspec.structs import replace

from btcbot.domain.facts import CommandRefused, OrderAbsent, OrderClosed, OrderResolved
from btcbot.domain.messages import CommandDone, ResolveOrder
from btcbot.domain.money import Amount
from btcbot.domain.venue import AllOrdersRead, OpenOrdersRead, ReadAllOrders, ReadOpenOrders
from btcbot.domain.words import OrderState, Resolution
from btcbot.orders.hunt import is_like
from btcbot.orders.state import Desk, Order, Resolving
from btcbot.orders.turn import Turn

# BTCTurk takes no request whose stamp is over 5 s old: before that, it may still become an order.
EARLIEST_NS = 30_000_000_000
READ_WITHIN_NS = 4_000_000_000


def resolve(turn: Turn, message: ResolveOrder) -> None:
    """Take a person's word on an order in doubt: read the lists, then end it, or say why not."""
    desk = turn.desk
    done = desk.commands.get(message.command_id)
    if done is not None:
        turn.answer(done)
        return
    if message.command_id in desk.resolving:
        return  # Asked again while the lists are being read.
    order = _named(desk, message)
    refused = _why_not(turn, message, order)
    if refused or order is None:
        _refuse(turn, message, refused)
        return
    desk.resolving[message.command_id] = Resolving(command=message, since_ns=turn.now_ns)
    turn.ask(ReadOpenOrders(order.intent.pair))


def take_late(turn: Turn, message: ResolveOrder) -> None:
    """Refuse what nobody waits for any more, unless it has an answer, or the lists are read."""
    if message.command_id in turn.desk.commands or message.command_id in turn.desk.resolving:
        resolve(turn, message)
    else:
        _refuse(turn, message, "it came after its deadline; ask again")


def resolve_read(turn: Turn, message: OpenOrdersRead | AllOrdersRead) -> None:
    """Take one list into every resolution that waits for it."""
    for resolving in tuple(turn.desk.resolving.values()):
        order = _named(turn.desk, resolving.command)
        assert order is not None, f"{resolving.command.client_order_id} is not remembered"
        if message.pair == order.intent.pair and message.asked_ns >= resolving.since_ns:
            _take(turn, resolving, order, message)


def give_up(turn: Turn) -> None:
    """Refuse what the exchange's lists were not read for in time."""
    for command_id, resolving in tuple(turn.desk.resolving.items()):
        if turn.now_ns - resolving.since_ns > READ_WITHIN_NS:
            del turn.desk.resolving[command_id]
            detail = "the exchange's lists could not be read within 4 s; try again"
            _refuse(turn, resolving.command, detail)


def _take(
    turn: Turn, resolving: Resolving, order: Order, message: OpenOrdersRead | AllOrdersRead
) -> None:
    desk, command = turn.desk, resolving.command
    shown = [row for row in message.orders if row.order_id not in desk.by_order_id]
    like = next((row for row in shown if is_like(row, order)), None)
    refused = _why_not(turn, command, order)
    if not refused and like is not None and command.resolution is Resolution.ABSENT:
        refused = (
            f"the exchange shows order {like.order_id}, which is just like it, without a label"
        )
    if isinstance(message, AllOrdersRead) and not message.is_complete:
        refused = refused or "the exchange's list of orders could not be read whole; try again"
    if refused:
        del desk.resolving[command.command_id]
        _refuse(turn, command, refused)
    elif isinstance(message, OpenOrdersRead) and not resolving.has_open:
        desk.resolving[command.command_id] = replace(resolving, has_open=True, since_ns=turn.now_ns)
        turn.ask(ReadAllOrders(order.intent.pair, order.id_floor))
    elif isinstance(message, AllOrdersRead) and resolving.has_open:
        del desk.resolving[command.command_id]
        _end(turn, command, order)


def _end(turn: Turn, command: ResolveOrder, order: Order) -> None:
    intent_id, now_ns = order.intent.intent_id, turn.now_ns
    turn.say(
        OrderResolved(
            intent_id=intent_id,
            resolution=command.resolution,
            by=command.by,
            reason=command.reason,
            command_id=command.command_id,
            at_ns=now_ns,
        )
    )
    if command.resolution is Resolution.ABSENT:
        turn.say(OrderAbsent(intent_id=intent_id, sweeps=0, at_ns=now_ns))
    else:
        turn.say(
            OrderClosed(
                intent_id=intent_id,
                filled=Amount(order.filled),
                average_price=None,
                reason=f"resolved by {command.by}",
                at_ns=now_ns,
            )
        )
    turn.answer(turn.desk.commands[command.command_id])


def _refuse(turn: Turn, message: ResolveOrder, detail: str) -> None:
    turn.say(
        CommandRefused(
            command_id=message.command_id, by=message.by, detail=detail, at_ns=turn.now_ns
        )
    )
    done: CommandDone = turn.desk.commands[message.command_id]
    turn.answer(done)


def _named(desk: Desk, message: ResolveOrder) -> Order | None:
    label = message.client_order_id
    return next((order for order in desk.orders.values() if order.client_order_id == label), None)


def _why_not(turn: Turn, message: ResolveOrder, order: Order | None) -> str:
    """Return why a person may not end this doubt; empty: they may."""
    if not message.reason.strip():
        return "resolve needs a reason"
    if order is None:
        return f"no such order: {message.client_order_id}"
    if order.order_id is not None:
        return (
            f"the exchange shows it: {order.client_order_id} is {order.state}, as {order.order_id}"
        )
    if order.state is not OrderState.UNKNOWN:
        return f"{order.client_order_id} is {order.state}; only UNKNOWN is resolved by hand"
    age_ns = turn.now_ns - order.created_ns
    if age_ns < EARLIEST_NS:
        return f"sent {age_ns // 10**9} s ago, it may still become an order; wait for 30 s"
    return ""
