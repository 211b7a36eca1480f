"""Reads and cancels over real sockets: what is tried again, what is not, and in which words."""

import asyncio
import contextlib
import gzip
import socket

import pytest

from btcbot.btcturk import rest
from btcbot.btcturk.auth import KeyPair
from btcbot.btcturk.failures import Failure
from btcbot.btcturk.rate_budget import RateBudget
from btcbot.btcturk.rest import Rest, RestError, Signing
from bus.clock import SystemClock
from tests.btcturk.servers import RawExchange, Wire, raw_exchange

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(30)]
CLOCK = SystemClock()
KEYS = KeyPair("test-public-key", "dGVzdC1zZWNyZXQta2V5LWZvci11bml0LXRlc3Rz")
GOOD = '{"data":[],"success":true,"message":"SUCCESS","code":0}'
PATH = "/api/v1/users/balances"


class Stamps:
    """Counts up from 1735689600000."""

    def __init__(self) -> None:
        self.last = 1_735_689_599_999

    def __call__(self) -> int:
        self.last += 1
        return self.last


def client(exchange: RawExchange, budget: RateBudget | None = None) -> Rest:
    return Rest(exchange.url, CLOCK.monotonic_ns, signing=Signing(KEYS, Stamps()), budget=budget)


async def failure(exchange: RawExchange, budget: RateBudget | None = None) -> RestError:
    """Return how one private read failed."""
    reads = client(exchange, budget)
    try:
        with pytest.raises(RestError) as caught:
            await reads.get("balances", PATH)
        return caught.value
    finally:
        await reads.close()


async def test_a_private_read_is_signed_with_a_stamp_of_its_own_each_time() -> None:
    async def twice(wire: Wire) -> None:
        for _ in range(2):
            await wire.request()
            await wire.answer(200, GOOD)

    async with raw_exchange(twice) as exchange:
        reads = client(exchange)
        for _ in range(2):
            assert await reads.get("balances", PATH, {"a": 1}) == GOOD.encode()
        await reads.close()

        first, second = (request.lower() for request in exchange.requests)
        assert first.startswith(b"get /api/v1/users/balances?a=1 http/1.1\r\n")
        assert b"x-pck: test-public-key" in first
        assert b"x-stamp: 1735689600000" in first
        assert b"7gyfgcos+qnq46h/rl83vtpaeasgh" not in second
        assert b"x-stamp: 1735689600001" in second


async def test_a_passing_trouble_is_tried_again_and_signed_anew() -> None:
    async def third_time(wire: Wire) -> None:
        while True:
            await wire.request()
            count = len(wire.exchange.requests)
            if count == 1:
                wire.reset()
                return
            await wire.answer(*((503, "<html>") if count == 2 else (200, GOOD)))

    async with raw_exchange(third_time) as exchange:
        reads = client(exchange)
        assert await reads.get("balances", PATH) == GOOD.encode()
        await reads.close()

        assert len(set(exchange.requests)) == 3


@pytest.mark.parametrize(
    ("status", "body", "tries", "text"),
    [
        (500, '{"success":false,"message":"SYSTEM_ERROR","code":1000}', 3, "SYSTEM_ERROR"),
        (502, "<html>Bad gateway", 3, "not the exchange's JSON: '<html>Bad gateway'"),
        (200, "", 3, "HTTP 200, an empty body"),
        (200, "<html>challenge", 3, "not the exchange's JSON"),
        (200, '{"success":false,"message":"NO","code":5}', 1, "code 5: NO"),
        (400, '{"success":false,"message":"Order not found","code":1152}', 1, "code 1152"),
        (404, "", 1, "HTTP 404, an empty body"),
        (307, "", 1, "HTTP 307"),
        (401, '{"success":true,"message":"Unauthorized - Invalid Nonce","code":1037}', 1, "Nonce"),
        (401, "<html>", 1, "HTTP 401"),
        (403, "<html>blocked", 1, "HTTP 403"),
    ],
)
async def test_each_failure_has_its_words_and_its_number_of_tries(
    status: int, body: str, tries: int, text: str
) -> None:
    async def always(wire: Wire) -> None:
        while True:
            await wire.request()
            await wire.answer(status, body, "Location: /elsewhere")

    async with raw_exchange(always) as exchange:
        error = await failure(exchange)

        assert text in str(error)
        assert f"HTTP {status}" in str(error)
        assert len(exchange.requests) == tries
        assert (error.failure is Failure.UNAUTHORISED) == (status == 401)


REFUSED = (401, '{"success":false,"message":"Unauthorized - Invalid Signature","code":1037}')


@pytest.mark.parametrize(
    ("between", "goes"),
    [
        ((200, GOOD), True),
        ((400, '{"success":false,"message":"Order not found","code":1152}'), True),
        ((404, "<html>not here</html>"), False),
    ],
)
async def test_refusals_in_a_row_are_ended_by_the_exchanges_own_answer_and_no_others(
    between: tuple[int, str], goes: bool
) -> None:
    answers = [REFUSED, REFUSED, between, REFUSED, (200, GOOD)]

    async def play(wire: Wire) -> None:
        while answers:
            await wire.request()
            await wire.answer(*answers.pop(0))

    async with raw_exchange(play) as exchange:
        reads = client(exchange)
        for _ in range(4):
            with contextlib.suppress(RestError):
                await reads.get("balances", PATH)
        if goes:
            assert await reads.get("balances", PATH) == GOOD.encode()
        else:
            with pytest.raises(RestError, match="not asked, next probe in"):
                await reads.get("balances", PATH)
        await reads.close()

        assert len(exchange.requests) == (5 if goes else 4)


