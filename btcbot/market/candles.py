"""Candles of one pair from its trades, the same in whatever order the trades arrive.

A minute belongs to the trades that happened in it by the exchange's clock. It is closed once the
feed is known to cover it; a minute without a trade is then known to have had none. Where trades may
have been missed the minute says that it is not complete: no trade is one thing, no data another.
"""

from decimal import Decimal
from typing import Final

from msgspec import Struct, field

from btcbot.domain.feed import SeenTrade
from btcbot.domain.ids import Pair
from btcbot.domain.messages import Candle, Ohlc
from btcbot.domain.money import Notional, Price, Quantity
from btcbot.domain.words import CandleSource

MINUTE_NS: Final = 60_000_000_000
KEPT_NS: Final = 10 * MINUTE_NS  # How long a trade may come late and still be counted.
AT_ONCE_MAX: Final = 240  # Minutes closed at one time: after that, an absence is not told by each.

Key = tuple[int, int]  # (event_ns, trade_id): the order in which trades happened.


class Minute(Struct):
    """What happened in one minute so far."""

    start_ns: int
    first: Key = (0, 0)
    last: Key = (0, 0)
    open: Decimal = Decimal(0)
    high: Decimal = Decimal(0)
    low: Decimal = Decimal(0)
    close: Decimal = Decimal(0)
    volume: Decimal = Decimal(0)
    turnover: Decimal = Decimal(0)
    trades: int = 0
    is_complete: bool = True
    is_said: bool = False

    def add(self, trade: SeenTrade) -> None:
        key, price, is_new = (trade.event_ns, trade.trade_id), trade.price, not self.trades
        if is_new or key < self.first:
            self.first, self.open = key, price
        if is_new or key > self.last:
            self.last, self.close = key, price
        if is_new or price > self.high:
            self.high = price
        if is_new or price < self.low:
            self.low = price
        self.volume += trade.quantity
        self.turnover += price * trade.quantity
        self.trades += 1


class CandleMaker(Struct):
    """Owned by market_data, one a pair, changed in place.

    Nothing is known before `begin`. `cover` moves on the time up to which every trade was heard,
    `lose` marks a time in which some may not have been.
    """

    pair: Pair
    minutes: dict[int, Minute] = field(default_factory=dict)
    next_ns: int = 0  # The first minute that is not closed yet; 0: not begun.
    covered_ns: int = 0
    has_news: bool = False  # Of a minute that was closed before.
    misplaced: int = 0  # Trades of a time nobody can be told of, long past or far ahead.

    def begin(self, from_ns: int) -> None:
        """Know every trade from `from_ns` on; the minute it lies in is not complete."""
        self.next_ns = _start(from_ns)
        self.covered_ns = from_ns
        if from_ns > self.next_ns:
            self._minute(self.next_ns).is_complete = False

    @property
    def is_begun(self) -> bool:
        return self.next_ns > 0

    def add(self, trade: SeenTrade) -> None:
        """Count one trade; each is given once."""
        start_ns = _start(trade.event_ns)
        is_late = start_ns < self.next_ns - KEPT_NS
        if not self.next_ns or is_late or start_ns > self.covered_ns + KEPT_NS:
            self.misplaced += 1
            return
        minute = self._minute(start_ns)
        minute.add(trade)
        minute.is_said = False  # One that came late is told again; the newest telling counts.
        self.has_news = self.has_news or start_ns < self.next_ns

    def lose(self, from_ns: int, to_ns: int) -> None:
        """Say that trades between the two times may have been missed."""
        if not self.next_ns:
            return
        self.has_news = True
        start_ns = max(_start(from_ns), self.next_ns - KEPT_NS)
        while start_ns <= to_ns:
            minute = self._minute(start_ns)
            minute.is_complete = minute.is_said = False
            start_ns += MINUTE_NS

    def cover(self, until_ns: int) -> bool:
        """Say that every trade up to `until_ns` was heard, but for what `lose` named.

        Return whether there is a candle to tell.
        """
        self.covered_ns = covered_ns = max(self.covered_ns, until_ns)
        return self.next_ns > 0 and (self.has_news or self.next_ns + MINUTE_NS <= covered_ns)

    def closed(self, now_ns: int) -> list[Candle]:
        """Return the candles to tell now, oldest first."""
        if not self.cover(self.covered_ns):
            return []
        self.has_news = False
        self._skip(now_ns)
        while self.next_ns + MINUTE_NS <= self.covered_ns:
            self._minute(self.next_ns)
            self.next_ns += MINUTE_NS
        due = sorted(n for n, m in self.minutes.items() if n < self.next_ns and not m.is_said)
        told = [_candle(self.pair, self.minutes[start_ns], now_ns) for start_ns in due]
        for start_ns in due:
            self.minutes[start_ns].is_said = True
        kept_ns = self.next_ns - KEPT_NS
        self.minutes = {n: m for n, m in self.minutes.items() if n >= kept_ns or not m.is_said}
        return told

    def _skip(self, now_ns: int) -> None:
        """After a very long absence begin anew instead of telling every minute of it."""
        if self.covered_ns - self.next_ns > AT_ONCE_MAX * MINUTE_NS:
            self.minutes = {n: m for n, m in self.minutes.items() if n >= _start(now_ns)}
            self.begin(now_ns)

    def _minute(self, start_ns: int) -> Minute:
        found = self.minutes.get(start_ns)
        if found is None:
            found = self.minutes[start_ns] = Minute(start_ns)
        return found


def _start(at_ns: int) -> int:
    return at_ns - at_ns % MINUTE_NS


def _candle(pair: Pair, minute: Minute, now_ns: int) -> Candle:
    prices = Ohlc(
        open=Price(minute.open),
        high=Price(minute.high),
        low=Price(minute.low),
        close=Price(minute.close),
    )
    return Candle(
        pair=pair,
        start_ns=minute.start_ns,
        span_ns=MINUTE_NS,
        prices=prices if minute.trades else None,
        volume=Quantity(minute.volume),
        turnover=Notional(minute.turnover),
        trades=minute.trades,
        is_complete=minute.is_complete,
        source=CandleSource.LIVE,
        at_ns=now_ns,
    )
