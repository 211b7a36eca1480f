"""A recording as market_data's feed, in virtual time: what a subscriber would have seen of it.

The exchange model gets every event at its time. market_data gets depth as batches of changes every
760 ms over a window of 100 levels, as the exchange's `obdiff` does, trades with the same batches,
quotes without depth one by one, and a bare frame when nothing moved: silence is never confirmation.
"""

import heapq
from collections.abc import Iterable
from decimal import Decimal

import msgspec
from msgspec import Struct

from btcbot.domain.feed import (
    BookChange,
    BookRead,
    BookSnapshot,
    CandlesRead,
    FeedUp,
    FrameSeen,
    Join,
    JoinTickers,
    JoinTrades,
    ReadBook,
    ReadCandles,
    ReadRules,
    RulesRead,
    SeenTrade,
    TextLevel,
    TradesSeen,
    WireLevel,
)
from btcbot.domain.ids import Pair
from btcbot.domain.messages import BookTop
from btcbot.domain.money import Price, Quantity, text
from btcbot.domain.recorded import BookMoved, BookSet, Happening, Quoted, Traded
from btcbot.simulation.defaults import START_PRICES, USDTTRY
from btcbot.simulation.exchange import Exchange
from btcbot.simulation.venue import CallAt, Deliver, Now

BATCH_NS = 760_000_000
WINDOW = 100
Window = dict[Decimal, Decimal]


class SimulatedFeeds:
    """The recordings of a run, one a pair, in one session of market_data's."""

    def __init__(
        self, exchange: Exchange, pairs: Iterable[Pair], now: Now, call_at: CallAt, deliver: Deliver
    ) -> None:
        self.of = {pair: SimulatedFeed(exchange, pair, now, deliver) for pair in sorted(pairs)}
        self._exchange = exchange
        self._now, self._call_at, self._deliver = now, call_at, deliver
        self._is_up = False

    def start(self, effect: Struct) -> None:
        """Begin an effect of market_data; the first Join opens the session."""
        match effect:
            case ReadRules():
                rules = tuple(market.rules for market in self._exchange.markets.values())
                self._deliver(RulesRead(instruments=rules))
            case JoinTickers():
                pass  # A recording misses nothing of itself.
            case Join():
                if not self._is_up:
                    self._is_up = True
                    self._deliver(FeedUp(session=1))
                    self._call_at(self._now() + BATCH_NS, self._beat)
                self.of[effect.pair].join()
            case _:
                assert isinstance(effect, JoinTrades | ReadCandles | ReadBook), f"of none: {effect}"
                self.of[effect.pair].start(effect)

    def _beat(self) -> None:
        """Show what changed since the last batch; a bare frame where nothing did of some pair."""
        self._call_at(self._now() + BATCH_NS, self._beat)
        is_quiet = False
        for feed in self.of.values():
            if not feed.show():
                is_quiet = True
        if is_quiet:
            self._deliver(FrameSeen())


