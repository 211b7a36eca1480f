"""One REST call as its handler sees it: parsed, with the time it came; no HTTP library in sight."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import msgspec
from msgspec import Raw, Struct

from btcbot.domain.ids import Pair
from btcbot.domain.money import MoneyError, parse
from btcbot.simulation.account import Rejected

Json = Any
DIGITS_MAX = 19  # Of an id or a time.


class Call(Struct, frozen=True):
    """`path` is lower case, without a trailing id, which is `last` then."""

    method: str
    path: str
    query: Mapping[str, Sequence[str]]
    body: bytes
    now_ns: int
    last: str = ""

    def text(self, name: str) -> str:
        """Return a parameter of the query, in whatever case, "" when it is not there."""
        return self.all(name)[0] if self.all(name) else ""

    def all(self, name: str) -> Sequence[str]:
        return self.query.get(name.lower(), ())

    def number(self, *names: str, default: int) -> int:
        """Return the first of these parameters that is there. Raises Rejected for no number."""
        for name in names:
            value = self.text(name)
            if value:
                digits = value.removeprefix("-")
                if not (digits.isascii() and digits.isdigit() and len(digits) <= DIGITS_MAX):
                    raise invalid()
                return int(value)
        return default

    def pair(self, name: str = "pairSymbol") -> Pair:
        """Return a pair as `BTCTRY`, whichever of its forms was sent. Raises Rejected for none."""
        asked = self.text(name)
        if not asked:
            raise invalid()
        return pair_of(asked)


Handler = Callable[[Call], Json]


def invalid() -> Rejected:
    return Rejected(1037, "INVALID_REQUEST_ERROR")


def pair_of(text: str) -> Pair:
    return Pair(text.upper().replace("_", ""))


def query_of(raw: str) -> dict[str, list[str]]:
    """Return the parameters by name in lower case: clients spell `pairSymbol` in two ways."""
    found: dict[str, list[str]] = {}
    for name, values in parse_qs(raw, keep_blank_values=True).items():
        found.setdefault(name.lower(), []).extend(values)
    return found


def fields_of(body: bytes) -> dict[str, str]:
    """Return the fields of a JSON object as texts, names in lower case; numbers keep their digits.

    Raises Rejected for anything else, and for a field that is neither text, number, nor null.
    """
    try:
        found = msgspec.json.decode(body, type=dict[str, Raw])
        return {name.lower(): _field(bytes(value)) for name, value in found.items()}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise invalid() from None


def _field(raw: bytes) -> str:
    if raw == b"null":
        return ""
    if raw.startswith(b'"'):
        return msgspec.json.decode(raw, type=str)
    if raw[:1] in b"{[tf":
        raise invalid()
    return raw.decode("ascii")


def decimal(text: str) -> Decimal:
    """Return the exact value, 0 for none. Raises Rejected for what the exchange's grammar lacks."""
    try:
        value = parse(text) if text else Decimal(0)
    except MoneyError:
        raise Rejected(1121, "FAILED_ORDER_PARAMETER") from None
    if value < 0:
        raise Rejected(1121, "FAILED_ORDER_PARAMETER")
    return value
