"""A Unix socket for people's commands: small frames, few connections, known callers.

A frame is a 4-byte big-endian length and that many bytes. The kernel says who is calling
(SO_PEERCRED); callers of another user are turned away. A frame must be whole within a second.
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
_LENGTH = struct.Struct(">I")
_CREDENTIALS = struct.Struct("3i")

OnFrame = Callable[[int, int, bytes], None]


class Doorway:
    """Serves the socket at `path`; `on_frame(connection, uid, frame)` is called for each frame."""

    def __init__(self, path: Path, on_frame: OnFrame) -> None:
        self._path = path
        self._on_frame = on_frame
        self._writers: dict[int, asyncio.StreamWriter] = {}
        self._count = 0
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen; the folder is 0700 and this process holds the actor's lock."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._meet, self._path)
        self._path.chmod(0o600)

    async def close(self) -> None:
        for writer in tuple(self._writers.values()):
            writer.close()
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)

    def answer(self, connection: int, frame: bytes) -> None:
        """Send `frame` to a caller that may have left."""
        writer = self._writers.get(connection)
        if writer is not None and not writer.is_closing():
            writer.write(_LENGTH.pack(len(frame)) + frame)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid = _caller(writer)
        if uid not in (os.geteuid(), 0) or len(self._writers) >= CONNECTIONS_MAX:
            writer.close()
            return
        self._count += 1
        connection = self._count
        self._writers[connection] = writer
        try:
            with suppress(TimeoutError, asyncio.IncompleteReadError, ConnectionError):
                await self._hear(connection, uid, reader)
        finally:
            del self._writers[connection]
            writer.close()

    async def _hear(self, connection: int, uid: int, reader: asyncio.StreamReader) -> None:
        while True:
            async with asyncio.timeout(IDLE_WAIT_S):
                head = await reader.readexactly(_LENGTH.size)
            (size,) = _LENGTH.unpack(head)
            if size > FRAME_MAX:
                return
            async with asyncio.timeout(FRAME_WAIT_S):
                frame = await reader.readexactly(size)
            self._on_frame(connection, uid, frame)


def _caller(writer: asyncio.StreamWriter) -> int:
    """Return the uid at the other end, by the kernel."""
    peer = writer.get_extra_info("socket")
    raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    return int(uid)
