"""Our share of the exchange's rate limits: no window of a documented length is ever exceeded.

A group is what the exchange counts together. We take a part of each: submits half, cancels 90 %,
reads 60 %, so that a person or a second tool on the account does not push us over. Cancels have
counters of their own at the exchange; of our part of every private read a fifth is kept for
settling what is in doubt, so that no routine polling can be in its way. After a 429 a group is
closed for as long as the exchange says, and goes on with half its part for ten minutes.
"""

from collections import deque
from enum import IntEnum
from typing import Final

from msgspec import Struct

from btcbot.domain.messages import RateUse

SECOND_NS: Final = 1_000_000_000
CLOSED_S_MAX: Final = 600.0  # Its longest documented block.
PENALTY_NS: Final = 600 * SECOND_NS
RESERVE_PERCENT: Final = 20


class Priority(IntEnum):
    """Who goes first where a window is nearly full."""

    ROUTINE = 0  # Polling: it leaves the reserve alone.
    SETTLING = 1  # Orders in doubt or ending: it may take all of our part.


class Limit(Struct, frozen=True):
    """The exchange allows `documented` requests in a window; we send at most `requests`."""

    requests: int
    window_ns: int
    documented: int


def _limit(documented: int, percent: int, seconds: int) -> Limit:
    return Limit(documented * percent // 100, seconds * SECOND_NS, documented)


def _minute(documented: int, percent: int) -> Limit:
    return _limit(documented, percent, 60)


def _second(documented: int, percent: int) -> Limit:
    return _limit(documented, percent, 1)


PRIVATE: Final[dict[str, tuple[Limit, ...]]] = {
    "submit": (_second(10, 50), _minute(300, 50)),
    "cancel": (_second(10, 90), _minute(300, 90)),  # 40 orders in 4.5 s.
    "order": (_second(30, 60), _minute(900, 60)),
    "open_orders": (_minute(300, 60),),
    "all_orders": (_minute(300, 60),),
    "trades": (_minute(120, 60),),
    "crypto": (_minute(90, 60),),
    "fiat": (_minute(90, 60),),
    "balances": (_minute(120, 60),),
}
PUBLIC: Final[dict[str, tuple[Limit, ...]]] = {
    "ticker": (_minute(600, 60),),
    "order_book": (_minute(180, 60),),
    "ohlcs": (_minute(120, 60),),
    "chart": (_limit(600, 60, 600),),
    "public": (_minute(600, 10),),  # Undocumented endpoints: little, on purpose.
    # By address: market_data and execution have one socket each, and a person may have a third.
    "connect": (_minute(15, 40),),
}
LIMITS: Final = PRIVATE | PUBLIC
# So near to the limit a burst would break it: what left within our window arrives within a shorter
# one of the exchange's, when the first of it was delayed. One after another, it cannot.
SPACED_NS: Final = {"cancel": 105 * SECOND_NS // 1_000}
RESERVED: Final = frozenset(PRIVATE) - {"submit", "cancel"}
# The chart host counts all that is asked of it as well.
COUNTED_TOO: Final = {"ohlcs": ("chart",)}


class RateBudget:
    """Counts requests per group over sliding windows; time is the caller's (monotonic ns)."""

    def __init__(self) -> None:
        self._sent: dict[str, deque[int]] = {group: deque() for group in LIMITS}
        self._closed_until: dict[str, int] = {}
        self._halved_until: dict[str, int] = {}

    def take(self, group: str, now_ns: int, priority: Priority = Priority.SETTLING) -> bool:
        """Return whether a request of `group` may go now, and count it if so."""
        if self.wait_ns(group, now_ns, priority) > 0:
            return False
        for name in (group, *COUNTED_TOO.get(group, ())):
            self._sent[name].append(now_ns)
        return True

    def wait_ns(self, group: str, now_ns: int, priority: Priority = Priority.SETTLING) -> int:
        """Return how long a request of `group` must wait; 0: it may go."""
        names = (group, *COUNTED_TOO.get(group, ()))
        return max(self._wait_ns(name, now_ns, priority) for name in names)

    def close(self, group: str, seconds: float, now_ns: int) -> None:
        """Send nothing of `group` for a while, and less of it after that: the exchange said so."""
        until = now_ns + round(min(seconds, CLOSED_S_MAX) * SECOND_NS)
        self._closed_until[group] = max(until, self._closed_until.get(group, 0))
        self._halved_until[group] = self._closed_until[group] + PENALTY_NS

    def uses(self, groups: tuple[str, ...], now_ns: int) -> tuple[RateUse, ...]:
        """Return how much of each of our parts is used, every window of every group."""
        return tuple(use for group in groups for use in self._uses(group, now_ns))

    def _uses(self, group: str, now_ns: int) -> list[RateUse]:
        self._forget(group, now_ns)
        closed_ns = max(self._closed_until.get(group, 0) - now_ns, 0)
        return [
            RateUse(
                group=group,
                window_s=limit.window_ns // SECOND_NS,
                used=sum(1 for at in self._sent[group] if now_ns - at < limit.window_ns),
                allowed=self._allowed(group, limit, now_ns, Priority.SETTLING),
                documented=limit.documented,
                closed_s=-(-closed_ns // SECOND_NS),
            )
            for limit in LIMITS[group]
        ]

    def _wait_ns(self, group: str, now_ns: int, priority: Priority) -> int:
        self._forget(group, now_ns)
        sent = self._sent[group]
        wait = self._closed_until.get(group, 0) - now_ns
        if sent:
            wait = max(wait, sent[-1] + SPACED_NS.get(group, 0) - now_ns)
        for limit in LIMITS[group]:
            allowed = self._allowed(group, limit, now_ns, priority)
            if len(sent) >= allowed:
                wait = max(wait, sent[-allowed] + limit.window_ns - now_ns)
        return max(wait, 0)

    def _allowed(self, group: str, limit: Limit, now_ns: int, priority: Priority) -> int:
        allowed = limit.requests
        if now_ns < self._halved_until.get(group, 0):
            allowed //= 2
        if priority is Priority.ROUTINE and group in RESERVED:
            allowed = allowed * (100 - RESERVE_PERCENT) // 100
        return max(allowed, 1)

    def _forget(self, group: str, now_ns: int) -> None:
        longest = max(limit.window_ns for limit in LIMITS[group])
        sent = self._sent[group]
        while sent and now_ns - sent[0] >= longest:
            sent.popleft()


def retry_after_s(header: str) -> float:
    """Return a Retry-After in seconds; a minute when it is missing or strange."""
    is_whole = header.isascii() and header.isdigit() and len(header) < 5
    return max(float(header), 1.0) if is_whole else 60.0
