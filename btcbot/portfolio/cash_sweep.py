"""Turns cash above a target into patient buys of equal size over the universe; buys only."""

from decimal import Decimal
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from btcbot.portfolio import rebalance
from btcbot.portfolio.bounds import check_amounts
from btcbot.portfolio.picture import Picture
from btcbot.portfolio.rebalance import Proposal, SweepRules

NAME: Final = "sweep"
WANTS_DEPTH: Final = False
WANTS_DAY: Final = False


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Off by not being named: a seat that sweeps is one that was asked for."""

    cash_target: Decimal = Decimal(300)  # Kept; the reserve of the plan if that is more.
    offset_bps: Decimal = Decimal(20)  # Under the middle.
    life_s: Annotated[int, Meta(ge=1, le=3_600)] = 240  # Of an order.
    every_s: Annotated[int, Meta(ge=1, le=86_400)] = 300

    def __post_init__(self) -> None:
        check_amounts(self)


def start(_params: Any) -> None:  # noqa: ANN401 - Params
    """Remember nothing: the cash says it all."""


def every_s(params: Params) -> int:
    return params.every_s


def propose(state: None, params: Params, picture: Picture, _now_ns: int) -> tuple[None, Proposal]:
    """Return the buys, or why there are none."""
    rules = SweepRules(
        strategy=NAME, is_on=True, cash_target=params.cash_target, offset_bps=params.offset_bps,
        life_s=params.life_s,
    )  # fmt: skip
    return state, rebalance.sweep(picture.account, picture.universe, picture.limits, rules)
