"""After three 401s in a row nothing private is sent, but for one probe a minute.

The exchange blocks an address after fifty unauthorised calls (its older documentation). Counted
over everything, and for each permission alone: a key that may read funds but not trade is answered
401 for the one and 200 for the other, for ever.
"""

from typing import Final

from btcbot.btcturk.failures import PERMISSIONS

REFUSALS_MAX: Final = 3
PROBE_NS: Final = 55_000_000_000  # Whoever asks once a minute is never a moment too early.
_ALL: Final = "everything"


class Breaker:
    """Time is the caller's, monotonic ns. Public groups pass always."""

    def __init__(self) -> None:
        self._row: dict[str, int] = {}
        self._next_ns: dict[str, int] = {}
        self.last = ""  # What the exchange said last.

    @property
    def trouble(self) -> str:
        """What the exchange says to our key while it refuses it; else empty."""
        return self.last if any(row >= REFUSALS_MAX for row in self._row.values()) else ""

    def wait_ns(self, group: str, now_ns: int) -> int:
        """Return how long a call of `group` must wait; 0: it may go."""
        return max((self._next_ns[name] - now_ns for name in self._open(group)), default=0)

    def take(self, group: str, now_ns: int) -> bool:
        """Return whether a call of `group` may go now; one that may is the probe, if one is due."""
        if self.wait_ns(group, now_ns) > 0:
            return False
        for name in self._open(group):
            self._next_ns[name] = now_ns + PROBE_NS
        return True

    def refused(self, group: str, said: str, now_ns: int) -> None:
        """Note a 401 in answer to a call of `group`."""
        self.last = said
        for name in _names(group):
            self._row[name] = self._row.get(name, 0) + 1
            self._next_ns[name] = now_ns + PROBE_NS

    def accepted(self, group: str) -> None:
        """Note that the exchange let a call of `group` in, whatever else it said to it."""
        for name in _names(group):
            self._row.pop(name, None)

    def _open(self, group: str) -> list[str]:
        return [name for name in _names(group) if self._row.get(name, 0) >= REFUSALS_MAX]


def _names(group: str) -> tuple[str, ...]:
    return (_ALL, PERMISSIONS[group]) if group in PERMISSIONS else ()
