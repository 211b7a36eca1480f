"""What may be traded and how: scales, minimum value, price bounds, fees."""

from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta, Struct

from btcbot.domain.ids import Asset, Pair
from btcbot.domain.money import Bps, Notional, Price, Quantity, ceil_to, floor_to, step_of

Scale = Annotated[int, Meta(ge=0, le=16)]
"""How many decimals; the exchange documents up to 16."""


class Instrument(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One pair's rules, as exchange info states them.

    `price_scale` is already 0 where the exchange says `hasFraction: false`. `tick` is the coarser
    of the filter's tick size and the scale: always valid, though BTCTurk enforces only the scale.
    """

    pair: Pair
    base: Asset
    quote: Asset
    is_trading: bool = True
    price_scale: Scale
    quantity_scale: Scale
    tick: Decimal
    notional_min: Notional
    price_min: Price | None = None
    price_max: Price | None = None

    def is_priced_right(self, price: Price) -> bool:
        """Return whether `price` lies inside the bounds that exchange info names."""
        is_low = self.price_min is not None and price < self.price_min
        return not is_low and (self.price_max is None or price <= self.price_max)

    @property
    def step(self) -> Decimal:
        """The smallest quantity, in base asset."""
        return step_of(self.quantity_scale)

    def price_down(self, price: Decimal) -> Price:
        """Return `price` rounded down to a tick (buys never pay more than asked)."""
        return Price(floor_to(price, self.tick))

    def price_up(self, price: Decimal) -> Price:
        """Return `price` rounded up to a tick (sells never ask less)."""
        return Price(ceil_to(price, self.tick))

    def quantity_down(self, quantity: Decimal) -> Quantity:
        """Return `quantity` rounded down to a step: rounding never enlarges an order."""
        return Quantity(floor_to(quantity, self.step))


class FeeRates(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Commission per fill, tax included, in the quote asset on both sides."""

    maker_bps: Bps
    taker_bps: Bps


# Level 1 of the list BTCTurk's own web application reads (September 2026).
FEES_TRY: Final = FeeRates(maker_bps=Bps(Decimal(12)), taker_bps=Bps(Decimal(24)))
FEES_USDT: Final = FeeRates(maker_bps=Bps(Decimal(10)), taker_bps=Bps(Decimal(14)))


def default_fees(quote: Asset) -> FeeRates:
    """Return the published level 1 rates for pairs quoted in `quote`."""
    return FEES_TRY if quote == "TRY" else FEES_USDT


def _row(base: str, quote: str, scales: tuple[int, int], tick: str, minimum: str) -> Instrument:
    return Instrument(
        pair=Pair(base + quote),
        base=Asset(base),
        quote=Asset(quote),
        price_scale=scales[0],
        quantity_scale=scales[1],
        tick=Decimal(tick),
        notional_min=Notional(Decimal(minimum)),
    )


# As documented; used where no exchange can be asked (backtests) and by the sandbox exchange.
DOCUMENTED: Final[dict[Pair, Instrument]] = {
    row.pair: row
    for row in (
        _row("BTC", "TRY", (0, 8), "10", "99.91"),
        _row("ETH", "TRY", (0, 8), "1", "99.91"),
        _row("USDT", "TRY", (3, 2), "0.001", "99.91"),
        _row("BTC", "USDT", (0, 8), "1", "9.91"),
    )
}
