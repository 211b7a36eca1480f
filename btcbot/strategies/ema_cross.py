"""Long while the fast mean of the middle is above the slow one, flat otherwise.

The textbook rule, one update per quote: made for comparing backtests, not for making money.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta, Struct

from btcbot.domain.ids import Pair
from btcbot.domain.messages import BookTop
from btcbot.domain.money import BPS_IN_ONE, ZERO, Quantity
from btcbot.domain.words import Side
from btcbot.strategies.contract import NO_WANTS, MarketView, Want, amount_in

NAME: Final = "ema_cross"
WANTS_DEPTH: Final = False
DECIDES_ON_FILLS: Final = False  # A mean moves once a quote.


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Periods count quotes."""

    fast: Annotated[int, Meta(ge=1, le=1_000_000)] = 200
    slow: Annotated[int, Meta(ge=2, le=1_000_000)] = 1_000
    quantity: Decimal = Decimal("0.001")  # Base asset, bought and sold whole.
    cross_bps: Annotated[int, Meta(ge=0, le=100)] = 20
    life_s: Annotated[int, Meta(ge=1, le=3_600)] = 10

    def __post_init__(self) -> None:
        amount_in("quantity", self.quantity)
        if self.fast >= self.slow:
            raise ValueError(f"fast = {self.fast}: allowed is less than slow = {self.slow}")


@dataclass(slots=True)  # A Struct's fields are five times as dear to set.
class Means:
    """Of one pair; owned by the strategy, changed in place: one update per quote."""

    fast: float
    slow: float
    seen: int = 1  # Until there are enough.
    # Most quotes change a quantity alone, and a float of a Decimal is dear: kept while it holds.
    bid: Decimal = ZERO
    ask: Decimal = ZERO
    middle: float = 0.0


class State(Struct, frozen=True):
    means: dict[Pair, Means]  # Owned, one a pair.
    fast_weight: float
    slow_weight: float


def start(params: Params) -> State:
    """Return the state before anything was seen."""
    return State({}, 2 / (params.fast + 1), 2 / (params.slow + 1))


def decide(
    state: State, params: Params, view: MarketView, top: BookTop, _now_ns: int
) -> tuple[State, tuple[Want, ...]]:
    """Return the state, its means moved by one quote, and an order at a cross."""
    bid, ask = top.bid, top.ask
    try:
        means = state.means[top.pair]
    except KeyError:
        middle = float(bid + ask) * 0.5
        state.means[top.pair] = Means(middle, middle)
        return state, NO_WANTS
    if bid == means.bid and ask == means.ask:
        middle = means.middle
    else:
        means.bid, means.ask = bid, ask
        means.middle = middle = float(bid + ask) * 0.5
    means.fast = fast = means.fast + state.fast_weight * (middle - means.fast)
    means.slow = slow = means.slow + state.slow_weight * (middle - means.slow)
    if means.seen < params.slow:
        means.seen += 1
        if means.seen < params.slow:
            return state, NO_WANTS
    held = view.holdings.get(top.pair)
    if held is not None and held.quantity:  # Never below 0; `>` costs twice as much.
        if fast > slow:
            return state, NO_WANTS
        return state, _cross(params, view, top, Side.SELL)
    if fast > slow:
        return state, _cross(params, view, top, Side.BUY)
    return state, NO_WANTS


def _cross(params: Params, view: MarketView, top: BookTop, side: Side) -> tuple[Want, ...]:
    rules = view.rules.get(top.pair)
    # Either side: the other one's order may still be open when its fills are known already.
    if rules is None or view.is_busy(top.pair, Side.BUY) or view.is_busy(top.pair, Side.SELL):
        return NO_WANTS
    reach = Decimal(params.cross_bps) / BPS_IN_ONE
    if side is Side.BUY:
        quantity, price = params.quantity, rules.price_up(top.ask * (1 + reach))
    else:
        quantity, price = view.holdings[top.pair].quantity, rules.price_down(top.bid * (1 - reach))
    want = Want(
        pair=top.pair,
        side=side,
        quantity=Quantity(rules.quantity_down(quantity)),
        limit_price=price,
        reason="the fast mean crossed the slow one",
        life_ns=params.life_s * 1_000_000_000,
    )
    return (want,)
