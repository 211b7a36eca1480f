"""The whole client against the sandbox in a process of its own: submit, read, cancel, fill."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from btcbot.btcturk.feed import BtcturkFeed
from btcbot.btcturk.venue import BtcturkVenue
from btcbot.domain import ids
from btcbot.domain.feed import (
    BookChange,
    BookRead,
    BookSnapshot,
    FeedTrouble,
    FeedUp,
    Join,
    ReadBook,
    ReadRules,
    RulesRead,
    TickersSeen,
    TradesSeen,
)
from btcbot.domain.ids import IntentId, OrderId, Pair
from btcbot.domain.messages import Message
from btcbot.domain.money import Price, Quantity
from btcbot.domain.venue import (
    AllOrdersRead,
    BalancesRead,
    Cancel,
    CancelAnswered,
    ConnectionsIdle,
    Doorbell,
    FillsRead,
    LimitOrder,
    OpenOrdersRead,
    OrderRead,
    Outcome,
    ReadAllOrders,
    ReadBalances,
    ReadFailed,
    ReadFills,
    ReadOpenOrders,
    ReadOrder,
    ReadTime,
    Submit,
    Submitted,
    TimeRead,
)
from btcbot.domain.words import Side
from btcbot.simulation import defaults
from bus.clock import SystemClock

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(60)]
PAIR = Pair("BTCTRY")
CLOCK = SystemClock()
M = TypeVar("M", bound=Message)


class Inbox:
    """Everything delivered, and a way to wait for the next of a kind."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self._news = asyncio.Event()

    def deliver(self, message: Message) -> None:
        self.heard.append(message)
        self._news.set()

    async def next(self, kind: type[M], within_s: float = 8.0) -> M:
        """Return the first message of `kind`, and forget it."""
        async with asyncio.timeout(within_s):
            while True:
                for message in self.heard:
                    if isinstance(message, kind):
                        self.heard.remove(message)
                        return message
                self._news.clear()
                await self._news.wait()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        number: int = taken.getsockname()[1]
    command = [sys.executable, "-m", "btcbot.cli.main", "sandbox", "--port", str(number)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        ends_s = time.monotonic() + 20
        while not _answers(number):
            assert process.poll() is None, f"the sandbox ended with {process.returncode}"
            assert time.monotonic() < ends_s, "the sandbox does not answer"
            time.sleep(0.05)
        yield number
        process.terminate()


def _answers(port: int) -> bool:
    try:
        ping = httpx.get(f"http://127.0.0.1:{port}/api/v2/server/ping", trust_env=False)
    except httpx.TransportError:
        return False
    return ping.status_code == 200


@asynccontextmanager
async def venue(
    port: int, run: Path, secret: str = defaults.API_SECRET
) -> AsyncIterator[tuple[BtcturkVenue, Inbox]]:
    inbox = Inbox()
    made = BtcturkVenue(
        addresses=(f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}/ws"),
        credentials=(defaults.API_KEY, secret),
        deliver=inbox.deliver,
        kill_file=run / "KILL",
        clock=CLOCK,
    )
    try:
        while (await inbox.next(ConnectionsIdle)).count < 4:
            pass
        made.start(ReadTime())
        await inbox.next(TimeRead)
        yield made, inbox
    finally:
        await made.close()


def submit(decision: int, side: Side, quantity: str, price: Decimal) -> Submit:
    intent = ids.intent_id("test", CLOCK.now_ns(), decision, 0)
    return Submit(
        intent_id=IntentId(intent),
        client_order_id=ids.client_order_id("testx", intent),
        pair=PAIR,
        terms=LimitOrder(side=side, quantity=Quantity(Decimal(quantity)), price=Price(price)),
        stamp_ms=CLOCK.now_ns() // 1_000_000,
    )


async def book(port: int) -> BookRead:
    inbox = Inbox()
    feed = BtcturkFeed(
        f"http://127.0.0.1:{port}",
        f"ws://127.0.0.1:{port}/ws",
        inbox.deliver,
        CLOCK.monotonic_ns,
    )
    try:
        feed.start(ReadBook(PAIR))
        return await inbox.next(BookRead)
    finally:
        await feed.close()


async def test_an_order_is_sent_found_and_cancelled(port: int, tmp_path: Path) -> None:
    async with venue(port, tmp_path) as (btcturk, inbox):
        bid = Decimal((await book(port)).bids[0].price)
        asked = submit(1, Side.BUY, "0.0001", (bid / 2).quantize(Decimal(10)))

        btcturk.start(asked)
        acked = await inbox.next(Submitted)
        assert acked.outcome is Outcome.ACKED, acked
        assert acked.order_id is not None

        btcturk.start(ReadOpenOrders(PAIR))
        [row] = (await inbox.next(OpenOrdersRead)).orders
        assert (row.order_id, row.client_id) == (acked.order_id, asked.client_order_id)
        assert row.side is Side.BUY
        assert row.quantity == row.left == Decimal("0.0001")
        assert row.is_open

        btcturk.start(Cancel(acked.order_id))
        assert (await inbox.next(CancelAnswered)).is_accepted
        while True:  # Heard is not done: the exchange says later that it is.
            btcturk.start(ReadOrder(acked.order_id))
            read = (await inbox.next(OrderRead)).order
            assert read is not None
            if read.is_terminal:
                break
        assert read.status == "Canceled"
        assert read.executed == 0

        btcturk.start(ReadAllOrders(PAIR, acked.order_id))
        history = await inbox.next(AllOrdersRead)
        assert history.is_complete
        assert [one.order_id for one in history.orders] == [acked.order_id]


async def test_a_fill_is_read_with_its_fees_and_rings_the_doorbell(
    port: int, tmp_path: Path
) -> None:
    async with venue(port, tmp_path) as (btcturk, inbox):
        btcturk.start(ReadBalances())
        before = {row.asset: row for row in (await inbox.next(BalancesRead)).balances}
        ask = Decimal((await book(port)).asks[0].price)
        since_ms = CLOCK.now_ns() // 1_000_000 - 1_000
        asked = submit(2, Side.BUY, "0.0002", (ask * Decimal("1.02")).quantize(Decimal(10)))

        btcturk.start(asked)
        acked = await inbox.next(Submitted)
        assert acked.order_id is not None, acked

        rung = await inbox.next(Doorbell)
        assert rung.order_id == acked.order_id
        btcturk.start(ReadFills(since_ms, acked.order_id))
        while not (read := await inbox.next(FillsRead)).fills:
            btcturk.start(ReadFills(since_ms, acked.order_id))
        assert read.order_id == acked.order_id
        assert sum(fill.quantity for fill in read.fills) == Decimal("0.0002")
        for fill in read.fills:
            assert fill.client_id == asked.client_order_id
            assert fill.fee > 0
            assert fill.tax > 0
            assert fill.trade_id > 1 << 53

        btcturk.start(ReadFills(since_ms))
        assert {fill.trade_id for fill in read.fills} <= {
            fill.trade_id for fill in (await inbox.next(FillsRead)).fills
        }
        btcturk.start(ReadBalances())
        after = {row.asset: row for row in (await inbox.next(BalancesRead)).balances}
        btc, lira = ids.Asset("BTC"), ids.Asset("TRY")
        assert after[btc].total == before[btc].total + Decimal("0.0002")
        paid = sum(fill.price * fill.quantity + fill.fee + fill.tax for fill in read.fills)
        assert after[lira].total == before[lira].total - paid
        assert btcturk.drift == {}


async def test_refusals_absence_and_the_clock_are_told_apart(port: int, tmp_path: Path) -> None:
    async with venue(port, tmp_path) as (btcturk, inbox):
        bid = Decimal((await book(port)).bids[0].price)
        btcturk.start(submit(3, Side.BUY, "0.00000001", (bid / 2).quantize(Decimal(10))))
        refused = await inbox.next(Submitted)
        assert (refused.outcome, refused.code) == (Outcome.REJECTED, "1123")

        btcturk.start(ReadOrder(OrderId(7)))
        assert (await inbox.next(OrderRead)).order is None

        btcturk.start(Cancel(OrderId(7)))
        answered = await inbox.next(CancelAnswered)
        assert not answered.is_accepted
        assert "NO_ORDER_MATCHES_YOUR_REQUEST" in answered.detail

        btcturk.start(ReadTime())
        measured = await inbox.next(TimeRead)
        assert abs(measured.offset_ns) <= measured.error_ns
        assert measured.error_ns < 1_000_000_000


async def test_a_wrong_secret_is_told_as_unauthorised(port: int, tmp_path: Path) -> None:
    async with venue(port, tmp_path, "d3Jvbmc=") as (btcturk, inbox):
        btcturk.start(ReadBalances())
        failed = await inbox.next(ReadFailed)
        assert (failed.what, failed.is_unauthorised) == ("balances", True)
        assert "Unauthorized - Invalid Signature" in failed.detail

        btcturk.start(submit(4, Side.BUY, "0.0001", Decimal(1_000_000)))
        refused = await inbox.next(Submitted)
        assert (refused.outcome, refused.is_unauthorised) == (Outcome.REJECTED, True)


async def test_the_feed_joins_confirms_and_joins_again(port: int) -> None:
    inbox = Inbox()
    feed = BtcturkFeed(
        f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}/ws", inbox.deliver, CLOCK.monotonic_ns
    )
    try:
        assert (await inbox.next(FeedUp)).session == 1
        feed.start(Join(PAIR))
        snapshot = await inbox.next(BookSnapshot)
        assert snapshot.pair == PAIR
        assert snapshot.bids
        assert (await inbox.next(TradesSeen)).is_backlog
        change = await inbox.next(BookChange)
        assert change.change_set == snapshot.change_set + 1
        [row] = (await inbox.next(TickersSeen)).rows
        assert row.bid is not None
        assert row.ask is not None
        assert row.bid < row.ask

        feed.start(Join(PAIR))
        again = await inbox.next(BookSnapshot)
        assert again.change_set > snapshot.change_set

        feed.start(ReadRules())
        rules = {row.pair: row for row in (await inbox.next(RulesRead)).instruments}
        assert rules[PAIR].notional_min == Decimal("99.91")
        assert not [message for message in inbox.heard if isinstance(message, FeedTrouble)]
        assert feed.drift == {}
    finally:
        await feed.close()
