"""What is known of a pair's market, folded from tops, depths and candles as they come.

A figure that cannot be known is None and `missing` says why: too early, too old, not heard. Signals
are decimals of 16 digits: the same on every machine, and exact enough to rank by.
"""

from collections.abc import Iterable
from decimal import Context, Decimal
from itertools import pairwise
from typing import Annotated, Final

from msgspec import Meta, Struct, field

from btcbot.domain.ids import Pair
from btcbot.domain.messages import BookDepth, BookTop, Candle, Level
from btcbot.domain.money import BPS_IN_ONE, ZERO, Bps, Notional, Price
from btcbot.portfolio.history import ALL_HEARD, BUCKET_NS, DAY, HEARD_MIN, TOLERANCE, History
from btcbot.portfolio.reasons import Missing

SIGNAL: Final = Context(prec=16)
SECOND_NS: Final = 1_000_000_000
LAG: Final = 2  # Buckets: how old a volatility may be.
HALF: Final = Decimal("0.5")


class FeatureRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How features are taken."""

    quote_age_max_s: Annotated[int, Meta(ge=1, le=3_600)] = 20
    depth_reach_bps: Annotated[int, Meta(ge=1, le=1_000)] = 50  # From the middle, each way.
    volatility_buckets: Annotated[int, Meta(ge=2, le=280)] = 20  # Returns of five minutes each.


class Features(Struct, frozen=True, kw_only=True, gc=False):
    """One pair at one time; amounts in the pair's quote.

    `depth` is the thinner side of the book: what can be bought or sold at once near the book's
    middle. Without ten levels it is the top's alone, which is the least there is. `momentum` and
    `volatility` are ratios: 0.01 is a percent.
    """

    pair: Pair
    quoted_ns: int | None  # When the newest quote was last confirmed; None: never heard.
    middle: Price | None
    spread_bps: Bps | None
    depth: Notional | None
    momentum: Decimal | None  # The middle against the price of a day ago.
    volatility: Decimal | None  # Standard deviation of the returns of five minutes.
    turnover: Notional | None  # Of a day.
    missing: tuple[Missing, ...]


class Memory(Struct):
    """What is remembered of one pair; owned by the strategy actor, changed in place, bounded."""

    pair: Pair
    history: History = field(default_factory=History)
    top: BookTop | None = None
    depth: Decimal = ZERO  # Of the newest ten levels.
    depth_ns: int | None = None  # When they were last confirmed; None: never heard.
    volatility: Decimal | None = None
    volatility_of: int = 0  # The last bucket it was taken over.


def see_top(memory: Memory, top: BookTop) -> None:
    """Remember the newest quote; an older confirmation never replaces a newer one."""
    if memory.top is None or top.confirmed_ns >= memory.top.confirmed_ns:
        memory.top = top


def see_depth(memory: Memory, rules: FeatureRules, book: BookDepth) -> None:
    """Remember what the newest ten levels are worth within reach: taken per book, not per reading.

    A side without a level is worth nothing.
    """
    if memory.depth_ns is not None and book.confirmed_ns < memory.depth_ns:
        return
    memory.depth_ns, memory.depth = book.confirmed_ns, ZERO
    if book.bids and book.asks:
        middle = (book.bids[0].price + book.asks[0].price) * HALF
        reach = middle * rules.depth_reach_bps / BPS_IN_ONE
        low, high = middle - reach, middle + reach
        bids = _worth(level for level in book.bids if level.price >= low)
        asks = _worth(level for level in book.asks if level.price <= high)
        memory.depth = min(bids, asks)


def see_candle(memory: Memory, rules: FeatureRules, candle: Candle) -> None:
    """Fold one minute into the day, and take the volatility anew: per minute, not reading."""
    if memory.history.add(candle):
        memory.volatility_of, memory.volatility = volatility(
            memory.history, rules.volatility_buckets
        )


def read(memory: Memory, rules: FeatureRules, now_ns: int) -> Features:
    """Return what is known of the pair at `now_ns`."""
    top = memory.top
    missing: list[Missing] = []
    if top is None:
        missing.append(Missing.QUOTE)
    elif now_ns - top.confirmed_ns > rules.quote_age_max_s * SECOND_NS:
        missing.append(Missing.STALE_QUOTE)
    middle = spread = None
    if top is not None and not missing:
        middle = (top.bid + top.ask) * HALF
        spread = SIGNAL.divide((top.ask - top.bid) * BPS_IN_ONE, middle)
    return Features(
        pair=memory.pair,
        quoted_ns=None if top is None else top.confirmed_ns,
        middle=None if middle is None else Price(middle),
        spread_bps=None if spread is None else Bps(spread),
        depth=_depth(memory, rules, middle, now_ns, missing),
        momentum=_momentum(memory.history, middle, now_ns, missing),
        volatility=_volatility(memory, now_ns, missing),
        turnover=_turnover(memory.history, now_ns, missing),
        missing=tuple(missing),
    )


def volatility(history: History, lookback: int) -> tuple[int, Decimal | None]:
    """Return the last whole bucket, and the standard deviation of the `lookback` returns up to it.

    A return is close / close before - 1, of buckets heard whole; one without a trade keeps the
    price it had. The population's deviation: sqrt(mean of squares - square of mean). None: a
    bucket was not heard whole, or nothing traded before.
    """
    newest = history.at(history.newest)
    is_whole = newest is not None and newest.heard == ALL_HEARD
    last = history.newest if is_whole else history.newest - 1
    closes: list[Decimal] = []
    close = history.close_before(last - lookback)
    for number in range(last - lookback, last + 1):
        bucket = history.at(number)
        if bucket is None or bucket.heard != ALL_HEARD:
            return last, None
        close = close if bucket.close is None else bucket.close
        if close is None:
            return last, None
        closes.append(close)
    returns = [SIGNAL.divide(after - before, before) for before, after in pairwise(closes)]
    count = Decimal(lookback)
    total, squares = sum(returns, ZERO), sum((r * r for r in returns), ZERO)
    # Exact until the division: what is left of two equal sums is 0 and never below it.
    variance = SIGNAL.divide(count * squares - total * total, count * count)
    return last, SIGNAL.sqrt(max(variance, ZERO))


def _depth(
    memory: Memory, rules: FeatureRules, middle: Decimal | None, now_ns: int, missing: list[Missing]
) -> Notional | None:
    seen_ns, top = memory.depth_ns, memory.top
    if middle is None or top is None:
        return None
    if seen_ns is None or now_ns - seen_ns > rules.quote_age_max_s * SECOND_NS:
        missing.append(Missing.DEPTH)
        return Notional(min(top.bid * top.bid_quantity, top.ask * top.ask_quantity))
    return Notional(memory.depth)


def _worth(levels: Iterable[Level]) -> Decimal:
    return sum((level.price * level.quantity for level in levels), ZERO)


def _momentum(
    history: History, middle: Decimal | None, now_ns: int, missing: list[Missing]
) -> Decimal | None:
    before = history.close_near(now_ns // BUCKET_NS - DAY)
    if before is None:
        missing.append(Missing.MOMENTUM)
    if before is None or middle is None:
        return None
    return SIGNAL.divide(middle - before, before)


def _volatility(memory: Memory, now_ns: int, missing: list[Missing]) -> Decimal | None:
    if memory.volatility is None or now_ns // BUCKET_NS - memory.volatility_of > LAG:
        missing.append(Missing.VOLATILITY)
        return None
    return memory.volatility


def _turnover(history: History, now_ns: int, missing: list[Missing]) -> Notional | None:
    is_late = now_ns // BUCKET_NS - history.newest > TOLERANCE
    if is_late or history.heard < HEARD_MIN:
        missing.append(Missing.TURNOVER)
        return None
    return Notional(history.turnover)
