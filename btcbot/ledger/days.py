"""The trading day (Europe/Istanbul) and what it earned; the peak of equity and the fall from it."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

ISTANBUL = ZoneInfo("Europe/Istanbul")
ZERO = Decimal(0)


class Day(Struct, frozen=True, kw_only=True):
    """One trading day, in the equity asset."""

    name: str  # "2026-11-24"
    realized: Decimal = ZERO
    fees: Decimal = ZERO  # Fees and tax.
    turnover: Decimal = ZERO
    fills: int = 0
    unrealized_before: Decimal | None = None  # At the first mark of the day.


class Peak(Struct, frozen=True):
    """The highest equity seen, and how far below it we are, in the equity asset."""

    value: Decimal = ZERO
    drawdown: Decimal = ZERO


def day_of(at_ns: int) -> str:
    """Return the trading day that `at_ns` falls into; Istanbul has no daylight saving now."""
    return (
        datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).astimezone(ISTANBUL).date().isoformat()
    )


def add(day: Day, realized: Decimal, fees: Decimal, turnover: Decimal) -> Day:
    """Return `day` with one more fill."""
    return replace(
        day,
        realized=day.realized + realized,
        fees=day.fees + fees,
        turnover=day.turnover + turnover,
        fills=day.fills + 1,
    )


def rise(peak: Peak, equity: Decimal) -> Peak:
    """Return the peak after `equity` was seen."""
    highest = max(peak.value, equity)
    return Peak(highest, highest - equity)
