"""One hash over everything a run did, and where two runs part. Pure.

Every order, fill and balance and the whole equity curve are in it, field by field, so a change of
any price, quantity, fee or time changes it. Amounts count by value: 1.0 is 1.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import zip_longest
from typing import Any, Final

import msgspec
from msgspec import Struct

from btcbot.domain.money import text
from btcbot.research.lines import Run

SECTIONS: Final = ("orders", "fills", "balances", "equity")
_SIZE: Final = 16
_LAST: Final = 1 << 62  # Balances stand at the end.
_TIMES: Final = ("created_ns", "ts_ns", "at_ns")

Row = dict[str, Any]


class Fingerprint(Struct, frozen=True, kw_only=True):
    """Hex digests: of the whole, and of each section."""

    whole: str
    orders: str
    fills: str
    balances: str
    equity: str


class Difference(Struct, frozen=True, kw_only=True):
    """Where two runs first part within a section; None: that run has no such row."""

    section: str
    row: int  # From 1.
    at_ns: int
    name: str  # Of the order or fill, or the asset; of a point of equity, its time.
    field: str  # The first that differs; "" when one run has no such row.
    a: Any
    b: Any


def of(run: Run) -> Fingerprint:
    """Return the fingerprint of a run."""
    parts = {name: _digest(rows_of(run, name)) for name in SECTIONS}
    joined = "".join(parts[name] for name in SECTIONS).encode()
    return Fingerprint(whole=hashlib.blake2b(joined, digest_size=_SIZE).hexdigest(), **parts)


def differences(a: Run, b: Run) -> list[Difference]:
    """Return the first difference of every section that has one, the earliest in time first."""
    found = []
    for section in SECTIONS:
        one = _first(
            section, *_aligned(section, list(rows_of(a, section)), list(rows_of(b, section)))
        )
        if one is not None:
            found.append(one)
    return sorted(found, key=lambda one: one.at_ns)


def rows_of(run: Run, section: str) -> Iterator[Row]:
    """Yield the rows of a section with every amount as its canonical text."""
    if section == "balances":
        for asset in sorted({*run.balances_first, *run.balances_last}):
            first, last = run.balances_first.get(asset), run.balances_last.get(asset)
            yield {"asset": asset, "first": _plain(first), "last": _plain(last)}
        return
    lines: Iterable[Struct] = getattr(run, section)
    for line in lines:
        yield {name: _plain(getattr(line, name)) for name in line.__struct_fields__}


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a line holds
    return text(value) if isinstance(value, Decimal) else value


def _digest(rows: Iterable[Row]) -> str:
    whole, encode = hashlib.blake2b(digest_size=_SIZE), msgspec.json.Encoder().encode
    for row in rows:
        whole.update(encode(row) + b"\n")
    return whole.hexdigest()


def _aligned(section: str, a: list[Row], b: list[Row]) -> tuple[list[Row | None], list[Row | None]]:
    """Return the rows side by side: balances by asset, all else by place."""
    if section != "balances":
        return list(a), list(b)
    one, other = ({row["asset"]: row for row in rows} for rows in (a, b))
    assets = sorted({*one, *other})
    return [one.get(asset) for asset in assets], [other.get(asset) for asset in assets]


def _first(section: str, a: Sequence[Row | None], b: Sequence[Row | None]) -> Difference | None:
    for number, (one, other) in enumerate(zip_longest(a, b), 1):
        if one == other:
            continue
        known = one or other or {}
        return Difference(
            section=section,
            row=number,
            at_ns=min(_time(row) for row in (one, other) if row is not None),
            name=_name(known),
            **_parting(one, other),
        )
    return None


def _parting(one: Row | None, other: Row | None) -> Row:
    """Return the first field that differs and both its values; whole rows when one is missing."""
    if one is None or other is None:
        return {"field": "", "a": one, "b": other}
    name = next(name for name in one if one[name] != other[name])
    return {"field": name, "a": one[name], "b": other[name]}


def _time(row: Row) -> int:
    return next((row[name] for name in _TIMES if name in row), _LAST)


def _name(row: Row) -> str:
    for name in ("client_order_id", "trade_id", "asset", "at_ns"):
        if row.get(name) is not None:
            return str(row[name])
    return ""
