"""Moves the account towards target weights: outside a band only, sells first, patient prices.

Weights are parts of the seat's capital; without any, every pair of the universe has the same. A
pair that is held and has weight 0 is sold whole; a pair without a weight is left alone.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final

from msgspec import Meta, Struct, field

from btcbot.domain.ids import Pair
from btcbot.portfolio.bounds import check_amounts
from btcbot.portfolio.picture import Picture
from btcbot.portfolio.rebalance import Proposal, RebalanceRules, rebalance
from btcbot.portfolio.targets import equal, normalised

NAME: Final = "portfolio"
WANTS_DEPTH: Final = False
WANTS_DAY: Final = False


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Weights add up to 0.95 to 1.05 and are made to add up to 1."""

    weights: Mapping[Pair, Decimal] = field(default_factory=dict)  # Empty: all pairs the same.
    band: Decimal = Decimal("0.02")  # Of the capital: nearer than this is near enough.
    offset_bps: Decimal = Decimal(5)  # From the middle, on the patient side.
    life_s: Annotated[int, Meta(ge=1, le=3_600)] = 50  # Of an order.
    every_s: Annotated[int, Meta(ge=1, le=86_400)] = 60

    def __post_init__(self) -> None:
        check_amounts(self)
        normalised(self.weights, ())


# Trades within a minute on the sandbox's lively market: small steps, near prices.
DEMO: Final = Params(band=Decimal("0.0005"), offset_bps=Decimal("0.5"), life_s=9, every_s=10)


def start(_params: Any) -> None:  # noqa: ANN401 - Params
    """Remember nothing: weights and holdings say it all."""


def every_s(params: Params) -> int:
    return params.every_s


def propose(state: None, params: Params, picture: Picture, _now_ns: int) -> tuple[None, Proposal]:
    """Return the wishes that move each pair to its part."""
    weights = normalised(params.weights, ()) if params.weights else equal(picture.universe)
    rules = RebalanceRules(
        strategy=NAME, band=params.band, offset_bps=params.offset_bps, life_s=params.life_s
    )
    return state, rebalance(picture.account, weights, picture.limits, rules)
