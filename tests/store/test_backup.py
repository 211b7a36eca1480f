"""Copies of a live database: whole, of one moment, bounded in number, and proven."""

import threading
from pathlib import Path

import apsw
import pytest

from btcbot.domain.messages import DiskSeen
from btcbot.store.backup import Stopped, back_up, backups, copy, prove
from btcbot.store.database import StoreError
from btcbot.store.disk import Disk
from btcbot.store.keeper import Copies, Keeper
from btcbot.store.writer import Writer
from tests.store.facts import START_NS, commit, started, write


def nothing() -> None:
    pass


@pytest.fixture(autouse=True)
def writer(tmp_path: Path) -> Writer:
    writer = Writer(str(tmp_path / "btcbot.db"))
    writer.epoch = 1
    commit(writer, started(1))
    write(writer, 500)
    return writer


def test_a_copy_of_a_database_that_is_written_to_is_of_one_moment(
    tmp_path: Path, writer: Writer
) -> None:
    def meanwhile() -> None:
        write(writer, 3)

    made = back_up(tmp_path / "btcbot.db", tmp_path / "backup", START_NS, 5, meanwhile)

    assert prove(made).events == 501
    assert writer.head > 501
    assert made.stat().st_mode & 0o777 == 0o600
    assert not list(made.parent.glob("*-wal"))


def test_the_folder_of_copies_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "far" / "away"
    for n in range(2):
        back_up(tmp_path / "btcbot.db", folder, START_NS + n, 5, nothing)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_only_so_many_are_kept_and_the_newest_are_they(tmp_path: Path) -> None:
    made = [
        back_up(tmp_path / "btcbot.db", tmp_path / "backup", START_NS + n, 3, nothing)
        for n in range(5)
    ]

    assert backups(tmp_path / "backup") == made[:1:-1]


def test_a_copy_that_is_given_up_is_not_there(tmp_path: Path) -> None:
    def give_up() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        back_up(tmp_path / "btcbot.db", tmp_path / "backup", START_NS, 3, give_up)

    assert list((tmp_path / "backup").iterdir()) == []


def spoiled(tmp_path: Path, *statements: str) -> Path:
    path = tmp_path / "copy.db"
    copy(tmp_path / "btcbot.db", path, nothing)
    connection = apsw.Connection(str(path))
    for kind in ("changed", "removed"):
        connection.execute(f"DROP TRIGGER events_are_not_{kind}")
    for statement in statements:
        connection.execute(statement)
    connection.close()
    return path


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE events SET at_ns = 1 WHERE seq = 9", "event 9 is not what was written"),
        ("DELETE FROM events WHERE seq = 9", "event 10 is not what was written"),
        ("DELETE FROM latest WHERE key = '9'", "do not follow from its events: latest"),
        ("UPDATE latest SET seq = 1 WHERE key = '9'", "do not follow from its events: latest"),
    ],
)
def test_a_copy_that_was_tampered_with_is_not_proven(
    tmp_path: Path, statement: str, why: str
) -> None:
    path = spoiled(tmp_path, statement)

    with pytest.raises(StoreError, match=why):
        prove(path)


def test_a_torn_copy_is_not_proven(tmp_path: Path) -> None:
    path = spoiled(tmp_path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with pytest.raises(StoreError, match="damaged"):
        prove(path)


def test_the_keeper_empties_the_log_so_that_it_stays_short_however_much_is_written(
    tmp_path: Path, writer: Writer
) -> None:
    seen = threading.Event()
    keeper = Keeper(
        tmp_path / "btcbot.db",
        Disk(tmp_path / "btcbot.db", 0),
        Copies(folder=tmp_path / "backup", every_s=0, keep=1),
        lambda _message: seen.set(),
        lambda: START_NS,
    )
    log, lengths = tmp_path / "btcbot.db-wal", []
    for _ in range(6):
        seen.clear()
        keeper.tidy()
        assert seen.wait(20)
        write(writer, 200)
        lengths.append(log.stat().st_size)

    assert lengths == [lengths[0]] * 6, "what was moved is written over"
    assert backups(tmp_path / "backup") == [], "no copy is wanted"
    assert (tmp_path / "btcbot.db").stat().st_size > 100_000
    keeper.close()
    writer.verify()
    writer.close()


def test_a_keeper_that_is_closed_gives_up_its_copy_and_leaves_no_thread(
    tmp_path: Path, writer: Writer
) -> None:
    write(writer, 3_000)
    copies = Copies(folder=tmp_path / "backup", every_s=60, keep=2)
    path = tmp_path / "btcbot.db"
    keeper = Keeper(path, Disk(path, 0), copies, lambda _message: None, lambda: START_NS)
    keeper.tidy()
    keeper.close()

    assert not [thread for thread in threading.enumerate() if "keeper" in thread.name]
    assert list((tmp_path / "backup").glob("*")) == []
    writer.close()


def test_a_database_without_a_log_is_trouble_that_is_told(tmp_path: Path) -> None:
    apsw.Connection(str(tmp_path / "other.db")).execute("CREATE TABLE one(x)").fetchall()
    heard: list[DiskSeen] = []
    seen = threading.Event()

    def tell(message: DiskSeen) -> None:
        heard.append(message)
        seen.set()

    keeper = Keeper(
        tmp_path / "other.db",
        Disk(tmp_path / "other.db", 0),
        Copies(folder=tmp_path / "backup", every_s=0, keep=1),
        tell,
        lambda: START_NS,
    )
    keeper.tidy()
    assert seen.wait(20)
    keeper.close()

    assert "has no write-ahead log" in heard[0].trouble


def test_the_keeper_copies_and_looks_while_others_write(tmp_path: Path, writer: Writer) -> None:
    heard: list[DiskSeen] = []
    seen = threading.Event()

    def tell(message: DiskSeen) -> None:
        heard.append(message)
        seen.set()

    now = [START_NS]
    keeper = Keeper(
        tmp_path / "btcbot.db",
        Disk(tmp_path / "btcbot.db", 1 << 16),
        Copies(folder=tmp_path / "backup", every_s=60, keep=2),
        tell,
        lambda: now[0],
    )
    for _ in range(4):
        seen.clear()
        keeper.tidy()
        write(writer, 20)
        assert seen.wait(20)
        now[0] += 61_000_000_000
    seen.clear()
    keeper.tidy()
    assert seen.wait(20)
    keeper.close()

    assert all(message.is_reserved and not message.trouble for message in heard)
    assert len(backups(tmp_path / "backup")) == 2
    assert (tmp_path / "reserve").stat().st_size == 1 << 16
    writer.verify()
    writer.close()
