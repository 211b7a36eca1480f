"""Rows of the catalog as what happens in a market: what backtests and the sandbox play.

A candle becomes four trades of a quarter of its volume each, evenly in time: open, the extreme
nearer to the open, the other extreme, close. One that nothing traded in says nothing. Nobody knows
the true path: fills inside a candle are a convention.
"""

from collections.abc import Iterable, Iterator
from decimal import ROUND_DOWN, Decimal
from typing import Final

from btcbot.catalog.defects import Flaw, Judge, Levels
from btcbot.catalog.joining import ChangesMissing, Joiner
from btcbot.catalog.rows import Candle, Channel, Depth, Quote, Row, Ticker, Trade
from btcbot.domain.feed import TextLevel
from btcbot.domain.money import Price, Quantity, step_of
from btcbot.domain.recorded import BookMoved, BookSet, Happening, Quoted, RecordedLevels, Traded
from btcbot.domain.words import Side

FINEST: Final = step_of(8)
# What makes a row unusable; gaps and repeats of other channels than depth do no harm.
_FATAL: Final = frozenset({Flaw.DISORDER, Flaw.CROSSED, Flaw.HIGH_LOW})


class Player:
    """Turns the rows of one pair into happenings, in their order.

    `passes_gaps`: after a gap, or crossed, the book waits for the next snapshot; else: an error.
    """

    def __init__(self, *, passes_gaps: bool = False) -> None:
        self._joiner = Joiner()
        self._levels = Levels()
        self._judge = Judge(has_running_ids=False)
        self._passes_gaps = passes_gaps

    def play(self, row: Row) -> Iterable[Happening]:
        """Return what a row says. Raises ValueError for one that cannot be used."""
        if type(row) is Depth:
            return self._depth(row)
        for found in self._judge.judge(row):
            if found.flaw in _FATAL or (found.flaw is Flaw.DUPLICATE and type(row) is Candle):
                raise ValueError(found.reason)
        match row:
            case Trade():
                return (Traded(row.at_ns, row.side, row.price, row.quantity),)
            case Quote():
                return _quoted(row)
            case Candle():
                return _path(row)
            case _:
                assert isinstance(row, Ticker), f"no row of the catalog: {row}"
                return ()  # A day's figures are no event.

    def _depth(self, row: Depth) -> Iterator[Happening]:
        try:
            joined = self._joiner.take(row)
        except ChangesMissing:
            if not self._passes_gaps:
                raise
            return
        for one in joined:
            if crossed := self._levels.apply(one):
                if not self._passes_gaps:
                    raise ValueError(crossed)
                self._joiner.last = 0  # Something was lost or invented: wait for a snapshot.
                return
            kind = BookSet if one.is_snapshot else BookMoved
            yield kind(row.at_ns, _levels(one.bids), _levels(one.asks))


def happenings(rows: Iterable[Row]) -> Iterator[Happening]:
    """Yield what the rows of one pair say; gaps of its book wait for the next snapshot."""
    player = Player(passes_gaps=True)
    for row in rows:
        yield from player.play(row)


def _quoted(row: Quote) -> tuple[Quoted, ...]:
    """Return a quote; one without quantities cannot be traded on, so it is none."""
    if row.bid_quantity is None or row.ask_quantity is None:
        return ()
    return (Quoted(row.at_ns, row.bid, row.bid_quantity, row.ask, row.ask_quantity),)


def _path(row: Candle) -> Iterator[Traded]:
    quarter = (row.volume / 4).quantize(FINEST, ROUND_DOWN)
    if not quarter:
        return
    is_low_nearer = row.open - row.low <= row.high - row.open
    middle = (row.low, row.high) if is_low_nearer else (row.high, row.low)
    span_ns, before = row.at_ns - row.open_ns, row.open
    for n, price in enumerate((row.open, *middle, row.close)):
        side = Side.BUY if price >= before else Side.SELL
        yield Traded(row.open_ns + n * span_ns // 4, side, Price(price), Quantity(quarter))
        before = price


def _levels(levels: tuple[TextLevel, ...]) -> RecordedLevels:
    return tuple((Decimal(row.price), Decimal(row.amount)) for row in levels)


def playable(held: frozenset[Channel]) -> frozenset[Channel]:
    """Return which channels of a pair to play together: none of them says what another says.

    A book in full, else its top, and the trades with it; candles only where nothing finer is.
    """
    for book in (Channel.DEPTH, Channel.QUOTES):
        if book in held:
            return frozenset({book, Channel.TRADES} & held)
    return frozenset({Channel.TRADES} & held) or frozenset({Channel.CANDLES} & held)
