"""BTCTurk's WebSocket frames: `[type, object]`, routed by type before anything else is read."""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from btcbot.btcturk.wire import WireError, level
from btcbot.domain.feed import (
    BookChange,
    BookSnapshot,
    FrameSeen,
    SeenTrade,
    TextLevel,
    TradesSeen,
)
from btcbot.domain.ids import OrderId, Pair
from btcbot.domain.messages import Message
from btcbot.domain.money import MoneyError, Price, Quantity, parse
from btcbot.domain.venue import Doorbell
from btcbot.domain.words import Side

FRAME_MAX = 1 << 20
REMOVED = 3


class _Level(Struct):
    P: str
    A: str
    CP: int = 0


class _Book(Struct):
    CS: int
    PS: str
    channel: str
    AO: list[_Level] = []
    BO: list[_Level] = []


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


class _Order(Struct):
    id: int


class _UserTrade(Struct):
    orderId: int  # noqa: N815


class _Login(Struct):
    ok: bool
    message: str = ""


_frame = msgspec.json.Decoder(tuple[int, Raw]).decode
_book = msgspec.json.Decoder(_Book).decode
_list = msgspec.json.Decoder(_TradeList).decode
_trade = msgspec.json.Decoder(_Trade).decode
_order = msgspec.json.Decoder(_Order).decode
_user_trade = msgspec.json.Decoder(_UserTrade).decode
_login = msgspec.json.Decoder(_Login).decode
_SIDES = {0: Side.SELL, 1: Side.BUY}  # Matched against REST `side` on live trades.


def public(frame: str | bytes) -> Message | None:
    """Return what a public frame says; None when it is no data. Raises WireError."""
    kind, body = _split(frame)
    if kind == 432:  # noqa: PLR2004 - the hottest
        book = _read(_book, body)
        bids, asks = (tuple(map(_change, side)) for side in (book.BO, book.AO))
        return BookChange(pair=Pair(book.PS), change_set=book.CS, bids=bids, asks=asks)
    if kind == 431:  # noqa: PLR2004
        book = _read(_book, body)
        if book.channel != "obdiff":
            return FrameSeen()
        bids, asks = (tuple(level((row.P, row.A)) for row in side) for side in (book.BO, book.AO))
        return BookSnapshot(pair=Pair(book.PS), change_set=book.CS, bids=bids, asks=asks)
    if kind == 422:  # noqa: PLR2004
        trade = _read(_trade, body)
        return TradesSeen(pair=Pair(trade.PS), trades=(_seen(trade),), is_backlog=False)
    if kind == 421:  # noqa: PLR2004
        listed = _read(_list, body)
        rows = sorted(map(_seen, listed.items), key=lambda row: row.trade_id)
        return TradesSeen(pair=Pair(listed.symbol), trades=tuple(rows), is_backlog=True)
    return FrameSeen() if kind in (401, 402, 428) else None


def private(frame: str | bytes) -> Doorbell | None:
    """Return the doorbell a private frame rings; None when it rings none. Raises WireError."""
    kind, body = _split(frame)
    if kind in (441, 451, 452, 453):
        return Doorbell(order_id=OrderId(_read(_order, body).id))
    if kind == 423:  # noqa: PLR2004
        return Doorbell(order_id=OrderId(_read(_user_trade, body).orderId))
    if kind == 201:  # noqa: PLR2004
        return Doorbell(order_id=None)
    return None


def login(frame: str | bytes) -> tuple[bool, str] | None:
    """Return (accepted, message) of a login's answer; None for any other frame."""
    kind, body = _split(frame)
    if kind != 114:  # noqa: PLR2004
        return None
    answer = _read(_login, body)
    return answer.ok, answer.message


def join(channel: str, event: str, *, is_joining: bool = True) -> str:
    """Return the frame that joins or leaves one channel of one event."""
    body = {"type": 151, "channel": channel, "event": event, "join": is_joining}
    return msgspec.json.encode([151, body]).decode()


def _split(frame: str | bytes) -> tuple[int, Raw]:
    if len(frame) > FRAME_MAX:
        raise WireError(f"a frame of {len(frame)} bytes; allowed are {FRAME_MAX}")
    return _read(_frame, frame)  # type: ignore[no-any-return]


def _read(decode: Any, body: Any) -> Any:  # noqa: ANN401 - one decoder per frame
    try:
        return decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"{error}; the frame begins {bytes(body)[:60]!r}"
                        if not isinstance(body, str) else f"{error}: {body[:60]!r}") from None


def _change(row: _Level) -> TextLevel:
    """Return a changed level; a removed one still names an amount, which means nothing."""
    return level((row.P, "0" if row.CP == REMOVED else row.A))


def _seen(row: _Item) -> SeenTrade:
    side = _SIDES.get(row.S)
    if side is None:
        raise WireError(f"trade {row.I}: S is {row.S}; expected 0 (sell) or 1 (buy)")
    if not (row.I.isascii() and row.I.isdigit() and row.D.isascii() and row.D.isdigit()):
        raise WireError(f"trade {row.I[:30]!r} at {row.D[:30]!r}: expected digits")
    try:
        price, quantity = parse(row.P), parse(row.A)
    except MoneyError as error:
        raise WireError(f"trade {row.I}: {error}") from None
    event_ns = int(row.D) * 1_000_000
    return SeenTrade(int(row.I), side, Price(price), Quantity(quantity), event_ns)
