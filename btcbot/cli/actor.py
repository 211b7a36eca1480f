"""`btcbot actor NAME`: one actor in this terminal; supervisord calls the same code."""

import sys

import click

from btcbot.cli.common import Options, common
from btcbot.cli.fleet import ACTORS, make_folders, refuse_unarmed, write_keys
from btcbot.cli.process import live


@click.command("actor")
@click.argument("name", type=click.Choice(ACTORS))
@common
def command(options: Options, name: str) -> None:
    """Run the actor NAME until it is stopped. Exit 75: it lives already, on the same home."""
    config = options.load().config
    refuse_unarmed(config)
    make_folders(config)
    write_keys(config)
    sys.exit(live(name, config, run_id="by-hand"))
