"""market_data and the risk gate on one bus: what tests of their trust in prices share."""

from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from actors import CODEC, market_data, risk_gate
from btcbot.domain.facts import Opening, TradingStateChanged
from btcbot.domain.feed import (
    BookChange,
    BookSnapshot,
    FeedUp,
    RulesRead,
    TextLevel,
    TickersSeen,
    TradesSeen,
)
from btcbot.domain.ids import Asset, CommandId, IntentId, Pair
from btcbot.domain.instruments import DOCUMENTED, default_fees
from btcbot.domain.messages import (
    ApprovedOrder,
    AssetBalance,
    FeedState,
    OrderIntent,
    RefuseIntent,
)
from btcbot.domain.money import Amount, Price, Quantity
from btcbot.domain.words import FeedStatus, Rule, Side, TradingState
from btcbot.risk.limits import RiskLimits
from bus.clock import ManualClock
from bus.memory import MemoryBus

START_NS = 1_790_000_000_000_000_000
PAIR = Pair("BTCTRY")
RULES = DOCUMENTED[PAIR]


def levels(*rows: tuple[int, str]) -> tuple[TextLevel, ...]:
    return tuple(TextLevel(str(price), amount) for price, amount in rows)


def side(*rows: tuple[int, str]) -> bytes:
    return msgspec.json.encode([{"A": amount, "P": str(price)} for price, amount in rows])


class Market:
    """market_data and the risk gate on one bus; what is asked of the exchange is kept."""

    def __init__(
        self, pairs: tuple[Pair, ...] = (PAIR,), *, is_up: bool = True, **wants: bool
    ) -> None:
        self.clock = ManualClock(START_NS)
        self.bus = MemoryBus(self.clock, CODEC)
        self.asked: list[tuple[int, Struct]] = []
        self.change_set = 100
        self.pair = pairs[0]
        self.bus.start(market_data.actor(pairs, self._note, **wants))
        self.bus.run()
        if is_up:
            self.hear(RulesRead(instruments=tuple(DOCUMENTED.values())), FeedUp(session=1))
            self.hear(TradesSeen(pair=self.pair, trades=(), is_backlog=True))
            self.snapshot()

    def _note(self, effect: Struct) -> None:
        self.asked.append((self.clock.now_ns(), effect))

    def hear(self, *messages: Struct) -> None:
        for message in messages:
            self.bus.deliver("market_data", message)
            self.bus.run()

    def snapshot(self, bid: int = 4_000_000, ask: int = 4_001_000) -> None:
        self.change_set += 100
        self.hear(
            BookSnapshot(
                pair=self.pair,
                change_set=self.change_set,
                bids=side((bid, "0.5"), (bid - 10, "1")),
                asks=side((ask, "0.4"), (ask + 10, "1")),
            )
        )

    def change(self, *, skips: int = 0, **sides: Any) -> None:
        self.change_set += 1 + skips
        both = {"bids": (), "asks": (), **sides}
        self.hear(BookChange(pair=self.pair, change_set=self.change_set, **both))

    def live(self, seconds: float, step_s: float = 0.5) -> None:
        """Let time pass with the pulse of the tickers."""
        for _ in range(round(seconds / step_s)):
            self.bus.advance(step_s)
            self.hear(TickersSeen(rows=()))

    def count(self, kind: type[Struct]) -> int:
        return sum(isinstance(effect, kind) for _, effect in self.asked)

    def feed(self) -> FeedState:
        return [row for row in self.bus.heard(FeedState) if row.pair == self.pair][-1]

    def first(self, status: FeedStatus, after_ns: int) -> float:
        """Return how many seconds after `after_ns` the feed first said `status`."""
        said = (r.at_ns for r in self.bus.heard(FeedState) if r.status is status)
        return (next(at_ns for at_ns in said if at_ns > after_ns) - after_ns) / 1e9


def with_gate(market: Market) -> None:
    market.bus.start(
        risk_gate.actor(RiskLimits(buy_cooldown_ms=0), {PAIR: default_fees(Asset("TRY"))})
    )
    million = Amount(Decimal(1_000_000))
    market.bus.say_fact(
        TradingStateChanged(
            at_ns=1, state=TradingState.LIVE, by="t", reason="t", command_id=CommandId("")
        )
    )
    rows = (AssetBalance(Asset("TRY"), million, million),)
    market.bus.say_fact(Opening(at_ns=2, balances=rows, postings=()))


def wish(market: Market, number: int) -> tuple[type[Struct], Rule | None, str]:
    """Want to buy a little; return what the gate makes of it."""
    now_ns = market.clock.now_ns()
    intent = OrderIntent(
        intent_id=IntentId(f"intent-{number}"), strategy="t", slot=f"t:{number}", pair=PAIR,
        side=Side.BUY, quantity=Quantity(Decimal("0.0001")),
        limit_price=Price(Decimal(3_900_000 + 10 * number)), reason="t", seen_ns=now_ns,
        decided_ns=now_ns, expires_ns=now_ns + 10**9,
    )  # fmt: skip
    market.bus.ask("risk_gate", intent.intent_id, intent)
    market.bus.run()
    verdicts = [m for m in market.bus.log if isinstance(m, ApprovedOrder | RefuseIntent)]
    last = verdicts[-1]
    assert last.intent == intent
    if isinstance(last, RefuseIntent):
        return RefuseIntent, last.rule, last.detail
    return ApprovedOrder, None, ""
