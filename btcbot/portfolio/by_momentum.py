"""Spends what may be spent on the pairs that rose over the last day, by their scores; buys only.

A score is mostly that of a book: deep and narrow. So a pair has to cost more than a day ago too,
now and not when it was scored, or a deep book that falls would be bought all the way down.
"""

from decimal import Decimal
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from btcbot.portfolio import rebalance
from btcbot.portfolio.bounds import check_amounts
from btcbot.portfolio.picture import Picture
from btcbot.portfolio.reasons import Reason
from btcbot.portfolio.rebalance import Idle, Proposal, RebalanceRules

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
    """Return buys that split the budget of the seat by the positive scores of what rises."""
    rules = RebalanceRules(strategy=NAME, offset_bps=params.offset_bps, life_s=params.life_s)
    scores = {pair: picture.scores[pair] for pair in picture.rising}
    found = rebalance.by_momentum(picture.account, scores, picture.limits, rules)
    falling = (Idle(p, Reason.NOT_RISING) for p in sorted(picture.scores) if p not in scores)
    return state, Proposal(found.wishes, (*found.idle, *falling))
