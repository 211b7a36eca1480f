"""What may be risked: what the account began with, less all losses, plus a part of each profit.

The split is made once a day, the checkpoint, of what the whole day realized: so a day of many small
gains and losses counts as what came of it. Within the day a loss counts at once, and a profit with
its part. The same facts give the same capital; a checkpoint that is reached again changes nothing.
Kept for each quote asset in that asset, because prices are no facts.
"""

from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from btcbot.domain.money import BPS_IN_ONE, ZERO


class Capital(Struct, frozen=True, kw_only=True):
    """As of the last checkpoint, and what was realized since."""

    trading: Decimal = ZERO  # >= 0
    treasury: Decimal = ZERO  # Put aside, >= 0.
    day: str = ""  # Everything before this day is split.
    today: Decimal = ZERO  # Realized since then, net of fees and tax.

    def available(self, reinvested_bps: Decimal) -> Decimal:
        """Return what may be risked now; a profit of today counts with the part to be kept."""
        earned = self.today if self.today < 0 else self.today * reinvested_bps / BPS_IN_ONE
        return max(self.trading + earned, ZERO)


def paid_in(capital: Capital, amount: Decimal) -> Capital:
    """Return `capital` after a deposit, or a withdrawal below zero, which takes what is aside last.

    What is withdrawn beyond the trading capital was put aside before.
    """
    trading = capital.trading + amount
    if trading >= 0:
        return replace(capital, trading=trading)
    return replace(capital, trading=ZERO, treasury=max(capital.treasury + trading, ZERO))


def reached(capital: Capital, day: str, reinvested_bps: Decimal) -> Capital:
    """Return `capital` at the checkpoint that begins `day`: what came before is split."""
    if day <= capital.day:
        return capital
    trading = capital.available(reinvested_bps)
    aside = max(capital.today, ZERO) * (BPS_IN_ONE - reinvested_bps) / BPS_IN_ONE
    return Capital(trading=trading, treasury=capital.treasury + aside, day=day)


def earned(capital: Capital, day: str, realized: Decimal, reinvested_bps: Decimal) -> Capital:
    """Return `capital` after `realized` was booked on `day`; a day that is over counts as today."""
    capital = reached(capital, day, reinvested_bps)
    return replace(capital, today=capital.today + realized)
