"""What the public side remembers of one pair: minutes of three days, and the last fifty trades."""

from array import array
from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from msgspec import Struct

from btcbot.domain.instruments import Instrument
from btcbot.domain.words import Side

MINUTE_NS: Final = 60_000_000_000
DAY_MINUTES: Final = 1_440
MINUTES_MAX: Final = 3 * DAY_MINUTES
TRADES_MAX: Final = 50


class PublicTrade(Struct, frozen=True):
    tid: int
    side: Side  # The taker's.
    price: Decimal
    quantity: Decimal
    at_ns: int


class Candle(Struct, frozen=True):
    """One candle; `turnover` is its volume in quote."""

    start_s: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    turnover: Decimal


class History:
    """Candles and trades of one pair; exact: prices in ticks, quantities in steps."""

    def __init__(
        self, rules: Instrument, past: Iterable[tuple[float, ...]], first_tid: int, now_ns: int
    ) -> None:
        """`past`: minutes (open, high, low, close, volume in base), the last one just over."""
        self.rules = rules
        self.trades: deque[PublicTrade] = deque(maxlen=TRADES_MAX)
        self.tid = first_tid
        # Rows of open, high, low, close in ticks, volume in steps, turnover in ticks x steps.
        self._rows = array("q")
        self._ticks = int(10**rules.price_scale)
        self._steps = int(10**rules.quantity_scale)
        for row in past:
            opened, high, low, closed = (round(price * self._ticks) for price in row[:4])
            volume = round(row[4] * self._steps)
            self._rows.extend((opened, high, low, closed, volume, volume * (high + low) // 2))
        self._first = now_ns // MINUTE_NS - len(self._rows) // 6
        self._seed_trades(now_ns)

    @property
    def last(self) -> Decimal:
        return self._price(self._rows[-3])

    def add(self, side: Side, price: Decimal, quantity: Decimal, now_ns: int) -> PublicTrade:
        """Remember a trade; return it with its id."""
        self.tid += 1
        trade = PublicTrade(self.tid, side, price, quantity, now_ns)
        self.trades.append(trade)
        self.advance(now_ns)
        ticks = int(price * self._ticks)
        steps = int(quantity * self._steps)
        opened, high, low, _, volume, turnover = self._rows[-6:]
        if not volume:
            opened = high = low = ticks
        self._rows[-6:] = array(
            "q",
            (
                opened,
                max(high, ticks),
                min(low, ticks),
                ticks,
                volume + steps,
                turnover + ticks * steps,
            ),
        )
        return trade

    def advance(self, now_ns: int) -> None:
        """Let minutes begin; one in which nobody traded stays at the last price."""
        minute = now_ns // MINUTE_NS
        while self._first + len(self._rows) // 6 <= minute:
            closed = self._rows[-3]
            self._rows.extend((closed, closed, closed, closed, 0, 0))
        extra = len(self._rows) // 6 - MINUTES_MAX - DAY_MINUTES // 24
        if extra > 0:
            del self._rows[: 6 * (extra + DAY_MINUTES // 24)]
            self._first += extra + DAY_MINUTES // 24

    def day(self) -> Candle:
        """Return the last 24 hours as one candle."""
        return self._candle(max(0, len(self._rows) // 6 - DAY_MINUTES), len(self._rows) // 6)

    def candles(self, seconds: int, since_s: int, until_s: int, limit: int) -> list[Candle]:
        """Return candles of `seconds` that open within [since_s, until_s], oldest first.

        The newest may be running; the last `limit` of them when there are more. The first one
        remembered may lack its beginning.
        """
        minutes = max(1, seconds // 60)
        count = len(self._rows) // 6
        first = max(-(-since_s // seconds) * minutes, self._first // minutes * minutes)
        last = min(until_s // seconds * minutes, (self._first + count - 1) // minutes * minutes)
        starts = range(first, last + 1, minutes)[-limit:]
        found = []
        for start in starts:
            begin = max(0, start - self._first)
            end = min(count, start - self._first + minutes)
            found.append(self._candle(begin, end, start * 60))
        return found

    # --- inside -------------------------------------------------------------------------------

    def _candle(self, begin: int, end: int, start_s: int | None = None) -> Candle:
        rows = self._rows[6 * begin : 6 * end]
        return Candle(
            start_s=(self._first + begin) * 60 if start_s is None else start_s,
            open=self._price(rows[0]),
            high=self._price(max(rows[1::6])),
            low=self._price(min(rows[2::6])),
            close=self._price(rows[-3]),
            volume=Decimal(sum(rows[4::6])) / self._steps,
            turnover=Decimal(sum(rows[5::6])) / self._ticks / self._steps,
        )

    def _seed_trades(self, now_ns: int) -> None:
        """Make up the last trades: one a minute, at what the minutes say."""
        count = len(self._rows) // 6
        for n in range(max(0, count - TRADES_MAX), count):
            opened, _, _, closed, volume, _ = self._rows[6 * n : 6 * n + 6]
            self.tid += 1
            side = Side.BUY if closed >= opened else Side.SELL
            at_ns = min((self._first + n) * MINUTE_NS + MINUTE_NS * 9 // 10, now_ns)
            quantity = Decimal(max(1, volume // 40)) / self._steps
            price = self._price(closed)
            self.trades.append(PublicTrade(self.tid, side, price, quantity, at_ns))

    def _price(self, ticks: int) -> Decimal:
        return Decimal(ticks) / self._ticks
