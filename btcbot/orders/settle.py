"""Fills, closing and balances: our books follow the exchange's trade list, exactly, once each.

The trade list is the one source of fills, keyed by (trade id, order id, side). An order closes
only when its fills add up to what the exchange executed, so a missing fill blocks closing instead
of vanishing. Balances must then agree to the last unit; there is no tolerance.
"""

from collections.abc import Callable
from decimal import Decimal

from btcbot.domain.facts import (
    Balances,
    Discrepancy,
    Fill,
    KillCompleted,
    Opening,
    OrderClosed,
    Posting,
    TradingStateChanged,
)
from btcbot.domain.ids import CommandId
from btcbot.domain.instruments import Instrument
from btcbot.domain.money import Amount, Price, text
from btcbot.domain.venue import BalancesRead, FillsRead, ReadFills, VenueFill
from btcbot.domain.words import OrderState, TradingState
from btcbot.orders.accept import live_orders
from btcbot.orders.state import Desk, Order
from btcbot.orders.terms import spends_quote
from btcbot.orders.turn import Turn

QUIET_NS = 2_000_000_000  # How long nothing must have changed before balances are compared.

# While an order is in one of these, the exchange may have moved money we cannot know of yet.
_UNSETTLED = (OrderState.SENDING, OrderState.UNKNOWN, OrderState.CLOSING, OrderState.ZOMBIE)

PostFill = Callable[[VenueFill, Instrument], tuple[Posting, ...]]
PostOpening = Callable[[BalancesRead], tuple[Posting, ...]]


def take_fills(turn: Turn, message: FillsRead, post: PostFill) -> None:
    """Book each trade that is new; the same id with other content stops everything."""
    desk = turn.desk
    for row in sorted(message.fills, key=lambda fill: (fill.event_ns, fill.trade_id)):
        key = (row.trade_id, row.order_id, row.side)
        content = (text(row.quantity), text(row.price), text(row.fee), text(row.tax))
        known = desk.fills.get(key)
        if known is None:
            _book(turn, row, post)
        elif known != content:
            _alarm(turn, TradingState.HALTED, f"fill {key}", f"was {known}, is now {content}")
    close_conserved(turn)


def close_conserved(turn: Turn) -> None:
    """Close each order whose fills add up; report a kill once nothing is live."""
    for order in tuple(live_orders(turn.desk)):
        if order.state is OrderState.CLOSING:
            _close(turn, order)
    desk = turn.desk
    if desk.kill_command is not None and not any(live_orders(desk)):
        turn.say(KillCompleted(command_id=desk.kill_command, at_ns=turn.now_ns))


def take_balances(turn: Turn, message: BalancesRead, post: PostOpening) -> None:
    """Open the books with the first read; hold every later one against them."""
    desk = turn.desk
    if not desk.opened_ns:
        turn.say(Opening(balances=message.balances, postings=post(message), at_ns=turn.now_ns))
    if {row.asset: row for row in message.balances} != desk.balances:
        turn.say(Balances(balances=message.balances, at_ns=turn.now_ns))
    wrong = differences(desk)
    is_quiet = message.asked_ns - desk.changed_ns > QUIET_NS
    if not wrong or not is_quiet or any(o.state in _UNSETTLED for o in live_orders(desk)):
        desk.mismatch = None
    elif desk.mismatch != message.balances:
        desk.mismatch = message.balances  # Two equal reads: one may fall into an update.
    elif desk.trading is TradingState.LIVE:
        _alarm(turn, TradingState.REDUCE, "balances", "; ".join(wrong))


def differences(desk: Desk) -> list[str]:
    """Return each asset whose total is not what our books say, with both figures."""
    found = []
    for asset in sorted(desk.ledger.keys() | desk.balances.keys()):
        ours = desk.ledger.get(asset, Decimal(0))
        row = desk.balances.get(asset)
        theirs = row.total if row else Decimal(0)
        if ours != theirs:
            found.append(f"{asset}: books {text(ours)}, exchange {text(theirs)}")
    return found


def _book(turn: Turn, row: VenueFill, post: PostFill) -> None:
    desk = turn.desk
    intent_id = desk.by_order_id.get(row.order_id)
    order = desk.orders.get(intent_id) if intent_id else None
    rules = desk.rules.get(row.pair)
    if rules is None or (order is None and row.event_ns < desk.opened_ns):
        return  # Before our books began, or of a pair that nobody configured.
    if order is None and row.client_id.startswith(f"b1-{desk.setup.tag}-"):
        return  # Ours, but the order is not found yet: the trade comes again with the next read.
    turn.say(
        Fill(
            trade_id=row.trade_id,
            order_id=row.order_id,
            intent_id=intent_id,
            client_order_id=order.client_order_id if order else None,
            pair=row.pair,
            side=row.side,
            quantity=row.quantity,
            price=row.price,
            fee=row.fee,
            tax=row.tax,
            fee_asset=rules.quote,
            event_ns=row.event_ns,
            liquidity=None,
            postings=post(row, rules),
            at_ns=turn.now_ns,
        )
    )
    if order is not None:
        _doubt_overfill(turn, desk.orders[order.intent.intent_id])


def _doubt_overfill(turn: Turn, order: Order) -> None:
    """Stop everything if more was executed than was sent: base, or quote where quote was sent."""
    done, sent = order.filled, Decimal(order.intent.quantity)
    if spends_quote(order.intent):
        done, sent = order.cost, order.reserved
    if done > sent:
        detail = f"{text(done)} of {text(sent)}"
        _alarm(turn, TradingState.HALTED, f"overfill of {order.client_order_id}", detail)


def _close(turn: Turn, order: Order) -> None:
    if order.filled == order.executed:
        is_full = order.filled == order.intent.quantity or (
            spends_quote(order.intent) and order.status in ("Closed", "Filled")
        )
        turn.say(
            OrderClosed(
                intent_id=order.intent.intent_id,
                filled=Amount(order.filled),
                average_price=Price(order.cost / order.filled) if order.filled else None,
                reason="filled" if is_full else "canceled",
                at_ns=turn.now_ns,
            )
        )
    elif order.order_id is not None and "fills_of" not in turn.desk.waiting:
        turn.desk.waiting["fills_of"] = turn.now_ns
        turn.ask(ReadFills(0, order.order_id))


def _alarm(turn: Turn, state: TradingState, subject: str, detail: str) -> None:
    """Write down what is wrong, and stop as much as it takes."""
    turn.say(Discrepancy(subject=subject, detail=detail, at_ns=turn.now_ns))
    turn.say(
        TradingStateChanged(
            state=state,
            by="execution",
            reason=f"{subject}: {detail}",
            command_id=CommandId(""),
            at_ns=turn.now_ns,
        )
    )
