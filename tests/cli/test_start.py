"""An actor starts fast: what its process must not have imported, and how long imports may take."""

import json
import subprocess
import sys

import pytest

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
