"""The bus in one thread and virtual time: many actors, one queue, the same order every time.

Backtests share frozen messages; with a codec every message crosses as bytes, as it would between
processes, and both say the same. Order is (virtual time, counter). Faults happen on request: an
actor is crashed, paused or cut off, and a `Faults` object may drop, repeat or delay what is sent.
"""

import heapq
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from bus.actor import (
    Actor,
    Answer,
    Ask,
    CaughtUp,
    Health,
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
from bus.peers import SILENCE_NS
from bus.requests import FIRST_REPEAT_NS, LAST_REPEAT_NS

M = TypeVar("M", bound=Struct)
FACT_TOPIC = "fact"


class Faults(Protocol):
    """Decides what becomes of one sending: its delays in ns, one per copy that arrives."""

    def copies(self, source: str, to: str, message: Struct) -> tuple[int, ...]: ...


class Hosted:
    """One actor on the bus: its state, timers, and requests without an answer."""

    __slots__ = (
        "actor", "epoch", "facts", "handle", "inbox_of_paused", "is_down", "is_paused", "name",
        "outstanding", "perform", "state", "through", "timers",
    )  # fmt: skip

    def __init__(self, actor: Actor[Any], epoch: int) -> None:
        self.actor = actor
        self.name = actor.name
        self.epoch = epoch
        self.state = actor.state
        self.handle = actor.handle
        self.perform = actor.perform
        self.facts = frozenset(actor.facts)
        self.through = actor.facts_after
        self.timers: dict[str, int] = {}
        self.outstanding: dict[str, Ask] = {}
        self.is_down = False
        self.is_paused = False
        self.inbox_of_paused: list[Struct] = []


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
        self._log: list[Struct] | None = [] if keeps_log else None
        self._hosted: dict[str, Hosted] = {}
        self._routes: dict[tuple[str, str], tuple[Hosted, ...]] = {}
        self._fact_hearers: tuple[Hosted, ...] = ()
        self._taps: dict[type[Struct], list[Callable[[Any], None]]] = {}
        self._now: deque[tuple[Hosted, Struct]] = deque()
        self._later: list[tuple[int, int, Callable[[], None]]] = []
        self._counter = 0
        self._askers: dict[tuple[str, str], str] = {}
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
        hosted = Hosted(actor, earlier.epoch + 1 if earlier else self._clock.now_ns())
        self._hosted[actor.name] = hosted
        self._routes.clear()
        self._fact_hearers = tuple(h for h in self._hosted.values() if h.facts)
        self._put(hosted, Started(epoch=hosted.epoch))
        for peer in dict.fromkeys((*actor.needs, *actor.watches)):
            at = self._hosted.get(peer)
            self._put(hosted, PeerBack(source=peer, epoch=at.epoch if at else 1, pid=0))
        self._tell_watchers(actor.name, PeerBack(source=actor.name, epoch=hosted.epoch, pid=0))
        if hosted.facts:
            self._catch_up(hosted)

    def crash(self, name: str) -> None:
        """Kill an actor: its state, timers and inbox are gone; peers notice after a second."""
        self._hosted[name].is_down = True
        self._now = deque(item for item in self._now if item[0].name != name)
        self._after(SILENCE_NS, lambda: self._lose(name))

    def pause(self, name: str) -> None:
        """Stop an actor as SIGSTOP would; what it is sent waits."""
        self._hosted[name].is_paused = True
        self._after(SILENCE_NS, lambda: self._lose(name))

    def wake(self, name: str) -> None:
        """Let a paused actor go on, first with what waited."""
        hosted = self._hosted[name]
        hosted.is_paused = False
        waited, hosted.inbox_of_paused = hosted.inbox_of_paused, []
        for message in waited:
            self._put(hosted, message)
        self._tell_watchers(name, PeerBack(source=name, epoch=hosted.epoch, pid=0))

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

    # --- from outside -------------------------------------------------------------------------

    def deliver(self, name: str, message: Struct) -> None:
        """Put a message from outside into an actor's inbox."""
        self._put(self._hosted[name], message)

    def publish(self, source: str, topic: str, message: Struct) -> None:
        """Say `message` as `source` would, on its stream `topic`."""
        for hosted in self._route(source, topic):
            self._put(hosted, message)

    def say_fact(self, fact: Struct) -> None:
        """Say a fact as the writer would, under the next sequence."""
        sequence = self._facts[-1][0] + 1 if self._facts else 1
        self._spread_fact(sequence, fact)

    def ask(self, to: str, request_id: str, message: Struct, asker: str = "test") -> None:
        """Ask an actor as `asker` would; the answer is logged, and delivered if it is hosted."""
        self._askers[to, request_id] = asker
        self._put(self._hosted[to], message)

    def at(self, at_ns: int, call: Callable[[], None]) -> None:
        """Call `call` at a virtual time, in its place among everything else."""
        self._push(max(at_ns, self._clock.now_ns()), call)

    def tap(self, kind: type[M], hear: Callable[[M], None]) -> None:
        """Call `hear` with each message of `kind` when it is said."""
        self._taps.setdefault(kind, []).append(hear)

    def heard(self, kind: type[M]) -> list[M]:
        """Return every message of `kind` that was published, asked or answered, in order."""
        assert self._log is not None, "this bus keeps no log"
        return [message for message in self._log if isinstance(message, kind)]

    @property
    def log(self) -> list[Struct]:
        """Everything said, in order."""
        assert self._log is not None, "this bus keeps no log"
        return self._log

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
        self._empty()
        while later and later[0][0] <= until_ns:
            at_ns, _, call = heapq.heappop(later)
            if at_ns > clock.now_ns():
                clock.advance_to(at_ns)
            call()
            self._empty()
        if until_ns > clock.now_ns():
            clock.advance_to(until_ns)

    @property
    def next_ns(self) -> int | None:
        """When the next thing is due; None: nothing ever again without help from outside."""
        return self._later[0][0] if self._later else None

    def _empty(self) -> None:
        now, performers = self._now, self._performers
        now_ns = self._clock.now_ns()
        while now:
            hosted, message = now.popleft()
            step = hosted.handle(hosted.state, message, now_ns)
            hosted.state = step.state
            for effect in step.effects:
                performer = performers.get(type(effect))
                if performer is not None:
                    performer(hosted, effect)
                else:
                    assert hosted.perform is not None, f"{hosted.name}: {effect}"
                    hosted.perform(effect)

    def _put(self, hosted: Hosted, message: Struct) -> None:
        if hosted.is_paused:
            hosted.inbox_of_paused.append(message)
        elif not hosted.is_down:
            self._now.append((hosted, message))

    # --- effects ------------------------------------------------------------------------------

    def _publish(self, hosted: Hosted, effect: Publish) -> None:
        source, topic, message = hosted.name, effect.topic, effect.message
        hearers = self._routes.get((source, topic))
        if hearers is None:
            hearers = self._route(source, topic)
        if self._codec is not None:
            message = self._crossed(hosted, topic, message)
        self._note(message)
        if self._hop_ns or self._faults is not None:
            for hearer in hearers:
                self._send(source, hearer, message)
        else:
            for hearer in hearers:
                self._put(hearer, message)

    def _publish_fact(self, hosted: Hosted, effect: PublishFact) -> None:
        message = effect.message
        if self._codec is not None:
            message = self._crossed(hosted, FACT_TOPIC, message)
        self._spread_fact(effect.sequence, message)

    def _spread_fact(self, sequence: int, fact: Struct) -> None:
        self._note(fact)
        self._facts.append((sequence, fact))
        for hearer in self._fact_hearers:
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
        """Give a hearer every fact it missed, from the log of this bus or of the writer."""
        if hearer.is_down or hearer is not self._hosted.get(hearer.name):
            return
        writer = next((h for h in self._hosted.values() if h.actor.read_facts), None)
        if writer is not None and (writer.is_down or writer.is_paused):
            self._after(SILENCE_NS // 4, lambda: self._catch_up(hearer))  # It is asked again.
            return
        for sequence, fact in self._facts_after(hearer, writer):
            hearer.through = sequence
            if type(fact) in hearer.facts:
                self._put(hearer, fact)
        self._put(hearer, CaughtUp(head=hearer.through))

    def _facts_after(self, hearer: Hosted, writer: Hosted | None) -> list[tuple[int, Struct]]:
        if writer is None or writer.actor.read_facts is None:
            return [row for row in self._facts if row[0] > hearer.through]
        tags = tuple(sorted(str(kind.__struct_config__.tag) for kind in hearer.facts))
        rows: list[tuple[int, Struct]] = []
        after, through = hearer.through, -1
        while through != after:
            through = after
            page, after = writer.actor.read_facts(through, tags, 500)
            rows += page
        hearer.through = after
        return rows

    def _ask(self, hosted: Hosted, effect: Ask) -> None:
        hosted.outstanding[effect.request_id] = effect
        self._note(effect.message)
        self._send_request(hosted, effect)
        life = hosted.epoch
        self._after(effect.ttl_ns, lambda: self._expire(hosted.name, life, effect))
        self._after(FIRST_REPEAT_NS, lambda: self._repeat(hosted.name, life, effect, 1))

    def _send_request(self, hosted: Hosted, effect: Ask) -> None:
        receiver = self._hosted.get(effect.to)
        if receiver is not None and type(effect.message) in receiver.actor.receives:
            self._askers[effect.to, effect.request_id] = hosted.name
            message = self._crossed(hosted, effect.request_id, effect.message)
            self._send(hosted.name, receiver, message)

    def _repeat(self, name: str, life: int, effect: Ask, turn: int) -> None:
        hosted = self._hosted[name]
        if hosted.epoch == life and effect.request_id in hosted.outstanding and not hosted.is_down:
            if not hosted.is_paused:
                self._send_request(hosted, effect)
            wait_ns = min(FIRST_REPEAT_NS << turn, LAST_REPEAT_NS)
            self._after(wait_ns, lambda: self._repeat(name, life, effect, turn + 1))

    def _expire(self, name: str, life: int, effect: Ask) -> None:
        hosted = self._hosted[name]
        if hosted.epoch == life and effect.request_id in hosted.outstanding:
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
        name, life = effect.name, hosted.epoch
        hosted.timers[name] = effect.at_ns
        self.at(effect.at_ns, lambda: self._woken(hosted.name, life, name, effect.at_ns))

    def _woken(self, name: str, life: int, timer: str, due_ns: int) -> None:
        hosted = self._hosted[name]
        if hosted.epoch == life and hosted.timers.get(timer) == due_ns:
            del hosted.timers[timer]
            self._put(hosted, Woken(name=timer, due_ns=due_ns))

    # --- small parts --------------------------------------------------------------------------

    def _send(self, source: str, to: Hosted, message: Struct, answers: str = "") -> None:
        copies = self._faults.copies(source, to.name, message) if self._faults else (0,)
        for delay_ns in copies:
            if delay_ns + self._hop_ns:
                self._after(delay_ns + self._hop_ns, lambda: self._arrive(to, message, answers))
            else:
                self._arrive(to, message, answers)

    def _arrive(self, to: Hosted, message: Struct, answers: str) -> None:
        if not answers or to.outstanding.pop(answers, None) is not None:
            self._put(self._hosted[to.name], message)

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

    def _note(self, message: Struct) -> None:
        if self._log is not None:
            self._log.append(message)
        if self._taps and (hearers := self._taps.get(type(message))):
            for hear in hearers:
                hear(message)

    def _route(self, source: str, topic: str) -> tuple[Hosted, ...]:
        found = tuple(
            hosted
            for hosted in self._hosted.values()
            if any(h.source == source and topic.startswith(h.topic) for h in hosted.actor.hears)
        )
        self._routes[source, topic] = found
        return found

    def _tell_watchers(self, name: str, message: PeerBack | PeerLost) -> None:
        for hosted in self._hosted.values():
            if hosted.name != name and name in (*hosted.actor.needs, *hosted.actor.watches):
                self._put(hosted, message)

    def _lose(self, name: str) -> None:
        hosted = self._hosted[name]
        if hosted.is_down or hosted.is_paused:
            self._tell_watchers(name, PeerLost(source=name))

    def _after(self, delay_ns: int, call: Callable[[], None]) -> None:
        self._push(self._clock.now_ns() + delay_ns, call)

    def _push(self, at_ns: int, call: Callable[[], None]) -> None:
        self._counter += 1
        heapq.heappush(self._later, (at_ns, self._counter, call))
