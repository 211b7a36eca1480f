"""`btcbot export`: what the database holds, one row a line."""

import csv
import sys
from datetime import UTC, datetime

import click
import msgspec

from btcbot.cli import exits
from btcbot.cli.common import Options, common, stop

WHAT = ("fills", "orders", "intents", "events")


@click.command("export")
@click.argument("what", type=click.Choice(WHAT))
@click.option("--since", default="", help="UTC: 2026-11-24 or 2026-11-24T18:00:00.")
@click.option("--until", default="", help="UTC; not included.")
@click.option(
    "--format", "form", type=click.Choice(("jsonl", "csv")), default="jsonl", show_default=True
)
@common
def command(options: Options, *, what: str, since: str, until: str, form: str) -> None:
    """Print fills, orders, intents with their verdicts, or the whole log of events.

    Amounts are strings of exact decimals, ids are integers, times are UTC nanoseconds.
    """
    from btcbot.store.database import StoreError
    from btcbot.store.queries import FOREVER, History

    start = _ns("--since", since) if since else 0
    end = _ns("--until", until) - 1 if until else FOREVER
    try:
        history = History.of(options.load().config.database)
    except StoreError as error:
        stop(exits.NOT_FOUND, f"btcbot: {error}")
    rows = getattr(history, what)(start, end)
    if form == "jsonl":
        for row in rows:
            sys.stdout.write(msgspec.json.encode(row).decode() + "\n")
        return
    writer: csv.DictWriter[str] | None = None
    for row in rows:
        flat = _event(row) if what == "events" else row
        if writer is None:
            writer = csv.DictWriter(sys.stdout, list(flat))
            writer.writeheader()
        writer.writerow(flat)


def _event(row: dict[str, object]) -> dict[str, object]:
    """Return an event for CSV: its own fields differ by kind, so they stand as JSON in one."""
    fixed = {name: row[name] for name in ("seq", "epoch", "kind", "at_ns")}
    rest = {name: value for name, value in row.items() if name not in fixed}
    return {**fixed, "fact": msgspec.json.encode(rest).decode()}


def _ns(flag: str, given: str) -> int:
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        stop(exits.USAGE, f"btcbot: {flag} {given!r}: expected UTC, 2026-11-24[T18:00:00]")
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return round(at.timestamp()) * 1_000_000_000
