"""BTCTurk's public REST answers and its chart host, typed: every field, exact, ids as ints.

What the exchange adds is ignored here and counted by `drift.py`; a number that is none refuses the
answer. JSON numbers are read from their own digits, never by way of a float.
"""

from decimal import Decimal

import msgspec
from msgspec import Raw, Struct

from btcbot.btcturk.grammar import (
    ID_MAX,
    Count,
    Millis,
    WireError,
    above_zero,
    decoded,
    digits,
    json_number,
    number,
)
from btcbot.btcturk.wire import Reply, levels
from btcbot.domain.feed import TextLevel
from btcbot.domain.ids import Asset, Pair
from btcbot.domain.money import Price, Quantity
from btcbot.domain.words import Side


class ServerTime(Struct, frozen=True):
    ms: int
    iso: str  # "2026-09-23T03:20:00.0268053+00:00": with seven decimals of a second.


class Ticker(Struct, frozen=True, kw_only=True):
    """The last 24 hours of a pair; `daily` is ask minus open, as the exchange counts it."""

    pair: Pair
    base: Asset
    quote: Asset
    at_ms: int
    last: Decimal
    bid: Decimal  # 0: nobody bids.
    ask: Decimal
    open: Decimal
    high: Decimal
    low: Decimal
    volume: Decimal  # Base asset.
    average: Decimal
    daily: Decimal
    daily_percent: Decimal
    order: int | None  # Of display; some replies lack it.


class BookAnswer(Struct, frozen=True):
    """Up to 100 levels a side, best first; there is no sequence number in it."""

    at_ms: int
    bids: tuple[TextLevel, ...]
    asks: tuple[TextLevel, ...]


class PublicTrade(Struct, frozen=True, kw_only=True):
    pair: Pair
    base: Asset
    quote: Asset
    trade_id: int  # Unique within the pair only.
    at_ms: int
    price: Price
    quantity: Quantity
    side: Side | None  # The taker's; None: not said, or a word nobody knows.


class Candle(Struct, frozen=True, kw_only=True):
    """One candle; the newest of an answer may still be running. `start_s` is when it opened."""

    start_s: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal  # Base asset.


class DayCandle(Candle, frozen=True, kw_only=True):
    """One day, from either of the two calls that have days."""

    pair: Pair
    turnover: Decimal | None  # Quote asset; None: the older call does not say.
    average: Decimal
    change: Decimal
    change_percent: Decimal


# --- as they come -----------------------------------------------------------------------------


class _Time(Struct):
    serverTime: Millis  # noqa: N815 - the exchange's names
    serverTime2: str  # noqa: N815


class _Ping(Struct):
    pong: bool


class _Ticker(Struct):
    pair: str
    pairNormalized: str  # noqa: N815
    timestamp: Millis
    last: Raw
    high: Raw
    low: Raw
    bid: Raw
    ask: Raw
    open: Raw
    volume: Raw
    average: Raw
    daily: Raw
    dailyPercent: Raw  # noqa: N815
    denominatorSymbol: str  # noqa: N815
    numeratorSymbol: str  # noqa: N815
    order: Count | None = None


class _Book(Struct):
    timestamp: Raw  # Older captures have 1643883463379.0.
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


class _Trade(Struct):
    pair: str
    pairNormalized: str  # noqa: N815
    numerator: str
    denominator: str
    date: Millis
    tid: str
    price: str
    amount: str
    side: str | None = None


class _Ohlc(Struct):
    pairSymbol: str  # noqa: N815
    time: Millis
    open: str
    high: str
    low: str
    close: str
    volume: str
    average: str
    dailyChangeAmount: str  # noqa: N815
    dailyChangePercentage: str  # noqa: N815
    pairNormalized: str | None = None  # noqa: N815
    pairSymbolNormalized: str | None = None  # noqa: N815 - as the oldest example spells it


class _Ohlcs(Struct):
    pair: str
    time: Count
    open: Raw
    high: Raw
    low: Raw
    close: Raw
    volume: Raw
    total: Raw
    average: Raw
    dailyChangeAmount: Raw  # noqa: N815
    dailyChangePercentage: Raw  # noqa: N815


class _Klines(Struct):
    s: str
    t: list[Count]
    o: list[Raw]
    h: list[Raw]
    l: list[Raw]  # noqa: E741
    c: list[Raw]
    v: list[Raw]


_time = msgspec.json.Decoder(_Time).decode
_ping = msgspec.json.Decoder(_Ping).decode
_tickers = msgspec.json.Decoder(Reply[list[_Ticker]]).decode
_book = msgspec.json.Decoder(Reply[_Book]).decode
_trades = msgspec.json.Decoder(Reply[list[_Trade]]).decode
_ohlc = msgspec.json.Decoder(Reply[list[_Ohlc]]).decode
_ohlcs = msgspec.json.Decoder(list[_Ohlcs]).decode
_klines = msgspec.json.Decoder(_Klines).decode


