"""What a configuration lets a strategy change of its own parameters: never more than its caps."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from btcbot.domain.adaptation import Values
from btcbot.domain.ids import Asset
from btcbot.pipeline.registry import StrategyError
from btcbot.portfolio.adaptive import Params
from btcbot.portfolio.tuning import OFFSET_MAX_BPS, lowered
from btcbot.risk.limits import RiskLimits
from btcbot.sections import Plan, Universe


class Capping(Protocol):
    """The part of a configuration that caps what is ordered."""

    @property
    def plan(self) -> Plan: ...
    @property
    def universe(self) -> Universe: ...
    @property
    def risk(self) -> RiskLimits: ...


class Caps(NamedTuple):
    values: Values
    keys: dict[str, str]  # Of each value: the key that says so.


def capped(config: Capping, params: Params, table: str) -> Params:
    """Return `params` with no bound above what [plan], [universe] and [risk] allow.

    Raises StrategyError for a first value above it, which names the key of each.
    """
    caps = caps_of(config)
    for problem in _above(params.values, caps):
        raise StrategyError(f"{table}.params.{problem}")
    return replace(params, bounds=lowered(params.bounds, caps.values))


def caps_of(config: Capping) -> Caps:
    """Return the lowest cap of each value; offset_bps has none but its bounds."""
    plan, universe, risk = config.plan, config.universe, config.risk
    cycle_max, of_cycle = plan.cycle_max, "plan.cycle_max"
    # The limit is in TRY: what a plan in another asset may cost, the risk gate says.
    if universe.quote == Asset("TRY") and risk.decision_notional_max_try < cycle_max:
        cycle_max, of_cycle = risk.decision_notional_max_try, "risk.decision_notional_max_try"
    orders, of_orders = min(
        (plan.orders_max, "plan.orders_max"), (risk.decision_orders_max, "risk.decision_orders_max")
    )
    spread, of_spread = min(
        (universe.spread_max_bps, "universe.spread_max_bps"),
        (risk.spread_max_bps, "risk.spread_max_bps"),
    )
    return Caps(
        Values(
            offset_bps=OFFSET_MAX_BPS, orders_max=orders, cycle_max=cycle_max,
            spread_max_bps=spread, universe_size=universe.size,
        ),
        {
            "orders_max": of_orders, "cycle_max": of_cycle, "spread_max_bps": of_spread,
            "universe_size": "universe.size",
        },
    )  # fmt: skip


def _above(values: Values, caps: Caps) -> Iterator[str]:
    for name, key in caps.keys.items():
        value, cap = getattr(values, name), getattr(caps.values, name)
        if value > cap:
            yield f"{name} = {value}: allowed is up to {cap}, which is {key}"
