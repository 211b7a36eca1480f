"""The one POST of an order: on a connection already open, in one synchronous write, never again.

The sockets are ours, not an event loop's transports (uvloop's write later than they are told to):
`send` returns how many bytes the kernel took, so "not one byte left" is a fact. A POST owns its
connection until the answer: none in 3 s is reported as doubt, and reading goes on for 120 s,
because a late answer is still evidence. A POST never answered ends its connection with it.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import h11

from btcbot.btcturk.tunnel import CHUNK, Tunnel

BODY_MAX: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds: how long a POST waits for an answer in time, and for one that is late."""

    doubt_s: float = 3.0
    late_s: float = 120.0
    report_s: float = 2.0  # Between two reports of how the connection to the exchange is.


@dataclass(frozen=True, slots=True)
class Post:
    """One request and who hears of it: at most one doubt, then at most one reply."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    on_reply: Callable[["Reply"], None]
    on_doubt: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes
    retry_after: str


class Owner(Protocol):
    """The pool, as its connections see it."""

    def free(self, connection: "Connection") -> None:
        """Take a connection whose POST was answered; it may carry another."""

    def late(self, connection: "Connection") -> None:
        """Open another: the POST of this one is in doubt."""

    def lost(self, connection: "Connection") -> None:
        """Forget a connection that has ended."""


class Connection:
    """One handshaken connection: idle, or owned by the POST it carries."""

    def __init__(
        self, sock: socket.socket, tunnel: Tunnel, host: str, owner: Owner, waits: Waits
    ) -> None:
        self._sock, self._tunnel, self._host = sock, tunnel, host
        self._owner, self._waits = owner, waits
        self._loop = asyncio.get_running_loop()
        self._h11 = h11.Connection(our_role=h11.CLIENT)
        self._post: Post | None = None
        self._is_doubted = False
        self._unsent = b""
        self._timer: asyncio.TimerHandle | None = None
        self._status, self._body, self._retry_after = 0, bytearray(), ""
        self.is_closed = False
        self.since_s = self._loop.time()  # When it became idle.
        self._loop.add_reader(sock, self.read)

    def post(self, post: Post) -> bool:
        """Write the whole request; False: not one byte of it was handed to the kernel.

        After True only the exchange knows what becomes of it.
        """
        assert self._post is None, "this connection carries a POST already"
        self.read()  # An end that has arrived is better seen before than after.
        if self._unsent:
            self.close()  # Its tunnel has something to say first, and cannot.
        if self.is_closed:
            return False
        sealed = self._sealed(post)
        try:
            sent = self._sock.send(sealed)
        except OSError:  # With BlockingIOError among them: nothing was taken.
            sent = 0
        if not sent:
            self.close()
            return False
        self._post, self._unsent = post, sealed[sent:]
        if self._unsent:
            self._loop.add_writer(self._sock, self._write)
        self._timer = self._loop.call_later(self._waits.doubt_s, self._grow_late)
        return True

    def close(self) -> None:
        """End it without another word; a POST it carries is the caller's to judge."""
        if self.is_closed:
            return
        self.is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        self._owner.lost(self)

    def read(self) -> None:
        """Take what has arrived; never waits."""
        while not self.is_closed:
            try:
                received = self._sock.recv(CHUNK)
            except BlockingIOError:
                return
            except OSError as error:
                self._end(f"the connection was lost: {error.strerror or error}")
                return
            if not received:
                self._end("the exchange closed the connection")
                return
            self._take(received)

    def _sealed(self, post: Post) -> bytes:
        request = h11.Request(
            method="POST",
            target=post.path,
            headers=[
                ("Host", self._host),
                ("Content-Length", str(len(post.body))),
                *post.headers.items(),
            ],
        )
        events = (request, h11.Data(post.body), h11.EndOfMessage())
        return self._tunnel.seal(b"".join(self._h11.send(event) or b"" for event in events))

    def _write(self) -> None:
        """Hand over the rest of a request that the kernel took only a part of, in its order."""
        try:
            sent = self._sock.send(self._unsent)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(f"the connection was lost amid the request: {error.strerror or error}")
            return
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            self._loop.remove_writer(self._sock)

    def _take(self, received: bytes) -> None:
        try:
            plain, is_end = self._tunnel.take(received)
        except ssl.SSLError as error:
            self._end(f"TLS: {error.reason or error}")
            return
        if own := self._tunnel.pending():  # A new key, not a request: it may follow the rest.
            self._unsent += own
            self._loop.add_writer(self._sock, self._write)
        if plain:
            self._hear(plain)
        if is_end and not self.is_closed:
            self._end("the exchange closed the connection")

    def _hear(self, plain: bytes) -> None:
        if self._post is None:
            self.close()  # It speaks unasked: an answer to nothing, such as a 408.
            return
        try:
            self._h11.receive_data(plain)
            self._read_events()
        except h11.RemoteProtocolError as error:
            self._doubt(f"not HTTP: {error}")

    def _read_events(self) -> None:
        while self._post is not None:
            match self._h11.next_event():
                case h11.Response() as response:
                    self._status = response.status_code
                    found = dict(response.headers)
                    self._retry_after = found.get(b"retry-after", b"").decode("ascii", "replace")
                case h11.Data(data=part):
                    self._body += part
                    if len(self._body) > BODY_MAX:
                        self._doubt(f"an answer of over {BODY_MAX} bytes")
                case h11.EndOfMessage():
                    self._answered(self._post)
                case h11.InformationalResponse():
                    pass
                case _:  # NEED_DATA, PAUSED, ConnectionClosed: nothing more to read now.
                    return

    def _answered(self, post: Post) -> None:
        reply = Reply(self._status, bytes(self._body), self._retry_after)
        is_reusable = (
            self._h11.our_state is h11.DONE
            and self._h11.their_state is h11.DONE
            and not self._h11.trailing_data[0]
            and not self._unsent
        )
        self._settle()
        if is_reusable:
            self._h11.start_next_cycle()
            self.since_s = self._loop.time()
            self._owner.free(self)
        else:
            self.close()
        post.on_reply(reply)

    def _end(self, detail: str) -> None:
        """Let h11 see the end: it completes an answer that has no length, and only that."""
        if self._post is not None:
            try:
                self._h11.receive_data(b"")
                self._read_events()
            except h11.RemoteProtocolError:
                detail = f"{detail} before the answer was whole"
        self._doubt(detail)

    def _grow_late(self) -> None:
        """Report the doubt in time, and go on listening."""
        assert self._post is not None, "a POST grew late that was settled"
        self._timer = self._loop.call_later(
            self._waits.late_s - self._waits.doubt_s, self._doubt, "too late"
        )
        self._is_doubted = True
        self._owner.late(self)
        self._post.on_doubt(f"no answer in {self._waits.doubt_s:g} s")

    def _doubt(self, detail: str) -> None:
        """End the connection; what it carried is in doubt, unless that was said before."""
        post, is_news = self._post, not self._is_doubted
        self._settle()
        self.close()
        if post is not None and is_news:
            post.on_doubt(detail)

    def _settle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._post = None
        self._is_doubted = False
        self._status, self._body, self._retry_after = 0, bytearray(), ""
