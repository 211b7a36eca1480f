"""The replay dataset, an older format of folders of csv: validated, and read into rows.

    FOLDER/candles/SYMBOL.csv     ts,open,high,low,close,volume
    FOLDER/orderbook/SYMBOL.csv   ts,best_bid,best_ask
    FOLDER/ticker/SYMBOL.csv      ts,last,high,low,volume[,quote_volume|quoteVolume]    (optional)

`ts` is ISO-8601 (naive: UTC) or an epoch in seconds (10 digits) or milliseconds (13 digits); equal
times may follow each other. A candle's is its open. The symbol is the stem of the file's name.
"""

import csv
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct, field

from btcbot.catalog.figures import MILLISECOND_NS, moment_ns, positive, stamp_ns
from btcbot.catalog.forms import open_text
from btcbot.catalog.place import BROKEN, WRONG, Place
from btcbot.catalog.rows import Quote, Row, Ticker
from btcbot.catalog.tables import MINUTE_NS, SPANS_LOOKED_AT, Cells, candle, optional, table
from btcbot.domain.ids import Pair
from btcbot.domain.money import Price
from btcbot.domain.recorded import DatasetError

COLUMNS: Final = {
    "candles": ("ts", "open", "high", "low", "close", "volume"),
    "orderbook": ("ts", "best_bid", "best_ask"),
    "ticker": ("ts", "last", "high", "low", "volume"),
}
_NEEDED: Final = ("candles", "orderbook")


class Issue(Struct, frozen=True, kw_only=True):
    """One thing that is wrong; `row` counts from 1 with the header, 0: of the whole file."""

    code: str
    severity: Literal["error", "warning"] = "error"
    path: str
    row: int = 0
    message: str
    remedy: str = ""


class Report(Struct, frozen=True):
    """What was found; `rows`: how many, by folder and symbol."""

    issues: tuple[Issue, ...]
    rows: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def is_ok(self) -> bool:
        return not any(issue.severity == "error" for issue in self.issues)


def validate(folder: Path, rows_min: int = 1) -> Report:
    """Return every issue of a replay dataset, each with its code."""
    if not folder.exists():
        remedy = "make one with `btcbot data init`, or name another folder"
        return _only("dataset_missing", folder, "there is no such folder", remedy)
    if not folder.is_dir():
        return _only("dataset_not_directory", folder, "it is a file; expected a folder")
    issues: list[Issue] = []
    counts: dict[str, dict[str, int]] = {}
    for name in COLUMNS:
        inner = folder / name
        if not inner.is_dir():
            if name in _NEEDED:
                issues.append(_issue(f"missing_{name}_folder", inner, "there is no such folder"))
            continue
        paths = sorted(inner.glob("*.csv"))
        if not paths and name in _NEEDED:
            issues.append(_issue(f"missing_{name}_files", inner, "no SYMBOL.csv is in it"))
        for path in paths:
            counts.setdefault(name, {})[path.stem] = _file(path, name, rows_min, issues)
    issues += _mismatch(folder, counts)
    return Report(tuple(issues), counts)


def rows(folder: Path, symbol: str) -> Iterator[tuple[str, int, Row]]:
    """Yield (file, number, row) of one symbol, a file after the other. Raises DatasetError."""
    for name in COLUMNS:
        path = folder / name / f"{symbol}.csv"
        if not path.is_file():
            continue
        place = Place(file=str(path))
        span_ns = _span(path)
        try:
            with open_text(path) as file:
                for cells in table(file, place):
                    try:
                        row = _row(name, cells, span_ns)
                    except WRONG as error:
                        place.wrong(error)
                        continue
                    yield place.file, place.row, row
        except BROKEN as error:
            raise DatasetError(f"{path}, row {place.row}: {error}") from None


def symbols(folder: Path) -> list[Pair]:
    return sorted({Pair(path.stem) for name in COLUMNS for path in folder.glob(f"{name}/*.csv")})


