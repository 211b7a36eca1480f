"""The public feed over a real WebSocket: joins, silence, faults, and coming back."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from btcbot.btcturk import stream
from btcbot.btcturk.feed import BtcturkFeed
from btcbot.domain.feed import (
    BookChange,
    BookRead,
    BookSnapshot,
    FeedDown,
    FeedTrouble,
    FeedUp,
    Join,
    ReadBook,
    ReadRules,
    RulesRead,
    TickersSeen,
)
from btcbot.domain.ids import Pair
from btcbot.domain.messages import Message
from bus.clock import SystemClock
from tests.btcturk.servers import Wire, raw_exchange, until

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(30)]
PAIR = Pair("BTCTRY")
WELCOME = json.dumps([991, {"type": 991, "current": "6.0.0", "min": "2.3.0"}])
LEVELS = {"AO": [{"A": "0.1", "P": "3715990"}], "BO": [{"A": "0.3", "P": "3712281"}]}


class Exchange:
    """A WebSocket server: keeps what it hears, and says what a test tells it to."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.sockets: list[ServerConnection] = []
        self.url = ""
        self.ends_at_once = False

    async def session(self, connection: ServerConnection) -> None:
        self.sockets.append(connection)
        await connection.send(WELCOME)
        if self.ends_at_once:
            return
        async for frame in connection:
            self.heard.append(json.loads(frame))

    async def say(self, kind: int, body: Any) -> None:
        await self.sockets[-1].send(json.dumps([kind, body]))

    def joins(self, *, is_joining: bool = True) -> list[str]:
        return [
            f"{body['channel']}:{body['event']}"
            for kind, body in self.heard
            if kind == 151 and body["join"] is is_joining
        ]


@asynccontextmanager
async def exchange(
    process_request: Callable[[ServerConnection, Request], Awaitable[Response | None]]
    | None = None,
) -> AsyncIterator[Exchange]:
    made = Exchange()
    async with serve(
        made.session, "127.0.0.1", 0, compression=None, process_request=process_request
    ) as server:
        made.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"
        yield made


@asynccontextmanager
async def feed(
    ws_url: str, rest_url: str = "http://127.0.0.1:9", silence_s: float = 5.0
) -> AsyncIterator[tuple[BtcturkFeed, list[Message]]]:
    said: list[Message] = []
    made = BtcturkFeed(
        rest_url, ws_url, said.append, SystemClock().monotonic_ns, silence_s=silence_s
    )
    try:
        yield made, said
    finally:
        await made.close()


def of(said: list[Message], kind: type[Message]) -> list[Any]:
    return [message for message in said if isinstance(message, kind)]


async def test_a_session_joins_the_pulse_and_every_pair() -> None:
    async with exchange() as there, feed(there.url) as (here, said):
        await until(lambda: bool(of(said, FeedUp)))
        here.start(Join(PAIR))
        here.start(Join(Pair("ETHTRY")))

        await until(lambda: len(there.joins()) == 5)

        assert there.joins() == [
            "ticker:all", "obdiff:BTCTRY", "trade:BTCTRY", "obdiff:ETHTRY", "trade:ETHTRY",
        ]  # fmt: skip


async def test_joining_again_leaves_first_because_a_second_join_brings_no_snapshot() -> None:
    async with exchange() as there, feed(there.url) as (here, said):
        await until(lambda: bool(of(said, FeedUp)))
        here.start(Join(PAIR))
        here.start(Join(PAIR))

        await until(lambda: len(there.heard) == 5)

        kinds = [(body["channel"], body["join"]) for _, body in there.heard]
        assert kinds == [
            ("ticker", True),
            ("obdiff", True),
            ("trade", True),
            ("obdiff", False),
            ("obdiff", True),
        ]


async def test_frames_become_messages_in_order_and_bad_ones_trouble() -> None:
    async with exchange() as there, feed(there.url) as (here, said):
        await until(lambda: bool(of(said, FeedUp)))
        book = {"PS": "BTCTRY", "channel": "obdiff", "event": "BTCTRY", **LEVELS}
        change = {**book, "CS": 6, "AO": [{"CP": 3, "P": "3715990", "A": "1"}], "BO": []}
        await there.say(431, {**book, "CS": 5})
        await there.say(432, change)
        await there.sockets[-1].send("<html>")
        await there.sockets[-1].send(b"\xff\x00")
        await there.say(432, {**change, "CS": "x"})
        await there.say(4711, {"type": 4711})
        await there.say(100, {"type": 100, "ok": True, "message": "join|obdiff:BTCTRY"})
        await there.say(402, {"type": 402, "PS": "ETHTRY"})

        await until(lambda: bool(of(said, TickersSeen)))

        assert [type(message) for message in said] == [
            FeedUp, BookSnapshot, BookChange, FeedTrouble, FeedTrouble, FeedTrouble, TickersSeen,
        ]  # fmt: skip
        assert here.drift == {"frame: type 4711": 1}


