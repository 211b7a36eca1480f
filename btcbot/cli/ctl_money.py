"""`btcbot-ctl positions|balances|pnl`: what is held, and what it earned."""

from typing import Final

import click

from btcbot.cli import exits
from btcbot.cli.common import Options, common, print_table, stop
from btcbot.cli.ctl_link import Json, account_age, aged, history, status_of

FEED_STALE_S: Final = 5.0
POSITION_COLUMNS: Final = (
    "pair", "quantity", "average_cost", "mark", "unrealized_pnl", "realized_pnl",
)  # fmt: skip


@click.command()
@common
def positions(options: Options) -> None:
    """Show what our own fills hold of each pair, at average cost, fees included.

    Prices and profits are in the pair's quote asset.
    """
    found = status_of(options)
    shown = {"positions": found["positions"], "age_s": found["account_age_s"]}
    options.show(shown, lambda: print_positions(options, found))


def print_positions(options: Options, found: Json) -> None:
    """Print the positions; a price is as old as its feed."""
    ages = {feed["pair"]: feed["age_s"] for feed in found["feeds"]}
    rows = [
        (
            *(row[name] for name in POSITION_COLUMNS),
            aged(ages.get(row["pair"]), FEED_STALE_S) + account_age(found),
        )
        for row in found["positions"]
    ]
    print_table(options, (*POSITION_COLUMNS, "price age s"), rows)


@click.command()
@common
def balances(options: Options) -> None:
    """Show what the account holds: the exchange's word, and fills that are newer than it."""
    found = status_of(options)
    columns = ("asset", "total", "free")
    rows = [tuple(row[name] for name in columns) for row in found["balances"]]
    shown = {"balances": found["balances"], "age_s": found["account_age_s"]}

    def table() -> None:
        print_table(options, columns, rows)
        if stale := account_age(found):
            click.echo(stale.strip())

    options.show(shown, table)


@click.command()
@click.option("--day", default="", metavar="2026-11-24", help="A past trading day (Istanbul).")
@common
def pnl(options: Options, *, day: str) -> None:
    """Show the profit and loss of a trading day.

    Today is in TRY at the latest prices. A past day is booked again from its fills, one row for
    each quote asset, in that asset. Realized is net of fees. Exit 4: the day had no fills.
    """
    if not day:
        found = status_of(options)
        today = found["pnl_day"] | {"age_s": found["account_age_s"]}
        columns = tuple(name for name in today if name != "age_s")
        row = [tuple(today[name] for name in columns)]

        def table() -> None:
            print_table(options, columns, row)
            if stale := account_age(found):
                click.echo(stale.strip())

        options.show(today, table)
        return
    rows = _past_day(options, day)
    columns = tuple(rows[0])
    values = [tuple(row.values()) for row in rows]
    ended = next((row for row in history(options).days() if row["day"] == day), None)
    shown = {"day": day, "sums": rows, "ended": ended}

    def past() -> None:
        print_table(options, columns, values)
        if ended is not None:
            click.echo(f"the day ended at {ended['equity'] or 'an unknown equity'} TRY")

    options.show(shown, past)


def _past_day(options: Options, day: str) -> list[Json]:
    from datetime import date

    from btcbot.cli.pnl_days import pnl_of_day

    try:
        date.fromisoformat(day)
    except ValueError:
        stop(exits.USAGE, f"btcbot: --day {day!r}: expected a date, such as 2026-11-24")
    rows = pnl_of_day(history(options).fills(), day)
    if not rows:
        stop(exits.NOT_FOUND, f"btcbot: no fills of ours on {day}")
    return rows
