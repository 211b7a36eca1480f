"""Faulty exchanges on real sockets: what each connection does is a script of the test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Script = Callable[["Wire"], Awaitable[None]]


@dataclass
class Wire:
    """One accepted connection, seen from the exchange's side."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    exchange: "RawExchange"

    async def request(self) -> bytes:
        """Return the next whole request; its head and body are kept for counting."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        found = head + await self.reader.readexactly(length)
        self.exchange.requests.append(found)
        return found

    async def say(self, text: str | bytes) -> None:
        self.writer.write(text.encode() if isinstance(text, str) else text)
        await self.writer.drain()

    async def answer(
        self, status: int, body: str | bytes, *headers: str, reason: str = "Whatever"
    ) -> None:
        raw = body.encode() if isinstance(body, str) else body
        lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(raw)}", *headers, "", ""]
        await self.say("\r\n".join(lines).encode() + raw)

    async def closed(self) -> None:
        """Wait until the client has gone."""
        while await self.reader.read(65_536):
            pass

    def reset(self) -> None:
        """End it with an RST."""
        self.writer.transport.abort()


@dataclass
class RawExchange:
    """Counts connections and requests; `url` is where it listens."""

    script: Script
    url: str = ""
    port: int = 0
    accepted: int = 0
    requests: list[bytes] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)

    @property
    def posts(self) -> list[bytes]:
        return [request for request in self.requests if request.startswith(b"POST ")]


@asynccontextmanager
async def raw_exchange(script: Script, **tls: object) -> AsyncIterator[RawExchange]:
    """Listen on a free port; every connection runs `script`, then is closed."""
    exchange = RawExchange(script)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        exchange.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        wire = Wire(reader, writer, exchange)
        exchange.wires.append(wire)
        try:
            await script(wire)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            return  # Cancelled only when the test is over.
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, **tls)  # type: ignore[arg-type]
    exchange.port = server.sockets[0].getsockname()[1]
    exchange.url = f"{'https' if tls else 'http'}://127.0.0.1:{exchange.port}"
    try:
        yield exchange
    finally:
        server.close()
        for wire in exchange.wires:
            wire.writer.transport.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(is_so: Callable[[], bool], within_s: float = 5.0) -> None:
    """Wait for something that a real socket brings about. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while not is_so():  # noqa: ASYNC110 - what is watched has no event to wait for
            await asyncio.sleep(0.005)
