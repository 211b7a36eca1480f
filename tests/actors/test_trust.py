"""When a price may be trusted, and that the gate refuses while it may not: silence and gaps."""

from decimal import Decimal
from typing import Any

from btcbot.domain.feed import (
    FeedDown,
    FeedUp,
    FrameSeen,
    Join,
    JoinTickers,
    JoinTrades,
    SeenTicker,
    TickersSeen,
)
from btcbot.domain.messages import (
    ApprovedOrder,
    BookTop,
    FeedState,
    RefuseIntent,
)
from btcbot.domain.money import Price
from btcbot.domain.words import FeedStatus, Rule
from bus.actor import Health
from tests.trusting import PAIR, START_NS, Market, levels, wish, with_gate

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


def test_a_ticker_that_never_agrees_costs_a_book_ever_less() -> None:
    market = Market()
    joins = market.count(Join)
    for _ in range(600):
        market.bus.advance(0.5)
        market.hear(tick(4_000_500, 4_001_000))
        if market.feed().status is FeedStatus.STALE:
            market.snapshot()

    assert 8 <= market.count(Join) - joins <= 14  # In five minutes.


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
