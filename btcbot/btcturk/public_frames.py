"""BTCTurk's public frames: routed by type before the rest is read, then read in one pass.

A snapshot of 200 levels is the largest of them: its sides are checked as two texts and handed on as
such, because the book of most of them is never asked for more than its top.
"""

from collections.abc import Callable, Container
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Raw, Struct

from btcbot.btcturk.frames import FRAME_MAX, split
from btcbot.btcturk.grammar import (
    ID_MAX,
    MILLIS_MAX,
    Count,
    WireError,
    above_zero,
    decoded,
    digits,
    level,
    number,
)
from btcbot.domain.feed import (
    BookChange,
    BookSnapshot,
    FeedTrouble,
    FrameSeen,
    SeenTicker,
    SeenTrade,
    TextLevel,
    TickersSeen,
    TradesSeen,
    WireLevel,
)
from btcbot.domain.ids import Pair
from btcbot.domain.messages import Message
from btcbot.domain.money import Price, Quantity
from btcbot.domain.words import Side

Pairs: TypeAlias = Container[str]
DATA: Final = frozenset({401, 402, 421, 422, 428, 431, 432})  # What shows that a session is alive.
_REMOVED: Final = 3
_CHANGES: Final = frozenset({0, 1, _REMOVED})  # Replaced, new, removed.
_SIDES: Final = {0: Side.SELL, 1: Side.BUY}  # Matched against REST `side` on live trades.
_DIGITS: Final = b"0123456789."
_BARE_LEVEL: Final = b'{"A":"","P":""}'
_BARE_SIZE: Final = len(_BARE_LEVEL) + 1
_levels = msgspec.json.Decoder(list[WireLevel] | None).decode
_encode = msgspec.json.Encoder().encode
_PULSE: Final = FrameSeen()


class _Change(Struct):
    P: str
    A: str
    CP: int


class _Snapshot(Struct):
    CS: Count
    PS: str
    channel: str
    AO: Raw = Raw(b"[]")
    BO: Raw = Raw(b"[]")


class _Changes(Struct):
    CS: Count
    PS: str
    AO: list[_Change] | None = None
    BO: list[_Change] | None = None


class _Item(Struct):
    D: str
    I: str  # noqa: E741 - the exchange's names
    A: str
    P: str
    S: int


class _TradeList(Struct):
    symbol: str
    items: list[_Item]


class _Trade(_Item):
    PS: str


class _Ticker(Struct):
    PS: str
    B: str = ""
    A: str = ""
    LA: str = ""
    V: str = ""


class _Tickers(Struct):
    items: list[_Ticker]


class _Candle(Struct):
    """A running candle; we make our own from trades, so it only shows life."""

    P: str
    D: int
    R: str
    O: str  # noqa: E741 - the exchange's names
    H: str
    L: str
    C: str
    V: str


class _Result(Struct):
    """The answer to a join; it is `ok` for nonsense too, so nothing follows from it."""

    ok: bool
    message: str | None = None


class _Notice(Struct):
    message: str | None = None


class _Welcome(Struct):
    current: str
    min: str


def read(frame: bytes, wanted: Pairs) -> tuple[int, Message | None]:
    """Return the type of a frame and what it says, None when that is nothing for us.

    Of the tickers only those of `wanted` pairs are kept. Raises WireError.
    """
    kind = _kind(frame)
    reader = _READERS.get(kind)
    if reader is None:
        return kind, None
    decode, make = reader
    return kind, make(decoded(decode, frame)[1], wanted)


def _kind(frame: bytes) -> int:
    """Return a frame's type from its first bytes: the exchange writes no spaces. Raises WireError.

    Whatever begins otherwise is read as a whole, and refused if it is no frame.
    """
    head = frame[1:4]
    if frame[:1] == b"[" and frame[4:5] == b"," and head.isdigit() and len(frame) <= FRAME_MAX:
        return int(head)
    return split(frame)[0]


def _book_snapshot(book: _Snapshot, _wanted: Pairs) -> Message:
    if book.channel != "obdiff":
        return _PULSE
    bids, asks = _side(bytes(book.BO)), _side(bytes(book.AO))
    return BookSnapshot(pair=Pair(book.PS), change_set=book.CS, bids=bids, asks=asks)


