"""Whatever is done to the exchange model, no money appears, disappears or is promised twice."""

from decimal import Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from btcbot.domain.ids import Asset, OrderId, Pair
from btcbot.domain.instruments import DOCUMENTED, default_fees
from btcbot.domain.money import BPS_IN_ONE
from btcbot.domain.words import Side
from btcbot.simulation.exchange import Exchange, NewOrder, Rejected

PAIR = Pair("BTCTRY")
START = {Asset("TRY"): Decimal(50_000), Asset("BTC"): Decimal("0.02")}
SIDES = st.sampled_from(list(Side))
PRICES = st.integers(3_990_000, 4_010_000).map(Decimal)
QUANTITIES = st.integers(1_000, 500_000).map(lambda n: Decimal(n).scaleb(-8))


class Trading(RuleBasedStateMachine):
    """Any sequence of submits, cancels, books and prints."""

    @initialize(delay=st.sampled_from([0, 1_000]))
    def open(self, delay: int) -> None:
        fees = {Asset("TRY"): default_fees(Asset("TRY"))}
        self.exchange = Exchange([DOCUMENTED[PAIR]], fees, START, cancel_delay_ns=delay)
        self.now_ns = 1
        self.ids: list[OrderId] = []
        self.the_book_moves(Decimal(4_000_000), [Decimal("0.01")] * 4, is_whole=True)

    @rule(middle=PRICES, sizes=st.lists(QUANTITIES, min_size=2, max_size=8), is_whole=st.booleans())
    def the_book_moves(self, middle: Decimal, sizes: list[Decimal], *, is_whole: bool) -> None:
        bids = [(middle - 1 - 7 * n, size) for n, size in enumerate(sizes)]
        asks = [(middle + 1 + 7 * n, size) for n, size in enumerate(sizes)]
        if is_whole:
            self.exchange.set_book(PAIR, bids, asks, self.now_ns)
        else:
            market = self.exchange.markets[PAIR]
            gone = Decimal(0)
            crossed = [(price, gone) for price in market.bids if price >= asks[0][0]]
            above = [(price, gone) for price in market.asks if price <= bids[0][0]]
            self.exchange.change_book(PAIR, crossed + bids, above + asks, self.now_ns)

    @rule(side=SIDES, price=PRICES, quantity=QUANTITIES)
    def somebody_trades(self, side: Side, price: Decimal, quantity: Decimal) -> None:
        ours = self.exchange.print_trade(PAIR, side, price, quantity, self.now_ns)
        assert 0 <= ours <= quantity

    @rule(side=SIDES, price=PRICES, quantity=QUANTITIES)
    def we_send_a_limit_order(self, side: Side, price: Decimal, quantity: Decimal) -> None:
        self.submit(NewOrder(pair=PAIR, side=side, method="limit", quantity=quantity, price=price))

    @rule(side=SIDES, base=QUANTITIES, quote=st.integers(100, 20_000).map(Decimal))
    def we_send_a_market_order(self, side: Side, base: Decimal, quote: Decimal) -> None:
        amount = quote if side is Side.BUY else base
        self.submit(NewOrder(pair=PAIR, side=side, method="market", quantity=amount))

    @rule(side=SIDES, base=QUANTITIES, away=st.integers(1, 9_000), is_limit=st.booleans())
    def we_send_a_stop(self, side: Side, base: Decimal, away: int, is_limit: bool) -> None:
        market = self.exchange.markets[PAIR]
        sign = 1 if side is Side.BUY else -1
        best = market.ask if side is Side.BUY else market.bid
        stop = (best or Decimal(4_000_000)) + sign * away
        amount = Decimal(5_000) if side is Side.BUY and not is_limit else base
        self.submit(
            NewOrder(
                pair=PAIR,
                side=side,
                method="stoplimit" if is_limit else "stopmarket",
                quantity=amount,
                price=stop + sign if is_limit else Decimal(0),
                stop_price=stop,
            )
        )

    @rule(pick=st.integers(0, 50), wait=st.integers(0, 2_000))
    def we_cancel(self, pick: int, wait: int) -> None:
        if self.ids:
            order = self.exchange.account.orders[self.ids[pick % len(self.ids)]]
            if order.status == "Closed" or order.method == "market":
                with pytest.raises(Rejected, match="ORDER_COULD_NOT_BE_CANCELED"):
                    self.exchange.cancel(order.id, self.now_ns)
            else:
                self.exchange.cancel(order.id, self.now_ns)
        self.now_ns += wait
        self.exchange.advance(self.now_ns)

    def submit(self, new: NewOrder) -> None:
        try:
            self.ids.append(self.exchange.submit(new, self.now_ns).id)
        except Rejected as no:
            if no.code not in {1055, 1118, 1122, 1123, 1124}:
                raise

    @invariant()
    def holds_are_what_open_orders_hold(self) -> None:
        account = self.exchange.account
        held = {Asset("TRY"): Decimal(0), Asset("BTC"): Decimal(0)}
        for order in account.orders.values():
            assert order.is_open == (order.hold > 0), order
            held["TRY" if order.side is Side.BUY else "BTC"] += order.hold  # type: ignore[index]
        for asset, balance in account.balances.items():
            assert balance.locked == held[asset]
            assert balance.free >= 0
            assert balance.free + balance.locked == balance.total

    @invariant()
    def trades_explain_every_balance(self) -> None:
        base, quote = START[Asset("BTC")], START[Asset("TRY")]
        rates = default_fees(Asset("TRY"))
        for trade in self.exchange.account.trades:
            sign = 1 if trade.side is Side.BUY else -1
            notional = trade.price * trade.quantity
            base += sign * trade.quantity
            quote -= sign * notional + trade.fee + trade.tax
            rate = rates.maker_bps if trade.is_maker else rates.taker_bps
            owed = notional * rate / BPS_IN_ONE
            assert 0 <= owed - trade.fee - trade.tax < Decimal("0.00000003")
        assert base == self.exchange.account.balances[Asset("BTC")].total
        assert quote == self.exchange.account.balances[Asset("TRY")].total

    @invariant()
    def orders_are_filled_by_their_trades_within_their_limit(self) -> None:
        filled: dict[OrderId, Decimal] = {}
        orders = self.exchange.account.orders
        for trade in self.exchange.account.trades:
            filled[trade.order_id] = filled.get(trade.order_id, Decimal(0)) + trade.quantity
            order = orders[trade.order_id]
            if order.price:
                beyond = trade.price - order.price
                assert beyond <= 0 if order.side is Side.BUY else beyond >= 0
        for order in orders.values():
            assert order.quantity - order.left == filled.get(order.id, Decimal(0))
            assert order.left >= 0
            assert (order.status == "Closed") == (order.left == 0)

    @invariant()
    def the_book_is_never_crossed_by_our_orders(self) -> None:
        market = self.exchange.markets[PAIR]
        for order in market.resting:
            other = market.ask if order.side is Side.BUY else market.bid
            assert not other or (
                order.price < other if order.side is Side.BUY else order.price > other
            )
        best = [
            max((o.price for o in market.resting if o.side is Side.BUY), default=Decimal(0)),
            min((o.price for o in market.resting if o.side is Side.SELL), default=Decimal(10**9)),
        ]
        assert best[0] < best[1]


TestTrading = Trading.TestCase
TestTrading.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