async def test_the_exchanges_own_no_is_told_from_a_passing_trouble() -> None:
    async def unknown(wire: Wire) -> None:
        await wire.request()
        await wire.answer(400, '{"success":false,"message":"Order not found","code":1152}')

    async with raw_exchange(unknown) as exchange:
        error = await failure(exchange)

        assert error.failure is Failure.NOT_FOUND


@pytest.mark.parametrize("status", [429, 503])
async def test_a_retry_after_closes_the_group_for_as_long_as_it_says(status: int) -> None:
    async def busy(wire: Wire) -> None:
        while True:
            await wire.request()
            body = '{"success":false,"message":"TOO_MANY_REQUESTS","code":429}'
            await wire.answer(status, body, "Retry-After: 53")

    async with raw_exchange(busy) as exchange:
        budget = RateBudget()
        first, second = await failure(exchange, budget), await failure(exchange, budget)

        assert "waiting 53 s" in str(first)
        assert str(second) == "our rate budget for balances opens in 53 s"
        assert len(exchange.requests) == 1
        assert budget.take("order", CLOCK.monotonic_ns())


async def test_a_short_retry_after_is_waited_for_within_the_bound() -> None:
    async def busy_once(wire: Wire) -> None:
        while True:
            await wire.request()
            is_first = len(wire.exchange.requests) == 1
            body = '{"success":false,"message":"TOO_MANY_REQUESTS","code":429}'
            await wire.answer(*((429, body, "Retry-After: 1") if is_first else (200, GOOD)))

    async with raw_exchange(busy_once) as exchange:
        reads = client(exchange)
        began_ns = CLOCK.monotonic_ns()
        assert await reads.get("balances", PATH) == GOOD.encode()
        await reads.close()

        assert CLOCK.monotonic_ns() - began_ns >= 1_000_000_000
        assert len(exchange.requests) == 2


async def test_a_short_wait_of_the_budget_is_waited_for() -> None:
    async def good(wire: Wire) -> None:
        while True:
            await wire.request()
            await wire.answer(200, GOOD)

    async with raw_exchange(good) as exchange:
        reads = client(exchange)
        began_ns = CLOCK.monotonic_ns()
        await asyncio.gather(*(reads.delete("/api/v1/order", {"id": 5}) for _ in range(10)))
        await reads.close()

        assert CLOCK.monotonic_ns() - began_ns >= 1_000_000_000  # Nine in any second.
        assert len(exchange.requests) == 10


async def test_a_delete_is_sent_once_whatever_comes_back() -> None:
    async def resetting(wire: Wire) -> None:
        await wire.request()
        wire.reset()

    async with raw_exchange(resetting) as exchange:
        cancels = client(exchange)
        with pytest.raises(RestError, match=exchange.url):
            await cancels.delete("/api/v1/order", {"id": 26_947_521_557})
        await cancels.close()

        [request] = exchange.requests
        assert request.startswith(b"DELETE /api/v1/order?id=26947521557 HTTP/1.1")


async def test_a_delete_on_a_connection_dropped_meanwhile_is_not_sent_twice() -> None:
    async def one_each(wire: Wire) -> None:
        await wire.request()
        await wire.answer(200, GOOD)

    async with raw_exchange(one_each) as exchange:
        cancels = client(exchange)
        for number in range(3):
            await cancels.delete("/api/v1/order", {"id": number})
        await cancels.close()

        assert len(exchange.requests) == 3
        assert exchange.accepted == 3


async def test_reads_that_hang_do_not_hold_up_a_cancel() -> None:
    async def hanging_reads(wire: Wire) -> None:
        request = await wire.request()
        if request.startswith(b"GET"):
            await wire.closed()
        await wire.answer(200, GOOD)

    async with raw_exchange(hanging_reads) as exchange:
        both = client(exchange)
        reads = [asyncio.create_task(both.get("order", f"/api/v1/order/{n}")) for n in range(17)]
        async with asyncio.timeout(2):
            await both.delete("/api/v1/order", {"id": 5})
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)
        await both.close()


async def test_an_answer_that_drips_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def dripping(wire: Wire) -> None:
        await wire.request()
        await wire.say("HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
        while True:
            await wire.say("x")
            await asyncio.sleep(0.01)

    monkeypatch.setattr(rest, "TRY_S", 0.3)
    monkeypatch.setattr(rest, "BOUND_S", 0.7)
    async with raw_exchange(dripping) as exchange:
        began_ns = CLOCK.monotonic_ns()
        error = await failure(exchange)

        assert "no answer" in str(error)
        assert CLOCK.monotonic_ns() - began_ns < 1_500_000_000


async def test_an_answer_that_unpacks_to_too_much_is_given_up() -> None:
    bomb = gzip.compress(b" " * (rest.BODY_MAX + 1))

    async def packed(wire: Wire) -> None:
        await wire.request()
        await wire.answer(200, bomb, "Content-Encoding: gzip")

    async with raw_exchange(packed) as exchange:
        assert "an answer of over 8388608 bytes" in str(await failure(exchange))


async def test_a_closed_port_is_told_quickly_with_its_address() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed = RawExchange(lambda _: asyncio.sleep(0))
        closed.url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        began_ns = CLOCK.monotonic_ns()
        error = await failure(closed)

        assert closed.url in str(error)
        assert "connection refused" in str(error)
        assert CLOCK.monotonic_ns() - began_ns < 3_000_000_000


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async def good(wire: Wire) -> None:
        await wire.request()
        await wire.answer(200, GOOD)

    async with raw_exchange(good) as exchange:
        reads = client(exchange)
        assert await reads.get("public", "/api/v2/server/time") == GOOD.encode()
        await reads.close()
