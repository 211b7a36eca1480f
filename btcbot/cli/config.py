"""`btcbot config show|check|diff`: the effective values, where each was set, what differs."""

from pathlib import Path

import click
import msgspec

from btcbot.arming import gates, headline, refusals, settled
from btcbot.cli import exits
from btcbot.cli.common import Options, common, print_json, print_table, stop
from btcbot.config import Config, Loaded, freeze, load_alone, thaw
from btcbot.layers import ConfigError, flatten, leaves

Effective = dict[str, tuple[object, str]]  # Key: value and origin.
NOT_SET = (None, "not set")


@click.group("config")
def command() -> None:
    """Show, check and compare the configuration."""


@command.command("show")
@common
def show(options: Options) -> None:
    """Print every value, where it was set, and what it was set over.

    Secrets are files; only their paths are shown.
    """
    loaded = options.load()
    found = effective(loaded)
    over = {
        key: [{"value": value, "origin": origin} for origin, value in loaded.overridden(key)]
        for key in found
    }
    if options.is_json:
        print_json(
            {
                key: {"value": value, "origin": origin, "over": over[key]}
                for key, (value, origin) in found.items()
            }
        )
        return
    rows = []
    for key, (value, origin) in found.items():
        below = "; ".join(f"{text(row['value'])} {row['origin']}" for row in over[key])
        rows.append((key, text(value), origin, below))
    print_table(options, ("KEY", "VALUE", "ORIGIN", "OVER"), rows)


@command.command("check")
@common
def check(options: Options) -> None:
    """Read the configuration as `btcbot up` would; exit 78 and name every problem.

    The second line says which gates of arming are open; one that the configuration itself shuts is
    a problem.
    """
    try:
        loaded = _startable(options)
    except ConfigError as error:
        if not options.is_json:
            raise
        print_json({"ok": False, "problems": error.problems})
        stop(exits.CONFIG)
    files = [str(path) for path in loaded.files]
    found = gates(loaded.config)
    if options.is_json:
        print_json({"ok": True, "files": files, "set": len(loaded.origins), "gates": found})
        return
    click.echo(f"configuration is valid: {len(loaded.origins)} keys set, files: {files or 'none'}")
    click.echo(headline(loaded.config, found))


def _startable(options: Options) -> Loaded:
    """Return the configuration. Raises ConfigError where it alone keeps a fleet from starting."""
    loaded = options.load()
    if problems := refusals(list(settled(loaded.config))):
        raise ConfigError(*problems)
    return loaded


@command.command("diff")
@click.argument("other", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--running", is_flag=True, help="With what the fleet of this home was started with.")
@common
def diff(options: Options, other: Path | None, *, running: bool) -> None:
    """Print each key whose value is not that of OTHER: a file, a home, or without it the defaults.

    OTHER is read alone, over the defaults. Exit 4 with --running where no fleet was started.
    """
    if running and other is not None:
        stop(exits.USAGE, "btcbot: --running and OTHER exclude each other")
    loaded = options.load()
    rows = differences(effective(loaded), effective(_other(loaded, other, running=running)))
    if options.is_json:
        print_json({key: {"ours": _told(ours), "other": _told(its)} for key, ours, its in rows})
        return
    table = [(key, text(ours[0]), ours[1], text(its[0]), its[1]) for key, ours, its in rows]
    print_table(options, ("KEY", "VALUE", "ORIGIN", "OTHER", "ITS ORIGIN"), table)


def differences(
    ours: Effective, theirs: Effective
) -> list[tuple[str, tuple[object, str], tuple[object, str]]]:
    """Return the keys whose values are not equal, with both sides."""
    rows = ((key, ours.get(key, NOT_SET), theirs.get(key, NOT_SET)) for key in {**ours, **theirs})
    return [row for row in rows if row[1][0] != row[2][0]]


def _other(loaded: Loaded, other: Path | None, *, running: bool) -> Loaded:
    """Return what to compare with; the defaults are those of the same home."""
    if other is not None:
        return load_alone(other)
    if not running:
        return Loaded(Config(home=loaded.config.home), {})
    path = loaded.config.run / "config.json"
    if not path.exists():
        stop(exits.NOT_FOUND, f"btcbot: {path}: no fleet was started on this home")
    config, run_id = thaw(path)
    return Loaded(config, dict.fromkeys(effective(Loaded(config, {})), f"fleet {run_id}"))


def effective(loaded: Loaded) -> Effective:
    """Return every key with its value and origin, in the order of the reference."""
    values = dict(flatten(msgspec.json.decode(freeze(loaded.config))["config"]))
    order = [leaf.key for leaf in leaves(Config) if leaf.key in values]
    return {
        key: (values[key], loaded.origins.get(key, "default"))
        for key in dict.fromkeys((*order, *values))
    }


def text(value: object) -> str:
    """Return a value as one line."""
    return msgspec.json.encode(value, enc_hook=str).decode()


def _told(side: tuple[object, str]) -> dict[str, object]:
    return {"value": side[0], "origin": side[1]}
