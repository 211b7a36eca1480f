"""Actors on the memory bus with the codec on: whatever anybody says crosses as bytes."""

from collections.abc import Iterable
from random import Random
from typing import Any

from msgspec import Struct

from actors import CODEC
from btcbot.domain.messages import IntentVerdict, OrderIntent
from bus.actor import Actor, Answer, Ask, Late, Step
from bus.clock import ManualClock
from bus.hosted import Faults
from bus.memory import MemoryBus
from tests.builders import START_NS

MILLISECOND_NS = 1_000_000


def crossed(message: Struct) -> Struct:
    """Return `message` as it arrives in another process."""
    return CODEC.decode_message(CODEC.encode_message(message))


class WireBus(MemoryBus):
    """A memory bus on which what a test says is encoded as well as what actors say."""

    def __init__(self, *, faults: Faults | None = None) -> None:
        super().__init__(ManualClock(START_NS), CODEC, faults=faults)

    @property
    def now_ns(self) -> int:
        return self._clock.now_ns()

    def publish(self, source: str, topic: str, message: Struct) -> None:
        super().publish(source, topic, crossed(message))
        self.run()

    def deliver(self, name: str, message: Struct) -> None:
        super().deliver(name, crossed(message))
        self.run()

    def say_fact(self, fact: Struct) -> None:
        super().say_fact(crossed(fact))
        self.run()

    def ask(self, to: str, request_id: str, message: Struct, asker: str = "test") -> None:
        super().ask(to, request_id, crossed(message), asker)
        self.run()


class Peer:
    """An actor of a test: hears requests of `receives`, answers when it has something to say."""

    def __init__(self, name: str, receives: tuple[type[Struct], ...]) -> None:
        self.heard: list[Any] = []
        self.answers: dict[str, Struct] = {}  # By request id; nothing for the rest.
        self.actor: Actor[None] = Actor(
            name=name, state=None, handle=self._handle, receives=receives
        )

    def _handle(self, _state: None, message: Any, _now_ns: int) -> Step[None]:
        if isinstance(message, Late):  # Asked again past its deadline: answered all the same.
            message = message.request
        if type(message) not in self.actor.receives:
            return Step(None)
        self.heard.append(message)
        answer = self.answers.get(message.request_id)
        return Step(None, (Answer(message.request_id, answer),) if answer is not None else ())


class Asker:
    """An actor of a test: asks `to` whatever it is delivered, and keeps the answers."""

    def __init__(self, name: str, to: str) -> None:
        self.heard: list[Any] = []
        self._to = to
        self.actor: Actor[None] = Actor(name=name, state=None, handle=self._handle)

    def _handle(self, _state: None, message: Any, _now_ns: int) -> Step[None]:
        if isinstance(message, IntentVerdict):
            self.heard.append(message)
        elif isinstance(message, OrderIntent):
            return Step(None, (Ask(self._to, message, message.request_id),))
        return Step(None)


class Mischief:
    """Drops, repeats and delays by a seed; `only` names the kinds of messages it touches."""

    def __init__(self, seed: int, only: tuple[type[Struct], ...]) -> None:
        self._random, self._only = Random(seed), only
        self.did: dict[str, int] = {"dropped": 0, "repeated": 0, "delayed": 0}

    def copies(self, _source: str, _to: str, message: Struct) -> tuple[int, ...]:
        if not isinstance(message, self._only):
            return (0,)
        chance = self._random.random()
        if chance < 0.2:
            self.did["dropped"] += 1
            return ()
        if chance < 0.4:
            self.did["repeated"] += 1
            return (0, self._delay())
        if chance < 0.7:
            self.did["delayed"] += 1
            return (self._delay(),)
        return (0,)

    def _delay(self) -> int:
        return self._random.randrange(1, 1_500) * MILLISECOND_NS


def fold(actor: Actor[Any], messages: Iterable[Struct], now_ns: int = START_NS) -> list[Struct]:
    """Return every effect of `messages`, handled one after another without any bus."""
    effects: list[Struct] = []
    state = actor.state
    for message in messages:
        step = actor.handle(state, message, now_ns)
        state = step.state
        effects += step.effects
    return effects
