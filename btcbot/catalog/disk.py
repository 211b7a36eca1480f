"""The disk under raw capture: how much is free, and what has to go."""

import os
from contextlib import suppress
from pathlib import Path

from btcbot.catalog.segments import segments


def free_bytes(path: Path) -> int:
    """Return how much we may still write on the disk of `path`, or of what there is above it."""
    while not path.exists() and path != path.parent:
        path = path.parent
    about = os.statvfs(path)
    return about.f_bavail * about.f_frsize


def prune(root: Path, most: int) -> list[Path]:
    """Delete the oldest segments under `root`, whoever wrote them, until `most` bytes are left.

    The newest of each folder stays: somebody may be writing it. Returns what was deleted. Raises
    OSError.
    """
    sizes: dict[Path, int] = {}
    newest = set()
    for folder in root.iterdir() if root.is_dir() else ():
        found = segments(folder)
        newest.update(found[-1:])
        for path in found:
            with suppress(FileNotFoundError):  # Another process of this home prunes too.
                sizes[path] = path.stat().st_size
    total, deleted = sum(sizes.values()), []
    for path in sorted(sizes.keys() - newest, key=lambda one: (one.name, one)):
        if total <= most:
            break
        path.unlink(missing_ok=True)
        total -= sizes[path]
        deleted.append(path)
    return deleted
