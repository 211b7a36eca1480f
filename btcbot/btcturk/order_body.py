"""The one body of a submit for each kind of order; amounts are texts without an exponent.

The exchange has one field `quantity` for two things: base asset, and, for a market or stopmarket
buy, quote to spend. Only here do the two come together, and each kind of terms has only its own.
"""

from typing import assert_never

import msgspec

from btcbot.domain.ids import ClientOrderId, Pair
from btcbot.domain.money import text
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

_encode = msgspec.json.Encoder().encode


def order_body(pair: Pair, terms: OrderTerms, client_id: ClientOrderId) -> bytes:
    """Return the canonical body of the POST of `terms`."""
    return _encode({"pairSymbol": pair, **_fields(terms), "newOrderClientId": client_id})


def _fields(terms: OrderTerms) -> dict[str, str]:
    match terms:
        case LimitOrder():
            return {
                **_kind("limit", terms.side, text(terms.quantity)),
                "price": text(terms.price),
            }
        case MarketBuy():
            return _kind("market", Side.BUY, text(terms.spend))
        case MarketSell():
            return _kind("market", Side.SELL, text(terms.quantity))
        case StopLimitOrder():
            return {
                **_kind("stoplimit", terms.side, text(terms.quantity)),
                "price": text(terms.price),
                "stopPrice": text(terms.stop_price),
            }
        case StopMarketBuy():
            fields = _kind("stopmarket", Side.BUY, text(terms.spend))
            return {**fields, "stopPrice": text(terms.stop_price)}
        case StopMarketSell():
            fields = _kind("stopmarket", Side.SELL, text(terms.quantity))
            return {**fields, "stopPrice": text(terms.stop_price)}
        case _:
            assert_never(terms)


def _kind(method: str, side: Side, quantity: str) -> dict[str, str]:
    return {"orderType": side, "orderMethod": method, "quantity": quantity}
