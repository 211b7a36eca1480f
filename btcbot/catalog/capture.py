"""Raw capture inside a process that has better things to do: hears all, waits for nothing.

What is heard is in the kernel's hands 250 ms later. A disk that is full or cannot be written stops
capture, with an error event that names the cause and what to do; whoever captures goes on without.
Every few seconds it is tried again, and the first segment after that says how much is missing.
Syncing and deleting are done on a thread: both may take their time.
"""

import asyncio
import errno
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from btcbot.catalog.bounds import MB, CaptureBounds
from btcbot.catalog.disk import free_bytes, prune
from btcbot.catalog.segments import (
    SECOND_NS,
    Acknowledged,
    Captured,
    SegmentWriter,
    sync_and_close,
)

log = logging.getLogger("btcbot.catalog")
FLUSH_S: Final = 0.25
LOOK_S: Final = 5.0
REMIND_NS: Final = 600 * SECOND_NS
WITHHELD: Final = " (withheld: it held a secret of ours)"
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_RIGHT: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR})


class Clock(Protocol):
    def now_ns(self) -> int: ...

    def monotonic_ns(self) -> int: ...


class Capture:
    """Keeps what one writer hears in `root`/`writer`; called with each frame and reply.

    Needs a running event loop. Never raises for the disk's sake.
    """

    def __init__(  # noqa: PLR0913 - what differs between one writer and another
        self,
        root: Path,
        writer: str,
        bounds: CaptureBounds,
        clock: Clock,
        *,
        on_flush: Callable[[tuple[Acknowledged, ...]], None] = lambda _done: None,
        is_secret: Callable[[bytes], bool] = lambda _payload: False,
        look_s: float = LOOK_S,
    ) -> None:
        """`on_flush` hears what the kernel has taken. A payload that `is_secret` is not kept."""
        self._root, self._bounds, self._clock = root, bounds, clock
        self.folder = root / writer
        self._on_flush, self._is_secret, self._look_s = on_flush, is_secret, look_s
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="capture")
        self._segments = SegmentWriter(
            self.folder,
            writer,
            clock.now_ns(),
            segment_max=bounds.rotate_mb * MB,
            period_ns=bounds.rotate_s * SECOND_NS,
            seal=self._sync_later,
        )
        self._loop = asyncio.get_running_loop()
        self._flushing: asyncio.TimerHandle | None = None
        self._looking = self._loop.call_soon(self._look)
        self._is_stopped = False
        self._told_ns = 0
        self.trouble = ""  # Why nothing is kept; empty while all is.
        self.last_trouble = ""  # The same, and remembered.

    @property
    def path(self) -> Path | None:
        """The segment that is open."""
        return self._segments.path

    @property
    def kept(self) -> int:
        """How many frames and replies of this life the kernel has."""
        return self._segments.kept

    @property
    def lost(self) -> int:
        """How many were heard and could not be kept."""
        return self._segments.lost

    def __call__(self, source: str, session: int, payload: bytes) -> None:
        """Take one frame or reply, heard just now."""
        now_ns = self._clock.now_ns()
        if self._is_stopped:
            self._segments.lose(1, now_ns)
            return
        if self._is_secret(payload):
            log.error("capture_withheld", extra={"error": f"{source}: it holds a secret of ours"})
            source, payload = source + WITHHELD, b""
        self._segments.append(
            Captured(now_ns, source, session, payload, self._clock.monotonic_ns())
        )
        if self._flushing is None:
            self._flushing = self._loop.call_later(FLUSH_S, self.flush)
        elif self._segments.is_full:
            self.flush()

    def flush(self) -> None:
        """Hand over what waits; a failure stops capture."""
        self._do(self._segments.flush)

    def close(self) -> None:
        """Seal the segment; it is on the disk when this returns."""
        self._looking.cancel()
        self._do(self._segments.close)
        self._worker.shutdown()

    def _do(self, work: Callable[[int], tuple[Acknowledged, ...]]) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        try:
            done = work(self._clock.now_ns())
        except OSError as error:
            self._stop(*_cause(error, self._root))
            return
        if done and self.trouble:
            log.warning("capture_resumed", extra={"lost": self.lost})
            self.trouble = ""
        if done:
            self._on_flush(done)

    def _stop(self, cause: str, detail: str) -> None:
        """Keep nothing until the next look; say so when it is news, and now and then after that."""
        self._is_stopped = True
        now_ns = self._clock.monotonic_ns()
        if cause != self.trouble or now_ns - self._told_ns > REMIND_NS:
            self.trouble, self._told_ns = cause, now_ns
            self.last_trouble = cause
            log.error("capture_stopped", extra={"error": f"{cause}{detail}", "lost": self.lost})

    def _look(self) -> None:
        """Look after the disk, end a segment whose time has passed, try again what failed."""
        self._looking = self._loop.call_later(self._look_s, self._look)
        floor = self._bounds.disk_free_min_mb * MB
        try:
            free = free_bytes(self._root)
        except OSError as error:
            self._stop(*_cause(error, self._root))
            return
        if free < floor + (floor // 20 if self._is_stopped else 0):  # Not to and fro.
            self._do(self._segments.rotate)  # The next segment says how much is missing.
            self._stop(
                f"less than capture.disk_free_min_mb = {floor // MB} is free on the disk of "
                f"{self._root}: free some space, or lower disk_free_min_mb or disk_max_mb",
                f"; {free // MB} MB are free",
            )
            return
        self._is_stopped = False
        now_ns = self._clock.now_ns()
        if self._segments.is_over(now_ns):
            self.flush()  # What waits may begin the next segment, which is not to be ended.
        if self._segments.is_over(now_ns):
            self._do(self._segments.rotate)
        self._later(self._prune)

    def _prune(self) -> None:
        for path in prune(self._root, self._bounds.disk_max_mb * MB):
            log.info(
                "capture_deleted",
                extra={"file": str(path), "disk_max_mb": self._bounds.disk_max_mb},
            )

    def _sync_later(self, descriptor: int, folder: Path) -> None:
        self._later(lambda: sync_and_close(descriptor, folder))

    def _later(self, work: Callable[[], None]) -> None:
        """Do `work` on the thread; a failure there is told, and is nobody's end."""

        def done(future: Future[None]) -> None:
            if (error := future.exception()) is not None:
                log.error("capture_disk", extra={"error": f"{type(error).__name__}: {error}"})

        self._worker.submit(work).add_done_callback(done)


@contextmanager
def capturing(
    root: Path,
    writer: str,
    bounds: CaptureBounds,
    clock: Clock,
    *,
    is_secret: Callable[[bytes], bool] = lambda _payload: False,
) -> Iterator[Callable[[str, int, bytes], None]]:
    """Give what is to be called with each frame and reply; it keeps nothing where that is off."""
    if not bounds.enabled:
        yield lambda _source, _session, _payload: None
        return
    capture = Capture(root, writer, bounds, clock, is_secret=is_secret)
    try:
        yield capture
    finally:
        capture.close()


def _cause(error: OSError, root: Path) -> tuple[str, str]:
    """Return what is wrong and what to do, the same text each time, and what the system said."""
    said = f"; {error}"
    if error.errno in _NO_SPACE:
        return f"no space for {root}: free some, or lower capture.disk_max_mb", said
    if error.errno in _NO_RIGHT:
        whose = "it has to be a folder of the user that runs btcbot, 0700, on a disk not read-only"
        return f"{root} cannot be written: {whose}", said
    return f"{root} cannot be written: look after the disk", said
