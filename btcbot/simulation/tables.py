"""Recordings as tables: csv of trades, of quotes, of candles.

A candle becomes four trades of a quarter of its volume each, evenly in time: open, the extreme
nearer to the open, the other extreme, close. Its time is taken as when it opened. A candle nothing
traded in says nothing. Nobody knows the true path: fills inside a candle are a convention.
"""

import csv
from collections.abc import Iterable, Iterator
from decimal import ROUND_DOWN
from itertools import chain
from typing import Final

from btcbot.domain.money import Price, Quantity, step_of
from btcbot.domain.words import Side
from btcbot.simulation.events import Happening, Quoted, Traded
from btcbot.simulation.figures import amount, moment_ns, positive, stamp_ns, unfloated
from btcbot.simulation.l2 import Place

TRADES: Final = ("recv_ns", "taker_side", "price", "qty")
QUOTES: Final = ("recv_ns", "bid", "bid_qty", "ask", "ask_qty")
CANDLES: Final = ("open", "high", "low", "close", "volume")
CANDLE_TIMES: Final = ("open_ms", "timestamp", "datetime")
FINEST: Final = step_of(8)
SPANS_LOOKED_AT: Final = 100
MINUTE_NS: Final = 60_000_000_000

Row = dict[str, str]


def trades(lines: Iterable[str], place: Place) -> Iterator[Happening]:
    for row in _rows(lines, place):
        yield Traded(
            stamp_ns(row["recv_ns"]),
            _side(row["taker_side"]),
            Price(positive(row["price"])),
            Quantity(positive(row["qty"])),
        )


def quotes(lines: Iterable[str], place: Place) -> Iterator[Happening]:
    for row in _rows(lines, place):
        bid, ask = positive(row["bid"]), positive(row["ask"])
        if bid >= ask:
            raise ValueError(f"bid {bid}, ask {ask}: the bid must be below the ask")
        yield Quoted(
            stamp_ns(row["recv_ns"]),
            Price(bid),
            Quantity(positive(row["bid_qty"])),
            Price(ask),
            Quantity(positive(row["ask_qty"])),
        )


def candles(lines: Iterable[str], place: Place) -> Iterator[Happening]:
    """Yield the trades that the candles are made into; see the module's docstring."""
    rows = _rows(lines, place)
    first = [(place.row, row) for row, _ in zip(rows, range(SPANS_LOOKED_AT), strict=False)]
    # The shortest distance: where candles are missing, two neighbours lie further apart.
    span_ns = min(_distances(first, place), default=MINUTE_NS)
    for place.row, row in chain(first, ((place.row, row) for row in rows)):
        yield from _path(row, span_ns)


def _distances(rows: list[tuple[int, Row]], place: Place) -> Iterator[int]:
    before_ns = 0
    for place.row, row in rows:
        opened_ns = _open_ns(row)
        if opened_ns <= before_ns:
            raise ValueError(
                f"time goes from {before_ns} to {opened_ns}; candles must rise in time"
            )
        if before_ns:
            yield opened_ns - before_ns
        before_ns = opened_ns


def _path(row: Row, span_ns: int) -> Iterator[Traded]:
    opened, high, low, closed = (positive(unfloated(row[name])) for name in CANDLES[:4])
    if not low <= min(opened, closed) <= max(opened, closed) <= high:
        found = ", ".join(f"{name} {row[name]}" for name in CANDLES[:4])
        raise ValueError(f"{found}; allowed is low <= open, close <= high")
    quarter = (amount(unfloated(row["volume"])) / 4).quantize(FINEST, ROUND_DOWN)
    if not quarter:
        return
    nearer_first = (low, high) if opened - low <= high - opened else (high, low)
    at_ns, before = _open_ns(row), opened
    for n, price in enumerate((opened, *nearer_first, closed)):
        side = Side.BUY if price >= before else Side.SELL
        yield Traded(at_ns + n * span_ns // 4, side, Price(price), Quantity(quarter))
        before = price


def _side(text: str) -> Side:
    try:
        return Side(text)
    except ValueError:
        raise ValueError(f"taker_side {text[:40]!r}; allowed are {', '.join(Side)}") from None


def _open_ns(row: Row) -> int:
    if "open_ms" in row:
        return stamp_ns(row["open_ms"], 1_000_000)
    return moment_ns(row["timestamp"] if "timestamp" in row else row["datetime"])


def _rows(lines: Iterable[str], place: Place) -> Iterator[Row]:
    """Yield each row by its header's names; `place.row` counts lines, the header included."""
    reader = csv.reader(lines, strict=True)
    header = next(reader, [])
    for cells in reader:
        place.row = reader.line_num
        if len(cells) != len(header):
            raise ValueError(f"{len(cells)} cells; the header has {len(header)}")
        yield dict(zip(header, cells, strict=True))
