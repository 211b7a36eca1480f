"""What things are worth in TRY, by the middle of the book: directly, or by way of USDT."""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Final

from btcbot.domain.ids import Asset, Pair
from btcbot.domain.messages import AssetBalance, BookTop
from btcbot.domain.money import ZERO, Amount, Price, half_up

TRY: Final = Asset("TRY")
USDT: Final = Asset("USDT")
ONE: Final = Decimal(1)

Marks = Mapping[Pair, Price]


def mark_of(top: BookTop) -> Price:
    """Return the price to value by: the middle between bid and ask, exact."""
    return Price((top.bid + top.ask) / 2)


def rate(marks: Marks, asset: Asset) -> Decimal | None:
    """Return TRY per unit of `asset`; None without a price."""
    if asset == TRY:
        return ONE
    direct = marks.get(Pair(asset + TRY))
    if direct is not None:
        return direct
    in_usdt, usdt = marks.get(Pair(asset + USDT)), marks.get(Pair(USDT + TRY))
    return in_usdt * usdt if in_usdt is not None and usdt is not None else None


def equity(
    balances: Iterable[AssetBalance], marks: Marks, traded: Collection[Asset]
) -> Amount | None:
    """Return the value of the `traded` assets in TRY, to 8 decimals; None if one has no price.

    Assets that no configured pair trades are no part of it: an account may hold coins that have
    no market, and they must not hide what the rest is worth.
    """
    found = ZERO
    for row in balances:
        if row.asset in traded and row.total:
            price = rate(marks, row.asset)
            if price is None:
                return None
            found += row.total * price
    return Amount(half_up(found, 8))


def fit(value: Decimal) -> Decimal:
    """Return `value` with at most 16 decimals, which is as fine as a message may be."""
    rounded = half_up(value, 16)
    return value if value == rounded else rounded
