"""Finds the run that a person names: a backtest's folder or number, or a home's database."""

from pathlib import Path

from btcbot.research import folder, period
from btcbot.research.lines import Run

DATABASE = "btcbot.db"


def open_run(named: str, home: Path, span_ns: tuple[int, int] | None = None) -> Run:
    """Return the run called `named`: a folder or a database, or a backtest's number in `home`.

    `span_ns` chooses the part of a database. Raises FileNotFoundError; RunError: it cannot be read.
    """
    path = Path(named)
    tried = (path, home / "backtests" / named)
    for place in tried:
        if (place / folder.SUMMARY).is_file():
            if span_ns is not None:
                raise folder.RunError(f"{place} is a backtest: it is read whole")
            return folder.read(place)
    for place in (path, path / DATABASE):
        if place.is_file():
            return period.read(place, span_ns)
    looked = ", ".join(str(place) for place in tried)
    raise FileNotFoundError(f"no run {named!r}: no {folder.SUMMARY} and no {DATABASE} in {looked}")
