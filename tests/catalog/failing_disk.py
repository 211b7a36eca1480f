"""A process that captures on a disk that fails, then mends it: run by test_capture.py.

failing_disk.py FOLDER full|floor|forbidden prints one JSON object: what was logged, and the counts.
full and floor want FOLDER to be the root of a small disk of its own.
"""

import asyncio
import json
import logging
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from btcbot.catalog.bounds import CaptureBounds
from btcbot.catalog.capture import Capture
from bus.clock import SystemClock

NOBODY = 65_534


class Heard(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.events.append((record.getMessage(), str(vars(record).get("error", ""))))


def breaking(folder: Path, how: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Return what breaks the disk and what mends it."""
    if how == "forbidden":
        return lambda: folder.chmod(0o500), lambda: folder.chmod(0o700)
    filler = folder / "filler"
    return lambda: filler.write_bytes(bytes(6_000_000)), filler.unlink


async def main(folder: Path, how: str, heard: Heard) -> dict[str, Any]:
    break_it, mend_it = breaking(folder, how)
    bounds = CaptureBounds(disk_free_min_mb=4 if how == "floor" else 0)
    noise = random.Random(1)
    if how == "forbidden":  # An open file may be written whatever its folder says.
        break_it()
    capture = Capture(folder / "raw", "market_data", bounds, SystemClock(), look_s=0.05)

    async def feed_until(is_so: Callable[[], bool]) -> int:
        sent = 0
        async with asyncio.timeout(30):
            while not is_so():
                capture("ws.public", 1, noise.randbytes(20_000))
                sent += 1
                await asyncio.sleep(0.002)
        return sent

    sent = 0
    if how != "forbidden":
        sent += await feed_until(lambda: capture.kept > 20)
        break_it()
    sent += await feed_until(lambda: capture.lost > 100)
    trouble = capture.trouble
    kept = capture.kept
    mend_it()
    sent += await feed_until(lambda: capture.kept > kept and not capture.trouble)
    capture.close()
    return {
        "events": heard.events,
        "trouble": trouble,
        "sent": sent,
        "kept": capture.kept,
        "lost": capture.lost,
    }


if __name__ == "__main__":
    place, kind = Path(sys.argv[1]), sys.argv[2]
    if os.geteuid() == 0 and kind == "forbidden":  # Nothing is forbidden to root.
        os.chown(place, NOBODY, NOBODY)
        os.setuid(NOBODY)
    listener = Heard()
    logging.basicConfig(handlers=[listener], level=logging.INFO)
    result = asyncio.run(main(place, kind, listener))
    sys.stdout.write(json.dumps(result))
