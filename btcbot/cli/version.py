"""`btcbot version`: what is installed here."""

import platform
from importlib.metadata import version

import click

from btcbot.cli.common import Options, common, print_json
from btcbot.domain.messages import SCHEMA_VERSION


@click.command("version")
@common
def command(options: Options) -> None:
    """Print the version of btcbot, of its messages and of Python."""
    found = {
        "btcbot": version("btcbot"),
        "schema": SCHEMA_VERSION,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }
    if options.is_json:
        print_json(found)
    else:
        click.echo(" ".join(f"{key} {value}" for key, value in found.items()))
