"""BTCTurk's WebSocket frames: `[type, object]`, routed by type before anything else is read."""

from typing import Final

import msgspec
from msgspec import Raw, Struct

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
from btcbot.btcturk.wire import levels
from btcbot.domain.feed import (
    BookChange,
    BookSnapshot,
    FrameSeen,
    SeenTrade,
    TextLevel,
    TradesSeen,
)
from btcbot.domain.ids import Pair
from btcbot.domain.messages import Message
from btcbot.domain.money import Price, Quantity
from btcbot.domain.words import Side

FRAME_MAX: Final = 1 << 20
# 411 and 412 are documented and have been silent since 2019.
KNOWN_TYPES: Final = frozenset(
    {100, 101, 112, 114, 151, 201, 401, 402, 411, 412, 421, 422, 423, 428, 431, 432, 441, 451, 452}
    | {453, 801, 802, 991}
)
_REMOVED: Final = 3
_CHANGES: Final = frozenset({0, 1, _REMOVED})  # Replaced, new, removed.
_SIDES: Final = {0: Side.SELL, 1: Side.BUY}  # Matched against REST `side` on live trades.


class _Level(Struct):
    P: str
    A: str


class _Change(Struct):
    P: str
    A: str
    CP: int


class _Snapshot(Struct):
    CS: Count
    PS: str
    channel: str
    AO: list[_Level] | None = None
    BO: list[_Level] | None = None


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


_frame = msgspec.json.Decoder(tuple[int, Raw]).decode
_snapshot = msgspec.json.Decoder(_Snapshot).decode
_changes = msgspec.json.Decoder(_Changes).decode
_list = msgspec.json.Decoder(_TradeList).decode
_trade = msgspec.json.Decoder(_Trade).decode
_encode = msgspec.json.Encoder().encode


def split(frame: str | bytes) -> tuple[int, Raw]:
    """Return the type of a frame and its unread body. Raises WireError."""
    if len(frame) > FRAME_MAX:
        raise WireError(f"a frame of {len(frame)} bytes; allowed are {FRAME_MAX}")
    return decoded(_frame, frame)


def public(kind: int, body: Raw) -> Message | None:
    """Return what a public frame says; None when it is no data. Raises WireError."""
    if kind == 432:
        return _book_change(decoded(_changes, body))
    if kind in {401, 402, 428}:
        return FrameSeen()
    if kind == 431:
        return _book_snapshot(decoded(_snapshot, body))
    if kind == 422:
        trade = decoded(_trade, body)
        return TradesSeen(pair=Pair(trade.PS), trades=(_seen(trade),), is_backlog=False)
    if kind == 421:
        listed = decoded(_list, body)
        rows = sorted(map(_seen, listed.items), key=lambda row: row.trade_id)
        return TradesSeen(pair=Pair(listed.symbol), trades=tuple(rows), is_backlog=True)
    return None


def join(channel: str, event: str, *, is_joining: bool = True) -> str:
    """Return the frame that joins or leaves one channel of one event."""
    body = {"type": 151, "channel": channel, "event": event, "join": is_joining}
    return _encode([151, body]).decode()


def login(request: list[object]) -> str:
    """Return the frame of a login that `KeyPair.login` signed."""
    return _encode(request).decode()


def _book_change(book: _Changes) -> BookChange:
    return BookChange(
        pair=Pair(book.PS),
        change_set=book.CS,
        bids=tuple(map(_change, book.BO or ())),
        asks=tuple(map(_change, book.AO or ())),
    )


def _book_snapshot(book: _Snapshot) -> Message:
    if book.channel != "obdiff":
        return FrameSeen()
    return BookSnapshot(
        pair=Pair(book.PS),
        change_set=book.CS,
        bids=levels((row.P, row.A) for row in book.BO or ()),
        asks=levels((row.P, row.A) for row in book.AO or ()),
    )


def _change(row: _Change) -> TextLevel:
    """Return a changed level; a removed one still names an amount, which means nothing.

    A change of a kind nobody documented is refused: the gap it leaves brings a fresh snapshot.
    """
    if row.CP not in _CHANGES:
        raise WireError(f"level {row.P[:40]!r}: CP is {row.CP}; expected 0, 1 or 3")
    return level(row.P, "0" if row.CP == _REMOVED else row.A)


def _seen(row: _Item) -> SeenTrade:
    side = _SIDES.get(row.S)
    if side is None:
        raise WireError(f"trade {row.I[:30]!r}: S is {row.S}; expected 0 (sell) or 1 (buy)")
    event_ns = digits(row.D, MILLIS_MAX) * 1_000_000
    price, quantity = Price(above_zero(number(row.P))), Quantity(above_zero(number(row.A)))
    return SeenTrade(digits(row.I, ID_MAX), side, price, quantity, event_ns)
