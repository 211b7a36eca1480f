"""`btcbot parity`: where two runs part."""

from typing import TYPE_CHECKING, Any

import click

from btcbot.cli import exits
from btcbot.cli.common import Options, common, print_table, stop

if TYPE_CHECKING:
    from pathlib import Path

    from btcbot.research.fingerprint import Difference
    from btcbot.research.lines import Run

COLUMNS = ("section", "row", "at_ns", "name", "field", "a", "b")


@click.command("parity")
@click.argument("a", metavar="A|DAY")
@click.argument("b", required=False)
@common
def command(options: Options, *, a: str, b: str | None) -> None:
    """Compare two runs, or a day of this home with a backtest of it.

    A and B are folders of backtests, their numbers under HOME/backtests, or a home's database.
    Every order, fill and balance and the whole equity curve are compared. Exit 0: they did the
    same. Exit 7: they did not, and where each section parts first is shown, the earliest first.

    DAY is a UTC day of HOME's own database, such as 2026-11-24. The market that its journal heard
    is played to the configured strategies, and what the day brought more or less than that backtest
    is told order by order, by cause, in TRY and in bps of what was traded. Every inbox of the day
    is replayed too. Exit 7: the day does not add up, its market is not whole, the replay differs.

    Exit 4: there is no such run or day.
    """
    from btcbot.research import fingerprint

    if b is None:
        from btcbot.cli.parity_day import compare

        compare(options, a)
        return
    home = options.load().config.home
    runs = [opened(named, home) for named in (a, b)]
    prints = [fingerprint.of(run).whole for run in runs]
    found = fingerprint.differences(*runs)
    shown = {"a": prints[0], "b": prints[1], "same": not found, "differences": found}
    options.show(shown, lambda: _print(options, prints, found))
    if found:
        stop(exits.PROBLEM, f"btcbot: the runs part: {_sentence(found[0])}")


def opened(named: str, home: "Path", span_ns: tuple[int, int] | None = None) -> "Run":
    """Return the run that is called `named`; ends the command: 4 without one, 7 unreadable."""
    from btcbot.research.folder import RunError
    from btcbot.research.read import open_run

    try:
        return open_run(named, home, span_ns)
    except FileNotFoundError as error:
        stop(exits.NOT_FOUND, f"btcbot: {error}")
    except RunError as error:
        stop(exits.PROBLEM, f"btcbot: {error}")


def _print(options: Options, prints: list[str], found: "list[Difference]") -> None:
    print_table(options, ("run", "fingerprint"), list(zip("AB", prints, strict=True)))
    if found:
        print_table(options, COLUMNS, [[_cell(getattr(one, c)) for c in COLUMNS] for one in found])


def _cell(value: Any) -> Any:  # noqa: ANN401 - whatever differs
    if isinstance(value, dict):
        return " ".join(f"{name}={part}" for name, part in value.items() if part is not None)
    return "none" if value is None else value


def _sentence(one: "Difference") -> str:
    where = f"{one.section} row {one.row} ({one.name})"
    if not one.field:
        return f"{where} is in {'B' if one.a is None else 'A'} alone"
    return f"{where}: {one.field} is {one.a} in A and {one.b} in B"
