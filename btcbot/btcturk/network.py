"""What carries bytes to the exchange: the machine's network, or a simulated one.

The simulation puts its own beneath the real client: everything above, from the signature to the
judgement of an answer, is the code that trades.
"""

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from websockets.asyncio.client import connect

from btcbot.btcturk.client import httpx

Headers = list[tuple[str, str]]
Call = Callable[[str, str, Headers, bytes], Awaitable[tuple[int, Headers, bytes]]]
"""Carries one request (method, target, headers, body); returns (status, headers, body)."""


class Link(Protocol):
    """An open WebSocket."""

    async def recv(self, *, decode: bool) -> bytes: ...

    async def send(self, message: str) -> None: ...


class Network(Protocol):
    @property
    def chance(self) -> random.Random:
        """What spreads repeats and connections in time, and decides nothing else."""
        ...

    def transport(self) -> httpx.AsyncBaseTransport | None:
        """Return what carries reads and cancels; None: httpx's own."""

    async def connect(self, host: str, port: int) -> socket.socket:
        """Return a connected, non-blocking socket for POSTs. Raises OSError."""
        ...

    def websocket(self, url: str, **options: Any) -> AbstractAsyncContextManager[Link]:  # noqa: ANN401 - of websockets.connect
        """Return what opens a WebSocket when it is entered."""
        ...


class Internet:
    """The machine's network."""

    def __init__(self) -> None:
        self.chance = random.Random()

    def transport(self) -> httpx.AsyncBaseTransport | None:
        return None

    async def connect(self, host: str, port: int) -> socket.socket:
        """Try every address of `host`. Raises OSError of the last one."""
        loop = asyncio.get_running_loop()
        failed: OSError = OSError(f"{host} has no address")
        for family, kind, protocol, _, address in await loop.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        ):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setblocking(False)  # noqa: FBT003 - the socket's own
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await loop.sock_connect(sock, address)
            except OSError as error:
                sock.close()
                failed = error
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise failed

    def websocket(self, url: str, **options: Any) -> AbstractAsyncContextManager[Link]:  # noqa: ANN401
        return _Connect(url, **options)  # type: ignore[return-value]


class _Connect(connect):
    """Follows no redirect: the login frame would go to whoever asked for it."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class CallTransport(httpx.AsyncBaseTransport):
    """An httpx transport over a `Call`."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        headers = [(name.decode(), value.decode()) for name, value in request.headers.raw]
        target = request.url.raw_path.decode()
        try:
            status, found, body = await self._call(
                request.method, target, headers, await request.aread()
            )
        except OSError as error:
            raise httpx.ReadError(str(error)) from error
        return httpx.Response(status, headers=found, content=body)
