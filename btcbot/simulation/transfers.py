"""Deposits and withdrawals of the simulated account: what it began with, and what came later."""

from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from btcbot.domain.ids import Asset
from btcbot.domain.money import text

FIAT: Final = frozenset({"TRY"})
FIRST_ID: Final = 34_086_674


class Transfer(Struct, frozen=True, kw_only=True):
    """One of them; `amount` is negative when it left."""

    id: int
    asset: Asset
    amount: Decimal
    at_ns: int

    @property
    def kind(self) -> str:
        return "deposit" if self.amount >= 0 else "withdrawal"


def shape(row: Transfer) -> dict[str, Any]:
    """Return it as its list shows it; money of a bank has no address, tag or hash."""
    is_fiat = row.asset in FIAT
    return {
        "balanceType": row.kind,
        "currencySymbol": row.asset,
        "address": None if is_fiat else f"sandbox-{row.asset.lower()}",
        "tag": None,
        "txHash": None if is_fiat else f"{row.id:064x}",
        "confirmationCount": None if is_fiat else 6,
        "isConfirmed": True,
        "id": row.id,
        "timestamp": row.at_ns // 1_000_000,
        "amount": text(row.amount),
        "fee": "0",
        "tax": "0",
    }
