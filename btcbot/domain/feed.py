"""What market_data asks of the public side of an exchange, and what it hears from it.

One vocabulary for the real WebSocket, the sandbox and a backtest: `btcturk/stream.py` and
`simulation/feed.py` both say these. Heard messages are journaled inbox messages, never on the bus.
Levels stay text until used; the parser has already held them to the strict grammar.
"""

from decimal import Decimal

from msgspec import Struct

from btcbot.domain.ids import Pair
from btcbot.domain.instruments import Instrument
from btcbot.domain.messages import Message, Ohlc
from btcbot.domain.money import Price, Quantity
from btcbot.domain.words import Side

# --- asked --------------------------------------------------------------------------------------


class Join(Struct, frozen=True):
    """Subscribe to book changes and trades of `pair`; joining again asks for a new snapshot."""

    pair: Pair


class JoinTrades(Struct, frozen=True):
    """Subscribe to the trades of `pair` again; the list that follows heals what was missed."""

    pair: Pair


class JoinTickers(Struct, frozen=True):
    """Subscribe to the tickers of all pairs again: the pulse the others are held to."""


class ReadBook(Struct, frozen=True):
    """Read the book of `pair` over REST: the fallback while the socket's book is void.

    One read a pair at a time: what is wanted meanwhile is answered by the same reply.
    """

    pair: Pair


class ReadCandles(Struct, frozen=True):
    """Read the minutes of `pair` that begin in [from_ns, to_ns) from the charts."""

    pair: Pair
    from_ns: int
    to_ns: int


class ReadRules(Struct, frozen=True):
    """Read the instruments' rules over REST."""


# --- heard --------------------------------------------------------------------------------------


class FeedUp(Message, frozen=True, kw_only=True, tag="feed_up"):
    """A new socket session; every book of the last one is void."""

    session: int


class FeedDown(Message, frozen=True, kw_only=True, tag="feed_down"):
    reason: str


class TextLevel(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Price and amount as the exchange wrote them; in a change, amount "0" removes the level."""

    price: str
    amount: str


class WireLevel(Struct, frozen=True, gc=False):
    """One level of a whole book, as it stands on the wire."""

    P: str
    A: str


class BookSnapshot(Message, frozen=True, kw_only=True, tag="book_snapshot"):
    """The whole book, up to 100 levels a side, best first.

    A side is the JSON array of WireLevel that the exchange wrote, of digits and points only: it is
    read when somebody wants to know more than the top.
    """

    pair: Pair
    change_set: int
    bids: bytes
    asks: bytes


class BookChange(Message, frozen=True, kw_only=True, tag="book_change"):
    """What changed since `change_set - 1`; only changed levels."""

    pair: Pair
    change_set: int
    bids: tuple[TextLevel, ...]
    asks: tuple[TextLevel, ...]


class BookRead(Message, frozen=True, kw_only=True, tag="book_read"):
    """The book over REST: no sequence, so it replaces and never continues."""

    pair: Pair
    event_ns: int  # By the exchange's clock.
    bids: tuple[TextLevel, ...]
    asks: tuple[TextLevel, ...]


class SeenTrade(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    trade_id: int
    side: Side
    price: Price
    quantity: Quantity
    event_ns: int


class TradesSeen(Message, frozen=True, kw_only=True, tag="trades_seen"):
    """Public trades, oldest first; `is_backlog` for the list that follows a join."""

    pair: Pair
    trades: tuple[SeenTrade, ...]
    is_backlog: bool


class SeenTicker(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """What a ticker says of one pair; None where it says no number above 0: an empty side."""

    pair: Pair
    bid: Price | None
    ask: Price | None
    last: Price | None
    volume: Decimal | None  # Base asset, of 24 hours.


class TickersSeen(Message, frozen=True, kw_only=True, tag="tickers_seen"):
    """The tickers of the pairs we follow: our pulse, and a second opinion of book and trades."""

    rows: tuple[SeenTicker, ...]


class SeenCandle(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    start_ns: int
    prices: Ohlc
    volume: Quantity  # Base asset; 0: no trade.


class CandlesRead(Message, frozen=True, kw_only=True, tag="candles_read"):
    """Minutes of `pair` from the charts, oldest first."""

    pair: Pair
    candles: tuple[SeenCandle, ...]


class FrameSeen(Message, frozen=True, kw_only=True, tag="frame_seen", gc=False):
    """Any other data frame: the session is alive, so contiguous books are confirmed."""


class RulesRead(Message, frozen=True, kw_only=True, tag="rules_read"):
    instruments: tuple[Instrument, ...]


class FeedTrouble(Message, frozen=True, kw_only=True, tag="feed_trouble"):
    """A frame or reply that could not be used; counted, shown, never fatal."""

    what: str
    detail: str


FEED: tuple[type[Message], ...] = (
    FeedUp, FeedDown, BookSnapshot, BookChange, BookRead, TradesSeen, TickersSeen,
    CandlesRead, FrameSeen, RulesRead, FeedTrouble,
)  # fmt: skip
