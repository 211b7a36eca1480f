"""What the exchange refuses before an order exists: BTCTurk's rules with its codes and texts."""

from decimal import Decimal
from typing import Final

from msgspec import Struct

from btcbot.domain.ids import Pair
from btcbot.domain.money import step_of
from btcbot.domain.words import Side
from btcbot.simulation.account import ZERO, Rejected
from btcbot.simulation.book import Market

BAND: Final = Decimal(10)  # Limit prices lie within a tenth and ten times the market.
PRICE_MIN, PRICE_MAX = Decimal("0.0000000000001"), Decimal(10_000_000)
METHODS: Final = ("limit", "market", "stoplimit", "stopmarket")
CLIENT_ID_MAX: Final = 50


class NewOrder(Struct, kw_only=True, frozen=True):
    """A submit as it arrives; `quantity` of a market or stopmarket buy is quote to spend."""

    pair: Pair
    side: Side
    method: str
    quantity: Decimal
    price: Decimal = ZERO
    stop_price: Decimal = ZERO
    client_id: str = ""

    @property
    def is_priced(self) -> bool:
        return self.method in ("limit", "stoplimit")

    @property
    def spends_quote(self) -> bool:
        return self.side is Side.BUY and not self.is_priced


def check(new: NewOrder, market: Market) -> None:
    """Raise Rejected, with the documented code and text, for what no order may be."""
    rules = market.rules
    if new.method not in METHODS or not rules.is_trading:
        raise Rejected(1134, "ORDER_METHOD_NOT_SUPPORTED")
    if new.quantity <= 0 or len(new.client_id) > CLIENT_ID_MAX:
        raise Rejected(1121, "FAILED_ORDER_PARAMETER")
    # A market order's price is ignored, but its scale is not.
    if not fits(new.price, rules.price_scale) or (new.is_priced and not new.price):
        raise Rejected(1126, "FAILED_INVALID_PRICE_SCALE")
    if not fits(new.quantity, rules.price_scale if new.spends_quote else rules.quantity_scale):
        raise Rejected(1127, "FAILED_INVALID_QUANTITY_SCALE")
    if new.is_priced:
        _check_price(new.price, market)
    if new.method.startswith("stop"):
        _check_stop(new, market)
    if _value(new, market) < rules.notional_min:
        raise Rejected(1123, "FAILED_MIN_TOTAL_AMOUNT")


def fits(value: Decimal, scale: int) -> bool:
    """Return whether `value` needs no more than `scale` decimals."""
    return value % step_of(scale) == 0


def _value(new: NewOrder, market: Market) -> Decimal:
    if new.spends_quote:
        return new.quantity
    return new.quantity * (new.price if new.is_priced else new.stop_price or market.price)


def _check_price(price: Decimal, market: Market) -> None:
    if price < PRICE_MIN:
        raise Rejected(1227, "PRICE_MUST_BE_LESS_THAN_MINPRICE")
    if price > PRICE_MAX:
        raise Rejected(1226, "PRICE_MUST_BE_LESS_THAN_MAXPRICE")
    # The texts are documented, their numbers are not: FAILED_LIMIT_ORDER's stands in.
    if market.price and price < market.price / BAND:
        raise Rejected(1120, "ORDER_MIN_PRICE_EXCEEDED")
    if market.price and price > market.price * BAND:
        raise Rejected(1120, "ORDER_MAX_PRICE_EXCEEDED")


def _check_stop(new: NewOrder, market: Market) -> None:
    if not new.stop_price or not fits(new.stop_price, market.rules.price_scale):
        raise Rejected(1128, "FAILED_INVALID_STOP_PRICE_SCALE")
    if new.side is Side.BUY and new.stop_price <= market.ask:
        raise Rejected(1125, "FAILED_STOP_PRICE_LESS_THAN_BEST_BID")
    if new.side is Side.SELL and market.bid <= new.stop_price:
        raise Rejected(1124, "FAILED_STOP_PRICE_GREATER_THAN_BEST_ASK")
