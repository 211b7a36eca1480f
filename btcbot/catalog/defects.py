"""What may be wrong with rows that can be read: one judge a pair, fed in the order of the file.

A gap is told apart from quiet: only what proves that something is missing counts (numbers of
changes or trades that jump, candles that do not touch).
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from enum import StrEnum
from operator import gt, lt

from msgspec import Struct

from btcbot.catalog.joining import ChangesMissing, Joiner
from btcbot.catalog.rows import CHANNEL_OF, Candle, Channel, Depth, Quote, Row, Ticker, Trade
from btcbot.domain.feed import TextLevel


class Flaw(StrEnum):
    VALUE = "value"  # Not what it should be: NaN, negative, no number, no time.
    DISORDER = "disorder"
    DUPLICATE = "duplicate"
    GAP = "gap"
    CROSSED = "crossed"
    HIGH_LOW = "high_low"
    HASH = "hash"
    TRUNCATED = "truncated"
    MISSING = "missing"
    FORM = "form"  # A file or folder that is not what it is taken for.


class Defect(Struct, frozen=True):
    """One defect; `row` counts from 1 as the file does, 0: it is of the file as a whole."""

    file: str
    row: int
    flaw: Flaw
    reason: str

    def __str__(self) -> str:
        where = f"{self.file}, row {self.row}" if self.row else self.file
        return f"{where}: {self.flaw}: {self.reason}"


class Finding(Struct, frozen=True):
    """What a judge says of one row; a gap is from `since_ns` to the row's own time."""

    flaw: Flaw
    reason: str
    since_ns: int = 0


class Judge:
    """Judges the rows of one pair; `has_running_ids`: trades are numbered without holes."""

    def __init__(self, *, has_running_ids: bool) -> None:
        self._has_running_ids = has_running_ids
        self._last_ns: dict[Channel, int] = {}
        self._trade_id = 0
        self._update_id = 0
        self._candle: Candle | None = None
        self._book = _Book()

    def judge(self, row: Row) -> Iterator[Finding]:
        """Yield what is wrong with the next row."""
        channel = CHANNEL_OF[type(row)]
        last_ns = self._last_ns.get(channel, 0)
        if row.at_ns < last_ns:
            yield Finding(
                Flaw.DISORDER, f"time goes from {last_ns} to {row.at_ns}; it must not go back"
            )
        self._last_ns[channel] = max(last_ns, row.at_ns)
        match row:
            case Depth():
                yield from self._book.judge(row, last_ns)
            case Trade():
                yield from self._trade(row, last_ns)
            case Quote():
                yield from self._quote(row)
            case Candle():
                yield from self._of_candle(row)
            case Ticker():
                if row.high < row.low:
                    yield Finding(Flaw.HIGH_LOW, f"high {row.high} is below low {row.low}")

    def _trade(self, row: Trade, last_ns: int) -> Iterator[Finding]:
        if row.trade_id is None:
            return
        last = self._trade_id
        self._trade_id = max(last, row.trade_id)
        if row.trade_id <= last:
            yield Finding(Flaw.DUPLICATE, f"trade {row.trade_id} after trade {last}")
        elif self._has_running_ids and last and row.trade_id > last + 1:
            missing = row.trade_id - last - 1
            reason = f"{missing} trades are missing after trade {last}"
            yield Finding(Flaw.GAP, reason, last_ns)

    def _quote(self, row: Quote) -> Iterator[Finding]:
        if row.bid >= row.ask:
            yield Finding(
                Flaw.CROSSED, f"bid {row.bid}, ask {row.ask}: the bid must be below the ask"
            )
        if row.update_id is not None:
            if row.update_id <= self._update_id:
                reason = f"update {row.update_id} after update {self._update_id}"
                yield Finding(Flaw.DUPLICATE, reason)
            self._update_id = max(self._update_id, row.update_id)

    def _of_candle(self, row: Candle) -> Iterator[Finding]:
        low, high = min(row.open, row.close), max(row.open, row.close)
        if not row.low <= low <= high <= row.high:
            figures = f"open {row.open}, high {row.high}, low {row.low}, close {row.close}"
            yield Finding(Flaw.HIGH_LOW, f"{figures}; allowed is low <= open, close <= high")
        last, self._candle = self._candle, row
        if last is None:
            return
        if row.open_ns == last.open_ns:
            yield Finding(
                Flaw.DUPLICATE, f"a second one opens at {row.open_ns}; candles must rise in time"
            )
        elif row.open_ns > last.at_ns:
            span_ns = row.at_ns - row.open_ns
            missing = -(-(row.open_ns - last.at_ns) // span_ns)
            yield Finding(Flaw.GAP, f"{missing} candles are missing", last.at_ns)


class _Book:
    """Whether changes follow each other, and whether the book that they make crosses."""

    def __init__(self) -> None:
        self._levels = Levels()
        self._joiner = Joiner()
        self._seen = 0  # The newest change since the last snapshot.

    def judge(self, row: Depth, last_ns: int) -> Iterator[Finding]:
        if row.is_snapshot:
            self._seen = 0
        elif self._seen and row.last <= self._seen:
            yield Finding(Flaw.DUPLICATE, f"changes to {row.last} after changes to {self._seen}")
        self._seen = max(self._seen, 0 if row.is_snapshot else row.last)
        try:
            joined = self._joiner.take(row)
        except ChangesMissing as missing:
            yield Finding(Flaw.GAP, str(missing), last_ns)
            return
        for one in joined:
            if crossed := self._levels.apply(one):
                yield Finding(Flaw.CROSSED, crossed)


class Levels:
    """The prices of a book, to see whether it crosses."""

    def __init__(self) -> None:
        self._bids: dict[Decimal, None] = {}
        self._asks: dict[Decimal, None] = {}
        self._bid: Decimal | None = None
        self._ask: Decimal | None = None

    def apply(self, row: Depth) -> str:
        """Take a frame; return what is wrong with the book then, empty: nothing."""
        if row.is_snapshot:
            self._bids, self._asks = {}, {}
        self._bid = _change(self._bids, self._bid, row.bids, is_bid=True)
        self._ask = _change(self._asks, self._ask, row.asks, is_bid=False)
        bid, ask = self._bid, self._ask
        if bid is not None and ask is not None and bid >= ask:
            return f"bid {bid}, ask {ask}: the bid must be below the ask"
        return ""


def _change(
    side: dict[Decimal, None],
    best: Decimal | None,
    levels: Iterable[TextLevel],
    *,
    is_bid: bool,
) -> Decimal | None:
    """Take changed levels; return the best price of the side. It is searched where it fell."""
    is_better = gt if is_bid else lt
    is_lost = not side
    for found in levels:
        price = Decimal(found.price)
        if found.amount != "0":
            side[price] = None
            if best is None or is_better(price, best):
                best = price
        else:
            side.pop(price, None)
            is_lost = is_lost or price == best
    if is_lost:
        return max(side, default=None) if is_bid else min(side, default=None)
    return best
