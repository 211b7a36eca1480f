"""A place that one process may have, a warm standby that waits for it, and who goes first.

The place is an flock: it cannot expire under a holder that is merely paused, and the kernel frees
it the moment the holder is gone, however it went. Who waits has written its pid beside it. While
somebody holds the precedence, everybody else lets the place go: that is how an emergency gets it
before a standby does.
"""

import fcntl
import logging
import os
from pathlib import Path

from bus.zeromq import Locked, lock

log = logging.getLogger("btcbot.bus")


def take(path: Path, *, waits: bool = False) -> int:
    """Return the descriptor of the place `path`; whoever closes it leaves the place.

    The holder's pid stands in the file. Raises Locked when another process has the place or the
    precedence, unless this one `waits`: then it returns when both are gone.
    """
    try:
        held = lock(path)
        if not _is_free(precedence_file(path)):
            os.close(held)
            raise Locked(f"{path}: an emergency has it; this actor starts again when it is over")  # noqa: TRY301
    except Locked:
        if not waits:
            raise
        held = _wait(path)
    _sign(held)
    return held


def take_first(path: Path, precedence: int) -> int | None:
    """Return the descriptor of the place for who holds the `precedence`; None: not free yet."""
    assert precedence >= 0, "an emergency takes the precedence before the place"
    try:
        held = lock(path)
    except Locked:
        return None
    _sign(held)
    return held


def precedence_file(path: Path) -> Path:
    """Return the lock file of the precedence for the place `path`."""
    return path.with_suffix(".first")


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
    fresh = waiting_file(path).with_suffix(f".{os.getpid()}")
    fresh.write_text(f"{os.getpid()}\n", encoding="ascii")
    fresh.replace(waiting_file(path))
    log.info("standby_waits", extra={"path": str(path), "holder": pid_in(path)})
    while True:
        descriptor = _opened(path)
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # A signal's handler runs, and the wait goes on.
        if _is_free(precedence_file(path)):
            log.info("standby_takes_over", extra={"path": str(path)})
            return descriptor
        os.close(descriptor)
        os.close(_after(precedence_file(path)))


def _after(path: Path) -> int:
    """Return a descriptor of `path` once nobody holds it alone."""
    descriptor = _opened(path)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def _is_free(path: Path) -> bool:
    descriptor = _opened(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _sign(held: int) -> None:
    # Over what stands there, never shorter: on a full disk only that needs no room.
    os.pwrite(held, f"{os.getpid():<20}\n".encode(), 0)
