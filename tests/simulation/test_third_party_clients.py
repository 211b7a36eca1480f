"""Clients that others wrote for the real exchange judge the sandbox; they pass or it is wrong.

They need an environment of their own (they pin other versions): `scripts/judges` makes it.
"""

import os
import subprocess
from pathlib import Path

import pytest

from btcbot.simulation import defaults
from tests.simulation.conftest import Start

CLIENTS = Path(__file__).parents[3] / "shared" / "clients"
PYTHON = os.environ.get("JUDGE_PYTHON", "")


@pytest.mark.parametrize("name", ["ccxt_probe", "btcturk_api_probe"])
def test_a_client_made_for_the_real_exchange_trades_here(start: Start, name: str) -> None:
    if not CLIENTS.is_dir():
        pytest.skip(f"no third-party probes at {CLIENTS}")
    if not PYTHON:
        pytest.skip("JUDGE_PYTHON names no environment with ccxt and btcturk-api")
    running = start()

    done = subprocess.run(
        [
            PYTHON,
            str(CLIENTS / f"{name}.py"),
            running.url,
            defaults.API_KEY,
            defaults.API_SECRET,
            "--fill",
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    failed = [line for line in done.stdout.splitlines() if not line.startswith("PASS")]
    assert done.returncode == 0, "\n".join([*failed, done.stderr[-2_000:]])
    assert "ALL PASSED" in failed[-1]
