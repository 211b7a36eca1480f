"""Record a fleet that trades and is killed, then replay it.

What is recorded past midnight (UTC) is replayed as two days.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.processes.fleet import ACTORS, Fleet, running


def record(fleet: Fleet, minutes: float, seed: int) -> int:
    """Let the fleet trade for `minutes`, killing an actor now and then; return how many."""
    draw, kills = random.Random(seed), 0
    end_s = time.monotonic() + 60 * minutes
    while time.monotonic() < end_s:
        time.sleep(draw.uniform(10, 30))
        rows = {row["name"]: row for row in fleet.status()["actors"]}
        actor = draw.choice(ACTORS)
        if rows[actor]["state"] == "READY" and rows[actor]["pid"]:
            fleet.signal(actor, signal.SIGKILL)
            kills += 1
            time.sleep(5)  # It is heard of again, and so is control.
    return kills


def main(minutes: float, seed: int) -> int:
    began = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="btcbot-replay-") as folder:
        with running(Path(folder) / "home") as fleet:
            kills = record(fleet, minutes, seed)
            fleet.down()
        days = dict.fromkeys(at.strftime("%Y-%m-%d") for at in (began, datetime.now(UTC)))
        codes = []
        for day in days:
            done = fleet.run("btcbot", "replay", day, "--verify", timeout=3_600)
            sys.stdout.write(f"{day}, {kills} kills\n{done.stdout}{done.stderr}")
            codes.append(done.returncode)
    return max(codes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    sys.exit(main(given.minutes, given.seed))
