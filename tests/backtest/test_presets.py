"""Every preset trades over several made-up pairs, and a run of it is the same in every process."""

import json
from pathlib import Path

import pytest

from btcbot.catalog import forms
from btcbot.domain.recorded import BookSet
from tests.backtest import presets


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("presets")
    made.chmod(0o700)
    presets.made_up(made, presets.PAIRS[4:7], minutes=6)
    return made


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_a_preset_trades_and_both_of_its_runs_are_the_same_bytes(home: Path, preset: str) -> None:
    played = presets.play(home, preset, ("--data", "made-up", "--pair", "all"))

    assert played.is_fine, played


def frame(at_ms: int, what: str, **data: object) -> str:
    told = {"stream": f"btcusdt@{what}", "data": data} if what else data
    return f"{1_723_161_000_000 + at_ms}000000 {json.dumps(told)}\n"


RECORDED = (
    frame(1_000, "depth@100ms", E=1_500, U=5, u=6, b=[], a=[["7.0", "1"]]),
    frame(1_050, "depth@100ms", E=1_550, U=7, u=8, b=[["10.5", "2"]], a=[]),
    frame(1_100, "", lastUpdateId=6, bids=[["10", "1"]], asks=[["11", "1"]]),
    frame(1_200, "trade", E=1_700, T=1_699, t=3, p="11", q="0.5", m=False),
    frame(1_300, "depth@100ms", E=1_800, U=9, u=12, b=[["10.5", "0"]], a=[]),
)


def test_a_recording_is_played_over_and_over_until_the_minutes_are_over(tmp_path: Path) -> None:
    lines = list(presets.again_and_again(RECORDED, minutes=1))
    played = tmp_path / "again.jsonl"
    played.write_text("".join(lines))

    times = [int(line.split()[0]) for line in lines]
    assert times == sorted(times)
    assert 59_000_000_000 < times[-1] - times[0] <= 60_000_000_000
    events = list(forms.play((played,)))  # Raises if a change is missing, or a book is crossed.
    begun = [event for event in events if isinstance(event, BookSet)]
    assert len(begun) == 151
    assert all(event.asks == begun[0].asks for event in begun)
    trades = [json.loads(line.partition(" ")[2])["data"]["t"] for line in lines if "@trade" in line]
    assert trades == list(range(3, 3 + len(trades)))
