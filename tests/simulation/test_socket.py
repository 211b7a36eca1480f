"""The sandbox over a real WebSocket: frames of the real shape, in the real order."""

import asyncio
import base64
import contextlib
import json
import os
import socket
import struct
import time
from collections.abc import Callable
from typing import Any, Self

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from btcbot.btcturk.auth import KeyPair
from btcbot.domain.ids import Asset
from btcbot.domain.instruments import DOCUMENTED
from btcbot.simulation import server
from btcbot.simulation.access import Access
from btcbot.simulation.sandbox import Sandbox
from btcbot.simulation.sockets import Hub
from bus.clock import SystemClock
from tests.simulation.conftest import Running, Start
from tests.simulation.test_rest import sample, unlike

Json = Any


def misshapen(frame: Json, name: str) -> list[str]:
    """Return how a frame differs from the real one in kind, keys and types."""
    theirs = sample(name)
    assert frame[0] == theirs[0]
    return unlike(frame[1], theirs[1])


def talk(running: Running, path: str = "/ws") -> ClientConnection:
    url = running.ws_url.removesuffix("/ws") + path
    return connect(url, proxy=None, ping_interval=None)


def join(
    connection: ClientConnection, channel: str, event: str, *, is_joining: bool = True
) -> None:
    body = {"type": 151, "channel": channel, "event": event, "join": is_joining}
    connection.send(json.dumps([151, body]))


def hear(connection: ClientConnection, *kinds: int, seconds: float = 5) -> list[Json]:
    """Return the frames up to the first of the last of `kinds`; earlier ones must come before."""
    found, wanted = [], list(kinds)
    give_up = time.monotonic() + seconds
    while wanted:
        frame = json.loads(connection.recv(timeout=max(0.0, give_up - time.monotonic())))
        if frame[0] == wanted[0]:
            wanted.pop(0)
            found.append(frame)
    return found


