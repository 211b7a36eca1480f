"""What a plan starts from: the account, each strategy's part of it, and what they wish for.

One plan has one quote asset; amounts are in it unless said otherwise.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta, Struct, field

from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import FeeRates, Instrument
from btcbot.domain.money import ZERO, Price, Quantity
from btcbot.domain.words import Side

LIFE_NS: Final = 120_000_000_000


class Line(Struct, frozen=True, kw_only=True):
    """One pair on the account; `held` counts what live sells hold, `free` does not."""

    instrument: Instrument
    fees: FeeRates
    middle: Price | None  # None: no fresh price.
    ask: Price | None = None  # None: the middle counts in its place.
    held: Decimal = ZERO  # Base asset.
    free: Decimal = ZERO  # Base asset.
    buying: Decimal = ZERO  # What live buys may still spend.

    @property
    def value(self) -> Decimal | None:
        """What is held and being bought; None: something is held and has no price.

        At the ask, as the risk gate counts it: a plan up to a cap must not be refused for it.
        """
        price = self.ask or self.middle
        if price is None:
            return None if self.held else self.buying
        return self.held * price + self.buying


class Account(Struct, frozen=True, kw_only=True):
    """The account in one quote asset; `cash_free` is what no live order holds."""

    quote: Asset
    cash_free: Decimal
    lines: Mapping[Pair, Line]

    @property
    def exposure(self) -> Decimal | None:
        """The value of all lines; None: one of them has none."""
        total = ZERO
        for line in self.lines.values():
            value = line.value
            if value is None:
                return None
            total += value
        return total


class Book(Struct, frozen=True, kw_only=True):
    """One strategy's part: its weight of the capital, and what its own fills hold.

    `held` and `selling` are base asset; what its live sells may still sell is in both.
    """

    strategy: str
    weight: Annotated[int, Meta(ge=0, le=1_000_000)] = 100
    held: Mapping[Pair, Decimal] = field(default_factory=dict)
    selling: Mapping[Pair, Decimal] = field(default_factory=dict)
    buying: Decimal = ZERO  # What its live buys may still spend.


class Wish(Struct, frozen=True, kw_only=True):
    """What a strategy would like: never more than `quantity`, never at a worse price."""

    strategy: str
    pair: Pair
    side: Side
    quantity: Quantity  # Base asset; need not be on a step.
    limit_price: Price  # Need not be on a tick.
    life_ns: int = LIFE_NS  # After that, what is left of its order is cancelled.
    reason: str = ""


def evaluation_order(books: Sequence[Book]) -> tuple[Book, ...]:
    """Return the strategies in the order they are served: heaviest first, then by name."""
    return tuple(sorted(books, key=lambda book: (-book.weight, book.strategy)))