async def test_silence_of_data_ends_a_session_though_the_socket_answers() -> None:
    async with exchange() as there, feed(there.url, silence_s=0.2) as (here, said):
        here.start(Join(PAIR))
        await until(lambda: len(of(said, FeedUp)) == 2)

        assert of(said, FeedDown) == [FeedDown(reason="no data for 0.2 s")]
        assert of(said, FeedUp)[-1].session == 2
        await until(lambda: there.joins().count("obdiff:BTCTRY") >= 2)
        assert there.joins(is_joining=False) == []  # A new session has nothing to leave.


async def test_a_socket_cut_without_a_word_is_opened_again() -> None:
    async with exchange() as there, feed(there.url) as (_, said):
        await until(lambda: bool(there.sockets))
        there.sockets[0].transport.abort()

        await until(lambda: len(of(said, FeedUp)) == 2)
        assert "ConnectionClosed" in of(said, FeedDown)[0].reason


async def test_a_handshake_refused_for_the_rate_is_not_repeated_at_once() -> None:
    asked = 0

    async def refuse(connection: ServerConnection, _request: Request) -> Response:
        nonlocal asked
        asked += 1
        refusal = connection.respond(429, "too many")
        refusal.headers["Retry-After"] = "60"
        return refusal

    async with exchange(refuse) as there, feed(there.url) as (_, said):
        await until(lambda: bool(of(said, FeedDown)))
        await asyncio.sleep(2 * stream.PAUSE_FIRST_S)

        assert of(said, FeedDown)[0].reason == f"{there.url} answered HTTP 429 to the handshake"
        assert asked == 1


async def test_a_redirect_is_not_followed() -> None:
    async with exchange() as elsewhere:

        async def redirect(connection: ServerConnection, _request: Request) -> Response:
            answer = connection.respond(307, "")
            answer.headers["Location"] = elsewhere.url
            return answer

        async with exchange(redirect) as there, feed(there.url) as (_, said):
            await until(lambda: bool(of(said, FeedDown)))

            assert "HTTP 307" in of(said, FeedDown)[0].reason
            assert elsewhere.sockets == []


async def test_a_closed_port_is_told_and_reads_fail_with_words() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        async with feed(f"ws://127.0.0.1:{port}/", f"http://127.0.0.1:{port}") as (here, said):
            here.start(ReadRules())
            await until(lambda: bool(of(said, FeedDown) and of(said, FeedTrouble)))

            assert f"ws://127.0.0.1:{port}/: ConnectionRefusedError" in of(said, FeedDown)[0].reason
            [trouble] = of(said, FeedTrouble)
            assert trouble.what == "exchange info"
            assert f"http://127.0.0.1:{port}" in trouble.detail


async def test_a_page_of_html_instead_of_a_book_is_trouble() -> None:
    async def blocked(wire: Wire) -> None:
        while True:
            await wire.request()
            await wire.answer(403, "<html>you have been blocked")

    async with (
        raw_exchange(blocked) as rest,
        exchange() as there,
        feed(there.url, rest.url) as (here, said),
    ):
        here.start(ReadBook(PAIR))
        await until(lambda: bool(of(said, FeedTrouble)))

        [trouble] = of(said, FeedTrouble)
        assert trouble.what == "book BTCTRY"
        assert "HTTP 403, not the exchange's JSON: '<html>you have been blocked'" in trouble.detail


async def test_exchange_info_without_any_pair_is_trouble_and_no_rules() -> None:
    async def nothing(wire: Wire) -> None:
        await wire.request()
        await wire.answer(200, json.dumps({"data": {"symbols": []}, "success": True, "code": 0}))

    async with (
        raw_exchange(nothing) as rest,
        exchange() as there,
        feed(there.url, rest.url) as (here, said),
    ):
        here.start(ReadRules())
        await until(lambda: bool(of(said, FeedTrouble)))

        assert of(said, FeedTrouble)[0].detail == "exchange info names no pair that we can read"
        assert not of(said, RulesRead)


async def test_a_book_over_rest_is_read() -> None:
    async def book(wire: Wire) -> None:
        await wire.request()
        rows = {"bids": [["3712281", "0.03"]], "asks": [["3715990", "0.01"]]}
        await wire.answer(200, json.dumps({"data": rows, "success": True, "code": "SUCCESS"}))

    async with (
        raw_exchange(book) as rest,
        exchange() as there,
        feed(there.url, rest.url) as (here, said),
    ):
        here.start(ReadBook(PAIR))
        await until(lambda: bool(of(said, BookRead)))

        assert rest.requests[0].startswith(b"GET /api/v2/orderbook?pairSymbol=BTCTRY HTTP/1.1")
        assert of(said, BookRead)[0].bids[0].price == "3712281"
