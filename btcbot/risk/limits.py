"""The limits of the risk gate."""

from decimal import Decimal

from msgspec import Struct


class RiskLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All in TRY or bps; all on by default."""

    order_notional_max_try: Decimal = Decimal(5_000)  # Largest order.