def login(connection: ClientConnection, running: Running) -> Json:
    connection.send(json.dumps(running.keys.login(time.time_ns() // 1_000_000)))
    return hear(connection, 114)[0]


# --- public -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/ws"])
def test_says_its_version_first_and_compresses_nothing(shared: Running, path: str) -> None:
    with talk(shared, path) as connection:
        assert json.loads(connection.recv(timeout=5)) == sample("ws-991-welcome")
        assert connection.response is not None
        assert "Sec-WebSocket-Extensions" not in connection.response.headers


def test_joins_are_answered_as_the_exchange_answers_them(shared: Running) -> None:
    with talk(shared) as connection:
        join(connection, "obdiff", "BTCTRY")
        assert hear(connection, 100)[0] == sample("ws-100-join-ok")
        join(connection, "obdiff", "BTCTRY")
        assert hear(connection, 100)[0] == sample("ws-100-join-duplicate")
        join(connection, "obdiff", "BTCTRY", is_joining=False)
        assert hear(connection, 100)[0] == sample("ws-100-leave-ok")
        for channel, event in (("obdiff", "btctry"), ("obdiff", "NOPE"), ("nonsense", "BTCTRY")):
            join(connection, channel, event)
            [answer] = hear(connection, 100)
            assert answer[1]["ok"] is True
        with pytest.raises(TimeoutError):
            connection.recv(timeout=1.6)  # ok, and then nothing.


def test_nonsense_is_not_answered_and_does_no_harm(shared: Running) -> None:
    with talk(shared) as connection:
        connection.recv()
        for text in (
            "",
            "x",
            "{}",
            '{"type":151}',
            "[999,{}]",
            "[151]",
            '[151,{"channel":[]}]',
            "[" * 60_000,
        ):
            connection.send(text)
        connection.send(b"binary")
        with pytest.raises(TimeoutError):
            connection.recv(timeout=0.3)
        join(connection, "ticker", "all")
        assert hear(connection, 100, 401)


def test_book_changes_continue_the_snapshot_without_a_gap(start: Start) -> None:
    running = start("--speed", "5")
    with talk(running) as connection:
        join(connection, "obdiff", "BTCTRY")
        [snapshot] = hear(connection, 431)
        assert not misshapen(snapshot, "ws-431-obdiff-snapshot")
        body = snapshot[1]
        sides = [{row["P"]: row["A"] for row in body[name]} for name in ("BO", "AO")]
        change_set, codes = body["CS"], set()

        for _ in range(6):
            [change] = hear(connection, 432)
            assert not misshapen(change, "ws-432-obdiff")
            assert change[1]["CS"] == change_set + 1
            change_set += 1
            for levels, name in zip(sides, ("BO", "AO"), strict=True):
                for row in change[1][name]:
                    codes.add(row["CP"])
                    assert (row["P"] in levels) == (row["CP"] != 1)
                    levels[row["P"]] = row["A"]
                    if row["CP"] == 3:
                        del levels[row["P"]]
            assert max(map(int, sides[0])) < min(map(int, sides[1]))

    assert codes == {0, 1, 3}


def test_a_whole_book_comes_to_those_who_want_it_whole(shared: Running) -> None:
    with talk(shared) as connection:
        join(connection, "orderbook", "BTCTRY")
        first, second = hear(connection, 431, 431)

    assert not misshapen(first, "ws-431-orderbook")
    assert second[1]["CS"] == first[1]["CS"] + 1
    bids, asks = ([int(row["P"]) for row in first[1][name]] for name in ("BO", "AO"))
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)


def test_trades_come_as_a_list_and_then_one_by_one(start: Start) -> None:
    running = start("--speed", "20")
    with talk(running) as connection:
        join(connection, "trade", "BTCTRY")
        listed, one = hear(connection, 421, 422)
        connection.send(json.dumps(sample("ws-101-request")))
        [again] = hear(connection, 421)

    assert not misshapen(listed, "ws-421-trade-list")
    assert not misshapen(one, "ws-422-trade-single")
    ids = [int(row["I"]) for row in listed[1]["items"]]
    assert len(ids) == 50
    assert int(one[1]["I"]) > max(ids)
    assert one[1]["I"] in {row["I"] for row in again[1]["items"]}
    assert {row["tid"] for row in running.get("/api/v2/trades", pairSymbol="BTCTRY")["data"]}


def test_tickers_come_every_760_ms_and_candles_with_them(shared: Running) -> None:
    with talk(shared) as connection:
        join(connection, "ticker", "all")
        join(connection, "ticker", "BTCTRY")
        join(connection, "tradeview", "BTCTRY_60")
        everything, one, candle = hear(connection, 401, 402, 428)
        began = time.monotonic()
        hear(connection, 401, 401)
        took = time.monotonic() - began

    assert not misshapen(everything, "ws-401-ticker-all")
    assert not misshapen(one, "ws-402-ticker-pair")
    assert not misshapen(candle, "ws-428-tradeview")
    assert len(everything[1]["items"]) == len(DOCUMENTED)
    assert candle[1]["D"] % 3_600 == 0
    assert 1.2 < took < 1.9


def test_the_sixteenth_socket_in_a_minute_is_refused(start: Start) -> None:
    running = start()
    with contextlib.ExitStack() as sockets:
        for _ in range(15):
            sockets.enter_context(talk(running))

        with pytest.raises(InvalidStatus) as refused, talk(running):
            pass

    assert refused.value.response.status_code == 429
    assert int(refused.value.response.headers["Retry-After"]) == 60


# --- private ----------------------------------------------------------------------------------


def test_a_login_is_signed_over_key_and_nonce(shared: Running) -> None:
    with talk(shared) as connection:
        stranger = KeyPair(shared.keys.key, base64.b64encode(b"another").decode())
        connection.send(json.dumps(stranger.login(0)))
        assert hear(connection, 114)[0] == sample("ws-114-login-failed")
        assert login(connection, shared) == sample("ws-114-login-ok")


def test_private_frames_tell_the_life_of_an_order(start: Start) -> None:
    running = start()
    with talk(running) as connection, talk(running) as stranger:
        login(connection, running)
        bid = running.bid()
        running.submit(quantity="0.0005", price=str(bid * 101 // 100), newOrderClientId="taker")
        inserted, *fills = hear(connection, 451, 423, 441)
        order = running.submit(quantity="0.001", price=str(bid * 8 // 10)).json()["data"]
        running.call("DELETE", f"order?id={order['id']}")
        resting, deleted = hear(connection, 451, 452)
        stranger.recv(timeout=5)
        with pytest.raises(TimeoutError):
            stranger.recv(timeout=0.2)  # Nobody else is told.

    assert not misshapen(inserted, "ws-451-order-insert")
    assert not misshapen(deleted, "ws-452-order-delete")
    assert not misshapen(fills[0], "ws-423-user-trade")
    assert not misshapen(fills[1], "ws-441-user-order-match")
    assert (inserted[1]["newOrderClientId"], inserted[1]["orderType"]) == ("taker", 0)
    assert inserted[1]["numLeft"] == inserted[1]["amount"] == "0.0005"  # As it was on arrival.
    assert "type" not in fills[0][1]
    assert (resting[1]["id"], deleted[1]["id"]) == (order["id"], order["id"])
    assert deleted[1]["amount"] == "0.0010000000000000"


# --- keeping alive ----------------------------------------------------------------------------


class Raw:
    """A client that shakes hands and then does only what it is told to."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.file = self.socket.makefile("rb")
        while self.file.readline() != b"\r\n":
            pass

    def frame(self) -> tuple[int, bytes]:
        """Return (opcode, payload) of the next frame."""
        first, length = self.file.read(2)
        if length == 126:
            [length] = struct.unpack("!H", self.file.read(2))
        elif length == 127:
            [length] = struct.unpack("!Q", self.file.read(8))
        return first & 0x0F, self.file.read(length)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.file.close()
        self.socket.close()

    def pong(self) -> None:
        self.socket.sendall(b"\x8a\x80" + os.urandom(4))


def serving(monkeypatch: pytest.MonkeyPatch, client: Callable[[int], Any]) -> Any:
    """Run `client(port)` in a thread against a server whose pings come every 0.2 s."""
    monkeypatch.setattr(server, "PING_S", 0.2)
    clock, keys = SystemClock(), KeyPair("k", base64.b64encode(b"s").decode())
    sandbox = Sandbox(DOCUMENTED.values(), {Asset("TRY"): 1}, clock.now_ns())  # type: ignore[dict-item]

    async def run() -> Any:
        listener = socket.create_server(("127.0.0.1", 0))
        task = asyncio.create_task(server.serve(sandbox, [Access(keys)], listener, 1, clock))
        try:
            return await asyncio.to_thread(client, listener.getsockname()[1])
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            listener.close()

    return asyncio.run(run())


def test_pings_go_on_unanswered_and_the_third_silence_ends_it_with_1000(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never_answer(port: int) -> tuple[list[int], bytes, float]:
        began, seen = time.monotonic(), []
        with Raw(port) as client:
            while True:
                opcode, payload = client.frame()
                seen.append(opcode)
                if opcode == 8:
                    return seen, payload, time.monotonic() - began

    seen, payload, took = serving(monkeypatch, never_answer)

    assert seen == [1, 9, 9, 8]
    assert payload == struct.pack("!H", 1000)  # And no reason.
    assert 0.5 < took < 1.2


def test_who_answers_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer_the_first_five(port: int) -> list[int]:
        seen: list[int] = []
        with Raw(port) as client:
            while 8 not in seen:
                opcode, _ = client.frame()
                seen.append(opcode)
                if opcode == 9 and seen.count(9) <= 5:
                    client.pong()
        return seen

    assert serving(monkeypatch, answer_the_first_five) == [1, *[9] * 7, 8]


def test_who_does_not_read_is_cut_off() -> None:
    sandbox = Sandbox(DOCUMENTED.values(), {}, 1_795_000_000_000_000_000)
    hub = Hub(sandbox, lambda *_: False)

    async def run() -> str | None:
        from btcbot.simulation.sockets import Session

        session = Session()
        hub.sessions.append(session)
        hub.hear(session, '[151,{"channel":"ticker","event":"all","join":true}]')
        for n in range(1_001):
            hub.tell_batch(n)
        return await session.next()

    assert asyncio.run(run()) is None


def test_a_closed_server_says_so(start: Start) -> None:
    running = start()
    with talk(running) as connection:
        connection.recv()
        assert running.end() == 0
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=5)
