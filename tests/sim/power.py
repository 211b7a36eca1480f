"""Power cuts on the real writer: what it had acknowledged is there after each of them.

`python -m tests.sim.power [N]`: N cuts with `synchronous=FULL`, in which nothing may be lost, and
as many with `NORMAL`, in which something must be: else the simulated disk loses nothing at all.
"""

import random
import sys
import tempfile
from pathlib import Path
from typing import Final

import click

from btcbot.store.database import PRAGMAS, StoreError
from btcbot.store.vfs import Disk
from btcbot.store.writer import Writer
from tests.store.facts import commit, recorded

FULL, NORMAL = 2, 1
COMMITS_MAX: Final = 12


def lost_by_cut(seed: int, synchronous: int, folder: Path) -> int:
    """Return how many acknowledged facts one power cut took, or -1 for a database it broke.

    The writer commits a few times, with a checkpoint now and then, and the power goes: between two
    calls, or amid one, which was not acknowledged then.
    """
    draw = random.Random(f"power|{seed}")
    disk = Disk(f"power-{seed}-{synchronous}", draw)
    path = folder / f"{seed}-{synchronous}.db"
    try:
        acknowledged = _acknowledged(path, disk, draw, synchronous)
        disk.kill()
        disk.cut_power()
        disk.born()
        return _lost(path, disk, acknowledged)
    finally:
        disk.unregister()


def _acknowledged(path: Path, disk: Disk, draw: random.Random, synchronous: int) -> int:
    """Commit until the power goes; return the last sequence that was acknowledged."""
    writer = Writer(str(path), vfs=disk.name)
    if synchronous != PRAGMAS["synchronous"]:
        writer._execute(f"PRAGMA synchronous={synchronous}").fetchall()
    acknowledged = 0
    disk.fails_at = disk.calls + draw.randint(1, 60) if draw.random() < 0.5 else 0
    try:
        for _ in range(draw.randint(1, COMMITS_MAX)):
            first = writer.head + 1
            commit(writer, *map(recorded, range(first, first + draw.randint(1, 4))))
            acknowledged = writer.head
            if draw.random() < 0.2:
                writer.checkpoint()
    except Exception as error:
        if type(error).__module__ != "apsw":
            raise
    finally:
        disk.kill()
        writer.close()
    return acknowledged


def _lost(path: Path, disk: Disk, acknowledged: int) -> int:
    try:
        writer = Writer(str(path), vfs=disk.name)
    except StoreError:
        return -1
    try:
        # The anchor is on another disk here: whatever is missing is counted, not refused.
        writer._anchor = None
        writer.verify()
        return max(0, acknowledged - writer.head)
    except StoreError:
        return -1
    finally:
        writer.close()


def losses(first: int, count: int, synchronous: int) -> list[int]:
    """Return the seeds of those of `count` cuts that lost or broke something."""
    with tempfile.TemporaryDirectory(prefix="btcbot-power-", dir=_memory()) as name:
        folder = Path(name)
        return [
            seed for seed in range(first, first + count) if lost_by_cut(seed, synchronous, folder)
        ]


def _memory() -> str | None:
    shm = Path("/dev/shm")
    return str(shm) if shm.is_dir() else None


def main(count: int) -> int:
    lost, lost_by_normal = losses(1, count, FULL), losses(1, count, NORMAL)
    click.echo(
        f"{count} power cuts: with FULL {len(lost)} lost something {lost[:5]}, "
        f"with NORMAL {len(lost_by_normal)} did"
    )
    return 7 if lost or not lost_by_normal else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_500))
