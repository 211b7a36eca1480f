"""Copies of the database while it is written to, and the proof that a copy can be lived from.

Only SQLite's own backup makes a copy of a live database; `cp` makes a torn one. A copy is taken
page by page inside one read transaction, so it is the journal as it stood at one moment. To prove
it, the copy is opened, its hash chain followed, and every table built again from its events.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import apsw
from msgspec import Struct

from btcbot.store.database import StoreError, open_reader, quick_check
from btcbot.store.replay import differences, rebuilt, verify_chain

PAGES: Final = 256  # A megabyte at a time: nobody waits for long.
SUFFIX: Final = ".db"
PREFIX: Final = "btcbot-"


class Stopped(Exception):
    """A copy was given up on the way."""


class Proof(Struct, frozen=True):
    """What a copy was found to hold."""

    events: int
    newest_ns: int  # When its newest event happened; 0: it holds none.


def back_up(
    database: Path, folder: Path, now_ns: int, keep: int, breathe: Callable[[], None]
) -> Path:
    """Copy `database` into `folder`, keep the newest `keep` copies; return the new one.

    `breathe` is called after each part, and may raise to give the copy up: then it is not there.
    Raises StoreError when there is no database, OSError or apsw.Error when the disk fails.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / f"{PREFIX}{now_ns}{SUFFIX}"
    part = target.with_suffix(".part")
    try:
        copy(database, part, breathe)
        _sync(part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    for old in backups(folder)[keep:]:
        old.unlink(missing_ok=True)
    return target


def backups(folder: Path) -> list[Path]:
    """Return the copies in `folder`, newest first."""
    found = folder.glob(f"{PREFIX}*{SUFFIX}") if folder.is_dir() else ()
    return sorted(found, key=taken_ns, reverse=True)


def taken_ns(copy: Path) -> int:
    """Return when `copy` was taken; 0: its name does not say."""
    stamp = copy.name.removeprefix(PREFIX).removesuffix(SUFFIX)
    return int(stamp) if stamp.isascii() and stamp.isdigit() else 0


def prove(copy: Path) -> Proof:
    """Open a copy, follow its chain and build its tables again. Raises StoreError: not usable."""
    connection = open_reader(copy)
    try:
        quick_check(connection, str(copy))
        proof = Proof(verify_chain(connection, str(copy)), _newest_ns(connection))
        again = rebuilt(connection)
        wrong = list(differences(connection, again))
    except apsw.Error as error:
        raise StoreError(f"{copy}: damaged: {error}") from None
    finally:
        connection.close()
    if wrong:
        raise StoreError(f"{copy}: its tables do not follow from its events: {'; '.join(wrong)}")
    return proof


def copy(database: Path, part: Path, breathe: Callable[[], None]) -> None:
    """Copy a live database to the new file `part`, as it stands at this moment.

    Raises StoreError when there is none, or when it is none.
    """
    source = open_reader(database)
    part.unlink(missing_ok=True)
    target = apsw.Connection(str(part))
    try:
        source.execute("BEGIN").fetchall()
        # A first read holds the moment: what is committed from here on is not in the copy, and
        # the copy need not begin again because of it.
        source.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        with target.backup("main", source, "main") as copying:
            while not copying.done:
                copying.step(PAGES)
                breathe()
        target.execute("PRAGMA journal_mode=delete").fetchall()  # One file, whole in itself.
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise StoreError(f"{database}: damaged: {error}") from None
    finally:
        target.close()
        source.close()


def _sync(path: Path) -> None:
    path.chmod(0o600)
    for name in (path, path.parent):
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _newest_ns(connection: apsw.Connection) -> int:
    rows: Iterator[tuple[int]] = connection.execute("SELECT coalesce(max(at_ns), 0) FROM events")
    return next(iter(rows))[0]
