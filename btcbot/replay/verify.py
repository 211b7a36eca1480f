"""Each recorded inbox through today's code; every message it says, against what others heard.

Compared are: streams by their number, requests and answers by their id, facts by their row in the
log, and the state at the begin of every further segment. A message that others heard and today's
code does not say, or says otherwise, is a difference; so is code that breaks. What was handled in
the last moment of a life that was killed may not be on record: that is counted, not blamed.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct, field

from actors import CODEC
from btcbot.config import Config
from btcbot.replay.heard import Heard, Key, digest_of, heard_of
from btcbot.replay.lives import Life, actor_of, lives_of, records
from btcbot.source import code
from bus.actor import FACT_TOPIC, Actor, Answer, Ask, Late, Publish, PublishFact
from bus.envelope import Envelope
from bus.journal import Checkpoint, Entry, JournalError
from bus.kept import restored


class Difference(Struct, frozen=True, kw_only=True):
    """One message, or the state, that is not what was recorded; `chain`: what led to it."""

    actor: str
    at_ns: int
    what: str
    recorded: str
    today: str
    chain: tuple[str, ...]


class Replayed(Struct):
    """One actor's day."""

    actor: str
    lives: int = 0
    handled: int = 0
    said: int = 0
    compared: int = 0
    unrecorded: int = 0  # Heard by others at a life's end, of a message that is not on record.
    other_code: int = 0  # Lives of code that is not today's.
    span_ns: int = 0  # From the first message to the last, life by life.
    differences: list[Difference] = field(default_factory=list)


class _Said(Struct, frozen=True):
    digest: bytes
    message: Struct
    at_ns: int
    chain: tuple[str, ...]


class _Run(Struct):
    """One life as it is replayed."""

    actor: Actor[Any]
    life: Life
    state: Any = None
    last_ns: int = 0
    numbers: dict[str, int] = field(default_factory=dict)
    said: dict[Key, _Said] = field(default_factory=dict)


def replay(
    name: str,
    config: Config,
    from_ns: int,
    until_ns: int,
    facts: Mapping[int, bytes] | None = None,
) -> tuple[Replayed, Any]:
    """Return what came of `name`'s lives, and its last state; up to `until_ns`.

    `facts`: digests of the log by sequence, for execution. Raises JournalError, ConfigError.
    """
    told, state = Replayed(name), None
    heard = heard_of(name, config.journal, from_ns, until_ns)
    for life in lives_of(config.journal, name, from_ns, until_ns):
        run = _Run(actor_of(name, config), life)
        try:
            _run(told, run, until_ns)
        except JournalError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever today's code does with a recorded day
            _differ(
                told, run, run.last_ns, "the code", "ran", f"{type(error).__name__}: {error}", ()
            )
        told.lives += 1
        told.said += len(run.said)
        _compare(told, run, heard)
        _compare_facts(told, run, facts or {})
        state = run.state
    told.differences.sort(key=lambda one: one.at_ns)
    return told, state


def _run(told: Replayed, run: _Run, until_ns: int) -> None:
    """Handle everything on record of a life, up to `until_ns`."""
    first_ns = 0
    for record in records(run.life):
        if isinstance(record, Checkpoint):
            _begin(told, run, record)
        elif record.handled_ns > until_ns:
            break
        else:
            first_ns = first_ns or record.handled_ns
            run.last_ns = record.handled_ns
            _handle(run, record)
            told.handled += 1
    told.span_ns += run.last_ns - first_ns


def _begin(told: Replayed, run: _Run, checkpoint: Checkpoint) -> None:
    """Take the first segment's state; hold ours against that of each further one."""
    if run.state is None:
        told.other_code += checkpoint.code != code()
        run.state = restored(run.actor, checkpoint.state)
        return
    told.compared += 1
    if msgspec.msgpack.encode(run.state) != checkpoint.state:
        fields = _unequal(run.state, restored(run.actor, checkpoint.state))
        _differ(told, run, checkpoint.started_ns, "the state", ", ".join(fields), "differs", ())


