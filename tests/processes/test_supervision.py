"""Starting, stopping and refusing to start, with real processes."""

import json
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from btcbot.simulation.defaults import API_SECRET
from tests.processes.fleet import ACTORS, BIN, Fleet, free_port, until

pytestmark = [pytest.mark.timeout(300), pytest.mark.fleet]


def is_ready(fleet: Fleet) -> bool:
    done = fleet.ctl("status", "--json")
    return done.returncode == 0 and bool(json.loads(done.stdout)["ready"])


def test_ctrl_c_on_a_fleet_in_the_foreground_leaves_nothing(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "home")
    up = subprocess.Popen([BIN / "btcbot", "up"], env=fleet.environment)
    try:
        until("READY", lambda: is_ready(fleet), 30)

        assert_logs_are_public(fleet)
        assert_files_are_ours(fleet)
        assert fleet.run("btcbot", "actor", "strategy").returncode == 75
        assert fleet.run("btcbot", "up").returncode == 75
        up.send_signal(signal.SIGINT)

        assert up.wait(60) == 0
        assert fleet.processes() == []
        assert fleet.down().returncode == 3
        assert not [path for path in (fleet.home / "run").iterdir() if path.is_socket()]
    finally:
        fleet.end()
        up.wait(10)


def assert_logs_are_public(fleet: Fleet) -> None:
    """Every line has the public fields; none has the secret, plain or in hex."""
    for name in (*ACTORS, "sandbox", "supervisord"):
        text = (fleet.home / "log" / f"{name}.log").read_text()
        assert API_SECRET not in text
        assert API_SECRET.encode().hex() not in text
        if name in ACTORS:
            for line in map(json.loads, text.splitlines()):
                assert {"ts", "level", "actor", "run_id", "mode", "event"} <= set(line)
                assert (line["actor"], line["mode"]) == (name, "sandbox")


def assert_files_are_ours(fleet: Fleet) -> None:
    """Nobody else can read a file or look into a folder; no secret is an argument."""
    for path in (fleet.home, *fleet.home.rglob("*")):
        assert not stat.S_IMODE(path.lstat().st_mode) & 0o077, path
    for pid in fleet.processes():
        assert API_SECRET.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_without_an_exchange_it_names_who_is_not_ready_and_can_be_stopped(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "home", BTCBOT__EXCHANGE__REST_URL=f"http://127.0.0.1:{free_port()}")
    try:
        started = fleet.run("btcbot", "up", "--detach", "--wait", "8")

        assert started.returncode == 1
        assert "market_data (" in started.stderr
        assert not (fleet.home / "log" / "sandbox.log").exists()  # It was never started.
        assert fleet.down().returncode == 0
        assert fleet.processes() == []
    finally:
        fleet.end()


def test_an_actor_that_is_ended_is_started_again_and_counted(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "home")
    try:
        assert fleet.up().returncode == 0
        old = fleet.signal("dashboard", signal.SIGKILL)
        since = time.monotonic()
        until(
            "dashboard is back",
            lambda: (
                (row := actor_row(fleet, "dashboard"))["state"] == "READY" and row["pid"] != old
            ),
            5,
        )

        assert time.monotonic() - since < 5
        assert actor_row(fleet, "dashboard")["restarts"] == 1
    finally:
        fleet.end()


def actor_row(fleet: Fleet, name: str) -> dict[str, object]:
    [row] = [row for row in fleet.status()["actors"] if row["name"] == name]
    assert isinstance(row, dict)
    return row
