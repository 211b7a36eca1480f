"""The bus in one thread and virtual time: many actors, one queue, the same order every time.

Backtests share frozen messages; with a codec every message crosses as bytes, as it would between
processes, and both say the same. Order is (virtual time, counter). Faults happen on request: an
actor is crashed, paused or cut off from another, and a `Faults` object may drop, repeat or delay
what is sent.
"""

from collections.abc import Callable, Iterable
from functools import partial
from heapq import heapify, heappop, heappush
from typing import Any, TypeVar

from msgspec import Struct

from bus.actor import (
    Actor,
    Answer,
    Ask,
    CaughtUp,
    PeerBack,
    Publish,
    PublishFact,
    RequestExpired,
    Started,
    Wake,
    Woken,
)
from bus.clock import ManualClock
from bus.envelope import WIRE_VERSION, Codec, Envelope
from bus.hall import Due, Hall
from bus.hosted import Faults, Hosted, Record, Routes, facts_after
from bus.kept import Fold
from bus.peers import SILENCE_NS
from bus.requests import FIRST_REPEAT_NS, LAST_REPEAT_NS

M = TypeVar("M", bound=Struct)


class MemoryBus(Hall):
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
        super().__init__(clock, is_plain=not hop_ns and faults is None)
        self._codec = codec
        self._hop_ns = hop_ns
        self._faults = faults
        self._record = Record(keeps_log=keeps_log)
        self._note, self._taps = self._record.note, self._record.taps
        self._hot = (
            clock, self._later, self._now, self._now.popleft, self._now.append,
            self._taps, keeps_log, None if codec is None else codec.crossed,
        )  # fmt: skip
        self._fact_hearers: tuple[Hosted, ...] = ()
        self._askers: dict[tuple[str, str], str] = {}
        self._facts: list[tuple[int, Struct]] = []
        self._sequences: dict[str, int] = {}
        self._performers: dict[type[Struct], Callable[[Hosted, Any], None]] = {
            Publish: self._publish,
            Ask: self._ask,
            Answer: self._answer,
            PublishFact: self._publish_fact,
        }

    # --- hosting ------------------------------------------------------------------------------

    def start(self, actor: Actor[Any], fold: Fold[Any] | None = None) -> None:
        """Host `actor`: Started, its peers as present, and the facts it missed.

        `fold` hears each fact with it; when that is worked on and kept is the caller's affair.
        """
        earlier = self._hosted.get(actor.name)
        if earlier is not None:  # Who asked is known to the life that heard it, and to no other.
            earlier.is_down = True
            self._askers = {way: by for way, by in self._askers.items() if way[0] != actor.name}
        epoch = earlier.epoch + 1 if earlier else self._clock.now_ns()
        hosted = Hosted(actor, epoch, Routes(partial(self._hearers, actor.name)), fold)
        self._hosted[actor.name] = hosted
        for known in self._hosted.values():
            known.routes.clear()
        self._look_around()
        self._fact_hearers = tuple(h for h in self._hosted.values() if h.facts)
        self._put(hosted, Started(epoch=hosted.epoch))
        for peer in dict.fromkeys((*actor.needs, *actor.watches)):
            at = self._hosted.get(peer)
            if (at is not None or peer in actor.needs) and not self._is_cut(peer, actor.name):
                self._put(hosted, PeerBack(source=peer, epoch=at.epoch if at else 1, pid=0))
        self._tell_watchers(actor.name, PeerBack(source=actor.name, epoch=hosted.epoch, pid=0))
        self._catch_up(hosted)

    def cut(self, one: str, other: str) -> None:
        """Cut two actors off from each other: nothing passes, and both notice after a second."""
        for way in ((one, other), (other, one)):
            since = self._cuts[way] = self._clock.now_ns()
            self._after(SILENCE_NS, lambda way=way, since=since: self._lose_sight(way, since))  # type: ignore[misc]
        self._look_around()

    def mend(self, one: str, other: str) -> None:
        """Let two actors hear each other again; who folds facts asks for what it missed."""
        for source, hearer in ((one, other), (other, one)):
            del self._cuts[source, hearer]
            at, to = self._hosted[source], self._hosted[hearer]
            if to.watches(source) and not at.is_down:
                self._put(to, PeerBack(source=source, epoch=at.epoch, pid=0))
            self._catch_up(to)
        self._look_around()

    # --- from outside -------------------------------------------------------------------------

    def deliver(self, name: str, message: Struct) -> None:
        """Put a message from outside into an actor's inbox."""
        self._put(self._hosted[name], message)

    def inlet(self, name: str) -> Callable[[Struct], None]:
        """Return a `deliver` to one actor, in whichever life it is then."""
        hosted, put = self._hosted, self._now.append

        def deliver(message: Struct) -> None:
            if self._is_calm:  # So nobody is paused or down.
                put((hosted[name], message))
            else:
                self._put(hosted[name], message)

        return deliver

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
        self.run_through((until_ns,))

    def run_through(self, times_ns: Iterable[int]) -> None:  # noqa: C901, PLR0912, PLR0915 - below
        """Run until each of `times_ns`; who yields them makes things happen in between."""
        # Millions of turns a backtest, and here a call costs as much as the rest of a turn: so
        # what is published while all is calm, and timers, are dealt with on the spot.
        clock, later, now, next_one, put, taps, notes_all, crossed = self._hot
        for until_ns in times_ns:
            while True:
                now_ns = clock.at_ns
                while now:
                    hosted, message = next_one()
                    handle = hosted.handle  # Called from here it would be looked up as a method.
                    step = handle(hosted.state, message, now_ns)
                    hosted.state = step.state
                    for effect in step.effects:
                        kind = type(effect)
                        if kind is Publish and self._is_calm:
                            said, hearers = effect.message, hosted.routes[effect.topic]  # type: ignore[attr-defined]
                            if crossed is not None and (hearers or notes_all):
                                said = crossed(said)  # Else nobody would decode it.
                            if notes_all or type(said) in taps:
                                self._note(said)
                            for hearer in hearers:
                                put((hearer, said))
                        elif kind is Wake:
                            hosted.timers[effect.name] = at_ns = effect.at_ns  # type: ignore[attr-defined]
                            self._counter = number = self._counter + 1
                            # An effect before this one may have taken time. `max` costs a call.
                            due_ns = at_ns if at_ns > clock.at_ns else clock.at_ns  # noqa: FURB136
                            heappush(later, (due_ns, number, hosted, effect))  # type: ignore[misc]
                        elif kind in self._performers:
                            self._performers[kind](hosted, effect)
                        else:
                            perform = hosted.perform
                            assert perform is not None, f"{hosted.name}: {effect}"
                            perform(effect)
                if not later or later[0][0] > until_ns:
                    break
                at_ns, _, sleeper, due = heappop(later)
                if at_ns > clock.at_ns:  # noqa: PLR1730 - a call, as above
                    clock.at_ns = at_ns
                if sleeper is None:
                    due()  # type: ignore[operator]
                elif sleeper.timers.get(due.name) == due.at_ns:  # type: ignore[union-attr]
                    woken = Woken(name=due.name, due_ns=due.at_ns)  # type: ignore[union-attr]
                    del sleeper.timers[woken.name]
                    if sleeper.is_paused or sleeper.is_down:
                        self._put(sleeper, woken)
                    else:
                        put((sleeper, woken))
            if until_ns > clock.at_ns:  # noqa: PLR1730
                clock.at_ns = until_ns

    def leap(self, until_ns: int) -> None:
        """Go to `until_ns` at once: nobody lives through it, and nobody was frozen meanwhile.

        A timer that was due before is due at the end, and says so; several are in the order in
        which they were due.
        """
        later = self._later
        passed = [row for row in later if row[2] is not None and row[0] < until_ns]
        later[:] = [row for row in later if row[2] is None or row[0] >= until_ns]
        heapify(later)
        for _, _, sleeper, due in sorted(passed, key=_when):
            assert sleeper is not None and isinstance(due, Wake)  # noqa: PT018 - one claim
            if sleeper.timers.get(due.name) == due.at_ns:
                sleeper.timers[due.name] = until_ns
                self._counter += 1
                heappush(later, (until_ns, self._counter, sleeper, Wake(due.name, until_ns)))
        self._clock.advance_to(until_ns)

    @property
    def next_ns(self) -> int | None:
        """When the next thing is due; None: nothing ever again without help from outside."""
        return self._later[0][0] if self._later else None

    # --- effects ------------------------------------------------------------------------------

    def _publish(self, hosted: Hosted, effect: Publish) -> None:
        """Say it where not all is calm: to each hearer it may be late, lost, or never."""
        message, hearers = effect.message, hosted.routes[effect.topic]
        notes_all = self._record.said is not None
        if self._codec is not None and (hearers or notes_all):  # Else nobody would decode it.
            message = self._codec.crossed(message)
        if notes_all or type(message) in self._taps:
            self._note(message)
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
            self._take_fact(hearer, sequence, fact)
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
            self._take_fact(hearer, sequence, fact)
        self._put(hearer, CaughtUp(head=hearer.through))

    def _take_fact(self, hearer: Hosted, sequence: int, fact: Struct) -> None:
        hearer.through = sequence
        if type(fact) in hearer.facts:
            self._put(hearer, fact)
            if hearer.fold is not None:
                hearer.fold.hear(sequence, fact)

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


def _when(row: Due) -> tuple[int, int]:
    return row[0], row[1]
