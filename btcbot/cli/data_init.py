"""`btcbot data init`: a small synthetic data set."""

import click

from btcbot.cli.common import Options, common


@click.command("init")
@click.argument("name")
@click.option(
    "--rows", default=600, show_default=True, type=click.IntRange(1, 1_000_000),
    help="Minutes of each pair.",
)  # fmt: skip
@click.option(
    "--pairs", default="BTCTRY", show_default=True, metavar="PAIR[,PAIR...]",
    help="What is traded in it.",
)  # fmt: skip
@click.option("--candles", is_flag=True, help="Candles alone, as charts have them.")
@click.option("--seed", default=1, show_default=True, help="One seed, the same bytes.")
@common
def command(
    options: Options, *, name: str, rows: int, pairs: str, candles: bool, seed: int
) -> None:
    """Make the data set NAME: minutes with four trades each, quotes and candles, from 2026 on.

    For trying things out. Exit 6: there is a data set of that name.
    """
    from btcbot.catalog import synthetic
    from btcbot.catalog.rows import Provenance
    from btcbot.cli.data_sets import progress, told, writing
    from btcbot.domain.ids import Pair

    chosen = tuple(Pair(pair.upper()) for pair in pairs.split(",") if pair.isalnum())
    if not chosen:
        raise click.UsageError(f"--pairs {pairs!r}: expected names such as BTCTRY,ETHTRY")
    try:
        rules = tuple(map(synthetic.rules_of, chosen))
    except ValueError as error:
        raise click.UsageError(f"--pairs: {error}") from None
    with (
        told(),
        writing(options, name, Provenance.SYNTHETIC, is_new=True) as (writer, _, folder),
        progress(options, "making") as tell,
    ):
        for pair in chosen:
            synthetic.fill(writer, (pair,), rows, seed, has_trades=not candles)
            tell(rows)
        writer.commit(rules=rules)
    summary = {"name": name, "rows": writer.rows, "folder": folder}
    options.show(summary, lambda: click.echo(f"{name}: {writer.rows:,} rows in {folder}"))
