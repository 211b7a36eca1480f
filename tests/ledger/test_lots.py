"""Lots: which are sold, what was earned, what nobody knows; against a naive recomputation."""

import time
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from btcbot.domain.facts import Fill, Posting
from btcbot.domain.ids import Asset, IntentId, OrderId, Pair, TradeId
from btcbot.domain.money import Amount, Price, Quantity
from btcbot.domain.words import Side
from btcbot.ledger import lots
from btcbot.ledger.lots import Closing, Lots, Method
from btcbot.ledger.statement import Statement, take
from tests.ledger.walk import Walk

BTCTRY, TRY = Pair("BTCTRY"), Asset("TRY")


def fill(number: int, side: Side, quantity: str, price: int, charges: str = "0", **of: Any) -> Fill:
    return Fill(
        trade_id=TradeId(number), order_id=OrderId(number), intent_id=IntentId("i"),
        client_order_id=None, pair=of.get("pair", BTCTRY), side=side,
        quantity=Quantity(Decimal(quantity)), price=Price(Decimal(price)),
        fee=Amount(Decimal(charges)), tax=Amount(Decimal(0)), fee_asset=TRY, event_ns=number,
        liquidity=None, postings=(), at_ns=number,
    )  # fmt: skip


def folded(*fills: Fill, method: Method = Method.FIFO) -> tuple[Lots, list[Closing]]:
    held = Lots(method)
    return held, [closing for one in fills for closing in lots.fold(held, "b", one)]


BUYS = fill(1, Side.BUY, "1", 100, "1"), fill(2, Side.BUY, "1", 200, "2")


def test_buying_two_and_selling_one_leaves_one() -> None:
    held, [sale] = folded(*BUYS, fill(3, Side.SELL, "1", 300, "3"))

    assert held.quantity("b", BTCTRY) == 1
    assert [sale.quantity, sale.proceeds] == [1, 300]


def test_the_oldest_lot_is_sold_first_with_the_charges_of_both_sides() -> None:
    _, [sale] = folded(*BUYS, fill(3, Side.SELL, "1", 300, "3"))

    assert [sale.cost, sale.fee, sale.opened_ns, sale.closed_ns] == [100, 4, 1, 3]
    assert sale.realized == 196


def test_by_average_cost_a_sale_takes_a_part_of_all() -> None:
    _, [sale] = folded(*BUYS, fill(3, Side.SELL, "1", 300, "3"), method=Method.AVERAGE)

    assert [sale.cost, sale.fee] == [150, Decimal("4.5")]
    assert sale.realized == Decimal("145.5")


def test_a_sale_of_several_lots_is_a_closing_for_each() -> None:
    _, sales = folded(*BUYS, fill(3, Side.SELL, "1.5", 300, "3"))

    assert [[s.quantity, s.cost, s.fee] for s in sales] == [[1, 100, 3], [Decimal("0.5"), 100, 2]]


def test_what_was_bought_before_the_books_has_no_cost_and_no_result() -> None:
    _, sales = folded(BUYS[0], fill(3, Side.SELL, "3", 300, "3"))

    assert [s.cost for s in sales] == [100, None]
    assert sales[1].realized is None
    assert [sales[1].quantity, sales[1].proceeds] == [2, 600]


def test_books_and_pairs_have_lots_of_their_own() -> None:
    held = Lots()
    lots.fold(held, "one", BUYS[0])
    [sale] = lots.fold(held, "other", fill(3, Side.SELL, "1", 300))
    [elsewhere] = lots.fold(held, "one", fill(4, Side.SELL, "1", 300, pair=Pair("ETHTRY")))

    assert (sale.cost, elsewhere.cost) == (None, None)
    assert held.quantity("one", BTCTRY) == 1


def test_what_passes_between_two_books_is_a_sale_of_one_and_a_buy_of_the_other() -> None:
    held = Lots()
    lots.fold(held, "one", BUYS[0])
    moved = lots.Move(pair=BTCTRY, asset=TRY, seller="one", buyer="other",
                      quantity=Decimal("0.5"), price=Decimal(180), at_ns=9)  # fmt: skip

    [sale] = lots.move(held, moved)
    [later] = lots.fold(held, "other", fill(3, Side.SELL, "0.5", 300))

    assert sale.realized == Decimal("39.5")  # 90 - 50, and half of the fee of its buy.
    assert later.realized == 60
    assert held.quantity("one", BTCTRY) == Decimal("0.5")


def test_more_than_the_seller_holds_does_not_pass() -> None:
    held = Lots()
    lots.fold(held, "one", fill(1, Side.BUY, "2", 100))
    moved = lots.Move(pair=BTCTRY, asset=TRY, seller="one", buyer="other",
                      quantity=Decimal(5), price=Decimal(130), at_ns=9)  # fmt: skip

    [sale] = lots.move(held, moved)

    assert sale.quantity == Decimal(2)
    assert not held.held["one", BTCTRY]
    assert [lot.quantity for lot in held.held["other", BTCTRY]] == [Decimal(2)]
    assert lots.move(held, moved) == ()


@pytest.mark.parametrize("method", Method)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_lots_are_as_a_naive_recomputation_has_them(method: Method, seed: int) -> None:
    walk = Walk(seed, method)
    for _ in range(250):
        walk.step()
        walk.check()


def test_a_walk_of_five_thousand_steps_ends_as_the_naive_books_do() -> None:
    walk = Walk(seed=7)
    for _ in range(5_000):
        walk.step()
    walk.check()
    assert len(walk.closings) > 500


@given(parts=st.lists(st.integers(1, 10**8), min_size=1, max_size=20), fee=st.integers(0, 10**9))
def test_a_lot_that_is_sold_in_parts_loses_and_makes_nothing(parts: list[int], fee: int) -> None:
    whole = Decimal(sum(parts)).scaleb(-8)
    charges = str(Decimal(fee).scaleb(-8))
    held, _ = folded(fill(1, Side.BUY, str(whole), 3_333_333, charges))

    closings = [
        closing
        for number, part in enumerate(parts, 2)
        for closing in lots.fold(
            held, "b", fill(number, Side.SELL, str(Decimal(part).scaleb(-8)), 1)
        )
    ]

    assert sum(Fraction(closing.cost or 0) for closing in closings) == Fraction(whole) * 3_333_333
    assert sum(Fraction(closing.fee) for closing in closings) == Fraction(charges)
    assert held.quantity("b", BTCTRY) == 0


def test_twenty_thousand_fills_are_folded_within_a_second_and_a_half_of_cpu() -> None:
    walk = Walk(seed=3)
    for _ in range(20_000):
        walk.step()
    fills = [fact for fact in walk.facts if isinstance(fact, Fill)]
    held = Lots()

    began = time.process_time()
    for one in fills:
        lots.fold(held, "b", one)

    assert time.process_time() - began < 1.5


def test_a_statement_names_what_does_not_add_up() -> None:
    kept = Statement()
    one = fill(1, Side.BUY, "1", 100)
    half = (Posting("asset", TRY, Amount(Decimal(-100))),)

    take(kept, 5, structs.replace(one, postings=half))
    take(kept, 6, structs.replace(one, postings=half))
    take(kept, 7, fill(2, Side.BUY, "1", 100))

    assert kept.faults == [
        "event 5: fill is off by -100 TRY",
        "event 6: trade 1 is booked twice",
        "event 6: fill is off by -100 TRY",
        "event 7: a fill without postings",
    ]
