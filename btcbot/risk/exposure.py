"""What our orders may still do, kept as sums: an intent is judged without adding orders up.

Every order that may still execute counts in full, in doubt or not, from its approval on. The sums
are exact: taking an order out gives what was there before it came.
"""

from decimal import Decimal

from msgspec import Struct, field

from btcbot.domain.ids import IntentId, Pair
from btcbot.domain.messages import OrderIntent
from btcbot.domain.money import ZERO
from btcbot.domain.words import Side


class Resting(Struct, frozen=True):
    """An order that may still execute, or an approval that may become one."""

    intent: OrderIntent
    left: Decimal  # Base asset.
    is_unknown: bool = False
    sent_ns: int = 0  # When execution journaled it; 0: approved, and that is not heard yet.


class PairOrders(Struct, frozen=True):
    """The live orders of one pair."""

    buying: Decimal = ZERO  # Quote, at the limits.
    selling: Decimal = ZERO  # Base.
    working: Decimal = ZERO  # Quote, at the limits, both sides.
    orders: int = 0
    unknown: int = 0
    unsent_buys: int = 0


NO_ORDERS = PairOrders()


class Exposure(Struct, kw_only=True):
    """Owned by the gate, changed in place by `put` and `drop` alone."""

    orders: dict[IntentId, Resting] = field(default_factory=dict)
    pairs: dict[Pair, PairOrders] = field(default_factory=dict)
    slots: dict[str, int] = field(default_factory=dict)  # Live orders of each slot.


def put(exposure: Exposure, order: Resting) -> None:
    """Count `order`, in the place of what its intent had before."""
    intent = order.intent
    drop(exposure, intent.intent_id)
    exposure.orders[intent.intent_id] = order
    exposure.slots[intent.slot] = exposure.slots.get(intent.slot, 0) + 1
    _add(exposure, order, 1)


def drop(exposure: Exposure, intent_id: IntentId) -> Resting | None:
    """Count an order no more; return it, None when there was none."""
    order = exposure.orders.pop(intent_id, None)
    if order is None:
        return None
    slot = order.intent.slot
    exposure.slots[slot] -= 1
    if not exposure.slots[slot]:
        del exposure.slots[slot]
    _add(exposure, order, -1)
    return order


def _add(exposure: Exposure, order: Resting, sign: int) -> None:
    intent = order.intent
    now = exposure.pairs.get(intent.pair, NO_ORDERS)
    is_buy = intent.side is Side.BUY
    value = sign * order.left * intent.limit_price
    then = PairOrders(
        buying=now.buying + value if is_buy else now.buying,
        selling=now.selling if is_buy else now.selling + sign * order.left,
        working=now.working + value,
        orders=now.orders + sign,
        unknown=now.unknown + sign * order.is_unknown,
        unsent_buys=now.unsent_buys + sign * (is_buy and not order.sent_ns),
    )
    if then.orders:
        exposure.pairs[intent.pair] = then
    else:  # The last one is gone, and with it every sum: nothing can be left over.
        del exposure.pairs[intent.pair]


def of(*orders: Resting) -> Exposure:
    """Return the exposure of `orders`."""
    found = Exposure()
    for order in orders:
        put(found, order)
    return found


def without(exposure: Exposure, intent_id: IntentId) -> Exposure:
    """Return a copy that does not count one intent."""
    return of(*(row for key, row in exposure.orders.items() if key != intent_id))
