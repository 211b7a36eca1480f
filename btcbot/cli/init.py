"""`btcbot init`: a commented btcbot.toml and the folders."""

from pathlib import Path

import click

from btcbot.cli import exits
from btcbot.cli.common import Options, common, stop
from btcbot.cli.fleet import make_folders
from btcbot.cli.reference import toml_template
from btcbot.config import FILE_NAME, load
from btcbot.layers import ConfigError


@click.command("init")
@click.argument("folder", default=".", type=click.Path(file_okay=False, path_type=Path))
@common
def command(options: Options, folder: Path) -> None:
    """Write FOLDER/btcbot.toml, every key commented at its default, and make its home.

    The home is FOLDER/home unless --home names another. An existing btcbot.toml is never touched.
    """
    path = folder / FILE_NAME
    home = options.home.absolute() if options.home else Path("home")
    try:
        _write(path, toml_template(home=home))
    except OSError as error:
        if isinstance(error, FileExistsError) and path.exists():
            stop(exits.REFUSED, f"btcbot: {path} exists already; it was left as it is")
        stop(exits.ERROR, f"btcbot: {path}: {error.strerror}; choose a folder that can be written")
    try:
        config = load([path], {"home": str(home)} if options.home else {}).config
        make_folders(config)
    except ConfigError:
        path.unlink()  # It is ours, and would be in the way of the next try.
        raise
    found = {"file": str(path.absolute()), "home": str(config.home)}
    options.show(found, lambda: click.echo(f"wrote {found['file']}; home is {found['home']}"))


def _write(path: Path, text: str) -> None:
    """Write a file that is not there yet, whole or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        try:
            file.write(text)
            file.flush()
        except OSError:
            path.unlink()
            raise
