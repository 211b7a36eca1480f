"""Positions by average cost, fees and tax included; profit is what is left after both."""

from decimal import Decimal

from msgspec import Struct

from btcbot.domain.facts import Fill
from btcbot.domain.money import Notional
from btcbot.domain.words import Side

ZERO = Decimal(0)


class Holding(Struct, frozen=True):
    """One pair: base held, its whole cost in quote, and what was realised by selling."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO  # Price paid, fees and tax of the buys included.
    realized: Decimal = ZERO  # Proceeds less fees, less the cost of what was sold.

    @property
    def average_cost(self) -> Decimal:
        """Quote per base; 0 when nothing is held."""
        return self.cost / self.quantity if self.quantity else ZERO

    def unrealized(self, mark: Decimal | None) -> Decimal:
        """Return the value at `mark` less the cost, in quote; 0 without a mark."""
        return self.quantity * mark - self.cost if mark is not None and self.quantity else ZERO


class Booked(Struct, frozen=True):
    """What one fill did: the holding after it and the profit it realised, in quote."""

    holding: Holding
    realized: Decimal


def book(held: Holding, fill: Fill) -> Booked:
    """Return what `fill` makes of `held`.

    A sell takes its part of the cost, in proportion. What is sold beyond what our fills hold
    (bought before btcbot's time) has no known cost: it realises nothing but its own fees.
    """
    charges = fill.fee + fill.tax
    if fill.side is Side.BUY:
        cost = held.cost + fill.quantity * fill.price + charges
        return Booked(Holding(held.quantity + fill.quantity, cost, held.realized), ZERO)
    ours = min(fill.quantity, held.quantity)
    part = held.cost * ours / held.quantity if held.quantity else ZERO
    realized = ours * fill.price - part - charges
    left = held.quantity - ours
    holding = Holding(left, held.cost - part if left else ZERO, held.realized + realized)
    return Booked(holding, realized)


def turnover(fill: Fill) -> Notional:
    """Return what changed hands, in quote, before fees."""
    return Notional(fill.quantity * fill.price)
