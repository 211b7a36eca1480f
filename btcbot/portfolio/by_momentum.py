"""Spends what may be spent on the pairs that rose over the last day, by their scores; buys only."""

from decimal import Decimal
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from btcbot.portfolio import rebalance
from btcbot.portfolio.bounds import check_amounts
from btcbot.portfolio.picture import Picture
from btcbot.portfolio.rebalance import Proposal, RebalanceRules

NAME: Final = "momentum"
WANTS_DEPTH: Final = True
WANTS_DAY: Final = True


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The pairs and their scores come from [selection]; how much may be spent, from [plan]."""

    offset_bps: Decimal = Decimal(5)  # Under the middle.
    life_s: Annotated[int, Meta(ge=1, le=3_600)] = 120  # Of an order.
    every_s: Annotated[int, Meta(ge=1, le=86_400)] = 300

    def __post_init__(self) -> None:
        check_amounts(self)


def start(_params: Any) -> None:  # noqa: ANN401 - Params
    """Remember nothing: the selection does."""


def every_s(params: Params) -> int:
    return params.every_s


def propose(state: None, params: Params, picture: Picture, _now_ns: int) -> tuple[None, Proposal]:
    """Return buys that split the budget of the seat by the positive scores."""
    rules = RebalanceRules(strategy=NAME, offset_bps=params.offset_bps, life_s=params.life_s)
    return state, rebalance.by_momentum(
        picture.account, picture.scores, picture.limits, rules, picture.size_factor
    )
