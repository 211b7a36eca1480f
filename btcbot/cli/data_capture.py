"""`btcbot data capture`: the live market into a data set, for a while."""

import asyncio
import logging
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

import click

from btcbot.cli import exits
from btcbot.cli.common import Options, common, stop
from btcbot.domain.ids import Pair

CONVERT_S: Final = 600.0  # Raw capture keeps 4 GB at most: long before that it is converted.
log = logging.getLogger("btcbot.capture")


@click.command("capture")
@click.argument("name")
@click.option("--seconds", type=click.FloatRange(1, 3_660 * 86_400), help="Default: until Ctrl-C.")
@click.option("--pairs", default="", metavar="PAIR[,PAIR...]", help="Default: those configured.")
@click.option("--every", default=CONVERT_S, show_default=True, type=click.FloatRange(min=1),
              help="Seconds from one conversion to Parquet to the next.")  # fmt: skip
@common
def command(
    options: Options, *, name: str, seconds: float | None, pairs: str, every: float
) -> None:
    """Capture the market of the configured exchange into the data set NAME.

    Frames are kept raw within a quarter of a second, and become Parquet now and then and at the
    end. Ctrl-C ends it early. Killed at any moment, whatever was heard is in the data set: the
    next command that opens it converts the rest. A further capture goes on with the same set; the
    time between is a gap.

    Exit 1: something could not be kept. Exit 75: another process captures into this data set.
    """
    import msgspec

    from btcbot.catalog.convert import RAW
    from btcbot.catalog.dataset import SETS, is_name, locked
    from btcbot.catalog.rows import Provenance
    from btcbot.cli.data_import import import_raw
    from btcbot.cli.data_sets import told, writing
    from btcbot.cli.record import log_to_stderr, record
    from bus.runtime import run_on_loop

    config = options.load().config
    chosen = tuple(Pair(pair.upper()) for pair in pairs.split(",") if pair) or config.pairs
    config = msgspec.structs.replace(config, pairs=chosen)
    if not is_name(name):
        stop(exits.USAGE, f"btcbot: {name!r} names no data set: letters, digits, '-', '_' and '.'")
    folder = config.data / SETS / name
    lost: list[str] = []
    with told():
        with locked(folder / "raw"):
            with writing(options, name, Provenance.LIVE) as (writer, *_):
                writer.commit()  # A set that is there before the first frame is, however it ends.
            log_to_stderr(config, options)
            options.note(f"btcbot: capturing {', '.join(chosen)} from {config.addresses.ws}")
            silent = msgspec.structs.replace(options, is_json=False)
            recording = record(config, silent, folder / "raw", lost.append, seconds)
            again = _again(options, config.home, name, folder / RAW)
            run_on_loop(_with_conversions(recording, again, every))
        summary = import_raw(options, name, folder / RAW)
    options.show(summary, lambda: click.echo(f"{name}: {summary['records']:,} records converted"))
    if lost:
        stop(exits.ERROR, f"btcbot: {lost[0]}")


async def _with_conversions(
    recording: Coroutine[Any, Any, None], again: Sequence[str], every_s: float
) -> None:
    """Record, and now and then have another process convert: this one has frames to hear."""

    async def convert() -> None:
        while True:
            await asyncio.sleep(every_s)
            child = await asyncio.create_subprocess_exec(
                *again, start_new_session=True, stdout=asyncio.subprocess.DEVNULL
            )
            if await child.wait():
                log.warning("conversion_failed", extra={"error": f"exit {child.returncode}"})

    converting = asyncio.create_task(convert())
    try:
        await recording
    finally:
        converting.cancel()


def _again(options: Options, home: Path, name: str, raw: Path) -> list[str]:
    """Return the command line that converts what was heard so far."""
    files = [part for path in options.files for part in ("-c", str(path))]
    given = ["--home", str(home), *files, "-q", name, "--raw", str(raw)]
    return [sys.executable, "-m", "btcbot.cli.main", "data", "import", *given]
