"""market_data and the gate: when a price may be trusted, and what is done while it may not."""

from collections import Counter
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from actors import CODEC, market_data, risk_gate
from btcbot.domain.facts import Balances, TradingStateChanged
from btcbot.domain.feed import (
    BookChange,
    BookRead,
    BookSnapshot,
    FeedDown,
    FeedUp,
    FrameSeen,
    Join,
    JoinTickers,
    JoinTrades,
    ReadBook,
    ReadRules,
    RulesRead,
    SeenTicker,
    SeenTrade,
    TextLevel,
    TickersSeen,
    TradesSeen,
)
from btcbot.domain.ids import Asset, CommandId, IntentId, Pair
from btcbot.domain.instruments import DOCUMENTED, default_fees
from btcbot.domain.messages import (
    ApprovedOrder,
    AssetBalance,
    BookDepth,
    BookTop,
    FeedState,
    InstrumentRules,
    OrderIntent,
    RefuseIntent,
    Trade,
)
from btcbot.domain.money import Amount, Price, Quantity
from btcbot.domain.words import FeedStatus, Rule, Side, TradingState
from btcbot.risk.limits import RiskLimits
from bus.actor import Health
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
        self, pairs: tuple[Pair, ...] = (PAIR,), *, has_depth: bool = False, is_up: bool = True
    ) -> None:
        self.clock = ManualClock(START_NS)
        self.bus = MemoryBus(self.clock, CODEC)
        self.asked: list[tuple[int, Struct]] = []
        self.change_set = 100
        self.pair = pairs[0]
        self.bus.start(market_data.actor(pairs, self._note, has_depth=has_depth))
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
    market.bus.start(risk_gate.actor(RiskLimits(), {PAIR: default_fees(Asset("TRY"))}))
    million = Amount(Decimal(1_000_000))
    market.bus.say_fact(
        TradingStateChanged(
            at_ns=1, state=TradingState.LIVE, by="t", reason="t", command_id=CommandId("")
        )
    )
    market.bus.say_fact(Balances(at_ns=2, balances=(AssetBalance(Asset("TRY"), million, million),)))


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


# --- silence ----------------------------------------------------------------------------------


def test_a_feed_that_is_connected_but_silent_is_stale_within_five_seconds_and_refused() -> None:
    market = Market()
    with_gate(market)
    market.live(3)
    assert wish(market, 1)[0] is ApprovedOrder
    silent_ns = market.clock.now_ns()

    market.bus.advance(2.5)
    assert wish(market, 2)[:2] == (RefuseIntent, Rule.STALE_BOOK)  # Already too old to act on.
    market.bus.advance(2.5)

    assert 2 < market.first(FeedStatus.STALE, silent_ns) <= 5
    assert "no data for" in market.feed().reason
    assert wish(market, 3) == (RefuseIntent, Rule.STALE_BOOK, "BTCTRY: feed is STALE")
    assert market.bus.health("market_data") is Health.DEGRADED

    market.live(2)  # Any data frame of the session confirms a book without a gap.
    assert market.feed().status is FeedStatus.LIVE
    assert wish(market, 4)[0] is ApprovedOrder


def test_an_unchanged_price_is_never_stale_while_the_session_lives() -> None:
    market = Market()
    market.live(60)

    assert {row.status for row in market.bus.heard(FeedState)[3:]} == {FeedStatus.LIVE}
    assert market.bus.heard(BookTop)[-1].changed_ns == START_NS
    assert market.clock.now_ns() - market.bus.heard(BookTop)[-1].confirmed_ns <= 1.5e9


def test_answers_to_joins_confirm_nothing() -> None:
    market = Market()
    market.live(2)
    for _ in range(6):  # Acknowledgements never reach the actor: only timers do.
        market.bus.advance(1)

    assert market.feed().status is FeedStatus.STALE


def test_a_lost_session_is_down_at_once_and_the_next_one_needs_a_snapshot() -> None:
    market = Market()
    market.live(2)
    market.hear(FeedDown(reason="ConnectionClosed"))
    assert (market.feed().status, market.feed().reason) == (FeedStatus.DOWN, "ConnectionClosed")

    market.hear(FeedUp(session=2))
    market.live(0.5)
    assert market.feed().status is FeedStatus.STALE
    assert market.feed().reason == "waiting for a snapshot"
    market.snapshot()
    market.live(1)
    assert market.feed().status is FeedStatus.LIVE


def test_tickers_that_stop_while_other_data_comes_are_joined_again() -> None:
    market = Market()
    for _ in range(20):
        market.bus.advance(0.5)
        market.hear(FrameSeen())

    assert market.feed().status is FeedStatus.LIVE
    assert market.count(JoinTickers) == 1


# --- gaps -------------------------------------------------------------------------------------


