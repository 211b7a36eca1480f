"""What to read and what to repeat, and when: the clockwork of execution, tended twice a second.

Reads have a name; one of each name is under way at most. What is under way is forgotten after ten
seconds, so a lost answer delays a read and never stops it.
"""

from msgspec.structs import replace

from btcbot.domain.facts import OrderCancelRequested, OrderUnknown
from btcbot.domain.ids import OrderId, Pair
from btcbot.domain.venue import (
    AllOrdersRead,
    BalancesRead,
    Cancel,
    FillsRead,
    OpenOrdersRead,
    ReadAllOrders,
    ReadBalances,
    ReadFills,
    ReadOpenOrders,
    ReadTime,
    VenueEffect,
)
from btcbot.domain.words import OrderState, TradingState
from btcbot.orders.accept import live_orders
from btcbot.orders.outcomes import prove_absent
from btcbot.orders.settle import differences
from btcbot.orders.state import Desk, Hunt, Order
from btcbot.orders.turn import Turn

HuntRead = OpenOrdersRead | AllOrdersRead | FillsRead | BalancesRead
SECOND = 1_000_000_000
TICK_NS = SECOND // 2
FORGET_NS = 10 * SECOND
RETRY_NS = 2 * SECOND
REPLY_WAIT_NS = 10 * SECOND  # The venue reports a time-out after 3 s; this is for its own death.
CANCELS_A_TICK = 4  # 8 a second of the 10 the exchange allows.
CANCEL_REPEATS_S = (2, 5, 10)
OVERLAP_MS = 600_000
UNAUTHORISED_MAX = 3
PROBE_NS = 60 * SECOND


def tend(turn: Turn) -> None:
    """Do what is due now."""
    desk, now_ns = turn.desk, turn.now_ns
    for name in [name for name, since in desk.waiting.items() if now_ns - since > FORGET_NS]:
        failed(turn, name)
    if desk.unauthorised >= UNAUTHORISED_MAX:
        # The exchange blocks an address after 50 of these: one probe a minute until it is mended.
        _read(turn, "probe", ReadBalances(), PROBE_NS)
        return
    _doubt_silence(turn)
    cancel_all(turn)
    _read_routine(turn)
    for pair in desk.setup.pairs:
        unknown = [o for o in live_orders(desk, pair) if o.state is OrderState.UNKNOWN]
        if unknown:
            _hunt(turn, unknown)
        else:
            desk.hunts.pop(pair, None)


def start_reads(desk: Desk) -> tuple[str, ...]:
    """Return the reads that must come back before anything is sent."""
    return ("clock", "balances", "fills", *(f"open {pair}" for pair in desk.setup.pairs))


def read_soon(turn: Turn, name: str) -> None:
    """Make a routine read due at once: something moved."""
    turn.desk.due[name] = min(turn.desk.due.get(name, 0), turn.now_ns)


def arrived(desk: Desk, name: str) -> None:
    """Note that the read `name` came back with an answer."""
    desk.waiting.pop(name, None)
    desk.trouble = ""
    desk.unauthorised = 0
    if name in desk.first_reads:
        desk.first_reads = tuple(read for read in desk.first_reads if read != name)


def failed(turn: Turn, name: str) -> None:
    """Note that the read `name` gave nothing; it goes again in two seconds."""
    turn.desk.waiting.pop(name, None)
    if name in turn.desk.due:
        turn.desk.due[name] = min(turn.desk.due[name], turn.now_ns + RETRY_NS)


def _read(turn: Turn, name: str, effect: VenueEffect, every_ns: int) -> None:
    """Ask for `effect` when it is due and not under way."""
    desk = turn.desk
    if name not in desk.waiting and desk.due.get(name, 0) <= turn.now_ns:
        desk.waiting[name] = turn.now_ns
        desk.due[name] = turn.now_ns + every_ns
        turn.ask(effect)


def _read_routine(turn: Turn) -> None:
    desk, bounds = turn.desk, turn.desk.setup.bounds
    _read(turn, "clock", ReadTime(), bounds.clock_interval_s * SECOND)
    is_live = any(live_orders(desk))
    # Fills before balances: a balance is compared only after the trades that explain it.
    fills_every = bounds.fills_interval_s if is_live else bounds.balances_interval_s
    if is_live and desk.due.get("fills", 0) > turn.now_ns + bounds.fills_interval_s * SECOND:
        desk.due["fills"] = turn.now_ns
    if desk.opened_ns:
        _read(turn, "fills", ReadFills(_fills_since_ms(desk, turn.now_ns)), fills_every * SECOND)
    else:
        desk.first_reads = tuple(read for read in desk.first_reads if read != "fills")
    balances_every = 5 if desk.mismatch else bounds.balances_interval_s
    _read(turn, "balances", ReadBalances(), balances_every * SECOND)
    for pair in desk.setup.pairs:
        has_live = any(live_orders(desk, pair))
        every = bounds.open_orders_interval_s if has_live else 12 * bounds.open_orders_interval_s
        name = f"open {pair}"
        if has_live and desk.due.get(name, 0) > turn.now_ns + every * SECOND:
            desk.due[name] = turn.now_ns
        _read(turn, name, ReadOpenOrders(pair), every * SECOND)


