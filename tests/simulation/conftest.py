"""A real `btcbot sandbox` process, and a signed client of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from btcbot.btcturk.auth import KeyPair
from btcbot.simulation import defaults

BTCBOT = Path(sys.executable).with_name("btcbot")
Json = Any
Start = Callable[..., "Running"]


class Running:
    """One sandbox process."""

    def __init__(self, *arguments: str) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("BTCBOT__")}
        self.process = subprocess.Popen(
            [BTCBOT, "sandbox", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("sandbox: http://"), (line, self.process.communicate(timeout=5))
        self.url = line.split()[1]
        self.ws_url = self.url.replace("http", "ws") + "/ws"
        self.keys = KeyPair(defaults.API_KEY, defaults.API_SECRET)
        self.http = httpx.Client(base_url=self.url, trust_env=False, timeout=10)

    def get(self, path: str, **params: Any) -> Json:
        """Ask something public; it must be answered 200."""
        answer = self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask something private, signed now."""
        headers = self.keys.headers(time.time_ns() // 1_000_000)
        return self.http.request(method, f"/api/v1/{path}", headers=headers, **more)

    def data(self, path: str, **params: Any) -> Json:
        answer = self.call("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def submit(self, **fields: str) -> httpx.Response:
        body = {"pairSymbol": "BTCTRY", "orderType": "buy", "orderMethod": "limit", **fields}
        return self.call("POST", "order", json=body)

    def truth(self, name: str) -> Json:
        return self.get(f"/__truth__/{name}")

    def bid(self, pair: str = "BTCTRY") -> int:
        return int(self.get("/api/v2/orderbook", pairSymbol=pair)["data"]["bids"][0][0])

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; return the exit code."""
        self.http.close()
        self.process.send_signal(number)
        self.process.communicate(timeout=10)
        return self.process.returncode


@pytest.fixture
def start() -> Iterator[Start]:
    """Give what starts sandboxes; all of them are gone at the end."""
    running: list[Running] = []

    def begin(*arguments: str) -> Running:
        running.append(Running(*arguments))
        return running[-1]

    yield begin
    for one in running:
        if one.process.poll() is None:
            one.end(signal.SIGKILL)


@pytest.fixture(scope="module")
def shared() -> Iterator[Running]:
    """Give one sandbox for tests that only look, or do not mind what others did."""
    running = Running()
    yield running
    running.end(signal.SIGKILL)
