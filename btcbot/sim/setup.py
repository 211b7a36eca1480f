"""What every simulated world has in common: bounds, limits, names and the time it begins."""

from decimal import Decimal
from typing import Final

from btcbot.domain.facts import FACTS
from btcbot.domain.ids import Asset, Pair, instance_tag
from btcbot.domain.instruments import default_fees
from btcbot.orders.bounds import OrderBounds
from btcbot.orders.state import GateLimits, Setup
from btcbot.portfolio.budget import PlanLimits
from btcbot.risk.limits import RiskLimits
from btcbot.sim import restless

START_NS: Final = 1_790_000_000_000_000_000
TAG: Final = instance_tag("simulation")
ALL_KINDS: Final = tuple(str(kind.__struct_config__.tag) for kind in FACTS)
PROCESSES: Final = ("execution", "market_data", "risk_gate", "accounting", "strategy")
RESTART_S: Final = (1.0, 2.0)  # What supervisord takes.
KEPT: Final = 0.1  # Of the commits, after which an actor writes down what it has folded.
ON_DUTY_S: Final = (4.0, 12.0)  # How often a person looks whether it trades.
REST_S: Final = 420.0  # After the faults stop: the absence bound, its sweeps, and a margin.
BOUNDS: Final = OrderBounds(absence_wait_s=60, fills_interval_s=5)
LIMITS: Final = RiskLimits(
    order_notional_max_try=Decimal(650), position_notional_max_try=Decimal(2_000),
    open_orders_max=6, orders_per_minute_max=60, cash_reserve_min_try=Decimal(9_000),
)  # fmt: skip
# What a risk_gate that lets everything pass is given; `setup_of` keeps to the limits above.
MANY: Final = Decimal(10**12)
LOOSE: Final = RiskLimits(
    order_notional_max_try=MANY, position_notional_max_try=MANY, gross_exposure_max_try=MANY,
    concentration_max_bps=MANY, cash_reserve_min_try=Decimal(0), open_orders_max=40,
    pair_open_orders_max=40, decision_orders_max=40, decision_notional_max_try=MANY,
    orders_per_minute_max=120, orders_per_hour_max=7_200, buy_cooldown_ms=0,
    turnover_per_day_max_try=MANY, fees_per_day_max_try=MANY, daily_loss_max_try=MANY,
    weekly_loss_max_try=MANY, drawdown_max_try=MANY, spread_max_bps=Decimal(20_000),
    price_collar_bps=Decimal(9_000), book_age_max_ms=5_000,
)  # fmt: skip
# The plan lets everything pass that there is cash for: what is judged here comes after it.
WIDE: Final = PlanLimits(
    cash_reserve=Decimal(0), fee_buffer_bps=Decimal(0), position_max=Decimal(10**9),
    exposure_max=Decimal(10**9), cycle_max=Decimal(10**9), order_max=Decimal(10**9),
    notional_min=Decimal(0), orders_max=100,
)  # fmt: skip
GREEDY: Final = restless.Settings(notional_max=Decimal(900))


def setup_of(pairs: tuple[Pair, ...]) -> Setup:
    """Return what is fixed for execution, whose own gate keeps to `LIMITS`."""
    gate = GateLimits(
        order_notional_max_try=LIMITS.order_notional_max_try,
        position_notional_max_try=LIMITS.position_notional_max_try,
        open_orders_max=LIMITS.open_orders_max,
        orders_per_minute_max=LIMITS.orders_per_minute_max,
        price_collar_bps=LIMITS.price_collar_bps,
        gross_exposure_max_try=LIMITS.gross_exposure_max_try,
        cash_reserve_min_try=LIMITS.cash_reserve_min_try,
    )
    fees = {Asset("TRY"): default_fees(Asset("TRY"))}
    return Setup(tag=TAG, mode="sandbox", pairs=pairs, bounds=BOUNDS, gate=gate, fees=fees)
