"""What was known at a moment: looked up by bisection, never a row from later than it.

A value is carried forward, and says since when it stands and whether the set has data of the
moment asked for: without, nobody knows whether it still held.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from msgspec import Struct

from btcbot.catalog.dataset import FOREVER, Dataset
from btcbot.catalog.intervals import Span, inside, union
from btcbot.catalog.rows import Candle, Channel, Quote, Row, Ticker, Trade
from btcbot.domain.ids import Pair

R = TypeVar("R", bound=Row)


class Found(Struct, Generic[R], frozen=True):
    """The newest row at a moment: known for `age_ns`; `is_covered`: there is data up to then."""

    row: R
    age_ns: int
    is_covered: bool


class Timeline(Generic[R]):
    """Rows in the order in which they were known."""

    def __init__(self, rows: Iterable[R], covered: Iterable[Span] = (FOREVER,)) -> None:
        # Sorted by time and by nothing else: of equal times the last one in the file is the newest.
        self._rows: Sequence[R] = sorted(rows, key=lambda row: row.at_ns)
        self._times = [row.at_ns for row in self._rows]
        self._covered = union(covered)

    def __len__(self) -> int:
        return len(self._rows)

    def at(self, now_ns: int) -> Found[R] | None:
        """Return the newest row known at `now_ns`; None when there was none yet. O(log n)."""
        index = bisect_right(self._times, now_ns)
        if not index:
            return None
        row = self._rows[index - 1]
        return Found(row, now_ns - row.at_ns, inside(self._covered, now_ns))

    def last(self, now_ns: int, count: int) -> Sequence[R]:
        """Return the newest `count` rows known at `now_ns`, oldest first. O(log n + count)."""
        index = bisect_right(self._times, now_ns)
        return self._rows[max(index - count, 0) : index]


class VirtualClock:
    """Steps from `start_ns` to `end_ns`, and never beyond."""

    def __init__(self, start_ns: int, end_ns: int, step_ns: int) -> None:
        """Stand at the start. Raises ValueError for a step that leads nowhere."""
        if step_ns <= 0 or end_ns < start_ns:
            raise ValueError(f"from {start_ns} to {end_ns} by {step_ns} ns: expected to go forward")
        self.now_ns, self._end_ns, self._step_ns = start_ns, end_ns, step_ns

    def advance(self) -> bool:
        """Step on; False, and no step, when it would pass the end."""
        if self.now_ns + self._step_ns > self._end_ns:
            return False
        self.now_ns += self._step_ns
        return True


class Lookup:
    """One pair of a data set as it was known at the time of a clock, which moves it on."""

    def __init__(
        self, dataset: Dataset, pair: Pair, clock: VirtualClock, span: Span = FOREVER
    ) -> None:
        """Read the rows of `span`. Raises DatasetError."""
        self._clock = clock
        self._candles = Timeline[Candle](*_read(dataset, pair, Channel.CANDLES, span))
        self._quotes = Timeline[Quote](*_read(dataset, pair, Channel.QUOTES, span))
        self._trades = Timeline[Trade](*_read(dataset, pair, Channel.TRADES, span))
        self._tickers = Timeline[Ticker](*_read(dataset, pair, Channel.TICKER, span))

    def quote(self) -> Found[Quote] | None:
        return self._quotes.at(self._clock.now_ns)

    def trade(self) -> Found[Trade] | None:
        return self._trades.at(self._clock.now_ns)

    def candles(self, count: int) -> Sequence[Candle]:
        """Return the last `count` candles that have closed."""
        return self._candles.last(self._clock.now_ns, count)

    def ticker(self) -> Found[Ticker] | None:
        return self._tickers.at(self._clock.now_ns)


def _read(dataset: Dataset, pair: Pair, channel: Channel, span: Span) -> tuple[list[R], list[Span]]:
    rows: list[R] = list(dataset.rows(pair, (channel,), span))  # type: ignore[arg-type]
    covered = [
        (one.from_ns, one.to_ns)
        for one in dataset.manifest.intervals
        if (one.channel, one.pair) == (channel, pair)
    ]
    return rows, covered
