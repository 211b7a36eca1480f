"""One WebSocket that stays up: joined, watched for silence, opened again with growing pauses.

A socket can stay open, answer pings and send nothing for hours: silence of data is what counts.
The exchange allows 15 connections a minute; the pauses keep well below.
"""

import asyncio
import random
from collections.abc import Callable, Iterable

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

FIRST_PAUSE_S, LAST_PAUSE_S = 0.5, 30.0
SILENCE_S = 5.0  # ticker/all comes every 0.76 s.
FRAME_MAX = 1 << 20


class Socket:
    """Calls `on_up`, `on_frame`, `on_down` from its own task; `send` is dropped while down."""

    def __init__(
        self,
        url: str,
        *,
        on_up: Callable[[], Iterable[str]],
        on_frame: Callable[[str | bytes], None],
        on_down: Callable[[str], None],
        silence_s: float | None = SILENCE_S,
    ) -> None:
        """`on_up` returns the frames to send first. `silence_s` None: silence is normal."""
        self._url = url
        self._on_up, self._on_frame, self._on_down = on_up, on_frame, on_down
        self._silence_s = silence_s
        self._connection: ClientConnection | None = None
        self._sends: set[asyncio.Task[None]] = set()
        self._jitter = random.Random()  # Only ever spreads connections in time.
        self._task = asyncio.get_running_loop().create_task(self._keep())

    def send(self, frame: str) -> None:
        """Send a frame if the socket is up; what is lost is asked again after the next session."""
        if self._connection is not None:
            task = asyncio.get_running_loop().create_task(self._send(self._connection, frame))
            self._sends.add(task)
            task.add_done_callback(self._sends.discard)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _send(self, connection: ClientConnection, frame: str) -> None:
        try:
            await connection.send(frame)
        except WebSocketException:
            return  # The reader sees the same end and reports it.

    async def _keep(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                pause_s = await self._session() or pause_s
                reason = "the exchange closed the socket"
            except TimeoutError:
                reason = f"no data for {self._silence_s} s, or no handshake in 10 s"
            except (OSError, WebSocketException) as error:
                reason = f"{type(error).__name__}: {error}"
            finally:
                self._connection = None
            self._on_down(reason[:200])
            await asyncio.sleep(pause_s * self._jitter.uniform(0.8, 1.2))
            pause_s = min(2 * pause_s, LAST_PAUSE_S)

    async def _session(self) -> float:
        """Run one session to its end; return the pause after a session that worked."""
        async with connect(
            self._url,
            open_timeout=10,
            close_timeout=1,
            ping_interval=None,  # The exchange pings; ours would be a second opinion it ignores.
            max_size=FRAME_MAX,
            proxy=None,
            compression=None,
        ) as connection:
            self._connection = connection
            for frame in self._on_up():
                await connection.send(frame)
            while True:
                async with asyncio.timeout(self._silence_s):
                    frame = await connection.recv()
                self._on_frame(frame)
        return FIRST_PAUSE_S
