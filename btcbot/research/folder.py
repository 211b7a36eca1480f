"""Reads the folder of a backtest back: complete, strictly, and only what it says it is.

A folder without a summary is not complete. What cannot be read, or is not what the summary says,
is an error that names the file and the row: nothing is shown of a run that does not add up.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from btcbot.domain.money import MoneyError, parse
from btcbot.research.lines import BACKTEST, Bar, EquityLine, FillLine, OrderLine, Run

SUMMARY: Final = "summary.json"
NEEDED: Final = (
    "run",
    "pair",
    "balances",
    "balances_first",
    "started_ns",
    "ended_ns",
    "fingerprint",
)
T = TypeVar("T")


class RunError(Exception):
    """A run that cannot be read, or does not add up; names the file, what was found, what to do."""


def order_of(row: Any) -> OrderLine:  # noqa: ANN401 - whatever the file holds
    return msgspec.convert(row, OrderLine)


def fill_of(row: Any) -> FillLine:  # noqa: ANN401
    return msgspec.convert(row, FillLine)


def read(folder: Path) -> Run:
    """Return the run in `folder`. Raises RunError; FileNotFoundError when it holds no run."""
    if not (folder / SUMMARY).is_file():
        raise FileNotFoundError(f"{folder} holds no complete run: it has no {SUMMARY}")
    summary = _summary(folder / SUMMARY)
    return run_of(
        summary,
        _lines(folder / "orders.jsonl", order_of),
        _lines(folder / "fills.jsonl", fill_of),
        _table(folder / "equity.csv", _equity),
        _table(folder / "candles.csv", _bar),
    )


def run_of(
    summary: Mapping[str, Any],
    orders: Iterable[OrderLine],
    fills: Iterable[FillLine],
    equity: Iterable[EquityLine],
    bars: Iterable[Bar] = (),
) -> Run:
    """Return a backtest's run of its parts."""
    return Run(
        kind=BACKTEST,
        identity=summary,
        started_ns=summary["started_ns"],
        ended_ns=summary["ended_ns"],
        orders=tuple(orders),
        fills=tuple(fills),
        refusals=summary["refusals"],
        equity=tuple(equity),
        balances_first=_amounts(summary["balances_first"]),
        balances_last=_amounts(summary["balances"]),
        bars=tuple(bars),
    )


def _summary(path: Path) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise RunError(f"{path}: {error}") from error
    missing = [name for name in NEEDED if name not in found]
    if missing:
        said = f"{path}: {', '.join(missing)} is missing: an older btcbot wrote it"
        raise RunError(f"{said}; run the backtest again")
    return found


def _amounts(given: Mapping[str, Any]) -> dict[str, Decimal]:
    return {asset: parse(str(amount)) for asset, amount in given.items()}


def _lines(path: Path, make: Callable[[Any], T]) -> Iterator[T]:
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            try:
                yield make(msgspec.json.decode(line))
            except (ValueError, ArithmeticError, msgspec.MsgspecError) as error:
                raise RunError(f"{path}: row {number}: {error}") from error


def _table(path: Path, make: Callable[[dict[str, str]], T]) -> Iterator[T]:
    with _open(path) as file:
        for number, row in enumerate(csv.DictReader(file), 2):
            try:
                yield make(row)
            except (KeyError, TypeError, ValueError, MoneyError) as error:
                raise RunError(f"{path}: row {number}: {error!r}") from error


def _open(path: Path) -> Any:  # noqa: ANN401 - a text file
    try:
        return path.open(encoding="utf-8", newline="")
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing; run the backtest again") from error


def _equity(row: dict[str, str]) -> EquityLine:
    equity = row["equity_try"]
    return EquityLine(
        at_ns=int(row["at_ns"]),
        equity=parse(equity) if equity else None,
        drawdown=parse(row["drawdown_try"]),
    )


def _bar(row: dict[str, str]) -> Bar:
    return Bar(
        pair=row["pair"],
        open_ns=int(row["open_ns"]),
        open=parse(row["open"]),
        high=parse(row["high"]),
        low=parse(row["low"]),
        close=parse(row["close"]),
    )
