"""Opposite wishes of one account meet each other first, at a price that costs nobody anything."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from btcbot.domain.money import Price, Quantity
from btcbot.domain.words import Side
from btcbot.portfolio.account import Wish
from btcbot.portfolio.netting import Transfer
from btcbot.portfolio.reasons import Reason
from tests.portfolio.accounts import (
    FEES,
    FREE,
    A,
    account,
    book,
    buy,
    line,
    ordered,
    planned,
    reasons,
    sell,
)
from tests.portfolio.markets import D

BOOKS = (book("s"), book("t", held={A: D(10)}), book("u", held={A: D(10)}))
ON = account(10_000, line(held="20", free="20", fees=FEES))


def test_a_buy_and_a_sell_of_one_pair_net_and_what_is_left_stays_its_strategys_own() -> None:
    found = planned(buy(10), sell(4, strategy="t"), on=ON, books=BOOKS)
    assert found.transfers == (
        Transfer(pair=A, seller="t", buyer="s", quantity=Quantity(D(4)), price=Price(D(100))),
    )
    [order] = found.orders
    assert (order.strategy, order.side) == ("s", Side.BUY)
    assert order.quantity == 6
    assert reasons(found) == [Reason.NETTED, Reason.NETTED]
    assert [(v.strategy, v.ordered, v.netted) for v in found.verdicts] == [
        ("t", D(0), D(4)), ("s", D(6), D(4)),
    ]  # fmt: skip


def test_netting_happens_before_the_caps() -> None:
    found = planned(buy(10), sell(4, strategy="t"), on=ON, books=BOOKS, order_max="600")
    assert ordered(found) == [(A, Side.BUY, D(6))]  # 600 TRY, not 1,000.


def test_several_sellers_are_matched_in_the_order_of_the_plan() -> None:
    found = planned(
        buy(10), sell(4, strategy="t"), sell(8, strategy="u"), on=ON, books=BOOKS
    )  # fmt: skip
    assert [(t.seller, t.quantity) for t in found.transfers] == [("t", D(4)), ("u", D(6))]
    assert ordered(found) == [(A, Side.SELL, D(2))]


def test_patient_wishes_net_when_the_fee_saved_is_more_than_the_price_given_up() -> None:
    near = planned(buy(4, price="99.95"), sell(4, "100.05", strategy="t"), on=ON, books=BOOKS)
    assert len(near.transfers) == 1
    far = planned(buy(4, price="99.80"), sell(4, "100.05", strategy="t"), on=ON, books=BOOKS)
    assert not far.transfers
    assert len(far.orders) == 2


def test_netting_keeps_to_the_buyers_budget_and_charges_it() -> None:
    on = account(300, line(held="3", free="3", fees=FREE))  # 300 + 300: 300 each.
    books = (book("s"), book("t", held={A: D(3)}))
    found = planned(buy(10), sell(4, strategy="t"), on=on, books=books)
    assert [transfer.quantity for transfer in found.transfers] == [D(3)]
    assert [v.reason for v in found.verdicts] == [
        Reason.STRATEGY_INVENTORY, Reason.STRATEGY_BUDGET,
    ]  # fmt: skip
    poor = replace(on, cash_free=D(0))  # 150 each: room for 1.5.
    found = planned(buy(10), sell(3, strategy="t"), on=poor, books=books)
    assert [transfer.quantity for transfer in found.transfers] == [D("1.5")]
    assert ordered(found) == [(A, Side.SELL, D("1.5"))]
    rich = replace(on, cash_free=D(900))  # 600 each: 300 are left after the transfer.
    found = planned(buy(10), sell(3, strategy="t"), on=rich, books=books)
    assert ordered(found) == [(A, Side.BUY, D(3))]


def test_a_strategy_does_not_trade_with_itself() -> None:
    found = planned(buy(4, strategy="t"), sell(4, strategy="t"), on=ON, books=BOOKS)
    assert not found.transfers


@given(
    st.lists(
        st.builds(
            Wish, strategy=st.sampled_from(["s", "t", "u"]), pair=st.just(A),
            side=st.sampled_from(Side), quantity=st.decimals("0.1", "9", places=4).map(Quantity),
            limit_price=st.decimals("99", "101", places=2).map(Price),
        ),
        max_size=8,
    )
)  # fmt: skip
def test_netting_keeps_every_unit_and_harms_nobody(wishes: list[Wish]) -> None:
    found = planned(*wishes, on=ON, books=BOOKS)
    fee = Decimal("0.0012")
    for strategy in "stu":
        moved_in = sum((t.quantity for t in found.transfers if t.buyer == strategy), D(0))
        moved_out = sum((t.quantity for t in found.transfers if t.seller == strategy), D(0))
        of = [v for v in found.verdicts if v.strategy == strategy]
        assert moved_in == sum((v.netted for v in of if v.side is Side.BUY), D(0))
        assert moved_out == sum((v.netted for v in of if v.side is Side.SELL), D(0))
        sold = sum((o.quantity for o in found.orders if (o.strategy, o.side) == (strategy,
                    Side.SELL)), D(0))  # fmt: skip
        assert moved_out + sold <= {"s": 0, "t": 10, "u": 10}[strategy]
    for transfer in found.transfers:
        assert transfer.seller != transfer.buyer
        most = max(w.limit_price for w in wishes if w.strategy == transfer.buyer
                   and w.side is Side.BUY)  # fmt: skip
        least = min(w.limit_price for w in wishes if w.strategy == transfer.seller
                    and w.side is Side.SELL)  # fmt: skip
        assert least * (1 - fee) <= transfer.price <= most * (1 + fee)
