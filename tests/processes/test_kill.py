"""Every way into a kill, each alone: socket, file, signal, panic; nothing is open afterwards."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes.agreement import differences
from tests.processes.fleet import QUIET, Exchange, Fleet, resting, resting_orders, until

pytestmark = [pytest.mark.timeout(300), pytest.mark.fleet]


def by_socket(fleet: Fleet) -> None:
    assert fleet.ctl("kill", "--yes", timeout=100).returncode == 0


def by_file(fleet: Fleet) -> None:
    (fleet.home / "run" / "KILL").touch()


def by_signal(fleet: Fleet) -> None:
    fleet.signal("execution", signal.SIGUSR2)


def by_signal_to_the_standby(fleet: Fleet) -> None:
    os.kill(standby(fleet), signal.SIGUSR2)


def standby(fleet: Fleet) -> int:
    [row] = [row for row in fleet.status()["actors"] if row["name"] == "execution"]
    return int(row["standby"]["pid"])


@pytest.mark.parametrize("way", [by_socket, by_file, by_signal, by_signal_to_the_standby])
def test_each_way_of_killing_closes_every_order_and_sends_nothing_more(
    tmp_path: Path, way: Callable[[Fleet], None]
) -> None:
    with resting(tmp_path / "home", 3) as fleet:
        way(fleet)

        until("nothing is open", lambda: not fleet.open_orders(), 15)
        until("it is killed", lambda: fleet.status()["trading_state"] == "KILLED", 5)
        until("it is complete", lambda: not fleet.status()["killing"], 15)
        sent = fleet.posts()
        assert (fleet.home / "run" / "KILL").exists()
        assert fleet.ctl("resume", "--reason", "test", "--yes").returncode == 0
        assert not (fleet.home / "run" / "KILL").exists()
        assert fleet.posts() >= sent


def test_panic_kills_with_control_execution_and_supervisord_out_of_action(tmp_path: Path) -> None:
    with resting(tmp_path / "home", 3) as fleet:
        supervisor = int((fleet.home / "run" / "supervisord.pid").read_text())
        doomed = [standby(fleet), fleet.pid("control"), fleet.pid("execution")]
        os.kill(supervisor, signal.SIGSTOP)  # It starts nobody again.
        for pid in doomed:
            os.kill(pid, signal.SIGKILL)
        try:
            done = fleet.ctl("panic", "--json", timeout=150)

            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)["complete"]
            assert fleet.open_orders() == []
        finally:
            os.kill(supervisor, signal.SIGCONT)
        until("the fleet is back", lambda: fleet.ctl("status").returncode == 0, 20)
        until("execution is back", lambda: fleet.status()["trading_state"] == "KILLED", 20)
        assert differences(fleet) == []


def test_panic_takes_the_place_of_a_live_and_of_a_frozen_execution(tmp_path: Path) -> None:
    with resting(tmp_path / "home", 3) as fleet:
        frozen = fleet.signal("execution", signal.SIGSTOP)

        done = fleet.ctl("panic", timeout=150)

        assert done.returncode == 0, done.stderr
        assert f"ending execution {frozen} (SIGKILL)" in done.stderr
        assert fleet.open_orders() == []
        until("the standby goes on", lambda: is_execution_ready(fleet), 20)
        assert fleet.status()["trading_state"] == "KILLED"


def is_execution_ready(fleet: Fleet) -> bool:
    rows = fleet.status()["actors"]
    return any(row["name"] == "execution" and row["state"] == "READY" for row in rows)


def test_panic_needs_nothing_but_the_exchange(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    fleet = Fleet(tmp_path / "home", BTCBOT__EXCHANGE__REST_URL=exchange.url, **QUIET)
    fleet.port = exchange.port
    try:
        assert fleet.up().returncode == 0
        with resting_orders(fleet, 3):
            os.kill(int((fleet.home / "run" / "supervisord.pid").read_text()), signal.SIGKILL)
        until("no process left", lambda: fleet.processes() == [], 10)

        done = fleet.ctl("panic", timeout=150)

        assert done.returncode == 0, done.stderr
        assert fleet.open_orders() == []
        assert fleet.json("orders", "list")["orders"] == []
        assert fleet.up().returncode == 0
        assert fleet.status()["trading_state"] == "KILLED"
    finally:
        fleet.end()
        exchange.end()
