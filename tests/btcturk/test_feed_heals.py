"""market_data on real sockets against a server that speaks frames: silence, gaps, storms."""

import asyncio
import json
import os
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_sockets

from actors import CODEC, market_data
from btcbot.btcturk.feed import BtcturkFeed
from btcbot.btcturk.rate_budget import SECOND_NS
from btcbot.domain.feed import (
    CandlesRead,
    FeedDown,
    FeedUp,
    Join,
    JoinTickers,
    JoinTrades,
    ReadBook,
    ReadCandles,
)
from btcbot.domain.ids import Pair
from btcbot.domain.messages import FeedState, Message, Trade
from btcbot.domain.words import FeedStatus
from bus.actor import Actor, Deliver, Publish, Step
from bus.clock import SystemClock
from bus.runtime import PeersView, Place, serve
from tests.btcturk.servers import Wire, raw_exchange, until

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(60)]
PAIR = Pair("BTCTRY")
CLOCK = SystemClock()
SYMBOL = {
    "name": PAIR, "status": "TRADING", "numerator": "BTC", "denominator": "TRY",
    "numeratorScale": 8, "denominatorScale": 0, "hasFraction": False,
    "filters": [{"filterType": "PRICE_FILTER", "tickSize": "10", "minExchangeValue": "99.91"}],
    "orderMethods": ["LIMIT"],
}  # fmt: skip


class Exchange:
    """One pair over a WebSocket; what it leaves unsaid is the test's choice."""

    def __init__(self) -> None:
        self.sockets: list[ServerConnection] = []
        self.joins: list[str] = []
        self.change_set = 100
        self.lost_snapshots = 0
        self.is_silent = self.ends_at_once = False
        self.url = ""

    async def session(self, connection: ServerConnection) -> None:
        self.sockets.append(connection)
        if self.ends_at_once:
            return
        pulse = asyncio.create_task(self._pulse(connection))
        try:
            async for frame in connection:
                await self._hear(json.loads(frame)[1])
        finally:
            pulse.cancel()

    async def _hear(self, asked: dict[str, Any]) -> None:
        channel, event = asked["channel"], asked["event"]
        self.joins.append(f"{'+' if asked['join'] else '-'}{channel}:{event}")
        await self.say(100, {"ok": True, "message": f"join|{channel}:{event}"})
        if self.is_silent or not asked["join"]:
            return
        if channel == "trade":
            await self.say(421, {"symbol": PAIR, "items": []})
        if channel == "obdiff":
            if self.lost_snapshots:
                self.lost_snapshots -= 1
                return
            self.change_set += 50
            await self.say(431, self.book([("4001000", "1")], [("4000000", "1")]))

    async def _pulse(self, connection: ServerConnection) -> None:
        with suppress(Exception):
            while True:
                await asyncio.sleep(0.2)
                if not self.is_silent:
                    await connection.send(json.dumps([401, {"items": []}]))

    def book(self, asks: list[tuple[str, str]], bids: list[tuple[str, str]]) -> dict[str, Any]:
        sides = {
            name: [{"A": amount, "P": price} for price, amount in rows]
            for name, rows in (("AO", asks), ("BO", bids))
        }
        return {"CS": self.change_set, "PS": PAIR, "channel": "obdiff", "event": PAIR, **sides}

    async def change(self, price: str, *, skips: int = 0) -> None:
        self.change_set += 1 + skips
        rows = [{"CP": 1, "P": price, "A": "2"}]
        await self.say(432, {"CS": self.change_set, "PS": PAIR, "AO": [], "BO": rows})

    async def trade(self, number: int) -> None:
        now_ms = CLOCK.now_ns() // 1_000_000
        row = {"D": str(now_ms), "I": str(number), "A": "1.0", "P": "4000000.0", "S": 1}
        await self.say(422, {**row, "PS": PAIR})

    async def say(self, kind: int, body: dict[str, Any]) -> None:
        frame = json.dumps([kind, {**body, "type": kind}], separators=(",", ":"))
        await self.sockets[-1].send(frame)


@asynccontextmanager
async def exchange(**options: Any) -> AsyncIterator[Exchange]:
    made = Exchange()
    async with serve_sockets(made.session, "127.0.0.1", 0, compression=None, **options) as server:
        made.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"
        yield made


async def rules(wire: Wire) -> None:
    while True:
        request = await wire.request()
        body = {"data": {"symbols": [SYMBOL]}, "success": True, "code": 0}
        is_info = b"exchangeinfo" in request
        await wire.answer(200 if is_info else 503, json.dumps(body) if is_info else "")


