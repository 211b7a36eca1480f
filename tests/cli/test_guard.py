"""The crash-loop guard: only starts that never arrived count."""

from pathlib import Path

import pytest

from btcbot.cli import guard as guards
from btcbot.cli.guard import Guard

SECOND = 1_000_000_000


@pytest.mark.parametrize("name", ["execution", "strategy"])
def test_five_starts_that_never_arrived_make_a_loop(tmp_path: Path, name: str) -> None:
    guard = Guard(tmp_path, name)

    verdicts = [guard.enter(start * SECOND) for start in range(6)]

    assert verdicts == [False] * 5 + [True]


def test_a_death_after_ready_does_not_count(tmp_path: Path) -> None:
    guard = Guard(tmp_path, "execution")

    for start in range(50):
        assert not guard.enter(start * SECOND)
        (tmp_path / "execution.ready").touch()


def test_slow_deaths_are_no_loop(tmp_path: Path) -> None:
    guard = Guard(tmp_path, "execution")

    assert not any(guard.enter(start * 13 * SECOND) for start in range(50))


def test_another_boot_begins_anew(tmp_path: Path) -> None:
    guard = Guard(tmp_path, "execution")
    for start in range(6):
        guard.enter((1_000 + start) * SECOND)

    assert not guard.enter(5 * SECOND)


def test_a_file_that_was_spoilt_counts_nothing(tmp_path: Path) -> None:
    (tmp_path / "execution.starts").write_bytes(b"12 x")

    assert not Guard(tmp_path, "execution").enter(SECOND)


def test_execution_starts_behind_the_kill_switch_at_once(tmp_path: Path) -> None:
    said = Guard(tmp_path, "execution").hold()

    assert (tmp_path / "KILL").exists()
    assert "KILL" in said


def test_any_other_actor_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "PAUSE_S", 0.01)

    said = Guard(tmp_path, "strategy").hold()

    assert not (tmp_path / "KILL").exists()
    assert "waited" in said
