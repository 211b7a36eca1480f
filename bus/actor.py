"""What an actor is: a pure `handle`, and the effects it may ask for.

`handle(state, message, now_ns)` returns a `Step`: the next state and what to do. The runtime reads
the clock, journals the message, calls `handle` and performs the effects in order. Whatever comes
from outside (a reply, a timer, the silence of a peer) is a later message in the inbox.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Generic, Protocol, TypeVar

from msgspec import Meta, Struct

S = TypeVar("S")
R = TypeVar("R", bound=Struct)
E_co = TypeVar("E_co", covariant=True)
BEAT_TOPIC, FACT_TOPIC = "heartbeat", "fact"

Whole = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
"""A count, a row or a time: what 64 bits with a sign can hold, as databases do."""


class System(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the runtime itself says into an inbox; journaled like everything else."""


class Started(System, frozen=True, kw_only=True, tag="started"):
    """The first message of every life; the place to ask for the first timer."""

    epoch: int


class Woken(System, frozen=True, kw_only=True, tag="woken", gc=False):
    """A timer asked for with `Wake` is due."""

    name: str
    due_ns: int


class PeerLost(System, frozen=True, kw_only=True, tag="peer_lost"):
    """A peer has been silent for a second (heartbeats come four times a second), or it failed.

    Failed: three of its frames within 10 s were no messages. It is back in a new life, or when
    none was refused for 10 s.
    """

    source: str


class PeerBack(System, frozen=True, kw_only=True, tag="peer_back"):
    """A peer is heard for the first time, again, or in a new life (a higher epoch)."""

    source: str
    epoch: int
    pid: int


class CaughtUp(System, frozen=True, kw_only=True, tag="caught_up"):
    """All facts up to `head` have been handled; said once per life and after every healed gap."""

    head: int


class RequestExpired(System, frozen=True, kw_only=True, tag="request_expired"):
    """The deadline of a request passed unanswered: it is late. What happened is unknown.

    The runtime goes on asking until answered: expiry limits acceptance, never asking.
    """

    request_id: str
    to: str


class StreamGap(System, frozen=True, kw_only=True, tag="stream_gap"):
    """Messages of a stream that counts were lost: what is derived from it is stale."""

    source: str
    topic: str


class Health(StrEnum):
    """What an actor says of itself in its heartbeat; the public actor states of `status`."""

    STARTING = "STARTING"
    RECOVERING = "RECOVERING"
    READY = "READY"
    DEGRADED = "DEGRADED"
    STOPPED = "STOPPED"


class Heartbeat(System, frozen=True, kw_only=True, tag="heartbeat"):
    """Four times a second on the topic "heartbeat"; never reaches `handle`."""

    pid: Whole
    health: Health
    facts_head: Whole  # Of the actor that writes facts; else 0.


class FactsAfter(System, frozen=True, kw_only=True, tag="facts_after"):
    """Asks the writer of facts for everything above `after` with one of `tags`."""

    after: Whole
    tags: tuple[str, ...]


class FactsPage(System, frozen=True, kw_only=True, tag="facts_page"):
    """At most 500 facts (sequence, frame), oldest first; complete up to `through`."""

    facts: tuple[tuple[Whole, bytes], ...]
    through: Whole
    head: Whole


class Nack(System, frozen=True, kw_only=True, tag="nack"):
    """Says to an asker that a frame of its was no request; never reaches `handle`."""

    reason: str
    detail: str


SYSTEM: tuple[type[System], ...] = (
    Started, Woken, PeerLost, PeerBack, CaughtUp, RequestExpired, StreamGap, Heartbeat,
    FactsAfter, FactsPage, Nack,
)  # fmt: skip


class Late(Struct, Generic[R], frozen=True):
    """A request that arrived after its deadline, in the place of the request.

    Whoever stored an answer for it gives that answer; nobody accepts it for the first time.
    """

    request: R


class Publish(Struct, frozen=True, gc=False):
    """Say `message` on this actor's stream `topic` ("top.BTCTRY"); nobody has to listen."""

    topic: str
    message: Struct


