"""BTCTurk's REST answers, read strictly: text to exact decimals, ids to ints, the rest refused.

Unknown fields are ignored (the exchange adds some now and then); what we use must be there and
must be what the protocol says. Facts and their sources: docs/reference/exchange.md.
"""

import re
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from btcbot.domain.feed import TextLevel
from btcbot.domain.ids import Asset, ClientOrderId, OrderId, Pair, TradeId
from btcbot.domain.instruments import Instrument
from btcbot.domain.messages import AssetBalance
from btcbot.domain.money import (
    Amount,
    MoneyError,
    Notional,
    Price,
    Quantity,
    is_sane,
    parse,
    step_of,
    text,
)
from btcbot.domain.venue import VenueFill, VenueOrder
from btcbot.domain.words import Side

T = TypeVar("T")
_JSON_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,16})?([eE][+-]?[0-9]{1,2})?", re.ASCII)


class WireError(ValueError):
    """An answer that is not what the protocol says; says what was found."""


class Reply(Struct, Generic[T]):
    """The envelope. `success` is true on some 401s and `code` may be a text: both are judged."""

    data: T
    success: bool = True
    message: str | None = None
    code: int | str = 0


class Verdict(Struct):
    """The envelope without its data, for judging any answer."""

    success: bool | None = None
    message: str | None = None
    code: int | str | None = None


class Submitted(Struct):
    """The part of a submit's reply that proves an order."""

    id: int
    newOrderClientId: str | None = None  # noqa: N815 - the exchange's names


class _Balance(Struct):
    asset: str
    balance: str
    free: str
    locked: str


class _Order(Struct, rename={"order_client_id": "orderClientId", "left": "leftAmount"}):
    id: int
    price: str
    amount: str
    left: str
    type: str
    status: str
    order_client_id: str | None = None
    pairSymbol: str | None = None  # noqa: N815
    pairsymbol: str | None = None  # As some answers spell it.


class _OpenOrders(Struct):
    asks: list[_Order]
    bids: list[_Order]


class _Trade(Struct):
    id: int
    orderId: int  # noqa: N815
    timestamp: int
    numeratorSymbol: str  # noqa: N815
    denominatorSymbol: str  # noqa: N815
    orderType: str  # noqa: N815
    price: str
    preciseAmount: Raw  # noqa: N815 - a JSON number, read as text: `amount` is rounded
    fee: str
    tax: str
    orderClientId: str | None = None  # noqa: N815


class _Filter(Struct):
    filterType: str  # noqa: N815
    tickSize: str | None = None  # noqa: N815
    minExchangeValue: str | None = None  # noqa: N815


class _Symbol(Struct):
    name: str
    status: str
    numerator: str
    denominator: str
    numeratorScale: int  # noqa: N815
    denominatorScale: int  # noqa: N815
    hasFraction: bool  # noqa: N815
    filters: list[_Filter]
    orderMethods: list[str]  # noqa: N815
    maximumLimitOrderPrice: Raw = Raw(b"null")  # noqa: N815
    minimumLimitOrderPrice: Raw = Raw(b"null")  # noqa: N815


class _ExchangeInfo(Struct):
    symbols: list[_Symbol]


class _Book(Struct):
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


class _Time(Struct):
    serverTime: int  # noqa: N815


_verdict = msgspec.json.Decoder(Verdict).decode
_balances = msgspec.json.Decoder(Reply[list[_Balance]]).decode
_order = msgspec.json.Decoder(Reply[_Order]).decode
_orders = msgspec.json.Decoder(Reply[list[_Order]]).decode
_open = msgspec.json.Decoder(Reply[_OpenOrders]).decode
_trades = msgspec.json.Decoder(Reply[list[_Trade]]).decode
_info = msgspec.json.Decoder(Reply[_ExchangeInfo]).decode
_book = msgspec.json.Decoder(Reply[_Book]).decode
_time = msgspec.json.Decoder(_Time).decode
_submitted = msgspec.json.Decoder(Reply[Submitted]).decode


