"""Market data: from the exchange's frames to prices that can be trusted.

Hears   frames of the public WebSocket, REST answers, and that a hearer of the rules came up
Says    BookTop on `top.` and `mark.`, BookDepth, Trade, TradesGap, Candle, FeedState,
        InstrumentRules
Never   says a price is current that no frame of this session confirms
"""

import logging
from collections.abc import Callable
from typing import assert_never

from msgspec import Struct, field

from actors import place_of
from btcbot.btcturk.feed import BtcturkFeed
from btcbot.btcturk.hear import Hear
from btcbot.catalog.capture import capturing
from btcbot.chosen import configured
from btcbot.config import Config
from btcbot.domain.feed import (
    BookChange,
    BookRead,
    BookSnapshot,
    CandlesRead,
    FeedDown,
    FeedTrouble,
    FeedUp,
    FrameSeen,
    Join,
    JoinTickers,
    ReadBook,
    ReadRules,
    RulesRead,
    TickersSeen,
    TradesSeen,
)
from btcbot.domain.ids import Pair
from btcbot.domain.messages import BookTop
from btcbot.domain.words import FeedStatus
from btcbot.market.candles import CandleMaker
from btcbot.market.listing import Listing
from btcbot.market.quotes import Quotes
from btcbot.market.say import Again, Complain, Rejoins, Said, Say
from btcbot.market.tape import BACKFILL_NS, DAY_NS, Tape
from btcbot.pipeline.registry import is_allocator
from bus.actor import (
    Actor,
    Deliver,
    Health,
    PeerBack,
    PeerLost,
    Publish,
    Started,
    Step,
    Wake,
    Woken,
)
from bus.clock import SystemClock
from bus.runtime import PeersView, run_on_loop, serve

Inbox = (
    BookTop | BookChange | TradesSeen | TickersSeen | FrameSeen | BookSnapshot | BookRead
    | CandlesRead | Woken | FeedUp | FeedDown | RulesRead | FeedTrouble | Started | PeerBack
    | PeerLost
)  # fmt: skip

log = logging.getLogger("btcbot.market_data")
TICK_NS = 1_000_000_000
# Three books every two seconds are 90 a minute; the exchange allows 180, our budget takes 108.
FALLBACK_EVERY_NS, FALLBACK_BOOKS = 2_000_000_000, 3
FALLBACK_AFTER_NS = 1_000_000_000
HEARERS = ("strategy", "risk_gate", "execution", "accounting")  # Of the rules.
SHOWS = ("control", "dashboard")  # They hear how far the feeds can be trusted.
PULSE_NS = 5_000_000_000  # Without a ticker, though other data comes, they are joined again.


class Feed(Struct, frozen=True):
    """One pair: its prices and its trades; owned by the actor, changed in place."""

    quotes: Quotes
    tape: Tape
    feed_topic: str


class State(Struct):
    """What market_data remembers; owned, changed in place."""

    feeds: dict[Pair, Feed]
    listing: Listing
    is_up: bool = False
    alive_ns: int = 0  # When this session last brought any data.
    pulse_ns: int = 0  # When a ticker last came.
    pulse_joins: Rejoins = field(default_factory=lambda: Rejoins(wait_ns=PULSE_NS))
    fallback_due_ns: int = 0
    quiet_until_ns: int = 0  # Until then, unless anything but quotes is heard, only prices matter.


def handle(state: State, message: Inbox, now_ns: int) -> Step[State]:
    """Return the state, changed in place, and what to say of the market."""
    if type(message) is BookTop:  # The hottest of a backtest.
        quotes = state.feeds[message.pair].quotes
        quotes.hear_top(message)
        top = Publish(quotes.top_topic, message)
        if now_ns - quotes.marked_ns < TICK_NS:
            return Step(state, (top,))
        quotes.marked_ns = now_ns
        return Step(state, (top, Publish(quotes.mark_topic, message)))
    if not isinstance(message, Woken):
        state.quiet_until_ns = 0
        said = _heard(state, message, now_ns)
    elif message.name == "tick":
        if now_ns < state.quiet_until_ns and _are_fresh(state, now_ns):
            return Step(state, (Wake("tick", now_ns + TICK_NS), *_marks(state, now_ns)))
        return Step(state, (Wake("tick", now_ns + TICK_NS), *map(_effect, _tick(state, now_ns))))
    else:
        pair = Pair(message.name.removeprefix("again "))
        said = state.feeds[pair].quotes.look_again(now_ns, is_up=_may_join(state, pair))
    return Step(state, tuple(map(_effect, said)))


def _effect(said: Struct) -> Struct:
    if type(said) is Say:
        return Publish(said.topic, said.message)
    return Wake(f"again {said.pair}", said.at_ns) if type(said) is Again else said


