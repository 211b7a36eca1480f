"""The bus in one thread and virtual time: many actors, one queue, the same order every time.

Backtests share frozen messages; with a codec every message crosses as bytes, as it would between
processes, and both say the same. Order is (virtual time, counter). Faults happen on request: an
actor is crashed, paused or cut off from another, and a `Faults` object may drop, repeat or delay
what is sent.
"""

import heapq
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from msgspec import Struct

from bus.actor import (
    Actor,
    Answer,
    Ask,
    CaughtUp,
    Health,
    Late,
    PeerBack,
    PeerLost,
    Publish,
    PublishFact,
    RequestExpired,
    Started,
    Wake,
    Woken,
)
from bus.clock import ManualClock
from bus.envelope import WIRE_VERSION, Codec, Envelope
from bus.hosted import Faults, Hosted, Record, facts_after
from bus.peers import SILENCE_NS
from bus.requests import FIRST_REPEAT_NS, LAST_REPEAT_NS

M = TypeVar("M", bound=Struct)


class MemoryBus:
    """Hosts actors and carries everything between them; see the module's docstring."""

    def __init__(
        self,
        clock: ManualClock,
        codec: Codec | None = None,
        *,
        hop_ns: int = 0,
        faults: Faults | None = None,
        keeps_log: bool = True,
    ) -> None:
        self._clock = clock
        self._codec = codec
        self._hop_ns = hop_ns
        self._faults = faults
        self._record = Record(keeps_log=keeps_log)
        self._note, self._taps = self._record.note, self._record.taps
        self._is_plain = not hop_ns and faults is None  # Then what is said arrives at once.
        self._hosted: dict[str, Hosted] = {}
        self._fact_hearers: tuple[Hosted, ...] = ()
        self._now: deque[tuple[Hosted, Struct]] = deque()
        self._later: list[tuple[int, int, Callable[[], None]]] = []
        self._counter = 0
        self._askers: dict[tuple[str, str], str] = {}
        self._cuts: dict[tuple[str, str], int] = {}  # Pairs of actors cut off, and since when.
        self._facts: list[tuple[int, Struct]] = []
        self._sequences: dict[str, int] = {}
        self._performers: dict[type[Struct], Callable[[Hosted, Any], None]] = {
            Publish: self._publish,
            Ask: self._ask,
            Answer: self._answer,
            Wake: self._wake,
            PublishFact: self._publish_fact,
        }

    # --- hosting ------------------------------------------------------------------------------

    def start(self, actor: Actor[Any]) -> None:
        """Host `actor`: Started, its peers as present, and the facts it missed."""
        earlier = self._hosted.get(actor.name)
        if earlier is not None:  # Who asked is known to the life that heard it, and to no other.
            earlier.is_down = True
            self._askers = {way: by for way, by in self._askers.items() if way[0] != actor.name}
        hosted = Hosted(actor, earlier.epoch + 1 if earlier else self._clock.now_ns())
        self._hosted[actor.name] = hosted
        for known in self._hosted.values():
            known.routes.clear()
        self._fact_hearers = tuple(h for h in self._hosted.values() if h.facts)
        self._put(hosted, Started(epoch=hosted.epoch))
        for peer in dict.fromkeys((*actor.needs, *actor.watches)):
            at = self._hosted.get(peer)
            if not self._is_cut(peer, actor.name):
                self._put(hosted, PeerBack(source=peer, epoch=at.epoch if at else 1, pid=0))
        self._tell_watchers(actor.name, PeerBack(source=actor.name, epoch=hosted.epoch, pid=0))
        self._catch_up(hosted)

    def crash(self, name: str) -> None:
        """Kill an actor: its state, timers and inbox are gone; peers notice after a second."""
        hosted = self._hosted[name]
        hosted.is_down = True
        left = [item for item in self._now if item[0].name != name]
        self._now.clear()
        self._now.extend(left)
        self._after(SILENCE_NS, lambda: self._lose(hosted, hosted.silences))

    def pause(self, name: str) -> None:
        """Stop an actor as SIGSTOP would; what it is sent waits."""
        hosted = self._hosted[name]
        silence = hosted.silences
        hosted.is_paused = True
        self._after(SILENCE_NS, lambda: self._lose(hosted, silence))

    def wake(self, name: str) -> None:
        """Let a paused actor go on, first with what waited."""
        hosted = self._hosted[name]
        hosted.is_paused = False
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

    def cut(self, one: str, other: str) -> None:
        """Cut two actors off from each other: nothing passes, and both notice after a second."""
        for way in ((one, other), (other, one)):
            since = self._cuts[way] = self._clock.now_ns()
            self._after(SILENCE_NS, lambda way=way, since=since: self._lose_sight(way, since))  # type: ignore[misc]

    def mend(self, one: str, other: str) -> None:
        """Let two actors hear each other again; who folds facts asks for what it missed."""
        for source, hearer in ((one, other), (other, one)):
            del self._cuts[source, hearer]
            at, to = self._hosted[source], self._hosted[hearer]
            if to.watches(source) and not at.is_down:
                self._put(to, PeerBack(source=source, epoch=at.epoch, pid=0))
            self._catch_up(to)

    def state(self, name: str) -> Any:  # noqa: ANN401 - each actor has its own
        """Return an actor's current state."""
        return self._hosted[name].state

    def health(self, name: str) -> Health:
        """Return what the actor judges of itself."""
        hosted = self._hosted[name]
        return Health.STOPPED if hosted.is_down else hosted.actor.health(hosted.state)

    # --- from outside -------------------------------------------------------------------------

    def deliver(self, name: str, message: Struct) -> None:
        """Put a message from outside into an actor's inbox."""
        hosted = self._hosted[name]
        if hosted.is_paused or hosted.is_down:
            self._put(hosted, message)
        else:
            self._now.append((hosted, message))

    def publish(self, source: str, topic: str, message: Struct) -> None:
        """Say `message` as `source` would, on its stream `topic`."""
        for hosted in self._hearers(source, topic):
            if not self._is_cut(source, hosted.name):
                self._put(hosted, message)

    def say_fact(self, fact: Struct) -> None:
        """Say a fact as the writer would, under the next sequence."""
        sequence = self._facts[-1][0] + 1 if self._facts else 1
        self._spread_fact("", sequence, fact)

    def ask(self, to: str, request_id: str, message: Struct, asker: str = "test") -> None:
        """Ask an actor as `asker` would; the answer is logged, and delivered if it is hosted."""
        self._askers[to, request_id] = asker
        self._put(self._hosted[to], message)

    def at(self, at_ns: int, call: Callable[[], None]) -> None:
        """Call `call` at a virtual time, in its place among everything else."""
        self._counter += 1
        heapq.heappush(self._later, (max(at_ns, self._clock.at_ns), self._counter, call))

    def tap(self, kind: type[M], hear: Callable[[M], None]) -> None:
        """Call `hear` with each message of `kind` when it is said."""
        self._record.tap(kind, hear)

    def heard(self, kind: type[M]) -> list[M]:
        """Return every message of `kind` that was published, asked or answered, in order."""
        return [message for message in self.log if isinstance(message, kind)]

    @property
    def log(self) -> list[Struct]:
        """Everything said, in order."""
        assert self._record.said is not None, "this bus keeps no log"
        return self._record.said

    # --- running ------------------------------------------------------------------------------

    def run(self) -> None:
        """Handle what is due at this moment of virtual time, and what follows from it."""
        self.run_until(self._clock.now_ns())

    def advance(self, seconds: float) -> None:
        """Let `seconds` of virtual time pass."""
        self.run_until(self._clock.now_ns() + round(seconds * 1_000_000_000))

    def run_until(self, until_ns: int) -> None:
        """Handle everything due up to and including `until_ns`; the clock then stands there."""
        clock, later = self._clock, self._later
        if self._now:
            self._empty()
        while later and later[0][0] <= until_ns:
            at_ns, _, call = heapq.heappop(later)
            if at_ns > clock.at_ns:  # noqa: PLR1730 - a call of max costs as much as all the rest
                clock.at_ns = at_ns
            call()
            if self._now:
                self._empty()
        if until_ns > clock.at_ns:  # noqa: PLR1730 - as above
            clock.at_ns = until_ns

    @property
    def next_ns(self) -> int | None:
        """When the next thing is due; None: nothing ever again without help from outside."""
        return self._later[0][0] if self._later else None

    def _empty(self) -> None:
        now, performer_of, now_ns = self._now, self._performers.get, self._clock.at_ns
        next_one = now.popleft
        while now:
            hosted, message = next_one()
            step = hosted.handle(hosted.state, message, now_ns)
            hosted.state = step.state
            for effect in step.effects:
                performer = performer_of(type(effect))
                if performer is not None:
                    performer(hosted, effect)
                else:
                    assert hosted.perform is not None, f"{hosted.name}: {effect}"
                    hosted.perform(effect)

    def _put(self, hosted: Hosted, message: Struct, deadline_ns: int = 0) -> None:
        """Put `message` into an inbox; a request past its deadline is put there as `Late`."""
        if hosted.is_paused:
            hosted.inbox_of_paused.append((message, deadline_ns))
        elif not hosted.is_down:
            is_late = 0 < deadline_ns <= self._clock.now_ns()
            self._now.append((hosted, Late(message) if is_late else message))

    # --- effects ------------------------------------------------------------------------------

    def _publish(self, hosted: Hosted, effect: Publish) -> None:
        topic, message = effect.topic, effect.message
        try:
            hearers = hosted.routes[topic]
        except KeyError:
            hearers = hosted.routes[topic] = self._hearers(hosted.name, topic)
        is_noted = self._record.said is not None or type(message) in self._taps
        if self._codec is not None and (hearers or is_noted):  # Else nobody would decode it.
            message = self._codec.crossed(message)
        if is_noted:
            self._note(message)
        if self._is_plain and not self._cuts:
            now = self._now
            for hearer in hearers:
                if hearer.is_paused or hearer.is_down:
                    self._put(hearer, message)
                else:
                    now.append((hearer, message))
        else:
            for hearer in hearers:
                self._send(hosted.name, hearer, message)

    def _publish_fact(self, hosted: Hosted, effect: PublishFact) -> None:
        message = effect.message
        if self._codec is not None:
            message = self._codec.crossed(message)
        self._spread_fact(hosted.name, effect.sequence, message)

    def _spread_fact(self, source: str, sequence: int, fact: Struct) -> None:
        self._note(fact)
        self._facts.append((sequence, fact))
        for hearer in self._fact_hearers:
            if self._is_cut(source, hearer.name):
                continue
            if self._faults is None or self._faults.copies("facts", hearer.name, fact):
                self._hear_fact(hearer, sequence, fact)
            else:
                self._after(SILENCE_NS // 4, lambda hearer=hearer: self._catch_up(hearer))  # type: ignore[misc]

    def _hear_fact(self, hearer: Hosted, sequence: int, fact: Struct) -> None:
        if sequence == hearer.through + 1 or hearer.through == 0 == len(self._facts) - 1:
            hearer.through = sequence
            if type(fact) in hearer.facts:
                self._put(hearer, fact)
        elif sequence > hearer.through:
            self._catch_up(hearer)

    def _catch_up(self, hearer: Hosted) -> None:
        """Give a hearer every fact it missed, from the log of this bus or of the writer.

        While the writer cannot answer, the hearer asks again.
        """
        if hearer.is_down or not hearer.facts:
            return
        writer = next((h for h in self._hosted.values() if h.actor.read_facts), None)
        if writer is not None and (
            writer.is_down or writer.is_paused or self._is_cut(writer.name, hearer.name)
        ):
            self._after(LAST_REPEAT_NS, lambda: self._catch_up(hearer))
            return
        for sequence, fact in facts_after(hearer, writer, self._facts):
            hearer.through = sequence
            if type(fact) in hearer.facts:
                self._put(hearer, fact)
        self._put(hearer, CaughtUp(head=hearer.through))

    def _ask(self, hosted: Hosted, effect: Ask) -> None:
        hosted.outstanding[effect.request_id] = effect
        deadline_ns = self._clock.now_ns() + effect.ttl_ns
        self._note(effect.message)
        self._send_request(hosted, effect, deadline_ns)
        self.at(deadline_ns, lambda: self._expire(hosted, effect))
        self._after(FIRST_REPEAT_NS, lambda: self._repeat(hosted, effect, deadline_ns, 1))

    def _send_request(self, hosted: Hosted, effect: Ask, deadline_ns: int) -> None:
        receiver = self._hosted.get(effect.to)
        if receiver is not None and type(effect.message) in receiver.actor.receives:
            self._askers[effect.to, effect.request_id] = hosted.name
            message = self._crossed(hosted, effect.request_id, effect.message)
            self._send(hosted.name, receiver, message, deadline_ns=deadline_ns)

    def _repeat(self, hosted: Hosted, effect: Ask, deadline_ns: int, turn: int) -> None:
        if hosted.outstanding.get(effect.request_id) is effect and not hosted.is_down:
            if not hosted.is_paused:
                self._send_request(hosted, effect, deadline_ns)
            wait_ns = min(FIRST_REPEAT_NS << turn, LAST_REPEAT_NS)
            self._after(wait_ns, lambda: self._repeat(hosted, effect, deadline_ns, turn + 1))

    def _expire(self, hosted: Hosted, effect: Ask) -> None:
        if hosted.outstanding.get(effect.request_id) is effect:
            self._put(hosted, RequestExpired(request_id=effect.request_id, to=effect.to))

    def _answer(self, hosted: Hosted, effect: Answer) -> None:
        asker = self._askers.pop((hosted.name, effect.request_id), None)
        if asker is None:
            return
        message = self._crossed(hosted, effect.request_id, effect.message)
        self._note(message)
        to = self._hosted.get(asker)
        if to is not None:
            self._send(hosted.name, to, message, effect.request_id)

    def _wake(self, hosted: Hosted, effect: Wake) -> None:
        hosted.timers[effect.name] = effect.at_ns
        self.at(effect.at_ns, partial(self._woken, hosted, effect))

    def _woken(self, hosted: Hosted, effect: Wake) -> None:
        if hosted.timers.get(effect.name) == effect.at_ns:
            del hosted.timers[effect.name]
            self._put(hosted, Woken(name=effect.name, due_ns=effect.at_ns))

    # --- small parts --------------------------------------------------------------------------

    def _send(
        self, source: str, to: Hosted, message: Struct, answers: str = "", deadline_ns: int = 0
    ) -> None:
        if self._is_cut(source, to.name):
            return
        copies = self._faults.copies(source, to.name, message) if self._faults else (0,)
        for delay_ns in copies:
            if delay_ns + self._hop_ns:
                self._after(
                    delay_ns + self._hop_ns, lambda: self._arrive(to, message, answers, deadline_ns)
                )
            else:
                self._arrive(to, message, answers, deadline_ns)

    def _arrive(self, to: Hosted, message: Struct, answers: str, deadline_ns: int) -> None:
        if not answers or to.outstanding.pop(answers, None) is not None:
            self._put(self._hosted[to.name], message, deadline_ns)

    def _is_cut(self, source: str, hearer: str) -> bool:
        return bool(self._cuts) and (source, hearer) in self._cuts

    def _crossed(self, hosted: Hosted, topic: str, message: Struct) -> Struct:
        """Return `message` as it arrives: through the codec where there is one."""
        if self._codec is None:
            return message
        sequence = self._sequences[topic] = self._sequences.get(topic, 0) + 1
        now_ns = self._clock.monotonic_ns()
        envelope = Envelope(
            WIRE_VERSION, hosted.name, hosted.epoch, topic, sequence, "", now_ns, 0, message
        )
        crossed: Struct = self._codec.decode(self._codec.encode(envelope)).message
        return crossed

    def _hearers(self, source: str, topic: str) -> tuple[Hosted, ...]:
        return tuple(h for h in self._hosted.values() if h.hears(source, topic))

    def _tell_watchers(self, name: str, message: PeerBack | PeerLost) -> None:
        for hosted in self._hosted.values():
            if hosted.watches(name) and not self._is_cut(name, hosted.name):
                self._put(hosted, message)

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
