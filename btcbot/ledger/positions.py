"""Positions by average cost, fees and tax included; exact to the last of 16 decimals.

Buying adds price x quantity and the charges to a position's cost. Selling takes the sold part of
the cost with it; what was received less its charges and less that part is realized. So fees are
inside both figures: nothing is earned until they are paid.

What is sold beyond what our own fills hold was bought before btcbot's time, at a cost nobody knows:
it realizes nothing but its own charges, and a position never goes below zero.
"""

from decimal import Decimal

from msgspec import Struct

from btcbot.domain.facts import Fill
from btcbot.domain.money import ZERO, half_up
from btcbot.domain.words import Side

# A quantity has up to 8 decimals and so has a price: products have 16, and sums stay there. The
# one quotient, the cost of what is sold, is rounded to the same: cost is moved, never made.
COST_SCALE = 16


class Holding(Struct, frozen=True):
    """What our own fills hold of one pair; `cost` and `realized` in its quote asset."""

    quantity: Decimal = ZERO  # Base asset, >= 0.
    cost: Decimal = ZERO  # Of all that is held, charges of the buys included.
    realized: Decimal = ZERO

    @property
    def average_cost(self) -> Decimal:
        """Quote per base, at most 8 decimals; 0 when nothing is held."""
        return half_up(self.cost / self.quantity, 8) if self.quantity else ZERO

    def unrealized(self, mark: Decimal | None) -> Decimal:
        """Return the value at `mark` less the cost, in quote; 0 without a mark."""
        return self.quantity * mark - self.cost if mark is not None else ZERO


class Booked(Struct, frozen=True):
    """What one fill did: the holding after it, and what it realized, in quote."""

    holding: Holding
    realized: Decimal


def book(held: Holding, fill: Fill) -> Booked:
    """Return what `fill` makes of `held`."""
    charges = fill.fee + fill.tax
    if fill.side is Side.BUY:
        cost = held.cost + fill.quantity * fill.price + charges
        return Booked(Holding(held.quantity + fill.quantity, cost, held.realized), ZERO)
    sold = min(fill.quantity, held.quantity)
    part = _part(held, sold)
    realized = sold * fill.price - part - charges
    left = Holding(held.quantity - sold, held.cost - part, held.realized + realized)
    return Booked(left, realized)


def _part(held: Holding, sold: Decimal) -> Decimal:
    """Return the cost that `sold` takes with it; the last unit takes all that is left."""
    if sold == held.quantity:
        return held.cost
    return half_up(held.cost * sold / held.quantity, COST_SCALE)
