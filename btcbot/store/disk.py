"""Room on the disk: a reserve file that is given up so that the last facts can still be written.

When the disk is full, no order is sent, because none can be journaled; but what is open must still
be cancelled, and that is journaled too. So the journal keeps a file of nothing beside it. It is
removed when there is no other room, and made again when there is.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

MIB: Final = 1 << 20
LOG_BYTES: Final = 32 * MIB
LOG_PART: Final = 16  # Of what is free, at most: speed is not worth the last room on a disk.
# With less than this part of the reserve free beside it, it is time to give it up.
LOW_PART: Final = 4


class Room(Struct, frozen=True):
    """What was found on the disk."""

    is_reserved: bool  # The reserve is whole; else the disk is full but for what it gave up.
    free: int  # Bytes, for us.
    wal: int  # Bytes of the write-ahead log.


class Disk:
    """The disk of the database at `database`, with a reserve of `reserve` bytes; 0: none."""

    def __init__(self, database: Path, reserve: int) -> None:
        self.reserve_file = database.with_name("reserve")
        self._wal = database.with_name(database.name + "-wal")
        self._reserve = reserve

    def look(self) -> Room:
        """Keep the reserve as far as there is room, and return what was found."""
        free = self._free()
        is_reserved = self._is_whole()
        if is_reserved and free < self._reserve // LOW_PART:
            self.reserve_file.unlink(missing_ok=True)
            is_reserved, free = False, self._free()
        elif not is_reserved and free >= self._reserve + self._reserve // LOW_PART:
            is_reserved = self._fill()
        return Room(is_reserved=is_reserved, free=free, wal=_size(self._wal))

    def lengthen_log(self) -> None:
        """Give the write-ahead log room ahead: a commit that need not lengthen the file is faster.

        A file that grows takes the file system's own journal along with each flush. SQLite writes
        the log from its begin again after a checkpoint and reads no further than its frames are
        whole: the zeros behind them are nothing, as are the frames of an earlier round.
        Only for the writer itself, before its first commit: nobody may write meanwhile.
        """
        left = LOG_BYTES - _size(self._wal)
        if left <= 0 or self._free() < LOG_PART * LOG_BYTES:
            return
        with suppress(OSError), self._wal.open("r+b") as log:
            log.seek(0, os.SEEK_END)
            for _ in range(0, left, MIB):
                log.write(bytes(MIB))
            log.flush()
            os.fsync(log.fileno())

    def _is_whole(self) -> bool:
        return _size(self.reserve_file) >= self._reserve

    def _fill(self) -> bool:
        """Make the reserve; return whether it stands. Its blocks are allocated, not promised."""
        descriptor = os.open(self.reserve_file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if self._reserve:
                os.posix_fallocate(descriptor, 0, self._reserve)
        except OSError:
            self.reserve_file.unlink(missing_ok=True)
            return False
        finally:
            os.close(descriptor)
        return True

    def _free(self) -> int:
        found = os.statvfs(self.reserve_file.parent)
        return found.f_bavail * found.f_frsize


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0
