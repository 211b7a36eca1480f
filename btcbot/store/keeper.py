"""What is done to the database besides writing it: checkpoints, copies, a look at the disk.

All of it waits for disks, so it happens in a thread with connections of its own: neither a
checkpoint nor a copy ever stands between an order and its commit. A passive checkpoint takes no
lock that a writer needs.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import apsw
from msgspec import Struct

from btcbot.domain.messages import DiskSeen
from btcbot.store.backup import Stopped, back_up, backups, taken_ns
from btcbot.store.database import BUSY_MS, StoreError, checkpoint
from btcbot.store.disk import Disk

log = logging.getLogger("btcbot.store")
SECOND_NS: Final = 1_000_000_000
BREATH_S: Final = 0.002  # Between two parts of a copy: others use the disk, too.


class Copies(Struct, frozen=True, kw_only=True):
    """Where copies go, how often, and how many are kept."""

    folder: Path
    every_s: int  # 0: none is taken.
    keep: int


class Keeper:
    """One thread; `tidy` gives it something to do, unless it is still at work."""

    def __init__(
        self,
        database: Path,
        disk: Disk,
        copies: Copies,
        tell: Callable[[DiskSeen], None],
        now_ns: Callable[[], int],
    ) -> None:
        """`tell` is called in the keeper's thread."""
        self._database, self._disk, self._copies = database, disk, copies
        self._tell, self._now_ns = tell, now_ns
        self._stopping = threading.Event()
        self._thread = ThreadPoolExecutor(1, "keeper")
        self._work: Future[None] | None = None
        self._connection: apsw.Connection | None = None
        self._trouble = ""

    def tidy(self) -> None:
        """Have it done soon; returns at once."""
        if self._work is None or self._work.done():
            self._work = self._thread.submit(self._tidy)

    def close(self) -> None:
        """End the thread; a copy under way is given up."""
        self._stopping.set()
        self._thread.shutdown(wait=True)
        if self._connection is not None:
            self._connection.close()

    def _tidy(self) -> None:
        try:
            self._checkpoint()
            self._back_up()
            self._trouble = ""
        except Stopped:
            return
        except (apsw.Error, OSError, StoreError) as error:
            self._trouble = f"{type(error).__name__}: {error}"
            log.error("keeping_failed", extra={"error": self._trouble})  # noqa: TRY400
        room = self._disk.look()
        self._tell(
            DiskSeen(
                is_reserved=room.is_reserved,
                free=room.free,
                wal=room.wal,
                trouble=self._trouble,
            )
        )

    def _checkpoint(self) -> None:
        """Empty the log, so that it is written from its begin. Raises StoreError: there is none."""
        if self._connection is None:
            self._connection = apsw.Connection(str(self._database))
            self._connection.set_busy_timeout(BUSY_MS)
        if not checkpoint(self._connection):
            raise StoreError(f"{self._database}: has no write-ahead log; it would grow for ever")

    def _back_up(self) -> None:
        copies, now_ns = self._copies, self._now_ns()
        newest_ns = max(map(taken_ns, backups(copies.folder)), default=0)
        if copies.every_s and abs(now_ns - newest_ns) >= copies.every_s * SECOND_NS:
            copy = back_up(self._database, copies.folder, now_ns, copies.keep, self._breathe)
            log.info("backup_taken", extra={"path": str(copy), "bytes": copy.stat().st_size})

    def _breathe(self) -> None:
        if self._stopping.wait(BREATH_S):
            raise Stopped
