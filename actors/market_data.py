"""Market data: from the exchange's frames to prices that can be trusted.

Hears   frames of the public WebSocket, REST answers
Says    BookTop on `top.` and `mark.`, Trade, TradesGap, FeedState, InstrumentRules
Never   says a price is current that no frame of this session confirms
"""

import difflib
import logging
from collections.abc import Callable
from typing import assert_never

from msgspec import Struct, field

from actors import CODEC
from btcbot.btcturk.feed import BtcturkFeed
from btcbot.btcturk.hear import Hear
from btcbot.catalog.capture import capturing
from btcbot.config import Config
from btcbot.domain.feed import (
    BookChange,
    BookRead,
    BookSnapshot,
    FeedDown,
    FeedTrouble,
    FeedUp,
    FrameSeen,
    Join,
    QuoteSeen,
    ReadBook,
    ReadRules,
    RulesRead,
    TradesSeen,
)
from btcbot.domain.ids import Pair
from btcbot.domain.instruments import Instrument
from btcbot.domain.messages import BookTop, FeedState, InstrumentRules, Trade, TradesGap
from btcbot.domain.money import Price, Quantity
from btcbot.domain.words import FeedStatus
from btcbot.market.book import Applied, Book
from btcbot.market.freshness import status_of
from bus.actor import Actor, Deliver, Health, Publish, Started, Step, Wake, Woken
from bus.clock import SystemClock
from bus.runtime import PeersView, Place, run_on_loop, serve

Inbox = (
    QuoteSeen | BookChange | FrameSeen | TradesSeen | BookSnapshot | BookRead | Woken | FeedUp
    | FeedDown | RulesRead | FeedTrouble | Started
)  # fmt: skip

log = logging.getLogger("btcbot.market_data")
TICK_NS = 1_000_000_000
RULES_EVERY_NS = 60_000_000_000
RULES_RETRY_NS = 2_000_000_000
FALLBACK_EVERY_NS = 2_000_000_000
REJOIN_NS = 2_000_000_000


class Feed(Struct):
    """One pair: its book and what was said of it; owned by the actor, changed in place."""

    pair: Pair
    book: Book
    top: BookTop | None = None
    marked_ns: int = 0
    confirmed_ns: int = 0
    said_ns: int = 0  # The confirmation that was last said on `top.`.
    joined_ns: int = 0  # When a snapshot was last asked for.
    is_fallback: bool = False
    last_trade_id: int = 0
    said: FeedState | None = None
    reason: str = "not heard yet"


class State(Struct):
    """What market_data remembers; owned, changed in place."""

    pairs: tuple[Pair, ...]
    feeds: dict[Pair, Feed]
    instruments: dict[Pair, Instrument] = field(default_factory=dict)
    is_up: bool = False
    rules_due_ns: int = 0
    fallback_due_ns: int = 0


class Complain(Struct, frozen=True):
    """Tell the people who read logs."""

    event: str
    detail: str


