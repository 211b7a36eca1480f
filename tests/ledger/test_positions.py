"""Average cost, against the textbook and against a naive recomputation in fractions."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from btcbot.domain.facts import Fill
from btcbot.domain.ids import Asset, ClientOrderId, IntentId, OrderId, Pair, TradeId
from btcbot.domain.money import Amount, Price, Quantity
from btcbot.domain.words import Side
from btcbot.ledger.positions import Booked, Holding, book

BUY, SELL = Side.BUY, Side.SELL


def fill(side: Side, quantity: str, price: str, fee: str = "0", tax: str = "0") -> Fill:
    return Fill(
        trade_id=TradeId(1),
        order_id=OrderId(1),
        intent_id=IntentId("i"),
        client_order_id=ClientOrderId("c"),
        pair=Pair("BTCTRY"),
        side=side,
        quantity=Quantity(Decimal(quantity)),
        price=Price(Decimal(price)),
        fee=Amount(Decimal(fee)),
        tax=Amount(Decimal(tax)),
        fee_asset=Asset("TRY"),
        event_ns=0,
        liquidity=None,
        postings=(),
        at_ns=0,
    )


def after(*fills: Fill) -> Booked:
    done = Booked(Holding(), Decimal(0))
    for one in fills:
        done = book(done.holding, one)
    return done


def test_buying_two_and_selling_one_realizes_half_of_the_gain_less_all_charges() -> None:
    done = after(
        fill(BUY, "1", "100", fee="1"),
        fill(BUY, "1", "200", fee="2"),
        fill(SELL, "1", "250", "2.5"),
    )

    assert done.holding.average_cost == Decimal("151.5")
    assert done.realized == Decimal(250) - Decimal("2.5") - Decimal("151.5")
    assert done.holding == Holding(Decimal(1), Decimal("151.5"), Decimal(96))


def test_tax_is_a_cost_like_the_fee() -> None:
    held = after(fill(BUY, "2", "100", fee="1", tax="0.5")).holding

    assert held.cost == Decimal("201.5")


def test_a_position_sold_whole_has_no_cost_left_over() -> None:
    thirds = [fill(SELL, "1", "10") for _ in range(3)]

    done = after(fill(BUY, "3", "10", fee="0.0000000000000001"), *thirds)

    assert done.holding.quantity == 0
    assert done.holding.cost == 0
    assert done.holding.realized == Decimal("-0.0000000000000001")


def test_selling_what_was_there_before_us_realizes_only_its_charges() -> None:
    done = after(fill(SELL, "1", "500", fee="0.6"))

    assert done.realized == Decimal("-0.6")
    assert done.holding.quantity == 0


def test_selling_more_than_we_bought_realizes_on_our_part_alone() -> None:
    done = after(fill(BUY, "1", "100"), fill(SELL, "3", "110", fee="3"))

    assert done.realized == Decimal(7)  # 110 - 100 - 3
    assert done.holding.quantity == 0


def test_unrealized_is_nothing_without_a_price_and_the_gain_over_cost_with_one() -> None:
    held = after(fill(BUY, "2", "100", fee="1")).holding

    assert held.unrealized(None) == 0
    assert held.unrealized(Decimal(110)) == Decimal(19)


amounts = st.decimals("0.00000001", "1000", places=8)
prices = st.decimals("0.00000001", "100000", places=8)
fills = st.lists(
    st.builds(
        lambda side, quantity, price, fee: fill(side, str(quantity), str(price), str(fee)),
        st.sampled_from(Side),
        amounts,
        prices,
        st.decimals("0", "100", places=10),
    ),
    max_size=30,
)


@given(fills)
def test_follows_a_naive_recomputation_in_fractions(rows: list[Fill]) -> None:
    quantity, cost, realized = Fraction(0), Fraction(0), Fraction(0)
    for row in rows:
        amount, price, charges = (Fraction(x) for x in (row.quantity, row.price, row.fee))
        if row.side is BUY:
            quantity, cost = quantity + amount, cost + amount * price + charges
        else:
            sold = min(amount, quantity)
            part = cost * sold / quantity if quantity else Fraction(0)
            quantity, cost = quantity - sold, cost - part
            realized += sold * price - part - charges

    held = after(*rows).holding

    assert held.quantity == quantity
    assert abs(Fraction(held.cost) - cost) <= Fraction(30, 10**16)
    assert abs(Fraction(held.realized) - realized) <= Fraction(30, 10**16)


@given(fills)
def test_no_cost_is_made_or_lost_to_the_last_digit(rows: list[Fill]) -> None:
    """Everything received for what was ours, less everything paid, is realized or held at cost."""
    held, flow = Holding(), Decimal(0)
    for row in rows:
        if row.side is BUY:
            flow -= row.quantity * row.price + row.fee
        else:
            flow += min(row.quantity, held.quantity) * row.price - row.fee
        held = book(held, row).holding

    assert held.realized - held.cost == flow
    assert held.quantity >= 0
    assert held.cost >= 0
