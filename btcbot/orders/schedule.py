"""What to read and what to repeat, and when: the clockwork of execution.

It is tended twice a second while something of ours is alive or due, else once.

Reads have a name; one of each name is under way at most. What is under way is forgotten after ten
seconds, so a lost answer delays a read and never stops it.
"""

from decimal import Decimal
from functools import cache

from btcbot.domain.facts import OrderCancelRequested, OrderUnknown
from btcbot.domain.ids import Pair
from btcbot.domain.money import BPS_IN_ONE, ZERO
from btcbot.domain.venue import (
    Cancel,
    ReadBalances,
    ReadFailed,
    ReadFills,
    ReadOpenOrders,
    ReadTime,
)
from btcbot.domain.words import OrderState, Side, TradingState
from btcbot.orders.accept import MARK_AGE_MAX_NS, live_orders
from btcbot.orders.alarms import alarm
from btcbot.orders.hunt import hunt_unknown
from btcbot.orders.state import UNAUTHORISED_MAX, Desk, Order
from btcbot.orders.turn import Turn

SECOND = 1_000_000_000
TICK_NS = SECOND // 2
SOON_NS = TICK_NS // 2  # Until the first one after something began.
QUIET_NS = SECOND  # Between two ticks that find nothing to do but look at what a person left.
STEP_NS = SECOND  # A tick this late or early: we were frozen, or the clock was set.
FORGET_NS = 10 * SECOND
RETRY_NS = 2 * SECOND
REPLY_WAIT_NS = 10 * SECOND  # The venue reports a time-out after 3 s; this is for its own death.
CANCELS_A_TICK = 5  # 10 a second, which the exchange allows; the rate budget takes off the top.
CANCEL_REPEATS_S = (2, 5, 10)
OVERLAP_MS = 600_000
UNKNOWN_MAX = 3
UNKNOWN_FOR_NS = 60 * SECOND
PROBE_NS = 10 * SECOND


def is_quiet(desk: Desk, now_ns: int, due_ns: int) -> bool:
    """Return whether a tick that was asked for at `due_ns` finds nothing to do.

    So it is most of a day: nothing live, paused or under way, and no read due.
    """
    if abs(now_ns - due_ns) > STEP_NS:
        return False
    if now_ns < desk.quiet_until_ns:
        return True
    if (
        desk.live
        or desk.waiting
        or desk.pauses
        or desk.hunts
        or desk.kill_command is not None
        or desk.is_blind
    ):
        return False
    desk.quiet_until_ns = min(desk.due.get(name, 0) for name in _routine(desk.setup.pairs))
    return now_ns < desk.quiet_until_ns


@cache
def _routine(pairs: tuple[Pair, ...]) -> tuple[str, ...]:
    """Return the names of all that goes again and again, for desks of `pairs`.

    Fills are never read before the books are open.
    """
    return ("fills", "balances", "clock", *(name for _, name in _open_names(pairs)))


@cache
def _open_names(pairs: tuple[Pair, ...]) -> tuple[tuple[Pair, str], ...]:
    """Return what the reading of each pair's open orders is called."""
    return tuple((pair, f"open {pair}") for pair in pairs)


def tend(turn: Turn, due_ns: int) -> None:
    """Do what is due now; this tick was asked for at `due_ns`."""
    desk, now_ns = turn.desk, turn.now_ns
    if abs(now_ns - due_ns) > STEP_NS:
        desk.clock = None  # Nothing is sent until the exchange's clock is measured again.
        read_soon(turn, "clock")
    for name in [name for name, since in desk.waiting.items() if now_ns - since > FORGET_NS]:
        failed(turn, name)
    _doubt_silence(turn)
    _fear_doubt(turn)
    # Public, and a wrong clock is one reason why a key is refused.
    if _begins(turn, "clock", desk.setup.bounds.clock_interval_s):
        turn.ask(ReadTime())
    if desk.is_blind:
        _probe(turn)
        return
    cancel_all(turn)
    _read_routine(turn)
    hunt_unknown(turn)