def handle(state: State, message: Inbox, now_ns: int) -> Step[State]:  # noqa: C901, PLR0911, PLR0912
    """Return the state, changed in place, and what to say of the market."""
    match message:
        case QuoteSeen():
            return Step(state, _quote(state.feeds[message.pair], message, now_ns))
        case BookChange():
            feed = state.feeds.get(message.pair)
            if feed is None:
                return Step(state)
            applied = feed.book.apply(message.change_set, message.bids, message.asks)
            return Step(state, _confirm_all(state, now_ns) + _booked(feed, applied, now_ns))
        case FrameSeen():
            return Step(state, _confirm_all(state, now_ns))
        case TradesSeen():
            return Step(state, _confirm_all(state, now_ns) + _trades(state, message, now_ns))
        case BookSnapshot():
            feed = state.feeds.get(message.pair)
            if feed is None:
                return Step(state)
            applied = feed.book.reset(message.change_set, message.bids, message.asks)
            feed.is_fallback = False
            return Step(state, _booked(feed, applied, now_ns))
        case BookRead():
            return Step(state, _fallback(state, message, now_ns))
        case Woken():
            return Step(state, _tick(state, now_ns))
        case FeedUp():
            state.is_up = True
            for feed in state.feeds.values():
                feed.book.is_void, feed.joined_ns = True, now_ns
            return Step(state, _say_feeds(state, now_ns))
        case FeedDown():
            state.is_up = False
            for feed in state.feeds.values():
                feed.book.is_void, feed.reason = True, message.reason
            lost = Complain("feed_down", message.reason)
            return Step(state, (lost, *_say_feeds(state, now_ns)))
        case RulesRead():
            return Step(state, _rules(state, message, now_ns))
        case FeedTrouble():
            return Step(state, (Complain("feed_trouble", f"{message.what}: {message.detail}"),))
        case Started():
            joins = tuple(Join(pair) for pair in state.pairs)
            return Step(state, (*joins, ReadRules(), Wake("tick", now_ns + TICK_NS)))
        case _:
            assert_never(message)


def _quote(feed: Feed, seen: QuoteSeen, now_ns: int) -> tuple[Struct, ...]:
    """Say a quote that has nothing beneath it; recordings come this way."""
    feed.book.is_void = False  # A quote is whole: nothing of it can be missing.
    feed.confirmed_ns = feed.said_ns = now_ns
    feed.top = top = BookTop(
        pair=seen.pair,
        bid=seen.bid,
        bid_quantity=seen.bid_quantity,
        ask=seen.ask,
        ask_quantity=seen.ask_quantity,
        changed_ns=now_ns,
        confirmed_ns=now_ns,
    )
    if now_ns - feed.marked_ns < TICK_NS:
        return (Publish(f"top.{seen.pair}", top),)
    feed.marked_ns = now_ns
    return (Publish(f"top.{seen.pair}", top), Publish(f"mark.{seen.pair}", top))


def _booked(feed: Feed, applied: Applied, now_ns: int) -> tuple[Struct, ...]:
    """Say the new top, or ask for a fresh snapshot when the book is void."""
    if applied is Applied.OLD:
        return ()
    top = feed.book.top()
    if applied is Applied.DONE and top is not None:
        return _say_top(feed, top, now_ns)
    feed.reason = f"book {applied.value}"
    if now_ns - feed.joined_ns < REJOIN_NS:
        return ()  # One snapshot is on its way.
    feed.joined_ns = now_ns
    return (Complain("book_void", f"{feed.pair}: {applied.value}"), Join(feed.pair))


def _say_top(
    feed: Feed, top: tuple[Price, Quantity, Price, Quantity], now_ns: int
) -> tuple[Struct, ...]:
    old = feed.top
    is_same = old is not None and top == (old.bid, old.bid_quantity, old.ask, old.ask_quantity)
    feed.confirmed_ns, feed.reason = now_ns, ""
    changed_ns = old.changed_ns if is_same and old is not None else now_ns
    bid, bid_quantity, ask, ask_quantity = top
    feed.top = BookTop(
        pair=feed.pair,
        bid=bid,
        bid_quantity=bid_quantity,
        ask=ask,
        ask_quantity=ask_quantity,
        changed_ns=changed_ns,
        confirmed_ns=now_ns,
    )
    if is_same:
        return _mark(feed, now_ns)
    feed.said_ns = now_ns
    return (Publish(f"top.{feed.pair}", feed.top), *_mark(feed, now_ns))


def _mark(feed: Feed, now_ns: int) -> tuple[Struct, ...]:
    """Say the top on `mark.` too, at most once a second: for those who only judge by it."""
    if feed.top is None or now_ns - feed.marked_ns < TICK_NS - TICK_NS // 10:
        return ()
    feed.marked_ns = now_ns
    return (Publish(f"mark.{feed.pair}", feed.top),)


