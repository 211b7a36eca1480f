"""What surrounds a message: who said it, in which life, as which of how many, because of what."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from bus.actor import Actor, Ask, Hears, Publish, Started
from bus.envelope import FRAME_MAX, WIRE_VERSION, Refused
from tests.bus.station import CODEC, START_NS, Calibrate, Reading, Room, frame, noting

ROOF = Reading(place="roof", degrees=20)


def echo(message: Struct) -> tuple[Struct, ...]:
    if isinstance(message, Reading):
        return (Publish("copy.a", ROOF), Publish("copy.b", ROOF))
    return ()


def talker(heard: list[Struct]) -> Actor[int]:
    return Actor(name="copy", state=0, handle=noting(heard, echo),
                 hears=(Hears(source="mast", topic="air."),))  # fmt: skip


def test_each_topic_of_a_life_counts_from_one_and_says_its_cause(tmp_path: Path) -> None:
    room = Room(tmp_path, talker([])).start()

    room.stream(frame(ROOF, sequence=4))
    room.stream(frame(ROOF, sequence=5))

    said = [e for e in room.wire.published if e.topic.startswith("copy.")]
    assert [(e.topic, e.sequence) for e in said] == [
        ("copy.a", 1), ("copy.b", 1), ("copy.a", 2), ("copy.b", 2)
    ]  # fmt: skip
    assert {e.source for e in said} == {"copy"}
    assert {e.epoch for e in said} == {room.shell.epoch}
    assert {e.version for e in said} == {WIRE_VERSION}
    assert [e.cause for e in said] == ["mast/1/air.roof/4"] * 2 + ["mast/1/air.roof/5"] * 2


def test_a_new_life_has_a_higher_epoch_and_counts_anew(tmp_path: Path) -> None:
    first = Room(tmp_path, talker([])).start()
    first.stream(frame(ROOF))
    first.shell.stop()

    second = Room(tmp_path, talker([])).start()
    second.stream(frame(ROOF))

    assert second.shell.epoch > first.shell.epoch
    assert [e.sequence for e in second.wire.published if e.topic == "copy.a"] == [1]


def test_a_request_carries_its_id_and_the_end_of_its_time(tmp_path: Path) -> None:
    def ask(message: Struct) -> tuple[Struct, ...]:
        is_first = isinstance(message, Started)
        return (Ask("mast", Calibrate(name="x"), "id-1", ttl_ns=7),) if is_first else ()

    room = Room(tmp_path, Actor(name="copy", state=0, handle=noting([], ask), asks=("mast",)))
    room.start()

    [(to, raw)] = room.wire.asked
    envelope = CODEC.decode(raw)
    assert (to, envelope.topic, envelope.sent_ns) == ("mast", "id-1", START_NS)
    assert envelope.deadline_ns == START_NS + 7
    assert not envelope.is_late


def test_only_a_restamped_request_is_late() -> None:
    envelope = CODEC.decode(frame(Calibrate(name="x"), deadline_ns=START_NS + 1))
    assert not envelope.is_late
    assert replace(envelope, sent_ns=START_NS + 1).is_late
    assert not CODEC.decode(frame(Calibrate(name="x"))).is_late  # No deadline: never.


def test_a_frame_is_one_kind_byte_and_an_array() -> None:
    assert frame(ROOF)[:3] == bytes([1, 0x99, WIRE_VERSION])
    assert frame(Calibrate(name="x"))[:3] == bytes([2, 0x99, WIRE_VERSION])


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [(1, 7, "content"), (1, "x" * 65, "content"), (2, -1, "content"), (2, 2**63, "content"),
     (2, 1.5, "content"), (4, "1", "content"), (0, 2, "version"), (0, "1", "version")],
)  # fmt: skip
def test_every_part_has_a_type_and_bounds(place: int, value: object, reason: str) -> None:
    import msgspec

    parts = msgspec.msgpack.decode(frame(ROOF)[1:])
    parts[place] = value
    with pytest.raises(Refused) as refused:
        CODEC.decode(b"\x01" + msgspec.msgpack.encode(parts))
    assert refused.value.reason == reason


def test_a_message_that_crosses_bare_is_a_copy_that_says_the_same() -> None:
    crossed = CODEC.crossed(ROOF)

    assert crossed == CODEC.decode_message(CODEC.encode_message(ROOF)) == ROOF
    assert crossed is not ROOF


@pytest.mark.parametrize(
    ("degrees", "reason"),
    [("20", "content"), (None, "content"), (20.5, "content"), ("x" * FRAME_MAX, "content")],
    ids=["text", "nothing", "a float", "too long"],
)
def test_what_crosses_bare_is_refused_as_a_frame_would_be(degrees: Any, reason: str) -> None:
    wrong = Reading(place="roof", degrees=degrees)

    with pytest.raises(Refused) as bare:
        CODEC.crossed(wrong)
    with pytest.raises(Refused) as framed:
        CODEC.decode_message(CODEC.encode_message(wrong))
    assert bare.value.reason == framed.value.reason == reason


def test_a_message_that_fills_no_frame_does_not_cross() -> None:
    with pytest.raises(Refused, match="size"):
        CODEC.crossed(Reading(place="x" * FRAME_MAX, degrees=1))
