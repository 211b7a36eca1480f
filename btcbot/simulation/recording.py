"""Recorded markets as a stream of what happened: book changes, trades, quotes; read lazily.

Known forms, told apart by their first line: full-depth JSON lines of Binance (receive time in ns,
then the exchange's own frame), trades csv, quotes csv, candles csv; each also gzipped. Receive
time is the time axis: the recorder's clock was once a second behind the exchange's. A foreign
recording is mapped to a pair of ours by one exact factor; bids are rounded down, asks up.
"""

import csv
import gzip
import io
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from btcbot.domain.instruments import Instrument
from btcbot.domain.money import parse
from btcbot.domain.words import Side

SECOND = 1_000_000_000


class DatasetError(ValueError):
    """A data set that cannot be used; names file, row and reason."""


class BookSet(Struct, frozen=True):
    """The whole book."""

    at_ns: int
    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]


class BookMoved(Struct, frozen=True):
    """Levels that changed; quantity 0 removes one."""

    at_ns: int
    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]


class Traded(Struct, frozen=True):
    """One trade; `side` is the taker's."""

    at_ns: int
    side: Side
    price: Decimal
    quantity: Decimal


class Quoted(Struct, frozen=True, gc=False):
    """Best bid and ask, with nothing beneath."""

    at_ns: int
    bid: Decimal
    bid_quantity: Decimal
    ask: Decimal
    ask_quantity: Decimal


Happening = BookSet | BookMoved | Traded | Quoted


def read(paths: Sequence[Path]) -> Iterator[Happening]:
    """Yield what happened, over all files in order. Raises DatasetError."""
    place = _Place()
    for path in paths:
        yield from _reader_of(path)(path, place)


def first_middle(paths: Sequence[Path]) -> Decimal:
    """Return the first price that the recording states. Raises DatasetError when it has none."""
    for event in read(paths):
        if isinstance(event, Quoted):
            return (event.bid + event.ask) / 2
        if isinstance(event, BookSet) and event.bids and event.asks:
            return (event.bids[0][0] + event.asks[0][0]) / 2
        if isinstance(event, Traded):
            return event.price
    raise DatasetError(f"{paths[0] if paths else 'no file'}: states no price")


def scaled(events: Iterator[Happening], factor: Decimal, rules: Instrument) -> Iterator[Happening]:
    """Yield the events with prices in our pair's quote, on its scale; quantities unchanged."""
    if factor == 1:
        yield from events
        return
    step = rules.step

    def levels(
        rows: tuple[tuple[Decimal, Decimal], ...], to: Callable[[Decimal], Decimal]
    ) -> tuple[tuple[Decimal, Decimal], ...]:
        # Several levels may fall on one price of ours: the last one said counts.
        return tuple((to(price * factor), quantity) for price, quantity in rows)

    for event in events:
        match event:
            case Quoted():
                bid, ask = rules.price_down(event.bid * factor), rules.price_up(event.ask * factor)
                yield Quoted(event.at_ns, bid, event.bid_quantity, ask, event.ask_quantity)
            case Traded():
                price = rules.price_down(event.price * factor)
                quantity = max(rules.quantity_down(event.quantity), step)
                yield Traded(event.at_ns, event.side, price, quantity)
            case BookMoved():
                yield BookMoved(
                    event.at_ns,
                    levels(event.bids, rules.price_down),
                    levels(event.asks, rules.price_up),
                )
            case BookSet():
                yield BookSet(
                    event.at_ns,
                    levels(event.bids, rules.price_down),
                    levels(event.asks, rules.price_up),
                )


# --- telling forms apart ------------------------------------------------------------------------


class _Place(Struct):
    """How far the depth updates of a recording in several files have come."""

    last_update: int = 0
    early: list["_Depth"] = field(default_factory=list)


_Reader = Callable[[Path, _Place], Iterator[Happening]]


def _reader_of(path: Path) -> _Reader:
    if path.suffix == ".parquet":
        raise DatasetError(f"{path}: parquet is not read by this version; allowed: jsonl, csv, .gz")
    try:
        with _open(path) as file:
            head = file.readline()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read: {error}") from None
    if path.name.removesuffix(".gz").endswith(".jsonl"):
        return _l2
    columns = set(head.strip().split(","))
    for needed, reader in _FORMS:
        if needed <= columns:
            return reader
    known = "; ".join(", ".join(sorted(needed)) for needed, _ in _FORMS)
    raise DatasetError(f"{path}: first line {head[:60]!r} is no known header; allowed: {known}")


def _open(path: Path) -> io.TextIOBase:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


# --- full depth -------------------------------------------------------------------------------


class _Depth(Struct):
    U: int
    u: int
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]


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
_depth = msgspec.json.Decoder(_Depth).decode
_trade = msgspec.json.Decoder(_Trade).decode
_snapshot = msgspec.json.Decoder(_Snapshot).decode


def _l2(path: Path, place: _Place) -> Iterator[Happening]:
    """Yield snapshot, depth and trades of a recording; depth must go on without a gap."""
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            stamp, _, text = line.partition(" ")
            try:
                events = _l2_events(int(stamp), text, place)
            except (msgspec.MsgspecError, ValueError) as error:
                raise DatasetError(f"{path}:{number}: {error}") from None
            yield from events


