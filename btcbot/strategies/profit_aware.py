"""Buys a dip below a moving anchor, sells for a profit that is left after all fees, or stops out.

Per pair: flat or below the position cap, it buys when the middle lies `entry_dip_bps` under the
anchor (an exponential mean of the middle over `anchor_s`) and the spread is no wider than
`spread_max_bps`. It sells `sell_share` of what is held when what the bid would bring after the
taker's fee exceeds the average cost, which includes the fees paid, by `profit_bps`; all of it when
what would be left is too small to sell alone. `rest_s` pass before the next share: without them a
price that stays would take one share after the other, and so everything, within seconds. It sells
all of it at once when it is `stop_loss_bps` below. Orders reach across the spread by `cross_bps`;
what is not filled at once is cancelled after `life_s`.
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

NAME: Final = "profit_aware"
WANTS_DEPTH: Final = False
DECIDES_ON_FILLS: Final = True


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Defaults for a calm start with real prices; the sandbox has a livelier preset."""

    order_notional: Decimal = Decimal(500)  # Quote asset of one buy.
    position_notional_max: Decimal = Decimal(2_000)  # Quote asset held of one pair, at cost.
    entry_dip_bps: Annotated[float, Meta(ge=0, le=2_000)] = 40.0
    profit_bps: Annotated[float, Meta(ge=0, le=10_000)] = 30.0  # After fees both ways.
    stop_loss_bps: Annotated[float, Meta(gt=0, le=10_000)] = 300.0
    anchor_s: Annotated[float, Meta(ge=1, le=86_400)] = 300.0
    warm_up_s: Annotated[float, Meta(ge=0, le=86_400)] = 60.0
    sell_share: Annotated[float, Meta(gt=0, le=1)] = 0.25  # Of what is held, with each profit.
    spread_max_bps: Annotated[float, Meta(ge=0, le=10_000)] = 100.0  # A wider one buys nothing.
    cross_bps: Annotated[float, Meta(ge=0, le=100)] = 5.0
    life_s: Annotated[float, Meta(ge=1, le=3_600)] = 10.0
    rest_s: Annotated[float, Meta(ge=0, le=86_400)] = 30.0  # Between two buys or shares of a pair.

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
    sell_share=1.0,
    life_s=4.0,
    rest_s=4.0,
)


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
    want = _exit(params, view, top, anchor, now_ns) or _entry(params, view, top, anchor, now_ns)
    if want is not None:
        is_buy = want.side is Side.BUY
        anchor = replace(anchor, bought_ns=now_ns) if is_buy else replace(anchor, sold_ns=now_ns)
    return State({**state.anchors, top.pair: anchor}), (want,) if want else NO_WANTS


def _entry(
    params: Params, view: MarketView, top: BookTop, anchor: Anchor, now_ns: int
) -> Want | None:
    rules = view.rules.get(top.pair)
    is_ready = anchor.is_warm(params.warm_up_s, now_ns) and anchor.has_rested(params.rest_s, now_ns)
    if rules is None or not is_ready or view.is_busy(top.pair, Side.BUY):
        return None
    dip_bps = -anchor.deviation_bps(top)
    if dip_bps < params.entry_dip_bps:
        return None
    held = view.holdings.get(top.pair, NO_HOLDING)
    room = params.position_notional_max - held.quantity * held.average_cost
    notional = min(params.order_notional, room)
    return crossing_buy(rules, top, notional, params, f"{dip_bps:.1f} bps under the anchor")


def _exit(
    params: Params, view: MarketView, top: BookTop, anchor: Anchor, now_ns: int
) -> Want | None:
    held, rules = view.holdings.get(top.pair, NO_HOLDING), view.rules.get(top.pair)
    if rules is None or held.quantity <= 0 or view.is_busy(top.pair, Side.SELL):
        return None
    gain_bps = gain(held, top, view.fees[top.pair].taker_bps)
    if gain_bps <= -params.stop_loss_bps:
        reason = f"stop loss {gain_bps:.1f} bps after fees"
        return crossing_sell(rules, top, held.quantity, params, reason)
    if gain_bps < params.profit_bps or not anchor.may_sell_again(params.rest_s, now_ns):
        return None
    share = held.quantity * Decimal(repr(params.sell_share))
    reason = f"profit {gain_bps:.1f} bps after fees"
    return crossing_sell(rules, top, share, params, reason, whole=held.quantity)
