"""An event loop in virtual time: nothing waits, and the same work is done in the same order.

Sockets are real (pairs within this process), so bytes are really handed to a kernel; which of them
have something is asked without waiting, in the order they were registered. When nobody has
anything to do, time moves on to the next timer.
"""

import asyncio
import math
import selectors
from typing import Final

from bus.clock import ManualClock

SECOND_NS: Final = 1_000_000_000


class Standstill(Exception):
    """Nobody will ever do anything again: no timer, no message, no byte on its way."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """`asyncio` on a `ManualClock`."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock, self._began_ns = clock, clock.monotonic_ns()
        super().__init__(_Still(clock))

    def time(self) -> float:
        """Return the seconds of virtual time since the loop was made."""
        return (self._clock.monotonic_ns() - self._began_ns) / SECOND_NS

    def seconds_at(self, at_ns: int) -> float:
        """Return `time()` as it will be just after the virtual time `at_ns`.

        The loop takes timers up to a nanosecond early: what waits for `at_ns` must not wake before.
        """
        return (at_ns - self._began_ns + 2) / SECOND_NS


class _Still(selectors.PollSelector):
    """Looks without waiting; moves time on instead."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready now; if nothing is, let `timeout` seconds pass at once."""
        found = {key.fd: (key, events) for key, events in super().select(0)}
        if found:
            return [found[number] for number in self.get_map() if number in found]
        if timeout is None:
            raise Standstill
        if timeout > 0:
            self._clock.advance(ns=math.ceil(timeout * SECOND_NS))
        return []
