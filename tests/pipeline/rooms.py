"""A backtest of several seats on one account, on the sandbox's made market."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from btcbot import backtest
from btcbot.backtest import Result, Stage
from btcbot.domain.ids import Asset
from btcbot.domain.instruments import FeeRates
from btcbot.domain.money import Bps
from btcbot.pipeline.registry import STRATEGIES
from btcbot.pipeline.seats import SeatSetup
from btcbot.portfolio.budget import PlanLimits
from btcbot.sections import Plan as Caps
from tests.stages import PLAN, market

FREE: Mapping[Asset, FeeRates] = {
    Asset("TRY"): FeeRates(maker_bps=Bps(Decimal(0)), taker_bps=Bps(Decimal(0)))
}


def seat(name: str, uses: str = "", **changes: Any) -> SeatSetup:
    """Return a seat with the sandbox's parameters of its strategy."""
    strategy = STRATEGIES[uses or name]
    params = getattr(strategy, "DEMO", None) or strategy.Params()
    made = SeatSetup(name=name, uses=uses or name, params=params, interval_ns=0)
    return replace(made, **changes)


def played(
    *seats: SeatSetup,
    seconds: int = 60,
    seed: int = 1,
    caps: PlanLimits | None = None,
    **changes: Any,
) -> tuple[Result, Stage]:
    """Return what came of a minute with these seats, on the market of `seed`."""
    plan = replace(PLAN, strategy=seats[0].name, seats=seats, fees=FREE, caps=caps or Caps())
    return backtest.run(replace(plan, **changes), market(seconds, seed), keeps_log=True)