def _probe(turn: Turn) -> None:
    """Ask again and again whether the exchange takes our key again, and send nothing meanwhile.

    It blocks an address after 50 refusals in a row: the client lets one call a minute through, and
    a probe of ours that comes just before that minute is over must not wait for another.
    """
    detail = f"{UNAUTHORISED_MAX} private calls in a row were refused; see the key and the clock"
    alarm(turn, TradingState.PAUSED, "key", detail)
    if turn.desk.due.get("probe", 0) <= turn.now_ns:
        turn.desk.due["probe"] = turn.now_ns + PROBE_NS
        turn.probe(ReadBalances())


def start_reads(desk: Desk) -> tuple[str, ...]:
    """Return the reads that must come back before anything is sent."""
    return ("clock", "balances", "fills", *(f"open {pair}" for pair in desk.setup.pairs))


def read_soon(turn: Turn, name: str) -> None:
    """Make a routine read due at once: something moved."""
    turn.desk.due[name] = min(turn.desk.due.get(name, 0), turn.now_ns)


def arrived(desk: Desk, name: str) -> None:
    """Note that the read `name` came back with an answer."""
    desk.waiting.pop(name, None)
    desk.troubles.pop(name, None)
    desk.troubles.pop("", None)
    if name != "clock":  # It is public: it proves nothing of our key.
        desk.unauthorised = 0
    if name in desk.first_reads:
        desk.first_reads = tuple(read for read in desk.first_reads if read != name)


def failed(turn: Turn, name: str) -> None:
    """Note that the read `name` gave nothing; it goes again in two seconds."""
    turn.desk.waiting.pop(name, None)
    if name in turn.desk.due:
        turn.desk.due[name] = min(turn.desk.due[name], turn.now_ns + RETRY_NS)


def note_trouble(turn: Turn, message: ReadFailed) -> None:
    """Note why a read gave nothing, and whether our key was refused."""
    desk = turn.desk
    failed(turn, message.what)
    # What is read over and over has a trouble of its own; the next good answer ends any other.
    name = message.what if message.what in start_reads(desk) else ""
    desk.troubles[name] = f"{message.what}: {message.detail}"
    if message.is_unauthorised:  # Any other failure says nothing of our key.
        desk.unauthorised += 1
        read_soon(turn, "clock")  # A clock that was set is the reason that mends itself.


def _begins(turn: Turn, name: str, every_s: int) -> bool:
    """Return whether a read is due and not under way; it is under way from here on."""
    desk, now_ns = turn.desk, turn.now_ns
    if desk.due.get(name, 0) > now_ns or name in desk.waiting:
        return False
    desk.waiting[name] = now_ns
    desk.due[name] = now_ns + every_s * SECOND
    return True


def _hurry(turn: Turn, name: str, every_s: int) -> None:
    """Make a read due that was put off for longer than `every_s`, which holds by now."""
    if turn.desk.due.get(name, 0) > turn.now_ns + every_s * SECOND:
        turn.desk.due[name] = turn.now_ns


def _read_routine(turn: Turn) -> None:
    desk, bounds = turn.desk, turn.desk.setup.bounds
    live_pairs = {order.intent.pair for order in live_orders(desk)}
    # Fills before balances: a balance is compared only after the trades that explain it.
    fills_every_s = bounds.fills_interval_s if live_pairs else bounds.balances_interval_s
    if live_pairs:
        _hurry(turn, "fills", fills_every_s)
    if not desk.opened_ns:
        desk.first_reads = tuple(read for read in desk.first_reads if read != "fills")
    elif _begins(turn, "fills", fills_every_s):
        turn.ask(ReadFills(_fills_since_ms(desk, turn.now_ns)))
    if _begins(turn, "balances", bounds.balances_interval_s):
        turn.ask(ReadBalances())
    for pair, name in _open_names(desk.setup.pairs):
        every_s = bounds.open_orders_interval_s
        if pair in live_pairs:
            _hurry(turn, name, every_s)
        else:
            every_s *= 12
        if _begins(turn, name, every_s):
            turn.ask(ReadOpenOrders(pair))


