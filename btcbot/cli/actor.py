"""`btcbot actor NAME`: one actor in this terminal; supervisord calls the same code."""

import sys
import time

import click

from btcbot.arming import gates
from btcbot.cli.common import Options, common
from btcbot.cli.fleet import ACTORS, make_folders, refuse_unarmed, write_keys
from btcbot.cli.process import live


@click.command("actor")
@click.argument("name", type=click.Choice(ACTORS))
@click.option("--standby", is_flag=True, help="Execution only: wait until the other is gone.")
@common
def command(options: Options, name: str, *, standby: bool) -> None:
    """Run the actor NAME until it is stopped. Exit 75: it lives already, on the same home.

    With --standby it waits for the place of the execution that lives, imports done, holding no key,
    no database and no connection, and takes over the moment that one is gone.
    """
    if standby and name != "execution":
        raise click.UsageError(f"--standby: only execution has a standby, not {name}")
    config = options.load().config
    refuse_unarmed(gates(config, time.time_ns()))
    make_folders(config)
    write_keys(config)
    sys.exit(live(name, config, run_id="by-hand", waits=standby))
