"""The chart host's candles: parallel arrays of JSON numbers, read as text and never as floats."""

from itertools import pairwise
from typing import Final

import msgspec
from msgspec import Raw, Struct

from btcbot.btcturk.grammar import WireError, above_zero, decoded, json_number
from btcbot.domain.feed import SeenCandle
from btcbot.domain.messages import Ohlc
from btcbot.domain.money import Price, Quantity

SECOND_NS: Final = 1_000_000_000
CANDLES_MAX: Final = 11_000  # The exchange sends no more in one answer.


class _Klines(Struct):
    s: str
    t: list[int]
    o: list[Raw]
    h: list[Raw]
    l: list[Raw]  # noqa: E741 - the exchange's names
    c: list[Raw]
    v: list[Raw]


_klines = msgspec.json.Decoder(_Klines).decode


def candles(body: bytes) -> tuple[SeenCandle, ...]:
    """Return the candles of an answer, oldest first; none for a range without any.

    Raises WireError.
    """
    found = decoded(_klines, body)
    if found.s == "no_data":
        return ()
    columns = (found.t, found.o, found.h, found.l, found.c, found.v)
    sizes = {len(column) for column in columns}
    if found.s != "ok" or len(sizes) != 1 or len(found.t) > CANDLES_MAX:
        raise WireError(
            f"candles: s is {found.s[:20]!r}, columns of {sorted(sizes)}; expected 'ok'"
        )
    rows = tuple(map(_candle, *columns))
    if any(later.start_ns <= row.start_ns for row, later in pairwise(rows)):
        raise WireError("candles: expected oldest first, each once")
    return rows


def _candle(start_s: int, first: Raw, high: Raw, low: Raw, last: Raw, volume: Raw) -> SeenCandle:
    prices = Ohlc(open=_price(first), high=_price(high), low=_price(low), close=_price(last))
    ends = prices.open, prices.close
    amount = json_number(volume)
    if prices.low > min(ends) or prices.high < max(ends) or amount < 0:
        raise WireError(f"candle of {start_s}: {ends} not in {prices.low}..{prices.high}, {amount}")
    return SeenCandle(start_s * SECOND_NS, prices, Quantity(amount))


def _price(value: Raw) -> Price:
    return Price(above_zero(json_number(value)))
