"""What types cannot say: every number inside a message is sane.

A Decimal is finite, bounded and not too fine; an int fits 64 bits with a sign, as databases do.

A checker is built once per class from its annotations, so the hot path is a few comparisons.
"""

import types
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import cache
from operator import attrgetter
from typing import Any, TypeAlias, Union, get_args, get_origin, get_type_hints

from msgspec import Struct

from btcbot.domain.money import DIGITS_MAX, MAGNITUDE_MAX, MAGNITUDE_MIN, MoneyError, is_sane

Checker: TypeAlias = Callable[[Any], None]
WHOLE_MAX = (1 << 63) - 1
WHOLE_MIN = -WHOLE_MAX
TEXT_MAX = DIGITS_MAX + 1  # With its point.


def check(message: Struct) -> None:
    """Return nothing if every number inside `message` is sane. Raises MoneyError otherwise."""
    checker = _checker(type(message))
    if checker is not None:
        checker(message)


def _number(value: Decimal) -> None:
    if not is_sane(value):
        raise MoneyError(
            f"number out of bounds: {str(value)[:40]}; allowed is 1e-16 to 1e15 or 0, with up to"
            f" {DIGITS_MAX} digits"
        )


def _whole(value: int) -> None:
    if not WHOLE_MIN <= value <= WHOLE_MAX:
        raise MoneyError(f"whole number out of bounds: {value}; allowed is up to {WHOLE_MAX}")


@cache
def _checker(kind: Any) -> Checker | None:  # noqa: ANN401
    """Return the checker of an annotation, or None when there is no number inside."""
    kind = getattr(kind, "__supertype__", kind)
    if kind is Decimal:
        return _number
    if kind is int:
        return _whole
    if isinstance(kind, type) and issubclass(kind, Struct):
        return _struct_checker(kind)
    if get_origin(kind) is tuple:
        return _tuple_checker(get_args(kind))
    if get_origin(kind) in (Union, types.UnionType):
        return _union_checker(get_args(kind))
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
    flat: list[tuple[Callable[[Any], Any], Checker]] = []
    kinds: tuple[tuple[Checker, Checker], ...] = ((_number, _numbers), (_whole, _wholes))
    for same, each in kinds:
        names = [name for name, found in parts.items() if found is same]
        if len(names) > 1:  # One getter for all of a kind: the hot path.
            flat.append((attrgetter(*names), each))
            for name in names:
                del parts[name]
    flat += [(attrgetter(name), found) for name, found in parts.items()]
    return _in_turn(tuple(flat))


def _in_turn(parts: tuple[tuple[Callable[[Any], Any], Checker], ...]) -> Checker:
    """Return what checks one part after the other; most messages have one or two kinds of them."""
    if len(parts) == 1:
        [(part, of_part)] = parts
        return lambda value: of_part(part(value))
    if len(parts) == 2:
        (one, of_one), (other, of_other) = parts

        def run_two(value: Any) -> None:  # noqa: ANN401
            of_one(one(value))
            of_other(other(value))

        return run_two

    def run(value: Any) -> None:  # noqa: ANN401
        for part, found in parts:
            found(part(value))

    return run


def _numbers(values: tuple[Decimal, ...]) -> None:
    try:
        for value in values:
            # Almost every value lies here; the slow test is for zero, signs and what is wrong.
            if not MAGNITUDE_MIN <= value <= MAGNITUDE_MAX or len(str(value)) > TEXT_MAX:
                _number(value)
    except InvalidOperation:  # A NaN is neither more nor less than anything.
        for value in values:
            _number(value)
        raise


def _wholes(values: tuple[int, ...]) -> None:
    for value in values:
        if not WHOLE_MIN <= value <= WHOLE_MAX:
            _whole(value)


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


def _union_checker(options: tuple[Any, ...]) -> Checker | None:
    """Return a checker that goes by what a value is; None among the options has none."""
    found: dict[type, Checker] = {}
    for option in options:
        checker = _checker(option)
        if checker is not None:
            plain = getattr(option, "__supertype__", option)
            found[get_origin(plain) or plain] = checker

    def run(value: Any) -> None:  # noqa: ANN401
        checker = found.get(type(value))
        if checker is not None:
            checker(value)

    return run if found else None
