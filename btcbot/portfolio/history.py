"""One pair's last day in buckets: bounded, exact, the same in whatever order candles arrive.

A ring of buckets of five minutes, a little longer than a day. A bucket knows the last price at
which anything traded in it, and which of its minutes were heard whole: no trade is one thing, no
candle another. Sums are kept by adding and taking away, which decimals do without drift.
"""

from decimal import Decimal
from typing import Final

from msgspec import Struct, field

from btcbot.domain.messages import Candle
from btcbot.domain.money import ZERO

MINUTE_NS: Final = 60_000_000_000
MINUTES: Final = 5  # Of a bucket.
BUCKET_NS: Final = MINUTES * MINUTE_NS
DAY: Final = 288  # Buckets.
TOLERANCE: Final = 6  # Buckets: how far from a day ago a price may lie to be called of then.
SLOTS: Final = DAY + TOLERANCE + 2
HEARD_MIN: Final = 1_368  # Minutes, 95 % of a day: less is no day's turnover.
ALL_HEARD: Final = (1 << MINUTES) - 1


class Bucket(Struct, gc=False):
    """Five minutes; `heard` has a bit for each minute that was heard whole."""

    number: int
    heard: int = 0
    close: Decimal | None = None  # None: nothing traded, as far as was heard.
    close_ns: int = 0  # The minute of `close`.
    turnover: Decimal = ZERO


class History(Struct):
    """Owned, one a pair, changed in place by `add`; never longer than SLOTS buckets."""

    ring: list[Bucket | None] = field(default_factory=lambda: [None] * SLOTS)
    newest: int = -1  # The highest bucket number seen.
    oldest: int = 1 << 62  # The lowest.
    turnover: Decimal = ZERO  # Of the DAY buckets up to the newest, in quote.
    heard: int = 0  # Minutes of the same, heard whole.

    def add(self, candle: Candle) -> bool:
        """Fold one minute; return whether it lay within the ring and so may have changed it.

        A minute that is told again moves the close; its turnover counts once, as first told whole.
        """
        number = candle.start_ns // BUCKET_NS
        if candle.span_ns != MINUTE_NS or number <= self.newest - SLOTS:
            return False
        if number > self.newest:
            self._advance(number)
        self.oldest = min(self.oldest, number)
        bucket = self._bucket(number)
        if candle.prices is not None and candle.start_ns >= bucket.close_ns:
            bucket.close, bucket.close_ns = candle.prices.close, candle.start_ns
        bit = 1 << (candle.start_ns // MINUTE_NS % MINUTES)
        if candle.is_complete and not bucket.heard & bit:
            bucket.heard |= bit
            worth = _turnover(candle)
            bucket.turnover += worth
            if number > self.newest - DAY:
                self.turnover += worth
                self.heard += 1
        return True

    def at(self, number: int) -> Bucket | None:
        """Return the bucket `number`; None when no candle of it was heard, or it is forgotten."""
        found = self.ring[number % SLOTS]
        # One that is too old may lie there still: whether it does hangs on what came since.
        is_it = found is not None and found.number == number > self.newest - SLOTS
        return found if is_it else None

    def close_near(self, number: int, reach: int = TOLERANCE) -> Decimal | None:
        """Return the close nearest to the bucket `number`, the earlier of two; None: none."""
        if number + reach < self.oldest:
            return None  # So it is for the first day.
        for away in range(reach + 1):
            for candidate in (number - away, number + away):
                found = self.at(candidate)
                if found is not None and found.close is not None:
                    return found.close
        return None

    def close_before(self, number: int) -> Decimal | None:
        """Return the last close before the bucket `number`, if all since it was heard whole."""
        for earlier in range(number - 1, number - 1 - TOLERANCE, -1):
            found = self.at(earlier)
            if found is None or found.heard != ALL_HEARD:
                return None
            if found.close is not None:
                return found.close
        return None

    def _bucket(self, number: int) -> Bucket:
        found = self.at(number)
        if found is None:
            found = self.ring[number % SLOTS] = Bucket(number)
        return found

    def _advance(self, number: int) -> None:
        """Move the day on to `number`: what leaves it is taken from the sums."""
        for leaving in range(self.newest - DAY + 1, min(number - DAY, self.newest) + 1):
            gone = self.at(leaving)
            if gone is not None:
                self.turnover -= gone.turnover
                self.heard -= gone.heard.bit_count()
        self.newest = number


def _turnover(candle: Candle) -> Decimal:
    """Return what was traded, in quote; of a backfill, which does not tell, the least it can be."""
    if candle.turnover is not None:
        return candle.turnover
    return ZERO if candle.prices is None else candle.volume * candle.prices.low