def moment(text: str) -> int:
    """Return UTC ns of a `ts`. Raises ValueError."""
    if text.isascii() and text.isdigit():
        if len(text) == 10:
            return stamp_ns(text, 1_000 * MILLISECOND_NS)
        if len(text) == 13:
            return stamp_ns(text, MILLISECOND_NS)
        raise ValueError(f"ts {text[:40]!r}: an epoch has 10 digits (seconds) or 13 (ms)")
    return moment_ns(text)


def _file(path: Path, name: str, rows_min: int, issues: list[Issue]) -> int:
    """Look through one file; return how many rows it has."""
    place = Place(file=str(path), on_wrong=lambda row, reason: issues.append(
        _issue("invalid_schema", path, reason, row=row)
    ))  # fmt: skip
    count, last_ns = 0, 0
    try:
        with open_text(path) as header:
            missing = set(COLUMNS[name]) - set(next(csv.reader(header), []))
            if missing:
                said = f"columns are missing: {', '.join(sorted(missing))}"
                remedy = f"expected {','.join(COLUMNS[name])}"
                issues.append(_issue("invalid_schema", path, said, remedy=remedy))
                return 0
        with open_text(path) as file:
            for cells in table(file, place):
                count += 1
                last_ns = _time(cells, path, place.row, last_ns, issues)
    except BROKEN as error:
        issues.append(_issue("invalid_schema", path, str(error), row=place.row))
    if count < rows_min:
        said = f"{count} rows; expected at least {rows_min}"
        issues.append(_issue("insufficient_rows", path, said))
    return count


def _time(cells: Cells, path: Path, row: int, last_ns: int, issues: list[Issue]) -> int:
    """Judge the time of a row; return the latest so far."""
    try:
        at_ns = moment(cells["ts"])
    except ValueError as error:
        issues.append(_issue("invalid_timestamp", path, str(error), row=row))
        return last_ns
    if at_ns < last_ns:
        said = f"time goes back, from {last_ns} to {at_ns}"
        issues.append(_issue("non_monotonic_timestamp", path, said, row=row))
    return max(at_ns, last_ns)


def _mismatch(folder: Path, counts: dict[str, dict[str, int]]) -> Iterator[Issue]:
    candles, books = (set(counts.get(name, ())) for name in _NEEDED)
    if candles and books and candles != books:
        only = ", ".join(sorted(candles ^ books))
        yield Issue(
            code="symbol_mismatch",
            severity="warning",
            path=str(folder),
            message=f"in candles or in orderbook, not in both: {only}",
        )


def _row(name: str, cells: Cells, span_ns: int) -> Row:
    at_ns = moment(cells["ts"])
    if name == "candles":
        return candle(cells, at_ns, span_ns)
    if name == "orderbook":
        bid, ask = positive(cells["best_bid"]), positive(cells["best_ask"])
        return Quote(at_ns=at_ns, bid=Price(bid), ask=Price(ask))
    volume = optional(cells, "volume")
    assert volume is not None or not cells["volume"], "a volume is read or empty"
    if volume is None:
        raise ValueError("volume is empty")
    return Ticker(
        at_ns=at_ns,
        last=Price(positive(cells["last"])),
        high=Price(positive(cells["high"])),
        low=Price(positive(cells["low"])),
        volume=volume,
        quote_volume=optional(cells, "quote_volume", "quoteVolume"),
    )


def _span(path: Path) -> int:
    """Return the shortest distance between two of the first rows; a minute where nothing tells."""
    times = []
    try:
        with open_text(path) as file:
            skipping = Place(on_wrong=lambda _row, _reason: None)
            for _, cells in zip(range(SPANS_LOOKED_AT), table(file, skipping), strict=False):
                times.append(moment(cells.get("ts", "")))
    except (*BROKEN, ValueError):
        return MINUTE_NS  # What is wrong with it is told when its rows are read.
    return min((late - early for early, late in pairwise(times) if late > early), default=MINUTE_NS)


def _issue(code: str, path: Path, message: str, *, row: int = 0, remedy: str = "") -> Issue:
    return Issue(code=code, path=str(path), row=row, message=message, remedy=remedy)


def _only(code: str, path: Path, message: str, remedy: str = "") -> Report:
    return Report((_issue(code, path, message, remedy=remedy),))
