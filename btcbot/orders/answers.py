"""What the exchange answered, each kind taken to those who conclude from it."""

from typing import assert_never

from btcbot.domain.venue import (
    AllOrdersRead,
    BalancesRead,
    CancelAnswered,
    Doorbell,
    FillsRead,
    OpenOrdersRead,
    OrderRead,
    ReadOrder,
    Submitted,
    TimeRead,
)
from btcbot.orders import hunt, outcomes, resolve, schedule, settle
from btcbot.orders.settle import PostFill, PostOpening
from btcbot.orders.turn import Turn

Answered = (
    Submitted | OpenOrdersRead | AllOrdersRead | OrderRead | FillsRead | BalancesRead | TimeRead
    | CancelAnswered | Doorbell
)  # fmt: skip


def take_answer(  # noqa: C901 - one case an answer
    turn: Turn, message: Answered, post_fill: PostFill, post_opening: PostOpening
) -> None:
    """Take one answer; the postings of fills and of the first balances are made by the ledger."""
    match message:
        case Submitted():
            outcomes.take_submitted(turn, message)
        case OpenOrdersRead():
            schedule.arrived(turn.desk, f"open {message.pair}")
            outcomes.take_open_orders(turn, message)
            hunt.hunted(turn, message)
            resolve.resolve_read(turn, message)
        case AllOrdersRead():
            outcomes.take_all_orders(turn, message)
            hunt.hunted(turn, message)
            resolve.resolve_read(turn, message)
        case OrderRead():
            outcomes.take_order_read(turn, message)
            settle.close_conserved(turn)
        case FillsRead():
            schedule.arrived(turn.desk, "fills" if message.order_id is None else "fills_of")
            settle.take_fills(turn, message, post_fill)
            hunt.hunted(turn, message)
        case BalancesRead():
            schedule.arrived(turn.desk, "balances")
            settle.take_balances(turn, message, post_opening)
            hunt.hunted(turn, message)
        case TimeRead():
            schedule.arrived(turn.desk, "clock")
            turn.desk.clock, turn.desk.clock_read_ns = message, turn.now_ns
        case CancelAnswered():
            if turn.desk.by_order_id.get(message.order_id):  # Only a read can tell what it did.
                turn.ask(ReadOrder(message.order_id))
        case Doorbell():
            _ring(turn, message)
        case _:
            assert_never(message)


def _ring(turn: Turn, message: Doorbell) -> None:
    """Something moved: read the trades soon, and that order if it is ours; else the balances."""
    schedule.read_soon(turn, "fills")
    if message.order_id is None:
        schedule.read_soon(turn, "balances")
    if message.order_id is not None and message.order_id in turn.desk.by_order_id:
        turn.ask(ReadOrder(message.order_id))
