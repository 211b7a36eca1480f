"""Four connections that stand ready for a POST, handshaken before anybody needs one."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from btcbot.btcturk.failures import why_no_connection
from btcbot.btcturk.network import Internet, Network
from btcbot.btcturk.rest import tls_context
from btcbot.btcturk.submit import Connection, Post, Waits
from btcbot.btcturk.tasks import Tasks
from btcbot.btcturk.tunnel import CHUNK, Plain, Tls, Tunnel

log = logging.getLogger("btcbot.btcturk")
CONNECTIONS: Final = 4
ALL_MAX: Final = 16  # With those that listen for a late answer.
CONNECT_S: Final = 5.0
PAUSE_FIRST_S, PAUSE_LAST_S = 0.1, 5.0
# An idle connection dies unseen in some router after some minutes: a fresh one replaces it before.
IDLE_S: Final = 100.0
LOOK_S: Final = 10.0


class SubmitPool:
    """Keeps four connections open and says how many are idle, whenever that changes."""

    def __init__(
        self,
        base: str,
        on_idle: Callable[[int], None],
        *,
        waits: Waits | None = None,
        idle_s: float = IDLE_S,
        network: Network | None = None,
    ) -> None:
        parts = urlsplit(base)
        assert parts.hostname, f"no host in {base!r}"
        self._name, self._netloc = parts.hostname, parts.netloc
        is_secure = parts.scheme == "https"
        self._port = parts.port or (443 if is_secure else 80)
        self._context = tls_context(is_secure=True) if is_secure else None
        if self._context is not None:
            self._context.set_alpn_protocols(["http/1.1"])
        self._on_idle, self._waits = on_idle, waits or Waits()
        self._network = network or Internet()
        self._idle_s, self._look_s = idle_s, min(LOOK_S, idle_s / 2)
        self._idle: list[Connection] = []
        self._late: set[Connection] = set()
        self._all: set[Connection] = set()
        self._said = 0
        self._is_closed = False
        self._missing = asyncio.Event()
        self.trouble = "no connection was opened yet"
        self._tasks = Tasks()
        self._tasks.start(self._keep(), self._note)

    def post(self, post: Post) -> bool:
        """Send one POST now. False: not one byte of it was handed to the kernel."""
        while self._idle:
            if self._idle.pop().post(post):
                self._say()
                return True
        self._say()
        return False

    async def close(self) -> None:
        """Close everything; a POST under way is in doubt, and its journal row says so."""
        self._is_closed = True
        await self._tasks.close()
        for connection in tuple(self._all):
            connection.close()

    # --- what connections say -----------------------------------------------------------------

    def free(self, connection: Connection) -> None:
        self._late.discard(connection)
        if len(self._idle) >= CONNECTIONS:
            connection.close()
            return
        self._idle.append(connection)
        self._say()

    def late(self, connection: Connection) -> None:
        self._late.add(connection)
        self._missing.set()

    def lost(self, connection: Connection) -> None:
        self._all.discard(connection)
        self._late.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._say()
        self._missing.set()

    # --- keeping four -------------------------------------------------------------------------

    def _say(self) -> None:
        if len(self._idle) != self._said and not self._is_closed:
            self._said = len(self._idle)
            self._on_idle(self._said)

    def _note(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.warning("submit_connections", extra={"error": trouble})
        self.trouble = trouble

    async def _keep(self) -> None:
        """Open what is missing, with a growing pause while the exchange is not there."""
        pause_s = PAUSE_FIRST_S
        while True:
            aged = self._aged()
            if not self._is_short and aged is None:
                await self._wait()
                continue
            try:
                async with asyncio.timeout(CONNECT_S):
                    fresh = await self._open()
            except OSError as error:  # TimeoutError and SSLError are among them.
                self._note(self._trouble_of(error))
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, PAUSE_LAST_S)
                continue
            pause_s, self.trouble = PAUSE_FIRST_S, "every connection is busy or was just lost"
            self._join(fresh, aged)

    @property
    def _is_short(self) -> bool:
        return len(self._all) - len(self._late) < CONNECTIONS and len(self._all) < ALL_MAX

    def _aged(self) -> Connection | None:
        """Return the idle connection that has waited longest, if that is too long."""
        oldest = min(self._idle, key=lambda one: one.since_s, default=None)
        now_s = asyncio.get_running_loop().time()
        return oldest if oldest is not None and now_s - oldest.since_s > self._idle_s else None

    async def _wait(self) -> None:
        self._missing.clear()
        try:
            async with asyncio.timeout(self._look_s):
                await self._missing.wait()
        except TimeoutError:
            return

    def _join(self, fresh: Connection, aged: Connection | None) -> None:
        """Take a new connection; one that it replaces goes in the same moment, or stays if busy."""
        self._all.add(fresh)
        if aged is not None and aged in self._idle:
            self._idle[self._idle.index(aged)] = fresh
            aged.close()
        else:
            self.free(fresh)

    async def _open(self) -> Connection:
        sock = await self._network.connect(self._name, self._port)
        try:
            tunnel: Tunnel = Tls(self._context, self._name) if self._context else Plain()
            await _shake_hands(sock, tunnel)
        except BaseException:
            sock.close()
            raise
        return Connection(sock, tunnel, self._netloc, self, self._waits)

    def _trouble_of(self, error: OSError) -> str:
        if isinstance(error, TimeoutError):
            return f"no connection to {self._netloc} in {CONNECT_S:.0f} s"
        return why_no_connection(f"//{self._netloc}", error)[:300]


async def _shake_hands(sock: socket.socket, tunnel: Tunnel) -> None:
    loop = asyncio.get_running_loop()
    while True:
        if own := tunnel.pending():
            await loop.sock_sendall(sock, own)
        if tunnel.is_ready:
            return
        received = await loop.sock_recv(sock, CHUNK)
        if not received:
            raise ConnectionError("closed amid the handshake")
        tunnel.take(received)
