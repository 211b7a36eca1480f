"""The kill file: what names the command that it is, and who may remove it."""

import os
from pathlib import Path

import pytest

from btcbot.killfile import KillFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "KILL"


def touch(path: Path, at_ns: int) -> None:
    """Make or touch the file as a person does, at a time of the test's own."""
    path.touch()
    os.utime(path, ns=(at_ns, at_ns))


def test_no_file_is_no_command(path: Path) -> None:
    assert KillFile(path).look() is None


def test_a_file_is_one_command_however_often_it_is_looked_at_and_another_when_touched(
    path: Path,
) -> None:
    kill_file = KillFile(path)
    touch(path, 1_000_000_000)
    assert [kill_file.look(), kill_file.look()] == [1_000_000_000] * 2
    touch(path, 2_000_000_000)
    assert kill_file.look() == 2_000_000_000


def test_the_one_that_was_looked_at_is_removed(path: Path) -> None:
    kill_file = KillFile(path)
    touch(path, 1_000_000_000)
    kill_file.look()
    kill_file.keep(exists=False)
    assert not path.exists()


def test_one_that_was_touched_since_it_was_looked_at_stays(path: Path) -> None:
    kill_file = KillFile(path)
    touch(path, 1_000_000_000)
    kill_file.look()
    touch(path, 2_000_000_000)
    kill_file.keep(exists=False)
    assert path.exists()


def test_one_that_nobody_looked_at_stays(path: Path) -> None:
    touch(path, 1_000_000_000)
    KillFile(path).keep(exists=False)
    assert path.exists()


def test_a_kill_that_came_another_way_makes_the_file_and_a_resume_removes_it(path: Path) -> None:
    kill_file = KillFile(path)
    kill_file.keep(exists=True)
    assert path.stat().st_mode & 0o777 == 0o600
    kill_file.keep(exists=False)
    assert not path.exists()


def test_a_file_of_a_person_is_not_touched_by_a_kill_that_came_another_way(path: Path) -> None:
    touch(path, 1_000_000_000)
    kill_file = KillFile(path)
    kill_file.keep(exists=True)
    assert path.stat().st_mtime_ns == 1_000_000_000


def test_made_by_us_it_names_the_command_of_its_making(path: Path) -> None:
    kill_file = KillFile(path)
    assert kill_file.make() == path.stat().st_mtime_ns == kill_file.look()


def test_a_folder_that_is_gone_is_no_file_and_what_cannot_be_looked_at_is_an_error(
    tmp_path: Path,
) -> None:
    assert KillFile(tmp_path / "gone" / "KILL").look() is None
    (tmp_path / "plain").touch()
    with pytest.raises(OSError, match="Not a directory"):
        KillFile(tmp_path / "plain" / "KILL").look()
