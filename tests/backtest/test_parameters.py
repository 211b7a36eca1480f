"""Every parameter of a strategy changes what it orders: one market, one value against another."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from btcbot import backtest
from btcbot.domain.ids import Asset
from btcbot.domain.instruments import FeeRates
from btcbot.domain.money import Bps
from btcbot.portfolio import by_weights, cash_sweep
from btcbot.strategies import ema_cross, mean_reversion, profit_aware
from tests.builders import BTCTRY, ETHTRY
from tests.stages import PLAN, market

MARKET_S = 90
# Without fees there is something to win in so short a time.
FREE = {Asset("TRY"): FeeRates(maker_bps=Bps(Decimal(0)), taker_bps=Bps(Decimal(0)))}
# A base on which each parameter matters on this market, and another value for each.
PROFIT_AWARE = replace(profit_aware.DEMO, rest_s=0.0, profit_bps=8.0, stop_loss_bps=10.0)
MEAN_REVERSION = replace(mean_reversion.DEMO, rest_s=0.0, stop_loss_bps=5.0)
EMA_CROSS = ema_cross.Params(fast=3, slow=12, quantity=Decimal("0.0002"))
OTHERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "profit_aware": (
        PROFIT_AWARE,
        {
            "order_notional": Decimal(200), "position_notional_max": Decimal(450),
            "entry_dip_bps": 6.0, "profit_bps": 60.0, "stop_loss_bps": 200.0, "anchor_s": 3.0,
            "warm_up_s": 60.0, "cross_bps": 50.0, "life_s": 1.0, "rest_s": 60.0,
            "sell_share": 0.5, "spread_max_bps": 0.0,
        },
    ),
    "mean_reversion": (
        MEAN_REVERSION,
        {
            "order_notional": Decimal(200), "position_notional_max": Decimal(450),
            "threshold_bps": 6.0, "stop_loss_bps": 200.0, "anchor_s": 3.0, "warm_up_s": 60.0,
            "cross_bps": 50.0, "life_s": 1.0, "rest_s": 60.0, "spread_max_bps": 0.0,
        },
    ),
    "portfolio": (
        replace(by_weights.DEMO, offset_bps=Decimal(2), life_s=4),
        {
            "weights": {BTCTRY: Decimal("0.1"), ETHTRY: Decimal("0.9")}, "band": Decimal("0.9"),
            "offset_bps": Decimal(3), "life_s": 8, "every_s": 60,
        },
    ),
    "sweep": (
        cash_sweep.Params(every_s=10, life_s=5, offset_bps=Decimal(1)),
        {
            "cash_target": Decimal(99_000), "offset_bps": Decimal(3), "life_s": 3, "every_s": 20,
        },
    ),
    "ema_cross": (
        EMA_CROSS,
        {
            "fast": 5, "slow": 40, "quantity": Decimal("0.0001"), "cross_bps": 50, "life_s": 1,
        },
    ),
}  # fmt: skip
PAIRS = [(name, parameter) for name, (_, others) in OTHERS.items() for parameter in others]


@pytest.mark.parametrize("name", OTHERS)
def test_each_parameter_has_another_value_to_be_tried_with(name: str) -> None:
    params, others = OTHERS[name]

    assert set(others) == set(params.__struct_fields__)


@pytest.mark.parametrize(("name", "parameter"), PAIRS)
def test_each_parameter_changes_what_is_ordered(name: str, parameter: str) -> None:
    params, others = OTHERS[name]
    usual = ordered(name, params)

    assert usual, "nothing is ordered on this market: it proves nothing"
    assert ordered(name, replace(params, **{parameter: others[parameter]})) != usual


def ordered(name: str, params: Any) -> tuple[str, ...]:
    """Return every order of a backtest, with what became of it and when."""
    result, _ = backtest.run(
        replace(PLAN, strategy=name, params=params, fees=FREE, has_codec=False), market(MARKET_S)
    )
    return tuple(map(str, result.orders))
