"""One pair's trades: each said once, made into candles, and missed when they fall silent.

A trade channel may be quiet because nobody trades. The tickers tell: when they show a trade that we
were not told of, the channel is joined again, and the list that follows heals what was missed.
"""

from decimal import Decimal
from typing import Final

from msgspec import Struct, field

from btcbot.domain.feed import (
    CandlesRead,
    JoinTrades,
    ReadCandles,
    SeenCandle,
    SeenTicker,
    TradesSeen,
)
from btcbot.domain.ids import Pair
from btcbot.domain.messages import Candle, Trade, TradesGap
from btcbot.domain.money import Price
from btcbot.domain.words import CandleSource
from btcbot.market.candles import MINUTE_NS, CandleMaker
from btcbot.market.say import JOIN_WAIT_NS, SECOND_NS, Complain, Rejoins, Said, Say
from btcbot.market.trades import TradeWindow

GRACE_NS: Final = 2 * SECOND_NS  # A trade may reach us this long after it happened.
UNTOLD_NS: Final = 5 * SECOND_NS
BATCH_NS: Final = 2 * SECOND_NS  # A trade told this long before a ticker explains what it shows.
BACKFILL_AFTER_NS: Final = 10 * SECOND_NS  # The charts need a moment for the newest minute.
BACKFILL_RETRY_NS: Final = 60 * SECOND_NS  # Until it is answered.
BACKFILL_NS: Final = 60 * MINUTE_NS  # Read at the start, for the time before us.
DAY_NS: Final = (
    25 * 60 * MINUTE_NS
)  # Instead, where a strategy looks back a day; with some to spare.
TOLD_MAX: Final = 120  # Of these, at one time: prices of other pairs must not wait behind a day.


