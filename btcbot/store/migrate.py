"""From an older schema to the newest: the events are told again into a new file.

The old journal is read, never written: it stays beside the new one under another name. A journal
that cannot be told again whole (an event that this build cannot read, a chain that breaks) is
refused, and nothing has changed.
"""

from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import apsw

from btcbot.store.anchor import Anchor, path_of
from btcbot.store.database import (
    SCHEMA_VERSION,
    StoreError,
    checkpoint,
    open_reader,
    quick_check,
)
from btcbot.store.replay import Link, differences, tell_again, verify_chain
from btcbot.store.writer import Writer, link


def _link_1(chain: bytes, seq: int, epoch: int, _at_ns: int, _kind: str, payload: bytes) -> bytes:
    """Return the hash of version 1, which left out an event's time and kind."""
    return blake2b(chain + seq.to_bytes(8) + epoch.to_bytes(8) + payload, digest_size=16).digest()


# How the events of each version are chained; their payloads are the same so far.
CHAINS: Final[Mapping[int, Link]] = {1: _link_1, 2: link}


def migrate(database: Path) -> Path | None:
    """Bring `database` to the newest schema; return where the original is, None: nothing to do.

    Only the holder of execution's place may ask. Raises StoreError; then nothing was changed.
    """
    version = version_of(database)
    if version in (0, SCHEMA_VERSION):
        return None
    if version not in CHAINS:
        raise StoreError(
            f"{database}: schema {version}; this build reads {', '.join(map(str, CHAINS))}. It was "
            "written by a newer btcbot: use that one, or restore a backup of before"
        )
    _close_log(database)
    fresh = database.with_name(f"{database.name}.new")
    _remove(fresh)
    _tell(database, fresh, CHAINS[version])
    return _exchange(database, fresh)


def version_of(database: Path) -> int:
    """Return the schema's version; 0 when there is no database, or an empty one."""
    if not database.exists() or database.stat().st_size == 0:
        return 0
    connection = apsw.Connection(str(database))  # Not read-only: a -wal left by a crash counts.
    # A look changes nothing: the log that a dead writer left keeps its length for the next one.
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    try:
        rows: list[Any] = connection.execute("PRAGMA user_version").fetchall()
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise StoreError(f"{database}: damaged: {error}; restore a backup") from None
    finally:
        connection.close()
    return int(rows[0][0])


def _tell(database: Path, fresh: Path, hashed: Link) -> None:
    old = open_reader(database)
    try:
        quick_check(old, str(database))
        count = verify_chain(old, str(database), hashed)
        _hold_against_anchor(database, count)
        writer = Writer(str(fresh))
        try:
            tell_again(old, writer)
            _compare(old, writer, count, database)
            writer.checkpoint()
        finally:
            writer.close()
    except apsw.Error as error:
        raise StoreError(f"{database}: cannot be brought to the newest schema: {error}") from None
    finally:
        old.close()


def _hold_against_anchor(database: Path, count: int) -> None:
    """Refuse an old copy before it is made into a new journal that nobody would doubt."""
    anchor = Anchor(path_of(str(database)))
    try:
        known = anchor.read()
    finally:
        anchor.close()
    if known is not None and known[0] > count:
        raise StoreError(
            f"{database}: ends at event {count}, but event {known[0]} was written: this is an old "
            f"copy. Bring the newest back; only to go on without it, remove {anchor.path}"
        )


def _compare(old: apsw.Connection, writer: Writer, count: int, database: Path) -> None:
    """Hold the new file against the old one: as many events, and tables that say the same."""
    if writer.head != count:
        raise StoreError(f"{database}: {count} events, of which {writer.head} were told again")
    wrong = [w for w in differences(old, writer) if not w.startswith("events")]
    if wrong:
        raise StoreError(f"{database}: told again, it says otherwise: {'; '.join(wrong)}")


def _exchange(database: Path, fresh: Path) -> Path:
    """Put the new file in the place of the old; a crash in between is mended by doing it again."""
    kept = _kept(database)
    kept.hardlink_to(database)
    path_of(str(fresh)).replace(path_of(str(database)))
    fresh.replace(database)
    return kept


def _kept(database: Path) -> Path:
    """Return a name that nothing has, for the original."""
    names = (database.with_name(f"{database.name}.old.{number}") for number in range(1_000))
    for name in names:
        if not name.exists():
            return name
    raise StoreError(f"{database}.old.*: a thousand originals lie there; put them away")


def _close_log(database: Path) -> None:
    """Move all of the old write-ahead log into the old file, so that the file is the journal."""
    connection = apsw.Connection(str(database))
    try:
        with suppress(apsw.BusyError):  # By a reader: what is left of the log tells.
            checkpoint(connection, apsw.SQLITE_CHECKPOINT_TRUNCATE)
    finally:
        connection.close()
    log = database.with_name(f"{database.name}-wal")
    if log.exists() and log.stat().st_size:
        raise StoreError(f"{log}: somebody reads the database; close that first, then start again")


def _remove(fresh: Path) -> None:
    for path in (fresh, path_of(str(fresh))):
        path.unlink(missing_ok=True)
    for suffix in ("-wal", "-shm"):
        fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
