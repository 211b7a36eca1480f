"""How the account and its day stand: what the ledger says and the limits are held against."""

from decimal import Decimal

from msgspec import Struct


class Standing(Struct, frozen=True, kw_only=True):
    """How the account and its day stand, in TRY. None: not known, and then nothing is bought."""

    equity: Decimal | None = None  # What the traded assets are worth.
    capital: Decimal | None = None  # What may be risked: see ledger/capital.py.
    turnover: Decimal | None = None  # Today's fills.
    fees: Decimal | None = None  # Today's, tax included.
    day_loss: Decimal | None = None  # >= 0, open positions included.
    week_loss: Decimal | None = None
    drawdown: Decimal | None = None  # Below the best result so far.
    loss_streak: int = 0  # Selling orders in a row that lost.
