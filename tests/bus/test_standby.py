"""One place for one process: who waits gets it the moment it is free, an emergency before that."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bus.standby import pid_in, precedence_file, take, take_first, waiting_file
from bus.zeromq import Locked, lock

WAITS = """
import sys, time
from pathlib import Path
from bus.standby import take
take(Path(sys.argv[1]), waits=True)
print("has it", flush=True)
time.sleep(60)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "exec.lock"


class Waiting:
    """Another process that waits for the place."""

    def __init__(self, place: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WAITS, place],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        give_up = time.monotonic() + 20
        while pid_in(waiting_file(place)) != self.process.pid:
            assert time.monotonic() < give_up
            time.sleep(0.01)

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


class Holding(Waiting):
    """A process that found the place free."""

    def __init__(self, place: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WAITS, place],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.line() == "has it"


def test_the_holder_has_written_its_pid(place: Path) -> None:
    held = take(place)

    assert pid_in(place) == os.getpid()
    os.close(held)


def test_nobody_gets_a_place_that_is_taken(place: Path) -> None:
    held = take(place)

    with pytest.raises(Locked, match="another process holds it"):
        take(place)
    os.close(held)
    os.close(take(place))


def test_who_waits_gets_the_place_when_the_holder_is_killed(place: Path) -> None:
    first = Holding(place)
    second = Waiting(place)
    try:
        first.process.send_signal(signal.SIGKILL)

        assert second.line() == "has it"
        assert pid_in(place) == second.process.pid
    finally:
        first.end()
        second.end()


def test_an_emergency_has_the_place_before_who_waited_longer(place: Path) -> None:
    holder = Holding(place)
    standby = Waiting(place)
    precedence = lock(precedence_file(place))
    try:
        assert take_first(place, precedence) is None
        holder.process.kill()
        give_up = time.monotonic() + 20
        while (held := take_first(place, precedence)) is None:
            assert time.monotonic() < give_up
            time.sleep(0.01)

        assert pid_in(place) == os.getpid()
        with pytest.raises(Locked):
            take(place)
        os.close(held)
        with pytest.raises(Locked, match="an emergency has it"):
            take(place)
        os.close(precedence)
        assert standby.line() == "has it"
    finally:
        holder.end()
        standby.end()


def test_a_file_without_a_pid_names_nobody(tmp_path: Path) -> None:
    (tmp_path / "spoilt").write_bytes(b"12 x")

    assert pid_in(tmp_path / "spoilt") == 0
    assert pid_in(tmp_path / "missing") == 0
