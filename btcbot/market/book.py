"""One pair's order book, kept from a snapshot and the changes after it.

Changes must follow each other without a gap, name levels that are there and leave bid < ask; after
one that does not the book is void until the next snapshot. Levels stay text until somebody wants
them: a snapshot is taken as it came, and is looked into when the first change follows.
"""

from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Final, TypeAlias

import msgspec
from msgspec import MsgspecError, Struct, field

from btcbot.domain.feed import TextLevel, WireLevel
from btcbot.domain.messages import Level
from btcbot.domain.money import MoneyError, Price, Quantity, parse

# The exchange shows 100 levels a side and removes what falls out of them. Twice as many are not a
# book: removals were lost.
LEVELS_MAX: Final = 200
TEXT_MAX: Final = 32  # Fifteen digits, a point, sixteen digits.
_rows = msgspec.json.Decoder(tuple[WireLevel, ...]).decode
_row = msgspec.json.Decoder(WireLevel).decode
Top: TypeAlias = tuple[Price, Quantity, Price, Quantity]
Rows: TypeAlias = tuple[TextLevel, ...]
Best: TypeAlias = tuple[Decimal, str] | None


class Applied(Enum):
    """What became of a snapshot or a change; after all but the first two the book is void."""

    DONE = "done"
    OLD = "old"  # Had it already.
    GAP = "gap"  # Something before it is missing.
    CROSSED = "crossed"  # It makes bid >= ask.
    ABSENT = "absent level"  # It removes a level that is not there: an earlier change was lost.
    BROKEN = "broken"  # No number, a price of 0, too many levels, or a best that is not best.


class Book(Struct):
    """Owned by market_data, one a pair, changed in place."""

    bids: dict[Decimal, str] = field(default_factory=dict)
    asks: dict[Decimal, str] = field(default_factory=dict)
    unread: tuple[bytes, bytes] | None = None  # A snapshot nobody has looked into yet.
    best_bid: Best = None
    best_ask: Best = None
    change_set: int = 0
    is_void: bool = True

    def reset(self, change_set: int, bids: bytes, asks: bytes) -> Applied:
        """Begin again from a snapshot: two JSON arrays of WireLevel, best first."""
        self.unread, self.change_set, self.is_void = (bids, asks), change_set, False
        try:
            self.best_bid, self.best_ask = _first(bids), _first(asks)
        except (MoneyError, MsgspecError):
            return self._void(Applied.BROKEN)
        return self._judged()

    def apply(self, change_set: int, bids: Rows, asks: Rows) -> Applied:
        """Take the next change."""
        if self.is_void or change_set > self.change_set + 1:
            return self._void(Applied.GAP)
        if change_set <= self.change_set:
            return Applied.OLD
        self.change_set = change_set
        if not self._is_read():
            return self._void(Applied.BROKEN)
        if not _changed(self.bids, bids) or not _changed(self.asks, asks):
            return self._void(Applied.ABSENT)
        if max(len(self.bids), len(self.asks)) > LEVELS_MAX:
            return self._void(Applied.BROKEN)
        self._find_best()
        return self._judged()

    def top(self) -> Top | None:
        """Return (bid, its quantity, ask, its quantity); None when a side is empty or void."""
        return None if self.is_void else _top(self.best_bid, self.best_ask)

    def depth(self, levels: int) -> tuple[tuple[Level, ...], tuple[Level, ...]] | None:
        """Return the best `levels` of (bids, asks); None when void, or a side is empty.

        What turns out to be no book when it is looked into is void from here on.
        """
        if self.is_void:
            return None
        if not self._is_read():
            self._void(Applied.BROKEN)
            return None
        if not self.bids or not self.asks:
            return None
        bids = sorted(self.bids.items(), reverse=True)[:levels]
        asks = sorted(self.asks.items())[:levels]
        return tuple(map(_level, bids)), tuple(map(_level, asks))

    def _is_read(self) -> bool:
        """Look into the snapshot if nobody has; return whether it is what it claimed to be."""
        if self.unread is None:
            return True
        unread, self.unread = self.unread, None
        claimed = self.best_bid, self.best_ask
        try:
            bids, asks = map(_rows, unread)
            self.bids = {Decimal(row.P): row.A for row in bids if _is_filled(row)}
            self.asks = {Decimal(row.P): row.A for row in asks if _is_filled(row)}
            self._find_best()
        except (InvalidOperation, MsgspecError):
            return False
        longest = max((len(row.A) for row in (*bids, *asks)), default=0)
        is_sane = longest <= TEXT_MAX and min(self.bids, default=Decimal(1)) > 0
        return is_sane and (self.best_bid, self.best_ask) == claimed

    def _find_best(self) -> None:
        bid, ask = max(self.bids, default=None), min(self.asks, default=None)
        self.best_bid = None if bid is None else (bid, self.bids[bid])
        self.best_ask = None if ask is None else (ask, self.asks[ask])

    def _judged(self) -> Applied:
        bid, ask = self.best_bid, self.best_ask
        if bid is not None and ask is not None and bid[0] >= ask[0]:
            return self._void(Applied.CROSSED)
        return Applied.DONE

    def _void(self, why: Applied) -> Applied:
        self.is_void = True
        return why


def top_of(bids: Rows, asks: Rows) -> Top | None:
    """Return the top of a whole book that comes without a sequence; None when there is none."""
    if not bids or not asks:
        return None
    bid, ask = ((parse(side[0].price), side[0].amount) for side in (bids, asks))
    return _top(bid, ask) if bid[0] < ask[0] else None


def _top(bid: Best, ask: Best) -> Top | None:
    if bid is None or ask is None:
        return None
    return Price(bid[0]), Quantity(Decimal(bid[1])), Price(ask[0]), Quantity(Decimal(ask[1]))


def _first(side: bytes) -> Best:
    """Return the first level with anything in it. Raises MoneyError, MsgspecError."""
    if side == b"[]":
        return None
    row = _row(side[1 : side.find(b"}") + 1])
    if not parse(row.A):
        filled = [other for other in _rows(side) if parse(other.A)]
        if not filled:
            return None
        row = filled[0]
    price = parse(row.P)
    if price <= 0:
        raise MoneyError(f"expected a price above 0, found {row.P[:40]!r}")
    return price, row.A


def _changed(levels: dict[Decimal, str], changes: Rows) -> bool:
    """Change `levels`; return False when one is to be removed that is not there."""
    for row in changes:
        price = Decimal(row.price)
        if row.amount.strip("0."):  # However many zeros: nothing is left there.
            levels[price] = row.amount
        elif levels.pop(price, None) is None:
            return False
    return True


def _is_filled(row: WireLevel) -> bool:
    return bool(row.A.strip("0."))


def _level(row: tuple[Decimal, str]) -> Level:
    return Level(Price(row[0]), Quantity(Decimal(row[1])))
