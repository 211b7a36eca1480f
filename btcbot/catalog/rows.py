"""What the catalog keeps: one struct a channel, exact, each with the time at which it was known.

`at_ns` is the axis of time: when we heard, or for a candle its close, the first moment at which
anybody could know it. A row never tells of anything later than that.
"""

from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from btcbot.domain.feed import TextLevel
from btcbot.domain.money import Price, Quantity
from btcbot.domain.words import Side


class Channel(StrEnum):
    DEPTH = "depth"
    TRADES = "trades"
    QUOTES = "quotes"
    CANDLES = "candles"
    TICKER = "ticker"


class Provenance(StrEnum):
    """Where rows come from; where two cover the same time, the earlier word here wins."""

    LIVE = "live"
    IMPORTED = "imported"
    BACKFILL = "backfill"
    SYNTHETIC = "synthetic"


class Cause(StrEnum):
    """Why there is no data. A covered time without rows is no gap: nothing happened then."""

    UNKNOWN = "unknown"
    DISCONNECTED = "disconnected"
    RECORDER_DOWN = "recorder down"
    RECORDER_LOST = "recorder lost records"
    EXCHANGE_SILENT = "exchange silent"
    REJOINED = "joined again"  # Between leaving a channel and its next snapshot.
    NONE_THERE = "exchange has none"  # Asked for, and not given.


class Depth(Struct, frozen=True, kw_only=True, gc=False):
    """One frame of a book: the whole of it, or the levels that changed; amount "0" removes one.

    `first` to `last` are the exchange's numbers of the changes in it: the next frame begins with
    `last` + 1, or something is missing.
    """

    at_ns: int
    event_ns: int | None = None
    first: int
    last: int
    is_snapshot: bool
    bids: tuple[TextLevel, ...]
    asks: tuple[TextLevel, ...]


class Trade(Struct, frozen=True, kw_only=True, gc=False):
    """One public trade; `side` is the taker's."""

    at_ns: int
    event_ns: int | None = None  # When the exchange said it.
    traded_ns: int | None = None  # When it happened.
    trade_id: int | None = None
    side: Side
    price: Price
    quantity: Quantity


class Quote(Struct, frozen=True, kw_only=True, gc=False):
    """Best bid and ask; quantities are None where the source had none."""

    at_ns: int
    update_id: int | None = None
    bid: Price
    bid_quantity: Quantity | None = None
    ask: Price
    ask_quantity: Quantity | None = None


class Candle(Struct, frozen=True, kw_only=True, gc=False):
    """One candle, known when it closes at `at_ns`; volume in base asset."""

    at_ns: int
    open_ns: int
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Decimal


class Ticker(Struct, frozen=True, kw_only=True, gc=False):
    """The last price and the figures of the day behind it."""

    at_ns: int
    last: Price
    high: Price
    low: Price
    volume: Decimal
    quote_volume: Decimal | None = None


Row = Depth | Trade | Quote | Candle | Ticker
CHANNEL_OF: dict[type[Row], Channel] = {
    Depth: Channel.DEPTH,
    Trade: Channel.TRADES,
    Quote: Channel.QUOTES,
    Candle: Channel.CANDLES,
    Ticker: Channel.TICKER,
}


def start_ns(row: Row) -> int:
    """Return since when a row tells of something: a candle from its open, all else at its time."""
    return row.open_ns if isinstance(row, Candle) else row.at_ns
