"""Listed pairs, their features, and minutes of trades: a test states what matters to it."""

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import Instrument
from btcbot.domain.messages import BookDepth, BookTop, Candle, Level, Ohlc
from btcbot.domain.money import Bps, Notional, Price, Quantity
from btcbot.domain.words import CandleSource
from btcbot.portfolio.features import Features
from btcbot.portfolio.reasons import Missing
from btcbot.portfolio.universe import Candidate

MINUTE = 60_000_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
START = 1_795_000_200_000_000_000  # On a bucket of five minutes.
D = Decimal


def instrument(base: str, **changes: Any) -> Instrument:
    """Return a pair in TRY: ticks of 0.01, steps of 0.0001, at least 100 TRY an order."""
    made = Instrument(
        pair=Pair(f"{base}TRY"), base=Asset(base), quote=Asset("TRY"), price_scale=2,
        quantity_scale=4, tick=D("0.01"), notional_min=Notional(D(100)),
    )  # fmt: skip
    return replace(made, **changes)


def features(base: str, **changes: Any) -> Features:
    """Return a pair at 100 TRY, 10 bps wide, 100,000 TRY deep, 1 % up on the day."""
    made = Features(
        pair=Pair(f"{base}TRY"), quoted_ns=START, middle=Price(D(100)), spread_bps=Bps(D(10)),
        depth=Notional(D(100_000)), momentum=D("0.01"), volatility=D("0.001"),
        turnover=Notional(D(1_000_000)), missing=(),
    )  # fmt: skip
    return replace(made, **changes)


def stale(base: str, quoted_ns: int) -> Features:
    return features(
        base, quoted_ns=quoted_ns, middle=None, spread_bps=None, depth=None, momentum=None,
        missing=(Missing.STALE_QUOTE,),
    )  # fmt: skip


def candidate(base: str, **changes: Any) -> Candidate:
    """Return a listed pair; changes are those of its features."""
    return Candidate(instrument=instrument(base), features=features(base, **changes))


def top(bid: str = "99.95", ask: str = "100.05", at_ns: int = START, size: str = "10") -> BookTop:
    return BookTop(
        pair=Pair("ATRY"), bid=Price(D(bid)), bid_quantity=Quantity(D(size)), ask=Price(D(ask)),
        ask_quantity=Quantity(D(size)), changed_ns=at_ns, confirmed_ns=at_ns,
    )  # fmt: skip


def depth(bids: dict[str, str], asks: dict[str, str], at_ns: int = START) -> BookDepth:
    """Return a book of price: quantity, best first."""
    return BookDepth(
        pair=Pair("ATRY"), bids=_levels(bids), asks=_levels(asks), confirmed_ns=at_ns
    )  # fmt: skip


def _levels(rows: dict[str, str]) -> tuple[Level, ...]:
    return tuple(Level(Price(D(price)), Quantity(D(size))) for price, size in rows.items())


def candle(start_ns: int, close: str | None = "100", **changes: Any) -> Candle:
    """Return a minute that closed at `close`, one unit of base traded; None: no trade."""
    price = None if close is None else Price(D(close))
    prices = None if price is None else Ohlc(open=price, high=price, low=price, close=price)
    made = Candle(
        pair=Pair("ATRY"), start_ns=start_ns, span_ns=MINUTE, prices=prices,
        volume=Quantity(D(0 if price is None else 1)), turnover=Notional(price or D(0)),
        trades=0 if price is None else 1, is_complete=True, source=CandleSource.LIVE,
        at_ns=start_ns + MINUTE,
    )  # fmt: skip
    return replace(made, **changes)
