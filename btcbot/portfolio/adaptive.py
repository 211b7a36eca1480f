"""`portfolio` with equal weights, which changes some of its own parameters after each period.

It looks at how the last periods of the present version went (`portfolio.adaptation`): trouble makes
it do less, three healthy periods in a row a little more, within `bounds`; a version that turns out
bad gives way to the last good one. In mode live it wants `allow_live`.
"""

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta, Struct, msgpack
from msgspec.structs import replace

from btcbot.domain.adaptation import Values
from btcbot.domain.ids import Pair
from btcbot.domain.words import Side
from btcbot.portfolio.account import Wish
from btcbot.portfolio.adaptation import Lineage, begun
from btcbot.portfolio.bounds import check_amounts
from btcbot.portfolio.picture import Picture
from btcbot.portfolio.reasons import Reason
from btcbot.portfolio.rebalance import Idle, Proposal, RebalanceRules, rebalance
from btcbot.portfolio.targets import equal
from btcbot.portfolio.tuning import Bounds, Rollback, outside
from btcbot.portfolio.universe import UniverseRules

NAME: Final = "adaptive"
WANTS_DEPTH: Final = False
WANTS_DAY: Final = False


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first version's values, how far they may move, and what makes a version bad."""

    offset_bps: Decimal = Decimal(5)  # From the middle, on the patient side. Changes.
    orders_max: int = 4  # Of one look; sells come first. Changes.
    cycle_max: Decimal = Decimal(5_000)  # Bought at one look, in the quote asset. Changes.
    spread_max_bps: Decimal = Decimal(80)  # A wider pair is not chosen. Changes.
    universe_size: int = 5  # Pairs, the tightest first; each is to have the same. Changes.
    bounds: Bounds = Bounds()  # [lowest, highest] of each of these.
    rollback: Rollback = Rollback()
    band: Decimal = Decimal("0.02")  # Of the capital: nearer than this is near enough.
    life_s: Annotated[int, Meta(ge=1, le=3_600)] = 50  # Of an order.
    every_s: Annotated[int, Meta(ge=1, le=86_400)] = 60
    period_s: Annotated[int, Meta(ge=1, le=604_800)] = 3_600  # Between two looks at itself.
    allow_live: bool = False  # Whether it may change its own parameters in mode live.

    @property
    def values(self) -> Values:
        """Those of the first version."""
        return Values(**{name: getattr(self, name) for name in Values.__struct_fields__})

    def __post_init__(self) -> None:
        check_amounts(self)
        for problem in outside(self.values, self.bounds):
            raise ValueError(problem)
        if self.period_s < self.every_s:
            raise ValueError(
                f"period_s = {self.period_s}: allowed is every_s = {self.every_s} or more"
            )


# Trades and looks at itself within a minute on the sandbox's lively market.
DEMO: Final = Params(
    offset_bps=Decimal("0.5"), band=Decimal("0.0005"), life_s=9, every_s=10, period_s=30,
    rollback=Rollback(loss_max=Decimal(50)),
)  # fmt: skip


def start(params: Params) -> Lineage:
    """Return the configuration's own version, alone."""
    base = hashlib.blake2b(msgpack.encode(params), digest_size=8).hexdigest()
    return begun(base, params.values)


def every_s(params: Params) -> int:
    return params.every_s


def screened(values: Values, rules: UniverseRules) -> UniverseRules:
    """Return the rules of the screen as `values` narrow them; they never widen them."""
    return replace(
        rules,
        spread_max_bps=min(rules.spread_max_bps, values.spread_max_bps),
        size=min(rules.size, values.universe_size),
    )


def propose(
    state: Lineage, params: Params, picture: Picture, _now_ns: int
) -> tuple[Lineage, Proposal]:
    """Return the wishes that move each pair to its part, as many as the version allows."""
    version = state.version
    rules = RebalanceRules(
        strategy=NAME, band=params.band, offset_bps=version.values.offset_bps, life_s=params.life_s
    )
    found = rebalance(picture.account, equal(picture.universe), picture.limits, rules)
    wishes, idle = _within(found.wishes, picture, version.values)
    named = tuple(replace(wish, reason=f"version {version.number}") for wish in wishes)
    return state, Proposal(named, (*found.idle, *idle))


def _within(
    wishes: Sequence[Wish], picture: Picture, values: Values
) -> tuple[list[Wish], list[Idle]]:
    """Return what of `wishes` a version allows, and the rest: sells first, then the largest.

    One order takes no more of the cycle than the plan would let it be.
    """
    kept: list[Wish] = []
    idle: list[Idle] = []
    left = values.cycle_max
    for wish in sorted(wishes, key=_rank):
        if len(kept) >= values.orders_max:
            idle.append(Idle(wish.pair, Reason.ORDERS_MAX, f"at most {values.orders_max}"))
            continue
        quantity = wish.quantity
        if wish.side is Side.BUY:
            most = min(left, picture.limits.order_max) / wish.limit_price
            rules = picture.account.lines[wish.pair].instrument
            quantity = min(quantity, rules.quantity_down(most))
            left -= quantity * wish.limit_price
        if quantity > 0:
            kept.append(replace(wish, quantity=quantity))
        else:
            idle.append(Idle(wish.pair, Reason.CYCLE_CAP, f"at most {values.cycle_max:f}"))
    return sorted(kept, key=lambda wish: wish.pair), idle


def _rank(wish: Wish) -> tuple[bool, Decimal, Pair]:
    return wish.side is Side.BUY, -wish.quantity * wish.limit_price, wish.pair
