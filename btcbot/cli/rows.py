"""Rows on stdout for programs: JSON lines, CSV, Parquet."""

import csv
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from btcbot.cli import exits
from btcbot.cli.common import stop

Row = dict[str, Any]
FORMS: Final = ("jsonl", "csv", "parquet")


def print_rows(
    form: str, columns: tuple[str, ...], rows: Iterable[Row], kinds: Mapping[str, type]
) -> None:
    """Print `columns` of each row as `form`; `kinds`: of the columns that are no text in Parquet.

    Exit 78: Parquet without the extra `research`; 2: Parquet to a terminal.
    """
    if form == "parquet":
        _print_parquet(columns, iter(rows), kinds)
    elif form == "csv":
        _print_csv(columns, rows)
    else:
        _print_jsonl(columns, rows)
    sys.stdout.flush()


def _print_jsonl(columns: tuple[str, ...], rows: Iterable[Row]) -> None:
    encode = msgspec.json.Encoder().encode
    for row in rows:
        line = encode({name: row[name] for name in columns})
        sys.stdout.write(line.decode() + "\n")


def _print_csv(columns: tuple[str, ...], rows: Iterable[Row]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[name]) for name in columns])


def _print_parquet(
    columns: tuple[str, ...], rows: Iterator[Row], kinds: Mapping[str, type]
) -> None:
    from btcbot.catalog.parquet import LibraryMissing, write_table

    if sys.stdout.isatty():
        stop(exits.USAGE, "btcbot: Parquet is binary: send it to a file, as in `> fills.parquet`")
    table = ([_cell(row[name]) for name in columns] for row in rows)
    try:
        write_table(sys.stdout.buffer, {name: kinds.get(name, str) for name in columns}, table)
    except LibraryMissing as error:
        stop(exits.CONFIG, f"btcbot: {error}")


def _cell(value: object) -> object:
    """Return a CSV cell: nothing for null, JSON for what has parts."""
    return msgspec.json.encode(value).decode() if isinstance(value, dict | list) else value
