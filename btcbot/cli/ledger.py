"""`btcbot ledger`: the books for their owner and an accountant: balances, differences, tax."""

from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from btcbot.cli import exits
from btcbot.cli.common import Options, common, print_table, stop
from btcbot.cli.ledger_books import Books, read, ungrouped
from btcbot.cli.rows import print_rows
from btcbot.cli.times import utc
from btcbot.domain.money import text
from btcbot.ledger import lots, statement, tax
from btcbot.ledger.pnl import day_of

COLUMNS: Final = ("seq", "at_ns", "utc", "kind", "account", "asset", "amount", "trade_id",
                  "order_id", "note")  # fmt: skip
KINDS: Final = {
    **dict.fromkeys(("seq", "at_ns", "trade_id", "order_id"), int), "amount": Decimal,
}  # fmt: skip
SALES: Final = ("day", "pair", "quantity", "opened", "cost", "proceeds", "charges", "realized",
                "asset", "realized_try", "trade_id")  # fmt: skip
EXPLAIN: Final = (
    "a deposit, a withdrawal or a transfer: say so with `btcbot-ctl resume --reason TEXT`, and the"
    " books follow; anything else: `btcbot export events`, and ask before trading on"
)
METHODS: Final = click.Choice([method.value for method in lots.Method])


@click.group("ledger")
def command() -> None:
    """Show the books: balances, differences, lots, profit, and what a tax report needs."""


def _method(function: Any) -> Any:  # noqa: ANN401 - click's decorators
    return click.option(
        "--method", type=METHODS, default=lots.Method.FIFO.value, show_default=True,
        help="Which lots a sale takes: the oldest, or a part of all.",
    )(function)  # fmt: skip


@command.command()
@common
def balance(options: Options) -> None:
    """Show every account of the ledger: asset, trading, fee, tax, external, each by asset.

    The lines of each asset sum to zero. Exit 7: they do not, and what is wrong.
    """
    books = _books(options, "")
    totals = sorted(books.statement.totals.items())
    rows = [(asset, account, text(amount)) for (asset, account), amount in totals if amount]
    found = [dict(zip(("asset", "account", "amount"), row, strict=True)) for row in rows]
    options.show(found, lambda: print_table(options, ("asset", "account", "amount"), rows))


@command.command()
@common
def reconcile(options: Options) -> None:
    """Hold the ledger against the exchange's last word, to the last unit.

    Each asset: ours, the exchange's, what fills moved that its word is older than, and what nobody
    has explained; what people explained before is listed. Exit 7: something is unexplained, and
    what to do.
    """
    books = _books(options, "")
    kept = books.statement
    rows = statement.reconciled(kept)
    wrong = [row for row in rows if row.beyond]
    found = {
        "assets": [
            {"asset": row.asset, "ledger": text(row.ledger), "exchange": text(row.exchange),
             "newer": text(row.newer), "unexplained": text(row.beyond)}
            for row in rows
        ],
        "unexplained": len(wrong),
        "stated_utc": utc(kept.stated_ns) if kept.stated_ns else None,
        "fills": kept.fills,
        "fills_of_a_person": kept.persons_fills,
        "explained": [
            {"utc": utc(at_ns), "by": by, "reason": reason,
             "amounts": {asset: text(amount) for asset, amount in sums.items()}}
            for at_ns, by, reason, sums in kept.explained
        ],
    }  # fmt: skip
    options.show(found, lambda: _print_reconciled(options, found))
    if not kept.stated_ns:
        stop(exits.PROBLEM, "btcbot: the exchange has not stated any balance yet")
    if wrong:
        later = " a fill is newer than that: look again in a minute, or" if kept.newer else ""
        stop(exits.PROBLEM, f"btcbot: {len(wrong)} assets differ:{later} {EXPLAIN}")


def _print_reconciled(options: Options, found: dict[str, Any]) -> None:
    names = ("asset", "ledger", "exchange", "newer", "unexplained")
    print_table(options, names, [tuple(row.values()) for row in found["assets"]])
    people = found["fills_of_a_person"]
    click.echo(f"\n{found['fills']} fills, {people} of a person; stated {found['stated_utc']}")
    for row in found["explained"]:
        amounts = ", ".join(f"{amount} {asset}" for asset, amount in row["amounts"].items())
        click.echo(f"explained {row['utc']} by {row['by']}: {amounts}: {row['reason']}")


@command.command("export")
@click.option("--format", "form", default="jsonl", show_default=True,
              type=click.Choice(("jsonl", "csv", "parquet", "accountant")),
              help="accountant: one line a sale. parquet needs the extra research.")  # fmt: skip
@_method
@common
def export_(options: Options, *, form: str, method: str) -> None:
    """Print every line of the ledger, oldest first; or, for an accountant, every sale.

    Exit 7, and nothing is printed: the books do not add up.
    """
    books = _books(options, method)
    if form == "accountant":
        sales = tax.sales_of(books.closings, tax.Rates())
        print_rows("csv", SALES, map(_sale, sales), {})
        return
    print_rows(form, COLUMNS, map(_line, books.lines), KINDS)


@command.command()
@click.option("--by", type=click.Choice(("pair", "strategy", "day", "lot")), default="pair",
              show_default=True, help="day: of Istanbul. lot: each closing.")  # fmt: skip
