"""The inbox journal: every message an actor handled, in order, in append-only segments.

A record is a head and a payload. The head is the payload's length, the first 8 bytes of a running
blake2b over all payloads so far, and the CRC-32 of these two: so a length is never believed that
was not written, and what is cut off by the end of the file is told from what was changed. The
payload is a msgpack array [handled_ns, frame]; a segment's first is a checkpoint: the encoded state
and the code version. Records reach the kernel once per drain, never the disk on purpose:
execution's truth is SQLite; segments serve replay. A torn tail is where the record ends.
"""

import logging
import os
import struct
import zlib
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import msgspec
from msgspec import Struct

log = logging.getLogger("btcbot.bus")

SEGMENT_MAX = 64 << 20
SEGMENT_NS = 86_400 * 1_000_000_000  # Sealed after a day, so that quiet actors forget in time too.
KEEP_BYTES = 2 << 30
KEEP_NS = 7 * 86_400 * 1_000_000_000
_HEAD = struct.Struct("<I8sI")
_CHECKED = _HEAD.size - 4
_CHAIN_START = bytes(8)


class Checkpoint(Struct, frozen=True, array_like=True):
    """What a segment begins with; `state` is the actor's state in msgpack."""

    actor: str
    epoch: int
    started_ns: int
    code: str
    state: bytes


class Entry(Struct, frozen=True, array_like=True):
    """One handled message; `frame` is what the codec decodes."""

    handled_ns: int
    frame: bytes


class JournalError(Exception):
    """A segment that is not what was written; names the file and the offset."""


class Journal:
    """Appends to the newest segment of one actor; one writer per folder."""

    def __init__(self, folder: Path, actor: str, now_ns: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._actor = actor
        self.epoch = max(_last_epoch(folder) + 1, now_ns)
        self._number = 0
        self._buffer = bytearray()
        self._chain = _CHAIN_START
        self._size = 0
        self._opened_ns = now_ns
        self._file = -1

    def open(self, state: bytes, code: str, now_ns: int) -> None:
        """Begin a segment; seals the one before and forgets what is too old."""
        self.close()
        name = f"{self.epoch:020d}-{self._number:06d}.seg"
        self._number += 1
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self._folder / name, flags, 0o600)
        self._chain, self._size, self._opened_ns = _CHAIN_START, 0, now_ns
        checkpoint = Checkpoint(self._actor, self.epoch, now_ns, code, state)
        self._append(msgspec.msgpack.encode(checkpoint))
        self.flush()
        _forget_old(self._folder, now_ns)

    def is_due(self, now_ns: int) -> bool:
        """Return whether the segment is large or old enough for the next one to begin."""
        return self._size >= SEGMENT_MAX or now_ns - self._opened_ns >= SEGMENT_NS

    def append(self, handled_ns: int, frame: bytes) -> None:
        """Add one message; it is in the kernel's hands after the next `flush`."""
        self._append(_encode((handled_ns, frame)))

    def flush(self) -> None:
        if self._buffer:
            view = memoryview(self._buffer)
            while view:
                view = view[os.write(self._file, view) :]
            view.release()
            self._buffer = bytearray()

    def close(self) -> None:
        if self._file >= 0:
            self.flush()
            os.close(self._file)
            self._file = -1

    def _append(self, payload: bytes) -> None:
        self._chain = blake2b(self._chain + payload, digest_size=8).digest()
        self._buffer += _head(len(payload), self._chain)
        self._buffer += payload
        self._size += _HEAD.size + len(payload)


def _head(size: int, link: bytes) -> bytes:
    head = size.to_bytes(4, "little") + link
    return head + zlib.crc32(head).to_bytes(4, "little")


_encode = msgspec.msgpack.Encoder().encode
_checkpoint = msgspec.msgpack.Decoder(Checkpoint).decode
_entry = msgspec.msgpack.Decoder(Entry).decode


def read(path: Path) -> Iterator[Checkpoint | Entry]:
    """Yield the checkpoint and the entries of a segment, verified.

    A torn tail (a record cut off by the end of the file) ends the segment quietly. Raises
    JournalError for anything else that does not add up.
    """
    raw = path.read_bytes()
    chain, offset, first = _CHAIN_START, 0, True
    while len(raw) - offset >= _HEAD.size:
        size, link, crc = _HEAD.unpack_from(raw, offset)
        if zlib.crc32(raw[offset : offset + _CHECKED]) != crc:
            raise JournalError(f"{path}: the head at byte {offset} is not what was written")
        payload = raw[offset + _HEAD.size : offset + _HEAD.size + size]
        if len(payload) < size:
            return
        chain = blake2b(chain + payload, digest_size=8).digest()
        if chain != link:
            raise JournalError(f"{path}: record at byte {offset} is not what was written")
        try:
            yield _checkpoint(payload) if first else _entry(payload)
        except msgspec.MsgspecError as error:
            raise JournalError(f"{path}: record at byte {offset}: {error}") from None
        first = False
        offset += _HEAD.size + size


def segments(folder: Path) -> list[Path]:
    """Return an actor's segments, oldest first."""
    return sorted(folder.glob("*.seg"))


def _last_epoch(folder: Path) -> int:
    names = segments(folder)
    return int(names[-1].name.partition("-")[0]) if names else 0


def _forget_old(folder: Path, now_ns: int) -> None:
    """Remove sealed segments past 7 days or 2 GiB, oldest first; the newest always stays."""
    *sealed, newest = segments(folder)
    kept = newest.stat().st_size
    for path in reversed(sealed):
        about = path.stat()
        kept += about.st_size
        if kept > KEEP_BYTES or now_ns - about.st_mtime_ns > KEEP_NS:
            path.unlink()
            log.info("journal_segment_forgotten", extra={"path": str(path), "bytes": about.st_size})
