"""Nothing that a backtest does before a moment depends on what comes after it."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import takewhile
from typing import Any, Final

import pytest
from msgspec import Struct
from msgspec.structs import replace

from btcbot import backtest
from btcbot.backtest import Plan, Result
from btcbot.domain.messages import BookTop
from btcbot.domain.money import Quantity
from btcbot.domain.recorded import BookMoved, BookSet, Happening
from btcbot.domain.words import Side
from btcbot.sim.setup import LOOSE, WIDE
from btcbot.strategies import ema_cross, profit_aware
from btcbot.strategies.contract import NO_WANTS, MarketView, Want
from tests import stages
from tests.builders import BTCTRY, START_NS

SECOND: Final = 10**9
SECONDS: Final = 120
CUT_NS: Final = START_NS + 70 * SECOND
PLANS: Final = {
    "profit_aware": Plan(strategy="profit_aware", params=profit_aware.DEMO, pair=BTCTRY),
    "ema_cross": Plan(
        strategy="ema_cross",
        params=ema_cross.Params(fast=5, slow=15, quantity=Decimal("0.001")),
        pair=BTCTRY,
        limits=LOOSE,
        caps=WIDE,
        interval_ns=0,
    ),
}


def market() -> list[Happening]:
    return list(stages.market(SECONDS))


def cut_short() -> list[Happening]:
    return list(takewhile(lambda event: event.at_ns < CUT_NS, market()))


def with_another_future() -> list[Happening]:
    """Return the market up to the cut, and from then on another one at half as much again."""
    found = cut_short()
    for event in stages.market(SECONDS, seed=2):
        if event.at_ns >= CUT_NS and isinstance(event, BookMoved):
            bids, asks = (tuple((price * 3 / 2 // 10 * 10, size) for price, size in levels)
                          for levels in (event.bids, event.asks))  # fmt: skip
            is_first = not any(isinstance(one, BookSet) for one in found)
            found.append((BookSet if is_first else BookMoved)(event.at_ns, bids, asks))
    return found


def played(plan: Plan, events: list[Happening]) -> Result:
    result, _ = backtest.run(plan, iter(events))
    return result


def past_of(result: Result) -> tuple[list[Any], ...]:
    """Return what was decided, executed and worth before the cut; ends of orders may be later."""
    orders = [
        {name: row[name] for name in ("decided_ns", "side", "quantity", "limit_price")}
        for row in result.orders
        if row["decided_ns"] < CUT_NS
    ]
    fills = [row for row in result.fills if row["ts_ns"] < CUT_NS]
    equity = [point for point in result.equity if point.at_ns < CUT_NS]
    minutes = [
        (pair, row)
        for pair, rows in result.minutes.items()
        for row in rows
        if row.open_ns + 60 * SECOND <= CUT_NS
    ]
    return orders, fills, equity, minutes


@pytest.mark.parametrize("name", PLANS)
def test_the_past_stays_the_same_when_the_future_is_cut_off_or_another(name: str) -> None:
    whole = past_of(played(PLANS[name], market()))

    assert all(whole[:3]), "the market must make it trade before the cut"
    assert past_of(played(PLANS[name], cut_short())) == whole
    assert past_of(played(PLANS[name], with_another_future())) == whole


class NoParams(Struct, frozen=True):
    pass


class Peeking:
    """Knows the recording, and buys whenever the best bid is higher fifteen seconds later."""

    NAME, Params = "peeking", NoParams
    WANTS_DEPTH = DECIDES_ON_FILLS = False

    def __init__(self, events: list[Happening]) -> None:
        self.bids = dict(self._bids(events))

    @staticmethod
    def _bids(events: list[Happening]) -> Iterator[tuple[int, Decimal]]:
        for event in events:
            if isinstance(event, BookMoved | BookSet) and event.bids:
                yield event.at_ns // SECOND, max(price for price, _ in event.bids)

    @staticmethod
    def start(_params: Any) -> int:
        return 0

    def decide(
        self, seen: int, _params: Any, view: MarketView, top: BookTop, now_ns: int
    ) -> tuple[int, tuple[Want, ...]]:
        later = self.bids.get(now_ns // SECOND + 15)
        if seen < 10 or later is None or later <= top.bid:
            return seen + 1, NO_WANTS
        want = Want(
            pair=top.pair,
            side=Side.BUY,
            quantity=Quantity(Decimal("0.0001")),
            limit_price=view.rules[top.pair].price_up(top.ask),
            reason="it will rise",
            life_ns=2 * SECOND,
        )
        return seen + 1, (want,)


def test_a_strategy_that_peeks_is_caught() -> None:
    plan = replace(PLANS["ema_cross"], strategy="peeking", params=NoParams())
    whole, other, short = (
        past_of(played(replace(plan, hosted=(Peeking(events),)), events))
        for events in (market(), with_another_future(), cut_short())
    )

    assert whole[0], "it must trade before the cut"
    assert other != whole
    assert short != whole
