"""What an order would take from a market: pure, changes nothing."""

from collections.abc import Iterator
from decimal import Decimal

from msgspec import Struct

from btcbot.domain.money import floor_to
from btcbot.domain.words import Side
from btcbot.simulation.account import ZERO, Order
from btcbot.simulation.book import Market, opposite, reaches


class Take(Struct, frozen=True):
    """One execution to be: at `price`, from everybody else's level or from our own `maker`."""

    price: Decimal
    quantity: Decimal
    maker: Order | None = None


def plan(
    market: Market, side: Side, limit: Decimal, quantity: Decimal | None, budget: Decimal | None,
    *, with_ours: bool = True,
) -> list[Take]:  # fmt: skip
    """Return what an order of `side` takes within `limit`, in order of execution.

    It ends when base `quantity` is taken, when quote `budget` buys no further step, or when nothing
    is left within the limit. None: not bounded so. `with_ours`: it may meet our resting orders.
    """
    takes = []
    for price, shown, maker in _offers(market, side, limit, with_ours=with_ours):
        size = shown if quantity is None else min(shown, quantity)
        if budget is not None:
            size = min(size, floor_to(budget / price, market.rules.step))
            budget -= price * size
        if quantity is not None:
            quantity -= size
        if size:
            takes.append(Take(price, size, maker))
        if size < shown:
            break
    return takes


def _offers(
    market: Market, side: Side, limit: Decimal, *, with_ours: bool
) -> Iterator[tuple[Decimal, Decimal, Order | None]]:
    """Yield (price, quantity, whose) on the other side within `limit`, in price-time priority."""
    other = opposite(side)
    levels = market.levels(other)
    ours = market.in_priority(other) if with_ours and market.resting else []
    prices = {price for price in levels if reaches(side, limit, price)}
    prices |= {order.price for order in ours if reaches(side, limit, order.price)}
    for price in sorted(prices, reverse=side is Side.SELL):
        shown = passed = levels.get(price, ZERO)
        for order in ours:
            if order.price == price:
                ahead = shown if order.ahead is None else min(order.ahead, shown)
                if in_front := max(ZERO, ahead - (shown - passed)):
                    yield price, in_front, None
                    passed -= in_front
                yield price, order.left, order
        if passed:
            yield price, passed, None
