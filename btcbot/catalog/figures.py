"""Numbers and times out of files nobody vouches for."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from btcbot.domain.money import half_up, parse

MILLISECOND_NS: Final = 1_000_000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Of 2009, when there was nothing to record yet, and of 2100: times in other units fall outside.
FIRST_NS: Final = 1_230_768_000_000_000_000
LAST_NS: Final = 4_102_444_800_000_000_000
_MANY_DECIMALS: Final = re.compile(r"[0-9]{1,15}\.[0-9]{17,30}", re.ASCII)


def amount(text: str) -> Decimal:
    """Return a quantity, 0 included. Raises ValueError."""
    value = parse(text)
    if value < 0:
        raise ValueError(f"found {text!r}; allowed is 0 or more")
    return value


def positive(text: str) -> Decimal:
    """Return a price or a quantity above 0. Raises ValueError."""
    value = parse(text)
    if value <= 0:
        raise ValueError(f"found {text!r}; allowed is more than 0")
    return value


def unfloated(text: str) -> str:
    """Return `text` with 16 decimals at most: files made from floats show their error beyond."""
    return str(half_up(Decimal(text), 16)) if _MANY_DECIMALS.fullmatch(text) else text


def stamp_ns(text: str, unit_ns: int = 1) -> int:
    """Return a time of `unit_ns` as UTC ns. Raises ValueError."""
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError(f"not a time: {text[:40]!r}; allowed are digits")
    return plausible(int(text) * unit_ns, text)


def moment_ns(text: str) -> int:
    """Return the ns of "2021-12-31 23:01:00.000000", UTC unless it says else. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return plausible((moment - EPOCH) // timedelta(microseconds=1) * 1_000, text)


def plausible(at_ns: int, text: str) -> int:
    if not FIRST_NS <= at_ns < LAST_NS:
        raise ValueError(f"time {text!r} is not between 2009 and 2100: is it in another unit?")
    return at_ns
