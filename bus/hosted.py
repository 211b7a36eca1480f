"""What the bus in memory keeps of each actor, and the faults it may be asked for."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from bus.actor import Actor, Ask
from bus.kept import Fold
from bus.streams import PAGE

M = TypeVar("M", bound=Struct)


class Faults(Protocol):
    """Decides what becomes of one sending: its delays in ns, one per copy that arrives."""

    def copies(self, source: str, to: str, message: Struct) -> tuple[int, ...]: ...


class Routes(dict[str, "tuple[Hosted, ...]"]):
    """Who hears each topic of one actor: found when it is first said."""

    def __init__(self, find: Callable[[str], "tuple[Hosted, ...]"]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, topic: str) -> "tuple[Hosted, ...]":
        found = self[topic] = self._find(topic)
        return found


class Hosted:
    """One actor on the bus: its state, timers, and requests without an answer."""

    __slots__ = (
        "actor", "epoch", "facts", "fold", "handle", "inbox_of_paused", "is_down", "is_paused",
        "name", "outstanding", "perform", "routes", "silences", "state", "through", "timers",
    )  # fmt: skip

    def __init__(
        self, actor: Actor[Any], epoch: int, routes: "Routes", fold: Fold[Any] | None = None
    ) -> None:
        self.actor = actor
        self.name = actor.name
        self.epoch = epoch
        self.state = actor.state
        self.handle = actor.handle
        self.perform = actor.perform
        self.facts = frozenset(actor.facts)
        self.through = actor.kept.sequence if actor.kept else 0
        self.fold = fold
        self.routes = routes
        self.timers: dict[str, int] = {}
        self.outstanding: dict[str, Ask] = {}
        self.is_down = False
        self.is_paused = False
        self.inbox_of_paused: list[tuple[Struct, int]] = []  # With the deadline of a request.
        self.silences = 0  # Ended ones: a silence that ended in time is nobody's loss.

    def hears(self, source: str, topic: str) -> bool:
        """Return whether it listens to `topic` of `source`."""
        return any(h.source == source and topic.startswith(h.topic) for h in self.actor.hears)

    def watches(self, name: str) -> bool:
        """Return whether it is told when `name` falls silent."""
        return self.name != name and name in (*self.actor.needs, *self.actor.watches)


class Record:
    """Everything said, for tests to look at, and who listens in."""

    def __init__(self, *, keeps_log: bool) -> None:
        self.said: list[Struct] | None = [] if keeps_log else None
        self.taps: dict[type[Struct], list[Callable[[Any], None]]] = {}

    def tap(self, kind: type[M], hear: Callable[[M], None]) -> None:
        self.taps.setdefault(kind, []).append(hear)

    def note(self, message: Struct) -> None:
        if self.said is not None:
            self.said.append(message)
        for hear in self.taps.get(type(message), ()):
            hear(message)


def facts_after(
    hearer: Hosted, writer: Hosted | None, said: Sequence[tuple[int, Struct]]
) -> list[tuple[int, Struct]]:
    """Return the facts `hearer` missed: from the writer's log, else of those said on this bus."""
    if writer is None or writer.actor.read_facts is None:
        return [row for row in said if row[0] > hearer.through]
    tags = tuple(sorted(str(kind.__struct_config__.tag) for kind in hearer.facts))
    rows: list[tuple[int, Struct]] = []
    after, through = hearer.through, -1
    while through != after:
        through = after
        page, after = writer.actor.read_facts(through, tags, PAGE)
        rows += page
    hearer.through = after
    return rows
