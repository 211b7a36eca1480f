"""What stands around an actor in its process: journals, handles, performs, keeps time.

Drivers (`bus/runtime.py`) bring frames in and call `work` after each drain. Nothing here waits or
opens anything: time comes from a clock, frames leave through a `Port`.
"""

import heapq
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from msgspec import Struct

from bus.actor import (
    BEAT_TOPIC,
    FACT_TOPIC,
    Actor,
    Answer,
    Ask,
    CaughtUp,
    FactsAfter,
    FactsPage,
    Health,
    Hears,
    Heartbeat,
    Late,
    Nack,
    Publish,
    PublishFact,
    RequestExpired,
    Started,
    StreamGap,
    System,
    Wake,
    Woken,
)
from bus.clock import Clock
from bus.envelope import WIRE_VERSION, Codec, Envelope, Refused
from bus.journal import Journal
from bus.kept import AnotherLog, Fold
from bus.pages import Pages
from bus.peers import BEAT_NS, Watch
from bus.quarantine import Quarantine
from bus.requests import FIRST_REPEAT_NS, Asker, Askers, Outstanding, as_heard
from bus.streams import Arrival, FactCursor, Numbered, Sequences, Ways

S = TypeVar("S")
log = logging.getLogger("btcbot.bus")


class Port(Protocol):
    """Where frames leave. A False means: not even queued (no peer, or its queue is full)."""

    def publish(self, topic: str, frame: bytes) -> None: ...

    def ask(self, to: str, frame: bytes) -> bool: ...

    def answer(self, address: bytes, frame: bytes) -> bool: ...