@_method
@common
def pnl(options: Options, *, by: str, method: str) -> None:
    """Show what sales realized, net of all charges, in the quote asset.

    By strategy, what passes between two of them counts as a sale of one and a buy of the other. A
    cost that nobody knows (bought before the books) is counted, not guessed.
    """
    books = _books(options, method, by_strategy=by == "strategy")
    found = ungrouped(books.closings) if by == "lot" else books.grouped(by)
    names = tuple(found[0]) if found else ("quantity",)
    options.show(found, lambda: print_table(options, names, [tuple(r.values()) for r in found]))


@command.command("tax")
@click.option("--year", type=click.IntRange(2000, 2999), required=True, help="Of Istanbul.")
@click.option("--rates", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A TOML file of [[rate]] and [[tax]] by date; see the how-to.")  # fmt: skip
@click.option("--lenient", is_flag=True, help="Leave out what has no rate, and say so.")
@_method
@common
def tax_(options: Options, *, year: int, rates: Path | None, lenient: bool, method: str) -> None:
    """Show the sales of a year with cost, charges and result in TRY, and taxes at given rates.

    Figures of this ledger, by the rates that you give: not tax advice. Exit 7: a sale has no rate
    on its day (--lenient leaves it out), or the books do not add up.
    """
    given = _rates(rates)
    books = _books(options, method)
    found = tax.year_of(books.closings, given, year)
    if found.missing_rates and not lenient:
        days = ", ".join(found.missing_rates[:5])
        stop(exits.PROBLEM, f"btcbot: no rate for {days}: add [[rate]] to --rates, or --lenient")
    shown = _year(found, method)
    options.show(shown, lambda: _print_year(options, shown))


def _rates(path: Path | None) -> tax.Rates:
    import msgspec

    if path is None:
        return tax.Rates()
    try:
        return msgspec.toml.decode(path.read_bytes(), type=tax.Rates, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        stop(exits.CONFIG, f"btcbot: {path}: {error}")


def _year(found: tax.Year, method: str) -> dict[str, Any]:
    return {
        "notice": tax.NOTICE,
        "year": found.year,
        "method": method,
        "sales": [_sale(sale) for sale in found.sales],
        "proceeds_try": text(found.proceeds),
        "cost_try": text(found.cost),
        "charges_try": text(found.charges),
        "gains_try": text(found.gains),
        "losses_try": text(found.losses),
        "realized_try": text(found.realized),
        "taxes_try": {name: text(amount) for name, amount in found.taxes},
        "sales_without_cost": found.unknown_costs,
        "missing_rates": list(found.missing_rates),
    }


def _print_year(options: Options, shown: dict[str, Any]) -> None:
    print_table(options, SALES, [tuple(row.values()) for row in shown["sales"]])
    click.echo("")
    names = [name for name in shown if name.endswith("_try") and name != "taxes_try"]
    rows = [(name.removesuffix("_try"), shown[name]) for name in names]
    rows += [(f"tax {name}", amount) for name, amount in shown["taxes_try"].items()]
    print_table(options, ("TRY", "amount"), rows)
    if shown["sales_without_cost"]:
        click.echo(f"{shown['sales_without_cost']} sales of what was bought before these books:"
                   " their cost is not known here, and they are in no result")  # fmt: skip
    if shown["missing_rates"]:
        click.echo(f"left out, no rate: {', '.join(shown['missing_rates'])}")
    click.echo(shown["notice"])


def _sale(sale: tax.Sale) -> dict[str, Any]:
    one = sale.closing
    realized = sale.in_try(one.realized)
    return {
        "day": sale.day,
        "pair": one.pair,
        "quantity": text(one.quantity),
        "opened": None if one.opened_ns is None else day_of(one.opened_ns),
        "cost": None if one.cost is None else text(one.cost),
        "proceeds": text(one.proceeds),
        "charges": text(one.fee + one.tax),
        "realized": None if one.realized is None else text(one.realized),
        "asset": one.asset,
        "realized_try": None if realized is None else text(realized),
        "trade_id": one.trade_id,
    }


def _line(line: statement.Line) -> dict[str, Any]:
    return {
        "seq": line.seq,
        "at_ns": line.at_ns,
        "utc": utc(line.at_ns),
        "kind": line.kind,
        "account": line.account,
        "asset": line.asset,
        "amount": text(line.amount),
        "trade_id": line.trade_id,
        "order_id": line.order_id,
        "note": line.note,
    }


def _books(options: Options, method: str, *, by_strategy: bool = False) -> Books:
    """Return the books of the home; ends with 4 without a database, with 7 if they are wrong."""
    from btcbot.store.database import StoreError
    from btcbot.store.queries import History

    try:
        history = History(options.load().config.database)
        books = read(history.facts(statement.KINDS), method, by_strategy=by_strategy)
    except StoreError as error:
        stop(exits.NOT_FOUND, f"btcbot: {error}")
    if books.statement.faults:
        _refuse(books.statement.faults)
    return books


def _refuse(faults: list[str]) -> NoReturn:
    told = "; ".join(faults[:5])
    stop(exits.PROBLEM, f"btcbot: the books do not add up: {told}. `btcbot export events` shows"
         " these facts, `btcbot backup drill` proves a copy; nothing is concluded")  # fmt: skip
