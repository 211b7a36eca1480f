"""A real fleet in a temporary home: supervisord, seven actors and the sandbox exchange."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ACTORS = (
    "market_data",
    "strategy",
    "risk_gate",
    "execution",
    "accounting",
    "control",
    "dashboard",
)
BIN = Path(sys.executable).parent
Json = Any


class Fleet:
    """Drives one fleet as a user would: through `btcbot` and `btcbot-ctl` alone."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self.port = free_port()
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("BTCBOT__")},
            "BTCBOT__HOME": str(home),
            "BTCBOT__SANDBOX__PORT": str(self.port),
            "BTCBOT__DASHBOARD__PORT": str(free_port()),
            "NO_COLOR": "1",
            **settings,
        }

    def run(
        self, program: str, *args: str, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BIN / program), *args],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def up(self) -> subprocess.CompletedProcess[str]:
        return self.run("btcbot", "up", "--detach")

    def down(self) -> subprocess.CompletedProcess[str]:
        return self.run("btcbot", "down")

    def ctl(self, *args: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return self.run("btcbot-ctl", *args, timeout=timeout)

    def json(self, *args: str) -> Json:
        """Return what `btcbot-ctl ... --json` says; fails with its stderr."""
        done = self.ctl(*args, "--json")
        assert done.returncode == 0, f"{args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    def status(self) -> Json:
        return self.json("status")

    def export(self, what: str) -> list[Json]:
        done = self.run("btcbot", "export", what, "--format", "jsonl")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def truth(self, what: str) -> Json:
        """Return the exchange's own view; the bot never sees it."""
        url = f"http://127.0.0.1:{self.port}/__truth__/{what}"
        with urllib.request.urlopen(url, timeout=10) as reply:
            return json.load(reply)

    def open_orders(self) -> list[int]:
        """Return the exchange's ids of what is open there."""
        return [row["id"] for row in self.truth("orders") if row["is_open"]]

    def posts(self) -> int:
        """Return how many POSTs of orders the exchange has heard."""
        return sum(
            row["method"] == "POST" and row["path"] == "/api/v1/order"
            for row in self.truth("requests")
        )

    def pid(self, actor: str) -> int:
        [row] = [row for row in self.status()["actors"] if row["name"] == actor]
        return int(row["pid"])

    def signal(self, actor: str, number: signal.Signals) -> int:
        pid = self.pid(actor)
        os.kill(pid, number)
        return pid

    def processes(self) -> list[int]:
        """Return every live process that carries this home in its environment."""
        needle = f"BTCBOT__HOME={self.home}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    if needle in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
        return found

    def end(self) -> None:
        """Leave nothing behind, whatever happened."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.down()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def running(home: Path, **settings: str) -> Iterator[Fleet]:
    """Yield a fleet that is READY; stop it afterwards."""
    fleet = Fleet(home, **settings)
    try:
        started = fleet.up()
        assert started.returncode == 0, f"{started.stdout}\n{started.stderr}"
        yield fleet
    finally:
        fleet.end()


class Exchange:
    """A sandbox exchange of its own, which outlives the fleet."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process = subprocess.Popen(
            [BIN / "btcbot", "sandbox", "--port", str(self.port)],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(10)


QUIET = {
    "BTCBOT__STRATEGY__PARAMS": "{entry_dip_bps = 2000.0}",  # It never buys.
    "BTCBOT__ORDERS__DRIFT_MAX_BPS": "10000",  # Orders that rest far away stay.
}


@contextlib.contextmanager
def resting(home: Path, count: int, **settings: str) -> Iterator[Fleet]:
    """Yield a fleet with `count` orders that rest far below the market, and nothing else to do."""
    limits = {
        "BTCBOT__RISK__OPEN_ORDERS_MAX": "40",
        "BTCBOT__RISK__ORDERS_PER_MINUTE_MAX": "120",
        "BTCBOT__RISK__PAIR_OPEN_ORDERS_MAX": "40",
        "BTCBOT__RISK__DECISION_ORDERS_MAX": "40",
        "BTCBOT__RISK__BUY_COOLDOWN_MS": "0",
    }
    with running(home, **QUIET, **limits, **settings) as fleet, resting_orders(fleet, count):
        yield fleet


@contextlib.contextmanager
def resting_orders(fleet: Fleet, count: int) -> Iterator[None]:
    """Put another strategy in the place of the fleet's own, until `count` orders rest."""
    strategy = subprocess.Popen(
        [sys.executable, "-m", "tests.processes.resting", str(fleet.home / "run"), str(count)],
        cwd=Path(__file__).parents[2],
        env=fleet.environment,
    )
    try:
        fleet.signal("strategy", signal.SIGKILL)
        until(f"{count} orders rest", lambda: len(fleet.open_orders()) >= count, 60)
        yield
    finally:
        strategy.kill()
        strategy.wait()


def until(what: str, is_so: Callable[[], object], seconds: float, every: float = 0.1) -> float:
    """Wait until `is_so()`; return the seconds it took, or fail naming `what`."""
    start = time.monotonic()
    while True:
        if is_so():
            return time.monotonic() - start
        took = time.monotonic() - start
        assert took < seconds, f"{what}: not within {seconds} s"
        time.sleep(every)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