def _side(found: bytes) -> bytes:
    """Return one side of a whole book, in the one spelling the book reads. Raises WireError."""
    # Without its digits it is one known text: anything else between the quotes shows.
    bare = found.translate(None, _DIGITS)
    if bare == _bare_side(len(bare) // _BARE_SIZE):
        return found
    rows = decoded(_levels, found) or []
    for row in rows:
        level(row.P, row.A)
    return _encode(rows)


@lru_cache(maxsize=256)
def _bare_side(count: int) -> bytes:
    return b"[" + b",".join([_BARE_LEVEL] * count) + b"]"


def _book_change(book: _Changes, _wanted: Pairs) -> Message:
    return BookChange(
        pair=Pair(book.PS),
        change_set=book.CS,
        bids=tuple(map(_change, book.BO or ())),
        asks=tuple(map(_change, book.AO or ())),
    )


def _change(row: _Change) -> TextLevel:
    """Return a changed level; a removed one still names an amount, which means nothing.

    A change of a kind nobody documented is refused: the gap it leaves brings a fresh snapshot.
    """
    if row.CP not in _CHANGES:
        raise WireError(f"level {row.P[:40]!r}: CP is {row.CP}; expected 0, 1 or 3")
    return level(row.P, "0" if row.CP == _REMOVED else row.A)


def _one_trade(trade: _Trade, _wanted: Pairs) -> Message:
    return TradesSeen(pair=Pair(trade.PS), trades=(_seen(trade),), is_backlog=False)


def _trade_list(listed: _TradeList, _wanted: Pairs) -> Message:
    rows = sorted(map(_seen, listed.items), key=lambda row: row.trade_id)
    return TradesSeen(pair=Pair(listed.symbol), trades=tuple(rows), is_backlog=True)


def _seen(row: _Item) -> SeenTrade:
    side = _SIDES.get(row.S)
    if side is None:
        raise WireError(f"trade {row.I[:30]!r}: S is {row.S}; expected 0 (sell) or 1 (buy)")
    event_ns = digits(row.D, MILLIS_MAX) * 1_000_000
    price, quantity = Price(above_zero(number(row.P))), Quantity(above_zero(number(row.A)))
    return SeenTrade(digits(row.I, ID_MAX), side, price, quantity, event_ns)


def _tickers(found: _Tickers, wanted: Pairs) -> Message:
    return TickersSeen(rows=tuple(_ticker(row) for row in found.items if row.PS in wanted))


def _one_ticker(row: _Ticker, wanted: Pairs) -> Message:
    return TickersSeen(rows=(_ticker(row),) if row.PS in wanted else ())


def _ticker(row: _Ticker) -> SeenTicker:
    bid, ask, last = _price(row.B), _price(row.A), _price(row.LA)
    return SeenTicker(Pair(row.PS), bid, ask, last, _positive(row.V))


def _price(value: str) -> Price | None:
    found = _positive(value)
    return None if found is None else Price(found)


def _positive(value: str) -> Decimal | None:
    """Return a number above 0, or None: one odd pair must not cost all others their pulse."""
    try:
        return above_zero(number(value))
    except WireError:
        return None


def _pulse(_candle: _Candle, _wanted: Pairs) -> Message:
    return _PULSE


def _nothing(_said: _Result | _Welcome, _wanted: Pairs) -> None:
    return None


def _notice(said: _Notice, _wanted: Pairs) -> Message:
    return FeedTrouble(what="the exchange says", detail=(said.message or "nothing")[:300])


def _of(kind: Any) -> Callable[[bytes], tuple[int, Any]]:  # noqa: ANN401 - one of the Structs above
    return msgspec.json.Decoder(tuple[int, kind]).decode


_READERS: Final[dict[int, tuple[Callable[[Any], Any], Callable[..., Message | None]]]] = {
    432: (_of(_Changes), _book_change),
    422: (_of(_Trade), _one_trade),
    401: (_of(_Tickers), _tickers),
    402: (_of(_Ticker), _one_ticker),
    431: (_of(_Snapshot), _book_snapshot),
    421: (_of(_TradeList), _trade_list),
    428: (_of(_Candle), _pulse),
    100: (_of(_Result), _nothing),
    801: (_of(_Notice), _notice),
    991: (_of(_Welcome), _nothing),
}
