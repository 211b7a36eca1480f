"""What a whole decision costs: a hundred pairs by the clock, a hundred intents."""

from decimal import Decimal
from statistics import median
from time import process_time
from typing import Any

from msgspec import Struct

from actors import strategy
from btcbot.domain.instruments import FEES_TRY
from btcbot.domain.messages import InstrumentRules, OrderIntent
from btcbot.pipeline.seats import SeatSetup, Setup
from btcbot.portfolio import by_weights
from btcbot.portfolio.budget import PlanLimits
from btcbot.portfolio.universe import UniverseRules
from bus.actor import Actor, Ask, CaughtUp, PeerBack, Woken
from tests import builders as make
from tests.builders import SECOND_NS, START_NS
from tests.cost import calculation_s
from tests.portfolio.markets import instrument

WIDE = PlanLimits(
    position_max=Decimal(10**6), exposure_max=Decimal(10**8), cycle_max=Decimal(10**7),
    order_max=Decimal(10**5), orders_max=100,
)  # fmt: skip
# 5 ms of CPU time on the machine that the goal was stated for, where the yardstick takes 0.37 us.
P99_MAX = 5_000 / 0.37
ROUNDS = 7  # What else a machine does costs CPU time too, in caches: the calmest round counts.


def hundred() -> Actor[Any]:
    """Return an actor that knows a hundred pairs, and is about to buy all of them."""
    rows = tuple(instrument(f"P{n:02}") for n in range(100))
    params = by_weights.Params(band=Decimal(0), every_s=1)
    seat = SeatSetup(name="portfolio", uses="portfolio", params=params)
    setup = Setup(seats=(seat,), limits=WIDE, universe=UniverseRules(size=100))
    actor = strategy.actor(setup, {row.pair: FEES_TRY for row in rows})
    heard: list[Struct] = [
        *(PeerBack(source=p, epoch=1, pid=1) for p in ("market_data", "risk_gate", "execution")),
        CaughtUp(head=1),
        make.trading(),
        make.balances(TRY=1_000_000),
        InstrumentRules(instruments=rows, at_ns=START_NS),
        *(make.feed_state(pair=row.pair) for row in rows),
        *(make.book_top(pair=row.pair, bid="99.99", ask="100.01") for row in rows),
    ]
    for message in heard:
        actor.handle(actor.state, message, START_NS)
    return actor


def p99() -> float:
    """Return how many calculations 99 of 100 decisions stay under, both taken in turn."""
    taken, calculations, actor = [], [], hundred()
    for number in range(100):
        calculations.append(calculation_s())
        now_ns = START_NS + (number + 1) * SECOND_NS
        before = process_time()
        step = actor.handle(actor.state, Woken(name="tick", due_ns=now_ns), now_ns)
        taken.append(process_time() - before)
        intents = [e.message for e in step.effects if isinstance(e, Ask)]
        assert len(intents) == 100
        for intent in intents:
            assert isinstance(intent, OrderIntent)
            actor.handle(actor.state, make.not_sent(intent), now_ns)
    return sorted(taken)[98] / median(calculations)


def test_a_decision_over_a_hundred_pairs_takes_less_than_five_milliseconds_in_99_of_100() -> None:
    found: list[float] = []
    while len(found) < ROUNDS and (not found or min(found) >= P99_MAX):
        found.append(p99())
    assert min(found) < P99_MAX, f"{min(found):.0f} calculations in the calmest of {ROUNDS} rounds"
