"""BTCTurk's REST answers, read strictly: text to exact decimals, ids to ints, the rest refused.

Unknown fields are ignored (the exchange adds some now and then; `drift.py` counts them); what we
use must be there and must be what the protocol says.
"""

from collections.abc import Iterable
from typing import Annotated, Final, Generic, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from btcbot.btcturk.grammar import (
    Id,
    Millis,
    WireError,
    above_zero,
    decoded,
    json_number,
    level,
    number,
)
from btcbot.domain.feed import TextLevel
from btcbot.domain.ids import OrderId, Pair, TradeId
from btcbot.domain.money import ZERO, Amount, Price, Quantity
from btcbot.domain.venue import VenueFill, VenueOrder
from btcbot.domain.words import Side

T = TypeVar("T")
# Of a read by id, and of a cancel.
NOT_FOUND_TEXTS: Final = frozenset({"order not found", "no_order_matches_your_request"})
NOT_FOUND_CODES: Final = frozenset({1152, 1052})
_EMPTY: Final = frozenset({b"null", b"{}", b"[]", b'""'})
Symbol = Annotated[str, Meta(min_length=1, max_length=20)]


class Reply(Struct, Generic[T]):
    """The envelope around what was asked for; whether it is a success is judged by `Verdict`."""

    data: T


class Verdict(Struct):
    """The envelope without its data, for judging any answer; all of it may be missing.

    `success` is true on some 401s and `code` may be a text: status, text and code are all judged.
    """

    success: bool | None = None
    message: str | None = None
    code: int | float | str | None = None
    data: Raw = Raw(b"null")

    @property
    def text(self) -> str:
        return self.message or ""

    @property
    def number(self) -> int | None:
        """The code as an integer, when it is one in either spelling."""
        if isinstance(self.code, int):
            return self.code
        if isinstance(self.code, str) and self.code.isascii() and self.code.isdigit():
            return int(self.code) if len(self.code) < 10 else None
        return None

    @property
    def code_text(self) -> str:
        return "" if self.code is None else str(self.code)[:40]

    @property
    def is_bare(self) -> bool:
        """Whether there is no data in it: an order, in particular."""
        return bytes(self.data).replace(b" ", b"") in _EMPTY

    @property
    def says_not_found(self) -> bool:
        """Whether it says that it knows no such order; text first, then number."""
        if self.success is not False:
            return False
        if self.text:
            return self.text.strip().casefold() in NOT_FOUND_TEXTS
        return self.number in NOT_FOUND_CODES


class SubmittedOrder(Struct):
    """A submit's reply; `id` and our label prove the order, the rest is what was understood."""

    id: Id
    newOrderClientId: str | None = None  # noqa: N815 - the exchange's names
    pairSymbol: str | None = None  # noqa: N815
    type: str | None = None
    method: str | None = None
    quantity: str | None = None
    price: str | None = None
    stopPrice: str | None = None  # noqa: N815
    datetime: Millis | None = None


class _Order(Struct, rename={"order_client_id": "orderClientId", "left": "leftAmount"}):
    id: Id
    price: str
    amount: str
    left: str
    type: str
    status: str
    order_client_id: str | None = None
    pairSymbol: Symbol | None = None  # noqa: N815
    pairsymbol: Symbol | None = None  # As some answers spell it.
    method: str = "limit"
    quantity: str | None = None  # A residue on a closed market order: `amount` counts.
    stopPrice: str | None = None  # noqa: N815
    time: Millis = 0  # Always 0 in the list of open orders.
    updateTime: Millis = 0  # noqa: N815


class _OpenOrders(Struct):
    asks: list[_Order]
    bids: list[_Order]


class _Trade(Struct):
    id: Id
    orderId: Id  # noqa: N815
    timestamp: Millis
    numeratorSymbol: Symbol  # noqa: N815
    denominatorSymbol: Symbol  # noqa: N815
    orderType: str  # noqa: N815
    price: str
    preciseAmount: Raw  # noqa: N815 - a JSON number, read as text: `amount` is rounded
    fee: str
    tax: str
    amount: str  # Rounded; what counts is `preciseAmount`.
    orderClientId: str | None = None  # noqa: N815


class _Book(Struct):
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    timestamp: Raw = Raw(b"0")  # Milliseconds; older captures show a float.


class _Time(Struct):
    serverTime: Millis  # noqa: N815


