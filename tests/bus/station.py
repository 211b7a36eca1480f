"""A weather station: the smallest vocabulary the bus can carry, and a wire to look at."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec import Struct

from bus.actor import Actor, Health, Heartbeat, Late, Step
from bus.clock import ManualClock
from bus.envelope import WIRE_VERSION, Codec, Envelope
from bus.journal import Entry, Journal, read, segments
from bus.quarantine import Quarantine
from bus.shell import Shell

START_NS = 1_795_000_000_000_000_000
SECOND = 1_000_000_000


class Reading(
    Struct, frozen=True, kw_only=True, array_like=True, tag="reading", forbid_unknown_fields=True
):
    """A stream: so many degrees somewhere."""

    place: str
    degrees: int


class Calibrate(Struct, frozen=True, kw_only=True, tag="calibrate", forbid_unknown_fields=True):
    """A request."""

    name: str


class Calibrated(Struct, frozen=True, kw_only=True, tag="calibrated", forbid_unknown_fields=True):
    """The answer to it."""

    name: str


class Storm(Struct, frozen=True, kw_only=True, tag="storm", forbid_unknown_fields=True):
    """A fact."""

    number: int
    log: bytes = b""


class Calm(Struct, frozen=True, kw_only=True, tag="calm", forbid_unknown_fields=True):
    """A fact that few want to hear of."""


CODEC = Codec(
    arrays=(Reading,), maps=(Calibrate, Calibrated, Storm, Calm), check=lambda _message: None
)


def noting(heard: list[Struct], *answers: Callable[[Struct], tuple[Struct, ...]]) -> Any:
    """Return a handle that notes what it hears and does what `answers` say."""

    def handle(state: int, message: Struct, _now_ns: int) -> Step[int]:
        heard.append(message)
        return Step(state + 1, tuple(effect for make in answers for effect in make(message)))

    return handle


def frame(
    message: Struct,
    *,
    source: str = "mast",
    epoch: int = 1,
    topic: str = "air.roof",
    sequence: int = 1,
    deadline_ns: int = 0,
) -> bytes:
    envelope = Envelope(
        WIRE_VERSION, source, epoch, topic, sequence, "", START_NS, deadline_ns, message
    )
    return CODEC.encode(envelope)


def beat(*, epoch: int = 1, head: int = 0, source: str = "mast", number: int = 1) -> bytes:
    message = Heartbeat(pid=9, health=Health.READY, facts_head=head)
    return frame(message, source=source, epoch=epoch, topic="heartbeat", sequence=number)


@dataclass
class Wire:
    """The port of a shell: what left, decoded; closed, nothing leaves."""

    is_open: bool = True
    published: list[Envelope[Any]] = field(default_factory=list)
    asked: list[tuple[str, bytes]] = field(default_factory=list)
    answered: list[tuple[bytes, Envelope[Any]]] = field(default_factory=list)

    def publish(self, topic: str, frame: bytes) -> None:
        envelope = CODEC.decode(frame)
        assert envelope.topic == topic
        self.published.append(envelope)

    def ask(self, to: str, frame: bytes) -> bool:
        self.asked.append((to, frame))
        return self.is_open

    def answer(self, address: bytes, frame: bytes) -> bool:
        self.answered.append((address, CODEC.decode(frame)))
        return self.is_open


class Room:
    """One actor in a shell, its wire, and a clock that stands still until told otherwise."""

    def __init__(
        self,
        folder: Path,
        actor: Actor[Any],
        start_ns: int = START_NS,
        clock: ManualClock | None = None,
    ) -> None:
        self.folder = folder
        self.clock = clock or ManualClock(start_ns)
        self.wire = Wire()
        self.readiness: list[int] = []
        self.quarantine = Quarantine(folder / "quarantine", actor.name)
        self.shell: Shell[Any] = Shell(
            actor,
            clock=self.clock,
            codec=CODEC,
            port=self.wire,
            journal=Journal(folder / "journal", actor.name, start_ns),
            quarantine=self.quarantine,
            pid=1,
            code="test",
            on_ready=lambda: self.readiness.append(self.clock.now_ns()),
        )

    def start(self) -> "Room":
        self.shell.start()
        self.shell.work()
        return self

    def stream(self, *frames: bytes, source: str = "mast") -> None:
        for one in frames:
            self.shell.heard_stream(source, one)
        self.shell.work()

    def request(self, one: bytes, address: bytes = b"mast/1") -> None:
        self.shell.heard_request(address, one)
        self.shell.work()

    def answer(self, one: bytes, source: str = "mast") -> None:
        self.shell.heard_answer(source, one)
        self.shell.work()

    def health(self) -> Health:
        return self.shell.health

    def wait(self, seconds: float) -> None:
        """Let time pass, working whenever something is due."""
        until = self.clock.monotonic_ns() + round(seconds * SECOND)
        while (due := self.shell.next_ns()) <= until:
            self.clock.advance_to(max(due, self.clock.monotonic_ns()))
            self.shell.work()
        self.clock.advance_to(until)

    def journaled(self) -> list[Struct]:
        """Return what a replay would handle: every message on record, late ones as late."""
        found: list[Struct] = []
        for path in segments(self.folder / "journal"):
            for row in read(path):
                if isinstance(row, Entry):
                    envelope = CODEC.decode(row.frame)
                    message = envelope.message
                    found.append(Late(message) if envelope.is_late else message)
        return found
