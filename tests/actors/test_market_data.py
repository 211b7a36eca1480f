"""Market data on the bus: what it says of the exchange's frames, and when it says nothing."""

import logging
from decimal import Decimal
from typing import Any, Final

import pytest
from msgspec import Struct

from actors import market_data
from btcbot.domain.feed import (
    BookChange,
    BookRead,
    FeedDown,
    FeedTrouble,
    FeedUp,
    FrameSeen,
    Join,
    ReadBook,
    ReadRules,
    RulesRead,
    SeenTrade,
    TradesSeen,
)
from btcbot.domain.ids import Pair
from btcbot.domain.instruments import DOCUMENTED
from btcbot.domain.messages import BookTop, FeedState, InstrumentRules, Trade, TradesGap
from btcbot.domain.money import Price, Quantity
from btcbot.domain.words import FeedStatus, Side
from bus.actor import Actor, Health, Hears, Step
from tests import builders as make
from tests.builders import BTCTRY, ETHTRY, SECOND_NS, START_NS
from tests.hosting import WireBus

PAIRS: Final = (BTCTRY, ETHTRY)
RULES: Final = RulesRead(instruments=tuple(DOCUMENTED.values()))
ETH_BOOK: Final = make.book_snapshot(
    pair=ETHTRY, bids=make.side((99_990, 1)), asks=make.side((100_010, 1))
)


class Room:
    """Market data with a feed that begins nothing: a test says what comes of it."""

    def __init__(self, *pairs: Pair) -> None:
        self.bus = WireBus()
        self.pairs = pairs or PAIRS
        self.begun: list[Struct] = []
        self.tops: list[BookTop] = []
        self.marks: list[BookTop] = []
        self.begin()
        for topic, heard in (("top.", self.tops), ("mark.", self.marks)):
            self.bus.start(_hearer(topic, heard))

    def begin(self) -> None:
        self.bus.start(market_data.actor(self.pairs, self.begun.append))
        self.bus.run()

    def see(self, *messages: Struct) -> None:
        for message in messages:
            self.bus.deliver("market_data", message)

    def change(self, change_set: int, pair: Pair = BTCTRY, **sides: Any) -> None:
        """See a change: `bids` and `asks` are (price, amount) rows."""
        bids, asks = (make.levels(*sides.get(side, ())) for side in ("bids", "asks"))
        self.see(BookChange(pair=pair, change_set=change_set, bids=bids, asks=asks))

    def status(self, pair: Pair = BTCTRY) -> FeedState:
        return [said for said in self.bus.heard(FeedState) if said.pair == pair][-1]

    def begun_since(self, mark: int, kind: type[Struct]) -> list[Any]:
        return [effect for effect in self.begun[mark:] if isinstance(effect, kind)]


def _hearer(topic: str, heard: list[BookTop]) -> Actor[None]:
    def handle(_state: None, message: Struct, _now_ns: int) -> Step[None]:
        if isinstance(message, BookTop):
            heard.append(message)
        return Step(None)

    hears = (Hears(source="market_data", topic=topic),)
    return Actor(name=f"hearer of {topic}", state=None, handle=handle, hears=hears)


@pytest.fixture
def room() -> Room:
    """Return a room with rules, a session and a book of BTCTRY; ETHTRY has none yet."""
    room = Room()
    room.see(RULES, FeedUp(session=1), make.book_snapshot())
    return room


def trades(*ids: int, pair: Pair = BTCTRY, is_backlog: bool = False) -> TradesSeen:
    price, quantity = Price(Decimal(2_500_000)), Quantity(Decimal("0.5"))
    rows = tuple(SeenTrade(one, Side.BUY, price, quantity, START_NS - one) for one in ids)
    return TradesSeen(pair=pair, trades=rows, is_backlog=is_backlog)


# --- start and rules ------------------------------------------------------------------------------


def test_it_joins_every_pair_and_asks_for_rules_at_once() -> None:
    assert Room().begun == [Join(BTCTRY), Join(ETHTRY), ReadRules()]


def test_it_asks_for_rules_again_soon_until_it_has_them_and_then_each_minute() -> None:
    room = Room()
    room.bus.advance(10)
    assert len(room.begun_since(0, ReadRules)) == 6

    room.see(RULES)
    mark = len(room.begun)
    room.bus.advance(120)
    assert 2 <= len(room.begun_since(mark, ReadRules)) <= 3


def test_it_says_the_rules_of_its_pairs_at_once_and_again_for_late_hearers(room: Room) -> None:
    ours = tuple(DOCUMENTED[pair] for pair in PAIRS)
    assert [said.instruments for said in room.bus.heard(InstrumentRules)] == [ours]

    room.bus.advance(2)

    assert [said.instruments for said in room.bus.heard(InstrumentRules)] == [ours] * 3


