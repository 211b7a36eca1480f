"""The recorded lives of an actor: their segments in order, and the state each began with."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from actors import accounting, control, dashboard, execution, market_data, risk_gate, strategy
from btcbot.chosen import configured, policy_of
from btcbot.config import Config
from btcbot.opening import Identity, setup_of
from btcbot.orders.state import Desk
from bus.actor import Actor
from bus.journal import Checkpoint, Entry, JournalError, read, segments

ACTORS: Final = (
    "market_data", "strategy", "risk_gate", "execution", "accounting", "control", "dashboard",
)  # fmt: skip


class Life(Struct, frozen=True):
    """One life of an actor, from its start; `segments` are those that are left of it."""

    actor: str
    epoch: int
    segments: tuple[Path, ...]

    @property
    def is_whole(self) -> bool:
        """Whether its first segment is still there: what it said is numbered from then on."""
        return self.segments[0].stem.endswith("-000000")


def lives_of(journal: Path, actor: str, from_ns: int, until_ns: int) -> Iterator[Life]:
    """Yield the lives of `actor` that handled anything from `from_ns` on and before `until_ns`.

    Raises JournalError for a segment that is not what was written.
    """
    paths = segments(journal / actor)
    for name, rows in groupby(paths, key=lambda path: path.stem.partition("-")[0]):
        kept = tuple(rows)
        began_ns = _began_ns(kept[0])
        ended_ns = kept[-1].stat().st_mtime_ns
        if began_ns < until_ns and ended_ns >= from_ns:
            yield Life(actor, int(name), kept)


def _began_ns(path: Path) -> int:
    first = next(iter(read(path)), None)
    if not isinstance(first, Checkpoint):
        raise JournalError(f"{path}: no checkpoint; the file was cut off at its very begin")
    return first.started_ns


def records(life: Life) -> Iterator[Checkpoint | Entry]:
    """Yield everything that is on record of `life`, in order. Raises JournalError."""
    for path in life.segments:
        yield from read(path)


def actor_of(name: str, config: Config) -> Actor[Any]:
    """Return the actor as `config` makes it; it is handed states, and performs nothing.

    Raises ConfigError, StrategyError.
    """
    fees = {pair: config.fees_of(pair) for pair in config.pairs}
    match name:
        case "market_data":
            return market_data.actor(config.pairs, _nothing)
        case "strategy":
            chosen = configured(config)
            return strategy.actor(chosen.setup, fees, chosen.strategies, policy_of(config.agent))
        case "risk_gate":
            return risk_gate.actor(config.risk, fees)
        case "execution":
            desk = Desk(setup=setup_of(config, "", Identity("", "")))
            return execution.actor(desk, _nothing, lambda *_: ([], 0))
        case "accounting":
            return accounting.actor()
        case "control":
            return control.actor(config, _nothing, 0)
        case _:
            assert name == "dashboard", f"no actor: {name}"
            return dashboard.actor(config.mode, config.pairs)


def _nothing(_effect: Struct) -> None: ...
