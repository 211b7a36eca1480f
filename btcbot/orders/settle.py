"""Fills, closing and balances: our books follow the exchange's trade list, exactly, once each.

The trade list is the one source of fills, keyed by (trade id, order id, side). An order closes
only when its fills add up to what the exchange executed, so a missing fill blocks closing instead
of vanishing. Balances must then agree to the last unit; there is no tolerance.
"""

from collections.abc import Callable, Collection
from decimal import Decimal

from btcbot.domain.facts import (
    Balances,
    BalancesExplained,
    Fill,
    KillCompleted,
    Opening,
    OrderClosed,
    Posting,
)
from btcbot.domain.ids import Asset, CommandId
from btcbot.domain.instruments import Instrument
from btcbot.domain.money import Amount, Price, half_up, text
from btcbot.domain.venue import BalancesRead, FillsRead, ReadFills, VenueFill
from btcbot.domain.words import OrderState, TradingState
from btcbot.orders.accept import live_orders
from btcbot.orders.alarms import alarm
from btcbot.orders.outcomes import claim
from btcbot.orders.state import Desk, FillContent, FillKey, Order
from btcbot.orders.terms import spends_quote
from btcbot.orders.turn import Turn

PRICE_SCALE = 16
QUIET_NS = 5_000_000_000  # How long nothing must have changed before balances are compared.

# While an order is in one of these, the exchange may have moved money we cannot know of yet.
_UNSETTLED = (OrderState.SENDING, OrderState.UNKNOWN, OrderState.CLOSING, OrderState.ZOMBIE)

FILLS_OF_NS = 3_000_000_000  # Twenty of these reads a minute are what the budget has for them.
BOOKS = "books and balances"

PostFill = Callable[[VenueFill, Instrument], tuple[Posting, ...]]
PostOpening = Callable[[BalancesRead], tuple[Posting, ...]]


def take_fills(turn: Turn, message: FillsRead, post: PostFill) -> None:
    """Book each trade that is new; the same id with other content stops everything."""
    desk, books = turn.desk, turn.desk.fills
    # Every read brings minutes that are booked already: nothing is sorted for them.
    news = [row for row in message.fills if books.get(_key(row)) != _content(row)]
    for row in sorted(news, key=lambda fill: (fill.event_ns, fill.trade_id)):
        known, content = books.get(_key(row)), _content(row)
        if known is None:
            _book(turn, row, post)
        elif known != content:  # Else it stood twice in this list.
            subject = f"fill {row.trade_id} of order {row.order_id}"
            detail = f"was {' '.join(map(text, known))}, is now {' '.join(map(text, content))}"
            alarm(turn, TradingState.HALTED, subject, detail)
    if message.order_id is None and desk.rules:
        desk.fills_read_ns = max(desk.fills_read_ns, message.asked_ns)
    close_conserved(turn)


def close_conserved(turn: Turn) -> None:
    """Close each order whose fills add up."""
    for order in tuple(live_orders(turn.desk)):
        if order.state is OrderState.CLOSING:
            _close(turn, order)


def report_kill(turn: Turn) -> None:
    """Report a kill once nothing is live."""
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
        desk.due["balances"] = turn.now_ns + QUIET_NS
    else:
        alarm(turn, TradingState.REDUCE, BOOKS, said_of(wrong))


def differences(desk: Desk, assets: Collection[Asset] | None = None) -> dict[Asset, Decimal]:
    """Return what the exchange has beyond our books, of each asset that differs; None: of all."""
    found = {}
    for asset in sorted(desk.ledger.keys() | desk.balances.keys()):
        row = desk.balances.get(asset)
        beyond = (row.total if row else Decimal(0)) - desk.ledger.get(asset, Decimal(0))
        if beyond and (assets is None or asset in assets):
            found[asset] = beyond
    return found


def said_of(wrong: dict[Asset, Decimal]) -> str:
    """Return `wrong` as a person reads it."""
    return ", ".join(
        f"the exchange has {text(abs(beyond))} {asset} {'more' if beyond > 0 else 'less'}"
        for asset, beyond in wrong.items()
    )


def explain(turn: Turn, command: CommandId, by: str, reason: str) -> None:
    """Take a person's word that money came from outside or went there; our books follow."""
    lines = []
    for asset, beyond in differences(turn.desk).items():
        lines.append(Posting("asset", asset, Amount(beyond)))
        lines.append(Posting("external", asset, Amount(-beyond)))
    turn.say(
        BalancesExplained(
            postings=tuple(lines), by=by, reason=reason, command_id=command, at_ns=turn.now_ns
        )
    )
    turn.desk.mismatch = None


def _key(row: VenueFill) -> FillKey:
    return (row.trade_id, row.order_id, row.side)


def _content(row: VenueFill) -> FillContent:
    return (row.quantity, row.price, row.fee, row.tax)


def _book(turn: Turn, row: VenueFill, post: PostFill) -> None:
    desk = turn.desk
    rules = desk.rules.get(row.pair)
    if rules is None:
        return  # Of a pair that nobody configured, or that we have not heard of yet.
    order = claim(turn, row.order_id, row.client_id)  # A trade proves that its order exists.
    if order is None and row.event_ns < desk.opened_ns:
        return  # Before our books began.
    turn.say(
        Fill(
            trade_id=row.trade_id,
            order_id=row.order_id,
            intent_id=order.intent.intent_id if order else None,
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
        _hold_against(turn, desk.orders[order.intent.intent_id])


def _average(order: Order) -> Price | None:
    """Return the mean price of the fills, to 16 decimals as `export` shows it; None: no fill."""
    if not order.filled:
        return None
    return Price(half_up(order.cost / order.filled, PRICE_SCALE))


def _hold_against(turn: Turn, order: Order) -> None:
    """Stop when more was executed than was sent, or than what ended the order.

    What was sent is base; or quote, where the size in base follows from the fills.
    """
    if spends_quote(order.intent):
        bounds = [(order.cost, order.reserved), (order.filled, order.executed)]
    else:
        bounds = [(order.filled, order.intent.quantity), (order.filled, order.executed)]
    for done, most in bounds:
        if most is not None and done > most:
            detail = f"{text(done)} of {text(most)}"
            alarm(turn, TradingState.HALTED, f"overfill of {order.client_order_id}", detail)
            return


def _close(turn: Turn, order: Order) -> None:
    desk = turn.desk
    if order.executed is not None and order.filled >= order.executed:
        _hold_against(turn, order)  # More than was executed: over all the same, with an alarm.
        # A buy by quote never rests: whatever it got is all that was wanted.
        is_full = order.filled >= order.intent.quantity or (
            spends_quote(order.intent) and order.filled > 0
        )
        turn.say(
            OrderClosed(
                intent_id=order.intent.intent_id,
                filled=Amount(order.filled),
                average_price=_average(order),
                reason="filled" if is_full else "canceled",
                at_ns=turn.now_ns,
            )
        )
        quiet_ns = turn.now_ns + QUIET_NS + 1
        desk.due["balances"] = min(desk.due.get("balances", quiet_ns), quiet_ns)
        return
    _hold_against(turn, order)
    if order.order_id is not None and desk.due.get("fills_of", 0) <= turn.now_ns:
        desk.due["fills_of"] = turn.now_ns + FILLS_OF_NS
        turn.ask(ReadFills(0, order.order_id))