def _heard(  # noqa: C901 - one line each
    state: State,
    message: BookChange | TradesSeen | TickersSeen | FrameSeen | BookSnapshot | BookRead
    | CandlesRead | FeedUp | FeedDown | RulesRead | FeedTrouble | Started | BookTop | PeerBack
    | PeerLost,
    now_ns: int,
) -> Said:  # fmt: skip
    match message:
        case BookChange() | BookSnapshot() | TradesSeen() | BookRead() | CandlesRead():
            return _heard_of_pair(state, message, now_ns)
        case TickersSeen():
            return _tickers(state, message, now_ns)
        case FrameSeen():
            state.alive_ns = now_ns
            return ()
        case FeedUp():
            return _up(state, now_ns)
        case FeedDown():
            return _down(state, message, now_ns)
        case RulesRead():
            heard = state.listing.hear(message, now_ns)
            return (*heard, *_fallback(state, now_ns), *_say_feeds(state, now_ns))
        case FeedTrouble():
            return (Complain("feed_trouble", f"{message.what}: {message.detail}"),)
        case Started():
            joins = tuple(Join(pair) for pair in state.feeds)
            return (*joins, ReadRules(), Wake("tick", now_ns + TICK_NS))
        case PeerBack():
            return _hearer_came(state, message, now_ns)
        case PeerLost():
            return ()
        case BookTop():
            raise AssertionError("tops are handled before")
        case _:
            assert_never(message)


def _hearer_came(state: State, back: PeerBack, now_ns: int) -> Said:
    if back.source == "strategy":
        for feed in state.feeds.values():
            feed.tape.hearer_came(now_ns)
    if back.source in HEARERS:
        return state.listing.hearer_came(now_ns)
    state.listing.repeats.hearer_came(now_ns)
    return ()


def _heard_of_pair(
    state: State,
    message: BookChange | BookSnapshot | TradesSeen | BookRead | CandlesRead,
    now_ns: int,
) -> Said:
    feed = state.feeds.get(message.pair)
    if feed is None:
        return ()
    quotes = feed.quotes
    source = quotes.source
    match message:
        case BookChange():
            state.alive_ns = now_ns  # Any data frame shows that the whole session is alive.
            said = quotes.hear_change(message, now_ns)
        case BookSnapshot():
            state.alive_ns = now_ns
            said = quotes.hear_snapshot(message, now_ns)
        case TradesSeen():
            state.alive_ns = now_ns
            return feed.tape.hear_trades(message, now_ns)
        case BookRead():
            said = quotes.hear_read(message, now_ns)
        case CandlesRead():
            return feed.tape.hear_candles(message, now_ns)
        case _:
            assert_never(message)
    return said if quotes.source is source else (*said, _say_feed(state, feed, now_ns))


def _tickers(state: State, seen: TickersSeen, now_ns: int) -> Said:
    """Take the pulse, and the second opinion of each pair."""
    state.alive_ns = state.pulse_ns = now_ns
    state.pulse_joins.answered(now_ns)
    said: Said = ()
    for row in seen.rows:
        feed = state.feeds.get(row.pair)
        if feed is not None:
            feed.tape.hear_ticker(row, now_ns)
            if lost := feed.quotes.hear_ticker(row, now_ns):
                said += (*lost, _say_feed(state, feed, now_ns))
    return said


def _up(state: State, now_ns: int) -> Said:
    state.is_up, state.pulse_ns = True, now_ns
    said: Said = ()
    for feed in state.feeds.values():
        feed.tape.session_began(now_ns)
        said += feed.quotes.session_began(now_ns)
    return (*said, *_say_feeds(state, now_ns))


def _down(state: State, message: FeedDown, now_ns: int) -> Said:
    state.is_up = False
    for feed in state.feeds.values():
        feed.tape.session_ended()
        feed.quotes.session_ended(message.reason, now_ns)
    return (Complain("feed_down", message.reason), *_say_feeds(state, now_ns))


def _may_join(state: State, pair: Pair) -> bool:
    """Return whether joins of `pair` can be heard, and answered as far as is known."""
    return state.is_up and state.listing.may_have(pair)


def _tick(state: State, now_ns: int) -> list[Struct]:
    """Once a second: say again what is confirmed, mend what is not, ask for rules."""
    said: list[Struct] = []
    alive_ns, listing = state.alive_ns, state.listing
    is_void, due = False, []
    is_time, is_troubled = listing.repeats.is_due(now_ns), listing.is_troubled(now_ns)
    for pair, feed in state.feeds.items():
        quotes = feed.quotes
        is_up = state.is_up and (not is_troubled or listing.may_have(pair))
        said += quotes.tick(now_ns, alive_ns, is_up=is_up)
        said += feed.tape.tick(now_ns, alive_ns, is_up=is_up)
        is_void = is_void or quotes.book.is_void
        if is_time or is_troubled or not quotes.stays_live(now_ns):
            due.append(feed)
    if is_void:
        said += _fallback(state, now_ns)
    is_pulseless = now_ns - state.pulse_ns > PULSE_NS and now_ns >= state.pulse_joins.due_ns
    if is_pulseless and any(_may_join(state, pair) for pair in state.feeds):
        state.pulse_joins.asked(now_ns)
        said.append(JoinTickers())
    said += listing.tick(now_ns, is_time=is_time)
    said += [_say_feed(state, feed, now_ns) for feed in due]
    state.quiet_until_ns = _quiet_until_ns(state)
    return said