def _confirm_all(state: State, now_ns: int) -> tuple[Struct, ...]:
    """Any data frame confirms every contiguous book of its session."""
    for feed in state.feeds.values():
        if not feed.book.is_void:
            feed.confirmed_ns = now_ns
    return ()


def _trades(state: State, seen: TradesSeen, now_ns: int) -> tuple[Struct, ...]:
    """Say each new trade once; a backlog that does not reach back to the last one is a gap."""
    feed = state.feeds.get(seen.pair)
    if feed is None:
        return ()
    fresh = [row for row in seen.trades if row.trade_id > feed.last_trade_id]
    effects: list[Struct] = []
    if seen.is_backlog and feed.last_trade_id and len(fresh) == len(seen.trades) and fresh:
        gap = TradesGap(pair=seen.pair, after_trade_id=feed.last_trade_id, at_ns=now_ns)
        effects.append(Publish(f"trade.{seen.pair}", gap))
    is_first = seen.is_backlog and not feed.last_trade_id  # History, not news.
    for row in fresh:
        if row.trade_id <= feed.last_trade_id:
            continue  # Twice in one frame.
        feed.last_trade_id = row.trade_id
        if not is_first:
            trade = Trade(
                pair=seen.pair,
                trade_id=row.trade_id,
                side=row.side,
                price=row.price,
                quantity=row.quantity,
                event_ns=row.event_ns,
                received_ns=now_ns,
            )
            effects.append(Publish(f"trade.{seen.pair}", trade))
    return tuple(effects)


def _fallback(state: State, read: BookRead, now_ns: int) -> tuple[Struct, ...]:
    """Take a book over REST while the socket's is void; it says that it is a fallback."""
    feed = state.feeds.get(read.pair)
    if feed is None or not feed.book.is_void:
        return ()
    book = Book()
    book.reset(0, read.bids, read.asks)
    top = book.top()
    if top is None:
        return ()
    feed.is_fallback = True
    return _say_top(feed, top, now_ns)


def _tick(state: State, now_ns: int) -> tuple[Struct, ...]:
    """Once a second: say again what is confirmed, mend what is not, ask for rules."""
    effects: list[Struct] = [Wake("tick", now_ns + TICK_NS)]
    for feed in state.feeds.values():
        if feed.top is not None and feed.confirmed_ns > feed.said_ns:
            feed.top = _confirmed(feed.top, feed.confirmed_ns)
            feed.said_ns = feed.confirmed_ns
            effects.append(Publish(f"top.{feed.pair}", feed.top))
        if _is_wanting(state, feed) and state.is_up and now_ns - feed.joined_ns > REJOIN_NS:
            feed.joined_ns = now_ns
            effects.append(Join(feed.pair))
        effects += _mark(feed, now_ns) if _is_usable(feed, now_ns) else ()
    if state.fallback_due_ns <= now_ns:
        void = [f for f in state.feeds.values() if state.instruments and _is_wanting(state, f)]
        if void and now_ns - max(f.joined_ns for f in void) > REJOIN_NS // 2:
            state.fallback_due_ns = now_ns + FALLBACK_EVERY_NS
            effects += [ReadBook(feed.pair) for feed in void]
    if state.rules_due_ns <= now_ns:
        state.rules_due_ns = now_ns + (RULES_EVERY_NS if state.instruments else RULES_RETRY_NS)
        effects.append(ReadRules())
    if state.instruments:
        effects.append(_say_rules(state, now_ns))
    return (*effects, *_say_feeds(state, now_ns))


def _is_wanting(state: State, feed: Feed) -> bool:
    """Return whether a book is void that the exchange can give, as far as is known."""
    return feed.book.is_void and (not state.instruments or feed.pair in state.instruments)


def _is_usable(feed: Feed, now_ns: int) -> bool:
    return feed.confirmed_ns > 0 and now_ns - feed.confirmed_ns < 2 * TICK_NS


