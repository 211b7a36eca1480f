"""Where a backtest leaves its results: complete, or without a summary.json.

Every file is written beside its name and moved into place; the summary goes first and comes last.
A folder that has one holds the whole of one run.
"""

import csv
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from btcbot.cli import exits
from btcbot.cli.common import stop
from btcbot.config import Config
from btcbot.domain.ids import Pair
from btcbot.domain.money import text

if TYPE_CHECKING:
    from btcbot.backtest import Point, Result
    from btcbot.research.lines import Run
    from btcbot.simulation.minutes import Minute

SUMMARY = "summary.json"
ADAPTATIONS = "adaptations.jsonl"  # Only of a run with a strategy that changes itself.


def prepare(given: Path | None, config: Config, run: str) -> Path:
    """Return the folder of a run, made before hours are spent on it; ends the command if it cannot.

    Without one given it is HOME/backtests/RUN: the same input, the same folder, the same bytes.
    """
    folder = given or config.home / "backtests" / run
    try:
        if given is None:
            config.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        _put(folder / ".probe", b"")
        (folder / ".probe").unlink()
    except OSError as error:
        stop(exits.CONFIG, f"btcbot: cannot write results to {folder}: {error}; name another --out")
    return folder


def write(folder: Path, result: "Result", summary: dict[str, Any]) -> None:
    """Write everything, the summary last; ends the command when the disk does not take it."""
    try:
        for name in (SUMMARY, ADAPTATIONS):
            (folder / name).unlink(missing_ok=True)
        _put(folder / "orders.jsonl", _lines(result.orders))
        _put(folder / "fills.jsonl", _lines(result.fills))
        _put(folder / "equity.csv", _table(result.equity))
        _put(folder / "candles.csv", _candles(result.minutes))
        if result.adaptations:
            _put(folder / ADAPTATIONS, _lines(result.adaptations))
        _put(folder / SUMMARY, msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")
    except OSError as error:
        stop(exits.ERROR, f"btcbot: the results in {folder} are not complete: {error}")


def run_of(result: "Result", summary: dict[str, Any]) -> "Run":
    """Return a run as it is about to be written: what reading it gives again."""
    from btcbot.research import folder as files
    from btcbot.research.lines import EquityLine

    return files.run_of(
        summary,
        map(files.order_of, result.orders),
        map(files.fill_of, result.fills),
        (EquityLine(at_ns=p.at_ns, equity=p.equity, drawdown=p.drawdown) for p in result.equity),
    )


def _put(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _lines(rows: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def _candles(minutes: "Mapping[Pair, Iterable[Minute]]") -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("pair", "open_ns", "open", "high", "low", "close"))
    for pair, rows in minutes.items():
        for row in rows:
            prices = map(text, (row.open, row.high, row.low, row.close))
            writer.writerow((pair, row.open_ns, *prices))
    return out.getvalue().encode()


def _table(points: "Iterable[Point]") -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("at_ns", "equity_try", "drawdown_try"))
    for point in points:
        equity = "" if point.equity is None else text(point.equity)
        writer.writerow((point.at_ns, equity, text(point.drawdown)))
    return out.getvalue().encode()
