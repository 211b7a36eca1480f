"""One WebSocket that stays up: joined, watched for silence, opened again with growing pauses.

A socket can stay open, answer pings and send nothing for hours: silence of data is what counts.
The exchange allows an address 15 connections a minute and blocks it for a minute after that; the
rate budget gives each of our two sockets six.
"""

import asyncio
import random
from collections.abc import Callable, Iterable
from typing import Final, NoReturn

from websockets.exceptions import InvalidStatus, WebSocketException

from btcbot.btcturk.frames import FRAME_MAX
from btcbot.btcturk.network import Internet, Link, Network
from btcbot.btcturk.rate_budget import SECOND_NS, RateBudget, retry_after_s
from btcbot.btcturk.tasks import Tasks

PAUSE_FIRST_S, PAUSE_LAST_S = 0.5, 30.0
LASTING_S: Final = 30.0  # A session this long was a good one: the next pause is short again.
OPEN_S: Final = 10.0
SILENCE_S: Final = 5.0  # ticker/all comes every 0.76 s.
PING_S: Final = 20.0


class Pauses:
    """How long to stay away after each session: doubling, short again after a good one. Pure."""

    def __init__(self, jitter: random.Random) -> None:
        self._jitter, self._next_s = jitter, PAUSE_FIRST_S

    def after(self, lasted_s: float, blocked_s: float) -> float:
        """Return the seconds to pause after a session of `lasted_s`.

        `blocked_s`: how long the exchange told us to stay away; 0: it did not.
        """
        if lasted_s > LASTING_S:
            self._next_s = PAUSE_FIRST_S
        pause_s = self._next_s * self._jitter.uniform(0.8, 1.2)
        self._next_s = min(2 * self._next_s, PAUSE_LAST_S)
        return max(pause_s, blocked_s)


class Socket:
    """Calls `on_up`, `on_frame`, `on_down` from its own task; `send` is dropped while down."""

    def __init__(  # noqa: PLR0913 - what a socket is made of
        self,
        url: str,
        monotonic: Callable[[], int],
        *,
        on_up: Callable[[], Iterable[str]],
        on_frame: Callable[[bytes], None],
        on_down: Callable[[str], None],
        silence_s: float | None = SILENCE_S,
        network: Network | None = None,
    ) -> None:
        """`on_up` returns the frames to send first. `silence_s` None: silence is normal.

        A session whose owner does not say `is_alive` for `silence_s` is given up: a stalled socket
        still answers pings and joins. Where silence is normal, pings of ours notice a connection
        that died without a word.
        """
        self._url, self._monotonic = url, monotonic
        self._on_up, self._on_frame, self._on_down = on_up, on_frame, on_down
        self._silence_s, self._network = silence_s, network or Internet()
        self._connection: Link | None = None
        self._patience: asyncio.Timeout | None = None
        self._budget = RateBudget()
        self._blocked_s = 0.0
        self._pauses = Pauses(self._network.chance)
        self._tasks = Tasks()
        self._tasks.start(self._keep(), on_down)

    def send(self, frames: Iterable[str]) -> None:
        """Send frames in order if the socket is up; what is lost is asked again after the next."""
        if self._connection is not None:
            self._tasks.start(self._send(self._connection, tuple(frames)), self._on_down)

    def is_alive(self) -> None:
        """Take note of data: silence is counted from here."""
        if self._patience is not None and self._silence_s is not None:
            self._patience.reschedule(asyncio.get_running_loop().time() + self._silence_s)

    async def close(self) -> None:
        """Close the socket; `on_down` is not called."""
        await self._tasks.close()

    async def _send(self, connection: Link, frames: tuple[str, ...]) -> None:
        try:
            for frame in frames:
                await connection.send(frame)
        except WebSocketException:
            return  # The reader sees the same end and reports it.

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._admit()
            began_s, self._blocked_s = loop.time(), 0.0
            reason = await self._session()
            self._on_down(reason[:200])
            await asyncio.sleep(self._pauses.after(loop.time() - began_s, self._blocked_s))

    async def _admit(self) -> None:
        # Nobody signals the end of a window of time: it can only be slept through.
        while not self._budget.take("connect", self._monotonic()):  # noqa: ASYNC110
            await asyncio.sleep(self._budget.wait_ns("connect", self._monotonic()) / SECOND_NS)

    async def _session(self) -> str:
        """Run one session to its end; return why it ended."""
        ping_s = PING_S if self._silence_s is None else None
        is_open = False
        try:
            async with self._network.websocket(
                self._url,
                open_timeout=OPEN_S,
                close_timeout=1,
                ping_interval=ping_s,
                ping_timeout=ping_s,
                max_size=FRAME_MAX,
                proxy=None,
                compression=None,
            ) as connection:
                is_open = True
                await self._read(connection)
        except TimeoutError:
            return f"no data for {self._silence_s} s" if is_open else f"{self._url} does not answer"
        except InvalidStatus as error:
            reply = error.response
            if reply.status_code == 429:
                self._blocked_s = retry_after_s(reply.headers.get("Retry-After", ""))
            return f"{self._url} answered HTTP {reply.status_code} to the handshake"
        except (OSError, WebSocketException) as error:
            return f"{self._url}: {type(error).__name__}: {error}"
        finally:
            self._connection = None

    async def _read(self, connection: Link) -> NoReturn:
        """Hand on every frame, for ever; ends by an exception."""
        frames = tuple(self._on_up())
        self._connection = connection
        await self._send(connection, frames)
        async with asyncio.timeout(self._silence_s) as self._patience:
            while True:
                self._on_frame(await connection.recv(decode=False))
        raise AssertionError("a socket is read until it fails")
