"""Recordings as tables: csv of trades, of quotes, of candles, of one whole book.

A candle is known when it closes: its open time, as the file states it, plus the shortest distance
between two of the file's first candles (where some are missing, neighbours lie further apart).
"""

import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from decimal import Decimal
from itertools import chain, islice, pairwise
from typing import Final, TypeVar

from btcbot.catalog.figures import (
    MILLISECOND_NS,
    amount,
    moment_ns,
    positive,
    stamp_ns,
    unfloated,
)
from btcbot.catalog.l2 import level
from btcbot.catalog.place import WRONG, Place
from btcbot.catalog.rows import Candle, Depth, Quote, Row, Trade
from btcbot.domain.feed import TextLevel
from btcbot.domain.money import Price, Quantity
from btcbot.domain.words import Side

TRADES: Final = ("recv_ns", "taker_side", "price", "qty")
QUOTES: Final = ("recv_ns", "bid", "bid_qty", "ask", "ask_qty")
BOOK: Final = ("recv_ns", "last_update_id", "side", "price", "qty")
CANDLES: Final = ("open", "high", "low", "close", "volume")
CANDLE_TIMES: Final = ("open_ms", "timestamp", "datetime")
SPANS_LOOKED_AT: Final = 100
MINUTE_NS: Final = 60_000_000_000

Cells = dict[str, str]
T = TypeVar("T")


def trades(lines: Iterable[str], place: Place) -> Iterator[Row]:
    return _each(lines, place, _trade)


def quotes(lines: Iterable[str], place: Place) -> Iterator[Row]:
    return _each(lines, place, _quote)


def book(lines: Iterable[str], place: Place) -> Iterator[Row]:
    """Yield the one whole book that a file of levels holds."""
    known: list[tuple[str, str]] = []
    sides: dict[str, list[TextLevel]] = {"b": [], "a": []}

    def take(row: Cells) -> None:
        found = (row["recv_ns"], row["last_update_id"])
        if known and found != known[0]:
            raise ValueError(f"time and update {found}, not {known[0]}: expected one book")
        if row["side"] not in sides:
            raise ValueError(f"side {row['side'][:20]!r}; expected b or a")
        sides[row["side"]].append(level(row["price"], row["qty"]))
        known.append(found)

    for _ in _each(lines, place, take):
        pass
    if known:
        number = whole(known[0][1])
        yield Depth(
            at_ns=stamp_ns(known[0][0]),
            first=number,
            last=number,
            is_snapshot=True,
            bids=tuple(sides["b"]),
            asks=tuple(sides["a"]),
        )


def candles(lines: Iterable[str], place: Place) -> Iterator[Row]:
    rows = table(lines, place)
    first = [(place.row, row) for row in islice(rows, SPANS_LOOKED_AT)]
    span_ns = span_of(row for _, row in first)
    for place.row, row in chain(first, ((place.row, row) for row in rows)):
        try:
            yield candle(row, open_ns_of(row), span_ns)
        except WRONG as error:
            place.wrong(error)


def span_of(rows: Iterable[Cells]) -> int:
    """Return the length of a file's candles in ns; a minute where nothing tells."""
    opens = []
    for row in rows:
        with suppress(ValueError):  # It is told of when its turn comes.
            opens.append(open_ns_of(row))
    return min((late - early for early, late in pairwise(opens) if late > early), default=MINUTE_NS)


def candle(row: Cells, open_ns: int, span_ns: int) -> Candle:
    """Return the candle of a table's row. Raises ValueError."""
    opened, high, low, closed = (Price(positive(unfloated(row[name]))) for name in CANDLES[:4])
    return Candle(
        at_ns=open_ns + span_ns,
        open_ns=open_ns,
        open=opened,
        high=high,
        low=low,
        close=closed,
        volume=amount(unfloated(row["volume"])),
    )


def table(lines: Iterable[str], place: Place) -> Iterator[Cells]:
    """Yield each row by its header's names; `place.row` counts lines, the header included."""
    reader = csv.reader(lines, strict=True)
    header = next(reader, [])
    for cells in reader:
        place.row = reader.line_num
        if len(cells) == len(header):
            yield dict(zip(header, cells, strict=True))
        else:
            place.wrong(ValueError(f"{len(cells)} cells; the header has {len(header)}"))


def whole(text: str) -> int:
    """Return an id. Raises ValueError."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ValueError(f"not an id: {text[:40]!r}; allowed are up to 18 digits")
    return int(text)


def optional(row: Cells, *names: str) -> Decimal | None:
    """Return the first of these cells that is there and not empty. Raises ValueError."""
    found = next((row[name] for name in names if row.get(name)), "")
    return amount(unfloated(found)) if found else None


def _each(lines: Iterable[str], place: Place, convert: Callable[[Cells], T]) -> Iterator[T]:
    for row in table(lines, place):
        try:
            yield convert(row)
        except WRONG as error:
            place.wrong(error)


def _trade(row: Cells) -> Trade:
    return Trade(
        at_ns=stamp_ns(row["recv_ns"]),
        event_ns=_millis(row, "event_ms"),
        traded_ns=_millis(row, "trade_ms"),
        trade_id=_number(row, "trade_id"),
        side=_side(row["taker_side"]),
        price=Price(positive(row["price"])),
        quantity=Quantity(positive(row["qty"])),
    )


def _side(text: str) -> Side:
    try:
        return Side(text)
    except ValueError:
        raise ValueError(f"taker_side {text[:40]!r}; allowed are {', '.join(Side)}") from None


def _quote(row: Cells) -> Quote:
    return Quote(
        at_ns=stamp_ns(row["recv_ns"]),
        update_id=_number(row, "update_id"),
        bid=Price(positive(row["bid"])),
        bid_quantity=Quantity(positive(row["bid_qty"])),
        ask=Price(positive(row["ask"])),
        ask_quantity=Quantity(positive(row["ask_qty"])),
    )


def _millis(row: Cells, name: str) -> int | None:
    return stamp_ns(row[name], MILLISECOND_NS) if row.get(name) else None


def _number(row: Cells, name: str) -> int | None:
    return whole(row[name]) if row.get(name) else None


def open_ns_of(row: Cells) -> int:
    if "open_ms" in row:
        return stamp_ns(row["open_ms"], MILLISECOND_NS)
    return moment_ns(row["timestamp"] if "timestamp" in row else row["datetime"])
