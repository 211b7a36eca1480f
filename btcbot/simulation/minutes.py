"""A market as minutes of its middle: what a report draws, whatever the recording was made of."""

from decimal import Decimal
from typing import Final

from msgspec import Struct

MINUTE_NS: Final = 60_000_000_000


class Minute(Struct):
    """Of samples taken once a second; minutes without a sample are not there."""

    open_ns: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


def sample(minutes: list[Minute], at_ns: int, middle: Decimal) -> None:
    """Add a sample, not older than the one before, to the last minute or a new one."""
    open_ns = at_ns - at_ns % MINUTE_NS
    if not minutes or minutes[-1].open_ns != open_ns:
        minutes.append(Minute(open_ns, middle, middle, middle, middle))
        return
    last = minutes[-1]
    last.high, last.low, last.close = max(last.high, middle), min(last.low, middle), middle
