"""Rows as Parquet and back: the one door to polars, which is loaded when it is first needed.

Prices and quantities are decimal(38, 16), never floats. Every number that the grammar of money lets
through (15 digits before the point, 16 after) fits exactly and needs no scale of its own; a decimal
cannot hold a NaN; unlike text it sorts and prunes by size, and any reader of Parquet knows it. What
is not kept is spelling: 61602.0100 comes back as 61602.01. A frame of a book is one row, its levels
are lists, so a frame with no levels is still a frame.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import IO, Any, Final

from btcbot.catalog.rows import Candle, Channel, Depth, Quote, Row, Ticker, Trade
from btcbot.domain.feed import TextLevel
from btcbot.domain.money import Price, Quantity, text
from btcbot.domain.words import Side

EXTRA: Final = "research"
ROW_GROUP: Final = 20_000
Numbered = tuple[int, Row]
"""The number of a row in its data set, which orders rows of equal time, and the row."""

_OWN: Final = ("seq", "at_ns")
_DECIMALS: Final[dict[Channel, tuple[str, ...]]] = {
    Channel.TRADES: ("price", "quantity"),
    Channel.QUOTES: ("bid", "bid_quantity", "ask", "ask_quantity"),
    Channel.CANDLES: ("open", "high", "low", "close", "volume"),
    Channel.TICKER: ("last", "high", "low", "volume", "quote_volume"),
}
_INTEGERS: Final[dict[Channel, tuple[str, ...]]] = {
    Channel.DEPTH: ("event_ns", "first", "last"),
    Channel.TRADES: ("event_ns", "traded_ns", "trade_id"),
    Channel.QUOTES: ("update_id",),
    Channel.CANDLES: ("open_ns",),
    Channel.TICKER: (),
}
LISTS: Final = ("bid_prices", "bid_quantities", "ask_prices", "ask_quantities")


class LibraryMissing(Exception):
    """Parquet needs a library that is not installed; says which and how to get it."""


def polars() -> ModuleType:
    """Return polars. Raises LibraryMissing."""
    try:
        import polars as pl  # noqa: PLC0415 - 180 MB that the core does without
    except ImportError as error:
        raise LibraryMissing(
            f"Parquet needs the library polars ({error}); install btcbot's extra {EXTRA!r}:"
            f" pip install 'btcbot[{EXTRA}]', or from a clone pip install '.[{EXTRA}]'"
        ) from None
    return pl


def schema(channel: Channel) -> dict[str, Any]:
    """Return the columns of a channel's files with their types."""
    pl = polars()
    found = dict.fromkeys((*_OWN, *_INTEGERS[channel]), pl.Int64)
    if channel is Channel.DEPTH:
        return {**found, "is_snapshot": pl.Boolean, **dict.fromkeys(LISTS, pl.List(_decimal()))}
    if channel is Channel.TRADES:
        found["is_buy"] = pl.Boolean
    return {**found, **dict.fromkeys(_DECIMALS[channel], _decimal())}


def frame_of(channel: Channel, rows: Sequence[Numbered]) -> Any:  # noqa: ANN401 (a DataFrame)
    """Return rows of one channel as a data frame."""
    pl = polars()
    wanted = schema(channel)
    texts = _as_text(channel)
    columns: dict[str, list[Any]] = {name: [] for name in wanted}
    adders = [column.append for column in columns.values()]
    cells = _CELLS[channel]
    for seq, row in rows:
        for add, cell in zip(adders, (seq, row.at_ns, *cells(row)), strict=True):
            add(cell)
    return pl.DataFrame(columns, schema={**wanted, **texts}).cast(wanted)


def joined(frames: Sequence[Any]) -> Any:  # noqa: ANN401
    """Return data frames one after the other, as one."""
    return polars().concat(frames)


def write(path: Path, frame: Any) -> tuple[int, int]:  # noqa: ANN401
    """Put a data frame on the disk, as a whole or not at all; return its first and last time."""
    draft = path.with_suffix(".new")
    with draft.open("wb") as file:
        frame.write_parquet(file, compression="zstd", row_group_size=ROW_GROUP)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return frame["at_ns"][0], frame["at_ns"][-1]


