"""Each way an exchange can be out of reach, over real sockets: the message names cause and remedy.

In each, nothing is sent that cannot be accounted for, and execution says DEGRADED and submits
nothing.
"""

import asyncio
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from actors.execution import handle, health
from btcbot.btcturk.feed import BtcturkFeed
from btcbot.domain.feed import FeedDown, FeedTrouble, ReadBook
from btcbot.domain.ids import OrderId
from btcbot.domain.messages import ApprovedOrder, Message
from btcbot.domain.venue import (
    BalancesRead,
    Cancel,
    CancelAnswered,
    FillsRead,
    OpenOrdersRead,
    Outcome,
    ReadBalances,
    ReadFailed,
    ReadFills,
    ReadOpenOrders,
    ReadTime,
    Submit,
    Submitted,
    TimeRead,
)
from btcbot.simulation import defaults
from bus.actor import Health
from tests.btcturk.certificates import make, server_side
from tests.btcturk.servers import RawExchange, Script, Wire, raw_exchange, until
from tests.btcturk.venues import CLOCK, PAIR, SteppedClock, Venue, submit
from tests.orders.test_market_orders import NOW_NS, desk, intent

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(60)]
BTCBOT = Path(sys.executable).with_name("btcbot")


@asynccontextmanager
async def venue(
    url: str, run: Path, clock: SteppedClock | None = None, keys: tuple[str, str] | None = None
) -> AsyncIterator[Venue]:
    """Give a venue that need not ever connect; its private socket has nowhere to go."""
    here = Venue(RawExchange(asyncio.sleep, url=url), run, clock=clock, keys=keys)  # type: ignore[arg-type]
    try:
        yield here
    finally:
        await here.btcturk.close()


def degraded(*outcomes: ReadFailed) -> None:
    """Check that execution, hearing these, says DEGRADED and submits nothing it is given."""
    here = desk(market_orders=False)
    here.first_reads = ("balances",)
    for outcome in outcomes:
        handle(here, outcome, NOW_NS)
    assert health(here) is Health.DEGRADED
    step = handle(here, ApprovedOrder(intent=intent(), approved_ns=NOW_NS), NOW_NS)
    assert not [effect for effect in step.effects if isinstance(effect, Submit)]


async def out_of_reach(here: Venue, *words: str) -> None:
    """Check that a read, a cancel and a submit all fail in `words`, and that nothing is sent."""
    here.measure()
    read = await here.asked(ReadBalances(), ReadFailed, within_s=20)
    for word in words:
        assert word in read.detail
    cancel = await here.asked(Cancel(OrderId(7)), CancelAnswered, within_s=20)
    assert words[0] in cancel.detail
    await until(lambda: words[0] in here.btcturk._pool.trouble)
    order = await here.asked(submit(), Submitted)
    assert order.outcome is Outcome.NOT_SENT
    assert words[0] in order.detail
    degraded(read)


# --- nobody there -----------------------------------------------------------------------------


async def test_a_name_that_nobody_has(tmp_path: Path) -> None:
    async with venue("https://exchange.invalid", tmp_path) as here:
        await out_of_reach(here, "cannot find", "exchange.invalid", "check the address and DNS")


async def test_a_closed_port(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with venue(f"http://{address}", tmp_path) as here:
            await out_of_reach(here, "nothing listens at", address, "check the address")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("untrusted", ("is self-signed", "something else answers in the exchange's place")),
        ("expired", ("has expired", "check this machine's date")),
        ("elsewhere", ("is for another host", "check the address")),
    ],
)
async def test_a_certificate_that_proves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, words: tuple[str, ...]
) -> None:
    pair = make(
        tmp_path / "ca",
        name="DNS:api.example.com" if how == "elsewhere" else "IP:127.0.0.1",
        valid="over" if how == "expired" else "now",
    )
    if how != "untrusted":
        monkeypatch.setenv("SSL_CERT_FILE", str(pair[0]))
    async with (
        raw_exchange(good, ssl=server_side(pair)) as exchange,
        venue(exchange.url, tmp_path) as here,
    ):
        await out_of_reach(here, *words, "127.0.0.1")

        assert exchange.requests == []


