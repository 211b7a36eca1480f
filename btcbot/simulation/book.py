"""One pair's market as the exchange model sees it: everybody else's levels, and our orders."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final

from btcbot.domain.instruments import Instrument
from btcbot.domain.recorded import Quoted
from btcbot.domain.words import Side
from btcbot.simulation.account import ZERO, Order

Pick = Callable[..., Decimal]  # `max` or `min`: which price of a side is the best.
Levels = Iterable[tuple[Decimal, Decimal]]  # (price, quantity)
MARKET_GUARD: Final = Decimal("0.05")  # A market order goes no further from the best price.


class Market:
    """The rules, the book of everybody else, and our resting orders and waiting stops."""

    __slots__ = ("_asks", "_bids", "ask", "bid", "last", "resting", "rules", "stops", "top")

    def __init__(self, rules: Instrument) -> None:
        self.rules = rules
        self._bids: dict[Decimal, Decimal] = {}
        self._asks: dict[Decimal, Decimal] = {}
        self.top: Quoted | None = None  # Then it is the whole book, and its levels are not made.
        self.bid, self.ask = ZERO, ZERO  # Best prices; 0: that side is empty.
        self.last = ZERO  # Of the last trade; 0: none yet.
        self.resting: list[Order] = []  # In order of arrival.
        self.stops: list[Order] = []  # In order of arrival.

    @property
    def bids(self) -> dict[Decimal, Decimal]:
        """Levels of everybody else's buys; those of a bare quote are made when looked at."""
        if self.top is not None:
            self._unfold(self.top)
        return self._bids

    @property
    def asks(self) -> dict[Decimal, Decimal]:
        """Levels of everybody else's sells."""
        if self.top is not None:
            self._unfold(self.top)
        return self._asks

    def _unfold(self, top: Quoted) -> None:
        self._bids, self._asks = {top.bid: top.bid_quantity}, {top.ask: top.ask_quantity}
        self.top = None

    @property
    def price(self) -> Decimal:
        """What "the current price" means: the last trade, else the middle of the book."""
        return self.last or (self.bid + self.ask) / 2

    def levels(self, side: Side) -> dict[Decimal, Decimal]:
        """Return everybody else's levels on the side where orders of `side` rest."""
        return self.bids if side is Side.BUY else self.asks

    def best(self, side: Side) -> Decimal:
        return self.bid if side is Side.BUY else self.ask

    def guard(self, side: Side) -> Decimal:
        """Return the worst price a market order of `side` may reach now; 0 on an empty book."""
        sign = 1 if side is Side.BUY else -1
        return self.best(opposite(side)) * (1 + sign * MARKET_GUARD)

    def in_priority(self, side: Side) -> list[Order]:
        """Return our resting orders of one side: best price first, then first come."""
        sign = -1 if side is Side.BUY else 1
        ours = [order for order in self.resting if order.side is side]
        return sorted(ours, key=lambda order: sign * order.price)

    def replace(self, bids: Levels, asks: Levels) -> None:
        """Take a whole new book; levels of quantity 0 are none."""
        self.top = None
        self._bids = {price: quantity for price, quantity in bids if quantity}
        self._asks = {price: quantity for price, quantity in asks if quantity}
        self.bid = max(self._bids, default=ZERO)
        self.ask = min(self._asks, default=ZERO)

    def change(self, bids: Levels, asks: Levels) -> None:
        """Change some levels; quantity 0 removes one."""
        self.bid = changed(self.bids, bids, self.bid, max)
        self.ask = changed(self.asks, asks, self.ask, min)

    def consume(self, side: Side, price: Decimal, quantity: Decimal) -> None:
        """Take `quantity` off a level where others of `side` rest; it comes back when they say."""
        left = self.levels(side).get(price, ZERO) - quantity
        gone = [(price, max(left, ZERO))]
        self.change(gone if side is Side.BUY else (), () if side is Side.BUY else gone)

    def queue_at(self, order: Order) -> Decimal | None:
        """Return how much stands in front of an order that arrives now; None: not to be seen.

        A price beyond the deepest level shown has a queue all the same, we only cannot see it.
        """
        levels = self.levels(order.side)
        shown = levels.get(order.price)
        if shown is not None:
            return shown
        is_inside = any(reaches(order.side, order.price, price) for price in levels)
        return ZERO if is_inside else None

    def see_queues(self) -> None:
        """Let the queues in front of our orders shrink to what is shown at their prices."""
        for order in self.resting:
            shown = self.levels(order.side).get(order.price)
            if shown is not None:
                order.ahead = shown if order.ahead is None else min(order.ahead, shown)
            elif order.ahead != 0 and self.queue_at(order) is not None:
                order.ahead = ZERO


def changed(levels: dict[Decimal, Decimal], changes: Levels, best: Decimal, pick: Pick) -> Decimal:
    """Apply changes to one side; return its best price, looked for only when the best one went."""
    is_gone = False
    for price, quantity in changes:
        if quantity:
            levels[price] = quantity
            best = pick((best or price, price))
        else:
            levels.pop(price, None)
            is_gone = is_gone or price == best
    return pick(levels, default=ZERO) if is_gone else best


def opposite(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY


def reaches(side: Side, limit: Decimal, price: Decimal) -> bool:
    """Return whether an order of `side` at `limit` meets `price` on the other side.

    On its own side: whether it is at least as good as `price`.
    """
    return price <= limit if side is Side.BUY else price >= limit