def read(path: Path, channel: Channel) -> Iterator[Numbered]:
    """Yield the rows of a file, in its order. Raises ParquetError: it cannot be read."""
    pl = polars()
    wanted = schema(channel)
    make = _MAKERS[channel]
    batch = _BATCH[channel]
    try:
        lazy = pl.scan_parquet(path)
        if dict(lazy.collect_schema()) != wanted:
            found = ", ".join(f"{name} {kind}" for name, kind in lazy.collect_schema().items())
            raise ParquetError(f"{path}: columns {found[:200]}; these are not of {channel}")
        size = lazy.select(pl.len()).collect().item()
        for offset in range(0, size, batch):
            part = _spelled(lazy.slice(offset, batch).collect(), channel)
            for seq, *cells in part.iter_rows():
                yield seq, make(*cells)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ParquetError(_first_line(path, error)) from None


def write_table(
    target: IO[bytes], kinds: Mapping[str, type], rows: Iterable[Sequence[object]]
) -> None:
    """Write any table: integers, decimals (given as text) and texts; None is null.

    Raises LibraryMissing.
    """
    pl = polars()
    types = {int: pl.Int64, Decimal: _decimal(), str: pl.String}
    given = {int: pl.Int64, Decimal: pl.String, str: pl.String}
    wanted = {name: types[kind] for name, kind in kinds.items()}
    loose = {name: given[kind] for name, kind in kinds.items()}
    frames = [pl.DataFrame(schema=loose)]
    rows = iter(rows)
    while page := list(islice(rows, ROW_GROUP)):
        frames.append(pl.DataFrame(page, schema=loose, orient="row"))
    pl.concat(frames).cast(wanted).write_parquet(target, compression="zstd")


class ParquetError(ValueError):
    """A Parquet file that cannot be read, or is not ours; names the file."""


def columns(path: Path) -> list[str]:
    """Return the names of a file's columns. Raises ParquetError."""
    pl = polars()
    try:
        return list(pl.scan_parquet(path).collect_schema())
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ParquetError(_first_line(path, error)) from None


def slices(path: Path, size: int) -> Iterator[list[tuple[object, ...]]]:
    """Yield the rows of any file, so many at a time. Raises ParquetError."""
    pl = polars()
    try:
        lazy, start = pl.scan_parquet(path), 0
        while rows := lazy.slice(start, size).collect().rows():
            yield rows
            start += len(rows)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ParquetError(_first_line(path, error)) from None


def _first_line(path: Path, error: Exception) -> str:
    return f"{path}: {str(error).partition(chr(10))[0]}"


def count(path: Path) -> int:
    """Return the number of rows a file says it has. Raises ParquetError."""
    pl = polars()
    try:
        found: int = pl.scan_parquet(path).select(pl.len()).collect().item()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ParquetError(_first_line(path, error)) from None
    return found


def _decimal() -> Any:  # noqa: ANN401
    return polars().Decimal(38, 16)


def _as_text(channel: Channel) -> dict[str, Any]:
    """Return what numbers are given as: text, which polars reads twenty times faster."""
    pl = polars()
    if channel is Channel.DEPTH:
        return dict.fromkeys(LISTS, pl.List(pl.String))
    return dict.fromkeys(_DECIMALS[channel], pl.String)


def _spelled(frame: Any, channel: Channel) -> Any:  # noqa: ANN401
    """Return levels as their shortest text: cheaper than a Decimal for each that nobody uses."""
    if channel is not Channel.DEPTH:
        return frame
    pl = polars()
    shortest = pl.element().cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
    shortest = pl.when(shortest == "").then(pl.lit("0")).otherwise(shortest)
    return frame.with_columns(pl.col(LISTS).list.eval(shortest))


# --- rows to cells and back -----------------------------------------------------------------------


