"""The network of one simulated process: real bytes on socket pairs, virtual distances.

When the process is killed its network is dead before anything unwinds: what the kernel has taken
arrives all the same, and nothing else does.
"""

import asyncio
import random
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from btcbot.btcturk.network import CallTransport, Headers
from btcbot.sim.host import NEAR_S, Fate, Host
from btcbot.simulation import frames
from btcbot.simulation.server import Answer, Asked
from btcbot.simulation.shapes import encode
from btcbot.simulation.sockets import Session

CHUNK: Final = 65_536
BytesLeft = Callable[[bytes], None]


class SimulatedNetwork:
    """Implements `btcturk.network.Network` towards `host`."""

    def __init__(self, host: Host, draw: random.Random, on_bytes: BytesLeft) -> None:
        self._host, self._draw, self._on_bytes = host, draw, on_bytes
        self.chance = random.Random(draw.random())
        self._ours: list[socket.socket] = []
        self.links: list[SimulatedLink] = []
        self.is_dead = False

    def die(self) -> None:
        """Let the process be gone: the kernel closes its sockets, with what they hold delivered."""
        self.is_dead = True
        for link in self.links:
            link.cut()
        for sock in self._ours:
            sock.close()

    def transport(self) -> CallTransport:
        return CallTransport(self._call)

    async def connect(self, host: str, port: int) -> socket.socket:
        """Return our end of a pair; the other belongs to the exchange."""
        del host, port
        await asyncio.sleep(self._draw.uniform(NEAR_S, 0.1))
        if self._host.is_maintained or self.is_dead:
            raise ConnectionRefusedError("the exchange is not there")
        ours, theirs = socket.socketpair()
        counted = _Counted(ours, self)
        counted.setblocking(False)  # noqa: FBT003 - the socket's own
        theirs.setblocking(False)  # noqa: FBT003
        self._ours.append(counted)
        _Line(self._host, theirs)
        return counted

    def websocket(self, url: str, **_options: Any) -> "SimulatedLink":  # noqa: ANN401
        del url
        return SimulatedLink(self._host, self._draw, self)

    def left(self, data: bytes) -> None:
        """Note bytes that the kernel took."""
        self._on_bytes(data)

    async def _call(
        self, method: str, target: str, headers: Headers, body: bytes
    ) -> tuple[int, Headers, bytes]:
        await self.pass_if_alive()
        path, _, query = target.partition("?")
        asked = Asked(method, path, query, {n.lower(): v for n, v in headers}, body)
        answer = await self._host.rest(asked)
        await self.pass_if_alive()
        return answer.status, list((answer.headers or {}).items()), answer.body

    async def pass_if_alive(self) -> None:
        """Wait for ever when the process is dead."""
        if self.is_dead:
            await asyncio.Event().wait()


class _Counted(socket.socket):
    """A socket of the process; what its kernel takes is noted, byte by byte."""

    def __init__(self, pair: socket.socket, network: SimulatedNetwork) -> None:
        super().__init__(pair.family, pair.type, pair.proto, fileno=pair.detach())
        self._network = network

    def send(self, data: Any, flags: int = 0) -> int:  # noqa: ANN401 - a buffer
        if self._network.is_dead:
            raise BrokenPipeError("the process is dead")
        sent = super().send(data, flags)
        self._network.left(bytes(data)[:sent])
        return sent


class _Line:
    """The exchange's end of one connection for POSTs."""

    def __init__(self, host: Host, sock: socket.socket) -> None:
        self._host, self._sock = host, sock
        self._received = bytearray()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._read)
        self._is_closed = False

    def _read(self) -> None:
        try:
            part = self._sock.recv(CHUNK)
        except OSError:
            part = b""
        if not part:
            self._close()
            return
        self._received += part
        if (asked := _parsed(self._received)) is not None:
            self._received.clear()
            self._begin(asked, self._host.fate_of_post())

    def _begin(self, asked: Asked, fate: Fate) -> None:
        self._host.on_fate(fate.name)
        if fate.name == "submit_lost":
            return
        self._loop.call_later(fate.arrives_s, self._arrive, asked, fate)

    def _arrive(self, asked: Asked, fate: Fate) -> None:
        if fate.name == "submit_reset":
            self._close()
        elif self._host.is_refused(asked):
            self._host.on_fate("refused_by_stamp")
            answer = self._host.api.answer(asked, self._host.clock.now_ns())
            self._loop.call_later(fate.arrives_s, self._say, answer)
        else:
            self._loop.call_later(fate.accepted_s, self._accept, asked, fate)

    def _accept(self, asked: Asked, fate: Fate) -> None:
        answer = self._host.accept(asked)
        if fate.answered_s is None:
            return
        if fate.name == "submit_cut":
            self._loop.call_later(fate.answered_s, self._close)
            return
        if fate.name == "submit_garbled":
            answer = self._host.garbled()
        elif fate.name == "submit_stray":
            answer = Answer(answer.status, answer.body.replace(b"-", b"+"), answer.headers)
        self._loop.call_later(fate.answered_s, self._say, answer)

    def _say(self, answer: Answer) -> None:
        if self._is_closed:
            return
        fields = {"Content-Length": str(len(answer.body)), **(answer.headers or {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        try:
            self._sock.send(f"HTTP/1.1 {answer.status} X\r\n{head}\r\n".encode() + answer.body)
        except OSError:
            self._close()

    def _close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._loop.remove_reader(self._sock)
            self._sock.close()


def _parsed(received: bytearray) -> Asked | None:
    """Return the request in `received` once it is whole."""
    head, end, body = bytes(received).partition(b"\r\n\r\n")
    if not end:
        return None
    first, *lines = head.decode("ascii").split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.partition(": ") for line in lines)
    headers = {name.lower(): value for name, _, value in pairs}
    if len(body) < int(headers.get("content-length", "0")):
        return None
    path, _, query = target.partition("?")
    return Asked(method, path, query, headers, body)


class SimulatedLink:
    """One WebSocket of the process, served by the exchange's own hub."""

    def __init__(self, host: Host, draw: random.Random, network: SimulatedNetwork) -> None:
        self._host, self._draw, self._network = host, draw, network
        self._session = Session()
        self._again: str | None = None

    async def __aenter__(self) -> Self:
        await asyncio.sleep(self._draw.uniform(NEAR_S, 0.3))
        await self._network.pass_if_alive()
        if self._host.is_maintained:
            raise ConnectionRefusedError("the exchange is not there")
        self._session.say(encode(frames.WELCOME).decode())
        self._host.hub.sessions.append(self._session)
        self._network.links.append(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._leave()

    async def recv(self, *, decode: bool) -> bytes:
        """Return the next frame that was not lost on the way. Raises OSError when cut."""
        del decode
        while True:
            frame = self._again or await self._session.next()
            self._again = None
            await self._network.pass_if_alive()
            if frame is None:
                raise ConnectionResetError("the socket was cut")
            if self._host.is_failing:
                if self._draw.random() < self._host.plan.frames_lost:
                    continue
                if self._draw.random() < self._host.plan.frames_repeated:
                    self._again = frame
            return frame.encode()

    async def send(self, message: str) -> None:
        await self._network.pass_if_alive()
        self._host.hub.hear(self._session, message)

    def cut(self) -> None:
        """Break it, as seen from the process."""
        self._session.is_cut = True
        self._session.say()
        self._leave()

    def _leave(self) -> None:
        if self._session in self._host.hub.sessions:
            self._host.hub.sessions.remove(self._session)
        if self in self._network.links:
            self._network.links.remove(self)
