"""Buys a dip below a moving anchor, sells for a profit that is left after all fees, or stops out.

Per pair: flat or below the position cap, it buys when the middle lies `entry_dip_bps` under the
anchor (an exponential mean of the middle over `anchor_s`). It sells everything when what the bid
would bring after the taker's fee exceeds the average cost, which includes the fees paid, by
`profit_bps`; and when it is `stop_loss_bps` below. Orders reach across the spread by `cross_bps`
at most, and what is not filled at once is cancelled after `life_s`.
"""

import math
from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta, Struct
from msgspec.structs import replace

from btcbot.domain.ids import Pair
from btcbot.domain.messages import BookTop
from btcbot.domain.money import BPS_IN_ONE
from btcbot.domain.words import Side
from btcbot.strategies.contract import (
    NO_HOLDING,
    NO_WANTS,
    Holding,
    MarketView,
    Want,
    amount_in,
    slot_of,
)

NAME: Final = "profit_aware"
WANTS_DEPTH: Final = False
SECOND_NS: Final = 1_000_000_000


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Defaults for a calm start with real prices; the sandbox has a livelier preset."""

    order_notional: Decimal = Decimal(500)  # Quote asset of one buy.
    position_notional_max: Decimal = Decimal(2_000)  # Quote asset held of one pair, at cost.
    entry_dip_bps: Annotated[float, Meta(ge=0, le=2_000)] = 40.0
    profit_bps: Annotated[float, Meta(ge=0, le=10_000)] = 30.0  # After fees both ways.
    stop_loss_bps: Annotated[float, Meta(gt=0, le=10_000)] = 300.0
    anchor_s: Annotated[float, Meta(ge=1, le=86_400)] = 300.0
    warm_up_s: Annotated[float, Meta(ge=0, le=86_400)] = 60.0
    cross_bps: Annotated[float, Meta(ge=0, le=100)] = 5.0
    life_s: Annotated[float, Meta(ge=1, le=3_600)] = 10.0
    rest_s: Annotated[float, Meta(ge=0, le=86_400)] = 30.0  # Between two buys of one pair.

    def __post_init__(self) -> None:
        amount_in("order_notional", self.order_notional)
        amount_in("position_notional_max", self.position_notional_max)


# Chosen to trade within a minute on the sandbox's lively market; not a way to make money.
DEMO: Final = Params(
    order_notional=Decimal(400),
    position_notional_max=Decimal(1_500),
    entry_dip_bps=2.0,
    profit_bps=1.0,
    stop_loss_bps=80.0,
    anchor_s=5.0,
    warm_up_s=3.0,
    life_s=4.0,
    rest_s=4.0,
)


class Anchor(Struct, frozen=True):
    """The moving mean of one pair's middle, and since when it is kept."""

    value: float
    since_ns: int
    at_ns: int
    bought_ns: int = 0


class State(Struct, frozen=True):
    anchors: dict[Pair, Anchor]  # One a pair: copied when one changes.


def start(_params: Params) -> State:
    """Return the state before anything was seen."""
    return State({})


def decide(
    state: State, params: Params, view: MarketView, top: BookTop, now_ns: int
) -> tuple[State, tuple[Want, ...]]:
    """Return the next state and what is wanted of `top`'s pair."""
    middle = float(top.bid + top.ask) / 2
    anchor = _moved(state.anchors.get(top.pair), params, middle, now_ns)
    want = _exit(params, view, top) or _entry(params, view, top, anchor, now_ns)
    if want is not None and want.side is Side.BUY:
        anchor = replace(anchor, bought_ns=now_ns)
    return State({**state.anchors, top.pair: anchor}), (want,) if want else NO_WANTS


def _moved(anchor: Anchor | None, params: Params, middle: float, now_ns: int) -> Anchor:
    """Return the anchor after a new middle; each counts for the time since the one before."""
    if anchor is None:
        return Anchor(middle, now_ns, now_ns)
    passed_ns = max(now_ns - anchor.at_ns, 0)  # The machine's clock may have been set back.
    weight = 1 - math.exp(-passed_ns / SECOND_NS / params.anchor_s)
    return replace(anchor, value=anchor.value + weight * (middle - anchor.value), at_ns=now_ns)


def _entry(
    params: Params, view: MarketView, top: BookTop, anchor: Anchor, now_ns: int
) -> Want | None:
    rules = view.rules.get(top.pair)
    is_warm = now_ns - anchor.since_ns >= params.warm_up_s * SECOND_NS
    has_rested = now_ns - anchor.bought_ns >= params.rest_s * SECOND_NS
    if rules is None or not is_warm or not has_rested:
        return None
    if slot_of(NAME, top.pair, Side.BUY) in view.live:
        return None
    dip_bps = (1 - float(top.ask + top.bid) / 2 / anchor.value) * 10_000
    if dip_bps < params.entry_dip_bps:
        return None
    held = view.holdings.get(top.pair, NO_HOLDING)
    room = params.position_notional_max - held.quantity * held.average_cost
    notional = min(params.order_notional, room)
    price = rules.price_up(top.ask * (1 + _part(params.cross_bps)))
    quantity = rules.quantity_down(notional / price)
    if quantity * price < rules.notional_min:
        return None
    return Want(
        pair=top.pair,
        side=Side.BUY,
        quantity=quantity,
        limit_price=price,
        reason=f"{dip_bps:.1f} bps under the anchor",
        life_ns=round(params.life_s * SECOND_NS),
    )


def _exit(params: Params, view: MarketView, top: BookTop) -> Want | None:
    held, rules = view.holdings.get(top.pair, NO_HOLDING), view.rules.get(top.pair)
    if rules is None or held.quantity <= 0 or slot_of(NAME, top.pair, Side.SELL) in view.live:
        return None
    gain_bps = gain(held, top, view.fees[top.pair].taker_bps)
    if -params.stop_loss_bps < gain_bps < params.profit_bps:
        return None
    quantity = rules.quantity_down(held.quantity)
    price = rules.price_down(top.bid * (1 - _part(params.cross_bps)))
    if quantity * price < rules.notional_min:
        return None  # Dust: too small to sell alone; the next buy makes it saleable.
    return Want(
        pair=top.pair,
        side=Side.SELL,
        quantity=quantity,
        limit_price=price,
        reason=f"{'profit' if gain_bps > 0 else 'stop loss'} {gain_bps:.1f} bps after fees",
        life_ns=round(params.life_s * SECOND_NS),
    )


def gain(held: Holding, top: BookTop, taker_bps: Decimal) -> float:
    """Return in bps what selling at the bid would bring over the average cost, all fees paid."""
    proceeds = top.bid * (1 - taker_bps / BPS_IN_ONE)
    return float((proceeds / held.average_cost - 1) * BPS_IN_ONE)


def _part(bps: float) -> Decimal:
    """Return a parameter in bps as an exact part of one; parameters have a few decimals only."""
    return Decimal(repr(bps)) / BPS_IN_ONE
