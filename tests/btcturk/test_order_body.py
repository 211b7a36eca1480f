"""The body of each kind of order: canonical, exact, and never base where quote is meant."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcbot.btcturk.order_body import order_body
from btcbot.domain.ids import ClientOrderId, Pair
from btcbot.domain.money import Notional, Price, Quantity
from btcbot.domain.venue import (
    LimitOrder,
    MarketBuy,
    MarketSell,
    OrderTerms,
    StopLimitOrder,
    StopMarketBuy,
    StopMarketSell,
)
from btcbot.domain.words import Side
from tests.btcturk.captures import sample

PAIR = Pair("BTCTRY")
BASE, PRICE, STOP = Quantity(Decimal("0.001")), Price(Decimal(3_600_000)), Price(Decimal(3_610_000))
SPEND = Notional(Decimal(1_000))


def body(terms: OrderTerms, label: str = "b1-abcde-x") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(order_body(PAIR, terms, ClientOrderId(label)))
    return found


def test_a_body_is_canonical_and_without_exponents() -> None:
    terms = LimitOrder(
        side=Side.SELL, quantity=Quantity(Decimal("1E-8")), price=Price(Decimal("3.70E+6"))
    )

    assert order_body(PAIR, terms, ClientOrderId("b1-abcde-x")) == (
        b'{"pairSymbol":"BTCTRY","orderType":"sell","orderMethod":"limit",'
        b'"quantity":"0.00000001","price":"3700000","newOrderClientId":"b1-abcde-x"}'
    )


@pytest.mark.parametrize(
    ("terms", "fields"),
    [
        (MarketBuy(spend=SPEND), ("buy", "market", "1000", None, None)),
        (MarketSell(quantity=BASE), ("sell", "market", "0.001", None, None)),
        (
            StopLimitOrder(side=Side.SELL, quantity=BASE, price=PRICE, stop_price=STOP),
            ("sell", "stoplimit", "0.001", "3600000", "3610000"),
        ),
        (
            StopMarketBuy(spend=SPEND, stop_price=STOP),
            ("buy", "stopmarket", "1000", None, "3610000"),
        ),
        (
            StopMarketSell(quantity=BASE, stop_price=STOP),
            ("sell", "stopmarket", "0.001", None, "3610000"),
        ),
    ],
)
def test_each_kind_has_its_fields_and_no_other(
    terms: OrderTerms, fields: tuple[str | None, ...]
) -> None:
    names = ("orderType", "orderMethod", "quantity", "price", "stopPrice")
    given_ = {name: value for name, value in zip(names, fields, strict=True) if value is not None}

    assert body(terms) == {"pairSymbol": PAIR, **given_, "newOrderClientId": "b1-abcde-x"}


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("limit", lambda s: LimitOrder(side=Side.BUY, quantity=s.quantity, price=s.price)),
        ("market-buy", lambda s: MarketBuy(spend=Notional(s.quantity))),
        ("market-sell", lambda s: MarketSell(quantity=s.quantity)),
        (
            "stoplimit",
            lambda s: StopLimitOrder(
                side=Side.SELL, quantity=s.quantity, price=s.price, stop_price=s.stop
            ),
        ),
    ],
)
def test_bodies_are_those_of_the_samples(name: str, make: Any) -> None:
    class Asked:
        wanted = json.loads(sample(f"rest-order-submit-request-{name}"))
        quantity = Quantity(Decimal(wanted["quantity"]))
        price = Price(Decimal(wanted.get("price", "0")))
        stop = Price(Decimal(wanted.get("stopPrice", "0")))

    ours = body(make(Asked), Asked.wanted["newOrderClientId"])

    assert {**Asked.wanted, **ours} == Asked.wanted


def test_an_amount_of_quote_and_a_quantity_of_base_have_no_field_in_common() -> None:
    for spends, sells in ((MarketBuy, MarketSell), (StopMarketBuy, StopMarketSell)):
        assert "quantity" not in spends.__struct_fields__
        assert "spend" not in sells.__struct_fields__
    with pytest.raises(TypeError):
        MarketBuy(quantity=BASE)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        MarketSell(spend=SPEND)  # type: ignore[call-arg]


@given(
    st.decimals(min_value=Decimal("1e-16"), max_value=10**12, places=16, allow_nan=False),
    st.decimals(min_value=Decimal("1e-16"), max_value=10**12, places=16, allow_nan=False),
)
def test_no_digit_is_lost_on_the_way(quantity: Decimal, price: Decimal) -> None:
    found = body(LimitOrder(side=Side.BUY, quantity=Quantity(quantity), price=Price(price)))

    assert Decimal(found["quantity"]) == quantity
    assert Decimal(found["price"]) == price
    assert "E" not in found["quantity"] + found["price"]