def test_a_feed_that_stays_live_is_said_with_the_rules_and_any_other_each_second(
    room: Room,
) -> None:
    for _ in range(200):  # Both the late hearers' seconds and calm ones.
        room.see(FrameSeen())
        room.bus.advance(0.1)
    said = room.bus.heard(FeedState)
    calm_ns = room.bus.now_ns - 10 * SECOND_NS

    assert len([s for s in said if s.pair == BTCTRY and s.at_ns > calm_ns]) == 1
    assert len([s for s in said if s.pair == ETHTRY and s.at_ns > calm_ns]) == 10
    assert room.status().status is FeedStatus.LIVE

    silent_ns = room.bus.now_ns
    room.bus.advance(6)
    first = next(s for s in room.bus.heard(FeedState) if s.status is FeedStatus.STALE)
    assert first.at_ns - silent_ns <= 5 * SECOND_NS


def test_a_pair_the_exchange_does_not_have_is_named_with_what_may_be_meant(
    caplog: pytest.LogCaptureFixture,
) -> None:
    room = Room(Pair("BTCTYR"))

    with caplog.at_level(logging.WARNING):
        room.see(RULES, FeedUp(session=1))

    said = room.status(Pair("BTCTYR"))
    assert said.status is FeedStatus.DOWN
    assert "no pair BTCTYR" in said.reason
    assert "did you mean BTCTRY" in said.reason
    assert [record.message for record in caplog.records] == ["unknown_pair"]


def test_the_exchange_is_not_asked_for_the_book_of_a_pair_it_does_not_have() -> None:
    room = Room(Pair("BTCTYR"))
    room.see(RULES, FeedUp(session=1))
    mark = len(room.begun)

    room.bus.advance(30)

    assert {type(effect) for effect in room.begun[mark:]} == {ReadRules}


# --- books ----------------------------------------------------------------------------------------


def test_a_snapshot_is_said_as_a_top_and_as_a_mark(room: Room) -> None:
    assert room.tops == [make.book_top()]
    assert room.marks == [make.book_top()]


def test_a_change_of_the_top_is_said_at_once_and_as_a_mark_once_a_second(room: Room) -> None:
    for number in range(1, 10):
        room.bus.advance(0.1)
        room.change(100 + number, bids=[(2_499_990, 1 + number)])

    assert [top.bid_quantity for top in room.tops] == list(range(1, 11))
    assert [top.changed_ns - START_NS for top in room.tops][1:] == [
        number * SECOND_NS // 10 for number in range(1, 10)
    ]
    assert len(room.marks) == 2


def test_a_top_that_only_is_confirmed_is_said_again_once_a_second(room: Room) -> None:
    for _ in range(40):
        room.bus.advance(0.25)
        room.see(FrameSeen())

    again = room.tops[1:]
    assert 9 <= len(again) <= 10
    assert {top.changed_ns for top in again} == {START_NS}
    assert all(0 < top.confirmed_ns - START_NS <= 10 * SECOND_NS for top in again)
    assert len({top.confirmed_ns for top in again}) == len(again)


def test_changes_beneath_the_top_confirm_it_and_it_is_said_again_once_a_second(room: Room) -> None:
    for number in range(1, 41):
        room.bus.advance(0.25)
        room.change(100 + number, bids=[(2_499_000, number)])

    for said in (room.tops[1:], room.marks[1:]):
        assert 9 <= len(said) <= 11
        assert {top.changed_ns for top in said} == {START_NS}
    assert room.tops[-1].confirmed_ns > START_NS + 9 * SECOND_NS


def test_what_no_frame_confirms_is_not_said_again_and_turns_stale(room: Room) -> None:
    room.bus.advance(4)
    assert room.status().status is FeedStatus.LIVE

    room.bus.advance(1)

    assert room.status().status is FeedStatus.STALE
    assert room.status().confirmed_ns == START_NS
    assert room.tops == [make.book_top()]
    assert {mark.confirmed_ns for mark in room.marks} == {START_NS}


@pytest.mark.parametrize("frame", [FrameSeen(), trades(1), trades(1, is_backlog=True)])
def test_any_data_frame_confirms_contiguous_books_and_no_others(room: Room, frame: Struct) -> None:
    room.see(ETH_BOOK)
    room.change(300, ETHTRY, bids=[(99_980, 1)])  # A gap: 101 was next.
    room.bus.advance(1)

    room.see(frame)
    room.bus.advance(1)

    assert room.status(BTCTRY).confirmed_ns == START_NS + SECOND_NS
    assert room.status(ETHTRY).confirmed_ns == START_NS


