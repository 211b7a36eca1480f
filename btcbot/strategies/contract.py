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
from btcbot.domain.money import Price, Quantity, is_sane
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


NO_HOLDING = Holding()
NO_WANTS: tuple[Want, ...] = ()


class Strategy(Protocol):
    """A module of this package, as the registry sees it.

    With `WANTS_DEPTH` market_data says ten levels a side once a second, and the view has them.
    """

    NAME: str
    WANTS_DEPTH: bool
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
