"""Every preset trades over several made-up pairs, and a run of it is the same in every process."""

from pathlib import Path

import pytest

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
