"""The highest equity that was seen, and how far below it equity is now.

Deposits are not told from gains: one raises the peak, and a withdrawal looks like a loss.
"""

from decimal import Decimal

from msgspec import Struct

from btcbot.domain.money import ZERO


class Peak(Struct, frozen=True):
    """In the equity asset."""

    equity: Decimal = ZERO
    last: Decimal | None = None  # None: no equity was seen yet.

    @property
    def drawdown(self) -> Decimal:
        """Peak less the last equity seen, >= 0."""
        return ZERO if self.last is None else self.equity - self.last

    def seen(self, equity: Decimal) -> "Peak":
        """Return the peak after `equity` was seen."""
        return Peak(max(self.equity, equity), equity)

    def recalled(self, equity: Decimal) -> "Peak":
        """Return the peak after it became known that equity once was `equity`."""
        return Peak(max(self.equity, equity), self.last)
