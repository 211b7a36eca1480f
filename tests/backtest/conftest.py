"""`btcbot backtest` as a person runs it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Backtest = Callable[..., subprocess.CompletedProcess[str]]
BTCBOT = Path(sys.executable).with_name("btcbot")


@pytest.fixture
def backtest(tmp_path: Path) -> Backtest:
    """Run it in an empty folder, with no settings but those given."""

    def run(*arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("BTCBOT__")}
        return subprocess.run(
            [BTCBOT, "backtest", "-s", "profit_aware", "--home", tmp_path / "home", *arguments],
            cwd=tmp_path,
            env={**clean, "HOME": str(tmp_path), **settings},
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )

    return run
