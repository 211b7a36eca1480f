"""The limits of the risk gate: one name and one unit each, all on by default."""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from btcbot.domain.money import is_sane


class RiskLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Amounts in TRY, distances in bps. A cap of zero means zero: nothing passes."""

    order_notional_max_try: Decimal = Decimal(5_000)  # Of one order.
    position_notional_max_try: Decimal = Decimal(20_000)  # Held and wanted of one pair, at worst.
    cash_reserve_min_try: Decimal = Decimal(1_000)  # TRY that is never spent.
    open_orders_max: Annotated[int, Meta(ge=0, le=40)] = 10  # 40 can be cancelled in 5 s.
    orders_per_minute_max: Annotated[int, Meta(ge=0, le=120)] = 30  # Sent, of all pairs.
    price_collar_bps: Decimal = Decimal(100)  # How far past the middle an order may reach.
    book_age_max_ms: Annotated[int, Meta(ge=100, le=5_000)] = 2_000  # Of the price judged by.

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, Decimal) and not (is_sane(value) and value >= 0):
                raise ValueError(f"{name} = {str(value)[:40]}: allowed is 0 to 1e15")
