"""What is known of a market: folded once, bounded, and None where it would be a guess."""

from decimal import Decimal
from itertools import pairwise
from random import Random
from statistics import pstdev

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from btcbot.domain.ids import Pair
from btcbot.domain.messages import Candle
from btcbot.domain.words import CandleSource
from btcbot.portfolio.features import (
    FeatureRules,
    Features,
    Memory,
    read,
    see_candle,
    see_depth,
    see_top,
)
from btcbot.portfolio.history import BUCKET_NS, SLOTS, History
from btcbot.portfolio.reasons import Missing
from tests.portfolio.markets import DAY, HOUR, MINUTE, START, D, candle, depth, top

RULES = FeatureRules()
NOW = START + DAY


def remembered(minutes: list[Candle], rules: FeatureRules = RULES) -> Memory:
    memory = Memory(Pair("ATRY"))
    for minute in minutes:
        see_candle(memory, rules, minute)
    return memory


def a_day(until_ns: int = NOW, hours: int = 25) -> list[Candle]:
    """Return whole minutes that end at `until_ns`, all at 100."""
    return [candle(until_ns - n * MINUTE) for n in range(hours * 60, 0, -1)]


def seen(memory: Memory, now_ns: int = NOW, **quote: str) -> Features:
    see_top(memory, top(at_ns=now_ns, **quote))
    return read(memory, RULES, now_ns)


def _known(found: Features) -> list[str]:
    fields = ("quoted_ns", "middle", "spread_bps", "depth", "momentum", "volatility", "turnover")
    return [name for name in fields if getattr(found, name) is not None]


def test_says_what_it_lacks_before_anything_was_heard() -> None:
    found = read(Memory(Pair("ATRY")), RULES, NOW)
    assert found.missing == (
        Missing.QUOTE, Missing.MOMENTUM, Missing.VOLATILITY, Missing.TURNOVER,
    )  # fmt: skip
    assert not _known(found)


def test_a_day_of_minutes_and_a_fresh_book_leave_nothing_missing() -> None:
    memory = remembered(a_day())
    see_depth(memory, RULES, depth({"99.95": "10"}, {"100.05": "10"}, NOW))
    found = seen(memory)
    assert found.missing == ()
    assert found.turnover == 100 * 60 * 24
    assert found.volatility == 0
    assert found.momentum == 0


def test_spread_is_in_bps_of_the_middle() -> None:
    found = seen(Memory(Pair("ATRY")), bid="99", ask="101")
    assert found.middle == 100
    assert found.spread_bps == 200


def test_an_old_quote_gives_no_price_no_spread_and_no_depth() -> None:
    memory = remembered(a_day())
    see_top(memory, top(at_ns=NOW - 20_000_000_000))
    assert read(memory, RULES, NOW).middle == 100
    found = read(memory, RULES, NOW + 1)
    assert Missing.STALE_QUOTE in found.missing
    assert _known(found) == ["quoted_ns", "volatility", "turnover"]
    assert found.quoted_ns == NOW - 20_000_000_000


def test_an_older_confirmation_does_not_replace_a_newer_one() -> None:
    memory = Memory(Pair("ATRY"))
    see_top(memory, top(at_ns=NOW))
    see_top(memory, top(bid="1", ask="2", at_ns=NOW - 1))
    see_depth(memory, RULES, depth({"99.95": "10"}, {"100.05": "10"}, NOW))
    see_depth(memory, RULES, depth({}, {}, NOW - 1))
    found = read(memory, RULES, NOW)
    assert found.middle == 100
    assert found.depth == D("999.5")


def test_depth_is_the_thinner_side_within_reach_of_the_middle() -> None:
    memory = Memory(Pair("ATRY"))
    # 50 bps of 100 reach from 99.50 to 100.50, both included.
    bids = {"99.95": "1", "99.50": "2", "99.49": "1000"}
    see_depth(memory, RULES, depth(bids, {"100.05": "9", "100.51": "1000"}, NOW))
    assert seen(memory).depth == D("99.95") + 2 * D("99.50")


def test_ten_levels_count_up_to_the_age_of_a_quote_and_to_the_end_of_their_reach() -> None:
    memory = Memory(Pair("ATRY"))
    asks = {"100.05": "1", "100.50": "2"}
    see_depth(memory, RULES, depth({"99.95": "9"}, asks, NOW - 20_000_000_000))
    assert seen(memory).depth == D("100.05") + 2 * D("100.50")
    assert seen(memory, NOW + 1).depth == D("999.5")  # The top's: the levels are too old.


