"""What types cannot say: every Decimal inside a message is finite, bounded and not too fine.

A checker is built once per class from its annotations, so the hot path is a few comparisons.
"""

import types
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from operator import attrgetter
from typing import Any, TypeAlias, Union, get_args, get_origin, get_type_hints

from msgspec import Struct

from btcbot.domain.money import MAGNITUDE_MAX, MAGNITUDE_MIN, MoneyError, is_sane

Checker: TypeAlias = Callable[[Any], None]


def check(message: Struct) -> None:
    """Return nothing if every number inside `message` is sane. Raises MoneyError otherwise."""
    checker = _checker(type(message))
    if checker is not None:
        checker(message)


def _number(value: Decimal) -> None:
    # Almost every value lies here; the slow test is for zero, signs and what is wrong.
    if not (value == value and MAGNITUDE_MIN <= value <= MAGNITUDE_MAX) and not is_sane(value):  # noqa: PLR0124
        raise MoneyError(f"number out of bounds: {str(value)[:40]}; allowed is 1e-16 to 1e15 or 0")


@cache
def _checker(kind: Any) -> Checker | None:  # noqa: ANN401
    """Return the checker of an annotation, or None when there is no number inside."""
    kind = getattr(kind, "__supertype__", kind)
    if kind is Decimal:
        return _number
    if isinstance(kind, type) and issubclass(kind, Struct):
        return _struct_checker(kind)
    if get_origin(kind) is tuple:
        return _tuple_checker(get_args(kind))
    if get_origin(kind) in (Union, types.UnionType):
        return _optional_checker(get_args(kind))
    return None


def _struct_checker(kind: type[Struct]) -> Checker | None:
    hints = get_type_hints(kind)
    parts = {
        name: found
        for name in kind.__struct_fields__
        if (found := _checker(hints[name])) is not None
    }
    if not parts:
        return None
    if all(found is _number for found in parts.values()) and len(parts) > 1:
        return _numbers_checker(tuple(parts))
    pairs = tuple((attrgetter(name), found) for name, found in parts.items())

    def run(value: Any) -> None:  # noqa: ANN401
        for part, found in pairs:
            found(part(value))

    return run


def _numbers_checker(names: tuple[str, ...]) -> Checker:
    parts = attrgetter(*names)

    def run(value: Any) -> None:  # noqa: ANN401
        for number in parts(value):
            _number(number)

    return run


def _tuple_checker(items: tuple[Any, ...]) -> Checker | None:
    if len(items) == 2 and items[1] is Ellipsis:
        each = _checker(items[0])
        if each is None:
            return None

        def run_each(values: Any) -> None:  # noqa: ANN401
            for value in values:
                each(value)

        return run_each
    parts = tuple((i, found) for i, item in enumerate(items) if (found := _checker(item)))

    def run(values: Any) -> None:  # noqa: ANN401
        for i, found in parts:
            found(values[i])

    return run if parts else None


def _optional_checker(options: tuple[Any, ...]) -> Checker | None:
    found = [checker for option in options if (checker := _checker(option)) is not None]
    if not found:
        return None
    [inner] = found

    def run(value: Any) -> None:  # noqa: ANN401
        if value is not None:
            inner(value)

    return run