class Ask(Struct, frozen=True):
    """Send a request and repeat it until answered; the answer arrives in the inbox.

    `request_id` must be derived, never drawn: a repeat after a crash is then harmless.
    The receiver accepts it for the first time only within `ttl_ns` of the first asking: after
    that it arrives as `Late`.
    """

    to: str
    message: Struct
    request_id: str
    ttl_ns: int = 500_000_000


class PublishFact(Struct, frozen=True):
    """Say a fact that is already durable, under the sequence of its row. One actor writes facts."""

    sequence: int
    message: Struct


class Answer(Struct, frozen=True):
    """Answer the request `request_id`, whoever asked it last; dropped if nobody is asking."""

    request_id: str
    message: Struct


class Wake(Struct, frozen=True, gc=False):
    """Put `Woken(name)` into the inbox at `at_ns`; a later Wake of the same name replaces it."""

    name: str
    at_ns: int


class Step(Struct, Generic[S], frozen=True, gc=False):
    """What `handle` returns: the next state and the effects, performed in order."""

    state: S
    effects: tuple[Struct, ...] = ()


class Handle(Protocol[S]):
    """Pure: equal arguments give equal steps; no clock, random, I/O, environment, set iteration."""

    def __call__(self, state: S, message: Any, now_ns: int, /) -> Step[S]: ...  # noqa: ANN401


@dataclass(frozen=True, slots=True, kw_only=True)
class Hears:
    """A stream an actor listens to: topics of `source` that start with `topic`.

    Conflated: only the newest message per topic is kept while the actor is busy (its messages
    carry the whole state of their key). Otherwise every message counts and a gap is an event.
    """

    source: str
    topic: str
    conflate: bool = True


class FactReader(Protocol):
    """Where late hearers catch up: rows of the fact log, oldest first."""

    def __call__(
        self, after: int, tags: tuple[str, ...], limit: int, /
    ) -> tuple[Sequence[tuple[int, Struct]], int]:
        """Return facts with one of `tags` above `after`, and the sequence they are complete to."""
        ...


Deliver = Callable[[Struct], None]
"""Puts a message from outside (a reply, a frame) into the actor's own inbox."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Where an actor's fold of facts is kept, of what it is, and how far an earlier life's went.

    `sequence` and `digest` are those of the last fact that its state has folded; 0: of none.
    """

    path: Path
    code: str
    origin: bytes
    sequence: int = 0
    digest: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor(Generic[S]):
    """Everything a runtime must know to run one actor.

    `facts`: the fact types it folds, each exactly once, in order. Its first message of all is
    `Started`, which begins anew whatever belongs to one life.
    `kept`: where what it folded is kept for the next life; None: each life folds every fact.
    `restore` makes a state of its bytes where its type alone does not say how.
    `receives`: the request types it answers; late ones arrive as `Late`.
    `asks`: the actors it sends requests to.
    `needs`: peers that must have been heard before it is READY, and whose silence it is told of.
    `watches`: further peers whose silence it is told of.
    `perform` does the effects that are the actor's own, in order, between the runtime's.
    `health` is a pure judgement of the state; the runtime says STARTING or RECOVERING before it.
    """

    name: str
    state: S
    handle: Handle[S]
    hears: tuple[Hears, ...] = ()
    facts: tuple[type[Struct], ...] = ()
    kept: Kept | None = None
    restore: Callable[[bytes], S] | None = None
    receives: tuple[type[Struct], ...] = ()
    asks: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    watches: tuple[str, ...] = ()
    perform: Callable[[Struct], None] | None = None
    health: Callable[[S], Health] = field(default=lambda _state: Health.READY)
    read_facts: FactReader | None = None  # Only the actor that writes facts has one.
    facts_head: Callable[[S], int] | None = None  # With it, its heartbeats carry the head.


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """What is known of another actor from its heartbeats."""

    name: str
    epoch: int
    pid: int
    health: Health
    heard_ns: int  # Monotonic.


Peers = Mapping[str, Peer]