def test_of_two_as_fresh_the_later_said_counts() -> None:
    memory = Memory(Pair("ATRY"))
    for bid, ask in (("1", "3"), ("99.95", "100.05")):
        see_top(memory, top(bid, ask, NOW))
        see_depth(memory, RULES, depth({bid: "1"}, {ask: "1"}, NOW))
    found = read(memory, RULES, NOW)
    assert found.middle == 100
    assert found.depth == D("99.95")


def test_a_book_with_an_empty_side_has_no_depth() -> None:
    memory = Memory(Pair("ATRY"))
    see_depth(memory, RULES, depth({"99.95": "1000"}, {}, NOW))
    assert seen(memory).depth == 0


def test_without_ten_levels_depth_is_the_tops_thinner_side_and_says_so() -> None:
    memory = Memory(Pair("ATRY"))
    found = seen(memory, bid="99.95", ask="100.05", size="10")
    assert found.depth == D("999.5")
    assert Missing.DEPTH in found.missing
    see_depth(memory, RULES, depth({"99.95": "1000"}, {"100.05": "1000"}, NOW - 21_000_000_000))
    assert seen(memory).depth == D("999.5")  # Its ten levels are too old.


def test_momentum_is_against_the_price_of_a_day_ago() -> None:
    memory = remembered([candle(NOW - DAY, "80"), *a_day(hours=1)])
    assert seen(memory).momentum == D("0.25")


@pytest.mark.parametrize(("away", "is_known"), [(-30, True), (-35, False), (30, True), (35, False)])
def test_momentum_takes_a_price_within_half_an_hour_of_a_day_ago_or_none(
    away: int, is_known: bool
) -> None:
    memory = remembered([candle(NOW - DAY + away * MINUTE, "80"), *a_day(hours=1)])
    found = seen(memory)
    assert (found.momentum is not None) is is_known
    assert (Missing.MOMENTUM in found.missing) is not is_known


def test_of_two_prices_as_far_from_a_day_ago_the_earlier_counts() -> None:
    early, late = NOW - DAY - 5 * MINUTE, NOW - DAY + 5 * MINUTE
    memory = remembered([candle(early, "80"), candle(late, "50"), *a_day(hours=1)])
    assert seen(memory).momentum == D("0.25")


def test_no_trade_keeps_the_price_and_no_candle_is_no_volatility() -> None:
    quiet = [candle(NOW - n * MINUTE, None) for n in range(120, 0, -1)]
    first = replace(candle(NOW - 120 * MINUTE))
    assert seen(remembered([first, *quiet[1:]])).volatility == 0
    lost = [first, *quiet[1:50], *quiet[51:]]
    found = seen(remembered(lost))
    assert found.volatility is None
    assert Missing.VOLATILITY in found.missing


@pytest.mark.parametrize(("before", "is_known"), [(1, True), (6, True), (7, False)])
def test_a_quiet_start_takes_the_price_of_up_to_half_an_hour_before(
    before: int, is_known: bool
) -> None:
    buckets = 21 + before
    quiet = [candle(NOW - n * MINUTE, None) for n in range(5 * buckets, 0, -1)]
    first = candle(NOW - 5 * buckets * MINUTE, "80")
    later = candle(NOW - 5 * MINUTE, "100")
    found = seen(remembered([first, *quiet[1:-5], later, *quiet[-4:]]))
    if is_known:
        assert float(found.volatility or 0) == pytest.approx(pstdev([0.0] * 19 + [0.25]))
    else:
        assert found.volatility is None
    hole = [first, *quiet[2:-5], later, *quiet[-4:]]  # Whatever traded then, nobody heard it.
    assert seen(remembered(hole)).volatility is None


def test_volatility_is_the_deviation_of_five_minute_returns() -> None:
    random = Random(7)
    closes = [str(round(100 * (1 + random.uniform(-0.01, 0.01)), 2)) for _ in range(125)]
    found = seen(remembered([candle(NOW - (125 - n) * MINUTE, c) for n, c in enumerate(closes)]))
    ends = [float(closes[n]) for n in range(4, 125, 5)][-21:]
    returns = [after / before - 1 for before, after in pairwise(ends)]
    assert float(found.volatility or 0) == pytest.approx(pstdev(returns), rel=1e-9)


def test_an_unfinished_bucket_does_not_count_for_volatility() -> None:
    minutes = [candle(NOW - n * MINUTE) for n in range(120, 0, -1)]
    jump = candle(NOW, "200")
    assert seen(remembered([*minutes, jump]), NOW + MINUTE).volatility == 0


