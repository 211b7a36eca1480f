"""Strategies by name, and their parameters: typed, bounded, and no name that does not exist."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec import Struct

from btcbot.domain.ids import Pair
from btcbot.domain.words import Side
from btcbot.pipeline.registry import STRATEGIES, StrategyError, find, parameters
from btcbot.strategies import ema_cross, profit_aware
from btcbot.strategies.contract import slot_of


def params(strategy: Any, given: dict[str, Any], *, is_sandbox: bool = False) -> Struct:
    return parameters(strategy, given, is_sandbox=is_sandbox)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_every_strategy_keeps_the_contract(name: str) -> None:
    strategy = find(name)
    assert name == strategy.NAME
    made = params(strategy, {})
    config = type(made).__struct_config__
    assert config.frozen
    assert config.forbid_unknown_fields
    assert strategy.start(made) == strategy.start(made)


def test_an_unknown_strategy_is_refused_with_what_there_is_and_a_suggestion() -> None:
    with pytest.raises(StrategyError, match="allowed are adaptive, ema_cross") as refused:
        find("profit_awar")
    assert "did you mean 'profit_aware'?" in str(refused.value)
    with pytest.raises(StrategyError, match=r"profit_aware, sweep$"):
        find("xyzzy")


@pytest.mark.parametrize(
    ("strategy", "name", "hint"),
    [(profit_aware, "profit_bp", "did you mean 'profit_bps'?"),
     (profit_aware, "order_notionall", "did you mean 'order_notional'?"),
     (ema_cross, "slowly", "did you mean 'slow'?"),
     (ema_cross, "xyzzy", "allowed are fast, slow, quantity")],
)  # fmt: skip
def test_an_unknown_parameter_is_refused_with_a_suggestion(
    strategy: Any, name: str, hint: str
) -> None:
    with pytest.raises(StrategyError, match=name) as refused:
        params(strategy, {name: 1})
    assert hint in str(refused.value)
    assert strategy.NAME in str(refused.value)


@pytest.mark.parametrize(
    ("strategy", "given", "says"),
    [
        (profit_aware, {"order_notional": 0}, "above 0"),
        (profit_aware, {"order_notional": -5}, "above 0"),
        (profit_aware, {"order_notional": "NaN"}, "above 0"),
        (profit_aware, {"position_notional_max": "1e999999"}, "up to 1e15"),
        (profit_aware, {"position_notional_max": float("inf")}, "up to 1e15"),
        (profit_aware, {"profit_bps": -1}, ">= 0"),
        (profit_aware, {"profit_bps": float("nan")}, "profit_bps"),
        (profit_aware, {"stop_loss_bps": 0}, "> 0"),
        (profit_aware, {"life_s": "soon"}, "life_s"),
        (profit_aware, {"anchor_s": None}, "anchor_s"),
        (ema_cross, {"fast": 1.5}, "fast"),
        (ema_cross, {"fast": 0}, ">= 1"),
        (ema_cross, {"fast": 10, "slow": 10}, "allowed is less than slow = 10"),
        (ema_cross, {"quantity": "-0.001"}, "above 0"),
    ],
)
def test_a_value_of_the_wrong_kind_or_size_is_refused(
    strategy: Any, given: dict[str, Any], says: str
) -> None:
    with pytest.raises(StrategyError, match=r"strategy\.params") as refused:
        params(strategy, given)
    assert says in str(refused.value)


def test_numbers_are_taken_exactly_however_they_are_written() -> None:
    for given in (0.1, "0.1", Decimal("0.1")):
        made = params(profit_aware, {"order_notional": given})
        assert isinstance(made, profit_aware.Params)
        assert made.order_notional == Decimal("0.1")


def test_the_sandbox_has_its_preset_only_when_nothing_is_given() -> None:
    assert params(profit_aware, {}, is_sandbox=True) == profit_aware.DEMO
    assert params(profit_aware, {}) == profit_aware.Params()
    given = params(profit_aware, {"rest_s": 1}, is_sandbox=True)
    assert given == profit_aware.Params(rest_s=1.0)
    assert params(ema_cross, {}, is_sandbox=True) == ema_cross.Params()


def test_a_slot_names_the_wish() -> None:
    assert slot_of("profit_aware", Pair("BTCTRY"), Side.BUY) == "profit_aware:BTCTRY:buy"
