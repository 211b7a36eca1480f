"""A fleet on a disk that fills up: it sends nothing, and what is open is still cancelled."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.fleet import QUIET, Exchange, Fleet, resting_orders, until

pytestmark = [pytest.mark.timeout(300), pytest.mark.fleet]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 48 megabytes."""
    folder = tmp_path / "s"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m,mode=700", "none", folder],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("only root may mount a small file system here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path) -> None:
    """Leave a megabyte: less than the quarter of the reserve at which that is given up."""
    with (folder / "filler").open("ab", buffering=0) as file:
        while shutil.disk_usage(folder).free > 1 << 20:
            file.write(bytes(1 << 12))


def states(fleet: Fleet) -> list[tuple[str, str]]:
    """Return every trading state and its reason, from the fact log."""
    return [
        (row["fact"]["state"], row["fact"]["reason"])
        for row in fleet.export("events")
        if row["kind"] == "trading_state_changed"
    ]


def test_a_full_disk_pauses_sending_while_cancels_go_on_and_are_journaled(
    tmp_path: Path, small: Path
) -> None:
    exchange = Exchange(tmp_path)
    fleet = Fleet(
        small / "home",
        BTCBOT__EXCHANGE__REST_URL=exchange.url,
        BTCBOT__STORE__RESERVE_MB="8",
        **QUIET,
    )
    fleet.port = exchange.port
    try:
        assert fleet.up().returncode == 0
        assert (fleet.home / "reserve").stat().st_size == 8 << 20
        with resting_orders(fleet, 3):
            pass
        fill(small)

        until("it is paused", lambda: states(fleet)[-1][0] == "PAUSED", 60, every=0.5)

        assert states(fleet)[-1][1].startswith("disk: full")
        assert not (fleet.home / "reserve").exists()
        assert len(fleet.open_orders()) == 3  # Paused: they stay, and are managed.
        sent = fleet.posts()
        (fleet.home / "run" / "KILL").touch()
        until("nothing is open", lambda: not fleet.open_orders(), 30)
        until("it is journaled", lambda: not fleet.json("orders", "list")["orders"], 30)
        assert fleet.posts() == sent
        assert states(fleet)[-1][0] == "KILLED"

        (small / "filler").unlink()
        until("there is room again", (fleet.home / "reserve").exists, 60)
        until("it may go on", lambda: resumed(fleet), 60, every=1)
        proof = fleet.run("btcbot", "backup", "take")
        assert proof.returncode == 0, proof.stderr
        drill = fleet.run("btcbot", "backup", "drill")
        assert drill.returncode == 0, drill.stderr
    finally:
        fleet.end()
        exchange.end()


def resumed(fleet: Fleet) -> bool:
    return fleet.ctl("resume", "--reason", "there is room", "--yes").returncode == 0
