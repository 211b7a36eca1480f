"""What the strategy actor remembers, and what it may look at. Owned by it, changed in place."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct, field

from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import FeeRates, Instrument
from btcbot.domain.messages import BookTop, FeedState
from btcbot.domain.words import FeedStatus, TradingState
from btcbot.pipeline.book import Books, Market, Standing, stand
from btcbot.pipeline.registry import AnyStrategy
from btcbot.pipeline.seats import Seat, Setup
from btcbot.portfolio.features import Memory
from btcbot.portfolio.rejects import Rejected
from btcbot.portfolio.selection import Selection
from btcbot.strategies.contract import MarketView

USABLE = (FeedStatus.LIVE, FeedStatus.FALLBACK)


class Quiet(Struct):
    """What was recorded last, so that what stays the same is not recorded again."""

    signature: str = ""
    unsaid: int = 0
    said_ns: tuple[int, ...] = ()  # Of the last records without an intent.


class State(Struct, kw_only=True):
    setup: Setup
    seats: dict[str, Seat]  # In the order they are served.
    tops: dict[Pair, BookTop] = field(default_factory=dict)
    rules: Mapping[Pair, Instrument] = field(default_factory=dict)
    fees: Mapping[Pair, FeeRates] = field(default_factory=dict)
    trusted: dict[Pair, FeedStatus] = field(default_factory=dict)  # Feeds whose prices count.
    books: Books = field(default_factory=Books)
    epoch: int = 0
    decisions: int = 0
    refused: dict[str, tuple[int, int]] = field(default_factory=dict)  # Slot: not before, pause.
    rejects: Mapping[Pair, Rejected] = field(default_factory=dict)
    moving: dict[str, tuple[str, ...]] = field(default_factory=dict)  # Transfers asked for: slots.
    records: int = 0
    unkept: list[tuple[str, bytes]] = field(default_factory=list)  # Records to ask for.
    is_keeping: bool = False  # A wait for asking is on.
    quiet: dict[Asset, Quiet] = field(default_factory=dict)
    memories: dict[Pair, Memory] = field(default_factory=dict)  # Only if somebody chooses pairs.
    selection: Selection = field(default_factory=Selection)
    scores: Mapping[Pair, Decimal] = field(default_factory=dict)
    looked_ns: dict[str, int] = field(default_factory=dict)  # When each clock seat last looked.
    policy: Any = None  # The policy's own state.
    silent: tuple[str, ...] = ("market_data", "risk_gate", "execution")
    trading: TradingState = TradingState.PAUSED  # Fail closed until execution says otherwise.
    is_caught_up: bool = False
    may_decide: bool = False


def opened(setup: Setup, hosted: Iterable[AnyStrategy], fees: Mapping[Pair, FeeRates]) -> State:
    """Return the state before anything was heard; `hosted`: the strategy of each seat."""
    tops: dict[Pair, BookTop] = {}
    seats = {}
    for seat, strategy in zip(setup.seats, hosted, strict=True):
        view = MarketView(tops=tops, fees=fees, strategy=seat.name)
        seats[seat.name] = Seat(setup=seat, inner=strategy.start(seat.params), view=view)
    return State(setup=setup, seats=seats, tops=tops, fees=fees)


def restored(begin: Callable[[], State], raw: bytes) -> State:
    """Return the state that `raw` is the bytes of; `begin` makes one in which nothing is known.

    Of their own parts only the strategies it hosts, and the policy, know the types; what they did
    not change is as they made it. What a life has once, its seats share again. Raises
    msgspec.MsgspecError when it is of other code.
    """
    fresh, found = begin(), msgspec.msgpack.decode(raw, type=State)
    found.setup, found.fees = fresh.setup, fresh.fees
    for name, seat in found.seats.items():
        seat.view.tops, seat.view.rules, seat.view.fees = found.tops, found.rules, found.fees
        if (own := fresh.seats.get(name)) is not None:
            seat.setup, seat.inner = own.setup, _typed(seat.inner, own.inner)
    if fresh.policy is not None:
        found.policy = msgspec.convert(found.policy, type(fresh.policy))
    return found


def _typed(plain: Any, fresh: Any) -> Any:  # noqa: ANN401 - a strategy's own state
    """Return a strategy's state, read without its types, as one of its own.

    The type of all of it says what is inside only where it is declared: a dict may hold anything.
    """
    encode = msgspec.msgpack.encode
    return fresh if encode(plain) == encode(fresh) else msgspec.convert(plain, type(fresh))


def hear_feed(state: State, feed: FeedState) -> None:
    """Take how far a pair can be trusted."""
    if feed.status in USABLE:
        state.trusted[feed.pair] = feed.status
    else:
        state.trusted.pop(feed.pair, None)


def learn(state: State, instruments: Iterable[Instrument]) -> None:
    """Take the rules of the pairs, by name."""
    rows = sorted(instruments, key=lambda row: row.pair)
    state.rules = {row.pair: row for row in rows}
    for seat in state.seats.values():
        seat.view.rules = state.rules


def quote_of(state: State, pair: Pair) -> Asset:
    """Return the pair's quote; every pair of BTCTurk is quoted in TRY or USDT."""
    rules = state.rules.get(pair)
    return Asset("TRY" if pair.endswith("TRY") else "USDT") if rules is None else rules.quote


def market(state: State, quote: Asset) -> Market:
    """Return the pairs of `quote`; a price counts while its feed can be trusted."""
    rules = {p: row for p, row in state.rules.items() if row.quote == quote and p in state.fees}
    tops = {}
    for pair in rules:
        top = state.tops.get(pair)
        if top is not None and pair in state.trusted:
            tops[pair] = top
    return Market(quote=quote, rules=rules, fees=state.fees, tops=tops)


def standing_in(state: State, quote: Asset, now_ns: int) -> Standing:
    """Return how the account stands in the pairs of `quote`."""
    return stand(state.books, tuple(state.seats.values()), market(state, quote), now_ns)
