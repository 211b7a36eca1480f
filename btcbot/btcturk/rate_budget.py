"""Our share of the exchange's rate limits: no window of a documented length is ever exceeded.

A group's limit is (requests, window). We take a part of it: submits half, cancels 90 %, reads 60 %,
so that a person or a second tool on the account does not push us over. After a 429 the group is
closed for as long as the exchange says.
"""

from collections import deque
from typing import Final

from msgspec import Struct

SECOND_NS: Final = 1_000_000_000
CLOSED_S_MAX: Final = 600.0  # Its longest documented block.


class Limit(Struct, frozen=True):
    """At most `requests` in any window of `window_ns`."""

    requests: int
    window_ns: int


def _minute(documented: int, percent: int) -> Limit:
    return Limit(documented * percent // 100, 60 * SECOND_NS)


def _second(documented: int, percent: int) -> Limit:
    return Limit(documented * percent // 100, SECOND_NS)


LIMITS: Final[dict[str, tuple[Limit, ...]]] = {
    "submit": (_second(10, 50), _minute(300, 50)),
    "cancel": (_second(10, 90), _minute(300, 90)),  # 40 orders in 4.5 s.
    "order": (_second(30, 60), _minute(900, 60)),
    "open_orders": (_minute(300, 60),),
    "all_orders": (_minute(300, 60),),
    "trades": (_minute(120, 60),),
    "balances": (_minute(120, 60),),
    "order_book": (_minute(180, 60),),
    "public": (_minute(600, 10),),  # Undocumented endpoints: little, on purpose.
    # By address: market_data and execution have one socket each, and a person may have a third.
    "connect": (_minute(15, 40),),
}


class RateBudget:
    """Counts requests per group over sliding windows; time is the caller's (monotonic ns)."""

    def __init__(self) -> None:
        self._sent: dict[str, deque[int]] = {group: deque() for group in LIMITS}
        self._closed_until: dict[str, int] = {}

    def take(self, group: str, now_ns: int) -> bool:
        """Return whether a request of `group` may go now, and count it if so."""
        if self.wait_ns(group, now_ns) > 0:
            return False
        self._sent[group].append(now_ns)
        return True

    def wait_ns(self, group: str, now_ns: int) -> int:
        """Return how long a request of `group` must wait; 0: it may go."""
        sent = self._sent[group]
        longest = max(limit.window_ns for limit in LIMITS[group])
        while sent and now_ns - sent[0] >= longest:
            sent.popleft()
        wait = self._closed_until.get(group, 0) - now_ns
        for limit in LIMITS[group]:
            if len(sent) >= limit.requests:
                wait = max(wait, sent[-limit.requests] + limit.window_ns - now_ns)
        return max(wait, 0)

    def close(self, group: str, seconds: float, now_ns: int) -> None:
        """Send nothing of `group` for a while: the exchange said so."""
        until = now_ns + round(min(seconds, CLOSED_S_MAX) * SECOND_NS)
        self._closed_until[group] = max(until, self._closed_until.get(group, 0))


def retry_after_s(header: str) -> float:
    """Return a Retry-After in seconds; a minute when it is missing or strange."""
    is_whole = header.isascii() and header.isdigit() and len(header) < 5
    return max(float(header), 1.0) if is_whole else 60.0