def test_an_old_volatility_is_none() -> None:
    memory = remembered(a_day(hours=3))
    assert seen(memory, NOW + 10 * MINUTE - 1).volatility == 0
    assert seen(memory, NOW + 10 * MINUTE).volatility is None


def test_turnover_needs_95_percent_of_the_day() -> None:
    day = [candle(NOW - n * MINUTE) for n in range(1_440, 0, -1)]
    assert seen(remembered(day[72:])).turnover == 1_368 * 100
    found = seen(remembered(day[73:]))
    assert found.turnover is None
    assert Missing.TURNOVER in found.missing


def test_turnover_is_none_when_the_newest_minutes_are_missing() -> None:
    memory = remembered(a_day())
    assert seen(memory, NOW + 25 * MINUTE).turnover is not None
    assert seen(memory, NOW + 31 * MINUTE).turnover is None


def test_of_a_backfill_turnover_is_the_least_it_can_be() -> None:
    history = History()
    minute = candle(START, "100", turnover=None, source=CandleSource.BACKFILL)
    assert minute.prices is not None
    history.add(replace(minute, prices=replace(minute.prices, low=D(90), high=D(110))))
    assert history.turnover == 90


def test_a_minute_that_is_told_again_moves_the_close_and_counts_once() -> None:
    history = History()
    history.add(candle(START, "100"))
    history.add(candle(START, "101"))
    assert history.turnover == 100
    assert history.heard == 1
    assert history.close_near(START // BUCKET_NS) == 101


def test_an_incomplete_minute_gives_a_price_and_is_not_heard() -> None:
    history = History()
    history.add(candle(START, "100", is_complete=False))
    assert history.heard == history.turnover == 0
    assert history.close_near(START // BUCKET_NS) == 100


def test_candles_of_another_span_and_of_long_ago_are_not_folded() -> None:
    history = History()
    history.add(candle(NOW))
    assert not history.add(candle(NOW, span_ns=HOUR))
    assert not history.add(candle(NOW - SLOTS * BUCKET_NS))
    assert history.heard == 1


def test_a_bucket_past_the_ring_is_forgotten_whether_or_not_another_took_its_place() -> None:
    history = History()
    history.add(candle(START))
    history.add(candle(START + (SLOTS - 1) * BUCKET_NS))
    assert history.close_near(START // BUCKET_NS, reach=0) == 100
    history.add(candle(START + (SLOTS + 1) * BUCKET_NS))
    assert history.close_near(START // BUCKET_NS, reach=0) is None


MINUTES = st.lists(
    st.tuples(st.integers(0, 2_400), st.sampled_from([None, "90", "100", "110"]), st.booleans()),
    max_size=60,
    unique_by=lambda row: row[0],
)


@settings(max_examples=150, deadline=None)
@given(MINUTES, st.randoms(use_true_random=False))
def test_the_sums_of_a_day_equal_those_taken_anew_and_order_does_not_matter(
    rows: list[tuple[int, str | None, bool]], random: Random
) -> None:
    """Candles may come in any order, as long as none comes after the ring forgot its time."""
    minutes = [candle(START + n * MINUTE, c, is_complete=whole) for n, c, whole in rows]
    newest = max((m.start_ns for m in minutes), default=0) // BUCKET_NS
    kept = [m for m in minutes if m.start_ns // BUCKET_NS > newest - SLOTS]
    shuffled = list(minutes)
    random.shuffle(shuffled)
    history, other = History(), History()
    for minute in sorted(minutes, key=lambda m: m.start_ns):
        history.add(minute)
    for minute in shuffled:
        other.add(minute)
    whole = [m for m in kept if m.start_ns // BUCKET_NS > newest - 288 and m.is_complete]
    assert history.heard == other.heard == len(whole)
    assert history.turnover == other.turnover == sum((m.turnover or D(0) for m in whole), D(0))
    for minute in kept:
        number = minute.start_ns // BUCKET_NS
        assert history.close_near(number) == other.close_near(number)


def test_memory_is_bounded_and_survives_a_checkpoint() -> None:
    memory = remembered(a_day(hours=60))
    see_top(memory, top())
    assert len(memory.history.ring) == SLOTS
    again = msgspec.json.decode(msgspec.json.encode(memory), type=Memory)
    assert read(again, RULES, NOW) == read(memory, RULES, NOW)
    assert isinstance(again.history.turnover, Decimal)
