"""`btcbot down`: stop the fleet in order, and wait until nothing is left of it."""

import click

from btcbot.cli import exits
from btcbot.cli.common import Options, common, stop
from btcbot.cli.fleet import end_supervisord, holder_of, remove_sockets


@click.command("down")
@common
def command(options: Options) -> None:
    """Stop the fleet and wait until no process and no socket of it is left.

    Orders stay on the exchange, each with its expiry in the journal; the next start manages them.
    To cancel them first: `btcbot-ctl kill`. Exit 3: nothing was running.
    """
    config = options.load().config
    pid = holder_of(config)
    if pid is None:
        remove_sockets(config)
        stop(exits.NOT_RUNNING, f"btcbot: no fleet runs on {config.home}")
    if not end_supervisord(config, pid):
        stop(exits.TIMED_OUT, f"btcbot: supervisord {pid} still runs; see {config.home / 'log'}")
    if held := remove_sockets(config):
        names = ", ".join(path.name for path in held)
        stop(exits.TIMED_OUT, f"btcbot: somebody else still holds {names} in {config.run}")
    options.show({"stopped": pid}, lambda: click.echo(f"stopped (supervisord was {pid})"))
