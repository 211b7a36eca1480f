"""What a hearer keeps of each stream: epochs, sequences, and its place in the fact log."""

from collections.abc import Callable, Sequence
from enum import Enum
from itertools import pairwise

from msgspec import Struct

from bus.actor import FactsAfter, FactsPage, Hears, Kept
from bus.envelope import FRAME_MAX, Refused
from bus.kept import AnotherLog, digest_of

PAGE = 500
PAGE_BYTES = FRAME_MAX // 2  # A page is a frame: its facts must leave room for what surrounds them.

Numbered = list[tuple[int, Struct]]
"""Facts with their sequences, oldest first."""


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

    def admits(self, source: str, epoch: int) -> bool:
        """Return whether `source` may still speak in `epoch`; a higher one starts it over."""
        known = self._epochs.get(source, 0)
        if epoch > known:
            self._epochs[source] = epoch
            self._last = {key: n for key, n in self._last.items() if key[0] != source}
        return epoch >= known

    def arrive(self, source: str, epoch: int, topic: str, sequence: int) -> Arrival:
        if not self.admits(source, epoch):
            return Arrival.OLD
        key = (source, topic)
        last = self._last.get(key)
        if last is not None and sequence <= last:
            return Arrival.OLD
        self._last[key] = sequence
        return Arrival.NEXT if last is None or sequence == last + 1 else Arrival.AFTER_GAP


class Ways:
    """How an actor hears each topic; a socket brings every topic that begins like one of its."""

    def __init__(self, hears: tuple[Hears, ...]) -> None:
        self._hears = hears
        self._known: dict[tuple[str, str], Hears | None] = {}

    def of(self, source: str, topic: str) -> Hears | None:
        """Return the first way that `topic` of `source` is heard; None: it is not."""
        way = source, topic
        if way not in self._known:
            found = (h for h in self._hears if h.source == source and topic.startswith(h.topic))
            self._known[way] = next(found, None)
        return self._known[way]


class FactCursor:
    """One hearer's place in the fact log: every fact once, in order, gaps healed by asking.

    Live facts of every type arrive in sequence; only those of `types` are handed on. What arrives
    beyond a gap waits (bounded: past the bound it is dropped, and asked for again).
    """

    WAITING_MAX = 10_000

    def __init__(self, types: tuple[type[Struct], ...], kept: Kept | None = None) -> None:
        """`kept`: how far the hearer folded the log in an earlier life; None: not at all."""
        self.types = frozenset(types)
        self.tags = tuple(sorted(str(kind.__struct_config__.tag) for kind in types))
        # The last one of an earlier life is asked for too: by it the log is known again.
        self._known = kept if kept is not None and kept.sequence else None
        self.through = self._known.sequence - 1 if self._known else 0
        self.head = self.through
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

    def heard(self, sequence: int, fact: Struct) -> Numbered:
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
        return [(sequence, fact)] if type(fact) in self.types else []

    def page(self, page: FactsPage, decode: Callable[[bytes], Struct]) -> Numbered:
        """Take an answer of the writer; return what can be handled now, in order.

        Raises Refused, and takes nothing, when a fact cannot be read or the order is wrong: a fact
        is never skipped. Raises AnotherLog when an earlier life folded other facts than these.
        """
        order = [0, *(sequence for sequence, _ in page.facts)]
        if any(b <= a for a, b in pairwise(order)) or order[-1] > page.through > 0:
            raise Refused("page", f"facts out of order, or past {page.through}")
        facts = page.facts if self._known is None else _past(self._known, page.facts)
        ready = [(n, decode(frame)) for n, frame in facts if n > self.through]
        if strange := [fact for _, fact in ready if type(fact) not in self.types]:
            raise Refused("page", f"{type(strange[0]).__name__} was not asked for")
        self._known = None
        self.through = max(self.through, page.through)
        self.head = max(self.head, page.head)
        while (fact := self._waiting.pop(self.through + 1, None)) is not None:
            self.through += 1
            if type(fact) in self.types:
                ready.append((self.through, fact))
        self._waiting = {n: fact for n, fact in self._waiting.items() if n > self.through}
        self.is_caught_up = self.through >= self.head
        return ready


def _past(known: Kept, facts: tuple[tuple[int, bytes], ...]) -> tuple[tuple[int, bytes], ...]:
    """Return the facts after the first, which must be the one that is known."""
    if not facts or facts[0][0] != known.sequence or digest_of(facts[0][1]) != known.digest:
        raise AnotherLog(f"fact {known.sequence} is not the one that {known.path} was made of")
    return facts[1:]


def page_of(
    rows: Sequence[tuple[int, Struct]], through: int, head: int, encode: Callable[[Struct], bytes]
) -> FactsPage:
    """Return `rows`, complete to `through`, as a page; as many of them as fit into a frame."""
    facts: list[tuple[int, bytes]] = []
    size = 0
    for sequence, fact in rows:
        frame = encode(fact)
        size += len(frame)
        if facts and size > PAGE_BYTES:
            return FactsPage(facts=tuple(facts), through=facts[-1][0], head=head)
        facts.append((sequence, frame))
    return FactsPage(facts=tuple(facts), through=through, head=head)
