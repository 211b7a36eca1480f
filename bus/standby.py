"""A place that one process may have, and a warm standby that waits for it.

The place is an flock: it cannot expire under a holder that is merely paused, and the kernel frees
it the moment the holder is gone, however it went. Who waits has written its pid beside it.
"""

import fcntl
import logging
import os
from pathlib import Path

from bus.zeromq import Locked, lock

log = logging.getLogger("btcbot.bus")


def take(path: Path, *, waits: bool = False) -> int:
    """Return the descriptor of the place `path`; whoever closes it leaves the place.

    The holder's pid stands in the file. Raises Locked when another process has the place, unless
    this one `waits`: then it returns when that process is gone.
    """
    try:
        held = lock(path)
    except Locked:
        if not waits:
            raise
        held = _wait(path)
    os.ftruncate(held, 0)
    os.pwrite(held, f"{os.getpid()}\n".encode(), 0)
    return held


def waiting_file(path: Path) -> Path:
    """Return the file that holds the pid of who waits for the place `path`, or waited last."""
    return path.with_suffix(".standby")


def pid_in(path: Path) -> int:
    """Return the pid that stands in `path`; 0 when there is none."""
    try:
        return int(path.read_text(encoding="ascii").strip() or 0)
    except (OSError, ValueError):
        return 0


def _wait(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fresh = waiting_file(path).with_suffix(f".{os.getpid()}")
    fresh.write_text(f"{os.getpid()}\n", encoding="ascii")
    fresh.replace(waiting_file(path))
    log.info("standby_waits", extra={"path": str(path), "holder": pid_in(path)})
    fcntl.flock(descriptor, fcntl.LOCK_EX)  # A signal's handler runs, and the wait goes on.
    log.info("standby_takes_over", extra={"path": str(path)})
    return descriptor
