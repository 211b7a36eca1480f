"""Two execution processes, one place: who waits has nothing, who takes over has everything."""

import os
import signal
import subprocess
import time
from base64 import b64encode
from functools import partial
from pathlib import Path

import pytest

from tests.processes.agreement import differences, settle
from tests.processes.fleet import BIN, QUIET, Fleet, Json, free_port, resting, running, until

pytestmark = [pytest.mark.timeout(600), pytest.mark.fleet]

KILLS = 20
GOAL_S = 1.0


def row(fleet: Fleet) -> Json:
    [found] = [row for row in fleet.status()["actors"] if row["name"] == "execution"]
    return found


def standby(fleet: Fleet) -> int:
    until("a standby waits", lambda: row(fleet)["standby"], 15)
    return int(row(fleet)["standby"]["pid"])


def open_files(pid: int) -> list[str]:
    folder = Path(f"/proc/{pid}/fd")
    return [str(entry.readlink()) for entry in folder.iterdir()]


def memory_of(pid: int) -> bytes:
    """Return everything a process has in memory that it may write to."""
    found = bytearray()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, mode = line.split()[:2]
            if mode.startswith("rw") and "[v" not in line:
                first, last = (int(part, 16) for part in span.split("-"))
                memory.seek(first)
                found += memory.read(last - first)
    return bytes(found)


def test_a_standby_has_no_key_no_database_and_no_connection(tmp_path: Path) -> None:
    key, secret = "a-key-that-stands-nowhere-else", b64encode(b"and a secret of the same kind")
    files = {"BTCBOT__EXCHANGE__API_KEY_FILE": key.encode(),
             "BTCBOT__EXCHANGE__API_SECRET_FILE": secret}  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).write_bytes(text)
        (tmp_path / name).chmod(0o600)
    settings = {name: str(tmp_path / name) for name in files}
    with running(tmp_path / "home", **QUIET, **settings) as fleet:
        waits, lives = standby(fleet), fleet.pid("execution")

        open_there = open_files(waits)
        assert [f for f in open_there if f.startswith(("socket:", "anon_inode:"))] == []
        assert [f for f in open_there if f.startswith(str(fleet.home))] == [
            str(fleet.home / "run" / "exec.lock")
        ]
        assert any(f.endswith("btcbot.db") for f in open_files(lives))
        for text in files.values():  # The same look does find it where it is.
            assert text in memory_of(lives)
            assert text not in memory_of(waits)


def test_takes_over_within_a_second_and_loses_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "home") as fleet:
        until("the first fills", lambda: fleet.export("fills"), 60, every=0.5)
        kills = []
        for _ in range(KILLS):
            waits = standby(fleet)
            old = fleet.pid("execution")
            kills.append(time.time_ns())
            os.kill(old, signal.SIGKILL)
            until("it is back", partial(is_back, fleet, old), 15)
            assert fleet.pid("execution") == waits

        took = sorted(takeovers(fleet, kills))
        assert took[-1] < GOAL_S, f"median {took[len(took) // 2]:.3f} s, worst {took[-1]:.3f} s"
        assert (fleet.home / "run" / "execution.ready").exists()
        assert not (fleet.home / "run" / "KILL").exists()  # No crash loop was seen.
        settle(fleet)
        assert differences(fleet) == []


def is_back(fleet: Fleet, old: int) -> bool:
    found = row(fleet)
    return bool(found["state"] == "READY" and found["pid"] != old)


def takeovers(fleet: Fleet, kills: list[int]) -> list[float]:
    """Return the seconds from each kill to the next life: sockets bound, its epoch at the disk."""
    lives = [row["at_ns"] for row in fleet.export("events") if row["kind"] == "epoch_started"]
    return [(min(at for at in lives if at > killed) - killed) / 1e9 for killed in kills]


def test_a_third_execution_by_hand_is_turned_away_unless_it_waits(tmp_path: Path) -> None:
    with running(tmp_path / "home", **QUIET) as fleet:
        assert fleet.run("btcbot", "actor", "execution").returncode == 75
        assert fleet.run("btcbot", "actor", "strategy", "--standby").returncode == 2
        waiting = subprocess.Popen(
            [BIN / "btcbot", "actor", "execution", "--standby"],
            env=fleet.environment,
            stderr=subprocess.DEVNULL,
        )
        until("it waits", lambda: row(fleet)["standby"] == {"pid": waiting.pid}, 15)
        waiting.send_signal(signal.SIGTERM)
        assert waiting.wait(5) == -signal.SIGTERM
        assert row(fleet)["standby"] is None or row(fleet)["standby"]["pid"] != waiting.pid


def test_forty_orders_are_cancelled_in_five_seconds_and_proven_closed_in_ten(
    tmp_path: Path,
) -> None:
    with resting(tmp_path / "home", 40) as fleet:
        began_ns = time.time_ns()

        done = fleet.json("kill", "--reason", "test")

        deletes = [
            (r["at_ns"] - began_ns) / 1e9
            for r in fleet.truth("requests")
            if r["method"] == "DELETE" and r["at_ns"] > began_ns
        ]
        assert fleet.open_orders() == []
        assert len(deletes) >= 40
        assert 429 not in {r["status"] for r in fleet.truth("requests")}
        assert sorted(deletes)[39] < 5 + 0.5  # With the start of the command itself.
        assert done["took_s"] < 10


def test_another_account_or_exchange_is_refused_until_a_person_says_that_it_is_the_same(
    tmp_path: Path,
) -> None:
    fleet = Fleet(tmp_path / "home", **QUIET)
    try:
        assert fleet.up().returncode == 0
        assert fleet.run("btcbot", "account", "show").returncode == 0
        assert fleet.down().returncode == 0
        key = tmp_path / "other.key"
        key.write_text("another-key-of-another-account\n")
        key.chmod(0o600)
        fleet.environment["BTCBOT__EXCHANGE__API_KEY_FILE"] = str(key)

        by_hand = fleet.run("btcbot", "actor", "execution")

        assert by_hand.returncode == 78
        assert "belongs to account" in by_hand.stderr
        assert "btcbot account move" in by_hand.stderr
        assert fleet.run("btcbot", "account", "show").returncode == 7
        assert fleet.run("btcbot", "account", "move", "--reason", "rotated").returncode == 6
        moved = fleet.run("btcbot", "account", "move", "--reason", "rotated", "--yes")
        assert moved.returncode == 0, moved.stderr
        assert fleet.run("btcbot", "account", "show").returncode == 0

        del fleet.environment["BTCBOT__EXCHANGE__API_KEY_FILE"]
        fleet.environment["BTCBOT__EXCHANGE__REST_URL"] = f"http://127.0.0.1:{free_port()}"
        assert fleet.run("btcbot", "actor", "execution").returncode == 78
    finally:
        fleet.end()
