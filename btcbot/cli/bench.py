"""`btcbot bench`: this machine against yardsticks it runs itself; ratios, not milliseconds."""

from pathlib import Path
from typing import Any

import click

from btcbot.cli import exits
from btcbot.cli.common import Options, common, print_table, stop

GOALS = ("G1", "G4", "G6", "G8", "G8c", "G16", "submit-p50", "submit-p99")


@click.command("bench")
@click.option("--pairs", default=5, show_default=True, type=click.IntRange(1, 99), help="Of runs.")
@click.option("--goal", "goals", multiple=True, type=click.Choice(GOALS), help="Only these.")
@click.option(
    "--nautilus-python",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An interpreter with NautilusTrader, to be G8's yardstick.",
)
@common
def command(
    options: Options, *, pairs: int, goals: tuple[str, ...], nautilus_python: Path | None
) -> None:
    """Measure in interleaved pairs, on this folder's disk; exit 7 when a goal is missed."""
    from btcbot.bench import frames, submits
    from btcbot.bench import goals as bench
    from btcbot.bench.pairs import BenchError

    runs: dict[str, Any] = {
        "G1": lambda: bench.tick_to_order(pairs),
        "G4": lambda: bench.durable_commits(pairs),
        "G6": lambda: bench.tick_to_commit(pairs),
        "G8": lambda: bench.backtest_quotes(pairs, nautilus_python, has_codec=False),
        "G8c": lambda: bench.backtest_quotes(pairs, nautilus_python, has_codec=True),
        "G16": lambda: frames.book_frame(pairs),
        "submit-p50": lambda: submits.submit(pairs, 0.5, 3.0),
        "submit-p99": lambda: submits.submit(pairs, 0.99, 5.0),
    }
    figures = []
    options.leave_logs_out()
    for name in goals or GOALS:
        options.note(f"btcbot: measuring {name}")
        try:
            figures.append(runs[name]())
        except BenchError as error:
            stop(exits.ERROR, f"btcbot: {name} could not be measured: {error}")
    found = [
        {
            "goal": f.name,
            "what": f.what,
            "ratio": round(f.ratio, 3),
            "limit": None if f.limit is None else f"{'>=' if f.is_floor else '<='} {f.limit}",
            "met": f.is_met,
            "ours": round(f.ours, 1),
            "yardstick": round(f.yardstick, 1),
            "unit": f.unit,
            "ratios": [round(ratio, 3) for ratio in f.ratios],
        }
        for f in figures
    ]
    columns = ("goal", "what", "ratio", "limit", "met", "ours", "yardstick", "unit")
    rows = [[row[name] for name in columns] for row in found]
    options.show({"figures": found}, lambda: print_table(options, columns, rows))
    if not all(f.is_met for f in figures):
        stop(exits.PROBLEM, "btcbot: a goal is missed")
