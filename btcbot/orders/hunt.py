"""The hunt for orders in doubt: whole readings of a pair, and what they prove when all is silent.

An order only moves open -> all -> trades, so a sweep reads them in this order, each after the one
before has come back, and an order cannot slip between. Balances are the independent witness: an
order that lives holds money, and one that was filled moved it.
"""

from decimal import Decimal

from msgspec.structs import replace

from btcbot.domain.facts import OrderAbsent
from btcbot.domain.ids import Asset, OrderId, Pair
from btcbot.domain.instruments import Instrument
from btcbot.domain.money import Notional, part_of
from btcbot.domain.venue import (
    AllOrdersRead,
    BalancesRead,
    FillsRead,
    OpenOrdersRead,
    ReadAllOrders,
    ReadBalances,
    ReadFills,
    ReadOpenOrders,
    VenueOrder,
)
from btcbot.domain.words import OrderState, Side
from btcbot.orders.accept import live_orders
from btcbot.orders.settle import differences
from btcbot.orders.state import Desk, Hunt, Order, Stage
from btcbot.orders.turn import Turn

HuntRead = OpenOrdersRead | AllOrdersRead | FillsRead | BalancesRead
SWEEPS_NEEDED = 3
LOST_NS = 10_000_000_000  # A read without an answer for so long: the sweep begins again.
BEFORE_MS = 60_000
HOLDING = (
    OrderState.OPEN,
    OrderState.CANCEL_REQ,
    OrderState.ZOMBIE,
)  # Orders whose money the exchange holds.


def hunt_unknown(turn: Turn) -> None:
    """Begin the sweeps that are due; forget those that nobody needs any more."""
    desk = turn.desk
    doubted = {o.intent.pair for o in live_orders(desk) if o.state is OrderState.UNKNOWN}
    if not doubted and not desk.hunts:
        return
    for pair in desk.setup.pairs:
        if pair in doubted:
            _begin(turn, pair, _unknown(desk, pair))
        else:
            desk.hunts.pop(pair, None)


def hunted(turn: Turn, message: HuntRead) -> None:
    """Take one read into every sweep that waits for it; a sweep that is whole is evidence."""
    for pair, hunt in tuple(turn.desk.hunts.items()):
        if message.asked_ns >= hunt.stage_ns and _unknown(turn.desk, pair):
            _further(turn, pair, hunt, message)


def _unknown(desk: Desk, pair: Pair) -> list[Order]:
    return [o for o in live_orders(desk, pair) if o.state is OrderState.UNKNOWN]


def _begin(turn: Turn, pair: Pair, unknown: list[Order]) -> None:
    desk, now_ns, due = turn.desk, turn.now_ns, f"hunt {pair}"
    hunt = desk.hunts.get(pair)
    is_under_way = hunt is not None and now_ns - hunt.stage_ns < LOST_NS
    if is_under_way or desk.due.get(due, 0) > now_ns:
        return
    desk.due[due] = now_ns + desk.setup.bounds.sweep_interval_s * 10**9
    exchange_ns = now_ns + desk.clock.offset_ns if desk.clock else 0
    may_prove = any(_is_past_bound(desk, order, exchange_ns) for order in unknown)
    desk.hunts[pair] = Hunt(
        began_ns=now_ns,
        exchange_ns=exchange_ns,
        holds=_assets(desk, pair) if may_prove else (),
        stage_ns=now_ns,
    )
    turn.ask(ReadOpenOrders(pair, is_settling=True))


def _further(turn: Turn, pair: Pair, hunt: Hunt, message: HuntRead) -> None:
    """Take the read that a sweep waits for, and ask for the next."""
    unknown = _unknown(turn.desk, pair)
    match message, hunt.stage:
        case OpenOrdersRead(), Stage.OPEN if message.pair == pair:
            floor = OrderId(min(order.id_floor for order in unknown))
            turn.ask(ReadAllOrders(pair, floor))
            _go_on(turn, pair, _strangers(turn.desk, hunt, message.orders), Stage.ALL)
        case AllOrdersRead(), Stage.ALL if message.pair == pair and not message.is_complete:
            del turn.desk.hunts[pair]  # It proves nothing.
        case AllOrdersRead(), Stage.ALL if message.pair == pair:
            since_ms = min(order.stamp_ms for order in unknown) - BEFORE_MS
            turn.ask(ReadFills(since_ms, is_settling=True))
            _go_on(turn, pair, _strangers(turn.desk, hunt, message.orders), Stage.FILLS)
        case FillsRead(order_id=None), Stage.FILLS:
            turn.ask(ReadBalances(is_settling=True))
            _go_on(turn, pair, hunt, Stage.BALANCES)
        case BalancesRead(), Stage.BALANCES:
            turn.ask(ReadBalances(is_settling=True))
            _go_on(turn, pair, replace(hunt, balances=message.balances), Stage.AGAIN)
        case BalancesRead(), Stage.AGAIN:
            _end(turn, pair, hunt, message)


