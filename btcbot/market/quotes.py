"""One pair's prices: the book followed change by change, and the top that is said of it.

When the book is void a fresh snapshot is asked for, one at a time, and a book over REST may stand
in. The tickers are a second opinion: a book that does not agree with them for long is void.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from msgspec import Struct

from btcbot.domain.feed import BookChange, BookRead, BookSnapshot, Join, SeenTicker
from btcbot.domain.ids import Pair
from btcbot.domain.messages import BookDepth, BookTop, FeedState
from btcbot.domain.money import Price
from btcbot.domain.words import FeedStatus
from btcbot.market.book import Applied, Book, Top, top_of
from btcbot.market.freshness import STALE_NS, status_of
from btcbot.market.say import SECOND_NS, Again, Complain, Rejoins, Said, Say

TOP_EVERY_NS: Final = 50_000_000  # In a burst a top is said this often: the newest, never each.
MARK_EVERY_NS: Final = SECOND_NS - SECOND_NS // 10
DEPTH_LEVELS: Final = 10
DISAGREES_NS: Final = 5 * SECOND_NS
LIVE: Final = FeedStatus.LIVE
TOUCHES: Final = 16  # What the touch was lately: a ticker may come a batch later than the book.


class Source(Enum):
    BOOK = "the socket's book"
    REST = "a book over REST"
    NONE = "nowhere"


@dataclass(kw_only=True, slots=True)  # A Struct's fields are five times as dear to set.
class Quotes:
    """Owned by market_data, one a pair, changed in place."""

    pair: Pair
    top_topic: str = ""  # By the pair, like the next: a name made anew each time is looked up anew.
    mark_topic: str = ""
    has_depth: bool = False
    book: Book = field(default_factory=Book)
    is_empty: bool = False  # The book is whole, but a side of it has nothing: no price.
    top: BookTop | None = None
    is_top_due: bool = False
    said_ns: int = 0
    told_ns: int = 0  # The confirmation that was last said on `top.`.
    marked_ns: int = 0
    confirmed_ns: int = 0  # When a frame last showed that the price is the current one.
    is_fallback: bool = False
    asked_ns: int = 0  # When a book over REST was last asked for.
    read_ns: int = 0  # By the exchange's clock: of the last book over REST.
    reason: str = "not heard yet"
    said: FeedState | None = None
    joins: Rejoins = field(default_factory=Rejoins)
    touches: tuple[tuple[Price, Price], ...] = ()
    agreed_ns: int = 0
    doubts: Rejoins = field(default_factory=lambda: Rejoins(wait_ns=DISAGREES_NS))

    def __post_init__(self) -> None:
        self.top_topic, self.mark_topic = f"top.{self.pair}", f"mark.{self.pair}"

    @property
    def is_whole(self) -> bool:
        """Whether the book has a price that frames of this session confirm."""
        return not self.book.is_void and not self.is_empty

    @property
    def source(self) -> Source:
        """Where a price comes from just now."""
        if self.is_whole:
            return Source.BOOK
        return Source.REST if self.is_fallback else Source.NONE

    def stays_live(self, now_ns: int) -> bool:
        """Whether it was said that the price can be trusted, and nothing of ours denies it."""
        if self.said is None or self.said.status is not LIVE or not self.is_whole:
            return False
        return 0 < now_ns - self.confirmed_ns <= STALE_NS

    # --- heard --------------------------------------------------------------------------------

    def session_began(self, now_ns: int) -> Said:
        """Begin anew; the socket joins every pair itself."""
        self._void("waiting for a snapshot", now_ns)
        self.joins = Rejoins()
        self.joins.asked(now_ns)
        return (Again(self.pair, self.joins.due_ns),)

    def session_ended(self, reason: str, now_ns: int) -> None:
        self._void(reason, now_ns)

    def hear_top(self, top: BookTop) -> None:
        """Take a quote that has nothing beneath it; recordings come this way."""
        if self.book.is_void:
            self.book.is_void = False  # A quote is whole: nothing of it can be missing.
        self.confirmed_ns = self.told_ns = top.confirmed_ns
        self.top = top

    def hear_snapshot(self, seen: BookSnapshot, now_ns: int) -> Said:
        applied = self.book.reset(seen.change_set, seen.bids, seen.asks)
        if applied is not Applied.DONE:
            return self._lost(applied.value, now_ns)
        self.joins.answered(now_ns)
        self.is_fallback, self.agreed_ns = False, now_ns
        return self._booked(now_ns)

    def hear_change(self, seen: BookChange, now_ns: int) -> Said:
        was_void = self.book.is_void
        applied = self.book.apply(seen.change_set, seen.bids, seen.asks)
        if applied is Applied.DONE:
            return self._booked(now_ns)
        if applied is Applied.OLD or was_void:  # A snapshot is on its way.
            return ()
        return self._lost(applied.value, now_ns)

    def hear_read(self, read: BookRead, now_ns: int) -> Said:
        """Take a book over REST while the socket's is void; it says that it is a fallback."""
        if not self.book.is_void or read.event_ns < self.read_ns:
            return ()
        top = top_of(read.bids, read.asks)
        if top is None:
            return ()
        self.is_fallback, self.read_ns = True, read.event_ns
        return self._say_top(top, now_ns)

    def hear_ticker(self, row: SeenTicker, now_ns: int) -> Said:
        """Hold a ticker's touch against ours; one that differs for long voids the book.

        More rarely where fresh snapshots do not agree either: then it is the ticker that is odd.
        """
        if not self.is_whole or row.bid is None or row.ask is None:
            return ()
        if (row.bid, row.ask) in self.touches:
            self.agreed_ns = now_ns
            self.doubts.answered(now_ns)
        elif now_ns - self.agreed_ns > DISAGREES_NS and now_ns >= self.doubts.due_ns:
            self.doubts.asked(now_ns)
            return self._lost(f"its touch is not the ticker's {row.bid}, {row.ask}", now_ns)
        return ()

    # --- timers -------------------------------------------------------------------------------

    def look_again(self, now_ns: int, *, is_up: bool) -> Said:
        """Say the top that a burst held back; join again what brought no snapshot."""
        if self.is_top_due and (top := self.book.top()) is not None:
            self.is_top_due = False
            return self._say_top(top, now_ns)
        return self._rejoin(now_ns) if self.book.is_void and is_up else ()

    def tick(self, now_ns: int, alive_ns: int, *, is_up: bool) -> list[Struct]:
        """Say again what is confirmed, and the depth; `alive_ns`: of the session's last data."""
        is_void = self.book.is_void
        if alive_ns > self.confirmed_ns and not is_void and not self.is_empty:
            self.confirmed_ns = alive_ns
        said: list[Struct] = []
        top = self.top
        if top is not None and self.confirmed_ns > self.told_ns and not self.is_top_due:
            self.top = _confirmed(top, self.confirmed_ns)
            self.told_ns = self.confirmed_ns
            said.append(Say(self.top_topic, self.top))
        if self.confirmed_ns and now_ns - self.confirmed_ns < 2 * SECOND_NS:
            said += self.mark(now_ns)
            if self.has_depth:
                said += self._depth()
        if is_void and is_up:
            said += self._rejoin(now_ns)
        return said

    def mark(self, now_ns: int) -> Said:
        """Say the top on `mark.` too, at most once a second: for those who only judge by it."""
        if self.top is None or now_ns - self.marked_ns < MARK_EVERY_NS:
            return ()
        self.marked_ns = now_ns
        return (Say(self.mark_topic, self.top),)

    def state(self, now_ns: int, *, is_up: bool, trouble: str) -> FeedState:
        """Return how far the pair can be trusted; `trouble`: why not, whatever is heard."""
        confirmed_ns, is_whole = self.confirmed_ns, self.is_whole
        status = status_of(
            confirmed_ns, now_ns, is_up=is_up, is_whole=is_whole, is_fallback=self.is_fallback
        )
        reason = self.reason
        if status is LIVE:
            reason = ""
        elif is_whole and confirmed_ns:
            reason = f"no data for {(now_ns - confirmed_ns) // SECOND_NS} s"
        if trouble:
            status, reason = FeedStatus.DOWN, trouble
        self.said = FeedState(
            pair=self.pair,
            status=status,
            confirmed_ns=confirmed_ns,
            reason=reason,
            at_ns=now_ns,
        )
        return self.said

    # --- inside -------------------------------------------------------------------------------

    def _booked(self, now_ns: int) -> Said:
        """Say the new top; in a burst only once in a while, the newest last."""
        top = self.book.top()
        self.is_empty = top is None
        if top is None:
            self.reason, self.top, self.is_top_due = "a side of the book is empty", None, False
            return ()
        self.confirmed_ns, self.reason = now_ns, ""
        self.touches = (*self.touches[1 - TOUCHES :], (top[0], top[2]))
        if now_ns - self.said_ns >= TOP_EVERY_NS:
            self.is_top_due = False
            return self._say_top(top, now_ns)
        if self.is_top_due:
            return ()
        self.is_top_due = True
        return (Again(self.pair, self.said_ns + TOP_EVERY_NS),)

    def _say_top(self, top: Top, now_ns: int) -> Said:
        old = self.top
        bid, bid_quantity, ask, ask_quantity = top
        is_same = old is not None and top == (old.bid, old.bid_quantity, old.ask, old.ask_quantity)
        self.confirmed_ns = now_ns
        self.top = BookTop(
            pair=self.pair,
            bid=bid,
            bid_quantity=bid_quantity,
            ask=ask,
            ask_quantity=ask_quantity,
            changed_ns=old.changed_ns if is_same and old is not None else now_ns,
            confirmed_ns=now_ns,
        )
        if is_same:
            return self.mark(now_ns)
        self.said_ns = self.told_ns = now_ns
        return (Say(self.top_topic, self.top), *self.mark(now_ns))

    def _depth(self) -> Said:
        if (found := self.book.depth(DEPTH_LEVELS)) is None:
            return ()
        bids, asks = found
        depth = BookDepth(pair=self.pair, bids=bids, asks=asks, confirmed_ns=self.confirmed_ns)
        return (Say(f"depth.{self.pair}", depth),)

    def _void(self, reason: str, now_ns: int) -> None:
        self.book.is_void, self.reason = True, reason
        self.is_top_due = self.is_fallback = self.is_empty = False
        self.agreed_ns = now_ns
        self.touches = ()

    def _lost(self, why: str, now_ns: int) -> Said:
        """Give the book up and ask for a fresh one."""
        self._void(f"book {why}", now_ns)
        return (Complain("book_void", f"{self.pair}: {why}"), *self._rejoin(now_ns))

    def _rejoin(self, now_ns: int) -> Said:
        """Ask for a snapshot, unless one may still be on its way: then look again."""
        if now_ns < self.joins.due_ns:
            return (Again(self.pair, self.joins.due_ns),)
        self.joins.asked(now_ns)
        return (Join(self.pair), Again(self.pair, self.joins.due_ns))


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
