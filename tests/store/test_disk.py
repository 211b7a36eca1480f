"""Room on a disk that fills up: a real, small file system where we may mount one."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from btcbot.store.database import SCHEMA_VERSION
from btcbot.store.disk import LOG_BYTES, MIB, Disk
from btcbot.store.migrate import version_of
from btcbot.store.writer import Writer
from tests.store.facts import commit, recorded, started, write

SIZE = 8 * MIB
RESERVE = MIB


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of eight megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", folder],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("only root may mount a small file system here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path) -> None:
    """Leave not one block free."""
    with (folder / "filler").open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 12))
        except OSError:
            pass


def test_the_reserve_is_given_up_when_nothing_else_is_left_and_comes_back(small: Path) -> None:
    disk = Disk(small / "btcbot.db", RESERVE)
    assert disk.look().is_reserved
    assert (small / "reserve").stat().st_blocks * 512 >= RESERVE
    fill(small)

    room = disk.look()

    assert not room.is_reserved
    assert room.free >= RESERVE
    assert not disk.look().is_reserved
    (small / "filler").unlink()
    assert disk.look().is_reserved


def test_a_commit_that_finds_no_room_leaves_nothing_and_the_reserve_lets_it_through(
    small: Path,
) -> None:
    disk = Disk(small / "btcbot.db", RESERVE)
    disk.look()
    writer = Writer(str(small / "btcbot.db"))
    writer.epoch = 1
    commit(writer, started(1))
    fill(small)
    with pytest.raises((apsw.FullError, apsw.IOError)):
        write(writer, 10_000)
    durable = writer.head
    writer.close()

    disk.look()
    again = Writer(str(small / "btcbot.db"))
    again.verify()

    assert again.head == durable
    commit(again, recorded(durable + 1))
    again.verify()
    again.close()


def test_a_disk_without_room_for_a_reserve_says_so(small: Path) -> None:
    fill(small)

    assert not Disk(small / "btcbot.db", RESERVE).look().is_reserved
    assert not (small / "reserve").exists()


def test_no_reserve_is_wanted_when_it_is_zero(tmp_path: Path) -> None:
    assert Disk(tmp_path / "btcbot.db", 0).look().is_reserved


def test_the_write_ahead_log_is_measured(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "btcbot.db"))
    writer.epoch = 1
    write(writer, 10)

    assert Disk(tmp_path / "btcbot.db", 0).look().wal == (tmp_path / "btcbot.db-wal").stat().st_size
    writer.close()


def test_commits_do_not_lengthen_a_log_that_has_room_ahead(tmp_path: Path) -> None:
    path, log = tmp_path / "btcbot.db", tmp_path / "btcbot.db-wal"
    writer = Writer(str(path))
    writer.epoch = 1
    write(writer, 3)
    Disk(path, 0).lengthen_log()
    write(writer, 200)

    assert log.stat().st_size == pytest.approx(LOG_BYTES, abs=MIB)
    writer.close()


def test_what_was_committed_before_and_after_the_log_was_lengthened_outlives_a_crash(
    tmp_path: Path,
) -> None:
    path = tmp_path / "btcbot.db"
    writer = Writer(str(path))
    writer.epoch = 1
    write(writer, 5)
    Disk(path, 0).lengthen_log()
    write(writer, 5)
    left = tmp_path / "left"  # By a process that was killed: the files, and no good-bye.
    left.mkdir()
    for name in ("btcbot.db", "btcbot.db-wal", "btcbot.db.anchor"):
        (left / name).write_bytes((tmp_path / name).read_bytes())
    head = writer.head
    writer.close()

    assert version_of(left / "btcbot.db") == SCHEMA_VERSION
    assert (left / "btcbot.db-wal").stat().st_size >= LOG_BYTES  # Nothing to lengthen again.
    again = Writer(str(left / "btcbot.db"))
    again.verify()
    assert again.head == head
    write(again, 5)
    again.verify()
    assert again.head == head + 5
    again.close()


def test_a_nearly_full_disk_keeps_its_room_for_facts(small: Path) -> None:
    writer = Writer(str(small / "btcbot.db"))
    writer.epoch = 1
    write(writer, 1)
    before = (small / "btcbot.db-wal").stat().st_size
    Disk(small / "btcbot.db", 0).lengthen_log()

    assert (small / "btcbot.db-wal").stat().st_size == before
    writer.close()
