"""Tries a strategy on made markets: the same again, cut short, with another future, on another day.

What it decided before a moment must be the same whatever comes after the moment. A strategy that
reads a clock, draws numbers, keeps something outside its state or looks ahead is found by that.
"""

from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from btcbot import backtest
from btcbot.backtest import Plan, Result, Stage
from btcbot.chosen import Chosen
from btcbot.domain.decisions import DecisionRecord
from btcbot.domain.ids import Pair
from btcbot.domain.instruments import DOCUMENTED
from btcbot.domain.messages import BookTop, OrderIntent
from btcbot.domain.money import Price, Quantity
from btcbot.domain.recorded import BookMoved, BookSet, Happening, Traded
from btcbot.pipeline.registry import is_allocator
from btcbot.simulation.defaults import START_PRICES
from btcbot.simulation.market import SyntheticMarket

START_NS: Final = 1_795_000_000_000_000_000
SECOND_NS: Final = 1_000_000_000
STEP_NS: Final = 200_000_000
DAY_NS: Final = 86_400 * SECOND_NS
PAIR: Final = Pair("BTCTRY")
SEED, OTHER_SEED = 1, 2
QUOTES_MIN: Final = 2
CUTS: Final = (3, 5, 8)  # Tenths of the market.

Row = tuple[int, tuple[Any, ...]]
"""When an intent was decided, and all of it that no id and no clock is in."""


class Finding(Struct, frozen=True, kw_only=True):
    """One look at a strategy, and what it showed."""

    name: str
    is_ok: bool
    detail: str


def findings(chosen: Chosen, seconds: int) -> list[Finding]:
    """Return what came of every look at the strategies of `chosen`."""
    whole = _wanted(chosen, market(seconds, SEED))
    if not whole:
        said = f"nothing is wanted within {seconds} s of the made market: nothing is shown"
        return [Finding(name="wants", is_ok=False, detail=said)]
    again = _wanted(chosen, market(seconds, SEED))
    found = [
        Finding(name="wants", is_ok=True, detail=f"{len(whole)} intents within {seconds} s"),
        _compared("the same again", whole, again),
    ]
    for tenths in CUTS:
        until_ns = START_NS + seconds * SECOND_NS * tenths // 10
        before = _until(until_ns, whole)
        cut = _until(until_ns, _wanted(chosen, _cut_short(seconds, until_ns)))
        found.append(_compared(f"cut short at {tenths}0 %", before, cut))
        other = _until(until_ns, _wanted(chosen, _with_other_future(seconds, until_ns)))
        found.append(_compared(f"another future from {tenths}0 % on", before, other))
    later = _wanted(chosen, market(seconds, SEED, START_NS + DAY_NS), DAY_NS)
    found.append(_compared("a day later", whole, later))
    return [*found, _warm_up(chosen, whole, seconds)]


def market(seconds: int, seed: int, start_ns: int = START_NS) -> Iterator[Happening]:
    """Yield what happens on the sandbox's made market, five steps a second."""
    made = SyntheticMarket(DOCUMENTED[PAIR], START_PRICES[PAIR], seed)
    for at_ns in range(start_ns, start_ns + seconds * SECOND_NS, STEP_NS):
        moves = made.step(STEP_NS / SECOND_NS)
        for trade in moves.trades:
            yield Traded(at_ns, trade.side, Price(trade.price), Quantity(trade.quantity))
        yield BookMoved(at_ns, moves.bids, moves.asks)


def _cut_short(seconds: int, until_ns: int) -> Iterator[Happening]:
    return takewhile(lambda event: event.at_ns < until_ns, market(seconds, SEED))


def _with_other_future(seconds: int, from_ns: int) -> Iterator[Happening]:
    """Yield the market up to a moment, and from then on prices of half as much again."""
    yield from _cut_short(seconds, from_ns)
    made = SyntheticMarket(DOCUMENTED[PAIR], START_PRICES[PAIR] * 3 / 2, OTHER_SEED)
    for at_ns in range(from_ns, START_NS + seconds * SECOND_NS, STEP_NS):
        moves = made.step(STEP_NS / SECOND_NS)
        happening = BookSet if at_ns == from_ns else BookMoved
        yield happening(at_ns, moves.bids, moves.asks)


def _until(until_ns: int, rows: list[Row]) -> list[Row]:
    return [row for row in rows if row[0] < until_ns]


def _run(chosen: Chosen, events: Iterable[Happening]) -> tuple[Result, Stage]:
    plan = Plan(
        strategy=chosen.setup.seats[0].name,
        params=chosen.setup.seats[0].params,
        pair=PAIR,
        seats=chosen.setup.seats,
        caps=chosen.setup.limits,
        universe=chosen.setup.universe,
        hosted=chosen.strategies,
    )
    return backtest.run(plan, iter(events), keeps_log=True)


def _wanted(chosen: Chosen, events: Iterable[Happening], shift_ns: int = 0) -> list[Row]:
    """Return each intent with the time of its decision, shifted back."""
    _, stage = _run(chosen, events)
    found = []
    for intent in stage.bus.heard(OrderIntent):
        at_ns = intent.decided_ns - shift_ns
        wish = replace(intent, intent_id="", seen_ns=0, decided_ns=0, expires_ns=0)
        found.append((at_ns, (str(wish), intent.expires_ns - intent.decided_ns)))
    assert not found or stage.bus.heard(DecisionRecord), "an intent without a decision"
    return found


def _compared(name: str, expected: list[Row], found: list[Row]) -> Finding:
    if expected == found:
        return Finding(name=name, is_ok=True, detail=f"{len(found)} intents, all the same")
    for old, new in zip([*expected, None], [*found, None], strict=False):
        if old != new:
            at_ns = min(row[0] for row in (old, new) if row is not None)
            said = f"differs {(at_ns - START_NS) / SECOND_NS:g} s after the start"
            return Finding(name=name, is_ok=False, detail=said)
    said = f"{len(expected)} intents before, {len(found)} now"
    return Finding(name=name, is_ok=False, detail=said)


def _warm_up(chosen: Chosen, whole: list[Row], seconds: int) -> Finding:
    """Tell how much was seen before the first intent; one on the first quotes is a guess.

    The first quote of all comes before the feed is called live: nobody decides on it.
    """
    first_ns = whole[0][0]
    _, stage = _run(chosen, market(seconds, SEED))
    seen = {top.confirmed_ns for top in stage.bus.heard(BookTop) if top.confirmed_ns <= first_ns}
    is_by_clock = any(is_allocator(strategy) for strategy in chosen.strategies)
    said = f"the first intent comes {(first_ns - START_NS) / SECOND_NS:g} s after the start"
    detail = f"{said}, on quote {len(seen)}"
    return Finding(name="warm-up", is_ok=is_by_clock or len(seen) > QUOTES_MIN, detail=detail)