def _of_depth(row: Any) -> tuple[Any, ...]:  # noqa: ANN401
    return (
        row.event_ns, row.first, row.last, row.is_snapshot,
        [level.price for level in row.bids], [level.amount for level in row.bids],
        [level.price for level in row.asks], [level.amount for level in row.asks],
    )  # fmt: skip


def _of_trade(row: Any) -> tuple[Any, ...]:  # noqa: ANN401
    return (
        row.event_ns, row.traded_ns, row.trade_id, row.side is Side.BUY,
        text(row.price), text(row.quantity),
    )  # fmt: skip


def _of_quote(row: Any) -> tuple[Any, ...]:  # noqa: ANN401
    figures = (row.bid, row.bid_quantity, row.ask, row.ask_quantity)
    return (row.update_id, *map(_text, figures))


def _of_candle(row: Any) -> tuple[Any, ...]:  # noqa: ANN401
    return (row.open_ns, *map(text, (row.open, row.high, row.low, row.close, row.volume)))


def _of_ticker(row: Any) -> tuple[Any, ...]:  # noqa: ANN401
    return tuple(map(_text, (row.last, row.high, row.low, row.volume, row.quote_volume)))


def _text(value: Decimal | None) -> str | None:
    return None if value is None else text(value)


def _depth(  # noqa: PLR0913, PLR0917 - one argument a column
    at_ns: int,
    event_ns: int | None,
    first: int,
    last: int,
    is_snapshot: bool,  # noqa: FBT001
    bid_prices: list[str],
    bid_quantities: list[str],
    ask_prices: list[str],
    ask_quantities: list[str],
) -> Depth:
    return Depth(
        at_ns=at_ns,
        event_ns=event_ns,
        first=first,
        last=last,
        is_snapshot=is_snapshot,
        bids=tuple(map(TextLevel, bid_prices, bid_quantities)),
        asks=tuple(map(TextLevel, ask_prices, ask_quantities)),
    )


def _trade(  # noqa: PLR0913, PLR0917 - one argument a column
    at_ns: int,
    event_ns: int | None,
    traded_ns: int | None,
    trade_id: int | None,
    is_buy: bool,  # noqa: FBT001
    price: Decimal,
    quantity: Decimal,
) -> Trade:
    return Trade(
        at_ns=at_ns,
        event_ns=event_ns,
        traded_ns=traded_ns,
        trade_id=trade_id,
        side=Side.BUY if is_buy else Side.SELL,
        price=Price(price),
        quantity=Quantity(quantity),
    )


def _quote(at_ns: int, update_id: int | None, *figures: Any) -> Quote:  # noqa: ANN401
    names = _DECIMALS[Channel.QUOTES]
    return Quote(at_ns=at_ns, update_id=update_id, **dict(zip(names, figures, strict=True)))


def _candle(at_ns: int, open_ns: int, *figures: Any) -> Candle:  # noqa: ANN401
    names = _DECIMALS[Channel.CANDLES]
    return Candle(at_ns=at_ns, open_ns=open_ns, **dict(zip(names, figures, strict=True)))


def _ticker(at_ns: int, *figures: Any) -> Ticker:  # noqa: ANN401
    return Ticker(at_ns=at_ns, **dict(zip(_DECIMALS[Channel.TICKER], figures, strict=True)))


_CELLS: Final = {
    Channel.DEPTH: _of_depth,
    Channel.TRADES: _of_trade,
    Channel.QUOTES: _of_quote,
    Channel.CANDLES: _of_candle,
    Channel.TICKER: _of_ticker,
}
_MAKERS: Final[dict[Channel, Any]] = {
    Channel.DEPTH: _depth,
    Channel.TRADES: _trade,
    Channel.QUOTES: _quote,
    Channel.CANDLES: _candle,
    Channel.TICKER: _ticker,
}
_BATCH: Final = {
    Channel.DEPTH: 5_000,
    Channel.TRADES: 50_000,
    Channel.QUOTES: 50_000,
    Channel.CANDLES: 50_000,
    Channel.TICKER: 50_000,
}
