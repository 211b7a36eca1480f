"""The fleet as a person runs it: started, watched, paused, killed, started again."""

import json
import os
import signal
import time
from functools import partial
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from actors import CODEC
from btcbot.domain.facts import OrderSubmitting
from bus.journal import Checkpoint, Entry, read, segments
from tests.processes.agreement import differences, settle
from tests.processes.fleet import ACTORS, Fleet, Json, resting, running, until

pytestmark = [pytest.mark.timeout(600), pytest.mark.fleet]

STATUS_FIELDS = {
    "ts", "mode", "ready", "trading_state", "trading_state_set", "actors", "feeds", "orders",
    "balances", "positions", "equity", "pnl_day", "limits", "pauses",
}  # fmt: skip


def posts(fleet: Fleet) -> list[int]:
    """Return the arrival times (ns) of every order POST, by the exchange's own log."""
    return [
        row["at_ns"]
        for row in fleet.truth("requests")
        if row["method"] == "POST" and row["path"] == "/api/v1/order"
    ]


def newest_life(fleet: Fleet, actor: str) -> tuple[Json, set[type[Struct]]]:
    """Return the state that the newest life of `actor` began with, and what it has heard since."""
    began, *handled = read(segments(fleet.home / "journal" / actor)[-1])
    assert isinstance(began, Checkpoint)
    frames = [row.frame for row in handled if isinstance(row, Entry)]
    kinds = {type(CODEC.decode(frame).message) for frame in frames}
    return msgspec.msgpack.decode(began.state), kinds


def is_ready(fleet: Fleet) -> bool:
    return bool(fleet.status()["ready"])


def test_trades_within_a_minute_and_leaves_nothing_behind(tmp_path: Path) -> None:
    started = time.monotonic()
    with running(tmp_path / "home") as fleet:
        assert time.monotonic() - started < 10
        status = fleet.status()
        assert status.keys() >= STATUS_FIELDS
        assert {row["name"] for row in status["actors"]} == set(ACTORS)
        until("orders and fills", lambda: fleet.export("fills"), 60, every=1)
        assert fleet.export("orders")
        # What was written reaches the database itself; else the log before it grows for ever.
        database = tmp_path / "home" / "btcbot.db"
        until("a checkpoint", lambda: database.stat().st_size > 4_096, 30)
        stopped = fleet.down()
        assert stopped.returncode == 0, stopped.stderr
        assert fleet.processes() == []
        assert [p for p in (tmp_path / "home").rglob("*") if p.is_socket()] == []


def test_no_order_leaves_after_a_pause_is_acknowledged_and_it_survives_a_restart(
    tmp_path: Path,
) -> None:
    with running(tmp_path / "home") as fleet:
        until("the first POST", lambda: posts(fleet), 60, every=0.5)
        done = fleet.json("pause", "--reason", "test")
        acknowledged = time.time_ns()
        assert done["ack_ms"] < 50
        time.sleep(3)
        assert [at for at in posts(fleet) if at > acknowledged] == []

        fleet.down()
        assert fleet.up().returncode == 0
        assert fleet.status()["trading_state"] == "PAUSED"
        began_with, read_since = newest_life(fleet, "risk_gate")
        assert began_with["sent_ns"]
        assert OrderSubmitting not in read_since
        assert [at for at in posts(fleet) if at > acknowledged] == []
        assert fleet.ctl("resume").returncode in {2, 6}
        assert fleet.ctl("resume", "--reason", "test", "--yes").returncode == 0
        assert fleet.status()["trading_state"] == "LIVE"
        until("a POST after resume", lambda: [t for t in posts(fleet) if t > acknowledged], 60, 0.5)


def test_kill_reports_complete_only_when_every_order_is_closed(tmp_path: Path) -> None:
    with resting(tmp_path / "home", 3) as fleet:
        assert fleet.status()["orders"]["open"] == 3
        killed = fleet.ctl("kill", "--reason", "test", "--yes", timeout=120)
        assert killed.returncode == 0, killed.stderr
        assert [row for row in fleet.truth("orders") if row["is_open"]] == []
        assert fleet.status()["trading_state"] == "KILLED"


def test_every_actor_may_be_killed_and_nothing_is_lost_or_sent_twice(tmp_path: Path) -> None:
    with running(tmp_path / "home") as fleet:
        until("the first fills", lambda: fleet.export("fills"), 60, every=1)
        for actor in ACTORS:
            old = fleet.signal(actor, signal.SIGKILL)
            until(f"{actor} READY again", partial(is_back, fleet, actor, old), 5)
            time.sleep(1)
        settle(fleet)
        assert differences(fleet) == []


def is_back(fleet: Fleet, actor: str, old: int) -> bool:
    """Return whether `actor` is READY under another pid; control itself may be away."""
    done = fleet.ctl("actors", "list", "--json")
    if done.returncode != 0:
        return False
    return any(
        row["name"] == actor and row["state"] == "READY" and row["pid"] != old
        for row in json.loads(done.stdout)["actors"]
    )


def test_a_frozen_actor_is_noticed_and_replaced(tmp_path: Path) -> None:
    with running(tmp_path / "home") as fleet:
        old = fleet.signal("strategy", signal.SIGSTOP)
        until("it is noticed", lambda: not is_ready(fleet), 5)
        until("it is replaced", lambda: is_back(fleet, "strategy", old), 15)


def test_actors_die_with_supervisord_and_one_instance_starts_again(tmp_path: Path) -> None:
    with running(tmp_path / "home") as fleet:
        second = fleet.up()
        assert second.returncode == 75, second.stderr

        supervisor = int((fleet.home / "run" / "supervisord.pid").read_text())
        os.kill(supervisor, signal.SIGKILL)
        until("no process left", lambda: fleet.processes() == [], 10)
        assert fleet.up().returncode == 0
        assert is_ready(fleet)
