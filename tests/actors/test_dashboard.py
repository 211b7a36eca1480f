"""The page: read-only, for this machine alone, and honest about what is old."""

import asyncio
import json
import re
import socket
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors import CODEC, dashboard
from actors.dashboard import FILES, PAGE, Page, application, listen, serve_page
from btcbot.config import Config
from btcbot.domain.facts import EpochStarted, Fill
from btcbot.domain.ids import Asset, OrderId, Pair, TradeId
from btcbot.domain.messages import FeedState
from btcbot.domain.money import Amount, Price, Quantity
from btcbot.domain.status import View
from btcbot.domain.words import FeedStatus, Side
from btcbot.store.writer import Writer
from bus.actor import Health, Peer
from bus.clock import ManualClock
from bus.memory import MemoryBus

START_NS = 1_795_000_000_000_000_000
TRADE_ID = 1_181_163_798_924_649_755  # Beyond what a browser's numbers hold.
PAIRS = (Pair("BTCTRY"),)


def page(tmp_path: Path) -> Page:
    config = Config(home=tmp_path, pairs=PAIRS)
    peer = Peer(name="execution", epoch=1, pid=1, health=Health.READY, heard_ns=0)
    return Page(config, View(mode="sandbox", pairs=PAIRS), lambda: {"execution": peer})


def test_follows_what_is_said_and_says_nothing() -> None:
    bus = MemoryBus(ManualClock(START_NS), CODEC)
    bus.start(dashboard.actor("sandbox", PAIRS))
    feed = FeedState(
        pair=PAIRS[0], status=FeedStatus.LIVE, confirmed_ns=1, reason="", at_ns=START_NS
    )

    bus.publish("market_data", "feed.BTCTRY", feed)
    bus.advance(10)

    assert bus.state("dashboard").feeds == {PAIRS[0]: feed}
    assert bus.log == []


def test_an_actor_whose_heartbeat_is_old_is_stopped(tmp_path: Path) -> None:
    shown = page(tmp_path).document()

    states = {row["name"]: row["state"] for row in shown["actors"]}
    assert states["execution"] == "STOPPED"
    assert states["dashboard"] == "READY"
    assert shown["ready"] is False


def test_without_a_database_its_lists_are_empty_and_it_looks_again_later(tmp_path: Path) -> None:
    shown = page(tmp_path)
    assert shown.document()["recent_fills"] == []

    writer = Writer(str(tmp_path / "btcbot.db"))
    fill = Fill(
        trade_id=TradeId(TRADE_ID), order_id=OrderId(TRADE_ID + 1), intent_id=None,
        client_order_id=None, pair=PAIRS[0], side=Side.BUY, quantity=Quantity(Decimal("1.0E-7")),
        price=Price(Decimal(4_000_000)), fee=Amount(Decimal("0.1")), tax=Amount(Decimal(0)),
        fee_asset=Asset("TRY"), event_ns=5, liquidity=None, postings=(), at_ns=6,
    )  # fmt: skip
    writer.commit((EpochStarted(epoch=1, instance="abcde", mode="sandbox", at_ns=1), fill), 1)

    [row] = shown.document()["recent_fills"]
    assert (row["trade_id"], row["order_id"]) == (str(TRADE_ID), str(TRADE_ID + 1))
    assert row["quantity"] == "0.0000001"
    writer.close()


# --- over HTTP ------------------------------------------------------------------------------------


@asynccontextmanager
async def served(tmp_path: Path) -> AsyncIterator[int]:
    """Serve the page on a free port; yield it."""
    door, stop = listen(0), asyncio.Event()
    port = int(door.getsockname()[1])
    serving = asyncio.create_task(serve_page(application(page(tmp_path).document), door, stop))
    try:
        yield port
    finally:
        stop.set()
        async with asyncio.timeout(5):
            await serving


async def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, Any, str]:
    """Return status, headers and body."""

    def call() -> tuple[int, Any, str]:
        url = f"http://127.0.0.1:{port}{path}"
        request = urllib.request.Request(url, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:
                return reply.status, reply.headers, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read().decode()

    return await asyncio.to_thread(call)


@pytest.mark.asyncio
@pytest.mark.parametrize("path", FILES)
async def test_each_file_is_served_and_may_load_nothing_from_elsewhere(
    tmp_path: Path, path: str
) -> None:
    async with served(tmp_path) as port:
        status, headers, body = await ask(port, path)

    assert status == 200
    assert body == (PAGE / FILES[path][0]).read_text(encoding="utf-8")
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.asyncio
async def test_the_document_is_the_status_and_the_newest_rows(tmp_path: Path) -> None:
    async with served(tmp_path) as port:
        status, headers, body = await ask(port, "/status.json")

    assert status == 200
    assert headers["Cache-Control"] == "no-store"
    shown = json.loads(body)
    assert shown.keys() >= {"ready", "actors", "feeds", "orders", "live_orders", "recent_fills"}


@pytest.mark.asyncio
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_there_is_nothing_to_write_to(tmp_path: Path, method: str) -> None:
    async with served(tmp_path) as port:
        for path in (*FILES, "/status.json"):
            status, _, _ = await ask(port, path, method)
            assert status == 405


@pytest.mark.asyncio
async def test_a_name_of_somebody_else_that_leads_here_reads_nothing(tmp_path: Path) -> None:
    async with served(tmp_path) as port:
        status, _, body = await ask(port, "/status.json", Host="evil.example")
        assert (status, "actors" in body) == (400, False)
        status, _, _ = await ask(port, "/status.json", Host=f"localhost:{port}")
        assert status == 200


@pytest.mark.asyncio
async def test_it_listens_on_this_machine_alone(tmp_path: Path) -> None:
    async with served(tmp_path) as port:
        with socket.socket() as probe:
            probe.bind(("127.0.0.2", port))  # Free: the page has 127.0.0.1 and no more.


def test_a_taken_port_ends_the_process_with_try_again_later() -> None:
    with listen(0) as taken, pytest.raises(SystemExit) as ended:
        listen(int(taken.getsockname()[1]))

    assert ended.value.code == 75


def test_the_page_names_no_other_host_and_makes_no_markup_of_text() -> None:
    texts = {path: (PAGE / name).read_text(encoding="utf-8") for path, (name, _) in FILES.items()}

    for path, text in texts.items():
        links = re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]+", text)
        assert [link for link in links if link != "http://www.w3.org"] == [], path
        for markup in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert markup not in text
        assert "style=" not in text
        assert "onclick" not in text
