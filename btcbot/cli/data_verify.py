"""`btcbot data verify`: every defect, by file and row."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from btcbot.cli import exits
from btcbot.cli.common import Options, common, print_json, stop

if TYPE_CHECKING:
    from btcbot.catalog.defects import Defect


@click.command("verify")
@click.argument("given", nargs=-1, metavar="[NAME|FILE|FOLDER]...")
@common
def command(options: Options, *, given: tuple[str, ...]) -> None:
    """Name every defect of the data sets, files or folders given; of all data sets without any.

    Looked for: wrong hashes, truncated and missing files, values that are none, disorder,
    duplicates, crossed prices, a high below a low, missing rows. Files are taken as one recording,
    in order. A gap counts when nobody knows why it is there. Exit 7: something was found.
    """
    from btcbot.catalog.dataset import names
    from btcbot.cli.data_sets import progress, told

    found: list[Defect] = []
    with told():
        chosen = given or tuple(names(options.load().config.data))
        with progress(options, "verifying") as tell:
            for defect in _defects(options, chosen, tell):
                found.append(defect)
                if not options.is_json:
                    click.echo(str(defect))
    if options.is_json:
        rows = [msgspec.to_builtins(defect) for defect in found]
        print_json({"checked": list(chosen), "defects": rows})
    else:
        options.note(f"btcbot: {len(chosen)} checked, {len(found)} defects")
    if found:
        stop(exits.PROBLEM)


def _defects(
    options: Options, given: Sequence[str], tell: Callable[[int], None]
) -> "Iterator[Defect]":
    from btcbot.catalog.verify import verify_files, verify_folder, verify_set
    from btcbot.cli.data_sets import opened

    files = [Path(name) for name in given if Path(name).is_file()]
    if files:
        yield from verify_files(files, tell)
    for name in given:
        path = Path(name)
        if path.is_dir():
            yield from verify_folder(path, tell)
        elif not path.is_file():
            yield from verify_set(opened(options, name), tell)
