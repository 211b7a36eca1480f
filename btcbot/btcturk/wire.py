"""BTCTurk's REST answers, read strictly: text to exact decimals, ids to ints, the rest refused.

Unknown fields are ignored (the exchange adds some now and then; `drift.py` counts them); what we
use must be there and must be what the protocol says. Requests of ours are built here too.
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
    balance,
    decoded,
    json_number,
    level,
    number,
)
from btcbot.domain.feed import TextLevel
from btcbot.domain.ids import Asset, ClientOrderId, OrderId, Pair, TradeId
from btcbot.domain.messages import AssetBalance
from btcbot.domain.money import Amount, Price, Quantity, text
from btcbot.domain.venue import VenueFill, VenueOrder
from btcbot.domain.words import Side

T = TypeVar("T")
ORDER_NOT_FOUND: Final = 1152
_EMPTY: Final = frozenset({b"null", b"{}", b"[]", b'""'})
_Symbol = Annotated[str, Meta(min_length=1, max_length=20)]


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
    def says_order_not_found(self) -> bool:
        """Whether a read by id was told that there is no such order; text first, then number."""
        if self.success is not False:
            return False
        if self.text:
            return self.text.strip().casefold() == "order not found"
        return self.number == ORDER_NOT_FOUND


class SubmittedOrder(Struct):
    """The part of a submit's reply that proves an order."""

    id: Id
    newOrderClientId: str | None = None  # noqa: N815 - the exchange's names


class _Balance(Struct):
    asset: _Symbol
    balance: str
    free: str
    locked: str


class _Order(Struct, rename={"order_client_id": "orderClientId", "left": "leftAmount"}):
    id: Id
    price: str
    amount: str
    left: str
    type: str
    status: str
    order_client_id: str | None = None
    pairSymbol: _Symbol | None = None  # noqa: N815
    pairsymbol: _Symbol | None = None  # As some answers spell it.


class _OpenOrders(Struct):
    asks: list[_Order]
    bids: list[_Order]


class _Trade(Struct):
    id: Id
    orderId: Id  # noqa: N815
    timestamp: Millis
    numeratorSymbol: _Symbol  # noqa: N815
    denominatorSymbol: _Symbol  # noqa: N815
    orderType: str  # noqa: N815
    price: str
    preciseAmount: Raw  # noqa: N815 - a JSON number, read as text: `amount` is rounded
    fee: str
    tax: str
    orderClientId: str | None = None  # noqa: N815


class _Book(Struct):
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    timestamp: Raw = Raw(b"0")  # Milliseconds; older captures show a float.


class _Time(Struct):
    serverTime: Millis  # noqa: N815


_verdict = msgspec.json.Decoder(Verdict).decode
_balances = msgspec.json.Decoder(Reply[list[_Balance]]).decode
_order = msgspec.json.Decoder(Reply[_Order]).decode
_orders = msgspec.json.Decoder(Reply[list[_Order]]).decode
_open = msgspec.json.Decoder(Reply[_OpenOrders]).decode
_trades = msgspec.json.Decoder(Reply[list[_Trade]]).decode
_book = msgspec.json.Decoder(Reply[_Book]).decode
_time = msgspec.json.Decoder(_Time).decode
_submitted = msgspec.json.Decoder(Reply[SubmittedOrder]).decode
_encode = msgspec.json.Encoder().encode


def verdict(body: bytes) -> Verdict | None:
    """Return what an answer says of itself; None when it is not a JSON object of that kind."""
    try:
        return decoded(_verdict, body)
    except WireError:
        return None


def submitted(body: bytes) -> SubmittedOrder | None:
    """Return the order that a submit's reply names; None when it names none."""
    try:
        return decoded(_submitted, body).data
    except WireError:
        return None


def server_ms(body: bytes) -> int:
    """Return the exchange's clock in ms. Raises WireError."""
    return decoded(_time, body).serverTime


def balances(body: bytes) -> tuple[AssetBalance, ...]:
    """Return every balance that is not empty, by asset. Raises WireError.

    Free and locked must make the total: a reading amid an update does not count.
    """
    rows = (_asset_balance(row) for row in decoded(_balances, body).data)
    return tuple(sorted((row for row in rows if row.total or row.free), key=lambda row: row.asset))


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


def order_body(
    pair: Pair, side: Side, quantity: Quantity, price: Price, client_id: ClientOrderId
) -> bytes:
    """Return the canonical body of a limit order; amounts are strings without exponent."""
    return _encode(
        {
            "pairSymbol": pair,
            "orderType": side,
            "orderMethod": "limit",
            "quantity": text(quantity),
            "price": text(price),
            "newOrderClientId": client_id,
        }
    )


def _asset_balance(row: _Balance) -> AssetBalance:
    try:
        total, free, locked = balance(row.balance), balance(row.free), balance(row.locked)
    except WireError as error:
        raise WireError(f"balance of {row.asset}: {error}") from None
    if free + locked != total:
        raise WireError(f"balance of {row.asset}: free {free} + locked {locked} is not {total}")
    return AssetBalance(Asset(row.asset), Amount(total), Amount(free))


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
        )
    except WireError as error:
        raise WireError(f"order {row.id}: {error}") from None


def _fill(row: _Trade) -> VenueFill:
    try:
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