def _l2_events(at_ns: int, text: str, place: _Place) -> tuple[Happening, ...]:
    """Return what one line says: nothing, for tops of book and for updates that must wait."""
    frame = _frame(text)
    if not frame.stream:
        snapshot = _snapshot(text)
        place.last_update = snapshot.lastUpdateId
        book = BookSet(at_ns, _levels(snapshot.bids), _levels(snapshot.asks))
        early, place.early = place.early, []
        return (book, *(event for depth in early for event in _moved(at_ns, depth, place)))
    if "@trade" in frame.stream:
        trade = _trade(frame.data)
        side = Side.SELL if trade.m else Side.BUY
        return (Traded(at_ns, side, parse(trade.p), parse(trade.q)),)
    if "@depth" not in frame.stream:
        return ()
    depth = _depth(frame.data)
    if not place.last_update:
        place.early.append(depth)  # The snapshot is older than its arrival: it needs these.
        return ()
    return _moved(at_ns, depth, place)


def _moved(at_ns: int, depth: _Depth, place: _Place) -> tuple[Happening, ...]:
    """Return a depth update as an event; nothing when the book has it already."""
    last = place.last_update
    if depth.u <= last:
        return ()
    if last + 1 < depth.U:
        raise ValueError(f"depth updates {last + 1} to {depth.U - 1} are missing")
    place.last_update = depth.u
    return (BookMoved(at_ns, _levels(depth.b), _levels(depth.a)),)


def _levels(rows: list[tuple[str, str]]) -> tuple[tuple[Decimal, Decimal], ...]:
    return tuple((parse(price), parse(quantity)) for price, quantity in rows)


# --- csv --------------------------------------------------------------------------------------


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    with _open(path) as file:
        yield from enumerate(csv.DictReader(file), 2)


def _each(path: Path, make: Callable[[dict[str, str]], Iterator[Happening]]) -> Iterator[Happening]:
    """Yield what `make` makes of each row; times must not go back. Names the row of a defect."""
    before = 0
    for number, row in _rows(path):
        try:
            for event in make(row):
                if event.at_ns < before:
                    raise ValueError("time goes back")  # noqa: TRY301 - as any other defect of a row
                before = event.at_ns
                yield event
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DatasetError(f"{path}:{number}: {error!s} in {row}") from None


def _trades(path: Path, _place: _Place) -> Iterator[Happening]:
    def make(row: dict[str, str]) -> Iterator[Happening]:
        yield Traded(
            int(row["recv_ns"]), Side(row["taker_side"]), parse(row["price"]), parse(row["qty"])
        )

    return _each(path, make)


def _quotes(path: Path, _place: _Place) -> Iterator[Happening]:
    def make(row: dict[str, str]) -> Iterator[Happening]:
        bid, ask = parse(row["bid"]), parse(row["ask"])
        if not 0 < bid < ask:
            raise ValueError(f"bid {bid} and ask {ask}: expected 0 < bid < ask")
        yield Quoted(int(row["recv_ns"]), bid, parse(row["bid_qty"]), ask, parse(row["ask_qty"]))

    return _each(path, make)


def _candles(path: Path, _place: _Place) -> Iterator[Happening]:
    """Yield four trades a candle: open, the nearer extreme, the other, close, evenly in time.

    The nearer extreme to the open comes first; each trade has a quarter of the volume. Candles
    that nothing traded in say nothing.
    """
    spans = [_open_ns(row) for _, row in _first(_rows(path), 2)]
    span_ns = spans[1] - spans[0] if len(spans) > 1 else 60 * SECOND

    def make(row: dict[str, str]) -> Iterator[Happening]:
        opened, high, low, closed, volume = (
            parse(row[name]) for name in ("open", "high", "low", "close", "volume")
        )
        if not low <= min(opened, closed) <= max(opened, closed) <= high:
            raise ValueError("expected low <= open, close <= high")
        at_ns = _open_ns(row)
        path_ = (low, high) if opened - low <= high - opened else (high, low)
        before = opened
        for n, price in enumerate((opened, *path_, closed)) if volume else ():
            side = Side.BUY if price >= before else Side.SELL
            yield Traded(at_ns + n * span_ns // 4, side, price, (volume / 4).normalize())
            before = price

    return _each(path, make)


def _open_ns(row: dict[str, str]) -> int:
    if "open_ms" in row:
        return int(row["open_ms"]) * 1_000_000
    stamp = row.get("timestamp") or row["datetime"]
    moment = datetime.fromisoformat(stamp).replace(tzinfo=UTC)
    return round(moment.timestamp()) * SECOND


def _first(rows: Iterator[Any], count: int) -> list[Any]:
    found = []
    for row in rows:
        found.append(row)
        if len(found) == count:
            break
    return found


_FORMS: tuple[tuple[set[str], _Reader], ...] = (
    ({"recv_ns", "taker_side", "price", "qty"}, _trades),
    ({"recv_ns", "bid", "bid_qty", "ask", "ask_qty"}, _quotes),
    ({"open", "high", "low", "close", "volume"}, _candles),
)