def test_a_gap_makes_the_price_stale_until_a_snapshot_heals_it_and_asks_for_one_at_a_time() -> None:
    market = Market()
    with_gate(market)
    market.live(3)
    joins = market.count(Join)

    market.change(skips=1)
    assert market.feed().status is FeedStatus.STALE  # At once, not with the next tick.
    for _ in range(5):
        market.change(bids=levels((4_000_100, "1")))
    market.bus.advance(1)

    assert market.count(Join) == joins + 1
    assert market.feed().status is FeedStatus.STALE
    assert market.feed().reason == "book gap"
    assert wish(market, 1)[:2] == (RefuseIntent, Rule.STALE_BOOK)

    market.snapshot(bid=4_000_200)
    assert market.feed().status is FeedStatus.LIVE
    market.live(1)
    assert market.bus.heard(BookTop)[-1].bid == 4_000_200
    assert market.count(Join) == joins + 1


def test_a_second_gap_right_after_a_snapshot_is_healed_as_fast() -> None:
    market = Market()
    market.live(3)
    market.change(skips=1)
    market.snapshot()
    joins, at_ns = market.count(Join), market.clock.now_ns()
    market.bus.advance(0.1)

    market.change(skips=1)
    market.live(1)

    assert market.count(Join) == joins + 1
    asked_ns = [ns for ns, effect in market.asked if isinstance(effect, Join)][-1]
    assert asked_ns - at_ns <= 600_000_000


def test_a_join_that_brings_no_snapshot_is_repeated_and_ever_more_rarely() -> None:
    market = Market()
    market.live(3)
    begin_ns = market.clock.now_ns()
    market.change(skips=1)

    market.live(100)

    waits = [(ns - begin_ns) / 1e9 for ns, e in market.asked if isinstance(e, Join)][1:]
    assert waits[:4] == [0, 1.5, 4.5, 10.5]
    assert len(waits) < 9


def test_a_crossed_book_and_an_absent_level_are_gaps_too() -> None:
    changes: tuple[dict[str, Any], ...] = (
        {"bids": levels((4_002_000, "1"))},
        {"asks": levels((4_000_500, "0"))},
    )
    for change in changes:
        market = Market()
        market.live(3)
        joins = market.count(Join)
        market.change(**change)
        market.live(1)

        assert market.count(Join) == joins + 1
        assert market.feed().status is FeedStatus.STALE
        assert market.bus.heard(BookTop)[-1].bid == 4_000_000


def test_a_book_that_lost_a_side_has_no_price_that_is_confirmed() -> None:
    market = Market()
    market.live(3)
    market.change(asks=levels((4_001_000, "0"), (4_001_010, "0")))
    said = len(market.bus.heard(BookTop))
    market.live(3)

    assert len(market.bus.heard(BookTop)) == said
    assert market.feed().status is FeedStatus.STALE
    assert "side" in market.feed().reason


# --- second opinions --------------------------------------------------------------------------


def tick(bid: int, ask: int, volume: int = 5) -> TickersSeen:
    row = SeenTicker(
        PAIR, Price(Decimal(bid)), Price(Decimal(ask)), Price(Decimal(bid)), Decimal(volume)
    )
    return TickersSeen(rows=(row,))


def test_a_book_that_differs_from_the_tickers_for_long_is_void() -> None:
    market = Market()
    for _ in range(20):
        market.bus.advance(0.5)
        market.hear(tick(4_000_000, 4_001_000))
    joins = market.count(Join)
    for _ in range(9):
        market.bus.advance(0.5)
        market.hear(tick(4_000_500, 4_001_000))
    assert market.count(Join) == joins  # A batch or two of difference is nothing.

    for _ in range(3):
        market.bus.advance(0.5)
        market.hear(tick(4_000_500, 4_001_000))

    assert market.count(Join) == joins + 1
    assert "ticker" in market.feed().reason or market.feed().status is FeedStatus.STALE


def test_a_ticker_one_batch_behind_the_book_agrees_with_it() -> None:
    market = Market()
    joins = market.count(Join)
    for n in range(40):
        market.bus.advance(0.5)
        market.change(bids=levels((4_000_001 + n, "1")))
        market.hear(tick(4_000_000 + n, 4_001_000))

    assert market.count(Join) == joins


def test_trades_the_tickers_know_and_we_do_not_bring_a_new_join_of_trades() -> None:
    market = Market()
    for n in range(24):
        market.bus.advance(0.5)
        market.hear(tick(4_000_000, 4_001_000, volume=5 + (n > 8)))

    assert market.count(JoinTrades) == 1


# --- bursts -----------------------------------------------------------------------------------


def test_in_a_burst_only_the_newest_top_is_said_and_every_trade() -> None:
    market = Market()
    market.live(3)
    before = len(market.bus.heard(BookTop))
    for n in range(200):
        market.change(bids=levels((4_000_001 + n, "1"), (4_000_000 + n, "0")))
        row = SeenTrade(n + 1, Side.BUY, Price(Decimal(1)), Quantity(Decimal(1)), START_NS)
        market.hear(TradesSeen(pair=PAIR, trades=(row,), is_backlog=False))
    market.bus.advance(0.06)

    said = market.bus.heard(BookTop)[before:]
    assert said[-1].bid == 4_000_200
    assert len(said) <= 4
    assert [row.trade_id for row in market.bus.heard(Trade)] == list(range(1, 201))


