"""Full-depth recordings: Binance frames as JSON lines, "RECEIVE_TIME_NS {frame}".

Depth updates must follow each other without a gap, from a REST snapshot on: one that is older is
skipped, one that comes before the snapshot waits for it. The book may never be crossed. Tops of
book are skipped: the depth says the same at most 100 ms later. Other streams mean nothing here.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal

import msgspec
from msgspec import Struct, field

from btcbot.domain.money import ZERO, Price, Quantity
from btcbot.domain.words import Side
from btcbot.simulation.book import changed
from btcbot.simulation.events import BookMoved, BookSet, Happening, RecordedLevels, Traded
from btcbot.simulation.figures import amount, positive, stamp_ns

EARLY_MAX = 10_000  # A quarter of an hour of updates that wait for a snapshot.


class Depth(Struct):
    """One depth update, as the exchange writes it."""

    U: int
    u: int
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]


class Place(Struct):
    """How far a recording has come, over all its files."""

    row: int = 0
    at_ns: int = 0
    last_update: int = 0  # 0: no snapshot yet.
    early: list[Depth] = field(default_factory=list)
    bids: dict[Decimal, Decimal] = field(default_factory=dict)
    asks: dict[Decimal, Decimal] = field(default_factory=dict)
    bid: Decimal = ZERO  # Best prices; 0: that side is empty.
    ask: Decimal = ZERO


class _Trade(Struct):
    p: str
    q: str
    m: bool


class _Snapshot(Struct):
    lastUpdateId: int  # noqa: N815 - the exchange's name
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


class _Frame(Struct):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


_frame = msgspec.json.Decoder(_Frame).decode
_depth = msgspec.json.Decoder(Depth).decode
_trade = msgspec.json.Decoder(_Trade).decode
_snapshot = msgspec.json.Decoder(_Snapshot).decode


def read(lines: Iterable[str], place: Place) -> Iterator[Happening]:
    """Yield what the lines say. Raises ValueError or MsgspecError at `place.row`."""
    for place.row, line in enumerate(lines, 1):
        stamp, _, frame = line.partition(" ")
        yield from _events(stamp_ns(stamp), frame, place)


def _events(at_ns: int, text: str, place: Place) -> tuple[Happening, ...]:
    """Return what one frame says; nothing, where it is of no use or must wait."""
    try:
        frame = _frame(text)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{text[:40]!r}: {error}; allowed is RECEIVE_TIME_NS {{frame}}") from None
    if not frame.stream:
        return _began(at_ns, _snapshot(text), place)
    if "@depth" in frame.stream:
        depth = _depth(frame.data)
        if place.last_update:
            return _moved(at_ns, depth, place)
        place.early.append(depth)  # The snapshot is older than its arrival: it needs these.
        if len(place.early) > EARLY_MAX:
            raise ValueError(f"{EARLY_MAX} depth updates and no snapshot to begin from")
        return ()
    if "@trade" in frame.stream:
        trade = _trade(frame.data)
        side = Side.SELL if trade.m else Side.BUY
        return (Traded(at_ns, side, Price(positive(trade.p)), Quantity(positive(trade.q))),)
    return ()


def _began(at_ns: int, snapshot: _Snapshot, place: Place) -> tuple[Happening, ...]:
    place.last_update = snapshot.lastUpdateId
    early, place.early = place.early, []
    book = BookSet(at_ns, _levels(snapshot.bids), _levels(snapshot.asks))
    place.bids, place.asks, place.bid, place.ask = {}, {}, ZERO, ZERO
    _keep(place, book)
    return (book, *(event for depth in early for event in _moved(at_ns, depth, place)))


def _moved(at_ns: int, depth: Depth, place: Place) -> tuple[Happening, ...]:
    """Return a depth update as an event; nothing when the book has it already."""
    last = place.last_update
    if depth.u <= last:
        return ()
    if last + 1 < depth.U:
        raise ValueError(f"depth updates {last + 1} to {depth.U - 1} are missing")
    place.last_update = depth.u
    moved = BookMoved(at_ns, _levels(depth.b), _levels(depth.a))
    _keep(place, moved)
    return (moved,)


def _keep(place: Place, event: BookSet | BookMoved) -> None:
    """Follow the book. Raises ValueError when it is crossed: something was lost or invented."""
    place.bid = changed(place.bids, event.bids, place.bid, max)
    place.ask = changed(place.asks, event.asks, place.ask, min)
    if place.bids and place.asks and place.bid >= place.ask:
        raise ValueError(f"bid {place.bid}, ask {place.ask}: the bid must be below the ask")


def _levels(rows: list[tuple[str, str]]) -> RecordedLevels:
    return tuple((positive(price), amount(quantity)) for price, quantity in rows)
