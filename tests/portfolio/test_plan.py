"""From wishes to orders: every cap just inside and just outside, every loss with its reason."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from btcbot.domain.ids import Asset, Pair
from btcbot.domain.money import Price, Quantity
from btcbot.domain.words import Side, TradingState
from btcbot.portfolio.account import Account, Book, Wish, evaluation_order
from btcbot.portfolio.budget import PlanLimits, fee_part, rooms
from btcbot.portfolio.plan import Cycle, plan
from btcbot.portfolio.reasons import Reason
from tests.portfolio.accounts import (
    FEES,
    FREE,
    LIMITS,
    A,
    B,
    C,
    account,
    book,
    buy,
    line,
    ordered,
    planned,
    reasons,
    sell,
)
from tests.portfolio.markets import START, D, instrument

HOLDS = account(0, line("A", held="10", free="10"))
OWNS = (book(held={A: D(10)}),)


def test_a_wish_inside_every_limit_becomes_its_order() -> None:
    found = planned(buy())
    assert ordered(found) == [(A, Side.BUY, D(10))]
    assert reasons(found) == [Reason.OK]
    assert found.spent == 1_000


# --- what bars a wish from the start --------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "on", "more", "reason"),
    [
        (buy(), account(), {"trading": TradingState.REDUCE}, Reason.TRADING_STATE),
        (sell(), HOLDS, {"trading": TradingState.REDUCE}, Reason.OK),
        (sell(), HOLDS, {"trading": TradingState.PAUSED}, Reason.TRADING_STATE),
        (sell(), HOLDS, {"trading": TradingState.HALTED}, Reason.TRADING_STATE),
        (buy(), account(), {"resting": {(A, Side.BUY): START + 1}}, Reason.COOLDOWN),
        (buy(), account(), {"resting": {(A, Side.BUY): START}}, Reason.OK),
        (buy(), account(), {"resting": {(A, Side.SELL): START + 1}}, Reason.OK),
        (buy(pair=Pair("XTRY")), account(), {}, Reason.UNKNOWN_PAIR),
        (buy(strategy="t"), account(), {}, Reason.NO_BOOK),
        (buy(quantity=0), account(), {}, Reason.NOT_POSITIVE),
        (buy(quantity=-1), account(), {}, Reason.NOT_POSITIVE),
        (buy(price=0), account(), {}, Reason.NOT_POSITIVE),
        (buy(quantity="0.00009"), account(), {}, Reason.ROUNDED),
        (buy(price="0.009"), account(), {}, Reason.PRICE_ROUNDS_TO_ZERO),
        (buy(), account(9_999, line("A", None)), {}, Reason.NO_PRICE),
        (buy(), account(9_999, line(rules=instrument("A", is_trading=False))), {},
         Reason.PAIR_NOT_TRADING),
        (buy(), account(9_999, line(rules=instrument("A", quote=Asset("USDT")))), {},
         Reason.OTHER_QUOTE),
        (buy(), account(9_999, line(rules=instrument("A", price_max=Price(D(99))))), {},
         Reason.PRICE_BOUNDS),
    ],
)  # fmt: skip
def test_every_wish_is_an_order_or_a_named_skip(
    wish: Wish, on: Account, more: dict[str, Any], reason: Reason
) -> None:
    found = planned(wish, on=on, books=OWNS if on is HOLDS else (book(),), **more)
    assert reasons(found) == [reason]
    assert bool(found.orders) is (reason is Reason.OK)


def test_something_held_without_a_price_bars_buys_and_no_sells() -> None:
    on = account(100_000, line("A", held="10", free="10"), line("B", None, held="1"))
    found = planned(buy(), sell(), on=on, books=OWNS)
    assert ordered(found) == [(A, Side.SELL, D(10))]
    assert reasons(found) == [Reason.OK, Reason.EXPOSURE_UNKNOWN]
    owned = (book(held={A: D(10), B: D(1)}),)
    assert reasons(planned(buy(), on=on, books=owned)) == [Reason.EXPOSURE_UNKNOWN]


# --- caps: what they leave, and the reason --------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "on", "more", "left", "reason"),
    [
        (buy(), account(1_000), {}, 10, Reason.OK),
        (buy(), account("999.99"), {}, D("9.9999"), Reason.STRATEGY_BUDGET),
        (buy(), account(1_300), {"cash_reserve": "300"}, 10, Reason.OK),
        (buy(), account(1_299), {"cash_reserve": "300"}, D("9.99"), Reason.STRATEGY_BUDGET),
        (buy(), account(300), {"cash_reserve": "300"}, 0, Reason.STRATEGY_BUDGET),
        (buy(), account(2_000), {"use_share": "0.25"}, 5, Reason.CASH),
        (buy(), account(), {"position_max": "600"}, 6, Reason.POSITION_CAP),
        (buy(), account(99_999, line(held="2", buying="100")), {"position_max": "600"}, 3,
         Reason.POSITION_CAP),
        (buy(), account(99_999, line(held="7")), {"position_max": "600"}, 0, Reason.POSITION_CAP),
        (buy(), account(99_999, line(), line("B", held="2", buying="100")),
         {"exposure_max": "600"}, 3, Reason.EXPOSURE_CAP),
        (buy(), account(), {"cycle_max": "700"}, 7, Reason.CYCLE_CAP),
        (buy(), account(), {"order_max": "800"}, 8, Reason.ORDER_CAP),
        (buy(), account(), {"order_max": "0"}, 0, Reason.ORDER_CAP),
        (buy(), account(), {"cycle_max": "0"}, 0, Reason.CYCLE_CAP),
        (buy(), account(), {"orders_max": 0}, 0, Reason.ORDERS_MAX),
        (buy(), account(), {"notional_min": "1000"}, 10, Reason.OK),
        (buy(), account(), {"notional_min": "1000.01"}, 0, Reason.BELOW_MINIMUM),
        (buy(), account(), {"notional_min": "900", "order_max": "899"}, 0, Reason.BELOW_MINIMUM),
        (buy("0.99"), account(9_999, line(rules=instrument("A"))), {}, 0, Reason.BELOW_MINIMUM),
    ],
)  # fmt: skip
def test_each_cap_leaves_what_it_allows_and_says_so(
    wish: Wish, on: Account, more: dict[str, Any], left: Decimal, reason: Reason
) -> None:
    found = planned(wish, on=on, **more)
    assert sum((order.quantity for order in found.orders), D(0)) == left
    assert reasons(found) == [reason]
    assert found.verdicts[0].ordered == left


def test_the_fees_of_a_buy_are_kept_beside_it() -> None:
    found = planned(buy(), on=account("1002.39", line(fees=FEES)))  # 24 bps of 1,000 are 2.40.
    assert reasons(found) == [Reason.CASH]
    found = planned(buy(), on=account("1002.40", line(fees=FEES)))
    assert reasons(found) == [Reason.OK]
    assert found.spent == D("1002.4")
    found = planned(buy(), on=account(1_005, line(fees=FEES)), fee_buffer_bps="50")
    assert found.spent == 1_005  # The buffer is more than the taker's fee.


@pytest.mark.parametrize(
    "cap", ["use_share", "position_max", "exposure_max", "cycle_max", "order_max", "orders_max"]
)
def test_a_cap_of_zero_means_zero(cap: str) -> None:
    none: dict[str, Any] = {cap: 0 if cap == "orders_max" else "0"}
    assert not planned(buy(50), **none).orders


def test_a_share_above_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"use_share = 1.01: allowed is 0 to 1"):
        PlanLimits(use_share=D("1.01"))


def test_the_same_cash_is_offered_once() -> None:
    """Two wishes for all the cash get all of it together, the larger first."""
    found = planned(buy(8), buy(6, pair=B), on=account(1_000))
    assert ordered(found) == [(A, Side.BUY, D(8)), (B, Side.BUY, D(2))]
    assert found.spent == 1_000


@pytest.mark.parametrize(
    ("more", "second", "reason"),
    [
        ({"exposure_max": "1500"}, B, Reason.EXPOSURE_CAP),
        ({"cycle_max": "1500"}, B, Reason.CYCLE_CAP),
        ({"position_max": "1500"}, A, Reason.POSITION_CAP),
        ({"position_max": "1000"}, B, Reason.OK),
    ],
)
def test_every_order_takes_its_part_of_what_the_next_may_use(
    more: dict[str, Any], second: Pair, reason: Reason
) -> None:
    found = planned(buy(10, price=100), buy(10, price="99.99", pair=second), **more)
    assert found.orders[0].quantity == 10
    assert found.verdicts[1].reason is reason
    assert found.orders[1].quantity == (10 if reason is Reason.OK else D("5.0005"))


def test_a_third_order_of_a_pair_counts_the_first_two() -> None:
    found = planned(buy(3), buy(2), buy(1), position_max="550")
    assert [quantity for *_, quantity in ordered(found)] == [D(3), D(2), D("0.5")]


def test_one_call_returns_orders_transfers_and_a_verdict_for_every_wish() -> None:
    books = (book("s", held={B: D(9)}), book("t"))
    on = account(5_000, line("A"), line("B", held="9", free="9"), line("C", None))
    found = planned(
        buy(10), buy(10, pair=C), sell(9, pair=B), buy(2, pair=B, strategy="t"),
        on=on, books=books, order_max="800",
    )  # fmt: skip
    assert ordered(found) == [(B, Side.SELL, D(7)), (A, Side.BUY, D(8))]
    assert [(t.seller, t.buyer, t.quantity) for t in found.transfers] == [("s", "t", D(2))]
    told = [(v.pair, v.side, v.asked, v.ordered, v.netted, v.reason) for v in found.verdicts]
    assert told == [
        (B, Side.SELL, D(9), D(7), D(2), Reason.NETTED),
        (A, Side.BUY, D(10), D(8), D(0), Reason.ORDER_CAP),
        (C, Side.BUY, D(10), D(0), D(0), Reason.NO_PRICE),
        (B, Side.BUY, D(2), D(0), D(2), Reason.NETTED),
    ]


def test_sells_go_first_and_what_they_bring_is_not_spent_before_it_is_there() -> None:
    on = account(500, line(held="10", free="10"), line("B"))
    found = planned(buy(pair=B), sell(), on=on, books=OWNS)
    assert ordered(found) == [(A, Side.SELL, D(10)), (B, Side.BUY, D(5))]


def test_a_full_cycle_cap_does_not_hold_back_a_sell() -> None:
    found = planned(sell(), on=HOLDS, books=OWNS, cycle_max="0", position_max="0", exposure_max="0")
    assert ordered(found) == [(A, Side.SELL, D(10))]


def test_sells_are_cut_to_what_is_free_and_to_the_order_cap() -> None:
    on = account(0, line(held="10", free="4"))
    assert planned(sell(), on=on, books=OWNS).verdicts[0].cuts[0].reason is Reason.INVENTORY
    assert ordered(planned(sell(), on=on, books=OWNS)) == [(A, Side.SELL, D(4))]
    assert reasons(planned(sell(), on=HOLDS, books=OWNS, order_max="1000")) == [Reason.OK]
    assert ordered(planned(sell(), on=HOLDS, books=OWNS, order_max="300")) == [(A, Side.SELL, D(3))]
    twice = planned(sell(3), sell(3, price=101), on=on, books=OWNS)
    assert [quantity for *_, quantity in ordered(twice)] == [3, 1]


def test_a_strategy_sells_only_what_it_holds() -> None:
    found = planned(sell(), on=HOLDS, books=(book(held={A: D(3)}), book("t", held={A: D(7)})))
    assert ordered(found) == [(A, Side.SELL, D(3))]
    assert reasons(found) == [Reason.STRATEGY_INVENTORY]


def test_what_its_live_sells_hold_is_not_sold_again() -> None:
    books = (book(held={A: D(10)}, selling={A: D(4)}),)
    assert ordered(planned(sell(), on=HOLDS, books=books)) == [(A, Side.SELL, D(6))]


def test_orders_past_the_most_of_a_cycle_are_put_off_and_cost_nothing() -> None:
    found = planned(buy(3), buy(2, pair=B), buy(1, pair=C), orders_max=2, cycle_max="500")
    assert ordered(found) == [(A, Side.BUY, D(3)), (B, Side.BUY, D(2))]
    assert reasons(found)[2] is Reason.ORDERS_MAX


def test_a_wish_that_is_dropped_leaves_its_cash_to_the_next() -> None:
    on = account(1_000, line("A"), line("B", held="9"), line("C"))
    wishes = (buy(8), buy("2.5", pair=B), buy(2, pair=C))
    found = planned(*wishes, on=on, notional_min="150", position_max="1000")
    assert ordered(found) == [(A, Side.BUY, D(8)), (C, Side.BUY, D(2))]
    assert [cut.reason for cut in found.verdicts[1].cuts] == [
        Reason.STRATEGY_BUDGET, Reason.POSITION_CAP, Reason.BELOW_MINIMUM,
    ]  # fmt: skip


# --- strategies' parts ----------------------------------------------------------------------------


def test_strategies_are_served_by_weight_then_by_name() -> None:
    books = [book("b", weight=1), book("c", weight=5), book("a", weight=1), book("d", weight=5)]
    assert [row.strategy for row in evaluation_order(books)] == ["c", "d", "a", "b"]
    wishes = [buy(1, strategy=name) for name in "abcd"]
    found = planned(*wishes, books=tuple(books))
    assert [order.strategy for order in found.orders] == ["c", "d", "a", "b"]


def test_a_strategy_buys_within_its_part_of_the_capital() -> None:
    books = (book("s", weight=1), book("t", weight=3))
    on = account(1_000)
    found = planned(buy(10), buy(10, strategy="t", pair=B), on=on, books=books)
    assert ordered(found) == [(B, Side.BUY, D("7.5")), (A, Side.BUY, D("2.5"))]
    assert reasons(found) == [Reason.STRATEGY_BUDGET] * 2


def test_what_a_strategy_holds_and_is_buying_is_taken_from_its_part() -> None:
    books = (book("s", held={A: D(3)}, buying=D(100)), book("t"))
    on = account(600, line(held="3", buying="100"), line("B"))
    assert rooms(on, books, LIMITS) == {"s": D(100), "t": D(500)}  # Of 1,000, half each.


def test_a_weight_of_zero_buys_nothing_and_may_sell() -> None:
    books = (book("s", weight=0, held={A: D(10)}),)
    found = planned(buy(), sell(), on=account(9_999, line(held="10", free="10")), books=books)
    assert ordered(found) == [(A, Side.SELL, D(10))]
    assert reasons(found) == [Reason.OK, Reason.STRATEGY_BUDGET]


NORMAL = Cycle(now_ns=START, trading=TradingState.LIVE)

# --- properties -----------------------------------------------------------------------------------

amounts = st.decimals("0", "3000", places=2)
PRICES = st.decimals("0.01", "300", places=4)
LINES = st.fixed_dictionaries(
    {"middle": st.decimals("0.05", "300", places=3).map(str), "held": amounts, "buying": amounts,
     "free": st.just(D(0)), "fees": st.sampled_from([FREE, FEES])}
)  # fmt: skip
WISHES = st.builds(
    Wish, strategy=st.sampled_from(["s", "t", "u"]), pair=st.sampled_from([A, B, C]),
    side=st.sampled_from(Side), quantity=st.decimals("0", "50", places=6).map(Quantity),
    limit_price=PRICES.map(Price),
)  # fmt: skip
CAPS = st.builds(
    PlanLimits, cash_reserve=amounts, use_share=st.decimals("0", "1", places=2),
    fee_buffer_bps=st.decimals("0", "50", places=0), position_max=amounts, exposure_max=amounts,
    cycle_max=amounts, order_max=amounts, notional_min=st.decimals("0", "200", places=0),
    orders_max=st.integers(0, 6),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    cash=amounts, lines=st.tuples(LINES, LINES, LINES), wishes=st.lists(WISHES, max_size=8),
    limits=CAPS, shuffled=st.randoms(use_true_random=False),
)  # fmt: skip
def test_no_plan_violates_a_cap_a_cooldown_or_the_reserve_and_none_depends_on_order(
    cash: Decimal, lines: Any, wishes: list[Wish], limits: PlanLimits, shuffled: Any,
) -> None:  # fmt: skip
    rows = [line(base, **{**more, "free": more["held"]}) for base, more in
            zip("ABC", lines, strict=True)]  # fmt: skip
    on = account(str(cash), *rows)
    books = (
        Book(strategy="s", weight=2, held={p: row.held / 2 for p, row in on.lines.items()}),
        Book(strategy="t", weight=1, held={A: on.lines[A].held / 4}),
    )
    cycle = Cycle(now_ns=START, trading=TradingState.LIVE,
                  resting={(B, Side.BUY): START + 1})  # fmt: skip
    found = plan(on, books, wishes, limits, cycle)

    buys = [order for order in found.orders if order.side is Side.BUY]
    spent = {o: o.quantity * o.limit_price * (1 + fee_part(on.lines[o.pair], limits)) for o in buys}
    notionals = {order: order.quantity * order.limit_price for order in found.orders}
    bought = sum((notionals[order] for order in buys), D(0))
    assert found.spent == sum(spent.values(), D(0)) <= found.deploy
    assert found.deploy <= max(cash - limits.cash_reserve, D(0))
    assert not buys or cash - found.spent >= limits.cash_reserve
    assert bought <= limits.cycle_max
    assert not buys or (on.exposure or D(0)) + bought <= limits.exposure_max
    assert len(found.orders) <= limits.orders_max
    room = rooms(on, books, limits) or {}
    for order in found.orders:
        rules = on.lines[order.pair].instrument
        assert order.quantity % rules.step == 0
        assert order.limit_price % rules.tick == 0
        assert notionals[order] <= limits.order_max
        assert notionals[order] >= max(limits.notional_min, rules.notional_min)
        assert (order.pair, order.side) != (B, Side.BUY)
    for pair, row in on.lines.items():
        of_pair = sum((notionals[order] for order in buys if order.pair == pair), D(0))
        assert not of_pair or (row.value or D(0)) + of_pair <= limits.position_max
        assert sum(o.quantity for o in found.orders if o.pair == pair and o.side is Side.SELL) \
            <= row.free  # fmt: skip
    for strategy, most in room.items():
        assert sum((notionals[o] for o in buys if o.strategy == strategy), D(0)) <= most
    for verdict in found.verdicts:
        assert 0 <= verdict.ordered + verdict.netted <= max(verdict.asked, D(0))
        assert verdict.cuts or verdict.ordered == verdict.asked - verdict.asked % D("0.0001")
    assert len(found.verdicts) == len(wishes)

    again = list(wishes)
    shuffled.shuffle(again)
    assert plan(on, tuple(reversed(books)), again, limits, cycle) == found


@settings(max_examples=50, deadline=None)
@given(st.lists(WISHES, max_size=8), amounts, CAPS)
def test_buys_stay_within_the_deploy_budget_and_every_wish_is_accepted_scaled_or_rejected(
    wishes: list[Wish], cash: Decimal, limits: PlanLimits
) -> None:
    books = tuple(book(name) for name in "stu")
    found = plan(account(str(cash)), books, wishes, limits, NORMAL)
    bought = sum((o.quantity * o.limit_price for o in found.orders), D(0))
    assert bought <= found.spent <= found.deploy <= cash
    for verdict in found.verdicts:
        is_whole = verdict.ordered + verdict.netted >= verdict.asked - D("0.0001")
        assert is_whole or verdict.reason is not Reason.OK


@given(st.decimals("0", "50", places=8), st.decimals("0.001", "1000", places=6),
       st.sampled_from(Side))  # fmt: skip
def test_rounding_never_enlarges_an_order_or_worsens_its_price(
    quantity: Decimal, price: Decimal, side: Side
) -> None:
    wish = replace(buy(), quantity=Quantity(quantity), limit_price=Price(price), side=side)
    on = account(10**9, line(held="1000", free="1000"))
    for order in planned(wish, on=on, books=(book(held={A: D(1000)}),)).orders:
        assert order.quantity <= quantity
        assert (order.limit_price <= price) if side is Side.BUY else (order.limit_price >= price)