def _quiet_until_ns(state: State) -> int:
    """Return until when a tick finds nothing to do but marks, if only quotes are heard; 0: not.

    So it is most of a recording of quotes: each confirms its own price, and says it.
    """
    if not all(feed.tape.is_idle for feed in state.feeds.values()):
        return 0
    pulse_ns = max(state.pulse_ns + PULSE_NS, state.pulse_joins.due_ns)
    return min(state.listing.next_ns, pulse_ns)


def _are_fresh(state: State, now_ns: int) -> bool:
    """Return whether every price was confirmed lately, and not later than now."""
    for feed in state.feeds.values():  # noqa: SIM110 - a generator costs as much as all of this
        if not 0 < now_ns - feed.quotes.confirmed_ns < TICK_NS:
            return False
    return True


def _marks(state: State, now_ns: int) -> list[Struct]:
    said: list[Struct] = []
    for feed in state.feeds.values():
        said += map(_effect, feed.quotes.mark(now_ns))
    return said


def _fallback(state: State, now_ns: int) -> Said:
    """Read void books over REST, in turn and inside our share of the exchange's limit.

    A life that has no price yet does not wait to see whether the socket brings one: it may be
    refused, and everybody waits for a price.
    """
    void = [
        feed.quotes
        for pair, feed in state.feeds.items()
        if feed.quotes.book.is_void and pair in state.listing.instruments
    ]
    if not void:
        return ()
    priced_ns = max((q.agreed_ns for q in void if q.top is not None), default=0)
    if now_ns < state.fallback_due_ns or now_ns - priced_ns < FALLBACK_AFTER_NS:
        return ()
    state.fallback_due_ns = now_ns + FALLBACK_EVERY_NS
    asked = sorted(void, key=lambda quotes: quotes.asked_ns)[:FALLBACK_BOOKS]
    for quotes in asked:
        quotes.asked_ns = now_ns
    return tuple(ReadBook(quotes.pair) for quotes in asked)


def _say_feeds(state: State, now_ns: int) -> Said:
    """Say each pair's status, changed or not."""
    return tuple(_say_feed(state, feed, now_ns) for feed in state.feeds.values())


def _say_feed(state: State, feed: Feed, now_ns: int) -> Say:
    """Return how far a pair can be trusted; what changed is said again soon: it may be lost."""
    before, listing = feed.quotes.said, state.listing
    trouble = listing.trouble(feed.quotes.pair, now_ns)
    said = feed.quotes.state(now_ns, is_up=state.is_up, trouble=trouble)
    if before is None or before.status is not said.status:
        listing.repeats.hearer_came(now_ns)
    return Say(feed.feed_topic, said)


def health(state: State) -> Health:
    """READY when every pair has a price; DEGRADED while one has not, after that."""
    if not state.listing.instruments:
        return Health.RECOVERING
    feeds = [feed.quotes for feed in state.feeds.values()]
    said = [quotes.said.status for quotes in feeds if quotes.said]
    good = (FeedStatus.LIVE, FeedStatus.FALLBACK)
    if said and all(status in good for status in said):
        return Health.READY
    return Health.DEGRADED if any(quotes.top for quotes in feeds) else Health.RECOVERING


def actor(
    pairs: tuple[Pair, ...],
    start: Callable[[Struct], None],
    *,
    has_depth: bool = False,
    wants_day: bool = False,
) -> Actor[State]:
    """Return market_data for `pairs`; `start` begins the feed's effects.

    `has_depth`: whether anybody wants BookDepth of them. `wants_day`: whether a strategy looks back
    a day; it is read from the charts at the start, and again when the strategy actor comes back.
    """

    def perform(effect: Struct) -> None:
        if isinstance(effect, Complain):
            log.warning(effect.event, extra={"error": effect.detail})
        else:
            start(effect)

    feeds = {
        pair: Feed(
            quotes=Quotes(pair=pair, has_depth=has_depth),
            tape=Tape(
                pair=pair,
                candles=CandleMaker(pair),
                read_back_ns=DAY_NS if wants_day else BACKFILL_NS,
            ),
            feed_topic=f"feed.{pair}",
        )
        for pair in pairs
    }
    return Actor(
        name="market_data",
        state=State(feeds=feeds, listing=Listing(pairs)),
        handle=handle,
        watches=(*HEARERS, *SHOWS),
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
        at = config.addresses
        feed = BtcturkFeed(
            at.rest,
            at.ws,
            deliver,
            SystemClock().monotonic_ns,
            graph_url=at.graph if at.graph != at.rest else "",
            hear=hear,
        )
        feeds.append(feed)
        # The paper exchange fills orders from the levels that the market shows.
        hosted = configured(config).strategies
        wants_depth = any(s.WANTS_DEPTH for s in hosted)
        wants_day = any(is_allocator(s) and s.WANTS_DAY for s in hosted)
        has_depth = wants_depth or config.is_paper
        return actor(config.pairs, feed.start, has_depth=has_depth, wants_day=wants_day)

    place = place_of(config)
    try:
        await serve(make, place)
    finally:
        for feed in feeds:
            await feed.close()
