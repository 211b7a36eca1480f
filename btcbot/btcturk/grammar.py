"""What a number, an id or a level may look like on BTCTurk's wire; the rest is refused here."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Final, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Raw

from btcbot.domain.feed import TextLevel
from btcbot.domain.money import MoneyError, is_sane, parse

T = TypeVar("T")

# Ids are 64 bits (trade ids exceed 2^53). What is larger would break the database, not us alone.
ID_MAX: Final = (1 << 63) - 1
MILLIS_MAX: Final = 9_000_000_000_000  # The year 2255; as nanoseconds it still fits 64 bits.
DECIMALS_MAX: Final = 16
Id: TypeAlias = Annotated[int, Meta(ge=1, le=ID_MAX)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=ID_MAX)]
Millis: TypeAlias = Annotated[int, Meta(ge=0, le=MILLIS_MAX)]
Scale: TypeAlias = Annotated[int, Meta(ge=0, le=DECIMALS_MAX)]

_UNSIGNED = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,16})?", re.ASCII).fullmatch
# JSON numbers, unlike the exchange's strings, may have an exponent (.NET prints 1E-08).
_JSON_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,16})?([eE][+-]?[0-9]{1,2})?", re.ASCII)


class WireError(ValueError):
    """An answer or frame that is not what the protocol says; says what was found."""


def decoded(decode: Callable[[bytes | str | Raw], T], body: bytes | str | Raw) -> T:
    """Return `body` as what `decode` makes of it. Raises WireError, with how it begins."""
    try:
        return decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        # ValueError: bad UTF-8, or an integer of thousands of digits.
        raise WireError(f"{str(error)[:120]}; it begins {start(body)}") from None


def start(body: bytes | str | Raw, size: int = 60) -> str:
    """Return how `body` begins, escaped, for an error text."""
    if not isinstance(body, str):
        body = bytes(body)[:size].decode("utf-8", "replace")
    return repr(body[:size]) if body else "an empty body"


def number(value: str) -> Decimal:
    """Return the exact value of a text of the exchange. Raises WireError."""
    try:
        return parse(value)
    except MoneyError as error:
        raise WireError(str(error)) from None


def above_zero(value: Decimal) -> Decimal:
    """Return `value`, which must be above 0. Raises WireError."""
    if value <= 0:
        raise WireError(f"expected a number above 0, found {value}")
    return value


def balance(value: str) -> Decimal:
    """Return a balance: its documentation prints one decimal comma, never a thousands mark."""
    return number(value.replace(",", ".", 1) if "." not in value else value)


def json_number(value: Raw) -> Decimal:
    """Return a JSON number, read from its own text: never a float. Raises WireError."""
    found = bytes(value)[:60].decode("ascii", "replace").strip('"')
    if not _JSON_NUMBER.fullmatch(found):
        raise WireError(f"not a number: {found[:40]!r}")
    exact = Decimal(found)
    exponent = exact.normalize().as_tuple().exponent
    if not is_sane(exact) or not isinstance(exponent, int) or exponent < -DECIMALS_MAX:
        raise WireError(f"number out of bounds: {found[:40]!r}; allowed is 1e-16 to 1e15 or 0")
    return exact


def digits(value: str, maximum: int) -> int:
    """Return an integer written as a text, 1 to `maximum`. Raises WireError."""
    if not (value.isascii() and value.isdigit() and len(value) <= 19):
        raise WireError(f"expected up to 19 digits, found {value[:30]!r}")
    found = int(value)
    if not 1 <= found <= maximum:
        raise WireError(f"expected 1 to {maximum}, found {found}")
    return found


def level(price: str, amount: str) -> TextLevel:
    """Return one level of a book; an amount of nothing becomes "0". Raises WireError.

    The texts are only looked at: building Decimals here would cost more than all else in a frame.
    """
    if not _UNSIGNED(price) or not _UNSIGNED(amount) or not price.strip("0."):
        raise WireError(f"level {price[:40]!r}, {amount[:40]!r}: expected price > 0, amount >= 0")
    return TextLevel(price, amount if amount.strip("0.") else "0")