def _confirmed(top: BookTop, now_ns: int) -> BookTop:
    return BookTop(
        pair=top.pair,
        bid=top.bid,
        bid_quantity=top.bid_quantity,
        ask=top.ask,
        ask_quantity=top.ask_quantity,
        changed_ns=top.changed_ns,
        confirmed_ns=now_ns,
    )


def _say_feeds(state: State, now_ns: int) -> tuple[Struct, ...]:
    """Say each pair's status when it changes, and with every tick for late listeners."""
    return tuple(
        Publish(f"feed.{feed.pair}", _feed_state(state, feed, now_ns))
        for feed in state.feeds.values()
    )


def _feed_state(state: State, feed: Feed, now_ns: int) -> FeedState:
    status = status_of(feed.confirmed_ns, now_ns, is_up=state.is_up, is_fallback=feed.is_fallback)
    if state.instruments and feed.pair not in state.instruments:
        status, feed.reason = FeedStatus.DOWN, _unknown(state, feed.pair)
    feed.said = FeedState(
        pair=feed.pair,
        status=status,
        confirmed_ns=feed.confirmed_ns,
        reason="" if status is FeedStatus.LIVE else feed.reason,
        at_ns=now_ns,
    )
    return feed.said


def _rules(state: State, read: RulesRead, now_ns: int) -> tuple[Struct, ...]:
    state.instruments = {rules.pair: rules for rules in read.instruments}
    missing = [pair for pair in state.pairs if pair not in state.instruments]
    complaints = (Complain("unknown_pair", _unknown(state, pair)) for pair in missing)
    return (_say_rules(state, now_ns), *complaints)


def _say_rules(state: State, now_ns: int) -> Publish:
    ours = tuple(state.instruments[pair] for pair in state.pairs if pair in state.instruments)
    return Publish("rules", InstrumentRules(instruments=ours, at_ns=now_ns))


def _unknown(state: State, pair: Pair) -> str:
    near = difflib.get_close_matches(pair, list(state.instruments), n=3)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    return f"the exchange has no pair {pair}{hint}"


def health(state: State) -> Health:
    """READY when every pair has a price; DEGRADED while one has not, after that."""
    if not state.instruments:
        return Health.RECOVERING
    said = [feed.said.status for feed in state.feeds.values() if feed.said]
    good = (FeedStatus.LIVE, FeedStatus.FALLBACK)
    if said and all(status in good for status in said):
        return Health.READY
    return Health.DEGRADED if any(feed.top for feed in state.feeds.values()) else Health.RECOVERING


def actor(pairs: tuple[Pair, ...], start: Callable[[Struct], None]) -> Actor[State]:
    """Return market_data for `pairs`; `start` begins the feed's effects."""

    def perform(effect: Struct) -> None:
        if isinstance(effect, Complain):
            log.warning(effect.event, extra={"error": effect.detail})
        else:
            start(effect)

    feeds = {pair: Feed(pair=pair, book=Book()) for pair in pairs}
    return Actor(
        name="market_data",
        state=State(pairs=pairs, feeds=feeds),
        handle=handle,
        perform=perform,
        health=health,
    )


def main(config: Config) -> None:
    """Follow the exchange until SIGTERM."""
    run_on_loop(_serve(config))


async def _serve(config: Config) -> None:
    with capturing(config.raw, "market_data", config.capture, SystemClock()) as hear:
        await _follow(config, hear)


async def _follow(config: Config, hear: Hear) -> None:
    feeds: list[BtcturkFeed] = []

    def make(deliver: Deliver, _peers: PeersView) -> Actor[State]:
        addresses, monotonic = config.addresses, SystemClock().monotonic_ns
        feed = BtcturkFeed(addresses.rest, addresses.ws, deliver, monotonic, hear=hear)
        feeds.append(feed)
        return actor(config.pairs, feed.start)

    place = Place(run=config.run, journal=config.journal, quarantine=config.quarantine, codec=CODEC)
    try:
        await serve(make, place)
    finally:
        for feed in feeds:
            await feed.close()
