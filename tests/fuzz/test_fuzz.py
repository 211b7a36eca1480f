"""Spoilt inputs: read or refused by whatever reads them, and nothing else."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors import control as actor
from btcbot.catalog import segments
from btcbot.domain import control as ctl
from btcbot.layers import ConfigError
from btcbot.simulation.faults import Profile
from bus import journal
from tests.fuzz import configs, control, files, run
from tests.fuzz.spoil import Broken

SEED = 20_261_126


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings and no home but those of a test."""
    for name in [name for name in os.environ if name.startswith("BTCBOT__")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/tmp/none")
    monkeypatch.chdir(tmp_path)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("target", "count", "outcomes"),
    [
        (control.frames, 50_000, {("control", "taken"), ("control", "refused")}),
        (control.streams, 2_000, {("control stream", "answered"), ("control stream", "silent")}),
        (files.journals, 50_000, {("journal", "refused"), ("journal", "read")}),
        (files.raw_segments, 50_000, {("segment", "damaged"), ("segment", "whole")}),
        (
            configs.files, 20_000,
            {("config", "taken"), ("config", "refused"), ("faults", "taken"),
             ("faults", "refused")},
        ),
    ],
)  # fmt: skip
def test_spoilt_inputs_break_nothing(
    target: run.Target, count: int, outcomes: set[tuple[str, str]]
) -> None:
    counts = target(count, SEED)

    assert sum(counts.values()) == count
    for outcome in outcomes:  # It was given what it can take and what it cannot.
        assert counts[outcome] > count / 1_000, outcome


@pytest.mark.parametrize("name", run.TARGETS)
def test_one_seed_spoils_in_one_way(name: str) -> None:
    target = run.TARGETS[name]

    assert target(200, 5) == target(200, 5)


# --- each oracle, against what it has to see --------------------------------------------------

_journal_read, _segment_read, _segment_verify = journal.read, segments.read, segments.verify


def _forgiving(path: Path) -> Iterator[Any]:
    """Pass over what does not add up, as no reader of a journal may."""
    raw = path.read_bytes()
    at = 0
    while at + files.HEAD <= len(raw):
        end = at + files.HEAD + int.from_bytes(raw[at : at + 4], "little")
        if end > len(raw):
            return
        yield msgspec.msgpack.decode(raw[at + files.HEAD : end])
        at = end


def _credulous(path: Path) -> segments.Report:
    return msgspec.structs.replace(_segment_verify(path), is_altered=False)


def _silent(deliver: Any, _respond: Any) -> Callable[[int, int, bytes], None]:
    def receive(connection: int, uid: int, frame: bytes) -> None:
        try:
            command = msgspec.msgpack.decode(frame, type=ctl.AnyCommand)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return
        deliver(ctl.Asked(connection=connection, uid=uid, command=command))

    return receive


def _half(path: Path) -> Any:
    try:
        return profile_of(path)
    except ConfigError:
        return Profile()


profile_of = configs.profile


@pytest.mark.parametrize(
    ("where", "name", "worse", "target", "words"),
    [
        (journal, "read", _forgiving, files.journals, "not the first that were written|Error"),
        (segments, "verify", _credulous, files.raw_segments, "sound, and not what was written"),
        (actor, "receiver", _silent, control.frames, "0 messages and 0 answers"),
        (configs, "profile", _half, configs.files, "is in effect|TOMLDecodeError"),
    ],
)
def test_a_reader_that_breaks_its_promise_is_seen(
    monkeypatch: pytest.MonkeyPatch, where: Any, name: str, worse: Any, target: run.Target,
    words: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(where, name, worse)

    with pytest.raises(Exception, match=words) as seen:
        target(5_000, SEED)
    assert isinstance(seen.value, Broken) or "TOML" in type(seen.value).__name__


def test_the_command_line_names_its_targets(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["10", "1", "nothing"]) == 2
    assert "exchange | control | stream | journal | segment | config" in capsys.readouterr().err
    assert run.main(["50", "1", "journal", "control"]) == 0
    assert "journal: 50 inputs of seed 1" in capsys.readouterr().out
