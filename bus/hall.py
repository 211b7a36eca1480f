"""Who is on a bus in one thread: hosted actors, whether they are here, and what is due when."""

from collections import deque
from collections.abc import Callable
from heapq import heappush
from typing import Any

from msgspec import Struct

from bus.actor import Health, Late, PeerBack, PeerLost, Wake
from bus.clock import ManualClock
from bus.hosted import Hosted
from bus.peers import SILENCE_NS

Due = tuple[int, int, Hosted | None, Wake | Callable[[], None]]
"""When, in what order, and what: a timer of whom, or any call."""


class Hall:
    """Actors and their inboxes in virtual time; an actor is crashed or paused on request."""

    def __init__(self, clock: ManualClock, *, is_plain: bool) -> None:
        """`is_plain`: the bus neither delays nor loses anything by itself."""
        self._clock = clock
        self._is_plain = self._is_calm = is_plain  # Calm: all that is said arrives, and at once.
        self._hosted: dict[str, Hosted] = {}
        self._now: deque[tuple[Hosted, Struct]] = deque()
        self._later: list[Due] = []
        self._counter = 0
        self._cuts: dict[tuple[str, str], int] = {}  # Pairs of actors cut off, and since when.

    def crash(self, name: str) -> None:
        """Kill an actor: its state, timers and inbox are gone; peers notice after a second."""
        hosted = self._hosted[name]
        hosted.is_down = True
        self._look_around()
        left = [item for item in self._now if item[0].name != name]
        self._now.clear()
        self._now.extend(left)
        self._after(SILENCE_NS, lambda: self._lose(hosted, hosted.silences))

    def pause(self, name: str) -> None:
        """Stop an actor as SIGSTOP would; what it is sent waits."""
        hosted = self._hosted[name]
        silence = hosted.silences
        hosted.is_paused = True
        self._look_around()
        self._after(SILENCE_NS, lambda: self._lose(hosted, silence))

    def wake(self, name: str) -> None:
        """Let a paused actor go on, first with what waited."""
        hosted = self._hosted[name]
        hosted.is_paused = False
        self._look_around()
        hosted.silences += 1
        waited, hosted.inbox_of_paused = hosted.inbox_of_paused, []
        for message, deadline_ns in waited:
            self._put(hosted, message, deadline_ns)
        self._tell_watchers(name, PeerBack(source=name, epoch=hosted.epoch, pid=0))

    def tell_of_peer(self, source: str, to: str, *, is_lost: bool) -> None:
        """Let `to` notice that `source` fell silent, or is back, if it minds."""
        at, hearer = self._hosted[source], self._hosted[to]
        if source in (*hearer.actor.needs, *hearer.actor.watches):
            back = PeerBack(source=source, epoch=at.epoch, pid=0)
            self._put(hearer, PeerLost(source=source) if is_lost else back)

    def is_hosted(self, name: str) -> bool:
        """Return whether an actor of this name lives here now."""
        return name in self._hosted and not self._hosted[name].is_down

    def state(self, name: str) -> Any:  # noqa: ANN401 - each actor has its own
        """Return an actor's current state."""
        return self._hosted[name].state

    def health(self, name: str) -> Health:
        """Return what the actor judges of itself."""
        hosted = self._hosted[name]
        return Health.STOPPED if hosted.is_down else hosted.actor.health(hosted.state)

    def at(self, at_ns: int, call: Callable[[], None]) -> None:
        """Call `call` at a virtual time, in its place among everything else."""
        self._counter += 1
        heappush(self._later, (max(at_ns, self._clock.at_ns), self._counter, None, call))

    def _put(self, hosted: Hosted, message: Struct, deadline_ns: int = 0) -> None:
        """Put `message` into an inbox; a request past its deadline is put there as `Late`."""
        if hosted.is_paused:
            hosted.inbox_of_paused.append((message, deadline_ns))
        elif not hosted.is_down:
            is_late = 0 < deadline_ns <= self._clock.now_ns()
            self._now.append((hosted, Late(message) if is_late else message))

    def _is_cut(self, source: str, hearer: str) -> bool:
        return bool(self._cuts) and (source, hearer) in self._cuts

    def _tell_watchers(self, name: str, message: PeerBack | PeerLost) -> None:
        for hosted in self._hosted.values():
            if hosted.watches(name) and not self._is_cut(name, hosted.name):
                self._put(hosted, message)

    def _look_around(self) -> None:
        """Note whether everybody is here and hears everybody."""
        away = any(hosted.is_down or hosted.is_paused for hosted in self._hosted.values())
        self._is_calm = self._is_plain and not away and not self._cuts

    def _lose(self, hosted: Hosted, silence: int) -> None:
        """Tell who watches, unless it spoke again: woke, or lives in a new life."""
        if hosted.silences == silence and self._hosted[hosted.name] is hosted:
            self._tell_watchers(hosted.name, PeerLost(source=hosted.name))

    def _lose_sight(self, way: tuple[str, str], since: int) -> None:
        to = self._hosted[way[1]]
        if self._cuts.get(way) == since and to.watches(way[0]):
            self._put(to, PeerLost(source=way[0]))

    def _after(self, delay_ns: int, call: Callable[[], None]) -> None:
        self.at(self._clock.now_ns() + delay_ns, call)