def server_time(body: bytes) -> ServerTime:
    """Return the exchange's clock. Raises WireError, as all here do."""
    found = decoded(_time, body)
    return ServerTime(found.serverTime, found.serverTime2)


def ping(body: bytes) -> bool:
    return decoded(_ping, body).pong


def tickers(body: bytes) -> tuple[Ticker, ...]:
    """Return one row a pair; none when the pair that was asked for is unknown."""
    return tuple(_ticker_of(row) for row in decoded(_tickers, body).data)


def order_book(body: bytes) -> BookAnswer:
    found = decoded(_book, body).data
    at_ms = json_number(found.timestamp)
    if at_ms != at_ms.to_integral_value() or at_ms < 0:
        raise WireError(f"timestamp {at_ms}: expected whole milliseconds")
    return BookAnswer(int(at_ms), levels(found.bids), levels(found.asks))


def public_trades(body: bytes) -> tuple[PublicTrade, ...]:
    """Return the last trades, newest first, as they come."""
    return tuple(_trade_of(row) for row in decoded(_trades, body).data)


def daily(body: bytes) -> tuple[DayCandle, ...]:
    """Return the days of the older call, whose numbers are texts and whose times are ms."""
    return tuple(
        DayCandle(
            pair=Pair(row.pairSymbol),
            start_s=row.time // 1_000,
            open=number(row.open),
            high=number(row.high),
            low=number(row.low),
            close=number(row.close),
            volume=number(row.volume),
            turnover=None,
            average=number(row.average),
            change=number(row.dailyChangeAmount),
            change_percent=number(row.dailyChangePercentage),
        )
        for row in decoded(_ohlc, body).data
    )


def chart_days(body: bytes) -> tuple[DayCandle, ...]:
    """Return the days of the chart host, whose answer has no envelope."""
    return tuple(
        DayCandle(
            pair=Pair(row.pair),
            start_s=row.time,
            open=json_number(row.open),
            high=json_number(row.high),
            low=json_number(row.low),
            close=json_number(row.close),
            volume=json_number(row.volume),
            turnover=json_number(row.total),
            average=json_number(row.average),
            change=json_number(row.dailyChangeAmount),
            change_percent=json_number(row.dailyChangePercentage),
        )
        for row in decoded(_ohlcs, body)
    )


def candles(body: bytes) -> tuple[Candle, ...]:
    """Return the candles of the chart host, oldest first; none for an empty range."""
    found = decoded(_klines, body)
    if found.s not in ("ok", "no_data"):
        raise WireError(f"candles: status {found.s[:20]!r}; expected ok or no_data")
    columns = (found.o, found.h, found.l, found.c, found.v)
    if any(len(column) != len(found.t) for column in columns):
        sizes = [len(found.t), *map(len, columns)]
        raise WireError(f"candles: columns t, o, h, l, c, v of unequal lengths {sizes}")
    if any(late <= early for early, late in zip(found.t, found.t[1:], strict=False)):
        raise WireError("candles: their times do not rise")
    return tuple(_candle_of(at_s, *row) for at_s, *row in zip(found.t, *columns, strict=True))


# --- one by one -------------------------------------------------------------------------------


def _ticker_of(row: _Ticker) -> Ticker:
    return Ticker(
        pair=Pair(row.pair),
        base=Asset(row.numeratorSymbol),
        quote=Asset(row.denominatorSymbol),
        at_ms=row.timestamp,
        last=json_number(row.last),
        bid=json_number(row.bid),
        ask=json_number(row.ask),
        open=json_number(row.open),
        high=json_number(row.high),
        low=json_number(row.low),
        volume=json_number(row.volume),
        average=json_number(row.average),
        daily=json_number(row.daily),
        daily_percent=json_number(row.dailyPercent),
        order=row.order,
    )


def _trade_of(row: _Trade) -> PublicTrade:
    sides = {"buy": Side.BUY, "sell": Side.SELL}
    return PublicTrade(
        pair=Pair(row.pair),
        base=Asset(row.numerator),
        quote=Asset(row.denominator),
        trade_id=digits(row.tid, ID_MAX),
        at_ms=row.date,
        price=Price(above_zero(number(row.price))),
        quantity=Quantity(above_zero(number(row.amount))),
        side=sides.get(row.side.lower()) if row.side else None,
    )


def _candle_of(start_s: int, *row: Raw) -> Candle:
    opened, high, low, closed, volume = map(json_number, row)
    if not low <= min(opened, closed) <= max(opened, closed) <= high:
        raise WireError(f"candle {start_s}: {opened}, {high}, {low}, {closed} are not o, h, l, c")
    return Candle(start_s=start_s, open=opened, high=high, low=low, close=closed, volume=volume)