_verdict = msgspec.json.Decoder(Verdict).decode
_order = msgspec.json.Decoder(Reply[_Order]).decode
_orders = msgspec.json.Decoder(Reply[list[_Order]]).decode
_open = msgspec.json.Decoder(Reply[_OpenOrders]).decode
_trades = msgspec.json.Decoder(Reply[list[_Trade]]).decode
_book = msgspec.json.Decoder(Reply[_Book]).decode
_time = msgspec.json.Decoder(_Time).decode
_submitted = msgspec.json.Decoder(Reply[SubmittedOrder]).decode


def verdict(body: bytes) -> Verdict | None:
    """Return what an answer says of itself; None when it is not a JSON object of that kind."""
    try:
        return decoded(_verdict, body)
    except WireError:
        return None


def is_whole(body: bytes) -> bool:
    """Return whether all of an answer is JSON, what nobody uses included: else it proves nothing.

    A decoder of structs skips unknown fields without a look at their text and numbers.
    """
    try:
        decoded(msgspec.json.decode, body)
    except WireError:
        return False
    return True


def submitted(body: bytes) -> SubmittedOrder | None:
    """Return the order that a submit's reply names; None when it names none."""
    try:
        return decoded(_submitted, body).data
    except WireError:
        return None


def server_ms(body: bytes) -> int:
    """Return the exchange's clock in ms. Raises WireError."""
    return decoded(_time, body).serverTime


def order(body: bytes) -> VenueOrder:
    """Return the one order of a reply. Raises WireError."""
    return _venue_order(decoded(_order, body).data, None)


def open_orders(body: bytes, pair: Pair) -> tuple[VenueOrder, ...]:
    """Return bids and asks, in order of id. Raises WireError."""
    found = decoded(_open, body).data
    return _by_id(_venue_order(row, pair) for row in (*found.bids, *found.asks))


def all_orders(body: bytes, pair: Pair) -> tuple[VenueOrder, ...]:
    """Return a page of the history, in order of id. Raises WireError."""
    return _by_id(_venue_order(row, pair) for row in decoded(_orders, body).data)


def fills(body: bytes) -> tuple[VenueFill, ...]:
    """Return own trades; signs are dropped, fee and tax are costs. Raises WireError."""
    return tuple(_fill(row) for row in decoded(_trades, body).data)


def book(body: bytes) -> tuple[tuple[TextLevel, ...], tuple[TextLevel, ...], int]:
    """Return (bids, asks, event_ns) of the REST book, best first. Raises WireError."""
    found = decoded(_book, body).data
    event_ns = int(json_number(found.timestamp)) * 1_000_000
    return levels(found.bids), levels(found.asks), event_ns


def levels(rows: Iterable[tuple[str, str]]) -> tuple[TextLevel, ...]:
    """Return the levels of a whole book; one with nothing in it is none. Raises WireError."""
    return tuple(row for row in (level(*pair) for pair in rows) if row.amount != "0")


def _side(value: str) -> Side:
    try:
        return Side(value.lower())
    except ValueError:
        raise WireError(f"type {value[:20]!r}; expected buy or sell") from None


def _by_id(rows: Iterable[VenueOrder]) -> tuple[VenueOrder, ...]:
    return tuple(sorted(rows, key=lambda row: row.order_id))


def _venue_order(row: _Order, pair: Pair | None) -> VenueOrder:
    symbol = row.pairSymbol or row.pairsymbol or pair
    if symbol is None:
        raise WireError(f"order {row.id} names no pair")
    try:
        return VenueOrder(
            order_id=OrderId(row.id),
            client_id=row.order_client_id or "",
            pair=Pair(symbol),
            side=_side(row.type),
            quantity=Amount(number(row.amount)),
            left=Amount(number(row.left)),
            price=Price(number(row.price)),
            status=row.status,
            method=row.method.lower(),
            stop_price=Price(number(row.stopPrice)) if row.stopPrice else Price(ZERO),
            created_ms=row.time,
            updated_ms=row.updateTime,
        )
    except WireError as error:
        raise WireError(f"order {row.id}: {error}") from None


def _fill(row: _Trade) -> VenueFill:
    try:
        number(row.amount)  # Rounded: only looked at.
        return VenueFill(
            trade_id=TradeId(row.id),
            order_id=OrderId(row.orderId),
            client_id=row.orderClientId or "",
            pair=Pair(row.numeratorSymbol + row.denominatorSymbol),
            side=_side(row.orderType),
            quantity=Quantity(above_zero(abs(json_number(row.preciseAmount)))),
            price=Price(above_zero(number(row.price))),
            fee=Amount(abs(number(row.fee))),
            tax=Amount(abs(number(row.tax))),
            event_ns=row.timestamp * 1_000_000,
        )
    except WireError as error:
        raise WireError(f"trade {row.id}: {error}") from None
