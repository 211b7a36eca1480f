"""Requests: asked until answered, accepted in time or not at all, and a repeat is harmless."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from bus.actor import Actor, Answer, Ask, Late, RequestExpired, Started
from bus.requests import ASKERS_MAX, FIRST_REPEAT_NS, LAST_REPEAT_NS, Asker, Askers, Outstanding
from tests.bus.station import (
    CODEC,
    SECOND,
    START_NS,
    Calibrate,
    Calibrated,
    Reading,
    Room,
    frame,
    noting,
)

TTL_NS = SECOND // 2
DONE = Calibrated(name="x")


def asking(message: Struct) -> tuple[Struct, ...]:
    is_first = isinstance(message, Started)
    return (Ask("mast", Calibrate(name="x"), "id-1", TTL_NS),) if is_first else ()


def asker(folder: Path, heard: list[Struct]) -> Room:
    actor: Actor[int] = Actor(name="ear", state=0, handle=noting(heard, asking), asks=("mast",))
    return Room(folder, actor).start()


def answering(message: Struct) -> tuple[Struct, ...]:
    request = message.request if isinstance(message, Late) else message
    if isinstance(request, Calibrate):
        return (Answer("id-1", Calibrated(name="late" if request is not message else "done")),)
    return ()


def receiver(folder: Path, heard: list[Struct], *answers: Any) -> Room:
    actor: Actor[int] = Actor(
        name="mast", state=0, handle=noting(heard, *answers), receives=(Calibrate,)
    )
    return Room(folder, actor).start()


# --- the asker --------------------------------------------------------------------------------


def test_a_request_is_repeated_with_back_off_for_as_long_as_nobody_answers(tmp_path: Path) -> None:
    room = asker(tmp_path, [])
    times: list[int] = []
    for _ in range(600):
        before = len(room.wire.asked)
        room.wait(0.1)
        times += [round((room.clock.now_ns() - START_NS) / 1e8)] * (len(room.wire.asked) - before)

    gaps = [b - a for a, b in pairwise(times)]
    assert times[0] == 1
    assert gaps[:5] == [2, 4, 8, 16, 32]
    assert set(gaps[5:]) == {50}  # Also after a minute: expiry limits acceptance, never asking.
    assert len({raw for _, raw in room.wire.asked}) == 1  # One frame, with one deadline.


def test_it_is_late_once_and_late_is_not_an_answer(tmp_path: Path) -> None:
    heard: list[Struct] = []
    room = asker(tmp_path, heard)

    room.wait(0.499)
    assert not any(isinstance(message, RequestExpired) for message in heard)
    room.wait(30)

    late = [message for message in heard if isinstance(message, RequestExpired)]
    assert late == [RequestExpired(request_id="id-1", to="mast")]


def test_an_answer_ends_the_asking_also_when_it_is_late(tmp_path: Path) -> None:
    heard: list[Struct] = []
    room = asker(tmp_path, heard)
    room.wait(10)

    room.answer(frame(DONE, topic="id-1"))
    asked = len(room.wire.asked)
    room.wait(10)

    assert heard[-1] == DONE
    assert len(room.wire.asked) == asked


def test_a_second_answer_and_one_to_nothing_find_nobody(tmp_path: Path) -> None:
    heard: list[Struct] = []
    room = asker(tmp_path, heard)
    for topic in ("id-2", "id-1", "id-1"):
        room.answer(frame(DONE, topic=topic))
    assert heard.count(DONE) == 1


@pytest.mark.parametrize(
    "wrong", [Reading(place="roof", degrees=1), Started(epoch=1)], ids=["stream", "system"]
)
def test_what_cannot_be_an_answer_is_refused_and_asked_for_again(
    tmp_path: Path, wrong: Struct
) -> None:
    heard: list[Struct] = []
    room = asker(tmp_path, heard)

    room.answer(frame(wrong, topic="id-1"))

    assert wrong not in heard[1:]
    assert room.quarantine.counts == {"not_an_answer": 1}
    asked = len(room.wire.asked)
    room.wait(1)
    assert len(room.wire.asked) > asked


def test_a_peer_that_is_not_there_is_asked_again(tmp_path: Path) -> None:
    room = asker(tmp_path, [])
    room.wire.is_open = False
    room.wait(0.5)
    assert len(room.wire.asked) >= 3


def test_nothing_to_ask_is_nothing_due() -> None:
    asker = Asker()
    assert asker.next_ns is None
    asker.ask("a", Outstanding("mast", b"", deadline_ns=70, repeat_ns=90))
    assert asker.next_ns == 70
    assert asker.expire(70) == [("a", "mast")]
    assert asker.expire(71) == []
    assert asker.next_ns == 90
    [again] = asker.repeats(90)
    assert again.repeat_ns == 90 + 2 * FIRST_REPEAT_NS <= 90 + LAST_REPEAT_NS
    assert asker.answered("a")
    assert not asker.answered("a")


# --- the receiver -----------------------------------------------------------------------------


def test_in_time_it_is_handled_as_it_came(tmp_path: Path) -> None:
    heard: list[Struct] = []
    room = receiver(tmp_path, heard, answering)
    room.clock.advance(ns=TTL_NS - 1)

    room.request(frame(Calibrate(name="x"), topic="id-1", deadline_ns=START_NS + TTL_NS))

    assert heard[-1] == Calibrate(name="x")
    [(address, envelope)] = room.wire.answered
    assert (address, envelope.topic) == (b"mast/1", "id-1")
    assert envelope.message == Calibrated(name="done")


@pytest.mark.parametrize("after_ns", [TTL_NS, TTL_NS + 1, 3_600 * SECOND])
def test_heard_first_after_its_deadline_it_is_late_here_and_in_a_replay(
    tmp_path: Path, after_ns: int
) -> None:
    heard: list[Struct] = []
    room = receiver(tmp_path, heard, answering)
    room.clock.advance(ns=after_ns)

    room.request(frame(Calibrate(name="x"), topic="id-1", deadline_ns=START_NS + TTL_NS))

    assert heard[-1] == Late(Calibrate(name="x"))
    assert room.journaled() == heard
    [(_, envelope)] = room.wire.answered
    assert envelope.message == Calibrated(name="late")


def test_without_a_deadline_nothing_is_late(tmp_path: Path) -> None:
    heard: list[Struct] = []
    room = receiver(tmp_path, heard, answering)
    room.clock.advance(seconds=3_600)
    room.request(frame(Calibrate(name="x"), topic="id-1"))
    assert heard[-1] == Calibrate(name="x")


def test_every_repeat_is_answered_to_whoever_asked_last(tmp_path: Path) -> None:
    room = receiver(tmp_path, [], answering)
    again = frame(Calibrate(name="x"), topic="id-1")
    room.request(again, b"mast/1")
    room.request(again, b"mast/2")
    assert [address for address, _ in room.wire.answered] == [b"mast/1", b"mast/2"]


def test_an_answer_that_nobody_waits_for_is_not_sent(tmp_path: Path) -> None:
    def unasked(_message: Struct) -> tuple[Struct, ...]:
        return (Answer("id-1", DONE),)

    room = receiver(tmp_path, [], unasked)
    room.request(frame(Calibrate(name="x"), topic="id-1"))
    assert len(room.wire.answered) == 1  # One for the asking; none for `Started`.


def test_an_answer_that_cannot_leave_is_no_failure(tmp_path: Path) -> None:
    room = receiver(tmp_path, [], answering)
    room.wire.is_open = False
    room.request(frame(Calibrate(name="x"), topic="id-1"))
    assert len(room.wire.answered) == 1


def test_those_who_asked_are_remembered_up_to_a_bound() -> None:
    askers = Askers()
    for n in range(ASKERS_MAX + 5):
        askers.asked(f"id-{n}", b"a")
    assert askers.take("id-4") is None
    assert askers.take("id-5") == b"a"
    assert askers.take("id-5") is None


def test_a_repeat_of_the_oldest_makes_it_the_newest() -> None:
    askers = Askers()
    for n in range(ASKERS_MAX):
        askers.asked(f"id-{n}", b"a")
    askers.asked("id-0", b"b")
    askers.asked("more", b"a")
    assert askers.take("id-0") == b"b"
    assert askers.take("id-1") is None
    assert CODEC.is_stream(Reading(place="", degrees=0))
