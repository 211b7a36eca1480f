"""What an actor made of the facts so far, kept in a file: its next life reads on from there.

A state is more than that: prices, peers, requests on their way belong to one life. So what is kept
is a second state that hears facts alone, a witness of the first. It is what a life has that read
the log up to there and heard nothing else, and any life may begin with that.

The file is a convenience and never the truth: one that is torn, of other code or of another
configuration is passed over, and every fact is read. The last fact that was folded is read again,
and must be the very one: else the log is another, the file goes, and so does the life.
"""

import dataclasses
import logging
import os
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from bus.actor import Actor, Kept

S = TypeVar("S")
FILE: Final = "facts.kept"  # In the folder of the actor's journal.
EVERY: Final = 1_000  # Facts between two writings: so many a life that was killed has to read.
_HASH_BYTES: Final = 16
log = logging.getLogger("btcbot.bus")


class Leaf(Struct, frozen=True, array_like=True):
    """The file's one record; `state` has folded every fact up to the one of `sequence`."""

    actor: str
    code: str
    origin: bytes
    sequence: int
    digest: bytes
    state: bytes


class AnotherLog(Exception):
    """The log does not hold the fact that was folded last: the database was replaced."""


def digest_of(frame: bytes) -> bytes:
    """Return 16 bytes that stand for a frame."""
    return blake2b(frame, digest_size=_HASH_BYTES).digest()


def restored(actor: Actor[S], state: bytes) -> S:
    """Return the state that `state` is the bytes of; `actor` has not begun yet.

    Raises msgspec.MsgspecError, TypeError, ValueError when it is of other code.
    """
    if actor.restore is not None:
        return actor.restore(state)
    return msgspec.msgpack.decode(state, type=type(actor.state))


def revived(actor: Actor[S], folder: Path, code: str) -> Actor[S]:
    """Return `actor` as it begins a life: with what an earlier one kept in `folder`, if anything.

    `actor` has the state in which it knows nothing: what it is made of decides, with `code`,
    whether what was kept is of the same.
    """
    path = folder / actor.name / FILE
    origin = digest_of(_in_order(actor.state))
    nothing = dataclasses.replace(actor, kept=Kept(path, code, origin))
    try:
        leaf = _read(path)
        if leaf is None or (leaf.actor, leaf.code, leaf.origin) != (actor.name, code, origin):
            return nothing
        state = restored(actor, leaf.state)
    except (OSError, TypeError, ValueError, msgspec.MsgspecError) as error:
        log.warning("kept_facts_unusable", extra={"path": str(path), "error": str(error)})
        return nothing
    kept = Kept(path, code, origin, leaf.sequence, leaf.digest)
    return dataclasses.replace(actor, state=state, kept=kept)


class Fold(Generic[S]):
    """The witness of one life, and the writer of its file. Begins where the life does."""

    def __init__(self, actor: Actor[S], kept: Kept, encode: Callable[[Struct], bytes]) -> None:
        self._actor, self._kept, self._encode = actor, kept, encode
        self._state = restored(actor, msgspec.msgpack.encode(actor.state))
        self._heard: list[tuple[int, Struct]] = []
        self._last: tuple[int, Struct] | None = None  # None: nothing that is not kept already.
        self._unkept = 0

    def hear(self, sequence: int, fact: Struct) -> None:
        """Take a fact, each once and in order; it is folded when nobody waits."""
        self._heard.append((sequence, fact))

    def work(self, now_ns: int, *, is_caught_up: bool) -> None:
        """Fold what was heard, and write now and then: never while a log is still being read.

        What the actor would say and do is not said and done: the life itself does that.
        """
        if not self._heard:
            return
        heard, self._heard = self._heard, []
        handle = self._actor.handle
        for _, fact in heard:
            self._state = handle(self._state, fact, now_ns).state
        self._last = heard[-1]
        self._unkept += len(heard)
        if self._unkept >= EVERY and is_caught_up:
            self.keep()

    def keep(self) -> None:
        """Write what was folded. A disk that takes nothing costs the next life its time alone."""
        if self._last is None:
            return
        kept, (sequence, fact) = self._kept, self._last
        leaf = Leaf(
            actor=self._actor.name,
            code=kept.code,
            origin=kept.origin,
            sequence=sequence,
            digest=digest_of(self._encode(fact)),
            state=msgspec.msgpack.encode(self._state),
        )
        self._last, self._unkept = None, 0
        try:
            _write(kept.path, msgspec.msgpack.encode(leaf))
        except OSError as error:
            log.warning("kept_facts_unwritten", extra={"path": str(kept.path), "error": str(error)})

    def forget(self) -> None:
        """Remove the file: it is of another log."""
        self._last = None
        self._kept.path.unlink(missing_ok=True)


_in_order: Final[Callable[[Any], bytes]] = msgspec.msgpack.Encoder(order="deterministic").encode


def _read(path: Path) -> Leaf | None:
    """Return what is kept; None: nothing. Raises OSError, ValueError, msgspec.MsgspecError."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    if digest_of(raw[_HASH_BYTES:]) != raw[:_HASH_BYTES]:
        raise ValueError("not what was written")
    return msgspec.msgpack.decode(raw[_HASH_BYTES:], type=Leaf)


def _write(path: Path, payload: bytes) -> None:
    """Put `payload` in the place of the file, whole or not at all while the machine lives on."""
    fresh = path.with_suffix(".new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with os.fdopen(os.open(fresh, flags, 0o600), "wb") as file:
        file.write(digest_of(payload) + payload)
    fresh.replace(path)