def _fills_since_ms(desk: Desk, now_ns: int) -> int:
    """Return the start of the window of trades, with an overlap.

    The oldest unsettled order, or the last reading when that is older: trades may have happened
    while nobody read.
    """
    read_ms = (desk.fills_read_ns or desk.opened_ns) // 10**6
    oldest_ms = min((order.stamp_ms for order in live_orders(desk)), default=now_ns // 10**6)
    # The exchange stamps trades by its own clock: what is before our books is sorted out later.
    return max(min(read_ms, oldest_ms), desk.opened_ns // 10**6) - OVERLAP_MS


def _doubt_silence(turn: Turn) -> None:
    """Call an order unknown whose submit nobody answered for."""
    for order in tuple(live_orders(turn.desk)):
        if order.state is OrderState.SENDING and turn.now_ns - order.created_ns > REPLY_WAIT_NS:
            turn.say(
                OrderUnknown(
                    intent_id=order.intent.intent_id, detail="no outcome", at_ns=turn.now_ns
                )
            )


def _fear_doubt(turn: Turn) -> None:
    """Take no new risk while several orders are in doubt, or one is for long."""
    unknown = [o for o in live_orders(turn.desk) if o.state is OrderState.UNKNOWN]
    if len(unknown) >= UNKNOWN_MAX:
        alarm(turn, TradingState.REDUCE, "orders in doubt", f"{UNKNOWN_MAX} or more at once")
    for order in unknown:
        if turn.now_ns - order.created_ns > UNKNOWN_FOR_NS:
            detail = f"nobody has known for {UNKNOWN_FOR_NS // SECOND} s what became of it"
            alarm(turn, TradingState.REDUCE, order.client_order_id, detail)


def cancel_all(turn: Turn) -> None:
    """Cancel what may not stay: past its time, left behind, or everything when killed or halted."""
    _expire(turn)
    _cancel(turn)


def _expire(turn: Turn) -> None:
    """Ask to cancel what is past its time, left behind, or barred by this trading state."""
    for order in tuple(live_orders(turn.desk)):
        if order.cancel_by is not None or order.state is OrderState.CLOSING:
            continue
        why = _why_cancel(turn.desk, order, turn.now_ns)
        if why:
            turn.say(
                OrderCancelRequested(
                    intent_id=order.intent.intent_id, by="execution", reason=why, at_ns=turn.now_ns
                )
            )


def _why_cancel(desk: Desk, order: Order, now_ns: int) -> str:
    """Return why an order may not stay; empty: it may."""
    if desk.trading in (TradingState.KILLED, TradingState.HALTED):
        return f"{desk.trading}"
    rules = desk.rules.get(order.intent.pair)
    if rules is not None and not rules.is_trading:
        return f"{rules.pair} is not trading"
    if now_ns >= order.intent.expires_ns:
        return "expired"
    bps, most = _drift_bps(desk, order, now_ns), desk.setup.bounds.drift_max_bps
    return f"{bps:.0f} bps from the middle, allowed are {most}" if bps > most else ""


def _drift_bps(desk: Desk, order: Order, now_ns: int) -> Decimal:
    """Return how far the middle left a resting order behind, in bps of the middle; 0: not known.

    An old price says nothing, and an order that is on its way or in doubt does not rest.
    """
    mark, intent = desk.marks.get(order.intent.pair), order.intent
    is_old = mark is None or abs(now_ns - mark.confirmed_ns) > MARK_AGE_MAX_NS
    if mark is None or is_old or order.state is not OrderState.OPEN:
        return ZERO
    middle = (mark.bid + mark.ask) / 2
    left = middle - intent.limit_price if intent.side is Side.BUY else intent.limit_price - middle
    return max(left, ZERO) * BPS_IN_ONE / middle


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
