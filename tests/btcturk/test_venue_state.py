"""What the venue keeps of clock, key and private socket, and what it tells of them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from btcbot.btcturk import watch
from btcbot.btcturk.submit import Waits
from btcbot.domain.ids import OrderId
from btcbot.domain.messages import VenueState
from btcbot.domain.venue import (
    Cancel,
    CancelAnswered,
    FillsRead,
    Outcome,
    ReadBalances,
    ReadFailed,
    ReadFills,
    ReadOpenOrders,
    ReadOrder,
    ReadTime,
    Submitted,
    TimeRead,
)
from btcbot.domain.words import SocketStatus
from tests.btcturk.servers import until
from tests.btcturk.test_private_frames import ORDER
from tests.btcturk.venues import (
    CLOCK,
    PAIR,
    Asked,
    Venue,
    accepted,
    always,
    good,
    rest_exchange,
    submit,
)

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(30)]


async def test_no_order_is_stamped_by_a_clock_that_was_moved(tmp_path: Path) -> None:
    async with (
        rest_exchange(always(200, accepted())) as exchange,
        Venue(exchange, tmp_path) as here,
    ):
        here.clock.wrong_ns = 3 * 10**9
        moved = await here.asked(submit(CLOCK.now_ns() // 10**6 + 3_000), Submitted)
        here.measure()
        good = await here.asked(submit(), Submitted)

        assert (moved.outcome, good.outcome) == (Outcome.NOT_SENT, Outcome.ACKED)
        assert "may be 3" in moved.detail
        assert len(exchange.posts) == 1


async def test_a_clock_that_was_moved_is_measured_again_unasked(tmp_path: Path) -> None:
    def answers(_: Asked) -> tuple[int, Any]:
        return 200, {"serverTime": CLOCK.now_ns() // 10**6}

    async with (
        rest_exchange(answers) as exchange,
        Venue(exchange, tmp_path, waits=Waits(report_s=0.02)) as here,
    ):
        here.clock.wrong_ns = -7 * 10**9
        await until(lambda: bool(here.of(TimeRead)))

        assert abs(here.of(TimeRead)[0].offset_ns - 7 * 10**9) < 10**9


async def test_after_three_401s_nothing_private_leaves_but_the_clock_is_read(
    tmp_path: Path,
) -> None:
    def answers(asked: Asked) -> tuple[int, Any]:
        if asked.path.endswith("time"):
            return 200, {"serverTime": CLOCK.now_ns() // 10**6}
        return 401, {"success": True, "message": "Unauthorized - Invalid Nonce", "code": 1037}

    async with rest_exchange(answers) as exchange, Venue(exchange, tmp_path) as here:
        for effect in (ReadBalances(), ReadFills(0), ReadOpenOrders(PAIR)):
            assert (await here.asked(effect, ReadFailed)).is_unauthorised
        late = await here.asked(ReadOrder(OrderId(7)), ReadFailed)
        order = await here.asked(submit(), Submitted)
        cancel = await here.asked(Cancel(OrderId(7)), CancelAnswered)
        await here.asked(ReadTime(), TimeRead)

        assert len(exchange.requests) == 4
        assert exchange.posts == []
        assert order.outcome is Outcome.NOT_SENT
        for detail in (late.detail, order.detail, cancel.detail):
            assert "not asked, next probe in 5" in detail
            assert "set this machine's time" in detail


async def test_how_the_connection_is_is_told_over_and_over(tmp_path: Path) -> None:
    async with (
        rest_exchange(always(200, good([]))) as exchange,
        Venue(exchange, tmp_path, waits=Waits(report_s=0.05)) as here,
    ):
        await here.asked(ReadFills(0), FillsRead)
        await until(lambda: any(row.used for state in here.of(VenueState) for row in state.rate))
        state = here.of(VenueState)[-1]

        used = {row.group: row.used for row in state.rate if row.window_s == 60}
        assert used["trades"] == 1
        assert sum(used.values()) == 1
        assert state.private_socket is SocketStatus.DOWN
        assert (state.clock_offset_ms, state.trouble) == (0, "")


async def test_a_socket_that_is_silent_about_our_order_is_suspect_until_it_speaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "PATIENCE_NS", 50_000_000)
    may_speak = asyncio.Event()

    async def session(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send('[114,{"type":114,"ok":true,"message":""}]')
        await may_speak.wait()
        await connection.send(json.dumps([451, {"type": 451, **ORDER}]))
        await connection.wait_closed()

    async with serve(session, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with (
            rest_exchange(always(200, accepted())) as exchange,
            Venue(
                exchange, tmp_path, f"ws://127.0.0.1:{port}/", waits=Waits(report_s=0.02)
            ) as here,
        ):

            def status() -> SocketStatus | None:
                states = here.of(VenueState)
                return states[-1].private_socket if states else None

            await until(lambda: status() is SocketStatus.UP)
            await here.asked(submit(), Submitted)
            await until(lambda: status() is SocketStatus.SUSPECT)
            may_speak.set()
            await until(lambda: status() is SocketStatus.UP)
