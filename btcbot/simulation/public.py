"""BTCTurk's public REST and its chart host: what anybody may ask."""

from datetime import UTC, datetime

from btcbot.domain.ids import Pair
from btcbot.simulation import shapes
from btcbot.simulation.account import Rejected
from btcbot.simulation.calls import Call, Handler, Json, pair_of
from btcbot.simulation.history import History
from btcbot.simulation.sandbox import Sandbox

SECOND_NS = 1_000_000_000
DAY_S = 86_400
CANDLES_MAX = 11_000
TRADES_MAX = 50
LEVELS_MAX = 100
# Letters of resolutions longer than minutes, in either of the two spellings clients use.
UNITS_S = {"d": DAY_S, "w": 7 * DAY_S, "m": 30 * DAY_S, "y": 365 * DAY_S}


class PublicApi:
    """Answers from the sandbox; a handler returns the whole body."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def handlers(self) -> dict[tuple[str, str], Handler]:
        return {
            ("GET", "/api/v2/server/time"): _time,
            ("GET", "/api/v2/server/ping"): lambda _: {"pong": True},
            ("GET", "/api/v2/server/exchangeinfo"): self._info,
            ("GET", "/api/v2/ticker"): self._ticker,
            ("GET", "/api/v2/ticker/currency"): self._ticker,
            ("GET", "/api/v2/orderbook"): self._book,
            ("GET", "/api/v2/trades"): self._trades,
            ("GET", "/api/v1/trades"): self._trades,
            ("GET", "/api/v2/ohlc"): self._ohlc,
            ("GET", "/v1/klines/history"): self._klines,
            ("GET", "/v1/ohlcs"): self._ohlcs,
        }

    def _info(self, call: Call) -> Json:
        markets = self._sandbox.exchange.markets.values()
        return {**shapes.good(shapes.exchange_info(markets, call.now_ns), ""), "extensions": None}

    def _ticker(self, call: Call) -> Json:
        """Return rows of every pair, of one (none if unknown), or of one asset's."""
        pair, asset = pair_of(call.text("pairSymbol")), call.text("symbol").upper()
        rows = [
            shapes.ticker(market, self._sandbox.histories[market.rules.pair], call.now_ns)
            for market in self._sandbox.exchange.markets.values()
            if pair in ("", market.rules.pair)
            and asset in ("", market.rules.base, market.rules.quote)
        ]
        return shapes.good(rows)

    def _book(self, call: Call) -> Json:
        pair = self._history(call.pair()).rules.pair
        limit = max(1, min(call.number("limit", default=LEVELS_MAX), LEVELS_MAX))
        bids, asks = self._sandbox.window(pair)
        data = {
            "timestamp": shapes.ms(call.now_ns),
            "bids": shapes.levels(bids[:limit]),
            "asks": shapes.levels(asks[:limit]),
        }
        return shapes.good(data, None, "SUCCESS")

    def _trades(self, call: Call) -> Json:
        last = max(0, min(call.number("last", "limit", default=TRADES_MAX), TRADES_MAX))
        return shapes.good(shapes.public_trades(self._history(call.pair()), last))

    def _ohlc(self, call: Call) -> Json:
        history = self._history(call.pair())
        now_s = call.now_ns // SECOND_NS
        last = max(1, min(call.number("last", default=10), 1_000))
        rows = history.candles(DAY_S, 0, now_s, last)
        return shapes.good([shapes.ohlc(history.rules, row) for row in rows])

    def _klines(self, call: Call) -> Json:
        history = self._history(call.pair("symbol"))
        seconds = resolution_s(call.text("resolution") or "1")
        since_s, until_s = _range(call)
        return shapes.klines(history.candles(seconds, since_s, until_s, CANDLES_MAX))

    def _ohlcs(self, call: Call) -> Json:
        history = self._history(call.pair("pair"))
        since_s, until_s = _range(call)
        rows = history.candles(DAY_S, since_s, until_s, CANDLES_MAX)
        return [shapes.ohlcs(history.rules, row) for row in rows]

    def _history(self, pair: Pair) -> History:
        history = self._sandbox.histories.get(pair)
        if history is None:
            raise Rejected(1037, f"Pair {pair} does not exists.")
        return history


def _time(call: Call) -> Json:
    seconds, fraction = divmod(call.now_ns, SECOND_NS)
    stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return {
        "serverTime": shapes.ms(call.now_ns),
        "serverTime2": f"{stamp}.{fraction // 100:07d}+00:00",
    }


def _range(call: Call) -> tuple[int, int]:
    """Return (from, to) in seconds; one client sends a `from` below zero: from the beginning."""
    now_s = call.now_ns // SECOND_NS
    since_s = max(0, call.number("from", default=0))
    return since_s, min(call.number("to", default=now_s), now_s)


def resolution_s(asked: str) -> int:
    """Return seconds: minutes are bare numbers, longer ones end in d, w, m or y ("1D", "1 d")."""
    asked = asked.strip().lower()
    if asked.isascii() and asked.isdigit() and 0 < int(asked[:6]) <= DAY_S // 60:
        return int(asked[:6]) * 60
    unit = UNITS_S.get(asked[-1:])
    if unit is None or asked[:-1].strip() not in ("", "1"):
        raise Rejected(1037, "INVALID_REQUEST_ERROR")
    return unit
