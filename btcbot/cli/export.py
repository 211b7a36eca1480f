"""`btcbot export`: what the database holds, one row a line."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import click

from btcbot.cli import exits
from btcbot.cli.common import Options, common, stop
from btcbot.cli.rows import FORMS, Row, print_rows
from btcbot.cli.times import moment_ns

# Public: additions go to the end, nothing is renamed. A file without rows still has its header.
COLUMNS: Final = {
    "fills": (
        "trade_id", "order_id", "client_order_id", "intent_id", "pair", "side", "quantity",
        "price", "fee", "tax", "fee_asset", "ts_ns", "liquidity",
    ),
    "orders": (
        "client_order_id", "order_id", "intent_id", "strategy", "pair", "side", "method",
        "quantity", "limit_price", "state", "filled", "average_price", "reason", "created_ns",
        "closed_ns",
    ),
    "intents": (
        "intent_id", "strategy", "slot", "pair", "side", "quantity", "limit_price", "reason",
        "verdict", "rule", "detail", "client_order_id", "decided_ns", "judged_ns",
    ),
    "decisions": (
        "decision", "trigger", "quote", "inputs", "lines", "deploy", "spent", "policy", "unsaid",
        "left_out", "at_ns",
    ),
    "adaptations": (
        "adaptation", "seat", "number", "outcome", "from_version", "to_version", "changes",
        "reasons", "values", "window", "base", "at_ns",
    ),
    "equity": ("at_ns", "day", "equity", "realized", "unrealized", "fees", "turnover", "fills",
               "drawdown"),
    "days": ("day", "at_ns", "equity", "realized", "unrealized", "fees", "turnover", "fills",
             "drawdown"),
    "events": ("seq", "epoch", "kind", "at_ns", "fact"),
}  # fmt: skip
INTEGERS: Final = frozenset(
    {
        "number",
        "from_version",
        "to_version",
        "unsaid",
        "left_out",
        "trade_id",
        "order_id",
        "ts_ns",
        "created_ns",
        "closed_ns",
        "decided_ns",
        "judged_ns",
    }
    | {"seq", "epoch", "at_ns", "fills"}
)
AMOUNTS: Final = frozenset(
    {"quantity", "price", "fee", "tax", "limit_price", "filled", "average_price"}
    | {"deploy", "spent", "equity", "realized", "unrealized", "fees", "turnover", "drawdown"}
)


@click.command("export")
@click.argument("what", type=click.Choice(tuple(COLUMNS)))
@click.option("--since", default="", metavar="TIME", help="UTC: 2026-11-24 or 2026-11-24T18:00:00.")
@click.option("--until", default="", metavar="TIME", help="UTC; not included.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMS),
    default="jsonl",
    show_default=True,
    help="parquet needs the extra research.",
)
@common
def command(options: Options, *, what: str, since: str, until: str, form: str) -> None:
    """Print fills, orders, intents with their verdicts, decisions, or the whole log of events.

    adaptations: each look of a strategy at its own parameters, the versions and why.
    equity: where the account stood every five minutes, in TRY; days: how each day (Istanbul) ended.

    Amounts are strings of exact decimals, ids are integers, times are UTC nanoseconds. Fills are
    chosen by when they happened, all else by when it was written. Works without a running fleet;
    exit 4: there is no database yet.

    Parquet needs the extra `research` (exit 78 without) and a pipe or a file for stdout; amounts in
    it are decimals, not text.
    """
    from btcbot.store.database import StoreError
    from btcbot.store.queries import FOREVER, History

    start = moment_ns("--since", since) if since else 0
    end = moment_ns("--until", until) if until else FOREVER
    try:
        rows = _rows(History(options.load().config.database), what, start, end)
    except StoreError as error:
        stop(exits.NOT_FOUND, f"btcbot: {error}")
    integers, amounts = dict.fromkeys(INTEGERS, int), dict.fromkeys(AMOUNTS, Decimal)
    print_rows(form, COLUMNS[what], rows, {**integers, **amounts})


def _rows(history: Any, what: str, start: int, end: int) -> Iterator[Row]:  # noqa: ANN401
    choose = {
        "fills": history.fills,
        "orders": history.orders,
        "intents": history.intents,
        "decisions": history.decisions,
        "adaptations": history.adaptations,
        "equity": history.equity,
        "days": history.days,
        "events": history.events,
    }
    found: Iterator[Row] = choose[what](start, end)
    return found