def test_a_book_that_comes_or_changes_confirms_those_of_other_pairs(room: Room) -> None:
    room.bus.advance(1)
    room.see(ETH_BOOK)
    room.bus.advance(1)
    assert room.status(BTCTRY).confirmed_ns == START_NS + SECOND_NS

    room.change(101, ETHTRY, bids=[(99_980, 1)])
    room.bus.advance(1)
    assert room.status(BTCTRY).confirmed_ns == START_NS + 2 * SECOND_NS


def test_a_gap_voids_the_book_until_a_new_snapshot(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    room.bus.advance(3)
    mark = len(room.begun)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        room.change(102, bids=[(2_500_000, 9)])
    assert room.begun_since(mark, Join) == [Join(BTCTRY)]
    assert [record.message for record in caplog.records] == ["book_void"]
    room.change(103, bids=[(2_500_000, 8)])
    room.see(FrameSeen())
    assert room.tops == [make.book_top()]
    assert len(room.begun_since(mark, Join)) == 1

    room.see(make.book_snapshot(change_set=110, bids=make.side((2_500_000, 7))))
    room.bus.advance(0.1)
    room.change(111, bids=[(2_500_000, 6)])

    assert [top.bid_quantity for top in room.tops] == [1, 7, 6]
    room.bus.advance(1)
    assert room.status().status is FeedStatus.LIVE
    assert room.status().reason == ""


def test_a_book_that_stays_void_is_joined_again_every_few_seconds(room: Room) -> None:
    room.change(200)
    mark = len(room.begun)

    room.bus.advance(12)

    joins = [join for join in room.begun_since(mark, Join) if join.pair == BTCTRY]
    assert 3 <= len(joins) <= 6


def test_a_book_that_crosses_itself_is_void(room: Room) -> None:
    room.bus.advance(3)
    mark = len(room.begun)

    room.change(101, bids=[(2_500_010, 1)])

    assert room.tops == [make.book_top()]
    assert room.begun_since(mark, Join) == [Join(BTCTRY)]
    room.bus.advance(3)
    assert (room.status().status, room.status().reason) == (FeedStatus.STALE, "book crossed")


def test_a_change_that_comes_twice_changes_nothing(room: Room) -> None:
    seen: tuple[tuple[int, Any], ...] = (
        (101, {"bids": [(2_500_000, 3)]}),
        (102, {"bids": [(2_500_000, 4)]}),
        (101, {"bids": [(2_500_000, 3)]}),
        (102, {"bids": [(2_500_000, 4)]}),
        (103, {"asks": [(2_500_010, 5)]}),
    )
    for change_set, changes in seen:
        room.bus.advance(0.1)
        room.change(change_set, **changes)

    assert [top.bid_quantity for top in room.tops] == [1, 3, 4, 4]
    assert [top.ask_quantity for top in room.tops] == [1, 1, 1, 5]


def test_a_new_session_voids_every_book(room: Room) -> None:
    room.see(ETH_BOOK, FeedUp(session=2))

    room.change(101, bids=[(2_500_000, 1)])
    room.change(101, ETHTRY, bids=[(99_995, 1)])
    room.see(FrameSeen())
    room.bus.advance(1)

    assert len(room.tops) == 2
    assert room.status().confirmed_ns == START_NS


def test_frames_of_a_pair_that_is_not_ours_are_nothing_to_it(room: Room) -> None:
    other = Pair("XRPTRY")
    mark = len(room.bus.log)

    room.see(make.book_snapshot(pair=other), trades(1, pair=other))
    room.see(make.book_read(pair=other))
    room.change(101, other, bids=[(1, 1)])

    assert room.bus.log[mark:] == []


def test_a_quote_of_a_recording_is_said_as_it_is(room: Room) -> None:
    for bid in (2_499_000, 2_499_500):
        room.bus.advance(0.4)
        room.see(make.quoted(room.bus.now_ns, bid=bid))
    room.bus.advance(0.2)

    assert [top.bid for top in room.tops] == [2_499_990, 2_499_000, 2_499_500]
    assert [mark.bid for mark in room.marks] == [2_499_990, 2_499_500]


# --- down and fallback ----------------------------------------------------------------------------


def rest_book(amount: int = 1) -> BookRead:
    return make.book_read(bids=make.levels((2_499_980, amount)))


def test_while_the_socket_is_down_the_book_is_read_and_says_that_it_is_a_fallback(
    room: Room,
) -> None:
    room.see(FeedDown(reason="connection reset"))
    room.bus.advance(10)
    assert 4 <= len([r for r in room.begun_since(0, ReadBook) if r.pair == BTCTRY]) <= 6
    assert room.status().status is FeedStatus.DOWN
    assert room.status().reason == "connection reset"

    room.see(rest_book())
    room.bus.advance(1)

    assert room.tops[-1].bid == 2_499_980
    assert room.status().status is FeedStatus.FALLBACK

    room.see(FeedUp(session=2), make.book_snapshot(change_set=500))
    room.bus.advance(1)
    assert room.status().status is FeedStatus.LIVE
    assert room.tops[-1].bid == 2_499_990


def test_a_fallback_that_reads_the_same_book_confirms_it(room: Room) -> None:
    room.see(FeedDown(reason="gone"))
    for _ in range(5):
        room.bus.advance(2)
        room.see(rest_book())
    room.bus.advance(1)

    assert room.status().status is FeedStatus.FALLBACK
    assert {top.bid for top in room.tops[1:]} == {2_499_980}
    assert room.tops[-1].confirmed_ns == START_NS + 10 * SECOND_NS
    assert room.tops[-1].changed_ns == START_NS + 2 * SECOND_NS


def test_a_frame_does_not_confirm_a_fallback(room: Room) -> None:
    room.see(FeedDown(reason="gone"), rest_book(), FeedUp(session=2))
    room.bus.advance(1)
    room.see(FrameSeen())
    room.bus.advance(1)

    assert room.status().confirmed_ns == START_NS


def test_a_book_over_rest_that_comes_late_does_not_replace_the_sockets(room: Room) -> None:
    room.see(rest_book())
    room.bus.advance(1)

    assert room.tops == [make.book_top()]
    assert room.status().status is FeedStatus.LIVE


def test_an_empty_side_is_no_price(room: Room) -> None:
    room.see(FeedDown(reason="gone"))
    room.see(make.book_read(bids=()))

    assert room.tops == [make.book_top()]


def test_trouble_with_a_frame_is_logged_and_changes_nothing(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    mark = len(room.bus.log)

    with caplog.at_level(logging.WARNING):
        room.see(FeedTrouble(what="frame 431", detail="not JSON"))

    assert [record.message for record in caplog.records] == ["feed_trouble"]
    assert room.bus.log[mark:] == []


# --- trades ---------------------------------------------------------------------------------------


def said_trades(room: Room) -> list[int]:
    return [trade.trade_id for trade in room.bus.heard(Trade)]


def test_each_trade_is_said_once_however_often_it_is_seen(room: Room) -> None:
    room.see(trades(1, 2), trades(2, 3), trades(1, 2, 3, is_backlog=True), trades(4, 4))

    assert said_trades(room) == [1, 2, 3, 4]
    assert not room.bus.heard(TradesGap)
    [first, *_] = room.bus.heard(Trade)
    assert (first.event_ns, first.received_ns, first.side) == (START_NS - 1, START_NS, Side.BUY)


def test_the_first_backlog_is_history_and_no_news(room: Room) -> None:
    room.see(trades(1, 2, 3, is_backlog=True), trades(4))

    assert said_trades(room) == [4]
    assert not room.bus.heard(TradesGap)


def test_a_backlog_that_reaches_back_brings_what_was_missed(room: Room) -> None:
    room.see(trades(1, 2), FeedDown(reason="gone"), FeedUp(session=2))
    room.see(trades(2, 3, 4, is_backlog=True))

    assert said_trades(room) == [1, 2, 3, 4]
    assert not room.bus.heard(TradesGap)


def test_a_backlog_that_does_not_reach_back_is_a_gap_said_before_the_trades(room: Room) -> None:
    room.see(trades(1, 2), FeedDown(reason="gone"), FeedUp(session=2))
    mark = len(room.bus.log)
    room.see(trades(50, 51, is_backlog=True))

    said = [m for m in room.bus.log[mark:] if isinstance(m, Trade | TradesGap)]
    assert said[0] == TradesGap(pair=BTCTRY, after_trade_id=2, at_ns=START_NS)
    assert said_trades(room) == [1, 2, 50, 51]


# --- lives ----------------------------------------------------------------------------------------


def test_a_new_life_says_no_price_of_the_last_one(room: Room) -> None:
    room.bus.crash("market_data")
    room.begun.clear()
    room.begin()
    assert room.begun == [Join(BTCTRY), Join(ETHTRY), ReadRules()]
    room.see(FeedUp(session=1), FrameSeen())
    room.bus.advance(1)
    assert room.tops == [make.book_top()]
    assert room.status().status is FeedStatus.STARTING

    room.see(make.book_snapshot(change_set=7))

    assert len(room.tops) == 2


def test_it_is_ready_when_every_pair_has_a_price_and_degraded_when_one_loses_it() -> None:
    room = Room()
    assert room.bus.health("market_data") is Health.RECOVERING
    room.see(RULES, FeedUp(session=1), make.book_snapshot())
    room.bus.advance(1)
    assert room.bus.health("market_data") is Health.DEGRADED

    room.see(ETH_BOOK)
    room.bus.advance(1)
    assert room.bus.health("market_data") is Health.READY

    room.see(FeedDown(reason="gone"))
    room.bus.advance(10)
    assert room.bus.health("market_data") is Health.DEGRADED