def verdict(body: bytes) -> Verdict | None:
    """Return what an answer says of itself; None when it is not the exchange's JSON."""
    try:
        return _verdict(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def submitted(body: bytes) -> Submitted | None:
    """Return the order a submit's reply proves; None when it proves none."""
    try:
        found = _submitted(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return found.data if found.success and found.data.id > 0 else None


def server_ms(body: bytes) -> int:
    """Return the exchange's clock in ms. Raises WireError."""
    return _read(_time, body).serverTime


def balances(body: bytes) -> tuple[AssetBalance, ...]:
    """Return every balance; free + locked must be the total. Raises WireError."""
    rows = []
    for row in _read(_balances, body).data:
        total, free, locked = (_comma(value) for value in (row.balance, row.free, row.locked))
        if free + locked != total:
            raise WireError(f"{row.asset}: free {free} + locked {locked} is not {total}")
        if total or free:
            rows.append(AssetBalance(Asset(row.asset), Amount(total), Amount(free)))
    return tuple(sorted(rows, key=lambda row: row.asset))


def order(body: bytes) -> VenueOrder:
    """Return the one order of a reply. Raises WireError."""
    return _venue_order(_read(_order, body).data, None)


def open_orders(body: bytes, pair: Pair) -> tuple[VenueOrder, ...]:
    """Return bids and asks, in order of id. Raises WireError."""
    data = _read(_open, body).data
    return _by_id(_venue_order(row, pair) for row in (*data.bids, *data.asks))


def all_orders(body: bytes, pair: Pair) -> tuple[VenueOrder, ...]:
    """Return a page of the history, in order of id. Raises WireError."""
    return _by_id(_venue_order(row, pair) for row in _read(_orders, body).data)


def fills(body: bytes) -> tuple[VenueFill, ...]:
    """Return own trades; signs are dropped, fee and tax are costs. Raises WireError."""
    return tuple(_fill(row) for row in _read(_trades, body).data)


def instruments(body: bytes) -> tuple[Instrument, ...]:
    """Return every pair that trades limit orders by rules we can follow. Raises WireError."""
    return tuple(_instrument(row) for row in _read(_info, body).data.symbols)


def book(body: bytes) -> tuple[tuple[TextLevel, ...], tuple[TextLevel, ...]]:
    """Return (bids, asks) of the REST book, best first. Raises WireError."""
    data = _read(_book, body).data
    return tuple(map(level, data.bids)), tuple(map(level, data.asks))


def level(pair: tuple[str, str]) -> TextLevel:
    """Return one level; its texts are held to the grammar. Raises WireError."""
    try:
        if parse(pair[0]) <= 0 or parse(pair[1]) < 0:
            raise WireError(f"level {pair}: expected a price above and an amount from 0")
    except MoneyError as error:
        raise WireError(f"level {pair}: {error}") from None
    return TextLevel(*pair)


def order_body(  # noqa: PLR0913 - a limit order has these parts
    pair: Pair, side: Side, quantity: Quantity, price: Price, client_id: ClientOrderId
) -> bytes:
    """Return the canonical body of a limit order; amounts are strings without exponent."""
    return msgspec.json.encode(
        {
            "pairSymbol": pair,
            "orderType": side,
            "orderMethod": "limit",
            "quantity": text(quantity),
            "price": text(price),
            "newOrderClientId": client_id,
        }
    )


def _read(decode: Any, body: bytes) -> Any:  # noqa: ANN401 - one decoder per answer
    try:
        return decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        start = body[:60].decode("utf-8", "replace")
        raise WireError(f"{error}; the answer begins {start!r}") from None


def _number(value: str) -> Decimal:
    try:
        return parse(value)
    except MoneyError as error:
        raise WireError(str(error)) from None


def _comma(value: str) -> Decimal:
    """Read a balance: its documentation prints one decimal comma, never a thousands mark."""
    return _number(value.replace(",", ".", 1) if "." not in value else value)


def _raw(value: Raw) -> Decimal:
    """Read a JSON number from its own text; JSON, unlike the exchange's strings, has exponents."""
    found = bytes(value).decode("ascii", "replace").strip('"')
    if not _JSON_NUMBER.fullmatch(found) or not is_sane(Decimal(found)):
        raise WireError(f"not a number in bounds: {found[:40]!r}")
    return Decimal(found)


def _bound(value: Raw) -> Price | None:
    return None if bytes(value) == b"null" else Price(_raw(value))


def _side(value: str) -> Side:
    try:
        return Side(value.lower())
    except ValueError:
        raise WireError(f"orderType {value!r}; expected buy or sell") from None


def _by_id(rows: Any) -> tuple[VenueOrder, ...]:  # noqa: ANN401
    return tuple(sorted(rows, key=lambda row: row.order_id))


def _venue_order(row: _Order, pair: Pair | None) -> VenueOrder:
    symbol = row.pairSymbol or row.pairsymbol or pair
    if symbol is None:
        raise WireError(f"order {row.id} names no pair")
    return VenueOrder(
        order_id=OrderId(row.id),
        client_id=row.order_client_id or "",
        pair=Pair(symbol),
        side=_side(row.type),
        quantity=Amount(_number(row.amount)),
        left=Amount(_number(row.left)),
        price=Price(_number(row.price)),
        status=row.status,
    )


def _fill(row: _Trade) -> VenueFill:
    quantity = abs(_raw(row.preciseAmount))
    if not quantity:
        raise WireError(f"trade {row.id}: preciseAmount is 0")
    return VenueFill(
        trade_id=TradeId(row.id),
        order_id=OrderId(row.orderId),
        client_id=row.orderClientId or "",
        pair=Pair(row.numeratorSymbol + row.denominatorSymbol),
        side=_side(row.orderType),
        quantity=Quantity(quantity),
        price=Price(_number(row.price)),
        fee=Amount(abs(_number(row.fee))),
        tax=Amount(abs(_number(row.tax))),
        event_ns=row.timestamp * 1_000_000,
    )


def _instrument(row: _Symbol) -> Instrument:
    rules = next((f for f in row.filters if f.filterType == "PRICE_FILTER"), None)
    if rules is None:
        raise WireError(f"{row.name}: no PRICE_FILTER among its filters")
    price_scale = row.denominatorScale if row.hasFraction else 0
    tick = _number(rules.tickSize) if rules.tickSize else Decimal(0)
    return Instrument(
        pair=Pair(row.name),
        base=Asset(row.numerator),
        quote=Asset(row.denominator),
        is_trading=row.status == "TRADING" and "LIMIT" in row.orderMethods,
        price_scale=price_scale,
        quantity_scale=row.numeratorScale,
        tick=max(tick, step_of(price_scale)),
        notional_min=Notional(_number(rules.minExchangeValue or "0")),
        price_min=_bound(row.minimumLimitOrderPrice),
        price_max=_bound(row.maximumLimitOrderPrice),
    )