class Tape(Struct, kw_only=True):
    """Owned by market_data, one a pair, changed in place."""

    pair: Pair
    candles: CandleMaker
    trade_topic: str = ""  # By the pair, like the next.
    candle_topic: str = ""
    window: TradeWindow = field(default_factory=TradeWindow)
    is_listed: bool = False  # The list that follows a join has come in this session.
    joins: Rejoins = field(default_factory=lambda: Rejoins(wait_ns=2 * JOIN_WAIT_NS))
    heard_ns: int = 0
    happened_ns: int = 0  # By the exchange's clock: the newest trade.
    ticker: tuple[Price | None, Decimal | None] = (None, None)  # Last price, volume of a day.
    untold_ns: int = 0  # Since when the tickers know a trade that we do not; 0: they do not.
    backfill: tuple[int, int] | None = None  # Minutes [from, to) to read from the charts.
    backfill_ns: int = 0  # Not before.
    asked: tuple[int, int] | None = None
    read_back_ns: int = BACKFILL_NS
    untold: tuple[SeenCandle, ...] = ()  # Read from the charts, and not said yet.

    def __post_init__(self) -> None:
        self.trade_topic, self.candle_topic = f"trade.{self.pair}", f"candle.{self.pair}"

    @property
    def is_idle(self) -> bool:
        """Whether nothing is missed or untold: until something is heard, ticks find no work."""
        return self.is_listed and not (self.untold_ns or self.untold or self.backfill)

    def session_began(self, now_ns: int) -> None:
        """Begin anew; the socket joins every pair itself."""
        self.session_ended()
        self.joins = Rejoins(wait_ns=2 * JOIN_WAIT_NS)
        self.joins.asked(now_ns)

    def session_ended(self) -> None:
        self.is_listed, self.untold_ns = False, 0

    def hear_trades(self, seen: TradesSeen, now_ns: int) -> Said:
        """Say each new trade once; a list that does not reach back to the last one is a gap."""
        is_first = not self.candles.is_begun and not self.window.last_id
        is_history = seen.is_backlog and is_first
        said = list(self._listed(seen, now_ns)) if seen.is_backlog else []
        if self.is_listed:
            self.candles.cover(now_ns - GRACE_NS)
        self.heard_ns, self.untold_ns = now_ns, 0
        for row in self.window.take(seen.trades):
            self.candles.add(row)
            self.happened_ns = max(self.happened_ns, row.event_ns)
            if is_history:
                continue
            trade = Trade(
                pair=self.pair,
                trade_id=row.trade_id,
                side=row.side,
                price=row.price,
                quantity=row.quantity,
                event_ns=row.event_ns,
                received_ns=now_ns,
            )
            said.append(Say(self.trade_topic, trade))
        return tuple(said)

    def hear_ticker(self, row: SeenTicker, now_ns: int) -> None:
        """Note since when the tickers show a trade that the trade channel did not tell."""
        (last, volume), self.ticker = self.ticker, (row.last, row.volume)
        is_news = last is not None and row.last is not None and row.last != last
        if volume is not None and row.volume is not None:
            is_news = is_news or row.volume > volume
        if is_news and not self.untold_ns and now_ns - self.heard_ns > BATCH_NS:
            self.untold_ns = now_ns

    def hear_candles(self, read: CandlesRead, now_ns: int) -> Said:
        """Say the minutes that were read from the charts, the first at once."""
        if self.backfill == self.asked:  # Else more is wanted by now.
            self.backfill = None
        self.untold += read.candles
        return self._tell(now_ns)

    def hearer_came(self, now_ns: int) -> None:
        """Read the day again for one who looks back on it, and has not heard it."""
        if self.read_back_ns > BACKFILL_NS:
            self._want_past(now_ns)

    def _tell(self, now_ns: int) -> Said:
        told, self.untold = self.untold[:TOLD_MAX], self.untold[TOLD_MAX:]
        return tuple(
            Say(
                self.candle_topic,
                Candle(
                    pair=self.pair,
                    start_ns=row.start_ns,
                    span_ns=MINUTE_NS,
                    prices=row.prices if row.volume else None,
                    volume=row.volume,
                    turnover=None,
                    trades=None,
                    is_complete=True,
                    source=CandleSource.BACKFILL,
                    at_ns=now_ns,
                ),
            )
            for row in told
        )

    def tick(self, now_ns: int, alive_ns: int, *, is_up: bool) -> Said:
        """Join again what is silent, close minutes, fill holes; `alive_ns`: of the last data."""
        candles = self.candles
        if self.is_listed and not candles.cover(alive_ns - GRACE_NS) and self.is_idle:
            return ()  # So it is most of a minute.
        is_fine = self.is_listed and not self.untold_ns
        said = [] if is_fine or not is_up else list(self._mend(now_ns))
        if self.untold:
            said.extend(self._tell(now_ns))
        for candle in candles.closed(now_ns):
            said.append(Say(self.candle_topic, candle))
            if not candle.is_complete:
                self._want(candle.start_ns, candle.start_ns + MINUTE_NS, now_ns)
        if self.backfill is not None and now_ns >= self.backfill_ns:
            self.backfill_ns, self.asked = now_ns + BACKFILL_RETRY_NS, self.backfill
            said.append(ReadCandles(self.pair, *self.backfill))
        return tuple(said)

    def _listed(self, seen: TradesSeen, now_ns: int) -> Said:
        """Begin, or go on after an absence, with the list of the newest trades."""
        self.is_listed = True
        self.joins.answered(now_ns)
        oldest_ns = min((row.event_ns for row in seen.trades), default=now_ns)
        if not self.candles.is_begun:
            self.candles.begin(oldest_ns)
            self._want_past(now_ns)
        if self.window.reaches(seen.trades):
            return ()
        gap = TradesGap(pair=self.pair, after_trade_id=self.window.last_id, at_ns=now_ns)
        self.candles.lose(self.happened_ns or self.candles.covered_ns, oldest_ns)
        return (Say(self.trade_topic, gap),)

    def _mend(self, now_ns: int) -> Said:
        is_silent = self.untold_ns > 0 and now_ns - self.untold_ns > UNTOLD_NS
        if (self.is_listed and not is_silent) or now_ns < self.joins.due_ns:
            return ()
        self.joins.asked(now_ns)
        why = "the tickers know trades that we do not" if is_silent else "no list of trades came"
        return (Complain("trades_silent", f"{self.pair}: {why}"), JoinTrades(self.pair))

    def _want_past(self, now_ns: int) -> None:
        to_ns = now_ns - now_ns % MINUTE_NS
        self._want(to_ns - self.read_back_ns, to_ns, now_ns)

    def _want(self, from_ns: int, to_ns: int, now_ns: int) -> None:
        """Ask for minutes from the charts, together with what is wanted already."""
        if self.backfill is not None:
            from_ns, to_ns = min(from_ns, self.backfill[0]), max(to_ns, self.backfill[1])
        self.backfill, self.backfill_ns = (from_ns, to_ns), now_ns + BACKFILL_AFTER_NS
