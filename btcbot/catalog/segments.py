"""Raw segments: what an exchange said, byte for byte, and when it was heard.

A segment is a file of blocks. The first opens it (who writes, since when, what was lost before),
then come blocks of records (a msgpack array, zlib level 1), the last seals it. Every block stands
on its own, is written by one call and never changed, and after a failed write nothing more goes to
that file. So a process may die at any moment: what was flushed reads back, what is torn is a tail.

One writer per folder. A segment holds one period of UTC, an hour unless told otherwise, at most.
"""

import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from enum import IntEnum
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from btcbot.catalog.blocks import Block, pack, scan

VERSION: Final = 1
SUFFIX: Final = ".seg"
SECOND_NS: Final = 1_000_000_000
PERIOD_NS: Final = 3_600 * SECOND_NS
SEGMENT_MAX: Final = 64 << 20
PENDING_MAX: Final = 256 << 10  # Payload bytes after which a flush is due: some ms of compression.
PAYLOAD_MAX: Final = 16 << 20  # Twice the longest REST answer that is read at all.
CHECK_SIZE: Final = 8
BLOCK_MAX: Final = PENDING_MAX + PAYLOAD_MAX + (1 << 20)


class _Kind(IntEnum):
    OPENING = 1
    RECORDS = 2
    SEALING = 3


class Captured(Struct, frozen=True, array_like=True):
    """One frame or reply, exactly as heard.

    `source`: "ws.public", "ws.private", or for a reply "rest GET /api/v2/orderbook?pairSymbol=X",
    followed by " -> 503" where its HTTP status was not 200. `session` counts the connections of a
    socket within one life of a writer, from 1; 0 for a reply. `received_ns` is UTC; `monotonic_ns`
    tells intervals within one life (0: not known).
    """

    received_ns: int
    source: str
    session: int
    payload: bytes
    monotonic_ns: int = 0


class Opening(Struct, frozen=True, array_like=True):
    """What a segment begins with.

    `life_ns` is the same in all segments of one writer, which counts them by `number`. `lost` is
    how many records were heard since `lost_since_ns` and not kept, up to the first in here.
    """

    version: int
    writer: str
    life_ns: int
    number: int
    started_ns: int
    lost: int
    lost_since_ns: int


class _Version(Struct, frozen=True, array_like=True):
    version: int  # First in every Opening there will ever be.


class Sealing(Struct, frozen=True, array_like=True):
    """What a segment ends with when its writer ended it.

    `check`: 8 bytes of blake2b over every byte before this block. A block stands on its own, so one
    that was copied, moved or taken out leaves no damage; it leaves another check. Empty: written
    before there was one.
    """

    records: int
    sealed_ns: int
    check: bytes = b""


class Acknowledged(Struct, frozen=True):
    """What the kernel has: `records` in `segment`, which is `size` bytes long."""

    segment: Path
    size: int
    records: int


class Report(Struct, frozen=True, kw_only=True):
    """What `verify` found. Sound: sealed, no damage, nothing missing.

    `torn_at`: the byte from which nothing can be read, None when all can: the tail of a writer that
    died, or is at work. `damaged`: (from, to) bytes of what is unreadable with good blocks after
    it, which no death of a writer does. `missing`: records that the sealing counts and nobody read.
    `is_altered`: its bytes are not those that were sealed.
    """

    path: Path
    opening: Opening | None
    is_sealed: bool
    records: int
    first_ns: int | None
    last_ns: int | None
    size: int
    torn_at: int | None
    damaged: tuple[tuple[int, int], ...]
    missing: int
    is_altered: bool = False

    @property
    def is_sound(self) -> bool:
        is_whole = self.is_sealed and not self.is_altered and self.torn_at is None
        return is_whole and not self.damaged and not self.missing


class SegmentError(Exception):
    """A segment that this version cannot read; names the file."""


def sync_and_close(descriptor: int, folder: Path) -> None:
    """Put a finished segment, and its name in `folder`, on the disk. Raises OSError."""
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    listing = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(listing)
    finally:
        os.close(listing)


