"""The shell: journals, then handles, then performs; beats, watches its peers, keeps time."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from bus.actor import (
    Actor,
    FactsAfter,
    Health,
    Hears,
    Heartbeat,
    PeerBack,
    PeerLost,
    Publish,
    PublishFact,
    Started,
    Step,
    Wake,
    Woken,
)
from bus.clock import ManualClock
from tests.bus.station import (
    SECOND,
    START_NS,
    Calm,
    Reading,
    Room,
    Storm,
    beat,
    frame,
    noting,
)

ROOF = Reading(place="roof", degrees=1)


def ear(heard: list[Struct], *answers: Any, **more: Any) -> Actor[int]:
    return Actor(name="ear", state=0, handle=noting(heard, *answers), **more)


def hearing(**more: Any) -> dict[str, Any]:
    return {"hears": (Hears(source="mast", topic="air.", conflate=False),), **more}


# --- the order of things ----------------------------------------------------------------------


def test_a_life_begins_with_started_and_its_epoch(tmp_path: Path) -> None:
    heard: list[Struct] = []
    room = Room(tmp_path, ear(heard)).start()
    assert heard == [Started(epoch=room.shell.epoch)] == room.journaled()


def test_every_message_is_on_record_in_the_order_it_was_handled(tmp_path: Path) -> None:
    heard: list[Struct] = []
    room = Room(tmp_path, ear(heard, **hearing())).start()
    room.stream(frame(ROOF, sequence=1), frame(ROOF, sequence=4))
    room.shell.deliver(Storm(number=1))
    room.shell.work()
    assert room.journaled() == heard
    assert len(heard) == 5  # Started, the roof, a gap, the roof, a storm.


def test_effects_are_performed_in_order_ours_and_the_actors(tmp_path: Path) -> None:
    order: list[str] = []

    def effects(message: Struct) -> tuple[Struct, ...]:
        if isinstance(message, Started):
            return (Calm(), Publish("a", ROOF), Storm(number=1), PublishFact(7, Storm(number=1)))
        return ()

    room: Room | None = None

    def perform(effect: Struct) -> None:
        assert room is not None
        order.append(f"{type(effect).__name__} after {len(room.wire.published)}")

    room = Room(tmp_path, ear([], effects, perform=perform))
    room.start()

    assert order == ["Calm after 0", "Storm after 1"]
    said = [(e.topic, e.sequence) for e in room.wire.published]
    assert said[:2] == [("a", 1), ("fact", 7)]


def test_a_message_that_breaks_the_actor_is_the_last_on_record(tmp_path: Path) -> None:
    def handle(state: int, message: Struct, _now_ns: int) -> Step[int]:
        assert not isinstance(message, Storm), "cannot be"
        return Step(state)

    room = Room(tmp_path, Actor(name="ear", state=0, handle=handle)).start()
    room.shell.deliver(Calm())
    room.shell.deliver(Storm(number=13))
    room.shell.deliver(Calm())

    with pytest.raises(AssertionError, match="cannot be"):
        room.shell.work()

    assert room.journaled()[-2:] == [Calm(), Storm(number=13)]


def test_an_effect_that_nobody_performs_ends_the_actor(tmp_path: Path) -> None:
    room = Room(tmp_path, ear([], lambda _: (Calm(),)))
    with pytest.raises(AssertionError, match="Calm"):
        room.start()


# --- what is not for us -----------------------------------------------------------------------


def test_what_only_begins_like_a_topic_of_ours_is_ignored(tmp_path: Path) -> None:
    heard: list[Struct] = []
    hears = (Hears(source="mast", topic="air."), Hears(source="buoy", topic="sea."))
    room = Room(tmp_path, ear(heard, hears=hears)).start()
    heard.clear()

    room.stream(frame(ROOF, topic="sea.bay"))  # Of the mast, but only the buoy's are wanted.
    room.stream(frame(ROOF, topic="sea.bay", source="buoy"), source="buoy")

    assert heard == [ROOF]
    assert not room.quarantine.counts


def test_a_frame_that_names_another_source_is_refused(tmp_path: Path) -> None:
    heard: list[Struct] = []
    room = Room(tmp_path, ear(heard, **hearing())).start()
    heard.clear()

    room.stream(frame(ROOF, source="thief"))

    assert heard == []
    assert room.quarantine.counts == {"source": 1}


def test_a_request_or_fact_on_a_stream_is_refused(tmp_path: Path) -> None:
    heard: list[Struct] = []
    room = Room(tmp_path, ear(heard, **hearing())).start()
    heard.clear()

    room.stream(frame(Storm(number=1)), frame(Started(epoch=1)))

    assert heard == []
    assert room.quarantine.counts == {"not_a_stream": 2}


# --- heartbeats -------------------------------------------------------------------------------


def test_it_beats_four_times_a_second_and_says_how_it_is(tmp_path: Path) -> None:
    room = Room(tmp_path, ear([], facts_head=lambda _: 12)).start()
    room.wait(2)
    beats = [e.message for e in room.wire.published if e.topic == "heartbeat"]
    assert 8 <= len(beats) <= 9
    assert set(beats) == {Heartbeat(pid=1, health=Health.READY, facts_head=12)}


def test_it_gives_one_page_of_facts_a_turn_to_each_in_order_and_answers_the_newest_question(
    tmp_path: Path,
) -> None:
    def rows(after: int, _tags: tuple[str, ...], _most: int) -> tuple[list[Any], int]:
        return [(after + 1, Storm(number=after + 1))], after + 1

    room = Room(tmp_path, ear([], read_facts=rows, facts_head=lambda _: 9)).start()

    def ask(source: str, after: int) -> None:
        question = FactsAfter(after=after, tags=("storm",))
        room.request(frame(question, source=source, topic=f"{source} {after}"), source.encode())

    ask("mast", 1)
    ask("vane", 5)
    ask("mast", 2)  # Asked again: it is still the first in the row.
    assert (room.wire.answered, room.shell.next_ns()) == ([], 0)

    turns = []
    for _ in range(3):
        room.shell.serve()
        turns.append([envelope.topic for _, envelope in room.wire.answered])

    assert turns == [["mast 2"], ["mast 2", "vane 5"], ["mast 2", "vane 5"]]
    assert [envelope.message.through for _, envelope in room.wire.answered] == [3, 6]
    assert room.shell.next_ns() > 0


def test_it_says_goodbye(tmp_path: Path) -> None:
    room = Room(tmp_path, ear([])).start()
    room.shell.stop()
    assert room.wire.published[-1].message.health is Health.STOPPED


def test_it_is_ready_once_its_peers_were_heard_and_says_so_once(tmp_path: Path) -> None:
    room = Room(tmp_path, ear([], needs=("mast",))).start()
    room.wait(1)
    assert room.health() is Health.STARTING
    assert room.readiness == []

    room.stream(beat())
    room.wait(2)

    assert room.health() is Health.READY
    assert len(room.readiness) == 1


def test_a_second_of_silence_is_a_loss_said_once_and_a_beat_the_return(tmp_path: Path) -> None:
    heard: list[Struct] = []
    room = Room(tmp_path, ear(heard, needs=("mast",))).start()
    heard.clear()
    room.stream(beat(number=1))
    assert heard == [PeerBack(source="mast", epoch=1, pid=9)]

    room.wait(0.9)
    room.stream(beat(number=2))
    room.wait(1.0)
    assert len(heard) == 1
    room.wait(0.3)
    assert heard[1:] == [PeerLost(source="mast")]
    room.wait(5)
    assert len(heard) == 2

    room.stream(beat(number=3))
    assert heard[2:] == [PeerBack(source="mast", epoch=1, pid=9)]
    assert room.journaled()[1:] == heard


def test_a_new_life_is_told_and_a_ghost_of_the_old_is_not(tmp_path: Path) -> None:
    heard: list[Struct] = []
    room = Room(tmp_path, ear(heard, watches=("mast",))).start()
    heard.clear()
    room.stream(beat(epoch=5), beat(epoch=7), beat(epoch=5, number=2), beat(epoch=7, number=2))
    assert [m.epoch for m in heard if isinstance(m, PeerBack)] == [5, 7]


def test_the_silence_of_somebody_who_was_never_heard_is_nothing_new(tmp_path: Path) -> None:
    heard: list[Struct] = []
    room = Room(tmp_path, ear(heard, needs=("mast",))).start()
    room.wait(10)
    assert len(heard) == 1


def test_strangers_beats_are_nobodys_business(tmp_path: Path) -> None:
    heard: list[Struct] = []
    room = Room(tmp_path, ear(heard)).start()
    room.stream(beat())
    assert len(heard) == 1


# --- time -------------------------------------------------------------------------------------


def test_timers_ring_once_in_order_and_a_later_one_replaces(tmp_path: Path) -> None:
    heard: list[Struct] = []

    def timers(message: Struct) -> tuple[Struct, ...]:
        if isinstance(message, Started):
            return (Wake("b", START_NS + 20), Wake("a", START_NS + 10), Wake("b", START_NS + 30))
        return ()

    room = Room(tmp_path, ear(heard, timers)).start()
    room.wait(1)

    rung = [(message.name, message.due_ns) for message in heard if isinstance(message, Woken)]
    assert rung == [("a", START_NS + 10), ("b", START_NS + 30)]


class SetBack(ManualClock):
    """Its UTC can be set back; what tells how long something took goes on."""

    back_ns = 0

    def now_ns(self) -> int:
        return self.at_ns - self.back_ns


def test_a_clock_that_is_set_back_by_an_hour_stops_no_timer(tmp_path: Path) -> None:
    heard: list[Struct] = []

    def timer(message: Struct) -> tuple[Struct, ...]:
        return (Wake("tick", START_NS + SECOND),) if isinstance(message, Started) else ()

    clock = SetBack(START_NS)
    room = Room(tmp_path, ear(heard, timer), clock=clock).start()
    clock.back_ns = 3_600 * SECOND
    room.wait(1)

    assert Woken(name="tick", due_ns=START_NS + SECOND) in heard


def test_nothing_to_do_until_the_next_timer_or_beat(tmp_path: Path) -> None:
    def timer(message: Struct) -> tuple[Struct, ...]:
        return (Wake("a", START_NS + 1_000),) if isinstance(message, Started) else ()

    room = Room(tmp_path, ear([], timer)).start()
    assert room.shell.next_ns() == START_NS + 1_000
    room.shell.deliver(Calm())
    assert room.shell.next_ns() == 0


def test_a_new_segment_begins_with_the_state_when_the_last_is_a_day_old(tmp_path: Path) -> None:
    from bus.journal import Checkpoint, read, segments

    room = Room(tmp_path, ear([])).start()
    room.shell.deliver(Calm())
    room.clock.advance(seconds=86_400)
    room.shell.work()

    first, second = segments(tmp_path / "journal")
    [*_, last] = read(first)
    begin, *rest = read(second)
    assert not isinstance(last, Checkpoint)
    assert isinstance(begin, Checkpoint)
    assert begin.state == b"\x02"  # Two messages were counted.
    assert rest == []