# --- over REST --------------------------------------------------------------------------------


def test_a_book_over_rest_says_that_it_is_a_fallback_and_gives_way_to_the_socket() -> None:
    market = Market()
    market.live(3)
    market.change(skips=1)
    market.live(3)
    assert market.count(ReadBook) > 0

    read = BookRead(
        pair=PAIR, event_ns=5, bids=levels((3_999_000, "1")), asks=levels((4_000_000, "1"))
    )
    market.hear(read)
    market.live(1)
    assert market.feed().status is FeedStatus.FALLBACK
    assert market.feed().reason == "book gap"
    assert market.bus.heard(BookTop)[-1].bid == 3_999_000

    market.hear(replace(read, event_ns=4, bids=levels((3_998_000, "1"))))  # Older: not taken.
    market.live(1)
    assert market.bus.heard(BookTop)[-1].bid == 3_999_000

    market.snapshot()
    market.live(1)
    assert market.feed().status is FeedStatus.LIVE


def test_twenty_void_pairs_are_read_in_turn_inside_the_rate_budget() -> None:
    pairs = tuple(Pair(f"A{n:02d}TRY") for n in range(20))
    market = Market(pairs, is_up=False)
    rules = tuple(replace(RULES, pair=pair) for pair in pairs)
    market.hear(RulesRead(instruments=rules))

    market.bus.advance(60)

    reads = Counter(e.pair for _, e in market.asked if isinstance(e, ReadBook))
    assert sum(reads.values()) <= 108  # 60 % of what is documented.
    assert set(reads) == set(pairs)
    assert max(reads.values()) - min(reads.values()) <= 1


# --- rules ------------------------------------------------------------------------------------


def test_a_pair_that_does_not_exist_is_down_with_a_suggestion_and_the_others_trade() -> None:
    market = Market((PAIR, Pair("ETHTYR")))
    market.live(2)

    [state] = [row for row in market.bus.heard(FeedState) if row.pair == "ETHTYR"][-1:]
    assert state.status is FeedStatus.DOWN
    assert "no pair ETHTYR; did you mean ETHTRY" in state.reason
    assert market.feed().status is FeedStatus.LIVE


def test_a_pair_that_is_halted_or_vanishes_keeps_its_rules_and_gets_no_new_order() -> None:
    for left in ((replace(RULES, is_trading=False),), ()):
        market = Market()
        with_gate(market)
        market.live(2)
        assert wish(market, 1)[0] is ApprovedOrder

        market.hear(RulesRead(instruments=(DOCUMENTED[Pair("ETHTRY")], *left)))
        market.live(1)

        [rules] = market.bus.heard(InstrumentRules)[-1].instruments
        assert rules == replace(RULES, is_trading=False)
        assert wish(market, 2)[:2] == (RefuseIntent, Rule.PAIR_NOT_TRADING)


def test_a_price_outside_the_exchanges_bounds_is_refused() -> None:
    market = Market()
    with_gate(market)
    market.live(2)
    bounds = replace(RULES, price_min=Price(Decimal(100)), price_max=Price(Decimal(3_900_000)))
    market.hear(RulesRead(instruments=(bounds,)))
    assert wish(market, 0)[0] is ApprovedOrder

    kind, rule, detail = wish(market, 1)

    assert (kind, rule) == (RefuseIntent, Rule.PRICE_BOUNDS)
    assert detail == "3900010 TRY; allowed 100 to 3900000"


def test_rules_are_read_each_minute_and_too_old_ones_are_no_rules() -> None:
    market = Market()
    market.live(110, step_s=1)
    assert 2 <= market.count(ReadRules) <= 4
    market.live(480, step_s=1)
    assert market.count(ReadRules) > 200  # Unanswered: asked for again every other second.
    assert market.feed().status is FeedStatus.LIVE

    market.live(15, step_s=1)
    said = market.feed()
    assert said.status is FeedStatus.DOWN
    assert "its rules are" in said.reason
    market.hear(RulesRead(instruments=(RULES,)))
    market.live(2)
    assert market.feed().status is FeedStatus.LIVE


# --- depth ------------------------------------------------------------------------------------


def test_depth_is_said_once_a_second_ten_levels_a_side_and_only_if_wanted() -> None:
    plain, wanted = Market(), Market(has_depth=True)
    for market in (plain, wanted):
        for n in range(20):
            bids = levels(*((4_000_000 - n * 100 - k, "1") for k in range(1, 8)))
            market.change(bids=bids)
            market.bus.advance(0.25)

    assert plain.bus.heard(BookDepth) == []
    said = wanted.bus.heard(BookDepth)
    assert 4 <= len(said) <= 5
    assert len(said[-1].bids) == 10
    assert said[-1].bids[0].price == 4_000_000
    assert sorted(said[-1].bids, key=lambda row: -row.price) == list(said[-1].bids)
    gaps = [b.confirmed_ns - a.confirmed_ns for a, b in pairwise(said)]
    assert min(gaps) > 700_000_000
