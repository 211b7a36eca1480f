"""Our own client of everything public, against the sandbox: typed, exact, within the rate."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from btcbot.btcturk.drift import Drift
from btcbot.btcturk.failures import Failure
from btcbot.btcturk.public_reads import PublicReads
from btcbot.btcturk.rest import RestError
from btcbot.domain.ids import Asset, Pair
from bus.clock import SystemClock
from tests.simulation.conftest import Running

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(60)]
PAIR = Pair("BTCTRY")


@asynccontextmanager
async def reads(running: Running) -> AsyncIterator[tuple[PublicReads, Drift]]:
    drift = Drift(lambda _: None)
    made = PublicReads(running.url, running.url, SystemClock().monotonic_ns, drift)
    try:
        yield made, drift
    finally:
        await made.close()


async def test_everything_public_is_read_and_nothing_in_it_is_unknown(shared: Running) -> None:
    now_s = int(time.time())
    async with reads(shared) as (here, drift):
        assert abs((await here.server_time()).ms - time.time() * 1_000) < 5_000
        assert await here.ping()
        info = await here.exchange_info()
        assert {row.pair for row in info.pairs} >= {PAIR}
        assert {row.asset for row in info.currencies} >= {Asset("BTC"), Asset("TRY")}
        assert len({row.id for row in info.pairs}) == len(info.pairs)
        every = await here.tickers()
        [one] = await here.tickers(PAIR)
        assert one.daily == one.ask - one.open
        assert {row.pair for row in every} == {row.pair for row in info.pairs}
        assert await here.tickers(Pair("NOPEUSDT")) == ()
        assert {row.quote for row in await here.tickers_of(Asset("TRY"))} == {"TRY"}
        book = await here.order_book(PAIR, 5)
        assert len(book.bids) == len(book.asks) == 5
        trades = await here.trades(PAIR, 10)
        assert [row.trade_id for row in trades] == sorted(
            (t.trade_id for t in trades), reverse=True
        )
        assert len(await here.daily(PAIR, 2)) == 2
        days = await here.chart_days(PAIR, now_s - 3 * 86_400, now_s)
        assert all(day.turnover for day in days)
        hours = await here.candles(PAIR, 60, now_s - 6 * 3_600, now_s)
        assert [row.start_s % 3_600 for row in hours] == [0] * len(hours)
        assert 6 <= len(hours) <= 7
        assert all(isinstance(row.close, Decimal) for row in hours)
        assert await here.candles(PAIR, 60, 5, 9) == ()
        assert drift.counts == {}


async def test_an_unknown_pair_is_refused_in_the_exchanges_own_words(shared: Running) -> None:
    async with reads(shared) as (here, _):
        with pytest.raises(RestError, match="Pair NOPEUSDT does not exists") as caught:
            await here.order_book(Pair("NOPEUSDT"))

        assert caught.value.failure is Failure.REFUSED
        assert caught.value.failure.is_evidence


async def test_more_candles_than_one_answer_holds_are_not_asked_for(shared: Running) -> None:
    async with reads(shared) as (here, _):
        with pytest.raises(ValueError, match="allowed are 11000 in one call: ask for a shorter"):
            await here.candles(PAIR, 1, 0, 11_001 * 60)
