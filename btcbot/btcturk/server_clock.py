"""The exchange's clock as we know it: an offset, and a bound of its error that only grows.

The bound is half the round trip of the measurement, plus what quartz drifts, plus whatever our own
wall clock was moved since: the monotonic clock tells. A machine that slept or was set is then over
every bound until the exchange's clock is read again.
"""

from typing import Final

from btcbot.domain.venue import TimeRead

DRIFT_PPM: Final = 200  # Far worse than any quartz; 18 ms in a minute and a half.
ERROR_MAX_NS: Final = 1_000_000_000  # No POST above it: BTCTurk refuses stamps 5 s off.
MILLISECOND_NS: Final = 1_000_000


class ServerClock:
    """Pure: both clocks of the caller are arguments, in ns."""

    def __init__(self) -> None:
        self._offset_ns = 0
        self._error_ns = 0
        self._read_ns: int | None = None  # Wall, when it was measured.
        self._read_monotonic_ns = 0

    def measured(self, found: TimeRead, now_ns: int, monotonic_ns: int) -> None:
        """Take a new measurement."""
        self._offset_ns, self._error_ns = found.offset_ns, found.error_ns
        self._read_ns, self._read_monotonic_ns = now_ns, monotonic_ns

    @property
    def offset_ms(self) -> int:
        return self._offset_ns // MILLISECOND_NS

    def now_ms(self, now_ns: int) -> int:
        """Return the exchange's time, as far as it is known; our own before it was measured."""
        return (now_ns + self._offset_ns) // MILLISECOND_NS

    def error_ns(self, now_ns: int, monotonic_ns: int) -> int | None:
        """Return the bound of the offset's error; None when it was never measured."""
        if self._read_ns is None:
            return None
        elapsed_ns = monotonic_ns - self._read_monotonic_ns
        moved_ns = abs((now_ns - self._read_ns) - elapsed_ns)
        return self._error_ns + elapsed_ns * DRIFT_PPM // 1_000_000 + moved_ns

    def why_not(self, now_ns: int, monotonic_ns: int) -> str:
        """Return why no order may be stamped now; empty when one may."""
        error_ns = self.error_ns(now_ns, monotonic_ns)
        if error_ns is None:
            return "the exchange's clock was not read yet"
        if error_ns > ERROR_MAX_NS:
            found, allowed = error_ns // MILLISECOND_NS, ERROR_MAX_NS // MILLISECOND_NS
            return (
                f"our clock may be {found} ms wrong, allowed are {allowed} ms: this machine slept"
                " or its time was set; it is measured again every few seconds"
            )
        return ""
