"""A small made-up data set: one seed, the same bytes. For trying things out, never for judging.

Each minute has four trades, the candle they make, and a quote right after each of them.
"""

import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from btcbot.catalog.intervals import Span
from btcbot.catalog.rows import Candle, Channel, Quote, Row, Trade
from btcbot.catalog.writer import Writer
from btcbot.domain.ids import Pair
from btcbot.domain.instruments import DOCUMENTED
from btcbot.domain.money import Price, Quantity
from btcbot.domain.words import Side

START_NS: Final = 1_767_225_600_000_000_000  # 2026-01-01T00:00Z.
MINUTE_NS: Final = 60_000_000_000
TRADES: Final = 4  # A minute.
BASE: Final = 100_000  # Ticks: where every price begins.
LEAST: Final = 1_000  # Ticks: no price falls below.
TICK: Final = Decimal("0.01")  # Of a pair whose rules nobody knows.


def fill(writer: Writer, pairs: tuple[Pair, ...], minutes: int, seed: int) -> None:
    """Add `minutes` of trades, quotes and candles of each pair to a data set."""
    span: Span = (START_NS, START_NS + minutes * MINUTE_NS)
    for pair in pairs:
        for row in rows(pair, minutes, seed):
            writer.add(pair, row)
        for channel in (Channel.TRADES, Channel.QUOTES, Channel.CANDLES):
            writer.cover(channel, pair, span)


def rows(pair: Pair, minutes: int, seed: int) -> Iterator[Row]:
    """Yield the rows of one pair; another pair or another seed is another market."""
    chance = random.Random(f"{seed} {pair}")
    known = DOCUMENTED.get(pair)
    tick = known.tick if known else TICK
    ticks, trade_id = BASE, 0
    for minute in range(minutes):
        open_ns = START_NS + minute * MINUTE_NS
        made: list[Trade] = []
        for n in range(TRADES):
            step = chance.randint(-80, 80)
            ticks = max(ticks + step, LEAST)
            trade_id += 1
            side = Side.BUY if step >= 0 else Side.SELL
            at_ns = open_ns + n * MINUTE_NS // TRADES + chance.randrange(MINUTE_NS // TRADES // 2)
            size = Quantity(Decimal(chance.randint(1, 500)) / 1_000)
            trade = Trade(
                at_ns=at_ns,
                traded_ns=at_ns,
                trade_id=trade_id,
                side=side,
                price=Price(ticks * tick),
                quantity=size,
            )
            made.append(trade)
            yield trade
            yield _quote(trade, tick, Decimal(chance.randint(1, 2_000)) / 1_000)
        yield candle_of(made, open_ns, MINUTE_NS)


def candle_of(trades: list[Trade], open_ns: int, span_ns: int) -> Candle:
    """Return the candle that trades make, in their order; there is one at least."""
    prices = [trade.price for trade in trades]
    return Candle(
        at_ns=open_ns + span_ns,
        open_ns=open_ns,
        open=prices[0],
        high=max(prices),
        low=min(prices),
        close=prices[-1],
        volume=sum((trade.quantity for trade in trades), start=Decimal(0)),
    )


def _quote(trade: Trade, tick: Decimal, size: Decimal) -> Quote:
    """Return the top of the book right after a trade: it was the best price of its side."""
    is_bought = trade.side is Side.BUY
    bid = trade.price - tick if is_bought else trade.price
    return Quote(
        at_ns=trade.at_ns + 1_000_000,
        bid=Price(bid),
        bid_quantity=Quantity(size),
        ask=Price(bid + tick),
        ask_quantity=trade.quantity,
    )
