"""Bytes in, bytes out: what surrounds a message on the wire, and the strict way back.

A frame is one kind byte and a msgpack array. Streams are array-like structs and everything else is
maps; msgspec decodes each family in one pass. Whatever is not exactly what `encode` would have
written is refused with a reason: unknown fields, tags, versions, odd numbers, duplicate keys.
"""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Generic, TypeVar, Union

import msgspec
from msgspec import Meta, Struct

from bus.actor import SYSTEM, Whole

WIRE_VERSION = 1
FRAME_MAX = 1 << 20
_ARRAY, _MAP = b"\x01", b"\x02"
# UnicodeDecodeError is a ValueError; a NaN in a comparison is an ArithmeticError.
_NO_MESSAGE = (ValueError, ArithmeticError, RecursionError, msgspec.MsgspecError)

M = TypeVar("M")
Name = Annotated[str, Meta(max_length=64)]
Topic = Annotated[str, Meta(max_length=256)]
Cause = Annotated[str, Meta(max_length=512)]


class Envelope(Struct, Generic[M], frozen=True, array_like=True, forbid_unknown_fields=True):
    """A message and where it comes from.

    `topic` is the stream, or the id of the request that is asked or answered. `sequence` counts
    per topic and epoch; for a fact it is its row. `sent_ns` and `deadline_ns` (0: none) are
    monotonic and comparable within one boot. `cause` names the message that led to this one.
    """

    version: int
    source: Name
    epoch: Whole
    topic: Topic
    sequence: Whole
    cause: Cause
    sent_ns: Whole
    deadline_ns: Whole
    message: M

    @property
    def is_late(self) -> bool:
        """Whether a request was heard after its deadline: then its frame was restamped."""
        return 0 < self.deadline_ns <= self.sent_ns


class Refused(Exception):
    """A frame that is no message: `reason` is one of a few words to count by."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Codec:
    """Turns envelopes into frames and back; `check` judges what types cannot say."""

    def __init__(
        self,
        arrays: Iterable[type[Struct]],
        maps: Iterable[type[Struct]],
        check: Callable[[Struct], None],
    ) -> None:
        self._arrays = frozenset(arrays)
        array_union: Any = Union.__getitem__(tuple(arrays))
        map_union: Any = Union.__getitem__((*maps, *SYSTEM))
        self._encode = msgspec.msgpack.Encoder().encode
        self._decoders: dict[int, Callable[[Any], Envelope[Any]]] = {
            _ARRAY[0]: msgspec.msgpack.Decoder(Envelope[array_union]).decode,
            _MAP[0]: msgspec.msgpack.Decoder(Envelope[map_union]).decode,
        }
        self._bodies: dict[int, Callable[[Any], Any]] = {
            _ARRAY[0]: msgspec.msgpack.Decoder(array_union).decode,
            _MAP[0]: msgspec.msgpack.Decoder(map_union).decode,
        }
        self._check = check

    def is_stream(self, message: Struct) -> bool:
        """Return whether `message` belongs on a stream of state or increments."""
        return type(message) in self._arrays

    def encode(self, envelope: Envelope[Any]) -> bytes:
        """Return the one frame that stands for `envelope`."""
        kind = _ARRAY if type(envelope.message) in self._arrays else _MAP
        return kind + self._encode(envelope)

    def decode(self, frame: bytes) -> Envelope[Any]:
        """Return the envelope of `frame`, checked. Raises Refused and nothing else."""
        if not 4 <= len(frame) <= FRAME_MAX:
            raise Refused("size", f"{len(frame)} bytes; allowed are 4 to {FRAME_MAX}")
        # Byte 1 is the array's head, byte 2 the version: looked at before any field is believed.
        if frame[2] != WIRE_VERSION:
            raise Refused("version", f"found {frame[2]}; this build speaks {WIRE_VERSION}")
        envelope: Envelope[Any] = self._parsed(self._decoders, frame)
        if frame[:1] + self._encode(envelope) != frame:
            raise Refused("not_canonical", "the same message has another spelling")
        return envelope

    def crossed(self, message: Struct) -> Struct:
        """Return `message` as another process hears it, bare: for a bus that has no wire.

        Raises Refused for what `decode` refuses; what was encoded here has no other spelling.
        """
        kind = _ARRAY[0] if type(message) in self._arrays else _MAP[0]
        encode, check = self._encode, self._check  # Called there they are looked up as methods.
        body = encode(message)
        try:
            found: Struct = self._bodies[kind](body)
            check(found)
        except _NO_MESSAGE as error:
            raise Refused("content", str(error)[:200]) from None
        if len(body) >= FRAME_MAX:
            raise Refused("size", f"{len(body)} bytes; allowed are up to {FRAME_MAX - 1}")
        return found

    def encode_message(self, message: Struct) -> bytes:
        """Return a bare message as a frame; for messages that rest inside others."""
        return (_ARRAY if type(message) in self._arrays else _MAP) + self._encode(message)

    def decode_message(self, frame: bytes) -> Struct:
        """Return the bare message of `frame`, checked. Raises Refused and nothing else."""
        message: Struct = self._parsed(self._bodies, frame)
        if self.encode_message(message) != frame:
            raise Refused("not_canonical", "the same message has another spelling")
        return message

    def _parsed(self, decoders: dict[int, Callable[[Any], Any]], frame: bytes) -> Any:  # noqa: ANN401
        decode = decoders.get(frame[0]) if frame else None
        if decode is None:
            raise Refused("kind", f"first byte is {frame[:1]!r}")
        try:
            found = decode(memoryview(frame)[1:])
            self._check(found.message if type(found) is Envelope else found)
        except _NO_MESSAGE as error:
            raise Refused("content", str(error)[:200]) from None
        return found
