"""Full-depth recordings: Binance frames as JSON lines, "RECEIVE_TIME_NS {frame}".

A line without `stream` is a REST snapshot. Depth updates, tops of book and trades are read; other
streams mean nothing here. Prices and amounts of levels stay the text that the exchange wrote.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Struct

from btcbot.catalog.figures import MILLISECOND_NS, positive, stamp_ns
from btcbot.catalog.place import WRONG, Place
from btcbot.catalog.rows import Depth, Quote, Row, Trade
from btcbot.domain.feed import TextLevel
from btcbot.domain.money import Price, Quantity
from btcbot.domain.words import Side

Levels = list[tuple[str, str]]
_AMOUNT: Final = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,16})?", re.ASCII).fullmatch


class _Depth(Struct):
    U: int
    u: int
    b: Levels
    a: Levels
    E: int | None = None


class _Trade(Struct):
    p: str
    q: str
    m: bool
    E: int | None = None
    T: int | None = None
    t: int | None = None


class _Top(Struct):
    u: int
    b: str
    B: str
    a: str
    A: str


class _Snapshot(Struct):
    lastUpdateId: int  # noqa: N815 - the exchange's name
    bids: Levels
    asks: Levels


class _Frame(Struct):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


_frame = msgspec.json.Decoder(_Frame).decode
_depth = msgspec.json.Decoder(_Depth).decode
_trade = msgspec.json.Decoder(_Trade).decode
_top = msgspec.json.Decoder(_Top).decode
_snapshot = msgspec.json.Decoder(_Snapshot).decode


def rows(lines: Iterable[str], place: Place) -> Iterator[Row]:
    """Yield what the lines say; what is wrong goes to `place`."""
    for place.row, line in enumerate(lines, 1):
        stamp, _, text = line.partition(" ")
        try:
            row = _row(stamp_ns(stamp), text, has_quotes=place.has_quotes)
        except WRONG as error:
            place.wrong(error)
            continue
        if row is not None:
            yield row


def level(price: str, amount: str) -> TextLevel:
    """Return one level; an amount of nothing becomes "0". Raises ValueError.

    The texts are only looked at: what is never used need not become a Decimal.
    """
    if not _AMOUNT(price) or not _AMOUNT(amount) or not price.strip("0."):
        raise ValueError(f"level {price[:40]!r}, {amount[:40]!r}: expected price > 0, amount >= 0")
    return TextLevel(price, amount if amount.strip("0.") else "0")


def _row(at_ns: int, text: str, *, has_quotes: bool) -> Row | None:
    try:
        frame = _frame(text)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{text[:40]!r}: {error}; allowed is RECEIVE_TIME_NS {{frame}}") from None
    if not frame.stream:
        whole = _snapshot(text)
        number = whole.lastUpdateId
        bids, asks = _levels(whole.bids), _levels(whole.asks)
        return Depth(at_ns=at_ns, first=number, last=number, is_snapshot=True, bids=bids, asks=asks)
    if "@depth" in frame.stream:
        depth = _depth(frame.data)
        return Depth(
            at_ns=at_ns,
            event_ns=_ns(depth.E),
            first=depth.U,
            last=depth.u,
            is_snapshot=False,
            bids=_levels(depth.b),
            asks=_levels(depth.a),
        )
    if "@trade" in frame.stream:
        return _traded(at_ns, _trade(frame.data))
    return _quoted(at_ns, _top(frame.data)) if has_quotes and "@book" in frame.stream else None


def _traded(at_ns: int, trade: _Trade) -> Trade:
    return Trade(
        at_ns=at_ns,
        event_ns=_ns(trade.E),
        traded_ns=_ns(trade.T),
        trade_id=trade.t,
        side=Side.SELL if trade.m else Side.BUY,
        price=Price(positive(trade.p)),
        quantity=Quantity(positive(trade.q)),
    )


def _quoted(at_ns: int, top: _Top) -> Quote:
    return Quote(
        at_ns=at_ns,
        update_id=top.u,
        bid=Price(positive(top.b)),
        bid_quantity=Quantity(positive(top.B)),
        ask=Price(positive(top.a)),
        ask_quantity=Quantity(positive(top.A)),
    )


def _ns(millis: int | None) -> int | None:
    return None if millis is None else millis * MILLISECOND_NS


def _levels(pairs: Levels) -> tuple[TextLevel, ...]:
    return tuple(level(price, amount) for price, amount in pairs)
