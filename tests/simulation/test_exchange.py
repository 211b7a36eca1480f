"""The exchange model: how our orders meet a market that is somebody else's."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import DOCUMENTED, default_fees
from btcbot.domain.money import Price, Quantity
from btcbot.domain.recorded import Quoted
from btcbot.domain.words import Side
from btcbot.simulation.exchange import Exchange, NewOrder, Order, Rejected
from btcbot.simulation.market import SyntheticMarket

PAIR = Pair("BTCTRY")
BUY, SELL = Side.BUY, Side.SELL
Make = Callable[..., Exchange]


def d(value: str | int) -> Decimal:
    return Decimal(value)


def levels(*rows: tuple[int, str]) -> list[tuple[Decimal, Decimal]]:
    return [(d(price), d(quantity)) for price, quantity in rows]


BIDS = levels((100_000, "1"), (99_990, "2"))
ASKS = levels((100_010, "1"), (100_020, "2"))


def exchange(**knobs: Any) -> Exchange:
    """Return one with a small book of BTCTRY, a million TRY and 10 BTC."""
    made = Exchange(
        [DOCUMENTED[PAIR]],
        {Asset("TRY"): default_fees(Asset("TRY"))},
        {Asset("TRY"): d(1_000_000), Asset("BTC"): d(10)},
        **knobs,
    )
    made.set_book(PAIR, BIDS, ASKS, 0)
    return made


def limit(side: Side, price: int | str, quantity: str, client_id: str = "") -> NewOrder:
    return NewOrder(
        pair=PAIR,
        side=side,
        method="limit",
        price=d(price),
        quantity=d(quantity),
        client_id=client_id,
    )


def market(side: Side, amount: str) -> NewOrder:
    return NewOrder(pair=PAIR, side=side, method="market", quantity=d(amount))


def stop(side: Side, stop_price: int, amount: str, price: int | None = None) -> NewOrder:
    return NewOrder(
        pair=PAIR,
        side=side,
        method="stopmarket" if price is None else "stoplimit",
        quantity=d(amount),
        price=d(price or 0),
        stop_price=d(stop_price),
    )


def fills(made: Exchange, order: Order) -> list[tuple[str, str]]:
    mine = [trade for trade in made.account.trades if trade.order_id == order.id]
    return [(str(trade.price), str(trade.quantity)) for trade in mine]


# --- taking -----------------------------------------------------------------------------------


def test_takes_level_by_level_and_rests_what_is_left() -> None:
    made = exchange()

    order = made.submit(limit(BUY, 100_015, "1.5"), 1)

    assert fills(made, order) == [("100010", "1")]
    assert (order.status, order.left) == ("Partial", d("0.5"))
    assert made.markets[PAIR].resting == [order]


def test_what_was_taken_is_gone_until_the_market_says_otherwise() -> None:
    made = exchange()
    made.submit(limit(BUY, 100_010, "1"), 1)

    assert made.markets[PAIR].ask == 100_020
    made.change_book(PAIR, [], levels((100_010, "0.3")), 2)

    assert made.markets[PAIR].ask == 100_010
    second = made.submit(limit(BUY, 100_010, "0.3"), 3)
    assert fills(made, second) == [("100010", "0.3")]


@pytest.mark.parametrize(
    ("order", "taken"),
    [(("BUY", 100_050), ("100040", "0.7")), (("SELL", 100_000), ("100030", "0.2"))],
)
def test_a_bare_quote_is_a_book_of_one_level_a_side(
    order: tuple[str, int], taken: tuple[str, str]
) -> None:
    made, (side, price) = exchange(), order
    quote = Quoted(1, Price(d(100_030)), Quantity(d("0.2")), Price(d(100_040)), Quantity(d("0.7")))

    made.set_top(PAIR, quote, 1)

    assert made.markets[PAIR].price == d(100_035)  # The middle, for nobody traded.
    assert fills(made, made.submit(limit(Side[side], price, "1"), 2)) == [taken]


def test_a_taker_pays_the_takers_rate_and_a_maker_the_makers() -> None:
    made = exchange()

    made.submit(limit(BUY, 100_010, "1"), 1)
    made.submit(limit(SELL, 100_030, "1"), 2)
    made.print_trade(PAIR, BUY, d(100_040), d(1), 3)

    taker, maker = made.account.trades
    assert (taker.fee, taker.tax) == (d("200.02000000"), d("40.00400000"))  # 24 bps, 20 % tax.
    assert (maker.fee, maker.tax) == (d("100.03000000"), d("20.00600000"))  # 12 bps.
    assert not taker.is_maker
    assert maker.is_maker


def test_a_buy_holds_the_takers_fee_and_gives_back_what_it_did_not_need() -> None:
    made = exchange()
    order = made.submit(limit(BUY, 90_000, "1"), 1)
    assert order.hold == d("90216.0")
    assert made.balances()[Asset("TRY")].free == d("909784.0")

    made.print_trade(PAIR, SELL, d(89_000), d(1), 2)

    balance = made.balances()[Asset("TRY")]
    assert balance.locked == 0
    assert balance.total == 1_000_000 - 90_000 - d("108")  # 12 bps: it was the maker.


# --- market orders ----------------------------------------------------------------------------


def test_a_market_buy_spends_its_quote_with_the_fee_inside() -> None:
    made = exchange()

    order = made.submit(market(BUY, "50120"), 1)

    assert order.status == "Closed"
    spent = 1_000_000 - made.balances()[Asset("TRY")].total
    assert d("50119.99") < spent <= 50_120
    assert made.balances()[Asset("TRY")].locked == 0


def test_a_market_order_that_meets_the_guard_is_refused_whole() -> None:
    made = exchange()
    made.set_book(PAIR, levels((100_000, "1"), (94_999, "5")), ASKS, 0)

    with pytest.raises(Rejected, match="FAILED_MARKET_ORDER"):
        made.submit(market(SELL, "2"), 1)

    assert not made.account.trades
    assert not made.account.orders
    assert made.markets[PAIR].bids == dict(levels((100_000, "1"), (94_999, "5")))


def test_a_market_buy_of_more_than_the_book_sells_is_refused_whole() -> None:
    made = exchange()  # It sells 3 BTC, for 300,050 and the fee.

    with pytest.raises(Rejected, match="FAILED_MARKET_ORDER"):
        made.submit(market(BUY, "400000"), 1)

    assert not made.account.trades
    assert made.balances()[Asset("TRY")].total == 1_000_000


def test_a_market_order_on_an_empty_book_is_refused() -> None:
    made = exchange()
    made.set_book(PAIR, BIDS, [], 0)

    with pytest.raises(Rejected, match="FAILED_MARKET_ORDER"):
        made.submit(market(BUY, "1000"), 1)


# --- resting ----------------------------------------------------------------------------------


def test_an_order_waits_behind_what_stood_at_its_price() -> None:
    made = exchange()
    order = made.submit(limit(BUY, 100_000, "0.5"), 1)

    assert made.print_trade(PAIR, SELL, d(100_000), d("0.9"), 2) == 0
    assert not fills(made, order)
    assert made.print_trade(PAIR, SELL, d(100_000), d("0.3"), 3) == d("0.2")
    assert fills(made, order) == [("100000", "0.2")]


def test_first_in_the_queue_an_order_waits_for_nobody_at_its_price() -> None:
    made = exchange(is_first_in_queue=True)
    order = made.submit(limit(BUY, 100_000, "0.5"), 1)

    made.print_trade(PAIR, SELL, d(100_000), d("0.3"), 2)

    assert fills(made, order) == [("100000", "0.3")]


def test_the_queue_shrinks_when_the_level_shows_less() -> None:
    made = exchange()
    order = made.submit(limit(BUY, 100_000, "0.5"), 1)

    made.change_book(PAIR, levels((100_000, "0.1")), [], 2)
    made.print_trade(PAIR, SELL, d(100_000), d("0.4"), 3)

    assert fills(made, order) == [("100000", "0.3")]


def test_who_comes_after_us_does_not_lengthen_the_queue() -> None:
    made = exchange()
    order = made.submit(limit(BUY, 100_000, "0.5"), 1)

    made.change_book(PAIR, levels((100_000, "9")), [], 2)
    made.print_trade(PAIR, SELL, d(100_000), d("1.2"), 3)

    assert fills(made, order) == [("100000", "0.2")]


def test_a_price_between_the_levels_has_no_queue() -> None:
    made = exchange()
    order = made.submit(limit(BUY, 100_005, "0.5"), 1)

    made.print_trade(PAIR, SELL, d(100_005), d("0.5"), 2)

    assert order.status == "Closed"


def test_beyond_the_deepest_level_the_queue_is_what_is_first_shown() -> None:
    made = exchange()
    order = made.submit(limit(BUY, 99_000, "0.5"), 1)

    made.print_trade(PAIR, SELL, d(99_000), d(5), 2)
    assert not fills(made, order)
    made.set_book(PAIR, levels((99_000, "2")), levels((99_100, "1")), 3)
    made.print_trade(PAIR, SELL, d(99_000), d("2.1"), 4)

    assert fills(made, order) == [("99000", "0.1")]


def test_a_print_through_the_price_fills_at_our_price() -> None:
    made = exchange()
    order = made.submit(limit(SELL, 100_020, "0.5"), 1)

    assert made.print_trade(PAIR, BUY, d(100_050), d(2), 2) == d("0.5")

    assert fills(made, order) == [("100020", "0.5")]


def test_the_other_side_reaching_our_price_fills_us_with_what_it_shows() -> None:
    made = exchange()
    order = made.submit(limit(BUY, 100_000, "0.5"), 1)

    made.change_book(
        PAIR, levels((100_000, "0")), levels((99_995, "0.2"), (100_010, "0"), (100_020, "0")), 2
    )

    assert fills(made, order) == [("100000", "0.2")]
    assert made.markets[PAIR].asks == {}  # What we were hit with is gone.


def test_better_price_first_then_first_come() -> None:
    made = exchange()
    first = made.submit(limit(BUY, 100_001, "0.1"), 1)
    better = made.submit(limit(BUY, 100_002, "0.1"), 2)
    second = made.submit(limit(BUY, 100_001, "0.1"), 3)

    made.print_trade(PAIR, SELL, d(100_001), d("0.15"), 4)

    assert (better.status, first.status, second.status) == ("Closed", "Partial", "Untouched")


def test_our_own_orders_meet_each_other() -> None:
    made = exchange()
    resting = made.submit(limit(SELL, 100_005, "0.5"), 1)

    taking = made.submit(limit(BUY, 100_010, "0.7"), 2)

    assert fills(made, taking) == [("100005", "0.5"), ("100010", "0.2")]
    assert fills(made, resting) == [("100005", "0.5")]
    own = [event.is_own for event in made.drain() if event.trade is not None]
    assert own == [True, False, False]


# --- cancels and stops ------------------------------------------------------------------------


def test_a_cancel_takes_effect_later_and_the_order_may_fill_first() -> None:
    made = exchange(cancel_delay_ns=100)
    quick, slow = (made.submit(limit(BUY, 100_005, "0.5"), 1) for _ in range(2))

    made.cancel(quick.id, 10)
    made.cancel(slow.id, 10)
    made.print_trade(PAIR, SELL, d(100_005), d("0.5"), 50)
    assert made.next_ns == 110
    made.advance(109)
    assert slow.is_open
    made.advance(110)

    assert (quick.status, slow.status) == ("Closed", "Canceled")
    assert made.next_ns is None


def test_a_cancel_that_is_asked_again_takes_effect_no_later() -> None:
    made = exchange(cancel_delay_ns=100)
    order = made.submit(limit(BUY, 99_000, "0.5"), 1)
    made.cancel(order.id, 10)
    made.cancel(order.id, 60)

    assert made.next_ns == 110
    made.advance(110)

    assert order.status == "Canceled"
    assert [event.kind for event in made.drain()].count("deleted") == 1


def test_cancelling_again_is_fine_and_cancelling_the_filled_is_refused() -> None:
    made = exchange(cancel_delay_ns=0)
    order = made.submit(limit(BUY, 99_000, "0.5"), 1)
    filled = made.submit(limit(BUY, 100_010, "0.5"), 1)
    made.cancel(order.id, 2)
    made.cancel(order.id, 3)

    with pytest.raises(Rejected) as refused:
        made.cancel(filled.id, 4)

    assert (refused.value.code, refused.value.message) == (1051, "ORDER_COULD_NOT_BE_CANCELED")


def test_a_triggered_stop_is_cancelled_and_a_new_order_has_its_client_id() -> None:
    made = exchange()
    new = msgspec.structs.replace(stop(SELL, 99_995, "0.5"), client_id="s1")
    waiting = made.submit(new, 1)

    made.change_book(PAIR, levels((100_000, "0")), [], 2)

    child = list(made.account.orders.values())[-1]
    assert waiting.status == "Canceled"
    assert waiting.left == waiting.quantity
    assert (child.method, child.client_id, child.status) == ("market", "s1", "Closed")
    assert child.id > waiting.id
    assert fills(made, child) == [("99990", "0.5")]


def test_a_stopmarket_buy_spends_no_more_than_it_held() -> None:
    made = exchange()
    made.set_book(PAIR, BIDS, levels((100_010, "1"), (104_000, "9")), 0)
    waiting = made.submit(stop(BUY, 100_500, "100740"), 1)
    assert waiting.hold == 100_740

    made.change_book(PAIR, [], levels((100_010, "0")), 2)

    child = list(made.account.orders.values())[-1]
    assert (
        child.status == "Canceled"
    )  # The market ran 3.5 % past the stop: not all could be bought.
    spent = 1_000_000 - made.balances()[Asset("TRY")].total
    assert d("100739") < spent <= 100_740
    assert made.balances()[Asset("TRY")].locked == 0


def test_a_stoplimit_becomes_a_limit_order() -> None:
    made = exchange()
    waiting = made.submit(stop(BUY, 100_015, "0.5", price=100_012), 1)

    made.change_book(PAIR, [], levels((100_010, "0")), 2)

    child = list(made.account.orders.values())[-1]
    assert (waiting.status, child.method, child.status) == ("Canceled", "limit", "Untouched")
    assert made.markets[PAIR].resting == [child]


# --- rules ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("new", "code", "message"),
    [
        (NewOrder(pair=Pair("NOPE"), side=BUY, method="limit", quantity=d(1)), 1037, "Pair NOPE"),
        (NewOrder(pair=PAIR, side=BUY, method="iceberg", quantity=d(1)), 1134, "METHOD_NOT"),
        (limit(BUY, 100_000, "0"), 1121, "FAILED_ORDER_PARAMETER"),
        (limit(BUY, 100_000, "1", client_id="x" * 51), 1121, "FAILED_ORDER_PARAMETER"),
        (limit(BUY, "100000.5", "1"), 1126, "FAILED_INVALID_PRICE_SCALE"),
        (limit(BUY, 0, "1"), 1126, "FAILED_INVALID_PRICE_SCALE"),
        (limit(BUY, 100_000, "0.123456789"), 1127, "FAILED_INVALID_QUANTITY_SCALE"),
        (market(BUY, "1000.5"), 1127, "FAILED_INVALID_QUANTITY_SCALE"),
        (limit(BUY, 9_000, "1"), 1120, "ORDER_MIN_PRICE_EXCEEDED"),
        (limit(SELL, 1_100_000, "1"), 1120, "ORDER_MAX_PRICE_EXCEEDED"),
        (limit(SELL, 10_000_001, "1"), 1226, "PRICE_MUST_BE_LESS_THAN_MAXPRICE"),
        (limit(BUY, 100_000, "0.00099"), 1123, "FAILED_MIN_TOTAL_AMOUNT"),
        (limit(BUY, 100_000, "11"), 1055, "BALANCE_NOT_ENOUGH"),
        (limit(SELL, 100_020, "10.1"), 1055, "BALANCE_NOT_ENOUGH"),
        (stop(BUY, 100_000, "1000"), 1125, "FAILED_STOP_PRICE_LESS_THAN_BEST_BID"),
        (stop(SELL, 100_010, "1"), 1124, "FAILED_STOP_PRICE_GREATER_THAN_BEST_ASK"),
        (stop(SELL, 0, "1"), 1128, "FAILED_INVALID_STOP_PRICE_SCALE"),
    ],
)
def test_refuses_what_the_exchange_refuses(new: NewOrder, code: int, message: str) -> None:
    made = exchange()

    with pytest.raises(Rejected) as refused:
        made.submit(new, 1)

    assert refused.value.code == code
    assert message in refused.value.message
    assert not made.account.orders
    assert not made.drain()


def test_says_apart_what_open_orders_hold() -> None:
    made = exchange()
    made.submit(limit(BUY, 90_000, "8"), 1)

    with pytest.raises(Rejected, match="FAILED_ORDER_WITH_OPEN_ORDERS") as refused:
        made.submit(limit(BUY, 90_000, "5"), 2)

    assert refused.value.code == 1122


def test_accepts_a_price_off_the_tick_that_fits_the_scale() -> None:
    assert DOCUMENTED[PAIR].tick == 10  # Of the filter; BTCTurk does not enforce it.
    assert exchange().submit(limit(BUY, 99_991, "0.5"), 1).is_open


# --- asking -----------------------------------------------------------------------------------


def test_own_trades_and_lists_may_lag_but_a_single_order_does_not() -> None:
    made = exchange(trades_delay_ns=100, lists_delay_ns=50)
    order = made.submit(limit(BUY, 100_010, "1.2"), 10)

    assert made.order(order.id) is order
    assert made.open_orders(59) == []
    assert list(made.all_orders(59, PAIR)) == []
    assert made.open_orders(60, PAIR) == [order]
    assert list(made.all_orders(60, PAIR, order.id)) == [order]
    assert not list(made.all_orders(60, PAIR, order.id + 1))
    assert not list(made.trades(109))
    assert len(list(made.trades(110))) == 1


def test_ids_are_beyond_32_and_53_bits_and_grow() -> None:
    made = exchange()
    orders = [made.submit(limit(BUY, 100_010, "0.1"), 1) for _ in range(3)]

    assert orders[0].id > 1 << 32
    assert made.account.trades[0].id > 1 << 53
    assert sorted({order.id for order in orders}) == [order.id for order in orders]


def test_equal_steps_give_equal_accounts() -> None:
    def run() -> tuple[object, ...]:
        made = exchange(cancel_delay_ns=5)
        synthetic = SyntheticMarket(DOCUMENTED[PAIR], d(100_000), 7)
        made.set_book(PAIR, [], [], 0)
        for now in range(200):
            moves = synthetic.step(0.5)
            made.change_book(PAIR, moves.bids, moves.asks, now)
            for trade in moves.trades:
                made.print_trade(PAIR, trade.side, trade.price, trade.quantity, now)
            made.advance(now)
            top = made.markets[PAIR]
            if now % 7 == 0:
                order = made.submit(limit(BUY, str(top.bid), "0.01"), now)
                if now % 3 == 0 and order.is_open:
                    made.cancel(order.id, now)
        return made.account.trades, list(made.account.orders.values()), made.balances()

    assert run() == run()
    assert run()[0]


def test_forgets_the_oldest_ended_orders_but_never_an_open_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("btcbot.simulation.account.ORDERS_MAX", 5)
    made = exchange(cancel_delay_ns=0)
    kept = made.submit(limit(BUY, 99_000, "0.01"), 1)

    for now in range(2, 20):
        made.cancel(made.submit(limit(BUY, 99_000, "0.01"), now).id, now)

    assert len(made.account.orders) == 5
    assert kept.id in made.account.orders
