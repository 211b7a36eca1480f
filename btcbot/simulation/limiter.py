"""The exchange's rate limits, as documented.

A window opens with the first request of an endpoint; one too many blocks it for the block time.
"""

from typing import Final

from msgspec import Struct

SECOND: Final = 1_000_000_000


class Limit(Struct, frozen=True):
    requests: int
    window_s: int
    policy: str

    @property
    def period(self) -> str:
        return f"{self.window_s // 60}m" if self.window_s >= 60 else f"{self.window_s}s"


_ACCOUNT = "account"
LIMITS: Final[dict[tuple[str, str], tuple[Limit, ...]]] = {
    ("GET", "/api/v1/users/balances"): (Limit(120, 60, "ip"),),
    ("POST", "/api/v1/order"): (Limit(10, 1, _ACCOUNT), Limit(300, 60, _ACCOUNT)),
    ("DELETE", "/api/v1/order"): (Limit(10, 1, _ACCOUNT), Limit(300, 60, _ACCOUNT)),
    ("GET", "/api/v1/order/"): (Limit(30, 1, _ACCOUNT), Limit(900, 60, _ACCOUNT)),
    ("GET", "/api/v1/openOrders"): (Limit(300, 60, "ip"),),
    ("GET", "/api/v1/allOrders"): (Limit(300, 60, "ip"),),
    ("GET", "/api/v1/trades"): (Limit(90, 60, "ip"),),
    ("GET", "/api/v1/users/transactions/trade"): (Limit(120, 60, "ip"),),
    ("GET", "/api/v1/users/transactions/crypto"): (Limit(90, 60, "ip"),),
    ("GET", "/api/v1/users/transactions/fiat"): (Limit(90, 60, "ip"),),
    ("GET", "/api/v2/ticker"): (Limit(600, 60, "ip"),),
    ("GET", "/api/v2/orderbook"): (Limit(180, 60, "ip"),),
    ("GET", "/v1/ohlcs"): (Limit(120, 60, "ip"),),
    ("GET", "/v1/klines/history"): (Limit(600, 600, "ip"),),
}


class Exceeded(Struct, frozen=True):
    """A refusal: which limit, and how many seconds until the endpoint opens again."""

    limit: Limit
    wait_s: int


class Limiter:
    """Counts per endpoint; time is the caller's, in ns."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str, int], tuple[int, int]] = {}
        self._blocked: dict[tuple[str, str, int], int] = {}

    def exceeded(self, method: str, path: str, now_ns: int) -> Exceeded | None:
        """Count a request; return the limit it breaks, if any."""
        endpoint = "/api/v1/order/" if path.startswith("/api/v1/order/") else path
        for n, limit in enumerate(LIMITS.get((method, endpoint), ())):
            key, window_ns = (method, endpoint, n), limit.window_s * SECOND
            if (until := self._blocked.get(key, 0)) > now_ns:
                return Exceeded(limit, -(-(until - now_ns) // SECOND))
            opened, count = self._windows.get(key, (now_ns, 0))
            if now_ns - opened >= window_ns:
                opened, count = now_ns, 0
            self._windows[key] = (opened, count + 1)
            if count + 1 > limit.requests:
                self._blocked[key] = now_ns + window_ns
                del self._windows[key]
                return Exceeded(limit, limit.window_s)
        return None
