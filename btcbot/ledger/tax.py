"""What a year's sales came to, with rates that a person sets by date. No advice: figures.

A year and a day are Istanbul's. Rates are of the sale's day: what one unit of a quote asset was
worth in TRY, and taxes in bps of sales or of gains. Nothing is assumed: a day without a rate is
named, and a strict report ends there.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from btcbot.domain.ids import Asset
from btcbot.domain.money import BPS_IN_ONE, ZERO
from btcbot.ledger.lots import Closing
from btcbot.ledger.pnl import day_of
from btcbot.ledger.value import TRY

NOTICE = "Figures from this ledger, by the rates that were given. Not tax advice."


class Rate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a unit of `asset` is worth in TRY from a day on, until the next rate of it."""

    asset: Asset
    since: date
    value: Decimal

    def __post_init__(self) -> None:
        if not (self.value.is_finite() and self.value > 0):
            raise ValueError(f"value = {self.value}: expected above 0")


class Levy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tax from a day on, until the next one of its name: in bps of sales or of gains."""

    name: Annotated[str, Meta(min_length=1, max_length=40)]
    since: date
    bps: Decimal
    of: Literal["sales", "gains"]

    def __post_init__(self) -> None:
        if not (self.bps.is_finite() and 0 <= self.bps <= BPS_IN_ONE):
            raise ValueError(f"bps = {self.bps}: expected 0 to 10000")


class Rates(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person sets; empty: amounts stay in their assets, and no tax is counted."""

    rate: tuple[Rate, ...] = ()
    tax: tuple[Levy, ...] = ()


class Sale(Struct, frozen=True, kw_only=True):
    """A closing with its day and its value; `rate` None: not known."""

    day: str
    closing: Closing
    rate: Decimal | None

    def in_try(self, amount: Decimal | None) -> Decimal | None:
        """Return `amount` of the sale's quote asset in TRY; None when a part is not known."""
        return None if amount is None or self.rate is None else amount * self.rate


class Year(Struct, frozen=True, kw_only=True):
    """The sales of a year and their sums in TRY."""

    year: int
    sales: tuple[Sale, ...]
    proceeds: Decimal
    cost: Decimal
    charges: Decimal
    gains: Decimal
    losses: Decimal  # At most 0.
    taxes: tuple[tuple[str, Decimal], ...]
    unknown_costs: int  # Sales of what was bought before our books.
    missing_rates: tuple[str, ...]  # "USDT 2026-03-04"

    @property
    def realized(self) -> Decimal:
        return self.gains + self.losses


def year_of(closings: Iterable[Closing], rates: Rates, year: int) -> Year:
    """Return the sales of `year`. What has no cost or no rate is in no sum, and is counted."""
    sales = tuple(s for s in sales_of(closings, rates) if s.day.startswith(f"{year:04}-"))
    results = [sale.in_try(sale.closing.realized) for sale in sales]
    charges = (sale.in_try(sale.closing.fee + sale.closing.tax) for sale in sales)
    missing = {f"{sale.closing.asset} {sale.day}": None for sale in sales if sale.rate is None}
    return Year(
        year=year,
        sales=sales,
        proceeds=_sum(sale.in_try(sale.closing.proceeds) for sale in sales),
        cost=_sum(sale.in_try(sale.closing.cost) for sale in sales),
        charges=_sum(charges),
        gains=_sum(one for one in results if one is not None and one > 0),
        losses=_sum(one for one in results if one is not None and one < 0),
        taxes=tuple(_taxes(sales, rates.tax)),
        unknown_costs=sum(sale.closing.cost is None for sale in sales),
        missing_rates=tuple(missing),
    )


def sales_of(closings: Iterable[Closing], rates: Rates) -> Iterator[Sale]:
    """Yield each closing with its day and the rate of that day."""
    for one in closings:
        day = day_of(one.closed_ns)
        yield Sale(day=day, closing=one, rate=rate_on(rates.rate, one.asset, day))


def rate_on(rates: Sequence[Rate], asset: Asset, day: str) -> Decimal | None:
    """Return what a unit of `asset` was worth in TRY on `day`; None: nobody said."""
    if asset == TRY:
        return Decimal(1)
    at = date.fromisoformat(day)
    known = [row for row in rates if row.asset == asset and row.since <= at]
    return max(known, key=lambda row: row.since).value if known else None


def _taxes(sales: Sequence[Sale], levies: Sequence[Levy]) -> Iterable[tuple[str, Decimal]]:
    for name in sorted({levy.name for levy in levies}):
        mine = [levy for levy in levies if levy.name == name]
        yield name, sum((_tax(sale, mine) for sale in sales), start=ZERO)


def _tax(sale: Sale, levies: Sequence[Levy]) -> Decimal:
    at = date.fromisoformat(sale.day)
    known = [levy for levy in levies if levy.since <= at]
    if not known:
        return ZERO
    levy = max(known, key=lambda row: row.since)
    amount = sale.closing.proceeds if levy.of == "sales" else sale.closing.realized
    base = sale.in_try(amount)
    if base is None or (levy.of == "gains" and base < 0):
        return ZERO
    return base * levy.bps / BPS_IN_ONE


def _sum(amounts: Iterable[Decimal | None]) -> Decimal:
    return sum((one for one in amounts if one is not None), start=ZERO)
