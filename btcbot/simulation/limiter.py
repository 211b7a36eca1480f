"""The exchange's rate limits, as documented.

A window opens with the first request of an endpoint; one request too many blocks the endpoint for
the block time, which is as long as the window.
"""

from typing import Final

from msgspec import Struct

SECOND: Final = 1_000_000_000


class Limit(Struct, frozen=True):
    """So many requests in so many seconds; those with the same `name` are counted together."""

    name: str
    requests: int
    window_s: int
    policy: str

    @property
    def period(self) -> str:
        return f"{self.window_s // 60}m" if self.window_s >= 60 else f"{self.window_s}s"


def _per_minute(name: str, requests: int, policy: str = "ip") -> Limit:
    return Limit(name, requests, 60, policy)


def _both(name: str, per_second: int, per_minute: int) -> tuple[Limit, ...]:
    return (Limit(name, per_second, 1, "account"), _per_minute(name, per_minute, "account"))


_CHART: Final = Limit("chart", 600, 600, "ip")
SOCKETS: Final = ("GET", "websocket")
LIMITS: Final[dict[tuple[str, str], tuple[Limit, ...]]] = {
    ("GET", "/api/v1/users/balances"): (_per_minute("balances", 120),),
    ("POST", "/api/v1/order"): _both("submit", 10, 300),
    ("DELETE", "/api/v1/order"): _both("cancel", 10, 300),
    ("GET", "/api/v1/order/"): _both("order", 30, 900),
    ("GET", "/api/v1/openorders"): (_per_minute("open", 300),),
    ("GET", "/api/v1/allorders"): (_per_minute("all", 300),),
    ("GET", "/api/v1/trades"): (_per_minute("trades", 90),),
    ("GET", "/api/v1/users/transactions/trade"): (_per_minute("fills", 120),),
    ("GET", "/api/v1/users/transactions/trade/"): (_per_minute("fills", 120),),
    ("GET", "/api/v1/users/transactions/crypto"): (_per_minute("crypto", 90),),
    ("GET", "/api/v1/users/transactions/fiat"): (_per_minute("fiat", 90),),
    ("GET", "/api/v2/ticker"): (_per_minute("ticker", 600),),
    ("GET", "/api/v2/orderbook"): (_per_minute("book", 180),),
    ("GET", "/v1/ohlcs"): (_per_minute("ohlcs", 120), _CHART),
    ("GET", "/v1/klines/history"): (_CHART,),
    SOCKETS: (_per_minute("sockets", 15),),
}


class Exceeded(Struct, frozen=True):
    """A refusal: which limit, and how many seconds until the endpoint opens again."""

    limit: Limit
    wait_s: int


class Limiter:
    """Counts requests of one address and account; time is the caller's, in ns, and only grows."""

    def __init__(self) -> None:
        self._windows: dict[Limit, tuple[int, int]] = {}  # When it opened, and how many since.
        self._blocked: dict[Limit, int] = {}  # Until when.

    def exceeded(self, endpoint: tuple[str, str], now_ns: int) -> Exceeded | None:
        """Count a request of (method, path); return the limit it breaks, if any.

        What a block refuses is not counted.
        """
        limits = LIMITS.get(endpoint, ())
        for limit in limits:
            if (until := self._blocked.get(limit, 0)) > now_ns:
                return Exceeded(limit, -(-(until - now_ns) // SECOND))
        for limit in limits:
            opened, count = self._windows.get(limit, (now_ns, 0))
            if now_ns - opened >= limit.window_s * SECOND:
                opened, count = now_ns, 0
            if count == limit.requests:
                self._blocked[limit] = now_ns + limit.window_s * SECOND
                del self._windows[limit]
                return Exceeded(limit, limit.window_s)
            self._windows[limit] = (opened, count + 1)
        return None
