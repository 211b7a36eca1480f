"""A tick of market_data that is thought quiet says and changes what a full one would."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest
from msgspec import Struct

from actors import market_data
from btcbot import backtest
from btcbot.bench.goals import made_quotes, quotes_plan
from btcbot.domain.feed import (
    CandlesRead,
    FeedUp,
    FrameSeen,
    ReadCandles,
    RulesRead,
    SeenCandle,
    TradesSeen,
)
from btcbot.domain.instruments import DOCUMENTED
from btcbot.domain.messages import BookTop, Candle, FeedState, InstrumentRules, Ohlc
from btcbot.domain.money import Price, Quantity
from btcbot.domain.recorded import Quoted
from btcbot.domain.words import FeedStatus
from bus.actor import Actor, PeerBack, Step, Woken
from tests import builders as make
from tests.builders import BTCTRY, ETHTRY, SECOND_NS, START_NS
from tests.hosting import WireBus

PLAN: Final = quotes_plan(has_codec=False)
RULES: Final = RulesRead(instruments=(DOCUMENTED[BTCTRY],))
MINUTE_NS: Final = 60 * SECOND_NS
TICK_S: Final = 0.1  # Between two quotes.


class Witness:
    """Has every tick of market_data done in full as well, on a copy of its state."""

    def __init__(self) -> None:
        self.quiet = self.full = 0

    def of(self, made: Actor[Any]) -> Actor[Any]:
        handle = made.handle

        def witnessed(state: Any, message: Struct, now_ns: int) -> Step[Any]:
            if not (isinstance(message, Woken) and message.name == "tick"):
                return handle(state, message, now_ns)
            if now_ns < state.quiet_until_ns:
                self.quiet += 1
            else:
                self.full += 1
            other = deepcopy(state)
            other.quiet_until_ns = 0
            in_full = handle(other, message, now_ns)
            step = handle(state, message, now_ns)
            assert sorted(map(repr, step.effects)) == sorted(map(repr, in_full.effects))
            other.quiet_until_ns = state.quiet_until_ns
            assert other == state
            return step

        return replace(made, handle=witnessed)


class Witnessed(backtest.Stage):
    def __init__(self, *given: Any, **more: Any) -> None:
        self.witness = Witness()
        super().__init__(*given, **more)

    def actor(self, name: str) -> Actor[Any]:
        made = super().actor(name)
        return self.witness.of(made) if name == "market_data" else made


def later(quotes: list[Quoted], by_ns: int, silence_ns: int = 0) -> Iterator[Quoted]:
    """Yield quotes some time later, and those after the first half after a silence."""
    for number, q in enumerate(quotes):
        at_ns = q.at_ns + by_ns + (silence_ns if number >= len(quotes) // 2 else 0)
        yield Quoted(at_ns, q.bid, q.bid_quantity, q.ask, q.ask_quantity)


@pytest.mark.parametrize("by_ns", [0, 1, 30_000_000, 95_000_000])
@pytest.mark.parametrize("silence_ns", [0, 900_000_000, 2 * SECOND_NS, 4_800_000_000])
def test_ticks_are_as_in_full_through_a_silence_in_a_backtest_of_quotes(
    by_ns: int, silence_ns: int
) -> None:
    quotes = list(made_quotes(1_200))
    stage = Witnessed(PLAN, quotes[0].at_ns)

    stage.play(later(quotes, by_ns, silence_ns))

    assert stage.witness.quiet > 60
    assert stage.witness.full > 20


def test_ticks_are_as_in_full_when_one_of_two_pairs_falls_silent() -> None:
    quotes = list(made_quotes(1_200))
    plan = msgspec.structs.replace(PLAN, others=(DOCUMENTED[ETHTRY],))
    stage = Witnessed(plan, quotes[0].at_ns)

    stage.play_all({PLAN.pair: iter(quotes), ETHTRY: later(quotes[:600], 40_000_000)})

    assert stage.witness.quiet > 30


class Room:
    """market_data with quotes ten times a second, and nothing else unless a test says it."""

    def __init__(self) -> None:
        self.bus, self.witness = WireBus(), Witness()
        self.begun: list[Struct] = []
        self.bus.start(self.witness.of(market_data.actor((BTCTRY,), self.begun.append)))
        self.bus.run()
        self.see(RULES, FeedUp(session=1))
        self.see(TradesSeen(pair=BTCTRY, trades=(), is_backlog=True))
        self.quote(15)
        assert any(isinstance(effect, ReadCandles) for effect in self.begun)
        self.see(CandlesRead(pair=BTCTRY, candles=()))

    def see(self, *messages: Struct) -> None:
        for message in messages:
            self.bus.deliver("market_data", message)

    def quote(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK_S)):
            self.bus.advance(TICK_S)
            self.see(make.quoted(self.bus.now_ns))


@pytest.fixture
def room() -> Room:
    """Return a room that found its quiet."""
    room = Room()
    room.quote(30)
    assert room.witness.quiet > 10
    return room


def test_quotes_that_stop_are_said_to_be_stale_though_no_frame_tells_of_it(room: Room) -> None:
    stopped_ns = room.bus.now_ns

    room.bus.advance(7)

    said = [said for said in room.bus.heard(FeedState) if said.at_ns > stopped_ns]
    assert said[-1].status is FeedStatus.STALE
    first = next(one for one in said if one.status is FeedStatus.STALE)
    assert first.at_ns - stopped_ns <= 5 * SECOND_NS
    marks = [top for top in room.bus.heard(BookTop) if top.confirmed_ns > stopped_ns]
    assert not marks


def test_a_long_day_from_the_charts_is_told_to_its_end_while_quotes_come(room: Room) -> None:
    price = Price(Decimal(2_500_000))
    day = tuple(
        SeenCandle(
            START_NS - n * MINUTE_NS,
            Ohlc(open=price, high=price, low=price, close=price),
            Quantity(Decimal(1)),
        )
        for n in range(400, 0, -1)
    )
    room.see(CandlesRead(pair=BTCTRY, candles=day))

    room.quote(4)

    assert len(room.bus.heard(Candle)) >= len(day)


def test_a_hearer_that_came_up_hears_the_rules_each_second_for_a_while(room: Room) -> None:
    before = len(room.bus.heard(InstrumentRules))
    room.see(PeerBack(source="strategy", epoch=1, pid=7))

    room.quote(6)

    assert len(room.bus.heard(InstrumentRules)) - before >= 5


@pytest.mark.parametrize("wait_s", [0, 1])  # They are asked for again every other second.
def test_rules_that_grow_old_are_trouble_though_quotes_come(room: Room, wait_s: int) -> None:
    room.quote(wait_s)
    room.see(RULES)
    room.quote(620)

    assert [said.status for said in room.bus.heard(FeedState)][-1] is FeedStatus.DOWN


def test_whatever_is_heard_but_quotes_ends_the_quiet_that_was_found(room: Room) -> None:
    state = room.bus.state("market_data")
    assert state.quiet_until_ns > room.bus.now_ns

    room.see(make.quoted(room.bus.now_ns))
    assert state.quiet_until_ns > room.bus.now_ns
    room.see(FrameSeen())
    assert state.quiet_until_ns == 0
