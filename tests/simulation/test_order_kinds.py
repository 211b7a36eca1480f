"""Every kind of order through our own client: what is sent, what it becomes, what it costs."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from btcbot.domain.ids import OrderId, client_order_id, intent_id
from btcbot.domain.money import Amount, Notional, Price, Quantity
from btcbot.domain.venue import (
    AllOrdersRead,
    FillsRead,
    LimitOrder,
    MarketBuy,
    MarketSell,
    OrderRead,
    OrderTerms,
    Outcome,
    ReadAllOrders,
    ReadFills,
    ReadOrder,
    ReadTime,
    StopLimitOrder,
    StopMarketBuy,
    StopMarketSell,
    Submitted,
    TimeRead,
)
from btcbot.domain.words import Side
from btcbot.simulation import defaults
from tests.btcturk.servers import RawExchange, until
from tests.btcturk.venues import CLOCK, PAIR, Venue, submit
from tests.simulation.conftest import Running, Start

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(60)]
ONE = Quantity(Decimal("0.001"))


class Trader(Venue):
    """A venue at a sandbox, sending one order after another."""

    def __init__(self, running: Running, run: Path) -> None:
        at = RawExchange(lambda _: until(lambda: True), url=running.url)
        super().__init__(at, run, keys=(defaults.API_KEY, defaults.API_SECRET))
        self.sent = 0

    async def send(self, terms: OrderTerms) -> Submitted:
        await self.asked(ReadTime(), TimeRead)
        self.sent += 1
        intent = intent_id("kinds", 1, self.sent, 0)
        label = client_order_id("abcde", intent)
        asked = replace(submit(), intent_id=intent, client_order_id=label, terms=terms)
        now_ms = CLOCK.now_ns() // 10**6 + self.btcturk._server.offset_ms
        return await self.asked(replace(asked, stamp_ms=now_ms), Submitted)

    async def accepted(self, terms: OrderTerms) -> OrderId:
        found = await self.send(terms)
        assert found.outcome is Outcome.ACKED, found.detail
        assert found.order_id is not None
        return found.order_id


async def test_a_market_buy_spends_its_quote_and_no_more(start: Start, tmp_path: Path) -> None:
    async with Trader(start(), tmp_path) as here:
        order_id = await here.accepted(MarketBuy(spend=Notional(Decimal(1_000))))
        fills = (await here.asked(ReadFills(0, order_id), FillsRead)).fills
        read = await here.asked(ReadOrder(order_id), OrderRead)

        paid = sum((f.price * f.quantity + f.fee + f.tax for f in fills), Decimal(0))
        assert 990 < paid <= 1_000
        assert read.order is not None
        assert (read.order.method, read.order.status, read.order.side) == (
            "market",
            "Closed",
            Side.BUY,
        )
        assert read.order.executed == sum(fill.quantity for fill in fills)


async def test_a_market_sell_sells_its_base(start: Start, tmp_path: Path) -> None:
    async with Trader(start(), tmp_path) as here:
        order_id = await here.accepted(MarketSell(quantity=ONE))
        fills = (await here.asked(ReadFills(0, order_id), FillsRead)).fills

        assert sum(fill.quantity for fill in fills) == ONE
        assert {fill.side for fill in fills} == {Side.SELL}


async def test_base_where_quote_is_meant_is_refused_and_not_a_thousandth_bought(
    start: Start, tmp_path: Path
) -> None:
    async with Trader(start(), tmp_path) as here:
        refused = await here.send(MarketBuy(spend=Notional(Decimal(ONE))))

        assert (refused.outcome, refused.code) == (Outcome.REJECTED, "1127")


async def test_stops_wait_and_name_what_they_wait_for(start: Start, tmp_path: Path) -> None:
    running = start()
    async with Trader(running, tmp_path) as here:
        bid = running.bid()
        low, high = (Price(Decimal(bid * part // 10)) for part in (8, 12))
        kinds: dict[str, OrderTerms] = {
            "stoplimit": StopLimitOrder(side=Side.BUY, quantity=ONE, price=high, stop_price=high),
            "stopmarket": StopMarketSell(quantity=ONE, stop_price=low),
        }
        for method, terms in kinds.items():
            read = await here.asked(ReadOrder(await here.accepted(terms)), OrderRead)

            assert read.order is not None
            assert (read.order.method, read.order.status) == (method, "Untouched")
            assert read.order.left == Amount(ONE)
            assert read.order.stop_price in (low, high)
            assert read.order.created_ms > 0


async def test_a_stop_on_the_wrong_side_is_refused(start: Start, tmp_path: Path) -> None:
    running = start()
    async with Trader(running, tmp_path) as here:
        wrong = Price(Decimal(running.bid() * 8 // 10))
        refused = await here.send(StopMarketBuy(spend=Notional(Decimal(1_000)), stop_price=wrong))

        assert refused.outcome is Outcome.REJECTED
        assert "STOP_PRICE" in refused.detail


async def test_a_stop_that_is_reached_has_a_child_with_an_id_of_its_own(
    start: Start, tmp_path: Path
) -> None:
    running = start("--speed", "50")
    async with Trader(running, tmp_path) as here:
        stop = Price(
            Decimal(running.get("/api/v2/ticker", pairSymbol=PAIR)["data"][0]["ask"] + 400)
        )
        stop_id = await here.accepted(
            StopMarketBuy(spend=Notional(Decimal(2_000)), stop_price=stop)
        )
        give_up = CLOCK.monotonic_ns() + 60 * 10**9
        listed = await here.asked(ReadAllOrders(PAIR, stop_id), AllOrdersRead)
        while len(listed.orders) < 2 and CLOCK.monotonic_ns() < give_up:
            await asyncio.sleep(0.7)  # Or the budget of this endpoint is spent, and the next waits.
            listed = await here.asked(ReadAllOrders(PAIR, stop_id), AllOrdersRead, within_s=20)
        first, child = listed.orders

        assert (first.status, first.method) == ("Canceled", "stopmarket")
        assert (child.method, child.client_id) == ("market", first.client_id)
        assert child.order_id > first.order_id
        assert child.created_ms == first.updated_ms


async def test_a_limit_order_is_what_it_was(start: Start, tmp_path: Path) -> None:
    running = start()
    async with Trader(running, tmp_path) as here:
        low = Price(Decimal(running.bid() * 8 // 10))
        order_id = await here.accepted(LimitOrder(side=Side.BUY, quantity=ONE, price=low))
        read = await here.asked(ReadOrder(order_id), OrderRead)

        assert read.order is not None
        assert (read.order.price, read.order.method) == (low, "limit")
        assert read.order.stop_price == Price(Decimal(0))


async def test_deposits_are_read_typed(start: Start, tmp_path: Path) -> None:
    running = start("--balance", "TRY=1000", "--balance", "BTC=0.5")
    async with Trader(running, tmp_path) as here:
        fiat = await here.btcturk._reads.transfers("fiat", 0)
        coins = await here.btcturk._reads.transfers("crypto", 0)

        assert [(row.kind, row.asset, row.amount) for row in fiat] == [
            ("deposit", "TRY", Decimal(1_000))
        ]
        assert fiat[0].address is None
        assert [(row.asset, row.amount) for row in coins] == [("BTC", Decimal("0.5"))]
        assert here.btcturk.drift == {}
