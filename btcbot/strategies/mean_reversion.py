"""Buys when the middle lies a threshold below a moving anchor, sells when it lies one above.

The anchor is the exponential mean of the middle over `anchor_s`, and nothing is wanted before it
has been kept for `warm_up_s`. A buy takes `order_notional` up to the position cap; a sell takes the
same from what is held. What is held is sold whole when it has lost `stop_loss_bps` after fees.
"""

from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta, Struct
from msgspec.structs import replace

from btcbot.domain.ids import Pair
from btcbot.domain.messages import BookTop
from btcbot.domain.words import Side
from btcbot.strategies.anchor import Anchor, middle, moved
from btcbot.strategies.contract import (
    NO_HOLDING,
    NO_WANTS,
    MarketView,
    Want,
    amount_in,
    crossing_buy,
    crossing_sell,
    gain,
)

NAME: Final = "mean_reversion"
WANTS_DEPTH: Final = False
DECIDES_ON_FILLS: Final = True


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Amounts in the quote asset, distances in bps of the anchor."""

    order_notional: Decimal = Decimal(500)  # Of one order.
    position_notional_max: Decimal = Decimal(2_000)  # Held of one pair, at cost.
    threshold_bps: Annotated[float, Meta(gt=0, le=2_000)] = 60.0  # Either way.
    stop_loss_bps: Annotated[float, Meta(gt=0, le=10_000)] = 300.0
    spread_max_bps: Annotated[float, Meta(ge=0, le=10_000)] = 100.0  # A wider one buys nothing.
    anchor_s: Annotated[float, Meta(ge=1, le=86_400)] = 600.0
    warm_up_s: Annotated[float, Meta(ge=0, le=86_400)] = 300.0
    cross_bps: Annotated[float, Meta(ge=0, le=100)] = 5.0
    life_s: Annotated[float, Meta(ge=1, le=3_600)] = 10.0
    rest_s: Annotated[float, Meta(ge=0, le=86_400)] = 30.0  # Between two buys of one pair.

    def __post_init__(self) -> None:
        amount_in("order_notional", self.order_notional)
        amount_in("position_notional_max", self.position_notional_max)


# Chosen to trade within a minute on the sandbox's lively market; not a way to make money.
DEMO: Final = Params(
    order_notional=Decimal(400), threshold_bps=1.5, anchor_s=5.0, warm_up_s=3.0, life_s=4.0,
    rest_s=2.0,
)  # fmt: skip


class State(Struct, frozen=True):
    anchors: dict[Pair, Anchor]  # One a pair: copied when one changes.


def start(_params: Params) -> State:
    """Return the state before anything was seen."""
    return State({})


def decide(
    state: State, params: Params, view: MarketView, top: BookTop, now_ns: int
) -> tuple[State, tuple[Want, ...]]:
    """Return the next state and what is wanted of `top`'s pair."""
    anchor = moved(state.anchors.get(top.pair), params.anchor_s, middle(top), now_ns)
    want = None
    if anchor.is_warm(params.warm_up_s, now_ns):
        want = _exit(params, view, top, anchor) or _entry(params, view, top, anchor, now_ns)
    if want is not None and want.side is Side.BUY:
        anchor = replace(anchor, bought_ns=now_ns)
    return State({**state.anchors, top.pair: anchor}), (want,) if want else NO_WANTS


def _entry(
    params: Params, view: MarketView, top: BookTop, anchor: Anchor, now_ns: int
) -> Want | None:
    rules, below = view.rules.get(top.pair), -anchor.deviation_bps(top)
    if rules is None or below < params.threshold_bps or view.is_busy(top.pair, Side.BUY):
        return None
    if not anchor.has_rested(params.rest_s, now_ns):
        return None
    held = view.holdings.get(top.pair, NO_HOLDING)
    room = params.position_notional_max - held.quantity * held.average_cost
    return crossing_buy(
        rules, top, min(params.order_notional, room), params,
        f"{below:.1f} bps under the anchor",
    )  # fmt: skip


def _exit(params: Params, view: MarketView, top: BookTop, anchor: Anchor) -> Want | None:
    held, rules = view.holdings.get(top.pair, NO_HOLDING), view.rules.get(top.pair)
    if rules is None or held.quantity <= 0 or view.is_busy(top.pair, Side.SELL):
        return None
    gain_bps, above = gain(held, top, view.fees[top.pair].taker_bps), anchor.deviation_bps(top)
    if gain_bps <= -params.stop_loss_bps:
        reason = f"stop loss {gain_bps:.1f} bps after fees"
        return crossing_sell(rules, top, held.quantity, params, reason)
    if above < params.threshold_bps:
        return None
    quantity = min(held.quantity, params.order_notional / top.bid)
    return crossing_sell(
        rules, top, quantity, params, f"{above:.1f} bps over the anchor", whole=held.quantity
    )
