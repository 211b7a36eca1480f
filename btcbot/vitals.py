"""What the kernel and the disk say of an actor's process: memory, restarts, and ending it."""

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from btcbot.domain.status import Life

Heard = tuple[int, str, float]
"""Of an actor's last heartbeat: pid, state, age in seconds."""


def lives(
    heard: Mapping[str, Heard], journal: Path, fleet_file: Path, standby_file: Path
) -> dict[str, Life]:
    """Return each actor's process for the status document; see `restarts` for the two paths.

    `standby_file` holds the pid of who waits for execution's place.
    """
    return {
        name: Life(
            pid=pid,
            state=state,
            age_s=age_s,
            restarts=restarts(journal / name, fleet_file),
            rss_mb=rss_mb(pid),
            standby_pid=standby(name, standby_file) if name == "execution" else None,
        )
        for name, (pid, state, age_s) in heard.items()
    }


def title_of(actor: str) -> str:
    """Return what an actor's process is called in the process list."""
    return f"btcbot: {actor}"


def standby_title_of(actor: str) -> str:
    """Return what the process is called that waits for an actor's place."""
    return f"{title_of(actor)} standby"


def standby(actor: str, file: Path) -> int | None:
    """Return the pid of the actor's warm standby; None when nobody waits.

    The file names who waited last; what that process is now, its title tells.
    """
    with suppress(OSError, ValueError):
        pid = int(file.read_text(encoding="ascii"))
        if _title(pid) == standby_title_of(actor):
            return pid
    return None


def _title(pid: int) -> str:
    """Return what a process calls itself. Raises OSError when there is none."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode().rstrip()


def rss_mb(pid: int) -> float | None:
    """Return resident memory in MiB; None when there is no such process."""
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)
    return None


def restarts(journal: Path, fleet_file: Path) -> int:
    """Return how often an actor was started again since the fleet was.

    `journal` is the actor's folder: each life begins a segment named by its epoch, which is the
    time it began. `fleet_file` is written once per fleet. So a restart of control forgets nothing.
    """
    began_ns = 0
    with suppress(OSError):
        began_ns = fleet_file.stat().st_mtime_ns
    epochs = set()
    with suppress(OSError):
        for name in os.listdir(journal):  # noqa: PTH208 - names are all that is needed
            epoch = name.partition("-")[0]
            if epoch.isdigit() and int(epoch) >= began_ns:
                epochs.add(epoch)
    return max(len(epochs) - 1, 0)


def end(actor: str, pid: int, number: signal.Signals) -> bool:
    """Send a signal to the process `pid`, if it is the actor's; return whether it was sent.

    The handle is of one process for good: a number that was used again is not signalled.
    """
    if pid <= 1:
        return False
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if _title(pid) != title_of(actor):
            return False
        signal.pidfd_send_signal(handle, number)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