def _unequal(ours: Struct, recorded: Struct) -> list[str]:
    names = ours.__struct_fields__
    return [name for name in names if getattr(ours, name) != getattr(recorded, name)]


def _handle(run: _Run, entry: Entry) -> None:
    envelope = CODEC.decode(entry.frame)
    message = Late(envelope.message) if envelope.is_late else envelope.message
    step = run.actor.handle(run.state, message, entry.handled_ns)
    run.state = step.state
    if step.effects:
        chain = _chain(envelope)
        for effect in step.effects:
            _say(run, effect, entry.handled_ns, chain)


def _say(run: _Run, effect: Struct, at_ns: int, chain: tuple[str, ...]) -> None:
    """Note what an effect says to others; what is performed outside comes back as a message."""
    match effect:
        case Publish(topic=topic, message=message):
            number = run.numbers[topic] = run.numbers.get(topic, 0) + 1
            place = topic, number
        case PublishFact(sequence=number, message=message):
            place = FACT_TOPIC, number
        case (
            Ask(request_id=request_id, message=message)
            | Answer(request_id=request_id, message=message)
        ):
            place = request_id, 0
        case _:
            return
    run.said[run.life.epoch, *place, type(message).__name__] = _Said(
        digest_of(message), message, at_ns, chain
    )


def _chain(envelope: Envelope[Any]) -> tuple[str, ...]:
    """Return the message that was handled, and what that was said for."""
    kind = type(envelope.message).__name__
    here = f"{kind} {envelope.source}/{envelope.epoch}/{envelope.topic}/{envelope.sequence}"
    return (here, envelope.cause) if envelope.cause else (here,)


def _compare(told: Replayed, run: _Run, heard: Mapping[Key, Heard]) -> None:
    for key, one in heard.items():
        epoch, topic, number, kind = key
        if epoch != run.life.epoch or (number and not run.life.is_whole) or topic == FACT_TOPIC:
            continue
        if one.at_ns > run.last_ns and key not in run.said:
            told.unrecorded += 1
            continue
        told.compared += 1
        name = f"{kind} {topic}/{number}" if number else f"{kind} {topic}"
        _hold(told, run, name, one, run.said.get(key))


def _hold(told: Replayed, run: _Run, name: str, one: Heard, said: _Said | None) -> None:
    if said is None:
        recorded = f"{one.by} heard it"
        _differ(told, run, one.at_ns, name, recorded, "is not said", ())
    elif said.digest != one.digest:
        recorded = f"{one.by} heard another"
        _differ(told, run, said.at_ns, name, recorded, str(said.message), said.chain)


def _compare_facts(told: Replayed, run: _Run, facts: Mapping[int, bytes]) -> None:
    """Hold each fact that is said against its row."""
    for (_, topic, number, _), said in run.said.items():
        if topic == FACT_TOPIC and number in facts:
            told.compared += 1
            if facts[number] != said.digest:
                what = f"{type(said.message).__name__} fact/{number}"
                _differ(
                    told,
                    run,
                    said.at_ns,
                    what,
                    "the log has another",
                    str(said.message),
                    said.chain,
                )


def _differ(  # noqa: PLR0913, PLR0917 - a difference is these things
    told: Replayed, run: _Run, at_ns: int, what: str, recorded: str, today: str,
    chain: tuple[str, ...],
) -> None:  # fmt: skip
    told.differences.append(
        Difference(
            actor=run.life.actor, at_ns=at_ns, what=what, recorded=recorded, today=today[:500],
            chain=chain,
        )
    )  # fmt: skip


def first_of(all_: Iterator[Replayed]) -> Difference | None:
    """Return the difference that came first, of all actors."""
    found = [one for told in all_ for one in told.differences]
    return min(found, key=lambda one: one.at_ns, default=None)
