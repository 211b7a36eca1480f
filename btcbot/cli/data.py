"""`btcbot data`: the catalog of recorded data."""

from typing import Any

import click

from btcbot.cli.common import LazyGroup, common

COMMANDS = {
    "capture": ("btcbot.cli.data_capture", "Record the market for a while, into a data set."),
    "fetch": ("btcbot.cli.data_fetch", "Ask the exchange for past candles and the last trades."),
    "gaps": ("btcbot.cli.data_show:gaps", "List the times without data, and why there is none."),
    "import": ("btcbot.cli.data_import", "Bring files, or what was recorded raw, into a data set."),
    "init": ("btcbot.cli.data_init", "Make a small synthetic data set: one seed, the same bytes."),
    "list": ("btcbot.cli.data_show", "List the data sets, what they cover and where it is from."),
    "verify": ("btcbot.cli.data_verify", "Name every defect of data sets or files."),
}


@click.group("data", cls=LazyGroup, modules=COMMANDS)
@common
def command(**_options: Any) -> None:  # noqa: ANN401 (kept in the context)
    """Keep recorded markets: in HOME/data/sets, as Parquet, with where each hour is from.

    Needs the extra `research`. Every data set can be played by name: `btcbot backtest --data NAME`.
    """
