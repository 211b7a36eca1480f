"""A server that speaks as an OpenAI-compatible one does, on loopback, and does what a test says."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from msgspec import Struct

HEAD_MAX: Final = 65_536


class Script(Struct, kw_only=True):
    """How one request is answered.

    `raw` takes the place of the whole response. `wait`: only once it is set. `cuts`: so many bytes
    of the body, then the end of the connection.
    """

    body: bytes = b""
    status: int = 200
    headers: tuple[str, ...] = ()
    raw: bytes | None = None
    wait: asyncio.Event | None = None
    cuts: int | None = None


class ModelServer:
    """Answers every request as `script` says now; keeps what it was asked."""

    def __init__(self) -> None:
        self.script = Script()
        self.asked: list[dict[str, Any]] = []
        self.heads: list[bytes] = []
        self.was_asked = asyncio.Event()
        self.open, self.most_open = 0, 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            while head := await self._head(reader):
                await self._answer(head, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return b""

    async def _answer(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.heads.append(head)
        lines = head.decode().lower().split("\r\n")
        [length] = [int(line.split(":")[1]) for line in lines if line.startswith("content-length:")]
        self.asked.append(json.loads(await reader.readexactly(length)))
        self.was_asked.set()
        script = self.script
        if script.wait is not None:
            await script.wait.wait()
        if script.raw is not None:
            writer.write(script.raw)
            raise ConnectionError
        more = "".join(f"{line}\r\n" for line in script.headers)
        size = f"Content-Length: {len(script.body)}\r\n"
        writer.write(f"HTTP/1.1 {script.status} X\r\n{size}{more}\r\n".encode())
        writer.write(script.body[: script.cuts])
        await writer.drain()
        if script.cuts is not None:
            raise ConnectionError


@asynccontextmanager
async def model_server() -> AsyncIterator[ModelServer]:
    """Run a server until the block ends; connections that still wait are ended with it."""
    model = ModelServer()
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await model.serve(reader, writer)
        except asyncio.CancelledError:
            writer.close()
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=HEAD_MAX)
    model.port = server.sockets[0].getsockname()[1]
    try:
        yield model
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