class Shell(Generic[S]):
    """One actor at work. `deliver`, `heard_*` fill the inbox; `work` empties it.

    `serve` answers one hearer of facts; a driver calls it once a turn.
    """

    def __init__(  # noqa: PLR0913 - the five things a process has
        self,
        actor: Actor[S],
        *,
        clock: Clock,
        codec: Codec,
        port: Port,
        journal: Journal,
        quarantine: Quarantine,
        pid: int,
        code: str,
        on_ready: Callable[[], None],
    ) -> None:
        self.actor = actor
        self.state = actor.state
        self.epoch = journal.epoch
        self._clock, self._codec, self._port = clock, codec, port
        self._journal, self._quarantine = journal, quarantine
        self._pid, self._code = pid, code
        self._on_ready: Callable[[], None] | None = on_ready
        self._inbox: deque[tuple[Struct, bytes, str]] = deque()
        self._latest: dict[tuple[str, str], tuple[Struct, bytes, str]] = {}
        self._ways = Ways(actor.hears)
        self._sequences = Sequences()
        self._said: dict[str, int] = {}
        self._asker, self._askers = Asker(), Askers()
        self._timers: dict[str, int] = {}
        self._timer_heap: list[tuple[int, str, int]] = []  # Monotonic: no clock stops a timer.
        self._beat_ns = 0
        self._cause = ""
        watched = dict.fromkeys((*actor.needs, *actor.watches))
        self.watch = Watch(tuple(watched))
        self._cursor = FactCursor(actor.facts, actor.kept) if actor.facts else None
        self._fold = Fold(actor, actor.kept, codec.encode_message) if actor.kept else None
        self._is_behind = True  # Until `CaughtUp` was said.
        self._pages = Pages(actor, codec.encode_message)
        self._fact_source = next((h.source for h in actor.hears if h.topic == FACT_TOPIC), "")
        self._performers: dict[type[Struct], Callable[[Any], None]] = {
            Publish: self._publish,
            Ask: self._ask,
            Answer: self._answer,
            Wake: self._wake,
            PublishFact: self._publish_fact,
        }

    # --- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the journal and say the first message."""
        self._open_segment()
        self.deliver(Started(epoch=self.epoch))

    def stop(self) -> None:
        """Say goodbye and close the journal; sockets are the driver's."""
        self._beat(Health.STOPPED)
        if self._fold is not None:
            self._fold.keep()
        self._journal.close()

    @property
    def health(self) -> Health:
        if not self.watch.has_heard(self.actor.needs):
            return Health.STARTING
        if self._cursor is not None and not self._cursor.is_caught_up:
            return Health.RECOVERING
        return self.actor.health(self.state)

    # --- arrivals -----------------------------------------------------------------------------

    def deliver(self, message: Struct) -> None:
        """Put a message from outside into the inbox."""
        envelope = self._envelope("self", message, 0, 0)
        self._inbox.append((message, self._codec.encode(envelope), ""))

    def heard_stream(self, source: str, frame: bytes) -> None:
        """Take a frame of a stream that `source` publishes."""
        try:
            envelope = self._decoded(frame, source)
            if type(envelope.message) is Heartbeat:
                self._heard_beat(envelope)
            elif hears := self._ways.of(source, envelope.topic):
                if envelope.topic == FACT_TOPIC:
                    self._heard_fact(envelope)
                else:
                    self._take_stream(envelope, frame, hears)
        except Refused as refused:
            self._refuse(frame, refused, source)

    def _take_stream(self, envelope: Envelope[Any], frame: bytes, hears: Hears) -> None:
        source, topic, epoch = envelope.source, envelope.topic, envelope.epoch
        if not self._codec.is_stream(envelope.message):
            raise Refused("not_a_stream", f"{type(envelope.message).__name__} on {topic!r}")
        arrival = self._sequences.arrive(source, epoch, topic, envelope.sequence)
        if arrival is Arrival.OLD:
            return
        item = (envelope.message, frame, f"{source}/{epoch}/{topic}/{envelope.sequence}")
        if hears.conflate:
            self._latest[source, topic] = item
        else:
            if arrival is Arrival.AFTER_GAP:
                self.deliver(StreamGap(source=source, topic=topic))
            self._inbox.append(item)

    def heard_request(self, address: bytes, frame: bytes) -> None:
        """Take a frame that asks; answered when the core says `Answer`."""
        source = address.decode("utf-8", "replace").partition("/")[0]
        try:
            self._take_request(address, self._decoded(frame, source), frame)
        except Refused as refused:
            self._refuse(frame, refused, source)
            self._send_answer(address, "", Nack(reason=refused.reason, detail=refused.detail))

    def _take_request(self, address: bytes, envelope: Envelope[Any], frame: bytes) -> None:
        request, request_id = envelope.message, envelope.topic
        if type(request) is FactsAfter and self.actor.read_facts is not None:
            self._pages.want(address, request_id, request)
            return
        if type(request) not in self.actor.receives:
            raise Refused("not_received", type(request).__name__)
        heard = as_heard(envelope, self._clock.monotonic_ns())
        if heard is not envelope:
            request, frame = Late(request), self._codec.encode(heard)
        self._askers.asked(request_id, address)
        self._inbox.append((request, frame, f"{envelope.source}/{request_id}"))

    def heard_answer(self, source: str, frame: bytes) -> None:
        """Take the answer to a request of ours; a second answer finds nobody waiting."""
        try:
            envelope = self._decoded(frame, source)
            if type(envelope.message) is Nack:
                refused_by = {"by": source, "error": envelope.message.detail}
                log.warning("request_refused", extra=refused_by)
            elif envelope.topic in self._asker:
                self._take_answer(envelope, frame)
        except Refused as refused:
            self._refuse(frame, refused, source)

    def _take_answer(self, envelope: Envelope[Any], frame: bytes) -> None:
        message, request_id = envelope.message, envelope.topic
        if type(message) is FactsPage and self._cursor is not None:
            self._take_facts(self._past_page(self._cursor, message))
        elif isinstance(message, System) or self._codec.is_stream(message):
            raise Refused("not_an_answer", type(message).__name__)
        else:
            self._inbox.append((message, frame, f"{envelope.source}/{request_id}"))
        self._asker.answered(request_id)  # Only now: what is refused is asked for again.
        if type(message) is FactsPage:
            self._catch_up()  # The writer reads the next page while this one is handled.

    # --- work ---------------------------------------------------------------------------------

    def work(self) -> None:
        """Handle everything in the inbox, then what the clock says is due."""
        try:
            self._work()
        finally:
            self._journal.flush()  # Also when `handle` failed: its last message is on record.
        if self._fold is not None and self._cursor is not None:
            self._fold.work(self._clock.now_ns(), is_caught_up=self._cursor.is_caught_up)
        if self._journal.is_due(self._clock.now_ns()):
            self._open_segment()

    def _work(self) -> None:
        self._empty_inbox()
        now_ns = self._clock.monotonic_ns()
        self._tend(now_ns)
        self._empty_inbox()
        if now_ns >= self._beat_ns:
            self._beat_ns = now_ns + BEAT_NS
            self._beat(self.health)
            for lost in self.watch.silent(now_ns):
                self.deliver(lost)
            self._empty_inbox()

    def serve(self) -> None:
        """Give one page of facts to whoever waits longest."""
        if self._pages:
            self._send_answer(*self._pages.next(self.state))

    @property
    def has_mail(self) -> bool:
        """Whether anything waits to be handled."""
        return bool(self._inbox or self._latest)

    def next_ns(self) -> int:
        """Return the monotonic time at which there is something to do without any frame."""
        if self.has_mail or self._pages:
            return 0
        due = self._beat_ns
        if self._timer_heap:
            due = min(due, self._timer_heap[0][0])
        if (repeat := self._asker.next_ns) is not None:
            due = min(due, repeat)
        return due

    def _empty_inbox(self) -> None:
        inbox = self._inbox
        while inbox or self._latest:
            while inbox:
                self._handle(*inbox.popleft())
            if self._latest:
                waiting, self._latest = self._latest, {}
                for item in waiting.values():
                    self._handle(*item)

    def _handle(self, message: Struct, frame: bytes, cause: str) -> None:
        now_ns = self._clock.now_ns()
        try:
            step = self.actor.handle(self.state, message, now_ns)
            self.state = step.state
            if step.effects:
                self._cause = cause
                for effect in step.effects:
                    performer = self._performers.get(type(effect))
                    if performer is not None:
                        performer(effect)
                    else:
                        assert self.actor.perform is not None, f"{self.actor.name}: {effect}"
                        self.actor.perform(effect)
                self._cause = ""
        finally:
            # After what it led to, which waits for nobody; both reach the kernel after the drain.
            self._journal.append(now_ns, frame)

    def _tend(self, now_ns: int) -> None:
        """Timers, repeats of requests, and the place in the fact log."""
        heap = self._timer_heap
        while heap and heap[0][0] <= now_ns:
            _, name, due_ns = heapq.heappop(heap)
            if self._timers.get(name) == due_ns:
                del self._timers[name]
                self.deliver(Woken(name=name, due_ns=due_ns))
        for request_id, to in self._asker.expire(now_ns):
            self.deliver(RequestExpired(request_id=request_id, to=to))
        for request in self._asker.repeats(now_ns):
            self._port.ask(request.to, request.frame)
        self._catch_up()

    # --- effects ------------------------------------------------------------------------------

    def _publish(self, effect: Publish) -> None:
        topic = effect.topic
        sequence = self._said[topic] = self._said.get(topic, 0) + 1
        envelope = self._envelope(topic, effect.message, sequence, 0)
        self._port.publish(topic, self._codec.encode(envelope))

    def _publish_fact(self, effect: PublishFact) -> None:
        envelope = self._envelope(FACT_TOPIC, effect.message, effect.sequence, 0)
        self._port.publish(FACT_TOPIC, self._codec.encode(envelope))

    def _ask(self, effect: Ask) -> None:
        self._send_request(effect.to, effect.request_id, effect.message, effect.ttl_ns)

    def _answer(self, effect: Answer) -> None:
        address = self._askers.take(effect.request_id)
        if address is not None:
            self._send_answer(address, effect.request_id, effect.message)

    def _wake(self, effect: Wake) -> None:
        name, at_ns = effect.name, effect.at_ns
        self._timers[name] = at_ns
        wait_ns = max(at_ns - self._clock.now_ns(), 0)
        heapq.heappush(self._timer_heap, (self._clock.monotonic_ns() + wait_ns, name, at_ns))

    def _send_request(self, to: str, request_id: str, message: Struct, ttl_ns: int) -> None:
        now_ns = self._clock.monotonic_ns()
        envelope = self._envelope(request_id, message, 0, now_ns + ttl_ns)
        frame = self._codec.encode(envelope)
        outstanding = Outstanding(to, frame, now_ns + ttl_ns, now_ns + FIRST_REPEAT_NS)
        self._asker.ask(request_id, outstanding)
        self._port.ask(to, frame)

    def _send_answer(self, address: bytes, request_id: str, message: Struct) -> None:
        frame = self._codec.encode(self._envelope(request_id, message, 0, 0))
        if not self._port.answer(address, frame):
            log.info("answer_unsent", extra={"request_id": request_id})  # It will be asked again.

    # --- heartbeats and facts -----------------------------------------------------------------

    def _beat(self, health: Health) -> None:
        if health is Health.READY and self._on_ready is not None:
            self._on_ready()
            self._on_ready = None
        head = self.actor.facts_head(self.state) if self.actor.facts_head else 0
        self._publish(Publish(BEAT_TOPIC, Heartbeat(pid=self._pid, health=health, facts_head=head)))

    def _heard_beat(self, envelope: Envelope[Any]) -> None:
        if not self._sequences.admits(envelope.source, envelope.epoch):
            return
        beat, now_ns = envelope.message, self._clock.monotonic_ns()
        for told in self.watch.heard(envelope.source, envelope.epoch, beat, now_ns):
            self.deliver(told)
        if self._cursor is not None and envelope.source == self._fact_source:
            self._cursor.heard_head(beat.facts_head)
            self._catch_up()

    def _heard_fact(self, envelope: Envelope[Any]) -> None:
        if self._cursor is None or not self._sequences.admits(envelope.source, envelope.epoch):
            return
        self._take_facts(self._cursor.heard(envelope.sequence, envelope.message))
        self._catch_up()

    def _take_facts(self, facts: Numbered) -> None:
        for sequence, fact in facts:
            frame = self._codec.encode(self._envelope(FACT_TOPIC, fact, sequence, 0))
            self._inbox.append((fact, frame, f"{self._fact_source}/{FACT_TOPIC}/{sequence}"))
            if self._fold is not None:
                self._fold.hear(sequence, fact)
        if self._cursor is not None and self._cursor.is_caught_up and self._is_behind:
            self._is_behind = False
            self.deliver(CaughtUp(head=self._cursor.through))

    def _past_page(self, cursor: FactCursor, page: FactsPage) -> Numbered:
        """Return what a page brings. Raises AnotherLog: the next life begins with nothing kept."""
        try:
            return cursor.page(page, self._codec.decode_message)
        except AnotherLog:
            if self._fold is not None:
                self._fold.forget()
            raise

    def _catch_up(self) -> None:
        """Ask for what is missing, once at a time, as soon as the writer is known."""
        cursor = self._cursor
        if cursor is None or cursor.is_caught_up:
            return
        self._is_behind = True
        if self._fact_source not in self.watch.peers:
            return
        request_id = f"facts/{self.actor.name}/{self.epoch}/{cursor.through}"
        if request_id not in self._asker:
            self._send_request(self._fact_source, request_id, cursor.request, 60_000_000_000)

    # --- small parts --------------------------------------------------------------------------

    def _envelope(self, topic: str, message: Struct, sequence: int, deadline: int) -> Envelope[Any]:
        now_ns = self._clock.monotonic_ns()
        return Envelope(
            WIRE_VERSION, self.actor.name, self.epoch, topic, sequence, self._cause, now_ns,
            deadline, message,
        )  # fmt: skip

    def _decoded(self, frame: bytes, source: str) -> Envelope[Any]:
        """Return the envelope of a frame that came from `source`. Raises Refused."""
        envelope = self._codec.decode(frame)
        if envelope.source != source:
            raise Refused("source", f"{envelope.source!r} in a frame of {source!r}")
        return envelope

    def _refuse(self, frame: bytes, refused: Refused, source: str) -> None:
        """Count and keep what was no message; a peer that goes on so counts as failed."""
        self._quarantine.keep(frame, refused, source)
        for told in self.watch.refused(source, self._clock.monotonic_ns()):
            log.error("peer_failed", extra={"source": source, "error": str(refused)})
            self.deliver(told)

    def _open_segment(self) -> None:
        state = msgspec.msgpack.encode(self.state)  # A state without bytes stops the actor here.
        self._journal.open(state, self._code, self._clock.now_ns())
