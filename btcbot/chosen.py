"""The strategies that a configuration names: those of btcbot, and a person's own files.

A file is run when an actor starts, before `btcbot up` and by `btcbot strategy check`; never when a
configuration is read, so that no mistake in it keeps anybody from stopping the bot.
"""

import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from btcbot.adapting import Capping, capped
from btcbot.agent.contracts import AgentSetup
from btcbot.agent.policy import AgentPolicy
from btcbot.domain.agent import AgentMode
from btcbot.layers import ConfigError
from btcbot.pipeline.registry import AnyStrategy, StrategyError, find, is_allocator, parameters
from btcbot.pipeline.seats import SeatSetup, Setup
from btcbot.portfolio.adaptive import Params as Adaptive
from btcbot.portfolio.selection import SelectionRules
from btcbot.sections import Agent, Seat, Strategy, seats_of

NAMES: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
ALWAYS: Final = ("NAME", "WANTS_DEPTH", "Params", "start")
ALL: Final = "configured"
MILLISECOND_NS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000


class Chosen(Struct, frozen=True):
    """The seats, and the strategy of each."""

    setup: Setup
    strategies: tuple[AnyStrategy, ...]


class Named(Capping, Protocol):
    """The part of a configuration that is read here."""

    @property
    def mode(self) -> str: ...
    @property
    def strategy(self) -> Strategy: ...
    @property
    def strategies(self) -> Mapping[str, Seat]: ...


def chosen_of(config: Named) -> Chosen:
    """Return the strategies of `config` with their parameters. Raises StrategyError."""
    tables = seats_of(config.strategy, config.strategies)
    return _chosen(config, tables, is_sandbox=config.mode == "sandbox")


def configured(config: Named) -> Chosen:
    """Return the strategies of `config`; their files are run. Raises ConfigError."""
    try:
        return chosen_of(config)
    except StrategyError as error:
        raise ConfigError(str(error)) from None


def agent_setup(agent: Agent) -> AgentSetup:
    """Return how `[agent]` sets the policy up."""
    return AgentSetup(
        mode=AgentMode(agent.mode),
        model=agent.model,
        interval_ns=agent.interval_s * SECOND_NS,
        timeout_ns=agent.timeout_s * SECOND_NS,
        tokens_per_day_max=agent.tokens_per_day_max,
        money_per_day_max=agent.money_per_day_max,
        money_per_mtok_in=agent.money_per_mtok_in,
        money_per_mtok_out=agent.money_per_mtok_out,
        spread_max_bps=agent.spread_max_bps,
        drawdown_max_bps=agent.drawdown_max_bps,
    )


def policy_of(agent: Agent) -> AgentPolicy | None:
    """Return the policy that `[agent]` sets up; None: it is off."""
    return None if agent.mode == "off" else AgentPolicy(agent_setup(agent))


def _chosen(
    config: Named, tables: tuple[tuple[str, str, Seat], ...], *, is_sandbox: bool
) -> Chosen:
    strategies = tuple(strategy_of(seat.uses) for _, _, seat in tables)
    seats = tuple(
        SeatSetup(
            name=name,
            uses=seat.uses,
            params=_parameters(config, strategy, seat, table, is_sandbox=is_sandbox),
            weight=seat.weight,
            interval_ns=seat.interval_ms * MILLISECOND_NS,
        )
        for (name, table, seat), strategy in zip(tables, strategies, strict=True)
    )
    universe = config.universe.rules
    setup = Setup(
        seats=seats, limits=config.plan, universe=universe,
        selection=SelectionRules(pairs=universe.pairs, size=universe.size),
    )  # fmt: skip
    return Chosen(setup, strategies)


def _parameters(
    config: Named, strategy: AnyStrategy, seat: Seat, table: str, *, is_sandbox: bool
) -> msgspec.Struct:
    """Return the parameters of a seat; what changes itself stays below the caps of all."""
    found = parameters(strategy, seat.params, is_sandbox=is_sandbox, table=table)
    return capped(config, found, table) if isinstance(found, Adaptive) else found


def chosen_for(config: Named, name: str) -> Chosen:
    """Return what a backtest of `name` runs: "configured" is all that the configuration names.

    A strategy has the configuration's parameters where that names it, else its sandbox's. Raises
    StrategyError.
    """
    tables = seats_of(config.strategy, config.strategies)
    if name != ALL:
        seats = {seat_name: seat for seat_name, _, seat in tables}
        by_use = {seat.uses: seat for _, _, seat in tables}
        found = seats.get(name) or by_use.get(name) or Seat(uses=name)
        tables = ((Path(name).stem, "strategy", found),)
    return _chosen(config, tables, is_sandbox=True)


def strategy_of(uses: str) -> AnyStrategy:
    """Return the strategy of btcbot, or the one in the file, that `uses` names.

    Raises StrategyError.
    """
    return load(Path(uses)) if uses.endswith(".py") else find(uses)


def problems(config: Named) -> Iterator[str]:
    """Yield what is wrong with the names and the parameters; files are not run for it."""
    strategy, strategies, is_sandbox = config.strategy, config.strategies, config.mode == "sandbox"
    if strategies and strategy != Strategy():
        yield (
            "strategy = ...: there are [strategies] too; move it to a table of its own, such as"
            " [strategies.mine], or take them out"
        )
    for name, table, seat in seats_of(strategy, strategies):
        if not NAMES.fullmatch(name):
            yield f"{table}: {name!r} is no name; expected a-z, 0-9 and _, up to 32 characters"
        try:
            if seat.uses.endswith(".py"):
                _look_at(Path(seat.uses), table)
            else:
                _parameters(config, find(seat.uses), seat, table, is_sandbox=is_sandbox)
        except StrategyError as error:
            yield str(error)


def load(path: Path) -> AnyStrategy:
    """Return the strategy in a person's own file, which is run. Raises StrategyError."""
    _look_at(path, "strategy")
    spec = importlib.util.spec_from_file_location(f"own_{path.stem}", path)
    assert spec is not None, path
    assert spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Where msgspec looks up the names in its annotations.
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # noqa: BLE001 - whatever a person's file does wrong
        raise StrategyError(f"{path}: {type(error).__name__}: {error}") from None
    return checked(module, path)


def checked(module: ModuleType, path: Path) -> AnyStrategy:
    """Return the module as a strategy. Raises StrategyError naming what it lacks."""
    strategy: Any = module
    more = ("propose", "every_s", "WANTS_DAY") if is_allocator(strategy) else _ON_QUOTES
    missing = [name for name in (*ALWAYS, *more) if not hasattr(module, name)]
    if missing:
        raise StrategyError(
            f"{path}: has no {', '.join(missing)}; `btcbot strategy new` writes a file with all"
        )
    if not (isinstance(strategy.Params, type) and issubclass(strategy.Params, msgspec.Struct)):
        raise StrategyError(f"{path}: Params is no msgspec.Struct")
    found: AnyStrategy = strategy
    return found


_ON_QUOTES: Final = ("decide", "DECIDES_ON_FILLS")


def _look_at(path: Path, table: str) -> None:
    if not path.is_absolute():
        raise StrategyError(f"{table}: {str(path)!r} is no absolute path")
    if not path.is_file():
        raise StrategyError(f"{table}: {path}: no such file")
