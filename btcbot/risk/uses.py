"""What is said for people: the mode, and how much of each limit is used, named as in [risk]."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from btcbot.domain.messages import LimitUse, RiskState
from btcbot.domain.money import BPS_IN_ONE, ZERO, half_up
from btcbot.domain.words import Anomaly, Rule
from btcbot.risk.budget import Budget
from btcbot.risk.picture import TRY, Picture, gross_in_try, position_in_try
from btcbot.risk.rules import HOUR_NS, MINUTE_NS, sent_since

SCALE: Final = 8


def risk_state(
    picture: Picture,
    budget: Budget,
    found: tuple[Anomaly, ...],
    refusals: Mapping[Rule, int],
    now_ns: int,
) -> RiskState:
    """Return what to say once a second."""
    return RiskState(
        limits=uses(picture, now_ns),
        refusals=tuple(sorted(refusals.items())),
        at_ns=now_ns,
        mode=budget.mode,
        size_bps=budget.size_bps,
        concerns=budget.concerns,
        level=picture.degrade.level,
        anomalies=found,
    )


def uses(picture: Picture, now_ns: int) -> tuple[LimitUse, ...]:
    """Return the rows; of limits that hold for each pair or order, the one that uses most.

    What is not known is left out. Amounts are rounded to 8 decimals.
    """
    limits, now, exposure = picture.limits, picture.standing, picture.exposure
    orders = exposure.orders.values()
    values = [r.left * r.intent.limit_price for r in orders]
    positions = [p for pair in picture.marks if (p := position_in_try(picture, pair)) is not None]
    largest, equity = max(positions, default=ZERO), now.equity
    share = largest * BPS_IN_ONE / equity if equity else None
    last = max(picture.decisions.values(), key=lambda row: row.decided_ns, default=None)
    rows = (
        ("order_notional_max_try", max(values, default=ZERO)),
        ("position_notional_max_try", largest),
        ("gross_exposure_max_try", gross_in_try(picture)),
        ("concentration_max_bps", share),
        ("cash_reserve_min_try", picture.totals.get(TRY, ZERO)),
        ("open_orders_max", len(orders)),
        ("pair_open_orders_max", max((p.orders for p in exposure.pairs.values()), default=0)),
        ("decision_orders_max", last.orders if last else 0),
        ("decision_notional_max_try", last.buying if last else ZERO),
        ("orders_per_minute_max", sent_since(picture.sent_ns, now_ns - MINUTE_NS)),
        ("orders_per_hour_max", sent_since(picture.sent_ns, now_ns - HOUR_NS)),
        ("turnover_per_day_max_try", now.turnover),
        ("fees_per_day_max_try", now.fees),
        ("daily_loss_max_try", now.day_loss),
        ("weekly_loss_max_try", now.week_loss),
        ("drawdown_max_try", now.drawdown),
    )
    return tuple(
        LimitUse(name, _shown(Decimal(used)), Decimal(getattr(limits, name)))
        for name, used in rows
        if used is not None
    )


def _shown(used: Decimal) -> Decimal:
    """Return what fits into a message; a sum of products may be finer than one may be."""
    shown = half_up(used, SCALE)
    return (used if shown == used else shown) if used else ZERO
