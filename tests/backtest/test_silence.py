"""Silences of a recording, as candles are made of: what is lived of them, and what is not."""

import dataclasses
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import pytest
from msgspec import Struct
from msgspec.structs import replace

from btcbot import backtest
from btcbot.backtest import LEAD_NS, Plan, Stage
from btcbot.domain.ids import Asset, Pair
from btcbot.domain.money import Price, Quantity
from btcbot.domain.recorded import Quoted
from btcbot.domain.venue import TimeRead
from btcbot.portfolio import by_weights
from btcbot.simulation.venue import Latency
from btcbot.strategies import ema_cross
from bus.actor import Actor, Step, Woken
from tests.builders import START_NS

SECOND_NS: Final = 1_000_000_000
BTC: Final = Pair("BTCTRY")
EVERY_NS: Final = 20 * SECOND_NS
# A strategy that wants nothing of so few quotes.
IDLE: Final = Plan(strategy="ema_cross", params=ema_cross.Params(), pair=BTC)


def sparse(count: int) -> Iterator[Quoted]:
    size = Quantity(Decimal(1))
    for n in range(count):
        bid = Decimal(4_000_000 + 500 * n)
        yield Quoted(START_NS + n * EVERY_NS, Price(bid), size, Price(bid + 10), size)


class Watched(Stage):
    """Notes when market_data ticks, and how long execution waited for the exchange's clock."""

    def __init__(self, plan: Plan) -> None:
        self.ticks_ns: list[int] = []
        self.waited_ns: list[int] = []
        super().__init__(plan, START_NS)

    def actor(self, name: str) -> Actor[Any]:
        made = super().actor(name)

        def handle(state: Any, message: Struct, now_ns: int) -> Step[Any]:
            if name == "market_data" and isinstance(message, Woken) and message.name == "tick":
                self.ticks_ns.append(now_ns)
            if isinstance(message, TimeRead):
                self.waited_ns.append(now_ns - state.waiting["clock"])
            return made.handle(state, message, now_ns)

        return dataclasses.replace(made, handle=handle)


def test_between_two_events_there_is_one_tick_and_it_is_just_before_the_second() -> None:
    stage = Watched(IDLE)
    stage.follow(sparse(30))

    assert stage.ticks_ns == [START_NS + n * EVERY_NS - LEAD_NS for n in range(1, 30)]


@pytest.mark.parametrize("latency_ms", [25, 900])
def test_what_was_asked_of_the_exchange_is_answered_before_time_leaps(latency_ms: int) -> None:
    latency_ns = latency_ms * 1_000_000
    stage = Watched(replace(IDLE, latency=Latency(read_ns=latency_ns)))
    stage.follow(sparse(30))

    assert len(stage.waited_ns) > 10
    assert set(stage.waited_ns) == {2 * latency_ns}


def test_a_silence_that_is_skipped_is_no_machine_that_was_frozen() -> None:
    """A strategy of the clock decides right after a leap, and its orders are sent."""
    asked = Plan(
        strategy="portfolio",
        params=by_weights.Params(weights={BTC: Decimal(1)}, life_s=5, every_s=10),
        pair=BTC,
        balances={Asset("TRY"): Decimal(20_000)},
    )

    result, _ = backtest.run(asked, sparse(60))

    assert len(result.orders) > 2
    assert "clock" not in result.refusals
