"""What each trading day earned. A trading day is a calendar day in Istanbul, where BTCTurk is.

Sums are kept per quote asset, as the fills had them, and valued when they are shown: they follow
from facts alone, whatever prices were known while the facts were read.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from btcbot.domain.facts import Fill
from btcbot.domain.ids import Asset
from btcbot.domain.money import ZERO

ISTANBUL: Final = ZoneInfo("Europe/Istanbul")
HOUR_NS: Final = 3_600_000_000_000
DAYS_KEPT: Final = 7  # A fill may be booked days late, after a long silence of the exchange.


class Sums(Struct, frozen=True):
    """One day in one asset."""

    realized: Decimal = ZERO  # Net of fees and tax.
    fees: Decimal = ZERO  # Fees and tax that were paid, whether realized by now or not.
    turnover: Decimal = ZERO  # Price x quantity, bought and sold.
    fills: int = 0

    def plus(self, other: "Sums") -> "Sums":
        return Sums(
            self.realized + other.realized,
            self.fees + other.fees,
            self.turnover + other.turnover,
            self.fills + other.fills,
        )

    def times(self, rate: Decimal) -> "Sums":
        """Return the same in another asset, at `rate` of it per unit of this one."""
        return Sums(self.realized * rate, self.fees * rate, self.turnover * rate, self.fills)


Days = Mapping[str, Mapping[Asset, Sums]]
"""Day ("2026-11-24") to quote asset to sums."""


def day_of(at_ns: int) -> str:
    """Return the trading day that `at_ns` falls into."""
    return _day_of_hour(at_ns // HOUR_NS)


def day_ends_ns(at_ns: int) -> int:
    """Return when the hour of `at_ns` is over; a day ends with one of its hours, not before."""
    return (at_ns // HOUR_NS + 1) * HOUR_NS


@lru_cache(64)
def _day_of_hour(hour: int) -> str:
    """Return the day of an hour since 1970, UTC; Istanbul is whole hours away."""
    return datetime.fromtimestamp(hour * 3_600, UTC).astimezone(ISTANBUL).date().isoformat()


def sums_of(fill: Fill, realized: Decimal) -> Sums:
    """Return what `fill` adds to its day; `realized` is what it realized."""
    return Sums(realized, fill.fee + fill.tax, fill.quantity * fill.price, 1)


def add(days: Days, fill: Fill, realized: Decimal) -> Days:
    """Return `days` with `fill` in the day it happened, which may be over; keeps the newest."""
    day = day_of(fill.event_ns)
    sums = days.get(day, {})
    before = sums.get(fill.fee_asset, Sums())
    after = {**sums, fill.fee_asset: before.plus(sums_of(fill, realized))}
    kept = sorted({*days, day})[-DAYS_KEPT:]
    return {name: after if name == day else days[name] for name in kept}


def total(sums: Iterable[Sums]) -> Sums:
    """Return the sum of sums that are in one asset."""
    found = Sums()
    for one in sums:
        found = found.plus(one)
    return found
