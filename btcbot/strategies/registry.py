"""The strategies by name, and their parameters checked by their own types."""

import difflib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from btcbot.strategies import ema_cross, profit_aware
from btcbot.strategies.contract import Strategy


class StrategyError(ValueError):
    """A strategy or a parameter that does not exist or is out of range; says what is allowed."""


STRATEGIES: Final[dict[str, Strategy]] = {
    module.NAME: module for module in (profit_aware, ema_cross)
}


def find(name: str) -> Strategy:
    """Return the strategy `name`. Raises StrategyError."""
    found = STRATEGIES.get(name)
    if found is None:
        near = difflib.get_close_matches(name, STRATEGIES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise StrategyError(
            f"strategy.name = {name!r}: allowed are {', '.join(sorted(STRATEGIES))}{hint}"
        )
    return found


def parameters(strategy: Strategy, given: dict[str, Any], *, is_sandbox: bool) -> Struct:
    """Return the strategy's parameters; in the sandbox, with none given, its demonstration preset.

    Raises StrategyError.
    """
    if not given and is_sandbox and hasattr(strategy, "DEMO"):
        demo: Struct = strategy.DEMO
        return demo
    names = strategy.Params.__struct_fields__
    for name, value in given.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise StrategyError(
                f"strategy.params.{name} = {value!r}: {strategy.NAME} has no such parameter; "
                f"allowed are {', '.join(names)}{hint}"
            )
    try:
        # A float of TOML becomes a Decimal by its shortest text, never by its binary digits.
        exact = {name: repr(v) if isinstance(v, float) else v for name, v in given.items()}
        return msgspec.convert(exact, strategy.Params, strict=False)
    except msgspec.ValidationError as error:
        raise StrategyError(f"strategy.params.{_named(str(error), given)}") from None


def _named(problem: str, given: Mapping[str, Any]) -> str:
    """Return msgspec's `problem` with the parameter and its value in front, as others have it."""
    said, _, name = problem.removesuffix("`").partition(" - at `$.")
    return f"{name} = {given.get(name)}: {said.replace('`', '')}" if name else said
