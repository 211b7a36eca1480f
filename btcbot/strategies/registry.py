"""The strategies by name, and their parameters checked by their own types."""

import difflib
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
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise StrategyError(
                f"[strategy.params] {strategy.NAME} has no parameter `{name}`; allowed are"
                f" {', '.join(names)}{hint}"
            )
    try:
        # A float of TOML becomes a Decimal by its shortest text, never by its binary digits.
        exact = {name: repr(v) if isinstance(v, float) else v for name, v in given.items()}
        return msgspec.convert(exact, strategy.Params, strict=False)
    except msgspec.ValidationError as error:
        raise StrategyError(f"[strategy.params] {error}") from None
