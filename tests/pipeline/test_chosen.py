"""Which strategies a configuration names: one, several, or a file of one's own."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from btcbot.chosen import chosen_for, chosen_of
from btcbot.cli.strategy import template
from btcbot.layers import ConfigError
from btcbot.pipeline.registry import StrategyError
from btcbot.trial import findings
from tests.config.settled import configured
from tests.pipeline.rooms import played

CAPS: list[tuple[dict[str, Any], str, Any]] = [
    ({}, "cycle_max", (500, 10_000)),
    ({"plan__cycle_max": 6_000}, "cycle_max", (500, 6_000)),
    ({"risk__decision_notional_max_try": 7_000}, "cycle_max", (500, 7_000)),
    ({"risk__decision_notional_max_try": 7_000, "universe__quote": "USDT"}, "cycle_max",
     (500, 10_000)),
    ({"plan__orders_max": 5}, "orders_max", (1, 5)),
    ({"risk__decision_orders_max": 6}, "orders_max", (1, 6)),
    ({"universe__spread_max_bps": 90}, "spread_max_bps", (10, 90)),
    ({"risk__spread_max_bps": 85}, "spread_max_bps", (10, 85)),
    ({"universe__size": 7}, "universe_size", (1, 7)),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "name", "bounds"), CAPS)
def test_what_changes_itself_stays_below_the_caps_of_plan_universe_and_risk(
    keys: dict[str, Any], name: str, bounds: tuple[int, int]
) -> None:
    [seat] = chosen_of(configured(strategy__name="adaptive", **keys)).setup.seats

    assert getattr(seat.params.bounds, name) == bounds


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Return a file as `btcbot strategy new` writes it."""
    path = tmp_path / "mine.py"
    path.write_text(template("mine"))
    return path


def test_each_table_of_strategies_is_a_seat_with_its_own_weight_interval_and_params() -> None:
    config = configured(
        strategies__calm__uses="profit_aware", strategies__calm__weight=30,
        strategies__calm__params__profit_bps=50, strategies__quick__uses="mean_reversion",
        strategies__quick__interval_ms=0,
    )  # fmt: skip

    quick, calm = chosen_of(config).setup.seats

    assert (quick.name, quick.uses) == ("quick", "mean_reversion")
    assert (quick.weight, quick.interval_ns) == (100, 0)
    assert (calm.name, calm.weight, calm.params.profit_bps) == ("calm", 30, 50)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"strategies__a__uses": "profit_awar"}, "did you mean 'profit_aware'"),
    ({"strategies__a__uses": "sweep", "strategy__name": "ema_cross"}, "[strategies] too"),
    ({"strategies__A__uses": "profit_aware"}, "is no name"),
    ({"strategies__a__uses": "profit_aware", "strategies__a__weight": -1}, "weight"),
    ({"strategies__a__uses": "profit_aware", "strategies__a__size": 1}, "size"),
    (
        {"strategies__a__uses": "profit_aware", "strategies__a__params__x": 1},
        "strategies.a.params.x = 1",
    ),
    ({"strategies__a__uses": "/nowhere/mine.py"}, "no such file"),
    ({"strategies__a__uses": "mine.py"}, "no absolute path"),
    ({"strategy__name": "portfolio", "strategy__params__weights__BTCTRY": "0.5"}, "add up to"),
    (
        {"strategy__name": "adaptive", "strategy__params__offset_bps": 60},
        "strategy.params.offset_bps = 60: allowed is 0 to 50, which is bounds.offset_bps",
    ),
    (
        {"strategies__a__uses": "adaptive", "strategies__a__params__bounds__orders_max": [9, 1]},
        "strategies.a.params.bounds.orders_max = [9, 1]: expected [lowest, highest]",
    ),
    (
        {"strategy__name": "adaptive", "strategy__params__bounds__offset": [0, 9]},
        "strategy.params.bounds",
    ),
    (
        {"strategy__name": "adaptive", "plan__cycle_max": 4_000},
        "strategy.params.cycle_max = 5000: allowed is up to 4000, which is plan.cycle_max",
    ),
    ({"plan__use_share": "1.5"}, "allowed is 0 to 1"),
    ({"plan__order_max": "-1"}, "allowed is 0 to 1e15"),
]


@pytest.mark.parametrize(("keys", "says"), BAD)
def test_what_cannot_be_chosen_is_refused_with_what_to_change(
    keys: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        configured(**keys)

    assert says in str(refused.value)


def test_a_file_of_ones_own_trades_and_passes_the_check(mine: Path) -> None:
    config = configured(strategy__name=str(mine), strategy__params__order_notional=300)

    chosen = chosen_of(config)

    assert chosen.setup.seats[0].name == "mine"
    assert chosen.setup.seats[0].params.order_notional == Decimal(300)
    result, _ = played(*chosen.setup.seats, hosted=chosen.strategies)
    assert {order["strategy"] for order in result.orders} == {"mine"}
    assert all(found.is_ok for found in findings(chosen, 60))


CHEATS = {
    "reads a clock": ("import time\n", "time.time_ns() // 1000 % 3 == 0"),
    "keeps something outside its state": ("SEEN = []\n", "SEEN.append(1) or len(SEEN) > 400"),
}


@pytest.mark.parametrize("how", CHEATS)
def test_the_check_finds_one_that_cheats(mine: Path, how: str) -> None:
    first, condition = CHEATS[how]
    text = template("mine").replace("from decimal", first + "from decimal", 1)
    mine.write_text(text.replace("if dip >= params.dip_bps:", f"if {condition}:"))
    chosen = chosen_for(configured(), str(mine))

    assert not all(found.is_ok for found in findings(chosen, 60))


def test_the_check_finds_one_that_decides_on_its_first_quote(mine: Path) -> None:
    text = template("mine").replace("dip >= params.dip_bps", "True")
    of = "warm_up_s: Annotated[float, Meta(ge=0, le=86_400)] = "
    mine.write_text(text.replace(f"{of}5.0", f"{of}0.0"))
    found = findings(chosen_for(configured(), str(mine)), 60)

    assert [row.name for row in found if not row.is_ok] == ["warm-up"]


@pytest.mark.parametrize(
    ("text", "says"),
    [("NAME = 'mine'\n", "has no WANTS_DEPTH, Params, start"),
     ("1 / 0\n", "ZeroDivisionError"),
     ("def x(:\n", "SyntaxError")],
)  # fmt: skip
def test_a_file_that_is_no_strategy_is_refused_when_it_is_run_not_when_it_is_read(
    mine: Path, text: str, says: str
) -> None:
    mine.write_text(text)
    config = configured(strategy__name=str(mine))  # What stops the bot must not run the file.

    with pytest.raises(StrategyError, match=says):
        chosen_of(config)
