"""What a strategy is: parameters with ranges, a state, and a pure `decide`.

A strategy wants; it does not order. Each want has a slot, a stable name for the wish, and at most
one live order stands for a slot. Signals may be floats; money is exact.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol

from msgspec import Struct, field

from btcbot.domain.ids import Pair
from btcbot.domain.instruments import FeeRates, Instrument
from btcbot.domain.messages import BookDepth, BookTop
from btcbot.domain.money import BPS_IN_ONE, ZERO, Price, Quantity, is_sane
from btcbot.domain.words import Side


class Holding(Struct, frozen=True):
    """What our own fills hold of a pair; `average_cost` is quote per base, fees included."""

    quantity: Decimal = Decimal(0)
    average_cost: Decimal = Decimal(0)


class Want(Struct, frozen=True, kw_only=True):
    """One wish: at most one live order per pair and side of a strategy."""

    pair: Pair
    side: Side
    quantity: Quantity
    limit_price: Price
    reason: str
    life_ns: int  # After that, what is left is cancelled.


class MarketView(Struct, kw_only=True):
    """What a strategy may look at; owned by the strategy actor, not to be changed or kept."""

    tops: dict[Pair, BookTop] = field(default_factory=dict)
    depths: dict[Pair, BookDepth] = field(default_factory=dict)  # Only with WANTS_DEPTH.
    rules: Mapping[Pair, Instrument] = field(default_factory=dict)
    fees: Mapping[Pair, FeeRates] = field(default_factory=dict)
    holdings: dict[Pair, Holding] = field(default_factory=dict)
    live: dict[str, Side] = field(default_factory=dict)  # Slots with an order or an open wish.
    strategy: str = ""  # The seat that looks: slots are named after it.

    def is_busy(self, pair: Pair, side: Side) -> bool:
        """Return whether an order, or a wish that is not answered, stands for this side."""
        return slot_of(self.strategy, pair, side) in self.live


NO_HOLDING = Holding()
NO_WANTS: tuple[Want, ...] = ()


class Strategy(Protocol):
    """A module of this package, or a person's own file, as the registry sees it.

    With `WANTS_DEPTH` market_data says ten levels a side once a second, and the view has them. With
    `DECIDES_ON_FILLS` it is asked at once after a fill of its own, on the quote it saw last.
    """

    NAME: str
    WANTS_DEPTH: bool
    DECIDES_ON_FILLS: bool
    Params: type[Struct]

    def start(self, params: Any) -> Any:  # noqa: ANN401 - its own types
        """Return the state before anything was seen."""

    def decide(
        self,
        state: Any,  # noqa: ANN401 - its own types
        params: Any,  # noqa: ANN401
        view: MarketView,
        top: BookTop,
        now_ns: int,
    ) -> tuple[Any, tuple[Want, ...]]:
        """Return the next state and what is wanted now that `top` changed. Pure."""


def amount_in(name: str, value: Decimal) -> None:
    """Return nothing if the parameter `name` is an amount above zero. Raises ValueError."""
    if not is_sane(value) or value <= 0:
        raise ValueError(f"{name} = {str(value)[:40]}: allowed is above 0, up to 1e15")


def slot_of(strategy: str, pair: Pair, side: Side) -> str:
    """Return the name of a wish: "profit_aware:BTCTRY:buy"."""
    return f"{strategy}:{pair}:{side}"


class Crossing(Protocol):
    """Parameters of an order that reaches across the spread and is soon over."""

    @property
    def cross_bps(self) -> float: ...
    @property
    def spread_max_bps(self) -> float: ...
    @property
    def life_s(self) -> float: ...


def crossing_buy(
    rules: Instrument, top: BookTop, notional: Decimal, params: Crossing, reason: str
) -> Want | None:
    """Return a buy for at most `notional` that reaches over the ask by `cross_bps`.

    None: it would be too small for the exchange, or the spread is wider than `spread_max_bps`.
    """
    if top.ask - top.bid > part(params.spread_max_bps) * top.bid:
        return None
    price = rules.price_up(top.ask * (1 + part(params.cross_bps)))
    quantity = rules.quantity_down(notional / price)
    if quantity * price < rules.notional_min:
        return None
    return Want(
        pair=top.pair,
        side=Side.BUY,
        quantity=quantity,
        limit_price=price,
        reason=reason,
        life_ns=round(params.life_s * 1_000_000_000),
    )


def crossing_sell(
    rules: Instrument,
    top: BookTop,
    quantity: Decimal,
    params: Crossing,
    reason: str,
    *,
    whole: Decimal = ZERO,
) -> Want | None:
    """Return a sell of `quantity` that reaches under the bid by `cross_bps`.

    `whole`: what is held; it goes instead where `quantity`, or what it would leave, is too small to
    be sold alone. None: dust, which the next buy makes saleable.
    """
    price = rules.price_down(top.bid * (1 - part(params.cross_bps)))
    sold = rules.quantity_down(quantity)
    if min(sold, whole - sold if whole else sold) * price < rules.notional_min:
        sold = rules.quantity_down(max(whole, quantity))
    if sold * price < rules.notional_min:
        return None
    return Want(
        pair=top.pair,
        side=Side.SELL,
        quantity=sold,
        limit_price=price,
        reason=reason,
        life_ns=round(params.life_s * 1_000_000_000),
    )


def gain(held: Holding, top: BookTop, taker_bps: Decimal) -> float:
    """Return in bps what selling at the bid would bring over the average cost, all fees paid."""
    proceeds = top.bid * (1 - taker_bps / BPS_IN_ONE)
    return float((proceeds / held.average_cost - 1) * BPS_IN_ONE)


def part(bps: float) -> Decimal:
    """Return a parameter in bps as an exact part of one; parameters have a few decimals only."""
    return Decimal(repr(bps)) / BPS_IN_ONE
