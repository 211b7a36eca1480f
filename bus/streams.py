"""What a hearer keeps of each stream: epochs, sequences, and its place in the fact log."""

from collections.abc import Callable
from enum import Enum

from msgspec import Struct

from bus.actor import FactsAfter, FactsPage

PAGE = 500


class Arrival(Enum):
    """How a stream message fits what was heard before."""

    NEXT = "next"
    AFTER_GAP = "after_gap"
    OLD = "old"


class Sequences:
    """The last epoch of each source and the last sequence of each of its topics.

    A higher epoch starts over; a lower one is a ghost and is dropped. A first message is never a
    gap: whoever needs history asks for it.
    """

    def __init__(self) -> None:
        self._epochs: dict[str, int] = {}
        self._last: dict[tuple[str, str], int] = {}

    def arrive(self, source: str, epoch: int, topic: str, sequence: int) -> Arrival:
        known = self._epochs.get(source, 0)
        if epoch != known:
            if epoch < known:
                return Arrival.OLD
            self._epochs[source] = epoch
            self._last = {key: n for key, n in self._last.items() if key[0] != source}
        key = (source, topic)
        last = self._last.get(key)
        if last is not None and sequence <= last:
            return Arrival.OLD
        self._last[key] = sequence
        return Arrival.NEXT if last is None or sequence == last + 1 else Arrival.AFTER_GAP


class FactCursor:
    """One hearer's place in the fact log: every fact once, in order, gaps healed by asking.

    Live facts of every type arrive in sequence; only those of `types` are handed on. What arrives
    beyond a gap waits (bounded: past the bound it is dropped, and asked for again).
    """

    WAITING_MAX = 10_000

    def __init__(self, types: tuple[type[Struct], ...], after: int) -> None:
        self.types = frozenset(types)
        self.tags = tuple(sorted(str(kind.__struct_config__.tag) for kind in types))
        self.through = after
        self.head = after
        self.is_caught_up = False
        self._waiting: dict[int, Struct] = {}

    @property
    def request(self) -> FactsAfter:
        """What to ask the writer for while behind."""
        return FactsAfter(after=self.through, tags=self.tags)

    def heard_head(self, head: int) -> None:
        """Learn from a heartbeat of the writer how far the log goes."""
        self.head = max(self.head, head)
        if self.through < self.head:
            self.is_caught_up = False

    def heard(self, sequence: int, fact: Struct) -> list[Struct]:
        """Take a live fact; return what can be handled now, in order."""
        if sequence <= self.through:
            return []
        self.head = max(self.head, sequence)
        if not self.is_caught_up or sequence > self.through + 1:
            self.is_caught_up = False
            if len(self._waiting) < self.WAITING_MAX:
                self._waiting[sequence] = fact
            return []
        self.through = sequence
        return [fact] if type(fact) in self.types else []

    def page(self, page: FactsPage, decode: Callable[[bytes], Struct]) -> list[Struct]:
        """Take an answer of the writer; return what can be handled now, in order."""
        ready = [decode(frame) for sequence, frame in page.facts if sequence > self.through]
        self.through = max(self.through, page.through)
        self.head = max(self.head, page.head)
        while (fact := self._waiting.pop(self.through + 1, None)) is not None:
            self.through += 1
            if type(fact) in self.types:
                ready.append(fact)
        self._waiting = {n: fact for n, fact in self._waiting.items() if n > self.through}
        self.is_caught_up = self.through >= self.head
        return ready
