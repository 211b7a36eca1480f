"""One pair's order book, kept from a snapshot and the changes after it.

Changes must follow each other without a gap; after one the book is void until the next snapshot.
Prices are exact; amounts stay text until somebody wants them.
"""

from decimal import Decimal
from enum import Enum

from msgspec import Struct, field

from btcbot.domain.feed import TextLevel
from btcbot.domain.messages import Level
from btcbot.domain.money import Price, Quantity


class Applied(Enum):
    """What became of a change."""

    DONE = "done"
    OLD = "old"  # Had it already.
    GAP = "gap"  # Something before it is missing: the book is void.
    CROSSED = "crossed"  # It makes bid >= ask: the book is void.


class Book(Struct):
    """Owned by market_data, one a pair, changed in place."""

    bids: dict[Decimal, str] = field(default_factory=dict)
    asks: dict[Decimal, str] = field(default_factory=dict)
    best_bid: Decimal | None = None
    best_ask: Decimal | None = None
    change_set: int = 0
    is_void: bool = True
    absent_removals: int = 0  # The exchange removes levels it never showed, now and then.

    def reset(
        self, change_set: int, bids: tuple[TextLevel, ...], asks: tuple[TextLevel, ...]
    ) -> Applied:
        """Begin again from a snapshot."""
        self.bids = {Decimal(row.price): row.amount for row in bids if not _is_zero(row.amount)}
        self.asks = {Decimal(row.price): row.amount for row in asks if not _is_zero(row.amount)}
        self.change_set = change_set
        self.is_void = False
        return self._judged()

    def apply(
        self, change_set: int, bids: tuple[TextLevel, ...], asks: tuple[TextLevel, ...]
    ) -> Applied:
        """Take the next change."""
        if self.is_void or change_set > self.change_set + 1:
            self.is_void = True
            return Applied.GAP
        if change_set <= self.change_set:
            return Applied.OLD
        self.change_set = change_set
        for levels, changes in ((self.bids, bids), (self.asks, asks)):
            for row in changes:
                price = Decimal(row.price)
                if not _is_zero(row.amount):
                    levels[price] = row.amount
                elif levels.pop(price, None) is None:
                    self.absent_removals += 1
        return self._judged()

    def top(self) -> tuple[Price, Quantity, Price, Quantity] | None:
        """Return (bid, its quantity, ask, its quantity); None when a side is empty or void."""
        if self.is_void or self.best_bid is None or self.best_ask is None:
            return None
        return (
            Price(self.best_bid),
            Quantity(Decimal(self.bids[self.best_bid])),
            Price(self.best_ask),
            Quantity(Decimal(self.asks[self.best_ask])),
        )

    def depth(self, levels: int) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """Return the best `levels` of (bids, asks); none while the book is void."""
        if self.is_void:
            return (), ()
        bids = sorted(self.bids.items(), reverse=True)[:levels]
        asks = sorted(self.asks.items())[:levels]
        return tuple(map(_level, bids)), tuple(map(_level, asks))

    def _judged(self) -> Applied:
        self.best_bid = max(self.bids, default=None)
        self.best_ask = min(self.asks, default=None)
        bid, ask = self.best_bid, self.best_ask
        if bid is not None and ask is not None and bid >= ask:
            self.is_void = True
            return Applied.CROSSED
        return Applied.DONE


def _is_zero(amount: str) -> bool:
    return not amount.strip("0.")  # "0", "0.00": whoever writes it, nothing is left there.


def _level(row: tuple[Decimal, str]) -> Level:
    return Level(Price(row[0]), Quantity(Decimal(row[1])))
