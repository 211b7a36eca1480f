"""The only place that reads time: UTC for what happened when, monotonic for how long."""

import time
from typing import Protocol

SECOND_NS = 1_000_000_000
MILLISECOND_NS = 1_000_000


class Clock(Protocol):
    """Nanoseconds. `now_ns` is UTC and may be set back; `monotonic_ns` only grows."""

    def now_ns(self) -> int: ...

    def monotonic_ns(self) -> int: ...


class SystemClock:
    """The machine's clocks."""

    __slots__ = ()

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()


class ManualClock:
    """Virtual time: stands still until told otherwise, and never goes back.

    `at_ns` is what `now_ns` says, for loops that look millions of times.
    """

    __slots__ = ("at_ns",)

    def __init__(self, start_ns: int) -> None:
        self.at_ns = start_ns

    def now_ns(self) -> int:
        return self.at_ns

    def monotonic_ns(self) -> int:
        return self.at_ns

    def advance_to(self, now_ns: int) -> None:
        """Move to `now_ns`; it must not lie in the past."""
        assert now_ns >= self.at_ns, f"time would go back from {self.at_ns} to {now_ns}"
        self.at_ns = now_ns

    def advance(self, *, seconds: float = 0, ns: int = 0) -> None:
        """Move on by a duration."""
        self.advance_to(self.at_ns + ns + round(seconds * SECOND_NS))