async def test_a_server_that_speaks_no_tls(tmp_path: Path) -> None:
    async def plain(wire: Wire) -> None:
        await wire.say("HTTP/1.1 400 Bad Request\r\n\r\n")

    async with raw_exchange(plain) as exchange:
        url = exchange.url.replace("http:", "https:")
        async with venue(url, tmp_path) as here:
            await out_of_reach(here, "does not speak TLS as we do", "check the address")


async def good(wire: Wire) -> None:
    while True:
        await wire.request()
        await wire.answer(200, '{"data":[],"success":true,"message":null,"code":0}')


# --- something else answers -------------------------------------------------------------------


def always(status: int, body: str, *headers: str) -> Script:
    async def script(wire: Wire) -> None:
        while True:
            await wire.request()
            await wire.answer(status, body, *headers)

    return script


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, "<html>challenge</html>", ("not the exchange's JSON: '<html>challenge</html>'",)),
        (200, "", ("HTTP 200, an empty body",)),
        (403, "<html>blocked</html>", ("HTTP 403", "it blocks this address")),
        (404, "", ("HTTP 404", "it has no such path: check the address")),
        (502, "<html>", ("HTTP 502, not the exchange's JSON",)),
        (503, "<html>", ("HTTP 503", "it is in maintenance: see status.btcturk.com")),
        (308, "", ("HTTP 308", "we do not follow: check the address")),
    ],
)
async def test_an_answer_that_is_none(
    tmp_path: Path, status: int, body: str, words: tuple[str, ...]
) -> None:
    script = always(status, body, "Location: /elsewhere")
    async with raw_exchange(script) as exchange, Venue(exchange, tmp_path) as here:
        read = await here.asked(ReadBalances(), ReadFailed, within_s=20)
        cancel = await here.asked(Cancel(OrderId(7)), CancelAnswered)
        order = await here.asked(submit(), Submitted)

        for word in words:
            assert word in read.detail
        assert not cancel.is_accepted
        # It went out and nothing proves what became of it: only reading can tell.
        assert order.outcome is Outcome.UNKNOWN
        assert len(exchange.posts) == 1
        deletes = [request for request in exchange.requests if request.startswith(b"DELETE")]
        assert len(deletes) == 1
        degraded(read)


