"""What the exchange tells of the past: candles from the chart host, the last public trades."""

import msgspec
from msgspec import Raw, Struct

from btcbot.btcturk.grammar import (
    ID_MAX,
    Millis,
    WireError,
    above_zero,
    decoded,
    digits,
    json_number,
    number,
)
from btcbot.btcturk.rest import Params, Rest
from btcbot.btcturk.wire import Reply
from btcbot.domain.feed import SeenTrade
from btcbot.domain.ids import Pair
from btcbot.domain.money import Price, Quantity
from btcbot.domain.words import Side

CANDLES_MAX = 5_000  # A request; the host gives about 11,000 at most.
TRADES_MAX = 50
Figures = tuple[int, Price, Price, Price, Price, Quantity]
"""(open time in s, open, high, low, close, volume in base) of one candle."""


class _Chart(Struct):
    s: str
    t: list[int] = []
    o: list[Raw] = []
    h: list[Raw] = []
    l: list[Raw] = []  # noqa: E741 - the exchange's names
    c: list[Raw] = []
    v: list[Raw] = []


class _Trade(Struct):
    date: Millis
    tid: str
    price: str
    amount: str
    side: str


_chart = msgspec.json.Decoder(_Chart).decode
_trades = msgspec.json.Decoder(Reply[list[_Trade]]).decode


class ExchangeHistory:
    """Reads over REST, within the rate budget. Methods raise RestError or WireError."""

    def __init__(self, rest: Rest, chart: Rest) -> None:
        self._rest, self._chart = rest, chart

    async def candles(
        self, pair: Pair, minutes: int, from_s: int, to_s: int
    ) -> tuple[Figures, ...]:
        """Return the candles that open in [from_s, to_s), oldest first; the last may be running."""
        asked: Params = {"symbol": pair, "resolution": minutes, "from": from_s, "to": to_s}
        body = await self._chart.get("public", "/v1/klines/history", asked)
        return tuple(row for row in chart(body) if from_s <= row[0] < to_s)

    async def trades(self, pair: Pair) -> tuple[SeenTrade, ...]:
        """Return the newest trades, oldest first: no more than TRADES_MAX are ever told."""
        asked: Params = {"pairSymbol": pair, "last": TRADES_MAX}
        return trades(await self._rest.get("public", "/api/v2/trades", asked))


def chart(body: bytes) -> tuple[Figures, ...]:
    """Return the candles of a chart's answer, oldest first. Raises WireError."""
    found = decoded(_chart, body)
    if found.s == "no_data":
        return ()
    if found.s != "ok":
        raise WireError(f"a chart says {found.s[:40]!r}; expected ok or no_data")
    columns = (found.o, found.h, found.l, found.c, found.v)
    if any(len(column) != len(found.t) for column in columns):
        sizes = [len(column) for column in (found.t, *columns)]
        raise WireError(f"a chart with columns of {sizes} values: expected the same number in all")
    rows: list[Figures] = []
    for open_s, *figures in zip(found.t, *columns, strict=True):
        opened, high, low, close = (Price(above_zero(json_number(raw))) for raw in figures[:4])
        volume = Quantity(json_number(figures[4]))
        if not low <= min(opened, close) <= max(opened, close) <= high or volume < 0:
            said = f"open {opened}, high {high}, low {low}, close {close}, volume {volume}"
            raise WireError(f"candle of {open_s}: {said}")
        if rows and open_s <= rows[-1][0]:
            raise WireError(f"candle of {open_s} after that of {rows[-1][0]}")
        rows.append((open_s, opened, high, low, close, volume))
    return tuple(rows)


def trades(body: bytes) -> tuple[SeenTrade, ...]:
    """Return public trades, oldest first. Raises WireError."""
    rows = (_seen(row) for row in decoded(_trades, body).data)
    return tuple(sorted(rows, key=lambda row: row.trade_id))


def _seen(row: _Trade) -> SeenTrade:
    try:
        side = Side(row.side)
    except ValueError:
        raise WireError(f"side {row.side[:20]!r}; expected buy or sell") from None
    price, quantity = Price(above_zero(number(row.price))), Quantity(above_zero(number(row.amount)))
    return SeenTrade(digits(row.tid, ID_MAX), side, price, quantity, row.date * 1_000_000)
