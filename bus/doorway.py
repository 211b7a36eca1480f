"""A Unix socket for people's commands: small frames, few connections, known callers.

A frame is a 4-byte big-endian length and that many bytes; so is each answer. The kernel says who is
calling (SO_PEERCRED); callers of another user are turned away. Once a frame has begun it must be
whole within a second. Whoever breaks a rule is told so and hung up on.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

FRAME_MAX = 4_096
CONNECTIONS_MAX = 8
FRAME_WAIT_S = 1.0
IDLE_WAIT_S = 60.0
UNREAD_MAX = 1 << 20  # Bytes of answers that a caller leaves unread.
_LENGTH = struct.Struct(">I")
_CREDENTIALS = struct.Struct("3i")

OnFrame = Callable[[int, int, bytes], None]
Refuse = Callable[[str], bytes]


class _BrokenRule(Exception):
    """What the caller did; said to them before hanging up."""


class Doorway:
    """Serves the socket at `path`; `on_frame(connection, uid, frame)` is called for each frame.

    `refuse` makes the answer that tells a caller why they are hung up on.
    """

    def __init__(self, path: Path, on_frame: OnFrame, refuse: Refuse) -> None:
        self._path = path
        self._on_frame, self._refuse = on_frame, refuse
        self._writers: dict[int, asyncio.StreamWriter] = {}
        self._count = 0
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen; the folder is 0700 and this process holds the actor's lock."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._meet, self._path, limit=FRAME_MAX)
        self._path.chmod(0o600)

    async def close(self) -> None:
        """Hang up on everybody and stop listening."""
        for writer in tuple(self._writers.values()):
            writer.close()
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    def answer(self, connection: int, frame: bytes) -> None:
        """Send `frame` to a caller that may have left; hang up on one that does not read."""
        writer = self._writers.get(connection)
        if writer is None or writer.is_closing():
            return
        if writer.transport.get_write_buffer_size() > UNREAD_MAX:
            writer.transport.abort()
            return
        writer.write(_LENGTH.pack(len(frame)) + frame)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid = _caller(writer)
        self._count += 1
        connection = self._count
        try:
            if uid != os.geteuid():
                raise _BrokenRule(f"uid {uid} may not command uid {os.geteuid()}")  # noqa: TRY301
            if len(self._writers) >= CONNECTIONS_MAX:
                raise _BrokenRule(f"busy: {CONNECTIONS_MAX} connections are open")  # noqa: TRY301
            self._writers[connection] = writer
            while True:
                self._on_frame(connection, uid, await _frame(reader))
        except _BrokenRule as broken:
            refusal = self._refuse(str(broken))
            writer.write(_LENGTH.pack(len(refusal)) + refusal)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # They left, or we end.
        finally:
            self._writers.pop(connection, None)
            with suppress(OSError, RuntimeError):
                writer.close()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    """Return the next frame. Raises _BrokenRule, or IncompleteReadError when the caller left."""
    try:
        async with asyncio.timeout(IDLE_WAIT_S):
            first = await reader.readexactly(1)
    except TimeoutError:
        raise _BrokenRule(f"no command within {IDLE_WAIT_S:.0f} s") from None
    try:
        async with asyncio.timeout(FRAME_WAIT_S):
            (size,) = _LENGTH.unpack(first + await reader.readexactly(_LENGTH.size - 1))
            if not 0 < size <= FRAME_MAX:
                raise _BrokenRule(f"a command of {size} bytes; allowed are 1 to {FRAME_MAX}")
            return await reader.readexactly(size)
    except TimeoutError:
        raise _BrokenRule(f"a command that took over {FRAME_WAIT_S:.0f} s to arrive") from None


def _caller(writer: asyncio.StreamWriter) -> int:
    """Return the uid at the other end, by the kernel."""
    peer = writer.get_extra_info("socket")
    raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    return int(uid)
