"""`btcbot report`: what a run tells, as a page, as tables and as JSON."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from btcbot.cli import exits
from btcbot.cli.common import Options, common, print_table, stop
from btcbot.cli.parity import opened
from btcbot.cli.times import timerange_span

if TYPE_CHECKING:
    from btcbot.research.lines import Run

PAGE = "report.html"
LATENCY = ("leg", "orders", "median_ms", "p90_ms", "longest_ms")
DAYS = ("day", "asset", "fills", "turnover", "fees", "realized")


@click.command("report")
@click.argument("run")
@click.option("--html", "is_html", is_flag=True, help="Print the page instead of writing a file.")
@click.option("--csv", "is_csv", is_flag=True, help="Print the days as CSV.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the page goes; default: report.html beside the run.",
)
@click.option("--timerange", default="", metavar="20260101-20260301", help="Of a database: days.")
@common
def command(
    options: Options, *, run: str, is_html: bool, is_csv: bool, out: Path | None, timerange: str
) -> None:
    """Write a run's page, report.html, and print its figures.

    RUN is a backtest's folder, its number under HOME/backtests, or a home's database. The page is
    one file that asks no other host for anything. With --json or --csv nothing is written.

    Exit 7: the run does not add up, and how; nothing is shown of it. Exit 4: there is no such run.
    """
    from btcbot.research.checks import problems
    from btcbot.research.figures import figures
    from btcbot.research.page import page

    if is_html + is_csv + options.is_json > 1:
        stop(exits.USAGE, "btcbot: --html, --csv and --json: choose one")
    home = options.load().config.home
    found = opened(run, home, timerange_span(timerange))
    if wrong := problems(found):
        lines = "\n".join(f"btcbot: {problem}" for problem in wrong)
        stop(exits.PROBLEM, f"{lines}\nbtcbot: {run} does not add up: nothing is shown of it")
    if is_html:
        click.echo(page(found), nl=False)
        return
    shown = figures(found)
    if is_csv:
        click.echo(_csv(shown["days"]), nl=False)
    elif options.is_json:
        options.show(shown, lambda: None)
    else:
        _write(options, out or _place(run, home), found)
        _print(options, shown)


def _place(run: str, home: Path) -> Path:
    """Return where the page of a run goes: into its folder, beside its database."""
    for place in (Path(run), home / "backtests" / run):
        if place.is_dir():
            return place / PAGE
    return Path(run).parent / PAGE


def _write(options: Options, path: Path, run: "Run") -> None:
    from btcbot.research.page import page

    try:
        path.write_text(page(run), encoding="utf-8")
    except OSError as error:
        stop(exits.CONFIG, f"btcbot: cannot write {path}: {error}; name another --out")
    options.note(f"btcbot: the page is {path}")


def _csv(days: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(DAYS)
    writer.writerows([row[name] for name in DAYS] for row in days)
    return out.getvalue()


def _print(options: Options, found: dict[str, Any]) -> None:
    rows: list[tuple[str, object]] = [("kind", found["kind"])]
    for part in ("identity", "equity", "trading", "orders", "quality", "refusals"):
        rows += [
            (f"{part}: {name if part == 'refusals' else name.replace('_', ' ')}", _cell(value))
            for name, value in found[part].items()
            if not isinstance(value, list)
        ]
    rows.append(("fingerprint", found["fingerprint"]))
    print_table(options, ("", ""), rows)
    for columns, table in ((LATENCY, found["latency"]), (DAYS, found["days"])):
        print_table(options, columns, [[row[name] for name in columns] for row in table])


def _cell(value: Any) -> object:  # noqa: ANN401 - a figure
    if isinstance(value, dict):
        known = (f"{name}={part}" for name, part in value.items() if part is not None)
        return " ".join(known) or "none"
    return value
