"""An actor starts fast: what its process must not have imported, and how long imports may take."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from btcbot.cli import exits
from btcbot.cli.fleet import ACTORS

TERMINAL = {"rich", "click", "textual"}
EXCHANGE = {"httpx", "websockets", "h11"}
OUTSIDE = {"execution", "market_data"}  # Who talks to the exchange.
# uvicorn, which serves the page, imports click and h11 for itself.
PAGE = {"click", "h11"}
IMPORT_MAX_S = 1.5  # 0.2 s on a quiet machine; here to catch a library that costs seconds.

CODE = """
import json, sys, time
start = time.perf_counter()
from btcbot.cli.process import load
load("{name}")
took = time.perf_counter() - start
names = [key for key, found in sys.modules.items() if found]
print(json.dumps([took, sorted({{key.partition(".")[0] for key in names}})]))
"""


@pytest.mark.parametrize("name", ACTORS)
def test_an_actor_imports_no_more_than_it_needs(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", CODE.format(name=name)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    took, modules = json.loads(done.stdout)
    forbidden = TERMINAL | (set() if name in OUTSIDE else EXCHANGE)
    if name == "dashboard":
        forbidden -= PAGE
    assert forbidden & set(modules) == set()
    assert took < IMPORT_MAX_S


def test_execution_refuses_a_damaged_database_for_good_and_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "btcbot.db").write_bytes(b"this was a database once " * 400)

    done = subprocess.run(
        [Path(sys.executable).with_name("btcbot"), "actor", "execution", "--home", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == exits.CONFIG  # No restart mends it, so supervisord makes none.
    assert "restore a backup" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
