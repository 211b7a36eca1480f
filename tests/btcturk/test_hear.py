"""What capture is told: every frame and reply byte for byte, and nothing that we say ourselves."""

from decimal import Decimal
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from btcbot.btcturk.auth import KeyPair
from btcbot.btcturk.feed import BtcturkFeed
from btcbot.btcturk.rest import Rest, RestError
from btcbot.btcturk.venue import BtcturkVenue
from btcbot.catalog.bounds import CaptureBounds
from btcbot.catalog.capture import capturing
from btcbot.catalog.segments import Captured, read, segments
from btcbot.domain import ids
from btcbot.domain.ids import OrderId, Pair
from btcbot.domain.messages import Message
from btcbot.domain.money import Price, Quantity
from btcbot.domain.venue import Cancel, LimitOrder, ReadBalances, ReadTime, Submit, TimeRead
from btcbot.domain.words import Side
from btcbot.secret import Secret, leaks
from bus.clock import SystemClock
from tests.btcturk.servers import RawExchange, Wire, raw_exchange, until

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(30)]
CLOCK = SystemClock()
KEY, SECRET = "a-key-of-nobody-0123456789", "c2VjcmV0LW9mLW5vYm9keS0wMTIzNDU2Nzg5"
Heard = list[tuple[str, int, bytes]]


def into(heard: Heard, source: str, session: int, payload: bytes) -> None:
    heard.append((source, session, payload))


async def test_every_frame_is_heard_as_it_came_with_the_number_of_its_connection() -> None:
    frames = [b'[991,{"type":991}]', b"<html>", b"\xff\x00", b'[432, {"CS": "x"}]', b""]
    heard: Heard = []

    async def session(connection: ServerConnection) -> None:
        for frame in frames:
            await connection.send(frame)

    async with serve(session, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        feed = BtcturkFeed(
            "http://127.0.0.1:9",
            f"ws://127.0.0.1:{port}/",
            lambda _message: None,
            CLOCK.monotonic_ns,
            hear=lambda *what: into(heard, *what),
        )
        await until(lambda: len(heard) >= 2 * len(frames))
        await feed.close()

    expected = [("ws.public", number, frame) for number in (1, 2) for frame in frames]
    assert heard[: 2 * len(frames)] == expected


async def test_a_reply_is_heard_with_its_request_and_a_status_that_is_not_200() -> None:
    answers = [(503, b"<html>later"), (200, b'{"data":[],"success":true}'), (404, b"")]
    heard: Heard = []

    async def script(wire: Wire) -> None:
        while answers:
            await wire.request()
            await wire.answer(*answers.pop(0))

    async with raw_exchange(script) as exchange:
        rest = Rest(exchange.url, CLOCK.monotonic_ns, hear=lambda *what: into(heard, *what))
        await rest.get("order_book", "/api/v2/orderbook", {"pairSymbol": "BTCTRY", "limit": 5})
        with pytest.raises(RestError):
            await rest.get("public", "/none")
        await rest.close()

    book = "rest GET /api/v2/orderbook?pairSymbol=BTCTRY&limit=5"
    assert heard == [
        (f"{book} -> 503", 0, b"<html>later"),
        (book, 0, b'{"data":[],"success":true}'),
        ("rest GET /none -> 404", 0, b""),
    ]


async def test_private_capture_holds_what_the_exchange_said_and_no_word_of_ours(
    tmp_path: Path,
) -> None:
    """The exchange here echoes what it was sent, as a proxy's error page does."""
    Secret(KEY)
    Secret(SECRET)
    greeting = b'[114,{"type":114,"ok":true,"message":"User login success"}]'

    async def script(wire: Wire) -> None:
        while True:
            request = await wire.request()
            if b"server/time" in request:
                await wire.answer(200, f'{{"serverTime":{CLOCK.now_ns() // 10**6}}}')
            elif request.startswith((b"POST", b"GET")):
                await wire.answer(200, b'{"success":true,"code":0,"data":[]}')
            else:
                await wire.answer(502, b"<pre>" + request)

    async def session(connection: ServerConnection) -> None:
        login = await connection.recv()
        await connection.send(greeting)
        await connection.send(login)
        await connection.wait_closed()

    bounds = CaptureBounds(disk_free_min_mb=0)
    async with (
        raw_exchange(script) as exchange,
        serve(session, "127.0.0.1", 0, compression=None) as server,
    ):
        port = next(iter(server.sockets)).getsockname()[1]
        with capturing(tmp_path, "execution", bounds, CLOCK, is_secret=leaks) as hear:
            said: list[Message] = []
            venue = BtcturkVenue(
                addresses=(exchange.url, f"ws://127.0.0.1:{port}/"),
                credentials=(KEY, SECRET),
                deliver=said.append,
                kill_file=tmp_path / "KILL",
                clock=CLOCK,
                hear=hear,
            )
            await until(lambda: exchange.accepted >= 4 and bool(said))
            venue.start(ReadTime())
            await until(lambda: any(isinstance(message, TimeRead) for message in said))
            venue.start(ReadBalances())
            venue.start(Cancel(order_id=OrderId(7)))
            venue.start(order())
            await until(lambda: len(records(tmp_path)) >= 6)
            await venue.close()

    by_source = {record.source: record.payload for record in records(tmp_path)}
    assert by_source["rest GET /api/v1/users/balances"].startswith(b'{"success"')
    assert by_source["rest POST /api/v1/order"].startswith(b'{"success"')
    assert by_source["ws.private"] == greeting
    withheld = sorted(source for source, payload in by_source.items() if not payload)
    assert withheld == [
        "rest DELETE /api/v1/order?id=7 -> 502 (withheld: it held a secret of ours)",
        "ws.private (withheld: it held a secret of ours)",
    ]
    assert_no_secret(tmp_path, exchange)


def order() -> Submit:
    intent = ids.intent_id("test", 1, 1, 0)
    return Submit(
        intent_id=intent,
        client_order_id=ids.client_order_id("abcde", intent),
        pair=Pair("BTCTRY"),
        terms=LimitOrder(
            side=Side.BUY,
            quantity=Quantity(Decimal("0.0001")),
            price=Price(Decimal(3_700_000)),
        ),
        stamp_ms=CLOCK.now_ns() // 10**6,
    )


def records(root: Path) -> list[Captured]:
    return [record for path in segments(root / "execution") for record in read(path)]


def assert_no_secret(root: Path, exchange: RawExchange) -> None:
    """Grep what is kept, packed and unpacked, for all that was signed or signs."""
    secrets = {KEY, SECRET, "X-PCK", "X-Stamp", "X-Signature", KeyPair(KEY, SECRET).sign(3_000)}
    signed = 0
    for request in exchange.requests:
        for line in request.decode().splitlines():
            if line.lower().startswith("x-signature:"):
                secrets.add(line.split(":", 1)[1].strip())
                signed += 1
    assert signed >= 3
    kept = [path.read_bytes() for path in segments(root / "execution")]
    kept += [record.payload + record.source.encode() for record in records(root)]
    found = b"\n".join(kept).lower()
    assert [one for one in secrets if one.lower().encode() in found] == []
