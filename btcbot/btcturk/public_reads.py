"""Everything BTCTurk tells anybody over REST, one coroutine a call, within the rate budget.

`base` is the exchange's host, `chart` that of its charts, which counts 600 calls in ten minutes.
Each raises RestError or WireError: then nothing may be concluded.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from btcbot.btcturk import exchange_info, public
from btcbot.btcturk.drift import Drift
from btcbot.btcturk.rate_budget import RateBudget
from btcbot.btcturk.rest import Monotonic, Params, Rest
from btcbot.domain.ids import Asset, Pair

T = TypeVar("T")
LEVELS_MAX: Final = 100  # More are not sent, whatever is asked for.
TRADES_MAX: Final = 50
CANDLES_MAX: Final = 11_000  # In one answer.
STATUSES: Final = frozenset({"TRADING"})
METHODS: Final = frozenset({"MARKET", "LIMIT", "STOP_MARKET", "STOP_LIMIT"})


class PublicReads:
    """One rate budget for both hosts."""

    def __init__(self, base: str, chart: str, monotonic: Monotonic, drift: Drift) -> None:
        budget = RateBudget()
        self._rest = Rest(base, monotonic, budget=budget)
        self._chart = Rest(chart, monotonic, budget=budget)
        self._drift = drift

    async def server_time(self) -> public.ServerTime:
        return self._read(
            "time", public.server_time, await self._rest.get("public", "/api/v2/server/time")
        )

    async def ping(self) -> bool:
        return public.ping(await self._rest.get("public", "/api/v2/server/ping"))

    async def exchange_info(self) -> exchange_info.ExchangeInfo:
        body = await self._rest.get("public", "/api/v2/server/exchangeinfo")
        found = self._read("exchange_info", exchange_info.exchange_info, body)
        for row in found.pairs:
            if row.status not in STATUSES:
                self._drift.note(f"pair status {row.status!r}")
            for method in row.methods:
                if method not in METHODS:
                    self._drift.note(f"order method {method!r}")
        return found

    async def tickers(self, pair: Pair | None = None) -> tuple[public.Ticker, ...]:
        """Return one row a pair, of every pair or of one; none when it is unknown."""
        params: Params | None = None if pair is None else {"pairSymbol": pair}
        body = await self._rest.get("ticker", "/api/v2/ticker", params)
        return self._read("ticker", public.tickers, body)

    async def tickers_of(self, asset: Asset) -> tuple[public.Ticker, ...]:
        """Return one row for each pair that `asset` is part of."""
        params: Params = {"symbol": asset.lower()}
        body = await self._rest.get("ticker", "/api/v2/ticker/currency", params)
        return self._read("ticker", public.tickers, body)

    async def order_book(self, pair: Pair, limit: int = LEVELS_MAX) -> public.BookAnswer:
        params: Params = {"pairSymbol": pair, "limit": min(limit, LEVELS_MAX)}
        body = await self._rest.get("order_book", "/api/v2/orderbook", params)
        return self._read("order_book", public.order_book, body)

    async def trades(self, pair: Pair, last: int = TRADES_MAX) -> tuple[public.PublicTrade, ...]:
        """Return the last trades of `pair`, newest first."""
        params: Params = {"pairSymbol": pair, "last": min(last, TRADES_MAX)}
        body = await self._rest.get("public", "/api/v2/trades", params)
        found = self._read("public_trades", public.public_trades, body)
        if any(row.side is None for row in found):
            self._drift.note("public trade: a side that is neither buy nor sell")
        return found

    async def daily(self, pair: Pair, last: int) -> tuple[public.DayCandle, ...]:
        """Return days of the older call; the exchange no longer lists it: prefer `chart_days`."""
        params: Params = {"pairSymbol": pair, "last": last}
        body = await self._rest.get("public", "/api/v2/ohlc", params)
        return self._read("daily", public.daily, body)

    async def chart_days(
        self, pair: Pair, since_s: int, until_s: int
    ) -> tuple[public.DayCandle, ...]:
        params: Params = {"pair": pair, "from": since_s, "to": until_s}
        body = await self._chart.get("ohlcs", "/v1/ohlcs", params)
        return self._read("chart_days", public.chart_days, body)

    async def candles(
        self, pair: Pair, minutes: int, since_s: int, until_s: int
    ) -> tuple[public.Candle, ...]:
        """Return candles of `minutes` (1, 15, 30, 60 or 240), oldest first; the last may run.

        A minute in which nobody traded may be missing. Raises ValueError for more than 11,000.
        """
        if (until_s - since_s) // (60 * minutes) > CANDLES_MAX:
            raise ValueError(
                f"{(until_s - since_s) // (60 * minutes)} candles asked for; allowed are "
                f"{CANDLES_MAX} in one call: ask for a shorter time"
            )
        params: Params = {"symbol": pair, "resolution": minutes, "from": since_s, "to": until_s}
        body = await self._chart.get("chart", "/v1/klines/history", params)
        return self._read("candles", public.candles, body)

    async def close(self) -> None:
        await self._rest.close()
        await self._chart.close()

    def _read(self, kind: str, parse: Callable[[bytes], T], body: bytes) -> T:
        self._drift.look(kind, body)
        return parse(body)
