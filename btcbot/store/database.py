"""Opening SQLite so that a commit means what we say it means; every pragma is read back."""

from pathlib import Path
from typing import Final

import apsw

from btcbot.orders.lifecycle import LEGAL

SCHEMA_VERSION: Final = 2
SCHEMA: Final = Path(__file__).with_name("schema.sql")
BUSY_MS: Final = 2_000

# FULL: a commit is on disk before it returns. In WAL mode NORMAL may lose the last commits.
PRAGMAS: Final[dict[str, str | int]] = {
    "journal_mode": "wal",
    "synchronous": 2,
    "locking_mode": "normal",
    "foreign_keys": 1,
    "wal_autocheckpoint": 0,  # Checkpoints wait for a quiet moment; they are the slow commits.
    "cell_size_check": 1,
    "recursive_triggers": 1,  # INSERT OR REPLACE removes rows: it must meet the same triggers.
}


class StoreError(Exception):
    """A database that may not be written; says what was found and what to do."""


class StoreBusy(StoreError):
    """Somebody else writes the database of the one writer."""


def open_writer(path: str, vfs: str = "") -> apsw.Connection:
    """Return the one writing connection, with the schema in place. Raises StoreError.

    ":memory:" opens the same schema without a disk. An older schema is refused here
    (`migrate.py`), and a newer one. It waits for a dead writer's locks; from then on it waits for
    nobody: there is no other writer.
    """
    connection = apsw.Connection(path, vfs=vfs or None)
    try:
        _prepare(connection, path)
        connection.set_busy_timeout(0)
    except apsw.BusyError:
        connection.close()
        raise StoreBusy(f"{path}: another process writes it, for over {BUSY_MS} ms") from None
    except (apsw.CorruptError, apsw.NotADBError) as error:
        connection.close()
        raise StoreError(f"{path}: damaged: {error}; restore a backup") from None
    except StoreError:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> apsw.Connection:
    """Return a read-only connection; it can never write, whatever is executed.

    Raises StoreError when there is no database yet.
    """
    if not path.exists():
        raise StoreError(f"{path}: no database; start the fleet once with `btcbot up`")
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(f"file:{path}?mode=ro", flags=flags)
    connection.set_busy_timeout(BUSY_MS)
    return connection


def _prepare(connection: apsw.Connection, path: str) -> None:
    connection.set_busy_timeout(BUSY_MS)
    for name, wanted in PRAGMAS.items():
        is_memory_journal = name == "journal_mode" and path == ":memory:"
        _pragma(connection, name, "memory" if is_memory_journal else wanted)
    _migrate(connection, path)
    if path != ":memory:":
        quick_check(connection, path)


def quick_check(connection: apsw.Connection, path: str) -> None:
    """Raise StoreError when SQLite finds the file damaged."""
    found = connection.execute("PRAGMA quick_check").fetchall()
    if found != [("ok",)]:
        raise StoreError(f"{path}: damaged: {found[:3]}; restore a backup")


def checkpoint(connection: apsw.Connection, mode: int = apsw.SQLITE_CHECKPOINT_PASSIVE) -> bool:
    """Move what the write-ahead log holds into the database; return whether there is a log.

    A connection that has read nothing knows of no log: a checkpoint does nothing then, without an
    error. So something is read first. Raises apsw.BusyError where `mode` waits for others in vain.
    """
    connection.execute("PRAGMA user_version").fetchall()
    frames, _ = connection.wal_checkpoint(mode=mode)
    return frames >= 0


def _pragma(connection: apsw.Connection, name: str, wanted: str | int) -> None:
    # One statement per execute, fetched: apsw steps lazily and would leave the rest undone.
    connection.execute(f"PRAGMA {name}={wanted}").fetchall()
    [(found,)] = connection.execute(f"PRAGMA {name}").fetchall()
    if found != wanted:
        raise StoreError(f"PRAGMA {name} is {found!r}; must be {wanted!r}: is the disk sound?")


def _migrate(connection: apsw.Connection, path: str) -> None:
    [(version,)] = connection.execute("PRAGMA user_version").fetchall()
    if version == SCHEMA_VERSION:
        return
    [(tables,)] = connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    if version != 0 or tables:
        raise StoreError(f"{path}: schema {version}; this build reads {SCHEMA_VERSION} only")
    with connection:
        for statement in _statements(SCHEMA.read_text(encoding="utf-8")):
            connection.execute(statement).fetchall()
        connection.executemany(
            "INSERT INTO legal VALUES(?, ?)",
            [
                *((old.value, new.value) for old, new in sorted(LEGAL)),
            ],
        ).fetchall()
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}").fetchall()


def _statements(script: str) -> list[str]:
    """Return the statements of `script`; a trigger's own semicolons do not end it."""
    found, waiting = [], ""
    for line in script.splitlines(keepends=True):
        waiting += line
        if apsw.complete(waiting):  # Knows comments, strings and CREATE TRIGGER ... END.
            found.append(waiting)
            waiting = ""
    return found
