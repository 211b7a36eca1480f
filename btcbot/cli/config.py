"""`btcbot config show|check`: the effective values with the origin of each."""

import click
import msgspec

from btcbot.cli.common import Options, common, print_json, print_table
from btcbot.config import Config, Loaded, freeze
from btcbot.layers import flatten, leaves


@click.group("config")
def command() -> None:
    """Show and check the configuration."""


@command.command("show")
@common
def show(options: Options) -> None:
    """Print every value and where it was set; secrets are files, only their paths are shown."""
    found = effective(options.load())
    if options.is_json:
        print_json(
            {key: {"value": value, "origin": origin} for key, (value, origin) in found.items()}
        )
        return
    rows = [
        (key, msgspec.json.encode(value).decode(), origin) for key, (value, origin) in found.items()
    ]
    print_table(options, ("KEY", "VALUE", "ORIGIN"), rows)


@command.command("check")
@common
def check(options: Options) -> None:
    """Read the configuration as `btcbot up` would; exit 78 and name every problem."""
    loaded = options.load()
    files = [str(path) for path in loaded.files]
    if options.is_json:
        print_json({"ok": True, "files": files, "set": len(loaded.origins)})
    else:
        click.echo(
            f"configuration is valid: {len(loaded.origins)} keys set, files: {files or 'none'}"
        )


def effective(loaded: Loaded) -> dict[str, tuple[object, str]]:
    """Return every key with its value and origin, in the order of the reference."""
    values = dict(flatten(msgspec.json.decode(freeze(loaded.config))["config"]))
    order = [leaf.key for leaf in leaves(Config)]
    found = {
        key: (values[key], loaded.origins.get(key, "default")) for key in order if key in values
    }
    free = {key: (values[key], loaded.origins[key]) for key in values if key not in found}
    return found | free
