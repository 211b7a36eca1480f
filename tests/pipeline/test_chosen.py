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
