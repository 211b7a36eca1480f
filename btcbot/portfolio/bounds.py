"""What every table of settings in this package holds its amounts to."""

from decimal import Decimal

from msgspec import Struct

from btcbot.domain.money import is_sane


def check_amounts(rules: Struct) -> None:
    """Return nothing if every amount of `rules` is 0 to 1e15. Raises ValueError."""
    for name in rules.__struct_fields__:
        value = getattr(rules, name)
        if isinstance(value, Decimal) and not (is_sane(value) and value >= 0):
            raise ValueError(f"{name} = {str(value)[:40]}: allowed is 0 to 1e15")
