"""Verifying a database without touching it: the checks of a start, on a copy."""

import shutil
import tempfile
from pathlib import Path

import apsw
from msgspec import Struct

from btcbot.store.anchor import path_of
from btcbot.store.database import SCHEMA_VERSION, StoreError, open_reader
from btcbot.store.writer import Writer


class Examined(Struct, frozen=True):
    """A database that is whole, as it was when it was copied."""

    schema: int
    events: int
    newest_ns: int  # Of its newest event; 0: it has none.
    has_anchor: bool
    instance: str  # The tag in the labels of its orders; "" before the first start.


def examine(path: Path) -> Examined:
    """Check schema, pages, every link of the hash chain, and the anchor. Raises StoreError.

    The copy is made by SQLite itself, so it is whole while execution writes; it lies beside the
    database, needs as much room, and is gone at the end.
    """
    anchor = path_of(str(path))
    with tempfile.TemporaryDirectory(prefix=".check-", dir=path.parent) as folder:
        copy = Path(folder) / path.name
        # The anchor first: it may lag behind the journal, and never leads it.
        if anchor.is_file():
            shutil.copyfile(anchor, path_of(str(copy)))
        _copy(path, copy)
        try:
            return _examined(copy, has_anchor=anchor.is_file())
        except StoreError as error:
            raise StoreError(str(error).replace(str(copy), str(path))) from None


def _copy(path: Path, copy: Path) -> None:
    try:
        source, target = open_reader(path), apsw.Connection(str(copy))
        try:
            with target.backup("main", source, "main") as backup:
                backup.step()
        finally:
            target.close()
            source.close()
    except apsw.Error as error:
        raise StoreError(f"{path}: damaged: {error}; restore a backup") from None


def _examined(copy: Path, *, has_anchor: bool) -> Examined:
    try:
        writer = Writer(str(copy))
        try:
            writer.verify(tail=max(1, writer.head))
            row = next(writer.reader.rows("SELECT max(at_ns) AS at_ns FROM events"))
            return Examined(
                schema=SCHEMA_VERSION,
                events=writer.head,
                newest_ns=row["at_ns"] or 0,
                has_anchor=has_anchor,
                instance=writer.reader.recover().instance,
            )
        finally:
            writer.close()
    except apsw.Error as error:
        raise StoreError(f"{copy}: damaged: {error}; restore a backup") from None
