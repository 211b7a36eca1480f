"""Parquet recordings, read as the csv they would be; only where polars is installed.

Columns are those of the csv forms, or the names that public tick files have: a time in ms as
`timestamp`, `quantity`, `buyer_maker`, `bid_size`, `ask_size`. Read in slices: a file may be larger
than memory.
"""

from collections.abc import Generator, Sequence
from datetime import datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from btcbot.simulation.figures import moment_ns, unfloated

SLICE: Final = 50_000
RENAMED: Final = {
    "timestamp": "recv_ns", "quantity": "qty", "buyer_maker": "taker_side",
    "bid_size": "bid_qty", "ask_size": "ask_qty",
}  # fmt: skip
TAKERS: Final = {"true": "sell", "false": "buy"}  # Of `buyer_maker`: the other side took.
INSTALL: Final = "parquet needs polars: pip install 'btcbot[research]', or convert the file to csv"


def lines(path: Path) -> Generator[str, None, None]:
    """Yield a header and a row of csv for each row. Raises ValueError for what is no such file."""
    try:
        polars: Any = import_module("polars")
    except ImportError:
        raise ValueError(INSTALL) from None
    try:
        lazy = polars.scan_parquet(path)
        columns = lazy.collect_schema().names()
        names = _names(columns)
        yield ",".join(names)
        start = 0
        while rows := lazy.slice(start, SLICE).collect().rows():
            for row in rows:
                yield ",".join(map(_text, columns, names, row))
            start += len(rows)
    except polars.exceptions.PolarsError as error:
        raise ValueError(str(error).partition("\n")[0]) from None


def _names(columns: Sequence[str]) -> list[str]:
    """Return the columns by the names of the csv forms; candles keep theirs."""
    if "open" in columns or "recv_ns" in columns:
        return list(columns)
    return [RENAMED.get(name, name) for name in columns]


def _text(column: str, name: str, value: object) -> str:
    """Return a cell as the csv form has it: plain decimals, and `recv_ns` in ns."""
    if column == "buyer_maker":
        return TAKERS.get(str(value).lower(), str(value))
    if isinstance(value, datetime):
        moment = value.isoformat(sep=" ")
        return str(moment_ns(moment)) if name == "recv_ns" else moment
    if column != name == "recv_ns" and isinstance(value, int):
        return str(value * 1_000_000)
    if isinstance(value, float):
        return unfloated(format(Decimal(repr(value)), "f"))
    return format(value, "f") if isinstance(value, Decimal) else str("" if value is None else value)
