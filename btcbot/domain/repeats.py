"""When to say what others show: as it changes, at most once a second, and again now and then.

Again, though nothing changed: hearers come late, and a stream may drop what it carries.
"""

from typing import Final

from msgspec import Struct

SAY_NS: Final = 1_000_000_000  # Between two sayings of what changes all the time.
AGAIN_NS: Final = 5_000_000_000
LATE_NS: Final = 5_000_000_000  # A hearer that came up may not be joined to our stream yet.
NEVER_NS: Final = (1 << 63) - 1


class Repeats(Struct, kw_only=True):
    """Owned by who says it, changed in place."""

    every_ns: int = AGAIN_NS
    said_ns: int = 0
    due_ns: int = NEVER_NS  # When the timer rings that was asked for last.
    late_until_ns: int = 0  # Until then it is said each second.

    def hearer_came(self, now_ns: int) -> None:
        """Note that somebody came up who has not heard it."""
        self.late_until_ns = now_ns + LATE_NS

    def is_due(self, now_ns: int) -> bool:
        """Return whether it is to be said again; a clock that was set back is no reason not to."""
        return now_ns <= self.late_until_ns or not 0 <= now_ns - self.said_ns < self.every_ns

    @property
    def next_ns(self) -> int:
        """When `is_due` turns true, as far as is known now."""
        return self.said_ns + self.every_ns if self.said_ns > self.late_until_ns else 0

    def said(self, now_ns: int, *others_ns: int) -> int:
        """Note that it is said just now; return when it is said again.

        At the latest at the first of `others_ns`; what lies in the past does not count.
        """
        self.said_ns = now_ns
        wait_ns = SAY_NS if now_ns < self.late_until_ns else self.every_ns
        first_ns = now_ns + wait_ns
        for at_ns in others_ns:
            if now_ns < at_ns < first_ns:
                first_ns = at_ns
        self.due_ns = max(first_ns, now_ns + SAY_NS)
        return self.due_ns

    def changed(self, now_ns: int) -> int | None:
        """Return when to say what changed just now; None: the timer rings soon enough."""
        soon_ns = min(max(self.said_ns + SAY_NS, now_ns), now_ns + SAY_NS)
        if self.due_ns <= soon_ns:
            return None
        self.due_ns = soon_ns
        return soon_ns
