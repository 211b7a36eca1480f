"""A disk that can lose what was not synced, fill up, and fail: for simulations of power cuts.

Files are real; what was written since a file's last sync is remembered, so that a power cut can
undo some of it, torn at sectors, in any order. A process that was killed loses nothing (the kernel
has its writes), but from then on its connection changes nothing any more.
"""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw

SECTOR: Final = 512


class Unsynced:
    """One write that is not on the disk yet: where, what stood there before, how long it was."""

    __slots__ = ("before", "offset", "size", "size_before")

    def __init__(self, offset: int, size: int, before: bytes, size_before: int) -> None:
        self.offset, self.size = offset, size
        self.before, self.size_before = before, size_before


class Disk(apsw.VFS):
    """An SQLite VFS by the name `name`, for the files of one simulated machine."""

    def __init__(self, name: str, draw: random.Random) -> None:
        super().__init__(name, "")
        self.name, self._draw = name, draw
        self._unsynced: dict[str, list[Unsynced]] = {}
        self._life, self._is_dying = 0, False
        self.is_full = False
        self.fails_at = 0  # Write or sync number `fails_at` of this life fails; 0: none does.
        self.calls = 0
        self.is_honest = True  # Whether a sync is one: a cut finds out.
        self.on_trouble: Callable[[str], None] = lambda _what: None

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> "DiskFile":  # noqa: N802 - SQLite's name
        return DiskFile(self, self._life, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: FBT001, N802
        if not self.is_dead(self._life):
            super().xDelete(filename, syncdir)
            self._unsynced.pop(filename, None)

    def kill(self) -> None:
        """End the process that has files open: none of its handles changes anything any more."""
        self._life += 1
        self._is_dying = True

    def born(self) -> None:
        """Begin the life of the next process."""
        self._is_dying = False
        self.calls = self.fails_at = 0

    def is_dead(self, life: int) -> bool:
        """Return whether the process of `life` was killed."""
        return self._is_dying or life != self._life

    def cut_power(self) -> int:
        """Undo a random part of what was not synced; return how many writes there were."""
        lost = 0
        for name, writes in self._unsynced.items():
            lost += len(writes)
            self._undo(Path(name), writes)
        self._unsynced.clear()
        return lost

    def touch(self) -> None:
        """Count one write or sync. Raises as a disk does."""
        self.calls += 1
        if self.calls == self.fails_at:
            self.on_trouble("the disk failed")
            raise apsw.IOError("the simulated disk failed")
        if self.is_full:
            self.on_trouble("the disk was full")
            raise apsw.FullError("the simulated disk is full")

    def wrote(self, name: str, write: Unsynced) -> None:
        self._unsynced.setdefault(name, []).append(write)

    def synced(self, name: str) -> None:
        if self.is_honest:
            self._unsynced.pop(name, None)

    def _undo(self, path: Path, writes: list[Unsynced]) -> None:
        draw = self._draw
        if not path.exists():
            return
        with path.open("r+b") as file:
            size = None
            for write in reversed(writes):
                fate = draw.random()
                if fate < 0.4:  # This one reached the disk.
                    continue
                begin = 0 if fate < 0.8 else SECTOR * draw.randrange(1 + write.size // SECTOR)
                old = write.before[begin:].ljust(max(write.size - begin, 0), b"\0")
                file.seek(write.offset + begin)
                file.write(old)
                if write.offset >= write.size_before:
                    size = write.size_before
            if size is not None and draw.random() < 0.5:
                file.truncate(size)


class DiskFile(apsw.VFSFile):
    """One open file of one life."""

    def __init__(
        self, disk: Disk, life: int, name: apsw.URIFilename | str | None, flags: list[int]
    ) -> None:
        super().__init__("", name, flags)
        self._disk, self._life = disk, life
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else str(name)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        if self._disk.is_dead(self._life):
            return
        self._disk.touch()
        size = self.xFileSize()
        length = max(0, min(len(data), size - offset))
        before = bytes(super().xRead(length, offset)) if length else b""
        self._disk.wrote(self._name, Unsynced(offset, len(data), before, size))
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: ARG002, N802
        if self._disk.is_dead(self._life):
            return
        self._disk.touch()
        self._disk.synced(self._name)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        if self._disk.is_dead(self._life):
            return
        self._disk.touch()
        super().xTruncate(newsize)
