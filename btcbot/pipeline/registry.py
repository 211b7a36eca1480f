"""The strategies by name, and their parameters checked by their own types."""

import difflib
from collections.abc import Mapping
from typing import Any, Final, TypeGuard

import msgspec
from msgspec import Struct

from btcbot.portfolio import adaptive, by_momentum, by_weights, cash_sweep
from btcbot.portfolio.picture import Allocator
from btcbot.strategies import ema_cross, mean_reversion, profit_aware
from btcbot.strategies.contract import Strategy

AnyStrategy = Strategy | Allocator


class StrategyError(ValueError):
    """A strategy or a parameter that does not exist or is out of range; says what is allowed."""


ON_QUOTES: Final[dict[str, Strategy]] = {
    module.NAME: module for module in (profit_aware, mean_reversion, ema_cross)
}
BY_CLOCK: Final[dict[str, Allocator]] = {
    module.NAME: module for module in (by_weights, by_momentum, cash_sweep, adaptive)
}
STRATEGIES: Final[dict[str, AnyStrategy]] = {**ON_QUOTES, **BY_CLOCK}


def is_allocator(strategy: AnyStrategy) -> TypeGuard[Allocator]:
    """Return whether it decides by the clock and on the whole account, not on each quote."""
    return hasattr(strategy, "propose")


def is_quoted(strategy: AnyStrategy) -> TypeGuard[Strategy]:
    """Return whether it decides on each quote of a pair."""
    return hasattr(strategy, "decide")


def find(name: str) -> AnyStrategy:
    """Return the strategy `name`. Raises StrategyError."""
    found = STRATEGIES.get(name)
    if found is None:
        near = difflib.get_close_matches(name, STRATEGIES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise StrategyError(
            f"strategy.name = {name!r}: allowed are {', '.join(sorted(STRATEGIES))}{hint}"
        )
    return found


def parameters(
    strategy: AnyStrategy, given: Mapping[str, Any], *, is_sandbox: bool, table: str = "strategy"
) -> Struct:
    """Return the strategy's parameters; in the sandbox, with none given, its demonstration preset.

    Raises StrategyError, which names the key `TABLE.params.NAME`.
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
                f"{table}.params.{name} = {value!r}: {strategy.NAME} has no such parameter; "
                f"allowed are {', '.join(names)}{hint}"
            )
    try:
        return msgspec.convert(exact(given), strategy.Params, strict=False)
    except msgspec.ValidationError as error:
        raise StrategyError(f"{table}.params.{_named(str(error), given)}") from None


def _named(problem: str, given: Mapping[str, Any]) -> str:
    """Return msgspec's `problem` with the parameter and its value in front, as others have it."""
    said, _, name = problem.removesuffix("`").partition(" - at `$.")
    value: Any = given
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else value
    if isinstance(value, Mapping) and " = " in said:  # A table that says which of its own keys.
        return f"{name}.{said}"
    return f"{name} = {value}: {said.replace('`', '')}" if name else said


def exact(value: Any) -> Any:  # noqa: ANN401 - what TOML holds
    """Return `value` with each float as its shortest text: a Decimal is made of that exactly."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Mapping):
        return {name: exact(part) for name, part in value.items()}
    return [exact(part) for part in value] if isinstance(value, list) else value
