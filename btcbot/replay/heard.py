"""What the others heard of an actor: from their inboxes, and from the log of facts.

A message is kept as a hash: what is compared is equal or it is not. A stream may be conflated
before it is handled, so not everything that was said was heard; all that had an effect was.
"""

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

from msgspec import Struct

from actors import CODEC
from btcbot.domain.facts import Fact
from btcbot.replay.lives import ACTORS, lives_of, records
from bus.journal import Entry

# Epoch; topic or request id; sequence, or 0 for a request or an answer, which share an id: so its
# kind too.
Key = tuple[int, str, int, str]


class Heard(Struct, frozen=True):
    """One message as a hearer handled it."""

    digest: bytes
    by: str
    at_ns: int


def heard_of(source: str, journal: Path, from_ns: int, until_ns: int) -> dict[Key, Heard]:
    """Return what every other actor handled that `source` said. Raises JournalError."""
    found: dict[Key, Heard] = {}
    for hearer in ACTORS:
        if hearer == source:
            continue
        for life in lives_of(journal, hearer, from_ns, until_ns):
            for entry in records(life):
                if isinstance(entry, Entry):
                    _note(found, source, hearer, entry)
    return found


def _note(found: dict[Key, Heard], source: str, hearer: str, entry: Entry) -> None:
    # The source stands in the frame as it is: most frames need not be decoded to be of another.
    if source.encode() not in entry.frame[:64]:
        return
    envelope = CODEC.decode(entry.frame)
    if envelope.source == source:
        kind = type(envelope.message).__name__
        key = envelope.epoch, envelope.topic, envelope.sequence, kind
        found[key] = Heard(digest_of(envelope.message), hearer, entry.handled_ns)


def facts_said(facts: Iterable[tuple[int, Fact]]) -> Iterator[tuple[int, bytes]]:
    """Yield (sequence, digest) of what execution said of each fact in its log."""
    for sequence, fact in facts:
        yield sequence, digest_of(fact)


def digest_of(message: Struct) -> bytes:
    """Return 8 bytes that stand for a message."""
    return blake2b(CODEC.encode_message(message), digest_size=8).digest()
