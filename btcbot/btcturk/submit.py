"""The one POST of an order: on a connection already open, in one synchronous write, never again.

Four connections stand ready. One that carries a POST belongs to it until its answer: no answer in
3 s is reported as doubt, and reading goes on for 120 s, because a late answer is still evidence.
A connection whose POST was never answered is not used again.
"""

import asyncio
import ssl
from collections.abc import Callable
from urllib.parse import urlsplit

import h11

CONNECTIONS = 4
DOUBT_S = 3.0
LATE_S = 120.0
BODY_MAX = 1 << 20
RECONNECT_FIRST_S, RECONNECT_LAST_S = 0.1, 5.0

OnReply = Callable[[int, bytes], None]
OnDoubt = Callable[[str], None]


class _Connection(asyncio.Protocol):
    """One connection: idle, or owned by the POST it carries."""

    def __init__(self, pool: "SubmitPool") -> None:
        self._pool = pool
        self._h11 = h11.Connection(our_role=h11.CLIENT)
        self._transport: asyncio.Transport | None = None
        self._on_reply: OnReply | None = None
        self._on_doubt: OnDoubt | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._status = 0
        self._body = b""

    @property
    def is_usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def post(self, request: h11.Request, body: bytes, on_reply: OnReply, on_doubt: OnDoubt) -> None:
        """Write the whole request; from here on only the exchange knows what becomes of it."""
        assert self._transport is not None, "posting on a connection that never opened"
        assert self._on_reply is None, "this connection carries a POST already"
        parts = [
            self._h11.send(event) for event in (request, h11.Data(body), h11.EndOfMessage())
        ]
        self._on_reply, self._on_doubt = on_reply, on_doubt
        self._transport.write(b"".join(part for part in parts if part))
        self._timer = asyncio.get_running_loop().call_later(DOUBT_S, self._doubt)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), f"not a stream: {transport}"
        self._transport = transport
        self._pool.opened(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._h11.receive_data(data)
            self._read()
        except h11.RemoteProtocolError as error:
            self._lose(f"not HTTP: {error}")

    def eof_received(self) -> None:
        self._read_end("the connection ended before the answer did")

    def connection_lost(self, exc: Exception | None) -> None:
        self._read_end(f"the connection was lost: {exc or 'closed by the exchange'}")
        self._pool.lost(self)

    def _read(self) -> None:
        while True:
            event = self._h11.next_event()
            if isinstance(event, h11.Response):
                self._status = event.status_code
            elif isinstance(event, h11.Data):
                self._body += bytes(event.data)
                if len(self._body) > BODY_MAX:
                    self._lose(f"an answer of over {BODY_MAX} bytes")
                    return
            elif isinstance(event, h11.EndOfMessage):
                self._answered()
                return
            elif event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                return

    def _answered(self) -> None:
        on_reply, status, body = self._on_reply, self._status, self._body
        self._settle()
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
            self._pool.opened(self)
        else:
            self.close()
        if on_reply is not None:
            on_reply(status, body)

    def _read_end(self, detail: str) -> None:
        """Let h11 see the end: it completes an answer that has no length, and only that."""
        if self._on_reply is not None:
            try:
                self._h11.receive_data(b"")
                self._read()
            except h11.RemoteProtocolError as error:
                detail = f"{detail} ({error})"
        if self._on_reply is not None:
            self._lose(detail)

    def _doubt(self) -> None:
        if self._on_doubt is not None:
            self._on_doubt(f"no answer in {DOUBT_S:.0f} s")
            self._on_doubt = None
            wait_s = LATE_S - DOUBT_S
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._lose, "too late")

    def _lose(self, detail: str) -> None:
        on_doubt = self._on_doubt
        self._settle()
        self.close()
        if on_doubt is not None:
            on_doubt(detail)

    def _settle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._on_reply = self._on_doubt = self._timer = None
        self._status, self._body = 0, b""


class SubmitPool:
    """Keeps four connections open and says how many are idle, whenever that changes."""

    def __init__(self, base: str, on_idle: Callable[[int], None]) -> None:
        parts = urlsplit(base)
        assert parts.hostname, f"no host in {base!r}"
        self._host, self._tls = parts.hostname, parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._netloc = parts.netloc
        self._on_idle = on_idle
        self._idle: list[_Connection] = []
        self._all: set[_Connection] = set()
        self._missing = asyncio.Event()
        self._missing.set()
        self._task = asyncio.get_running_loop().create_task(self._keep())

    def post(
        self, path: str, headers: dict[str, str], body: bytes, on_reply: OnReply, on_doubt: OnDoubt
    ) -> bool:
        """Send one POST now. False: no usable connection, not one byte was written."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                lines = [("Host", self._netloc), ("Content-Length", str(len(body)))]
                request = h11.Request(
                    method="POST", target=path, headers=[*lines, *headers.items()]
                )
                connection.post(request, body, on_reply, on_doubt)
                return True
        return False

    @property
    def idle(self) -> int:
        return len(self._idle)

    def opened(self, connection: _Connection) -> None:
        """Take a connection that is ready for a POST."""
        self._all.add(connection)
        self._idle.append(connection)
        self._on_idle(len(self._idle))

    def lost(self, connection: _Connection) -> None:
        """Forget a connection and have another opened."""
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._on_idle(len(self._idle))
        self._missing.set()

    async def close(self) -> None:
        self._task.cancel()
        for connection in tuple(self._all):
            connection.close()

    async def _keep(self) -> None:
        """Open what is missing, with a growing pause while the exchange is not there."""
        loop, pause_s = asyncio.get_running_loop(), RECONNECT_FIRST_S
        context = ssl.create_default_context() if self._tls else None
        while True:
            await self._missing.wait()
            self._missing.clear()
            while len(self._all) < CONNECTIONS:
                try:
                    async with asyncio.timeout(5):
                        await loop.create_connection(
                            lambda: _Connection(self), self._host, self._port, ssl=context
                        )
                    pause_s = RECONNECT_FIRST_S
                except OSError:
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, RECONNECT_LAST_S)