# --- the exchange refuses us ------------------------------------------------------------------


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    """Give a sandbox with further keys, each of which lacks one permission."""
    everything = {"funds", "trade", "account", "websocket"}
    grants = [
        argument
        for lacking in ("trade", "funds", "account")
        for argument in ("--grant", f"no-{lacking}:a2V5:{','.join(sorted(everything - {lacking}))}")
    ]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BTCBOT__")}
    with subprocess.Popen(
        [BTCBOT, "sandbox", "--port", "0", *grants], stdout=subprocess.PIPE, text=True, env=clean
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[1]
        process.send_signal(signal.SIGKILL)


async def test_a_clock_ten_seconds_off_is_measured_before_anything_is_signed(
    sandbox: str, tmp_path: Path
) -> None:
    for wrong_s in (10, -10):
        keys = (defaults.API_KEY, defaults.API_SECRET)
        async with venue(sandbox, tmp_path, SteppedClock(wrong_s), keys) as here:
            await until(lambda: here.btcturk._pool._said == 4)
            wrong_ms = CLOCK.now_ns() // 10**6 + wrong_s * 1_000
            early = await here.asked(submit(wrong_ms), Submitted)
            here.btcturk.start(ReadBalances())
            here.btcturk.start(ReadFills(0))
            await until(lambda: bool(here.of(BalancesRead) and here.of(FillsRead)))
            late = await here.asked(submit(wrong_ms), Submitted)

            assert early.detail == "the exchange's clock was not read yet"
            assert early.outcome is late.outcome is Outcome.NOT_SENT
            assert "its stamp" in late.detail
            assert here.of(ReadFailed) == []
            for measured in here.of(TimeRead):
                assert abs(measured.offset_ns + wrong_s * 10**9) <= measured.error_ns + 10**6


async def test_a_clock_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    async with (
        raw_exchange(always(503, "<html>")) as exchange,
        venue(exchange.url, tmp_path) as here,
    ):
        read = await here.asked(ReadBalances(), ReadFailed, within_s=20)
        order = await here.asked(submit(), Submitted)

        assert "it is in maintenance" in read.detail
        assert order.detail == "the exchange's clock was not read yet"
        assert all(b"server/time" in request for request in exchange.requests)
        degraded(read)


async def test_a_key_that_the_exchange_does_not_know(sandbox: str, tmp_path: Path) -> None:
    keys = ("somebody", defaults.API_SECRET)
    async with venue(sandbox, tmp_path, keys=keys) as here:
        read = await refused(here)

        assert "Invalid Public/Private key" in read.detail
        assert "check exchange.api_key_file" in read.detail


async def test_a_secret_that_is_not_the_keys(sandbox: str, tmp_path: Path) -> None:
    async with venue(sandbox, tmp_path, keys=(defaults.API_KEY, "d3Jvbmc=")) as here:
        read = await refused(here)

        assert "Invalid Signature" in read.detail
        assert "check exchange.api_secret_file" in read.detail


async def refused(here: Venue) -> ReadFailed:
    """Ask with a key that is refused: three calls go, then none; return the first failure."""
    await here.asked(ReadTime(), TimeRead)
    await until(lambda: here.btcturk._pool._said == 4)
    reads = [await here.asked(ReadBalances(), ReadFailed) for _ in range(4)]
    order = await here.asked(submit(), Submitted)

    assert all(read.is_unauthorised for read in reads)
    assert [read.detail.startswith("HTTP 401") for read in reads] == [True, True, True, False]
    assert "not asked, next probe in 5" in reads[3].detail
    assert order.outcome is Outcome.NOT_SENT
    assert "not asked" in order.detail
    degraded(*reads)
    return reads[0]


@pytest.mark.parametrize(
    ("lacking", "name"), [("trade", "Trade"), ("funds", "Total Funds"), ("account", "Account")]
)
async def test_a_key_without_a_permission(
    sandbox: str, tmp_path: Path, lacking: str, name: str
) -> None:
    async with venue(sandbox, tmp_path, keys=(f"no-{lacking}", "a2V5")) as here:
        await here.asked(ReadTime(), TimeRead)
        await until(lambda: here.btcturk._pool._said == 4)
        asked: dict[str, tuple[Any, type[Message]]] = {
            "funds": (ReadBalances(), BalancesRead),
            "account": (ReadFills(0), FillsRead),
            "trade": (ReadOpenOrders(PAIR), OpenOrdersRead),
        }
        for permission, (effect, kind) in asked.items():
            if permission != lacking:
                await here.asked(effect, kind)
        read = await here.asked(asked[lacking][0], ReadFailed)

        assert f"the key lacks the permission '{name}'" in read.detail
        assert "see the key's page at the exchange" in read.detail
        if lacking == "trade":
            order = await here.asked(submit(), Submitted)
            assert order.outcome is Outcome.REJECTED
            assert "'Trade'" in order.detail
        degraded(read)


# --- market data, the same ways ---------------------------------------------------------------


@pytest.mark.parametrize("how", ["dns", "closed", "untrusted", "html", "maintenance"])
async def test_market_data_is_told_in_the_same_words(tmp_path: Path, how: str) -> None:
    words = {
        "dns": "cannot find",
        "closed": "nothing listens at",
        "untrusted": "is self-signed",
        "html": "not the exchange's JSON",
        "maintenance": "it is in maintenance",
    }[how]
    tls: dict[str, ssl.SSLContext] = {}
    if how == "untrusted":
        tls = {"ssl": server_side(make(tmp_path / "ca"))}
    script = always(503, "<html>") if how == "maintenance" else always(200, "<html>")
    async with raw_exchange(script, **tls) as exchange:
        url = {"dns": "https://exchange.invalid", "closed": "http://127.0.0.1:1"}.get(
            how, exchange.url
        )
        said: list[Message] = []
        feed = BtcturkFeed(url, url.replace("http", "ws", 1), said.append, CLOCK.monotonic_ns)
        try:
            feed.start(ReadBook(PAIR))
            await until(lambda: {FeedDown, FeedTrouble} <= {type(message) for message in said}, 20)
        finally:
            await feed.close()

        [trouble] = [message for message in said if isinstance(message, FeedTrouble)]
        assert words in trouble.detail
