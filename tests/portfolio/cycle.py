"""One whole cycle over a hundred pairs, as a strategy actor would run it once a minute."""

from decimal import Decimal

from msgspec.structs import replace

from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import FEES_TRY, Instrument
from btcbot.domain.messages import BookDepth
from btcbot.domain.words import TradingState
from btcbot.portfolio.account import Account, Book, Line
from btcbot.portfolio.budget import PlanLimits
from btcbot.portfolio.features import FeatureRules, Memory, read, see_candle, see_depth, see_top
from btcbot.portfolio.plan import Cycle, Plan, plan
from btcbot.portfolio.rebalance import RebalanceRules, rebalance
from btcbot.portfolio.selection import Selection, SelectionRules, Sight, refresh
from btcbot.portfolio.targets import equal
from btcbot.portfolio.universe import Candidate
from tests.portfolio.markets import DAY, MINUTE, START, D, candle, depth, instrument, top

NOW = START + DAY
RULES = FeatureRules()
SELECTION = SelectionRules(size=100)
LIMITS = PlanLimits(
    position_max=D(10**6), exposure_max=D(10**8), cycle_max=D(10**7), orders_max=100
)  # fmt: skip


def hundred() -> tuple[list[Instrument], list[Memory]]:
    """Return a hundred pairs that were heard for a day, each at a price of its own."""
    rules = [instrument(f"P{n:02}") for n in range(100)]
    return rules, [_heard(row.pair, 100 + number) for number, row in enumerate(rules)]


def _heard(pair: Pair, price: int) -> Memory:
    memory = Memory(pair)
    for n in range(25 * 60, 0, -1):
        if n > 24 * 60 - 5 or n < 130:  # What the features look at; the rest costs only time here.
            see_candle(memory, RULES, candle(NOW - n * MINUTE, str(price + n % 7)))
    see_top(memory, replace(top(f"{price}.11", f"{price}.19", NOW, "987.6543"), pair=pair))
    book: BookDepth = depth(
        {f"{price}.{n:02}": "123.4567" for n in range(11, 1, -1)},
        {f"{price}.{n:02}": "123.4567" for n in range(19, 29)}, NOW,
    )  # fmt: skip
    see_depth(memory, RULES, replace(book, pair=pair))
    return memory


def whole_cycle(rules: list[Instrument], memories: list[Memory]) -> Plan:
    """Return the plan: features and universe anew, then every pair to its part of the capital."""
    features = [read(memory, RULES, NOW) for memory in memories]
    candidates = tuple(
        Candidate(instrument=row, features=found)
        for row, found in zip(rules, features, strict=True)
    )
    chosen = refresh(SELECTION, Selection(), Sight(candidates=candidates, resting={}), NOW)
    lines = {
        row.pair: Line(
            instrument=row, fees=FEES_TRY, middle=found.middle,
            held=HELD[number % 2], free=HELD[number % 2],
        )
        for number, (row, found) in enumerate(zip(rules, features, strict=True))
    }  # fmt: skip
    account = Account(quote=Asset("TRY"), cash_free=Decimal("1234567.89"), lines=lines)
    weights = equal(chosen.selection.members)
    wishes = rebalance(account, weights, LIMITS, RebalanceRules(band=D(0))).wishes
    books = (Book(strategy="rebalance", held={pair: row.held for pair, row in lines.items()}),)
    return plan(account, books, wishes, LIMITS, Cycle(now_ns=NOW, trading=TradingState.LIVE))


HELD = (D("321.9876"), D("0"))