class SimulatedFeed:
    """One pair's recording; `happen` plays an event, `start` performs market_data's effects."""

    def __init__(self, exchange: Exchange, pair: Pair, now: Now, deliver: Deliver) -> None:
        self._exchange, self._pair = exchange, pair
        self._market = exchange.markets[pair]
        self._now, self._deliver = now, deliver
        self._has_depth = False
        self._is_book_moved = False
        self._is_quiet = True  # Nothing was shown since the last batch.
        self._shown: tuple[Window, Window] | None = None  # None: a snapshot is due.
        self._change_set = 0
        self._trade_id = 0
        self._trades: list[SeenTrade] = []
        self._is_traded = False

    def join(self) -> None:
        """Show the whole book with the next batch."""
        self._shown, self._is_book_moved = None, self._has_depth

    def start(self, effect: JoinTrades | ReadCandles | ReadBook) -> None:
        """Answer what market_data asks of this pair."""
        match effect:
            case JoinTrades():  # The list that a join is answered with: nobody traded before.
                self._deliver(TradesSeen(pair=self._pair, trades=(), is_backlog=True))
            case ReadCandles():  # A recording has nothing before it.
                self._deliver(CandlesRead(pair=self._pair, candles=()))
            case ReadBook():
                if self._has_depth:
                    self._deliver(self._whole_book())

    def happen(self, event: Happening) -> None:
        """Let one recorded event happen now."""
        exchange, pair = self._exchange, self._pair
        if type(event) is Quoted:  # The hottest.
            at_ns = event.at_ns
            exchange.set_top(pair, event, at_ns)
            self._is_quiet = False
            deliver = self._deliver  # Called from here it would be looked up as a method.
            deliver(
                BookTop(
                    pair=pair,
                    bid=event.bid,
                    bid_quantity=event.bid_quantity,
                    ask=event.ask,
                    ask_quantity=event.ask_quantity,
                    changed_ns=at_ns,
                    confirmed_ns=at_ns,
                )
            )
        elif isinstance(event, BookMoved):
            exchange.change_book(pair, event.bids, event.asks, event.at_ns)
            self._has_depth = self._is_book_moved = True
        elif isinstance(event, BookSet):
            exchange.set_book(pair, event.bids, event.asks, event.at_ns)
            self._has_depth = self._is_book_moved = True
        else:
            assert isinstance(event, Traded), f"nothing that happens: {event}"
            self._trade(event)

    def _trade(self, event: Traded) -> None:
        self._trade_id += 1
        price, quantity, at_ns = event.price, event.quantity, event.at_ns
        self._exchange.print_trade(self._pair, event.side, price, quantity, at_ns)
        self._trades.append(SeenTrade(self._trade_id, event.side, price, quantity, at_ns))

    def show(self) -> bool:
        """Show what changed since the last batch, and the trades meanwhile; return if anything."""
        if self._is_book_moved:
            self._is_book_moved = False
            self._show_book()
        if self._trades:
            if not self._is_traded:  # From here on every trade is heard: the list of the join.
                self._is_traded = True
                self._deliver(TradesSeen(pair=self._pair, trades=(), is_backlog=True))
            trades, self._trades = tuple(self._trades), []
            self._is_quiet = False
            self._deliver(TradesSeen(pair=self._pair, trades=trades, is_backlog=False))
        was_quiet, self._is_quiet = self._is_quiet, True
        return not was_quiet

    def _show_book(self) -> None:
        bids, asks = self._window()
        before, self._shown = self._shown, (bids, asks)
        pair = self._pair
        if before is None:
            self._change_set += 1
            said: BookSnapshot | BookChange = BookSnapshot(
                pair=pair, change_set=self._change_set, bids=_side(bids), asks=_side(asks)
            )
        else:
            bids, asks = _changes(before[0], bids), _changes(before[1], asks)
            if not bids and not asks:
                return  # It moved beneath the window.
            self._change_set += 1
            said = BookChange(
                pair=pair, change_set=self._change_set, bids=_rows(bids), asks=_rows(asks)
            )
        self._is_quiet = False
        self._deliver(said)

    def _whole_book(self) -> BookRead:
        bids, asks = map(_rows, self._window())
        return BookRead(pair=self._pair, event_ns=self._now(), bids=bids, asks=asks)

    def _window(self) -> tuple[Window, Window]:
        """Return what anybody sees: the best levels of each side, best first."""
        bids, asks = self._market.bids, self._market.asks
        return (
            {price: bids[price] for price in heapq.nlargest(WINDOW, bids)},
            {price: asks[price] for price in heapq.nsmallest(WINDOW, asks)},
        )


def _changes(old: Window, new: Window) -> Window:
    changed = {price: quantity for price, quantity in new.items() if old.get(price) != quantity}
    return changed | {price: Decimal(0) for price in old if price not in new}


def _rows(levels: Window) -> tuple[TextLevel, ...]:
    return tuple(TextLevel(text(price), text(quantity)) for price, quantity in levels.items())


def _side(levels: Window) -> bytes:
    rows = [WireLevel(P=text(price), A=text(quantity)) for price, quantity in levels.items()]
    return msgspec.json.encode(rows)


def fixed_rate(now_ns: int) -> BookTop:
    """Return the price that values USDT in TRY where the data set has none: the documented one."""
    price, size = Price(START_PRICES[USDTTRY]), Quantity(Decimal(1))
    return BookTop(
        pair=USDTTRY,
        bid=price,
        bid_quantity=size,
        ask=price,
        ask_quantity=size,
        changed_ns=now_ns,
        confirmed_ns=now_ns,
    )