class Said:
    """What market_data published, with the monotonic time of each."""

    def __init__(self) -> None:
        self.all: deque[tuple[int, Struct]] = deque()

    def feeds(self) -> list[tuple[int, FeedState]]:
        return [(at, row) for at, row in self.all if isinstance(row, FeedState)]

    @property
    def status(self) -> FeedStatus | None:
        feeds = self.feeds()
        return feeds[-1][1].status if feeds else None

    def since(self, status: FeedStatus, after_ns: int) -> float:
        """Return how many seconds after `after_ns` `status` was said first."""
        found = (at for at, row in self.feeds() if at > after_ns and row.status is status)
        return (next(found) - after_ns) / SECOND_NS


@pytest.fixture(autouse=True)
def private_files() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@asynccontextmanager
async def market(ws_url: str) -> AsyncIterator[Said]:
    """Run the real actor in the real runtime; what it says is noted where it is said."""
    said, feeds = Said(), list[BtcturkFeed]()

    async with raw_exchange(rules) as rest:

        def make(deliver: Deliver, _peers: PeersView) -> Actor[Any]:
            feeds.append(BtcturkFeed(rest.url, ws_url, deliver, CLOCK.monotonic_ns))
            return replace(market_data.actor((PAIR,), feeds[0].start), handle=noting)

        def noting(state: market_data.State, message: Any, now_ns: int) -> Step[market_data.State]:
            step = market_data.handle(state, message, now_ns)
            now = CLOCK.monotonic_ns()
            said.all += ((now, e.message) for e in step.effects if isinstance(e, Publish))
            return step

        with tempfile.TemporaryDirectory(prefix="fh-") as name:
            home = Path(name)
            place = Place(run=home / "r", journal=home / "j", quarantine=home / "q", codec=CODEC)
            running = asyncio.create_task(serve(make, place))
            try:
                yield said
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running
                for feed in feeds:
                    await feed.close()


async def is_live(said: Said) -> None:
    await until(lambda: said.status is FeedStatus.LIVE, 15)


async def test_a_feed_that_is_connected_but_silent_is_stale_within_five_seconds() -> None:
    async with exchange() as there, market(there.url) as said:
        await is_live(said)
        there.is_silent = True
        silent_ns = CLOCK.monotonic_ns()

        await until(lambda: said.status not in (FeedStatus.LIVE, None), 15)
        # It was said, whatever came right after; a pulse may have been on its way.
        assert said.since(FeedStatus.STALE, silent_ns) <= 5.3
        await until(lambda: len(there.sockets) == 2, 15)  # And then the session is given up.


async def test_a_gap_is_healed_within_two_seconds_by_leaving_and_joining() -> None:
    async with exchange() as there, market(there.url) as said:
        await is_live(said)
        there.joins.clear()
        gap_ns = CLOCK.monotonic_ns()
        await there.change("4000100", skips=3)
        await there.change("4000200")

        await until(lambda: "+obdiff:BTCTRY" in there.joins, 15)
        await until(lambda: said.feeds()[-1][0] > gap_ns and said.status is FeedStatus.LIVE, 15)

        assert there.joins == ["-obdiff:BTCTRY", "+obdiff:BTCTRY"]
        assert said.since(FeedStatus.LIVE, gap_ns) < 2
        assert len(there.sockets) == 1


async def test_a_snapshot_that_never_comes_is_asked_for_again_though_the_join_was_acked() -> None:
    async with exchange() as there, market(there.url) as said:
        await is_live(said)
        there.lost_snapshots = 1
        gap_ns = CLOCK.monotonic_ns()
        await there.change("4000100", skips=3)
        await until(lambda: said.status is FeedStatus.STALE, 15)

        await until(lambda: said.feeds()[-1][0] > gap_ns and said.status is FeedStatus.LIVE, 15)

        assert there.joins.count("-obdiff:BTCTRY") == 2
        assert len(there.sockets) == 1


async def test_every_trade_of_a_backlog_of_frames_is_said_once() -> None:
    async with exchange() as there, market(there.url) as said:
        await is_live(said)
        for number in range(1, 501):
            await there.trade(number)
            if number % 3 == 0:
                await there.trade(number - 1)

        def trades() -> list[int]:
            return [row.trade_id for _, row in said.all if isinstance(row, Trade)]

        await until(lambda: len(trades()) >= 500, 15)
        assert trades() == list(range(1, 501))


