"""What a recorded market says happened, whatever file it came from; prices and sizes are exact."""

from decimal import Decimal

from msgspec import Struct

from btcbot.domain.money import Price, Quantity
from btcbot.domain.words import Side

RecordedLevels = tuple[tuple[Decimal, Decimal], ...]
"""(price, quantity) of the levels of one side."""


class BookSet(Struct, frozen=True, gc=False):
    """The whole book, in no particular order."""

    at_ns: int
    bids: RecordedLevels
    asks: RecordedLevels


class BookMoved(Struct, frozen=True, gc=False):
    """Levels that changed; quantity 0 removes one."""

    at_ns: int
    bids: RecordedLevels
    asks: RecordedLevels


class Traded(Struct, frozen=True, gc=False):
    """One public trade; `side` is the taker's."""

    at_ns: int
    side: Side
    price: Price
    quantity: Quantity


class Quoted(Struct, frozen=True, gc=False):
    """Best bid and ask, with nothing beneath."""

    at_ns: int
    bid: Price
    bid_quantity: Quantity
    ask: Price
    ask_quantity: Quantity


Happening = BookSet | BookMoved | Traded | Quoted


class DatasetError(ValueError):
    """A data set that cannot be used; names file, row and reason."""
