"""What the commands of `btcbot data` share: opening data sets, progress, exit codes."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from btcbot.catalog import dataset as sets
from btcbot.catalog.convert import recover
from btcbot.catalog.manifest import Manifest, load
from btcbot.catalog.parquet import LibraryMissing, ParquetError, polars
from btcbot.catalog.rows import Provenance
from btcbot.catalog.segments import SegmentError
from btcbot.catalog.writer import Writer
from btcbot.cli import exits
from btcbot.cli.common import Options, stop
from btcbot.domain.recorded import DatasetError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

WAIT_S: Final = 2.0  # What takes no longer needs no bar.


@contextmanager
def told(missing: int = exits.NOT_FOUND) -> Iterator[None]:
    """End the command with a sentence and an exit code where the catalog says no."""
    try:
        polars()
        yield
    except LibraryMissing as error:
        stop(exits.CONFIG, f"btcbot: {error}")
    except sets.Busy as error:
        stop(exits.TRY_LATER, f"btcbot: {error}")
    except (DatasetError, ParquetError, SegmentError) as error:
        stop(missing, f"btcbot: {error}")
    except OSError as error:
        stop(exits.ERROR, f"btcbot: {error}")


@contextmanager
def writing(
    options: Options, name: str, provenance: Provenance, *, is_new: bool = False
) -> Iterator[tuple[Writer, Manifest, Path]]:
    """Give a writer into the data set `name`, which is made if it is not there.

    What is not committed when the block ends is as if it had never been. `is_new`: refused, exit 6,
    where the set is there already.
    """
    if not sets.is_name(name):
        stop(exits.USAGE, f"btcbot: {name!r} names no data set: letters, digits, '-', '_' and '.'")
    folder = options.load().config.data / sets.SETS / name
    with sets.locked(folder):
        is_there = (folder / "manifest.json").exists()
        if is_there and is_new:
            stop(exits.REFUSED, f"btcbot: {folder} is there already; choose another name")
        manifest = load(folder) if is_there else Manifest(name=name)
        writer = Writer(folder, manifest, provenance)
        try:
            yield writer, manifest, folder
        finally:
            writer.abandon()
            if not (folder / "manifest.json").exists():
                (folder / ".lock").unlink(missing_ok=True)
                _remove_if_empty(folder)


def opened(options: Options, name: str) -> sets.Dataset:
    """Return a data set by its name or its folder. Raises DatasetError."""
    folder = Path(name)
    if not (folder / "manifest.json").is_file():
        folder = sets.find(options.load().config.data, name)
    recover(folder)
    return sets.Dataset(folder)


@contextmanager
def progress(
    options: Options, what: str, total: int | None = None
) -> Iterator[Callable[[int], None]]:
    """Give what is to be told how much more is done; a bar is shown when it takes a while.

    On a terminal only, on stderr, and not with --json or -q.
    """
    if options.is_json or options.verbosity < 0 or not sys.stderr.isatty():
        yield lambda _count: None
        return
    bar = _Bar(what, total, has_color=options.has_color)
    try:
        yield bar.tell
    finally:
        bar.stop()


class _Bar:
    """A bar that appears when two seconds have passed."""

    def __init__(self, what: str, total: int | None, *, has_color: bool) -> None:
        self._what, self._total, self._has_color = what, total, has_color
        self._began_s = time.monotonic()
        self._done = 0
        self._shown: tuple[Progress, TaskID] | None = None

    def tell(self, count: int) -> None:
        self._done += count
        if self._shown is None:
            if time.monotonic() - self._began_s < WAIT_S:
                return
            self._shown = self._show()
        shown, task = self._shown
        shown.update(task, completed=self._done)

    def stop(self) -> None:
        if self._shown is not None:
            self._shown[0].stop()

    def _show(self) -> "tuple[Progress, TaskID]":
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True, no_color=not self._has_color or None)
        shown = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        shown.start()
        return shown, shown.add_task(self._what, total=self._total)


def utc(at_ns: int) -> str:
    """Return a time as people read it, to the millisecond; machines are given nanoseconds."""
    seconds, rest = divmod(at_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 10**6:03}Z"


def megabytes(size: int) -> str:
    return f"{size / 1e6:.2f}"


def _remove_if_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()
