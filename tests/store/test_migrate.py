"""An older journal becomes one of the newest schema whole, or stays as it is."""

from pathlib import Path

import apsw
import pytest

from btcbot.store.anchor import Anchor, path_of
from btcbot.store.database import SCHEMA_VERSION, StoreError
from btcbot.store.migrate import _link_1, migrate, version_of
from btcbot.store.replay import TABLES
from btcbot.store.writer import CHAIN_START, Writer
from tests.store.facts import commit, started, write

SCHEMA_1 = Path(__file__).with_name("schema_1.sql")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Return a journal as version 1 wrote it: its own schema, its own chain."""
    return version_1(tmp_path)


def version_1(tmp_path: Path, *, is_killed: bool = False) -> Path:
    """Return a journal of version 1; of a writer that `is_killed` all of it is in the log."""
    newest = tmp_path / "newest.db"
    writer = Writer(str(newest))
    writer.epoch = 1
    commit(writer, started(1))
    write(writer, 30)
    writer.epoch = 2
    commit(writer, started(2))
    write(writer, 5)
    writer.close()
    path = tmp_path / "btcbot.db"
    as_version_1(newest, path, is_killed=is_killed)
    return path


def as_version_1(newest: Path, path: Path, *, is_killed: bool) -> None:
    source, target = apsw.Connection(str(newest)), apsw.Connection(str(path))
    target.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, int(is_killed))
    target.execute("PRAGMA wal_autocheckpoint=0").fetchall()
    target.execute("PRAGMA journal_mode=wal").fetchall()
    target.execute(SCHEMA_1.read_text(encoding="utf-8")).fetchall()
    for table in TABLES:
        for row in source.execute(f"SELECT * FROM {table}"):
            marks = ",".join("?" * len(row))
            target.execute(f"INSERT INTO {table} VALUES({marks})", row)
    target.execute("DROP TRIGGER events_are_not_changed")
    chain = CHAIN_START
    rows = list(target.execute("SELECT seq, epoch, at_ns, kind, payload FROM events ORDER BY seq"))
    for seq, epoch, at_ns, kind, payload in rows:
        chain = _link_1(chain, seq, epoch, at_ns, kind, payload)
        target.execute("UPDATE events SET hash = ? WHERE seq = ?", (chain, seq))
    target.execute("PRAGMA user_version=1").fetchall()
    source.close()
    target.close()


def bytes_of(path: Path) -> bytes:
    return path.read_bytes()


def test_the_events_are_told_again_and_the_original_is_kept(old: Path) -> None:
    before = bytes_of(old)

    kept = migrate(old)

    assert kept is not None
    assert bytes_of(kept) == before
    assert version_of(kept) == 1
    assert version_of(old) == SCHEMA_VERSION
    writer = Writer(str(old))
    writer.verify()
    assert writer.head == 37
    assert writer.reader.recover().epoch == 2
    writer.close()


def test_what_a_killed_writer_left_in_its_log_is_told_again_too(tmp_path: Path) -> None:
    old = version_1(tmp_path, is_killed=True)
    assert old.stat().st_size <= 4_096, "nothing of it is in the file itself"

    kept = migrate(old)

    assert kept is not None
    assert version_of(kept) == 1
    writer = Writer(str(old))
    writer.verify()
    assert (writer.head, writer.reader.recover().epoch) == (37, 2)
    writer.close()


def test_a_log_that_somebody_still_reads_is_no_reason_to_lose_any_of_it(tmp_path: Path) -> None:
    old = version_1(tmp_path, is_killed=True)
    reader = apsw.Connection(str(old))
    reading = reader.execute("SELECT seq FROM events")
    next(reading)

    with pytest.raises(StoreError, match="somebody reads the database"):
        migrate(old)
    reading.close(True)
    reader.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    reader.close()
    assert version_of(old) == 1
    assert migrate(old) is not None


def test_the_newest_schema_is_left_alone(old: Path) -> None:
    migrate(old)
    before = bytes_of(old)

    assert migrate(old) is None
    assert bytes_of(old) == before


def test_there_is_nothing_to_do_before_the_first_start(tmp_path: Path) -> None:
    assert migrate(tmp_path / "btcbot.db") is None


def test_a_crash_between_two_steps_is_mended_by_doing_it_again(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.replace

    def dies(self: Path, target: Path) -> Path:
        if target == old:
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        migrate(old)
    monkeypatch.undo()

    assert version_of(old) == 1
    assert migrate(old) is not None
    writer = Writer(str(old))
    writer.verify()
    writer.close()


def spoil(path: Path, statement: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("DROP TRIGGER IF EXISTS events_are_not_removed")
    connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE events SET payload = x'00' WHERE seq = 7", "event 7 is not what was written"),
        ("DELETE FROM events WHERE seq = 7", "event 8 is not what was written"),
        ("DELETE FROM latest WHERE key = '9'", "it says otherwise: latest"),
        ("PRAGMA user_version=99", "schema 99; this build reads 1, 2"),
    ],
)
def test_a_journal_that_cannot_be_told_again_whole_is_refused_and_unchanged(
    old: Path, statement: str, why: str
) -> None:
    spoil(old, statement)
    before = bytes_of(old)

    with pytest.raises(StoreError, match=why):
        migrate(old)

    assert bytes_of(old) == before
    assert not list(old.parent.glob("btcbot.db.old*"))


def test_an_event_of_a_kind_that_nobody_knows_is_refused(old: Path) -> None:
    spoil(old, "UPDATE events SET kind = 'of tomorrow' WHERE seq = 3")  # Its chain left kinds out.

    with pytest.raises(StoreError, match="'of tomorrow', which this build does not know"):
        migrate(old)


def test_an_old_copy_is_refused_before_it_becomes_a_new_journal(old: Path) -> None:
    anchor = Anchor(path_of(str(old)))
    anchor.write(38, b"x" * 16)
    anchor.close()

    with pytest.raises(StoreError, match="ends at event 37, but event 38 was written"):
        migrate(old)
