"""The actors of a backtest over a made market: what pipelines, lives and replays are tried on."""

from collections.abc import Iterator
from typing import Final

from btcbot.backtest import Plan, Stage
from btcbot.domain.instruments import DOCUMENTED
from btcbot.domain.money import Price, Quantity
from btcbot.simulation.defaults import START_PRICES
from btcbot.simulation.events import BookMoved, Happening, Traded
from btcbot.simulation.market import SyntheticMarket
from btcbot.strategies.profit_aware import DEMO
from bus.memory import Faults
from tests.builders import BTCTRY, START_NS

STEP_NS: Final = 200_000_000
# The sandbox's lively preset: some ten orders a minute on the sandbox's own market.
PLAN: Final = Plan(strategy="profit_aware", params=DEMO, pair=BTCTRY, has_codec=True)


def market(seconds: int, seed: int = 1) -> Iterator[Happening]:
    """Yield what happens on the sandbox's made market, five steps a second."""
    made = SyntheticMarket(DOCUMENTED[BTCTRY], START_PRICES[BTCTRY], seed)
    for at_ns in range(START_NS, START_NS + seconds * 1_000_000_000, STEP_NS):
        moves = made.step(STEP_NS / 1e9)
        for trade in moves.trades:
            yield Traded(at_ns, trade.side, Price(trade.price), Quantity(trade.quantity))
        yield BookMoved(at_ns, moves.bids, moves.asks)


def stage(*, faults: Faults | None = None, has_codec: bool = True) -> Stage:
    """Return a stage that keeps what is said."""
    plan = Plan(strategy=PLAN.strategy, params=DEMO, pair=BTCTRY, has_codec=has_codec)
    return Stage(plan, START_NS, keeps_log=True, faults=faults)