# --- the socket alone -------------------------------------------------------------------------


@asynccontextmanager
async def feed(
    ws_url: str, rest_url: str = "http://127.0.0.1:9", silence_s: float = 5.0
) -> AsyncIterator[tuple[BtcturkFeed, list[Message]]]:
    heard: list[Message] = []
    made = BtcturkFeed(rest_url, ws_url, heard.append, CLOCK.monotonic_ns, silence_s=silence_s)
    try:
        yield made, heard
    finally:
        await made.close()


async def test_answers_to_joins_do_not_keep_a_silent_session_alive() -> None:
    async with exchange() as there, feed(there.url, silence_s=0.4) as (here, heard):
        there.is_silent = True
        while not any(isinstance(message, FeedDown) for message in heard):
            here.start(Join(PAIR))
            await asyncio.sleep(0.05)

        assert len(there.joins) > 3
        [down] = [message for message in heard if isinstance(message, FeedDown)]
        assert down.reason == "no data for 0.4 s"


async def test_pings_of_the_exchange_are_answered() -> None:
    async with (
        exchange(ping_interval=0.05, ping_timeout=2) as there,
        feed(there.url) as (_, heard),
    ):
        await until(lambda: bool(there.sockets))
        await until(lambda: there.sockets[0].latency > 0)  # A pong came back.
        await asyncio.sleep(0.3)

        assert [type(message) for message in heard[:1]] == [FeedUp]
        assert len(there.sockets) == 1


async def test_sessions_that_end_at_once_are_not_opened_at_once() -> None:
    async with exchange() as there, feed(there.url):
        there.ends_at_once = True
        await until(lambda: len(there.sockets) >= 3, 15)
        await asyncio.sleep(1)

        assert len(there.sockets) <= 4


async def test_channels_are_joined_again_each_by_itself() -> None:
    async with exchange() as there, feed(there.url) as (here, heard):
        await until(lambda: "+ticker:all" in there.joins)
        here.start(JoinTrades(PAIR))
        here.start(JoinTickers())

        await until(lambda: len(there.joins) == 5)
        assert there.joins[1:] == [
            "-trade:BTCTRY", "+trade:BTCTRY", "-ticker:all", "+ticker:all",
        ]  # fmt: skip
        assert heard


async def test_wants_for_one_book_are_one_request() -> None:
    hold = asyncio.Event()

    async def slow(wire: Wire) -> None:
        while True:
            await wire.request()
            await hold.wait()
            rows = {"bids": [["1", "1"]], "asks": [["2", "1"]], "timestamp": 5}
            await wire.answer(200, json.dumps({"data": rows, "success": True}))

    async with (
        raw_exchange(slow) as rest,
        exchange() as there,
        feed(there.url, rest.url) as (here, heard),
    ):
        for _ in range(5):
            here.start(ReadBook(PAIR))
        here.start(ReadBook(Pair("ETHTRY")))
        await until(lambda: len(rest.requests) == 2)
        hold.set()
        await until(lambda: sum(type(m).__name__ == "BookRead" for m in heard) == 2)

        here.start(ReadBook(PAIR))
        await until(lambda: len(rest.requests) == 3)


async def test_minutes_are_read_from_the_charts_but_the_running_one_is_not() -> None:
    async def charts(wire: Wire) -> None:
        await wire.request()
        columns = {"o": [1, 2.5, 3], "h": [2, 3, 4], "l": [1, 2, 3], "c": [2, 3, 4]}
        body = {"s": "ok", "t": [60, 120, 180], **columns, "v": [1e-8, 0, 5]}
        await wire.answer(200, json.dumps(body))

    async with (
        raw_exchange(charts) as rest,
        exchange() as there,
        feed(there.url, rest.url) as (here, heard),
    ):
        here.start(ReadCandles(PAIR, 60 * SECOND_NS, 180 * SECOND_NS))
        await until(lambda: any(isinstance(message, CandlesRead) for message in heard))

        [read] = [message for message in heard if isinstance(message, CandlesRead)]
        assert [row.start_ns // SECOND_NS for row in read.candles] == [60, 120]
        assert [str(row.prices.open) for row in read.candles] == ["1", "2.5"]
        wanted = b"/v1/klines/history?symbol=BTCTRY&resolution=1&from=60&to=180"
        assert wanted in rest.requests[0]
