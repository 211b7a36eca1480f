"""Lots: what was bought, when and for what, and what each sale made of it; FIFO or average cost.

A pure fold of fills. Amounts are in the quote asset of their pair, exact; of a lot that is sold in
parts the charges are divided at 16 decimals, and the last part takes all that is left: nothing is
made or lost. What is sold beyond the lots was bought before btcbot's books, at a cost nobody here
knows: it is a closing of its own, without a cost, never zero and never guessed.
"""

from collections import deque
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct, field

from btcbot.domain.facts import Fill
from btcbot.domain.ids import Asset, Pair, TradeId
from btcbot.domain.money import ZERO, half_up
from btcbot.domain.words import Side

SCALE = 16


class Method(StrEnum):
    """Which of the lots a sale takes: the oldest first, or a part of all of them."""

    FIFO = "fifo"
    AVERAGE = "average"


class Lot(Struct, frozen=True, kw_only=True):
    """Base asset that is held, and what it cost without and with charges; quote asset."""

    quantity: Decimal  # Above 0.
    cost: Decimal  # Price x quantity.
    fee: Decimal
    tax: Decimal
    opened_ns: int
    trade_id: TradeId

    def split(self, quantity: Decimal) -> "tuple[Lot, Lot | None]":
        """Return the part of `quantity`, and the rest; None: nothing is left."""
        if quantity == self.quantity:
            return self, None
        whole = self.cost, self.fee, self.tax
        cost, fee, tax = (half_up(one * quantity / self.quantity, SCALE) for one in whole)
        taken = Lot(
            quantity=quantity, cost=cost, fee=fee, tax=tax, opened_ns=self.opened_ns,
            trade_id=self.trade_id,
        )  # fmt: skip
        return taken, Lot(
            quantity=self.quantity - quantity, cost=self.cost - cost, fee=self.fee - fee,
            tax=self.tax - tax, opened_ns=self.opened_ns, trade_id=self.trade_id,
        )  # fmt: skip


class Closing(Struct, frozen=True, kw_only=True):
    """A sale, or the part of one that one lot served; quote asset.

    `cost` None: it was bought before our books. `fee` and `tax` are those of both sides.
    """

    book: str
    pair: Pair
    asset: Asset  # The quote: of every amount here.
    quantity: Decimal
    opened_ns: int | None
    closed_ns: int
    cost: Decimal | None
    proceeds: Decimal
    fee: Decimal
    tax: Decimal
    trade_id: TradeId  # Of the sale.

    @property
    def realized(self) -> Decimal | None:
        """Proceeds less cost less all charges; None: nobody knows."""
        return None if self.cost is None else self.proceeds - self.cost - self.fee - self.tax


class Lots(Struct):
    """The lots of each book and pair, oldest first. Owned, changed in place by `fold`."""

    method: Method = Method.FIFO
    held: dict[tuple[str, Pair], deque[Lot]] = field(default_factory=dict)

    def quantity(self, book: str, pair: Pair) -> Decimal:
        """Return what `book` holds of `pair`, base asset."""
        return sum((lot.quantity for lot in self.held.get((book, pair), ())), start=ZERO)


def fold(lots: Lots, book: str, fill: Fill) -> tuple[Closing, ...]:
    """Take one fill into `lots`; return what it closed. Fills come as they were booked."""
    held = lots.held.setdefault((book, fill.pair), deque())
    if fill.side is Side.SELL:
        return tuple(_close(held, book, fill))
    bought = Lot(
        quantity=fill.quantity, cost=fill.quantity * fill.price, fee=fill.fee, tax=fill.tax,
        opened_ns=fill.event_ns, trade_id=fill.trade_id,
    )  # fmt: skip
    if lots.method is Method.AVERAGE and held:
        bought = _pooled(held.pop(), bought)
    held.append(bought)
    return ()


def _pooled(old: Lot, new: Lot) -> Lot:
    return Lot(
        quantity=old.quantity + new.quantity, cost=old.cost + new.cost, fee=old.fee + new.fee,
        tax=old.tax + new.tax, opened_ns=old.opened_ns, trade_id=old.trade_id,
    )  # fmt: skip


def _close(held: deque[Lot], book: str, fill: Fill) -> list[Closing]:
    """Serve a sale from the lots; its own charges are divided like a lot's."""
    left: Lot | None = Lot(
        quantity=fill.quantity, cost=fill.quantity * fill.price, fee=fill.fee, tax=fill.tax,
        opened_ns=fill.event_ns, trade_id=fill.trade_id,
    )  # fmt: skip
    found = []
    while left is not None and held:
        lot = held.popleft()
        served, rest = lot.split(min(lot.quantity, left.quantity))
        if rest is not None:
            held.appendleft(rest)
        sold, left = left.split(served.quantity)
        found.append(_closing(book, fill, sold, served))
    if left is not None:
        found.append(_closing(book, fill, left, None))
    return found


def _closing(book: str, fill: Fill, sold: Lot, served: Lot | None) -> Closing:
    return Closing(
        book=book,
        pair=fill.pair,
        asset=fill.fee_asset,
        quantity=sold.quantity,
        opened_ns=None if served is None else served.opened_ns,
        closed_ns=fill.event_ns,
        cost=None if served is None else served.cost,
        proceeds=sold.cost,
        fee=sold.fee + (ZERO if served is None else served.fee),
        tax=sold.tax + (ZERO if served is None else served.tax),
        trade_id=fill.trade_id,
    )


class Move(Struct, frozen=True, kw_only=True):
    """What passes from one book to another at a price, without a trade."""

    pair: Pair
    asset: Asset  # The quote.
    seller: str
    buyer: str
    quantity: Decimal
    price: Decimal
    at_ns: int


def move(lots: Lots, moved: Move) -> tuple[Closing, ...]:
    """Take a move: a sale for one book, a buy for the other; return what it closed.

    Nothing was traded, so nothing is charged, and the two results cancel out. More than the seller
    holds does not pass.
    """
    held = lots.held.setdefault((moved.seller, moved.pair), deque())
    left = moved.quantity
    found = []
    while left and held:
        lot = held.popleft()
        served, rest = lot.split(min(lot.quantity, left))
        if rest is not None:
            held.appendleft(rest)
        left -= served.quantity
        found.append(_passed(moved, served))
    passed = moved.quantity - left
    if passed:
        _receive(lots, moved, passed)
    return tuple(found)


def _passed(moved: Move, served: Lot) -> Closing:
    return Closing(
        book=moved.seller, pair=moved.pair, asset=moved.asset, quantity=served.quantity,
        opened_ns=served.opened_ns, closed_ns=moved.at_ns, cost=served.cost,
        proceeds=served.quantity * moved.price, fee=served.fee, tax=served.tax,
        trade_id=TradeId(0),
    )  # fmt: skip


def _receive(lots: Lots, moved: Move, quantity: Decimal) -> None:
    held = lots.held.setdefault((moved.buyer, moved.pair), deque())
    bought = Lot(
        quantity=quantity, cost=quantity * moved.price, fee=ZERO, tax=ZERO, opened_ns=moved.at_ns,
        trade_id=TradeId(0),
    )  # fmt: skip
    is_pooled = lots.method is Method.AVERAGE and held
    held.append(_pooled(held.pop(), bought) if is_pooled else bought)
