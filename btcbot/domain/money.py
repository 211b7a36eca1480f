"""Money and quantity: exact decimals with a unit in the type, a strict grammar, one rounding home.

Arithmetic on these types gives a bare `Decimal`, so the author names the unit again. Only this
module rounds, and each function says which way.
"""

import re
from decimal import (
    ROUND_HALF_UP,
    Decimal,
    DefaultContext,
    FloatOperation,
    getcontext,
)
from functools import lru_cache
from typing import NewType

# A product of two exchange numbers has up to 62 digits: keep every one. Mixing in a float raises.
for _context in (DefaultContext, getcontext()):
    _context.prec = 64
    _context.traps[FloatOperation] = True

Price = NewType("Price", Decimal)  # Quote per base, on a tick.
Quantity = NewType("Quantity", Decimal)  # Base asset, on a step, > 0.
Notional = NewType("Notional", Decimal)  # Quote asset: price x quantity.
Amount = NewType("Amount", Decimal)  # Any asset, signed: balances, postings, fees.
Bps = NewType("Bps", Decimal)  # Hundredths of a percent.

ZERO = Decimal(0)
BPS_IN_ONE = Decimal(10_000)
# The exchange documents 12 integer and 16 fraction digits; sums get three more.
MAGNITUDE_MAX = Decimal(10) ** 15
MAGNITUDE_MIN = Decimal(1).scaleb(-16)
DIGITS_MAX = 48  # 16 before the point and 32 after it: a product of two exchange numbers.

_GRAMMAR = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,16})?", re.ASCII)


class MoneyError(ValueError):
    """A text or a number that is no amount of money; says what was found and what is allowed."""


def parse(text: str) -> Decimal:
    """Return the exact value of `text`, such as "-12.50".

    Raises MoneyError for anything but an optional minus, up to 15 digits and up to 16 decimals:
    no exponent, no plus, no spaces, no separators, no other digits, no NaN or Infinity.
    """
    if not _GRAMMAR.fullmatch(text):
        msg = f"not a decimal number: {text[:40]!r}; allowed is -?digits[.digits], 15 and 16 digits"
        raise MoneyError(msg)
    return Decimal(text)


def is_sane(value: Decimal) -> bool:
    """Return whether `value` is finite, and 1e-16 to 1e15 in size or exactly zero.

    It has at most 48 digits, and a zero at most 48 decimals: what is short on the wire must not
    become a million digits when it is shown or added.
    """
    if not value.is_finite():
        return False
    _, digits, exponent = value.as_tuple()
    if not value:
        return -DIGITS_MAX <= int(exponent) <= 0
    return len(digits) <= DIGITS_MAX and MAGNITUDE_MIN <= abs(value) <= MAGNITUDE_MAX


def text(value: Decimal) -> str:
    """Return the one canonical text of `value`: no exponent, no trailing zeros, "0" for zero."""
    plain = format(value, "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain in {"-0", ""} else plain


@lru_cache(64)
def step_of(scale: int) -> Decimal:
    """Return the smallest unit at `scale` decimals: 2 gives 0.01."""
    return Decimal(1).scaleb(-scale)


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """Return the largest multiple of `step` that is <= `value`."""
    whole = value // step  # Towards zero and exact: a quotient of 64 digits may round up.
    return (whole - 1 if value < whole * step else whole) * step


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """Return the smallest multiple of `step` that is >= `value`."""
    whole = value // step
    return (whole + 1 if value > whole * step else whole) * step


def half_up(value: Decimal, scale: int) -> Decimal:
    """Return `value` rounded half away from zero to `scale` decimals (fees, display)."""
    return value.quantize(step_of(scale), ROUND_HALF_UP)


def part_of(notional: Notional, rate: Bps) -> Decimal:
    """Return `rate` of `notional`, exact and unrounded, in the notional's asset."""
    return notional * rate / BPS_IN_ONE