def _fills_since_ms(desk: Desk, now_ns: int) -> int:
    """Return the start of the window of trades: the oldest unsettled order, with an overlap."""
    oldest_ms = min((order.stamp_ms for order in live_orders(desk)), default=now_ns // 10**6)
    since = oldest_ms - OVERLAP_MS
    # The exchange stamps trades by its own clock: what is before our books is sorted out later.
    return max(since, desk.opened_ns // 10**6 - OVERLAP_MS)


def _doubt_silence(turn: Turn) -> None:
    """Call an order unknown whose submit nobody answered for."""
    for order in tuple(live_orders(turn.desk)):
        if order.state is OrderState.SENDING and turn.now_ns - order.created_ns > REPLY_WAIT_NS:
            turn.say(
                OrderUnknown(
                    intent_id=order.intent.intent_id, detail="no outcome", at_ns=turn.now_ns
                )
            )


def cancel_all(turn: Turn) -> None:
    """Cancel what may not stay: past its time, or everything when killed or halted."""
    _expire(turn)
    _cancel(turn)


def _expire(turn: Turn) -> None:
    """Ask to cancel what is past its time, or may not stay in this trading state."""
    is_killed = turn.desk.trading in (TradingState.KILLED, TradingState.HALTED)
    for order in tuple(live_orders(turn.desk)):
        if order.cancel_by is not None or order.state is OrderState.CLOSING:
            continue
        rules = turn.desk.rules.get(order.intent.pair)
        is_halted = rules is not None and not rules.is_trading
        if is_killed or is_halted or turn.now_ns >= order.intent.expires_ns:
            why = f"{rules.pair} is not trading" if rules is not None and is_halted else "expired"
            turn.say(
                OrderCancelRequested(
                    intent_id=order.intent.intent_id,
                    by="execution",
                    reason=f"{turn.desk.trading}" if is_killed else why,
                    at_ns=turn.now_ns,
                )
            )


def _cancel(turn: Turn) -> None:
    """Send the DELETEs that are due, oldest first; repeated until the order is proven gone."""
    due = [
        order
        for order in live_orders(turn.desk)
        if order.state in (OrderState.CANCEL_REQ, OrderState.ZOMBIE)
        and order.cancel_due_ns <= turn.now_ns
    ]
    for order in due[:CANCELS_A_TICK]:
        send_cancel(turn, order)


def send_cancel(turn: Turn, order: Order) -> None:
    """Send one DELETE and note when to repeat it."""
    assert order.order_id is not None, f"{order.client_order_id}: cancelled without an id"
    wait_s = CANCEL_REPEATS_S[min(order.cancels_sent, len(CANCEL_REPEATS_S) - 1)]
    turn.change(
        order,
        cancels_sent=order.cancels_sent + 1,
        cancel_due_ns=turn.now_ns + wait_s * SECOND,
    )
    turn.ask(Cancel(order.order_id))


def _hunt(turn: Turn, unknown: list[Order]) -> None:
    """Begin a sweep for a pair's unknown orders, or let the one under way come to its end."""
    desk, pair = turn.desk, unknown[0].intent.pair
    hunt = desk.hunts.get(pair)
    if hunt is not None and turn.now_ns - hunt.began_ns < max(_interval_ns(desk), FORGET_NS):
        return  # Under way; one whose answers were lost is begun again.
    if desk.due.get(f"hunt {pair}", 0) > turn.now_ns:
        return
    floor = min(order.id_floor for order in unknown)
    since_ms = min(order.stamp_ms for order in unknown) - 60_000
    desk.hunts[pair] = Hunt(began_ns=turn.now_ns)
    # An order only moves open -> all -> trades, so it cannot slip between reads in this order.
    turn.ask(ReadOpenOrders(pair))
    turn.ask(ReadAllOrders(pair, OrderId(floor)))
    turn.ask(ReadFills(since_ms))
    turn.ask(ReadBalances())


def hunted(turn: Turn, message: HuntRead) -> None:
    """Note that a read of a sweep came back; a sweep that is whole counts as evidence.

    Whole: open orders, all orders with every page, trades, and two equal balance reads that agree
    with our books: an order that was filled unseen would have moved them.
    """
    desk = turn.desk
    for pair, before in tuple(desk.hunts.items()):
        if message.asked_ns < before.began_ns:
            continue
        hunt = _furthered(turn, before, message, pair)
        desk.hunts[pair] = hunt
        if hunt.has_open and hunt.has_all and hunt.has_fills and hunt.balances_agree:
            del desk.hunts[pair]
            desk.due[f"hunt {pair}"] = hunt.began_ns + _interval_ns(desk)
            for order in tuple(live_orders(desk, pair)):
                if order.state is OrderState.UNKNOWN:
                    prove_absent(turn, order, hunt.began_ns)


def _furthered(turn: Turn, hunt: Hunt, message: HuntRead, pair: Pair) -> Hunt:
    """Return the sweep of `pair` with one more read come back."""
    match message:
        case OpenOrdersRead() if message.pair == pair:
            return replace(hunt, has_open=True)
        case AllOrdersRead() if message.pair == pair and message.is_complete:
            return replace(hunt, has_all=True)
        case FillsRead() if message.order_id is None:
            return replace(hunt, has_fills=True)
        case BalancesRead():
            return _witness(turn, hunt, message)
    return hunt


def _witness(turn: Turn, hunt: Hunt, message: BalancesRead) -> Hunt:
    """Take a balance read into a sweep; ask for the second of the two that must be equal."""
    if hunt.balances is None:
        turn.ask(ReadBalances())
        return replace(hunt, balances=message.balances)
    agree = hunt.balances == message.balances and not differences(turn.desk)
    return replace(hunt, balances=message.balances, balances_agree=agree)


def _interval_ns(desk: Desk) -> int:
    return desk.setup.bounds.sweep_interval_s * SECOND
