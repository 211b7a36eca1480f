"""How far a strategy may change its own parameters, and what makes a version bad: settings."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta, Struct
from msgspec.structs import replace

from btcbot.domain.adaptation import Values
from btcbot.domain.money import ZERO, is_sane
from btcbot.portfolio.bounds import check_amounts

NAMES: Final = Values.__struct_fields__
OFFSET_MAX_BPS: Final = Decimal(1_000)  # At ten times as many a buy would cost nothing.
AMOUNT_MAX: Final = Decimal(10) ** 15
HIGHEST: Final = {
    "offset_bps": OFFSET_MAX_BPS,
    "orders_max": Decimal(100),
    "cycle_max": AMOUNT_MAX,
    "spread_max_bps": Decimal(10_000),
    "universe_size": Decimal(100),
}


class Bounds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The lowest and the highest value of each, both allowed."""

    offset_bps: tuple[Decimal, Decimal] = (ZERO, Decimal(50))
    orders_max: tuple[int, int] = (1, 8)
    cycle_max: tuple[Decimal, Decimal] = (Decimal(500), Decimal(10_000))
    spread_max_bps: tuple[Decimal, Decimal] = (Decimal(10), Decimal(100))
    universe_size: tuple[int, int] = (1, 20)

    def of(self, name: str) -> tuple[Decimal, Decimal]:
        """Return the bounds of the parameter `name`."""
        low, high = getattr(self, name)
        return Decimal(low), Decimal(high)

    def __post_init__(self) -> None:
        for name in NAMES:
            low, high = self.of(name)
            is_range = is_sane(low) and is_sane(high) and 0 <= low <= high <= HIGHEST[name]
            if not is_range:
                raise ValueError(
                    f"{name} = [{str(low)[:40]}, {str(high)[:40]}]: expected [lowest, highest], "
                    f"from 0 to {HIGHEST[name]:f}"
                )


class Rollback(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What makes a version bad. The drawdown is a part of the capital: 0.05, not 5."""

    drawdown_max: Decimal = Decimal("0.05")  # From the version's highest result so far.
    loss_max: Decimal = Decimal(500)  # In its last three periods together, in the quote asset.
    rejects_max: Annotated[int, Meta(ge=1, le=1_000)] = 3  # Rejections in one period: so many.

    def __post_init__(self) -> None:
        check_amounts(self)
        if not 0 < self.drawdown_max <= 1:
            raise ValueError(
                f"drawdown_max = {self.drawdown_max}: allowed is above 0, up to 1, a part of the "
                "capital"
            )


def outside(values: Values, bounds: Bounds) -> Iterator[str]:
    """Yield each value that lies outside its bounds, and what is allowed."""
    for name in NAMES:
        value, (low, high) = Decimal(getattr(values, name)), bounds.of(name)
        if not low <= value <= high:
            yield f"{name} = {value:f}: allowed is {low:f} to {high:f}, which is bounds.{name}"


def lowered(bounds: Bounds, caps: Values) -> Bounds:
    """Return `bounds`, none of them above its cap. Raises ValueError where even the lowest is."""
    ranges = {name: getattr(bounds, name) for name in NAMES}
    return replace(
        bounds,
        **{name: (low, min(high, getattr(caps, name))) for name, (low, high) in ranges.items()},
    )


def held(name: str, value: Decimal, bounds: Bounds) -> Decimal:
    """Return `value`, or the bound of `name` that it lies beyond."""
    low, high = bounds.of(name)
    return min(max(value, low), high)


def changed(values: Values, name: str, value: Decimal) -> Values:
    """Return `values` with one of them changed; what counts things is a whole number."""
    is_count = isinstance(getattr(values, name), int)
    return replace(values, **{name: int(value) if is_count else value})
