"""Where the journal's head was, in a file of its own: how an older or shorter journal is noticed.

A hash chain proves that what is there was written; it cannot prove that nothing is missing from
its end. So each commit, once it is durable, also leaves its sequence and hash here. No fsync: the
anchor may lag behind the journal after a power cut, and it can never lead it.
"""

import os
from hashlib import blake2b
from pathlib import Path
from typing import Final

HASH_SIZE: Final = 16
RECORD: Final = 8 + HASH_SIZE + 8  # Sequence, hash, checksum of both.


class Anchor:
    """Two records written in turn, so that one torn write leaves the other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._turn = 0

    def read(self) -> tuple[int, bytes] | None:
        """Return the highest (sequence, hash) that is whole; None: there is none."""
        stored = os.pread(self._file, 2 * RECORD, 0)
        found = [_parsed(stored[at : at + RECORD]) for at in (0, RECORD)]
        return max((record for record in found if record is not None), default=None)

    def write(self, seq: int, chain: bytes) -> None:
        """Note the head after a commit that is durable."""
        head = seq.to_bytes(8) + chain
        os.pwrite(self._file, head + _checksum(head), self._turn * RECORD)
        self._turn = 1 - self._turn

    def close(self) -> None:
        """Let go of the file; a second time does nothing."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1


def path_of(database: str) -> Path:
    """Return where the anchor of `database` is: beside it."""
    return Path(f"{database}.anchor")


def _parsed(record: bytes) -> tuple[int, bytes] | None:
    head, checksum = record[:-8], record[-8:]
    if len(record) != RECORD or checksum != _checksum(head):
        return None
    return int.from_bytes(head[:8]), head[8:]


def _checksum(head: bytes) -> bytes:
    return blake2b(head, digest_size=8).digest()
