"""Every `handle` is a function: the same inbox says the same bytes, in any process."""

import hashlib
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import msgspec
import pytest

from btcbot.backtest import ACTORS
from btcbot.domain.control import Asked, Pause, Resume
from btcbot.domain.facts import PauseChanged
from btcbot.domain.words import Side
from tests.builders import BTCTRY, SECOND_NS, START_NS
from tests.stages import Taped, market

ROOT = Path(__file__).parents[2]
HASH_SEEDS = ("0", "12345")


@pytest.fixture(scope="module")
def taped() -> Taped:
    """Return all seven actors after a minute of trading and two commands."""
    taped = Taped()
    pause = Pause(pair=BTCTRY, side=Side.BUY)
    resume = Resume(pair=BTCTRY, side=Side.BUY, reason="enough")
    for second, command in ((20, pause), (25, resume)):
        asked = Asked(connection=second, uid=1000, command=command)
        taped.bus.at(START_NS + second * SECOND_NS, partial(taped.bus.deliver, "control", asked))
    taped.play(market(60))
    return taped


@pytest.fixture(scope="module")
def folds(taped: Taped, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, list[str]]]:
    """Return what two other processes made of the inboxes: by actor, two hashes."""
    folder = tmp_path_factory.mktemp("inboxes")
    for name, tape in taped.tapes.items():
        (folder / name).write_bytes(msgspec.msgpack.encode(tape.handled))
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.actors.replayed", folder],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in HASH_SEEDS
    ]
    ended = [(process.communicate(timeout=100)[0], process.returncode) for process in running]
    assert [code for _, code in ended] == [0, 0]
    lines = [out.splitlines() for out, _ in ended]
    return [{row.split()[0]: row.split()[1:] for row in rows} for rows in lines]


@pytest.mark.parametrize("name", [*ACTORS, "control", "dashboard"])
def test_the_same_inbox_is_answered_with_the_same_bytes_in_every_process(
    taped: Taped, folds: list[dict[str, list[str]]], name: str
) -> None:
    said = hashlib.sha256(b"".join(taped.tapes[name].said))
    last = hashlib.sha256(msgspec.msgpack.encode(taped.bus.state(name)))

    assert [fold[name] for fold in folds] == 2 * [[said.hexdigest(), last.hexdigest()]]


def test_the_inboxes_hold_what_a_day_brings(taped: Taped) -> None:
    assert [fact.is_paused for fact in taped.bus.heard(PauseChanged)] == [True, False]
    for name, tape in taped.tapes.items():
        assert len({frame for _, frame in tape.handled}) > 10, name
        assert name == "dashboard" or len(set(tape.said)) > 1, name
