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
from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import DOCUMENTED, Instrument
from btcbot.domain.money import Notional, Price, Quantity
from btcbot.domain.words import Side

START_NS: Final = 1_767_225_600_000_000_000  # 2026-01-01T00:00Z.
MINUTE_NS: Final = 60_000_000_000
TRADES: Final = 4  # A minute.
BASE: Final = 100_000  # Ticks: where every price begins.
LEAST: Final = 1_000  # Ticks: no price falls below.
TICK: Final = Decimal("0.01")  # Of a pair whose rules nobody knows.
QUOTES: Final = ("TRY", "USDT")
LEAST_ORDER: Final = Decimal(10)  # In quote, of such a pair.


def fill(
    writer: Writer, pairs: tuple[Pair, ...], minutes: int, seed: int, *, has_trades: bool = True
) -> None:
    """Add `minutes` of trades, quotes and candles of each pair to a data set, or candles alone."""
    span: Span = (START_NS, START_NS + minutes * MINUTE_NS)
    channels = (Channel.TRADES, Channel.QUOTES, Channel.CANDLES)[0 if has_trades else 2 :]
    for pair in pairs:
        for row in rows(pair, minutes, seed):
            if has_trades or type(row) is Candle:
                writer.add(pair, row)
        for channel in channels:
            writer.cover(channel, pair, span)


def rules_of(pair: Pair) -> Instrument:
    """Return a pair's documented rules, or made-up ones. Raises ValueError: of an unknown quote."""
    known = DOCUMENTED.get(pair)
    if known is not None:
        return known
    quote = next((quote for quote in QUOTES if pair.endswith(quote) and pair != quote), None)
    if quote is None:
        raise ValueError(f"{pair}: allowed are pairs quoted in {' or '.join(QUOTES)}")
    return Instrument(
        pair=pair,
        base=Asset(pair.removesuffix(quote)),
        quote=Asset(quote),
        price_scale=2,
        quantity_scale=8,
        tick=TICK,
        notional_min=Notional(LEAST_ORDER),
    )


def rows(pair: Pair, minutes: int, seed: int) -> Iterator[Row]:
    """Yield the rows of one pair; another pair or another seed is another market."""
    chance = random.Random(f"{seed} {pair}")
    tick = rules_of(pair).tick
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
