"""A strategy for simulations: always wants something, in every way a limit order can be wanted.

Sides, prices on both sides of the touch, sizes and lives follow from a hash of pair and time, so
it needs no generator and the same market gives the same wishes.
"""

import hashlib
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from btcbot.domain.messages import BookTop
from btcbot.domain.money import Price, Quantity
from btcbot.domain.words import Side
from btcbot.strategies.contract import NO_HOLDING, NO_WANTS, MarketView, Want

NAME = "restless"
WANTS_DEPTH = False
DECIDES_ON_FILLS = False
SECOND_NS: Final = 1_000_000_000
FAR: Final = Decimal(-80) / 10_000


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Quote asset per order; decisions a pair."""

    notional_max: Decimal = Decimal(600)
    every_ns: int = SECOND_NS


Params: type[Struct] = Settings


def start(params: Any) -> None:  # noqa: ANN401 - Settings
    """Remember nothing: the hash of the time decides."""
    del params


def decide(
    state: Any,  # noqa: ANN401 - there is none
    params: Any,  # noqa: ANN401 - Params
    view: MarketView,
    top: BookTop,
    now_ns: int,
) -> tuple[Any, tuple[Want, ...]]:
    """Want a buy or a sell of `top`'s pair, once every few seconds."""
    draw = hashlib.blake2b(
        f"{top.pair}|{now_ns // params.every_ns}".encode(), digest_size=8
    ).digest()
    rules = view.rules.get(top.pair)
    held = view.holdings.get(top.pair, NO_HOLDING).quantity
    if rules is None or draw[0] < 30:
        return state, NO_WANTS
    side = Side.SELL if held > 0 and draw[1] < 140 else Side.BUY
    if view.is_busy(top.pair, side):
        return state, NO_WANTS
    reach = Decimal(draw[2] - 128) / 40_000  # Up to 32 bps before or behind the touch.
    if draw[5] < 64:
        reach = FAR  # It rests until its time is over.
    notional = 110 + (params.notional_max - 110) * draw[3] / 255
    if side is Side.BUY:
        price = rules.price_up(top.ask * (1 + reach))
        quantity = rules.quantity_down(notional / price)
    else:
        price = rules.price_down(top.bid * (1 - reach))
        quantity = rules.quantity_down(min(held, notional / price))
    if quantity * price < rules.notional_min:
        return state, NO_WANTS
    life_ns = (1 + draw[4] // 32) * SECOND_NS
    want = Want(
        pair=top.pair, side=side, quantity=Quantity(quantity), limit_price=Price(price),
        reason="restless", life_ns=life_ns,
    )  # fmt: skip
    return state, (want,)
