"""One question to the control socket of a running fleet."""

import socket
import struct
from pathlib import Path
from typing import Any

import msgspec

_LENGTH = struct.Struct(">I")
ANSWER_MAX = 16 << 20


def ask(home: Path, request: dict[str, Any], timeout: float = 10.0) -> dict[str, Any]:
    """Return control's answer to `request`.

    Raises OSError when nothing listens (FileNotFoundError, ConnectionError) or it takes too long
    (TimeoutError).
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.settimeout(timeout)
        door.connect(str(home / "run" / "ctl.sock"))
        frame = msgspec.msgpack.encode(request)
        door.sendall(_LENGTH.pack(len(frame)) + frame)
        (size,) = _LENGTH.unpack(_exactly(door, _LENGTH.size))
        if size > ANSWER_MAX:
            raise ConnectionError(f"an answer of {size} bytes; allowed are {ANSWER_MAX}")
        found: dict[str, Any] = msgspec.msgpack.decode(_exactly(door, size))
        return found


def _exactly(door: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = door.recv(size - len(parts))
        if not part:
            raise ConnectionError("control hung up before it answered")
        parts += part
    return bytes(parts)
