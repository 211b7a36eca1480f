"""The backtest against a naive one that somebody else might have written: the same to the unit."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec import Struct

from btcbot import backtest
from btcbot.backtest import Plan, Result
from btcbot.cli.sources import source_of_files
from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import DOCUMENTED
from btcbot.domain.messages import BookTop
from btcbot.domain.money import Quantity
from btcbot.domain.recorded import Happening
from btcbot.domain.words import Side
from btcbot.sim.setup import LOOSE, WIDE
from btcbot.simulation.defaults import START_PRICES
from btcbot.simulation.recording import open_recording
from btcbot.strategies import ema_cross
from btcbot.strategies.contract import NO_WANTS, MarketView, Want
from tests import stages
from tests.backtest.naive import BuyAndHold, EmaCross, Fill, Naive, over_candles, over_depth
from tests.backtest.tapes import candle_rows, l2_recording, recorded, write

PAIR, TRY, BTC = Pair("BTCTRY"), Asset("TRY"), Asset("BTC")
RULES = DOCUMENTED[PAIR]
CASH: Final = Decimal(50_000_000)
WHEN: Final = 30


class HoldParams(Struct, frozen=True, kw_only=True):
    quantity: Decimal


class Hold:
    """Buys once and holds: a strategy as the actor hosts it."""

    NAME, Params = "hold", HoldParams
    WANTS_DEPTH = DECIDES_ON_FILLS = False

    @staticmethod
    def start(_params: Any) -> int:
        return 0

    @staticmethod
    def decide(
        seen: int, params: Any, view: MarketView, top: BookTop, _now_ns: int
    ) -> tuple[int, tuple[Want, ...]]:
        if seen + 1 != WHEN:
            return seen + 1, NO_WANTS
        want = Want(
            pair=top.pair,
            side=Side.BUY,
            quantity=Quantity(params.quantity),
            limit_price=view.rules[top.pair].price_up(top.ask * Decimal("1.002")),
            reason="to hold",
            life_ns=10 * 10**9,
        )
        return seen + 1, (want,)


def played(name: str, params: Struct, events: Iterator[Happening]) -> Result:
    plan = Plan(
        strategy=name,
        params=params,
        pair=PAIR,
        limits=LOOSE,
        caps=WIDE,
        interval_ns=0,
        balances={TRY: CASH},
        hosted=(Hold,) if name == Hold.NAME else (),
    )
    result, _ = backtest.run(plan, events)
    return result


def assert_same(result: Result, naive: Naive) -> None:
    found = [
        Fill(
            row["ts_ns"],
            row["side"],
            *(Decimal(row[name]) for name in ("price", "quantity", "fee", "tax")),
        )
        for row in result.fills
    ]
    assert found == naive.fills
    assert found, "the market must make it trade"
    assert not result.refusals
    assert result.balances[TRY] == naive.cash
    assert result.balances[BTC] == naive.units


Case = tuple[str, Struct, Naive]


def held(quantity: str) -> Case:
    size = Decimal(quantity)
    return "hold", HoldParams(quantity=size), Naive(BuyAndHold(WHEN), size, CASH)


def crossed(fast: int, slow: int, quantity: str) -> Case:
    size = Decimal(quantity)
    params = ema_cross.Params(fast=fast, slow=slow, quantity=size)
    return "ema_cross", params, Naive(EmaCross(fast, slow), size, CASH)


@pytest.mark.parametrize("case", [held("0.05"), crossed(8, 30, "0.01")], ids=["hold", "cross"])
def test_over_made_depth_every_fill_and_the_money_are_those_of_a_naive_backtest(case: Case) -> None:
    name, params, naive = case

    result = played(name, params, stages.market(300))

    assert_same(result, over_depth(naive, stages.market(300)))


@pytest.mark.parametrize(
    ("case", "files"),
    [(held("1"), 1), (crossed(60, 200, "0.02"), 2)],
    ids=["hold", "cross"],
)
def test_over_the_full_depth_recording_it_is_the_same(case: Case, files: int) -> None:
    name, params, naive = case

    def events() -> Iterator[Happening]:
        return open_recording(source_of_files(l2_recording()[:files]), RULES).events

    result = played(name, params, events())

    assert_same(result, over_depth(naive, events()))


def assert_same_over_candles(case: Case, tape: Path) -> Result:
    """Play candles both ways; their first price becomes a usual one if it is a foreign market's."""
    name, params, naive = case
    recording = open_recording(source_of_files([tape]), RULES)
    start = None if recording.factor == 1 else START_PRICES[PAIR]

    result = played(name, params, recording.events)

    lives = {row["decided_ns"]: row["closed_ns"] for row in result.orders}
    assert_same(result, over_candles(naive, tape, lives, start))
    return result


@pytest.mark.parametrize("case", [held("0.5"), crossed(40, 160, "0.01")], ids=["hold", "cross"])
def test_over_made_candles_it_is_the_same(tmp_path: Path, case: Case) -> None:
    assert_same_over_candles(case, write(tmp_path / "candles.csv", candle_rows(300)))


@pytest.mark.parametrize(
    "case", [held("0.005"), crossed(200, 1_000, "0.0001")], ids=["hold", "cross"]
)
def test_over_a_day_of_recorded_candles_it_is_the_same(case: Case) -> None:
    [tape] = recorded("candles_1m/bitstamp_btcusd_1m_20200101.csv")

    assert_same_over_candles(case, tape)