class SegmentWriter:
    """Appends to a segment of its own, never to one that an earlier life left.

    Nothing is on the disk before `flush` returns. A file is made when there is something to write.
    """

    def __init__(
        self,
        folder: Path,
        writer: str,
        now_ns: int,
        *,
        segment_max: int = SEGMENT_MAX,
        period_ns: int = PERIOD_NS,
        seal: Callable[[int, Path], None] = sync_and_close,
    ) -> None:
        """`seal` is given the descriptor of each finished segment, to sync and to close."""
        self._folder, self._writer, self._life_ns = folder, writer, now_ns
        self._segment_max, self._period_ns, self._seal_file = segment_max, period_ns, seal
        self._pending: list[Captured] = []
        self._pending_size = 0
        self._number = 0
        self._named_ns = -1  # Of the newest name in the folder; -1: not looked yet.
        self._descriptor = -1
        self._period, self._size, self._records = 0, 0, 0
        self.path: Path | None = None  # The segment that is open.
        self.kept, self.lost = 0, 0  # Records of this life.
        self._check = blake2b(digest_size=CHECK_SIZE)  # Of the open segment.
        self._untold, self._lost_since_ns = 0, 0  # Lost, and not said in any opening yet.

    @property
    def is_full(self) -> bool:
        """Whether so much waits that it should be flushed now."""
        return self._pending_size >= PENDING_MAX

    def is_over(self, now_ns: int) -> bool:
        """Whether a segment is open whose period has passed: `rotate` seals it."""
        return self._descriptor >= 0 and now_ns // self._period_ns != self._period

    def append(self, heard: Captured) -> None:
        """Take one record; it is in the kernel's hands after the next `flush`."""
        assert len(heard.payload) <= PAYLOAD_MAX, f"{heard.source}: {len(heard.payload)} bytes"
        self._pending.append(heard)
        self._pending_size += len(heard.payload)

    def lose(self, count: int, now_ns: int) -> None:
        """Count records that nobody kept; the next segment begins with how many."""
        if not self._untold:
            self._lost_since_ns = now_ns
        self._untold += count
        self.lost += count

    def flush(self, now_ns: int) -> tuple[Acknowledged, ...]:
        """Write what waits; return what the kernel has, a line for each segment written to.

        Raises OSError: what could not be written is lost, and counted; the segment is left to end
        at its last whole block, unsealed. The next flush begins another.
        """
        pending, self._pending, self._pending_size = self._pending, [], 0
        written, done = 0, []
        try:
            for period, group in groupby(pending, lambda one: one.received_ns // self._period_ns):
                records = list(group)
                if self._descriptor >= 0 and self._has_no_room(period):
                    self._seal(now_ns)
                if self._descriptor < 0:
                    self._open(records[0].received_ns, period)
                self._write(_Kind.RECORDS, zlib.compress(_encode(records), 1))
                self._records += len(records)
                written += len(records)
                self.kept += len(records)
                assert self.path is not None, "wrote to no segment"
                done.append(Acknowledged(self.path, self._size, self._records))
        except OSError:
            self.lose(len(pending) - written, pending[written].received_ns)
            self._abandon()
            raise
        return tuple(done)

    def rotate(self, now_ns: int) -> tuple[Acknowledged, ...]:
        """Flush and seal; the next flush begins another segment. Raises OSError."""
        done = self.flush(now_ns)
        if self._descriptor >= 0:
            try:
                self._seal(now_ns)
            except OSError:
                self._abandon()
                raise
        return done

    def close(self, now_ns: int) -> tuple[Acknowledged, ...]:
        """Flush and seal, for good. Raises OSError."""
        return self.rotate(now_ns)

    def _has_no_room(self, period: int) -> bool:
        return period != self._period or self._size >= self._segment_max

    def _open(self, first_ns: int, period: int) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._named_ns < 0:
            self._named_ns = max(map(started_ns, segments(self._folder)), default=0)
        named_ns = max(first_ns, self._named_ns + 1)  # A clock set back shall not mix up the names.
        path = self._folder / f"{stamp(named_ns)}{SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o600)
        self._named_ns, self._period = named_ns, period
        self.path, self._size, self._records = path, 0, 0
        self._check = blake2b(digest_size=CHECK_SIZE)
        opening = Opening(
            VERSION, self._writer, self._life_ns, self._number, first_ns, self._untold,
            self._lost_since_ns,
        )  # fmt: skip
        self._write(_Kind.OPENING, _encode(opening))
        self._number += 1
        self._untold = self._lost_since_ns = 0

    def _seal(self, now_ns: int) -> None:
        self._write(_Kind.SEALING, _encode(Sealing(self._records, now_ns, self._check.digest())))
        descriptor, self._descriptor, self.path = self._descriptor, -1, None
        self._seal_file(descriptor, self._folder)

    def _write(self, kind: int, body: bytes) -> None:
        block = pack(kind, body)
        view = memoryview(block)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self._size += len(block)
        self._check.update(block)

    def _abandon(self) -> None:
        """Leave the open segment as it was after its last whole block; never return to it."""
        if self._descriptor < 0:
            return
        with suppress(OSError):
            os.ftruncate(self._descriptor, self._size)
        with suppress(OSError):
            os.close(self._descriptor)
        if not self._size and self.path is not None:
            with suppress(OSError):
                self.path.unlink()
        self._descriptor, self.path = -1, None


def read(path: Path) -> Iterator[Captured]:
    """Yield every record of a segment that can be read, in the order of their arrival.

    A torn tail ends it; damage is passed over. `verify` tells of both. Raises SegmentError for a
    segment of a later version.
    """
    for _, records in _scan(path, path.read_bytes()):
        if isinstance(records, list):
            yield from records


def verify(path: Path) -> Report:
    """Read a whole segment and say what is sound in it. Raises SegmentError as `read` does."""
    raw = path.read_bytes()
    opening: Opening | None = None
    sealing: Sealing | None = None
    records, end, is_altered = 0, 0, False
    times: list[int] = []
    damaged: list[tuple[int, int]] = []
    for block, found in _scan(path, raw):
        if block.start > end:
            damaged.append((end, block.start))
        end = block.end
        is_altered |= sealing is not None  # Nothing comes after what seals it.
        if isinstance(found, Opening):
            opening = found
        elif isinstance(found, Sealing):
            sealing = found
            is_altered |= sealing.check not in (b"", _check_of(raw[: block.start]))
        elif found:
            records += len(found)
            times = [*times[:1], found[0].received_ns, found[-1].received_ns]
    return Report(
        path=path,
        opening=opening,
        is_sealed=sealing is not None,
        records=records,
        first_ns=times[0] if times else None,
        last_ns=times[-1] if times else None,
        size=len(raw),
        torn_at=end if end < len(raw) or opening is None else None,
        damaged=tuple(damaged),
        missing=max(sealing.records - records, 0) if sealing else 0,
        is_altered=is_altered,
    )


def _check_of(raw: bytes) -> bytes:
    return blake2b(raw, digest_size=CHECK_SIZE).digest()


def segments(folder: Path) -> list[Path]:
    """Return the segments in `folder`, oldest first."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def stamp(at_ns: int) -> str:
    """Return a UTC time as it stands in names: it sorts as the time does."""
    seconds, ns = divmod(at_ns, SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m%dT%H%M%S}.{ns:09d}Z"


def started_ns(path: Path) -> int:
    """Return the time in the name of a segment; 0 where the name is no segment's."""
    whole, _, rest = path.name.removesuffix(SUFFIX).partition(".")
    try:
        start = datetime.strptime(whole, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        return int(start.timestamp()) * SECOND_NS + int(rest.removesuffix("Z"))
    except ValueError:
        return 0


_encode = msgspec.msgpack.Encoder().encode
_records_of = msgspec.msgpack.Decoder(list[Captured]).decode
_version_of = msgspec.msgpack.Decoder(_Version).decode
_opening_of = msgspec.msgpack.Decoder(Opening).decode
_sealing_of = msgspec.msgpack.Decoder(Sealing).decode
_Found = list[Captured] | Opening | Sealing


def _scan(path: Path, raw: bytes) -> Iterator[tuple[Block, _Found]]:
    """Yield each block that can be read; what lies between them cannot."""
    for block in scan(raw):
        try:
            found = _decoded(path, block.kind, block.body)
        except (msgspec.MsgspecError, zlib.error):
            continue  # Whole, but nothing that a writer of ours wrote.
        if found is not None:
            yield block, found


def _decoded(path: Path, kind: int, body: bytes) -> _Found | None:
    match kind:
        case _Kind.OPENING:
            if (version := _version_of(body).version) != VERSION:
                raise SegmentError(
                    f"{path}: format {version}; this btcbot reads format {VERSION}: "
                    "read it with the btcbot that wrote it, or a later one"
                )
            return _opening_of(body)
        case _Kind.RECORDS:
            unpacking = zlib.decompressobj()
            unpacked = unpacking.decompress(body, BLOCK_MAX)
            return _records_of(unpacked) if unpacking.eof else None
        case _Kind.SEALING:
            return _sealing_of(body)
        case _:
            return None


def blocks(path: Path) -> Iterator[Opening | Sealing | list[Captured] | None]:
    """Yield what each block of a segment holds; None where damage was passed over.

    A torn tail is no damage: its writer died, or is at work. Raises SegmentError as `read` does.
    """
    end = 0
    for block, found in _scan(path, path.read_bytes()):
        if block.start > end:
            yield None
        end = block.end
        yield found
