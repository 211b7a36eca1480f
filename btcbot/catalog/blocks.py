"""Blocks: bytes that can be found whole again in a file that was cut off or damaged anywhere.

A block is a magic, a kind, a size, the CRC-32 of kind, size and body, then the body.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

_MAGIC: Final = b"\x89bcr"
_HEAD: Final = struct.Struct("<4sBII")  # Magic, kind, size, CRC.
_COVERED: Final = struct.Struct("<BI")  # What of it the CRC covers.


class Block(NamedTuple):
    """One whole block, and the bytes of the file that it takes: from `start` up to `end`."""

    start: int
    end: int
    kind: int
    body: bytes


def pack(kind: int, body: bytes) -> bytes:
    """Return the block that holds `body`."""
    return _HEAD.pack(_MAGIC, kind, len(body), _crc(kind, body)) + body


def scan(raw: bytes) -> Iterator[Block]:
    """Yield each whole block in `raw`; what lies between them, or after the last, is not one."""
    at = 0
    while (at := raw.find(_MAGIC, at)) >= 0 and len(raw) - at >= _HEAD.size:
        _, kind, size, crc = _HEAD.unpack_from(raw, at)
        end = at + _HEAD.size + size
        body = raw[at + _HEAD.size : end]
        if len(body) < size or _crc(kind, body) != crc:
            at += 1
            continue
        yield Block(at, end, kind, body)
        at = end


def _crc(kind: int, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(_COVERED.pack(kind, len(body))))
