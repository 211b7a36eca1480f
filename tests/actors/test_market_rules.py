"""market_data under bursts, over REST, and when the exchange changes its rules."""

from collections import Counter
from decimal import Decimal
from itertools import pairwise

import pytest
from msgspec import Struct
from msgspec.structs import replace

from btcbot.domain.feed import (
    BookRead,
    FeedDown,
    ReadBook,
    ReadRules,
    RulesRead,
    SeenTrade,
    TradesSeen,
)
from btcbot.domain.ids import Pair
from btcbot.domain.instruments import DOCUMENTED
from btcbot.domain.messages import (
    ApprovedOrder,
    BookDepth,
    BookTop,
    FeedState,
    InstrumentRules,
    RefuseIntent,
    Trade,
)
from btcbot.domain.money import Price, Quantity
from btcbot.domain.words import FeedStatus, Rule, Side
from btcbot.market.listing import Listing
from bus.actor import Actor, Hears, Step
from tests.trusting import PAIR, RULES, START_NS, Market, levels, wish, with_gate

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


def test_a_life_without_a_price_asks_for_one_as_soon_as_it_knows_the_rules() -> None:
    market = Market(is_up=False)
    market.hear(FeedDown(reason="answered HTTP 429 to the handshake"))
    market.hear(RulesRead(instruments=(RULES,)))
    assert market.count(ReadBook) == 1
    market.hear(RulesRead(instruments=(RULES,)))
    assert market.count(ReadBook) == 1  # And then in turn.


def test_twenty_void_pairs_are_read_in_turn_inside_the_rate_budget() -> None:
    pairs = tuple(Pair(f"A{n:02d}TRY") for n in range(20))
    market = Market(pairs, is_up=False)
    rules = tuple(replace(RULES, pair=pair) for pair in pairs)
    market.hear(RulesRead(instruments=rules))
    market.asked.clear()  # What the first rules, of fewer pairs, led to.

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


def test_until_the_exchange_has_told_its_pairs_the_configured_ones_stand() -> None:
    listing = Listing(pairs=(PAIR, Pair("BTCTYR")))

    assert all(listing.may_have(pair) for pair in listing.pairs)
    assert [listing.trouble(pair, START_NS) for pair in listing.pairs] == ["", ""]

    listing.hear(RulesRead(instruments=tuple(DOCUMENTED.values())), START_NS)
    assert listing.trouble(PAIR, START_NS) == ""
    assert "no pair BTCTYR; did you mean BTCTRY, BTCUSDT?" in listing.trouble(
        Pair("BTCTYR"), START_NS
    )


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

    while market.feed().status is FeedStatus.LIVE:
        market.live(1)
    said = market.feed()
    assert said.status is FeedStatus.DOWN
    assert said.reason in {f"its rules are {age} s old" for age in (600, 601)}
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


def test_rules_that_stay_are_said_every_ten_seconds_and_rules_that_change_each_second() -> None:
    market = Market()
    market.live(2)

    def said_in(seconds: int) -> int:
        mark = len(market.bus.heard(InstrumentRules))
        market.bus.advance(seconds)
        return len(market.bus.heard(InstrumentRules)) - mark

    market.bus.advance(10)
    assert said_in(30) == 3

    halted = (replace(RULES, is_trading=False),)
    market.hear(RulesRead(instruments=halted))
    assert market.bus.heard(InstrumentRules)[-1].instruments == halted
    assert said_in(5) == 5
    assert said_in(30) == 3

    market.hear(RulesRead(instruments=halted))
    assert said_in(5) == 0


@pytest.mark.parametrize("name", ["strategy", "risk_gate", "execution", "accounting"])
def test_a_hearer_that_comes_up_late_has_the_rules_within_a_second_though_one_is_lost(
    name: str,
) -> None:
    market = Market()
    market.live(2)
    market.bus.advance(14)
    heard: list[InstrumentRules] = []
    for seconds in (0, 1, 2):  # The first life is joined at once; the others miss what was said.
        heard.clear()
        market.bus.start(_late_hearer(name, heard, market.clock.now_ns() + seconds * 1_000_000_000))
        market.bus.advance(seconds + 1)
        assert heard, seconds
        market.bus.crash(name)
        market.bus.advance(14)


def _late_hearer(name: str, heard: list[InstrumentRules], joined_ns: int) -> Actor[None]:
    """Return an actor that hears nothing at first: its socket is not joined yet."""

    def handle(_state: None, message: Struct, now_ns: int) -> Step[None]:
        if isinstance(message, InstrumentRules) and now_ns >= joined_ns:
            heard.append(message)
        return Step(None)

    hears = (Hears(source="market_data", topic="rules"),)
    return Actor(name=name, state=None, handle=handle, hears=hears)
