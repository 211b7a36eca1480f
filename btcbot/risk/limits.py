"""The limits of the risk gate: one name and one unit each, all on by default."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from btcbot.domain.facts import LimitTightened
from btcbot.domain.money import BPS_IN_ONE, is_sane
from btcbot.domain.tightening import is_tighter, tightest


# More fields than a struct should have: each limit is a key of [risk], and people look there.
class RiskLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Amounts in TRY, distances and shares in bps. A cap of zero means zero: nothing passes.

    What is held counts with all that may still be bought: every open or unknown order in full.
    """

    # Of one order.
    order_notional_max_try: Decimal = Decimal(5_000)
    # Held and wanted of one pair, at worst.
    position_notional_max_try: Decimal = Decimal(20_000)
    # Held and wanted of all pairs together, at worst.
    gross_exposure_max_try: Decimal = Decimal(40_000)
    # Held and wanted of one pair, of what the account is worth.
    concentration_max_bps: Decimal = Decimal(5_000)
    # TRY that is never spent.
    cash_reserve_min_try: Decimal = Decimal(1_000)
    # Of all pairs; 40 can be cancelled in 5 s.
    open_orders_max: Annotated[int, Meta(ge=0, le=40)] = 10
    # Of one pair.
    pair_open_orders_max: Annotated[int, Meta(ge=0, le=40)] = 6
    # Of one decision of a strategy.
    decision_orders_max: Annotated[int, Meta(ge=0, le=40)] = 8
    # Bought by one decision of a strategy.
    decision_notional_max_try: Decimal = Decimal(20_000)
    # Sent, of all pairs.
    orders_per_minute_max: Annotated[int, Meta(ge=0, le=120)] = 30
    # Sent, of all pairs.
    orders_per_hour_max: Annotated[int, Meta(ge=0, le=7_200)] = 1_200
    # Between two buys of one pair.
    buy_cooldown_ms: Annotated[int, Meta(ge=0, le=86_400_000)] = 1_000
    # Bought and sold in a day, which begins at midnight in Istanbul.
    turnover_per_day_max_try: Decimal = Decimal(1_000_000)
    # Paid in a day.
    fees_per_day_max_try: Decimal = Decimal(2_000)
    # Lost in a day by our own trades, open positions at the middle of the book included.
    daily_loss_max_try: Decimal = Decimal(2_000)
    # The same since Monday.
    weekly_loss_max_try: Decimal = Decimal(5_000)
    # The same since the best moment so far.
    drawdown_max_try: Decimal = Decimal(8_000)
    # Of each day's profit that is risked again; the rest is put aside. A loss counts whole.
    profit_reinvested_bps: Decimal = Decimal(6_000)
    # Between bid and ask, of the middle; wider, and nothing is bought.
    spread_max_bps: Decimal = Decimal(100)
    # How far past the middle an order may reach.
    price_collar_bps: Decimal = Decimal(100)
    # Of the price judged by.
    book_age_max_ms: Annotated[int, Meta(ge=100, le=5_000)] = 2_000
    # Tightenings made before this moment count no more; `btcbot-ctl limits show` names the number.
    tightened_since_ns: Annotated[int, Meta(ge=0, lt=1 << 62)] = 0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, Decimal) and not (is_sane(value) and value >= 0):
                raise ValueError(f"{name} = {str(value)[:40]}: allowed is 0 to 1e15")
        if self.profit_reinvested_bps > BPS_IN_ONE:
            raise ValueError(f"profit_reinvested_bps = {self.profit_reinvested_bps}: at most 10000")


TIGHTENABLE: Final = tuple(
    name
    for name in RiskLimits.__struct_fields__
    if name not in ("profit_reinvested_bps", "tightened_since_ns")
)


def holding(configured: RiskLimits, tightened: Mapping[str, LimitTightened]) -> RiskLimits:
    """Return the limits that hold: as configured, and as tightened since."""
    return tightest(configured, tightened.values(), configured.tightened_since_ns)


def why_not(holds: RiskLimits, name: str, value: Decimal) -> str | None:
    """Return why the limit `name` may not be tightened to `value`; None: it may."""
    present = getattr(holds, name)
    if not is_tighter(name, value, present):
        return f"{name} is {present}, which is as strict; looser is the configuration's: [risk]"
    if isinstance(present, int) and value % 1:
        return f"{name} = {value}: expected a whole number"
    try:
        msgspec.convert({name: int(value) if isinstance(present, int) else value}, RiskLimits)
    except msgspec.ValidationError as error:
        return f"{name} = {value}: {error}"
    return None