def _end(turn: Turn, pair: Pair, hunt: Hunt, message: BalancesRead) -> None:
    """Count a whole sweep, when the second reading of balances bears it out."""
    del turn.desk.hunts[pair]
    if hunt.balances == message.balances and _is_explained(turn.desk, pair):
        for order in _unknown(turn.desk, pair):
            _count(turn, order, hunt)


def _go_on(turn: Turn, pair: Pair, hunt: Hunt, stage: Stage) -> None:
    turn.desk.hunts[pair] = replace(hunt, stage=stage, stage_ns=turn.now_ns)


def _strangers(desk: Desk, hunt: Hunt, rows: tuple[VenueOrder, ...]) -> Hunt:
    found = tuple(row for row in rows if row.order_id not in desk.by_order_id)
    return replace(hunt, strangers=(*hunt.strangers, *found))


def _count(turn: Turn, order: Order, hunt: Hunt) -> None:
    """Count one whole sweep that did not find `order`; three past the bound prove it absent."""
    is_past = _is_past_bound(turn.desk, order, hunt.exchange_ns)
    if not is_past or any(is_like(row, order) for row in hunt.strangers):
        return
    order = turn.change(order, sweeps=(*order.sweeps, hunt.began_ns))
    if len(order.sweeps) >= SWEEPS_NEEDED:
        turn.say(
            OrderAbsent(
                intent_id=order.intent.intent_id, sweeps=len(order.sweeps), at_ns=turn.now_ns
            )
        )


def _is_past_bound(desk: Desk, order: Order, exchange_ns: int) -> bool:
    """Return whether `order` would have to be visible by now, if the exchange had taken it.

    The bound: stamp window, clock error, processing and visibility of the exchange together. Both
    sides are the exchange's time: the stamp was made by it.
    """
    wait_ns = desk.setup.bounds.absence_wait_s * 10**9
    return exchange_ns >= order.stamp_ms * 10**6 + wait_ns


def is_like(row: VenueOrder, order: Order) -> bool:
    """Return whether a stranger could be `order` with its label lost."""
    intent = order.intent
    return (
        row.order_id > order.id_floor
        and row.side is intent.side
        and Decimal(row.quantity) == intent.quantity
        and row.price == intent.limit_price
    )


def _assets(desk: Desk, pair: Pair) -> tuple[Asset, ...]:
    rules = desk.rules.get(pair)
    return (rules.base, rules.quote) if rules else ()


def _is_explained(desk: Desk, pair: Pair) -> bool:
    """Return whether what is known explains what the exchange has and holds, to the last unit."""
    assets = _assets(desk, pair)
    return (
        bool(assets)
        and not differences(desk, assets)
        and all(_held_by_exchange(desk, asset) == _explained(desk, asset) for asset in assets)
    )


def _held_by_exchange(desk: Desk, asset: Asset) -> Decimal:
    row = desk.balances.get(asset)
    return row.total - row.free if row else Decimal(0)


def _explained(desk: Desk, asset: Asset) -> Decimal:
    """Return what the open orders that we know of hold of `asset`, ours and anybody's."""
    held = Decimal(0)
    for order in live_orders(desk):
        rules = desk.rules.get(order.intent.pair)
        if rules is not None and order.state in HOLDING:
            intent = order.intent
            held += _hold(desk, rules, asset, intent.side, order.left, intent.limit_price)
    for pair, rows in desk.foreign.items():
        rules = desk.rules.get(pair)
        if rules is not None:
            held += sum(
                (_hold(desk, rules, asset, row.side, row.left, row.price) for row in rows),
                start=Decimal(0),
            )
    return held


def _hold(
    desk: Desk, rules: Instrument, asset: Asset, side: Side, left: Decimal, price: Decimal
) -> Decimal:
    """Return what an open order holds of `asset`: a buy has the taker's fee on top."""
    if side is Side.SELL:
        return left if asset == rules.base else Decimal(0)
    if asset != rules.quote:
        return Decimal(0)
    notional = Notional(left * price)
    return notional + part_of(notional, desk.setup.fees[rules.quote].taker_bps)
