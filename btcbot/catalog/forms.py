"""The forms of foreign files, told apart by name and first line; csv and JSON lines also gzipped.

Full-depth JSON lines (`l2`); csv of trades, quotes, candles or one book (`tables`); Parquet of
trades or quotes (`columns`). Receive time is the time axis where a file has it: a recorder's clock
has been seen more than a second behind the exchange's.
"""

import csv
import gzip
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Final

from msgspec import Struct

from btcbot.catalog import columns, l2, tables
from btcbot.catalog.happenings import Player
from btcbot.catalog.parquet import LibraryMissing, ParquetError
from btcbot.catalog.place import BROKEN, CUT_OFF, WRONG, Place
from btcbot.catalog.rows import Channel, Row
from btcbot.domain.recorded import DatasetError, Happening

SUFFIXES: Final = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".parquet")
LineReader = Callable[[Iterable[str], Place], Iterator[Row]]
Reader = Callable[[Path, Place], Iterator[Row]]


class Truncated(DatasetError):
    """A file that ends before it should."""


class Form(Struct, frozen=True):
    """How one file is read, and what it holds."""

    name: str
    channels: frozenset[Channel]
    read: Reader


def form_of(path: Path) -> Form:
    """Return the form of a file. Raises DatasetError for a form nobody reads."""
    if not path.name.endswith(SUFFIXES):
        raise DatasetError(
            f"{path}: {path.suffix or 'a name without a suffix'} is no form that is read;"
            f" supported: {', '.join(SUFFIXES)}"
        )
    if path.name.endswith(".parquet"):
        return _parquet(path)
    if ".jsonl" in path.suffixes:
        held = frozenset({Channel.DEPTH, Channel.TRADES, Channel.QUOTES})
        return Form("full depth (jsonl)", held, _lined(l2.rows))
    return _table(path)


def rows(path: Path, place: Place) -> Iterator[Row]:
    """Yield the rows of a file; what is wrong with them goes to `place`.

    Raises DatasetError: the file cannot be read, or not to its end.
    """
    place.file, place.row = str(path), 0
    reader = form_of(path).read
    try:
        yield from reader(path, place)
    except DatasetError:
        raise
    except CUT_OFF as error:
        raise Truncated(f"{path}, row {place.row}: {error}") from None
    except BROKEN as error:
        raise DatasetError(f"{path}, row {place.row}: {error}") from None


def play(paths: Sequence[Path]) -> Iterator[Happening]:
    """Yield what happened, as recorded, over all files in order. Raises DatasetError."""
    player, last_ns = Player(), 0
    for path in paths:
        place = Place(has_quotes=False)  # Beside a book in full they say nothing new.
        for row in rows(path, place):
            try:
                for event in player.play(row):
                    if event.at_ns < last_ns:
                        spans = f"from {last_ns} to {event.at_ns}"
                        raise ValueError(f"time goes {spans}; it must not go back")
                    last_ns = event.at_ns
                    yield event
            except WRONG as error:
                place.wrong(error)


def has_book(paths: Sequence[Path]) -> bool:
    """Return whether anything but trades and candles is in these files. Raises DatasetError."""
    return any(form_of(path).channels - {Channel.TRADES, Channel.CANDLES} for path in paths)


def open_text(path: Path) -> AbstractContextManager[Iterable[str]]:
    """Open a file as lines of text; of Parquet, as the csv that it would be."""
    if path.suffix == ".parquet":
        return closing(columns.lines(path))
    if path.name.endswith(".gz"):
        return io.TextIOWrapper(gzip.open(path), encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _parquet(path: Path) -> Form:
    try:
        channel = columns.own_channel(path)
    except (LibraryMissing, ParquetError) as error:
        said = str(error).removeprefix(f"{path}: ")
        raise DatasetError(f"{path}: {said}") from None
    if channel is not None:
        return Form(f"{channel} (of a data set)", frozenset({channel}), columns.own_rows)
    return _table(path)


def _table(path: Path) -> Form:
    try:
        with open_text(path) as file:
            found = set(next(csv.reader(file), []))
    except (*BROKEN, *WRONG) as error:
        raise DatasetError(f"{path}: {error}") from None
    kind = "parquet" if path.suffix == ".parquet" else "csv"
    if found >= set(tables.CANDLES) and found & set(tables.CANDLE_TIMES):
        return Form(f"candles ({kind})", frozenset({Channel.CANDLES}), _lined(tables.candles))
    for needed, name, channel, reader in _TABLES:
        if found >= set(needed):
            return Form(f"{name} ({kind})", frozenset({channel}), _lined(reader))
    known = "; or ".join(", ".join(needed) for needed, *_ in _TABLES)
    raise DatasetError(
        f"{path}: columns {', '.join(sorted(found))[:80] or 'none'}; supported: {known}; or"
        f" {', '.join(tables.CANDLES)} with one of {', '.join(tables.CANDLE_TIMES)}"
    )


_TABLES: Final[tuple[tuple[tuple[str, ...], str, Channel, LineReader], ...]] = (
    (tables.BOOK, "one book", Channel.DEPTH, tables.book),
    (tables.TRADES, "trades", Channel.TRADES, tables.trades),
    (tables.QUOTES, "quotes", Channel.QUOTES, tables.quotes),
)


def _lined(reader: LineReader) -> Reader:
    """Return a reader of files from one of lines."""

    def read(path: Path, place: Place) -> Iterator[Row]:
        with open_text(path) as file:
            yield from reader(file, place)

    return read
