"""Instruments: prices land on ticks, quantities on steps, on the safe side of what was asked."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import DOCUMENTED, FEES_TRY, FEES_USDT, Instrument, default_fees

pairs = st.sampled_from(sorted(DOCUMENTED)).map(lambda pair: DOCUMENTED[pair])
values = st.decimals("0.0000000001", "1e10", places=10)


@given(pairs, values)
def test_a_buy_never_pays_more_and_a_sell_never_asks_less(
    rules: Instrument, price: Decimal
) -> None:
    assert rules.price_down(price) <= price <= rules.price_up(price)
    assert rules.price_up(price) - rules.price_down(price) in (0, rules.tick)
    assert rules.price_down(price) % rules.tick == 0


@given(pairs, values)
def test_rounding_never_enlarges_an_order(rules: Instrument, quantity: Decimal) -> None:
    rounded = rules.quantity_down(quantity)
    assert 0 <= rounded <= quantity
    assert quantity - rounded < rules.step
    assert rounded % rules.step == 0


def test_a_step_follows_the_scale() -> None:
    assert DOCUMENTED[Pair("USDTTRY")].step == Decimal("0.01")
    assert DOCUMENTED[Pair("BTCTRY")].step == Decimal("0.00000001")


def test_documented_pairs_are_named_by_their_assets() -> None:
    for pair, rules in DOCUMENTED.items():
        assert pair == rules.pair == rules.base + rules.quote
        assert rules.tick % Decimal(1).scaleb(-rules.price_scale) == 0
        assert rules.notional_min > 0


def test_fees_go_by_the_quote() -> None:
    assert default_fees(Asset("TRY")) is FEES_TRY
    assert default_fees(Asset("USDT")) is FEES_USDT
    assert FEES_TRY.taker_bps >= FEES_TRY.maker_bps > 0


@pytest.mark.parametrize("scale", [-1, 17, 10**9])
def test_a_scale_that_no_exchange_has_is_refused_when_it_is_read(scale: int) -> None:
    said = msgspec.to_builtins(DOCUMENTED[Pair("BTCTRY")]) | {"quantity_scale": scale}
    with pytest.raises(msgspec.ValidationError, match="quantity_scale"):
        msgspec.convert(said, Instrument)
