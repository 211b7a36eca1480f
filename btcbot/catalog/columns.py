"""Foreign Parquet, read as the csv it would be; and parts of our own data sets.

Columns are those of the csv forms, or the names that public tick files have: a time in ms as
`timestamp`, `quantity`, `buyer_maker`, `bid_size`, `ask_size`. Floats are read as their shortest
text, cut to 16 decimals: nothing is computed with one. Read in slices: a file may be larger than
memory.
"""

from collections.abc import Generator, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from btcbot.catalog.figures import MILLISECOND_NS, moment_ns, unfloated
from btcbot.catalog.parquet import columns, read, schema, slices
from btcbot.catalog.place import Place
from btcbot.catalog.rows import Channel, Row

SLICE: Final = 50_000
RENAMED: Final = {
    "timestamp": "recv_ns", "quantity": "qty", "buyer_maker": "taker_side",
    "bid_size": "bid_qty", "ask_size": "ask_qty",
}  # fmt: skip
TAKERS: Final = {"true": "sell", "false": "buy"}  # Of `buyer_maker`: the other side took.


def own_channel(path: Path) -> Channel | None:
    """Return the channel of a part of a data set; None for any other file. Raises ParquetError."""
    found = columns(path)
    return next((channel for channel in Channel if found == list(schema(channel))), None)


def own_rows(path: Path, place: Place) -> Iterator[Row]:
    """Yield the rows of a part of a data set. Raises ParquetError."""
    channel = own_channel(path)
    assert channel is not None, f"no part of a data set: {path}"
    for place.row, (_, row) in enumerate(read(path, channel), 1):
        yield row


def lines(path: Path) -> Generator[str, None, None]:
    """Yield a header and a row of csv for each row. Raises ParquetError."""
    found = columns(path)
    names = _names(found)
    yield ",".join(names)
    for rows in slices(path, SLICE):
        for row in rows:
            yield ",".join(map(_text, found, names, row))


def _names(found: Sequence[str]) -> list[str]:
    """Return the columns by the names of the csv forms; candles keep theirs."""
    if "open" in found or "recv_ns" in found:
        return list(found)
    return [RENAMED.get(name, name) for name in found]


def _text(column: str, name: str, value: object) -> str:
    """Return a cell as the csv form has it: plain decimals, and `recv_ns` in ns."""
    if column == "buyer_maker":
        return TAKERS.get(str(value).lower(), str(value))
    if isinstance(value, datetime):
        moment = value.isoformat(sep=" ")
        return str(moment_ns(moment)) if name == "recv_ns" else moment
    if column != name == "recv_ns" and isinstance(value, int):
        return str(value * MILLISECOND_NS)
    if isinstance(value, float):
        return unfloated(format(Decimal(repr(value)), "f"))
    return format(value, "f") if isinstance(value, Decimal) else str("" if value is None else value)
