"""The bus in one thread: one order, the same words with and without bytes, faults on request."""

from typing import Any

import pytest
from msgspec import Struct

from bus.actor import (
    Actor,
    Answer,
    Ask,
    CaughtUp,
    Health,
    Hears,
    Late,
    PeerBack,
    PeerLost,
    Publish,
    PublishFact,
    RequestExpired,
    Started,
    Step,
    Wake,
    Woken,
)
from bus.clock import ManualClock
from bus.envelope import Codec, Refused
from bus.memory import MemoryBus
from tests.bus.station import (
    CODEC,
    SECOND,
    START_NS,
    Calibrate,
    Calibrated,
    Calm,
    Reading,
    Storm,
    noting,
)

MS = SECOND // 1_000


class Copies:
    """Faults as a list says, one row a sending; after its end all goes well."""

    def __init__(self, *rows: tuple[int, ...]) -> None:
        self.rows = list(rows)
        self.asked: list[tuple[str, str]] = []

    def copies(self, source: str, to: str, _message: Struct) -> tuple[int, ...]:
        self.asked.append((source, to))
        return self.rows.pop(0) if self.rows else (0,)


class World:
    """A mast that answers and tells of storms, and an ear that listens, on one bus."""

    def __init__(
        self, codec: Codec | None = CODEC, faults: Copies | None = None, **more: Any
    ) -> None:
        self.clock = ManualClock(START_NS)
        self.bus = MemoryBus(self.clock, codec, faults=faults, **more)
        self.mast_heard: list[Struct] = []
        self.heard: list[Struct] = []
        self.is_mute = False
        self.bus.start(self.mast())
        self.bus.start(self.ear())
        self.bus.run()
        self.heard.clear()
        self.mast_heard.clear()

    def mast(self) -> Actor[int]:
        return Actor(
            name="mast", state=0, handle=noting(self.mast_heard, self.mast_does),
            receives=(Calibrate,), watches=("ear",),
        )  # fmt: skip

    def ear(self) -> Actor[int]:
        return Actor(
            name="ear", state=0, handle=noting(self.heard, self.ear_does), asks=("mast",),
            needs=("mast",), facts=(Storm,),
            hears=(Hears(source="mast", topic="air."), Hears(source="mast", topic="fact")),
        )  # fmt: skip

    def mast_does(self, message: Struct) -> tuple[Struct, ...]:
        match message:
            case Storm():  # Told to say it.
                return (PublishFact(message.number, message),)
            case Reading():
                return (Publish("air.roof", message), Publish("sea.bay", message))
            case Calibrate(name=name) | Late(request=Calibrate(name=name)) if not self.is_mute:
                return (Answer(name, Calibrated(name=name)),)
        return ()

    def ear_does(self, message: Struct) -> tuple[Struct, ...]:
        match message:
            case Calibrate(name=name):  # Told to ask.
                return (Ask("mast", message, name, 500 * MS),)
            case Calm():
                return (
                    Wake("tick", self.clock.now_ns() + 20),
                    Wake("tick", self.clock.now_ns() + 10),
                )
        return ()

    def tell(self, name: str, *messages: Struct) -> None:
        for message in messages:
            self.bus.deliver(name, message)
        self.bus.run()


ROOF = Reading(place="roof", degrees=1)
ASK = Calibrate(name="id-1")
DONE = Calibrated(name="id-1")


def storms(*numbers: int) -> list[Struct]:
    return [Storm(number=n) for n in numbers]


def busy(codec: Codec | None, **more: Any) -> tuple[list[Struct], list[Struct]]:
    """Return what was said and what the ear heard in a life with everything in it."""
    world = World(codec, Copies((5,), (), (3, 7)), **more)
    for n in range(1, 6):
        world.tell("mast", Reading(place="roof", degrees=n), Storm(number=n))
        world.tell("ear", Calibrate(name=f"id-{n}"), Calm())
        world.bus.advance(0.3)
        if n == 3:
            world.bus.crash("mast")
            world.bus.advance(2)
            world.bus.start(world.mast())
    world.bus.advance(10)
    return world.bus.log, world.heard


def test_the_same_world_runs_the_same_twice_and_with_bytes_says_equal_messages() -> None:
    said, heard = busy(CODEC)
    assert len(said) > 15
    assert (said, heard) == busy(CODEC)
    assert (said, heard) == busy(None)
    assert busy(CODEC, hop_ns=MS) == busy(None, hop_ns=MS)


def test_without_bytes_the_message_itself_is_handed_on_and_with_bytes_a_copy() -> None:
    for codec in (None, CODEC):
        world = World(codec)
        world.tell("mast", ROOF)
        assert world.heard == [ROOF]  # And not what is said on `sea.`.
        assert world.bus.log.count(ROOF) == 2
        assert (world.heard[0] is ROOF) is (codec is None)


@pytest.mark.parametrize(("keeps_log", "times"), [(False, 1), (True, 2)])
def test_what_nobody_hears_or_logs_is_not_decoded_and_all_else_is_once(
    *, keeps_log: bool, times: int
) -> None:
    decoded: list[Struct] = []
    tapped: list[Reading] = []
    codec = Codec(arrays=(Reading,), maps=(Calibrate, Calibrated, Storm), check=decoded.append)
    world = World(codec, keeps_log=keeps_log)
    world.bus.tap(Reading, tapped.append)

    world.tell("mast", ROOF)  # Said on `air.`, which the ear hears, and on `sea.`.

    assert decoded == [ROOF] * times
    assert tapped == [ROOF] * 2  # Who listens in hears it as it was said.


def test_with_bytes_what_no_peer_would_accept_cannot_be_said() -> None:
    world = World()
    with pytest.raises(Refused, match="content"):
        world.tell("mast", Reading(place="roof", degrees=1.5))  # type: ignore[arg-type]


def test_order_is_time_then_the_order_of_asking() -> None:
    world, calls = World(), []
    for name, at in (("c", 20), ("a", 10), ("b", 10), ("past", -5)):
        world.bus.at(START_NS + at, lambda name=name: calls.append(name))  # type: ignore[misc]
    world.bus.run_until(START_NS + 20)
    assert calls == ["past", "a", "b", "c"]
    assert world.clock.now_ns() == START_NS + 20


def test_a_hop_takes_its_time() -> None:
    world = World(hop_ns=3 * MS)
    world.tell("mast", ROOF)
    assert world.heard == []
    world.bus.advance(0.003)
    assert world.heard == [ROOF]


def test_a_timer_rings_once_and_the_later_word_counts() -> None:
    world = World()
    world.tell("ear", Calm())
    world.bus.advance(1)
    assert world.heard[1:] == [Woken(name="tick", due_ns=START_NS + 10)]


def test_time_does_not_go_back_for_a_timer_that_an_effect_before_it_slept_through() -> None:
    clock = ManualClock(START_NS)
    heard: list[tuple[str, int]] = []

    def handle(state: int, message: Struct, now_ns: int) -> Step[int]:
        heard.append((type(message).__name__, now_ns - START_NS))
        is_first = isinstance(message, Started)
        return Step(state, (Storm(number=1), Wake("tick", now_ns + 10)) if is_first else ())

    def sleep(_effect: Struct) -> None:
        clock.advance(ns=SECOND)

    bus = MemoryBus(clock)
    bus.start(Actor(name="mast", state=0, handle=handle, perform=sleep))
    bus.advance(0.5)
    assert clock.now_ns() == START_NS + SECOND
    bus.advance(2)

    assert heard == [("Started", 0), ("Woken", SECOND)]
    assert clock.now_ns() == START_NS + 3 * SECOND


def test_what_a_leap_passes_is_due_once_at_its_end_and_nobody_was_frozen() -> None:
    world = World()
    world.tell("ear", Calm())
    world.bus.leap(START_NS + 5 * SECOND)
    assert world.clock.now_ns() == START_NS + 5 * SECOND

    world.bus.advance(1)

    assert world.heard[1:] == [Woken(name="tick", due_ns=START_NS + 5 * SECOND)]


# --- requests ---------------------------------------------------------------------------------


def test_a_request_is_answered_once_however_often_it_is_asked_or_answered() -> None:
    world = World(faults=Copies((0, 0), (0, 0)))  # Both the asking and the answer come twice.
    world.tell("ear", ASK)
    world.bus.advance(2)
    assert world.mast_heard == [ASK, ASK]
    assert world.heard == [ASK, DONE]


def test_a_lost_request_is_repeated_and_a_lost_answer_is_asked_for_again() -> None:
    world = World(faults=Copies((), (0,), ()))
    world.tell("ear", ASK)
    assert world.mast_heard == []
    world.bus.advance(0.1)
    assert (world.mast_heard, world.heard) == ([ASK], [ASK])
    world.bus.advance(0.2)
    assert (world.mast_heard, world.heard) == ([ASK, ASK], [ASK, DONE])


def test_asking_goes_on_after_expiry_and_what_comes_then_is_late() -> None:
    world = World()
    world.is_mute = True
    world.tell("ear", ASK)
    world.bus.advance(10)
    assert world.heard == [ASK, RequestExpired(request_id="id-1", to="mast")]
    in_time = [message for message in world.mast_heard if message == ASK]
    late = [message for message in world.mast_heard if message == Late(ASK)]
    assert len(in_time) == 3  # At 0, 0.1 and 0.3 s.
    assert len(late) >= 3
    assert world.mast_heard == in_time + late
    world.is_mute = False
    world.bus.advance(10)
    assert world.heard[-1] == DONE


def test_a_request_that_waited_past_its_deadline_is_late_however_it_waited() -> None:
    slow = World(faults=Copies((600 * MS,)))
    slow.tell("ear", ASK)
    slow.bus.pause("ear")  # No repeat overtakes it.
    slow.bus.advance(1)
    assert slow.mast_heard[0] == Late(ASK)

    stopped = World()
    stopped.bus.pause("mast")
    stopped.tell("ear", ASK)
    stopped.bus.advance(0.6)
    stopped.bus.wake("mast")
    stopped.bus.run()
    assert set(stopped.mast_heard) == {Late(ASK)}


def test_a_new_life_answers_nobody_it_did_not_hear() -> None:
    world = World()
    world.is_mute = True
    world.bus.ask("mast", "id-9", Calibrate(name="id-9"))
    world.bus.run()
    world.bus.crash("mast")
    world.bus.start(world.mast())
    world.is_mute = False
    world.tell("mast", Calibrate(name="id-9"))
    assert world.bus.heard(Calibrated) == []


def test_an_inlet_leads_to_whichever_life_there_is() -> None:
    world = World()
    inlet, heard_next = world.bus.inlet("mast"), list[Struct]()

    inlet(Calm())
    world.bus.run()
    world.bus.pause("mast")
    inlet(Storm(number=1))
    world.bus.run()
    assert world.mast_heard == [Calm()]
    world.bus.wake("mast")
    world.bus.crash("mast")
    inlet(Storm(number=2))  # To nobody.
    world.bus.start(Actor(name="mast", state=0, handle=noting(heard_next, lambda _message: ())))
    inlet(Calm())
    world.bus.run()

    assert world.mast_heard == [Calm()]
    assert heard_next[1:] == [Calm()]  # After Started.


# --- silence ----------------------------------------------------------------------------------


def of_peers(heard: list[Struct]) -> list[Struct]:
    return [message for message in heard if isinstance(message, PeerLost | PeerBack)]


LOST = PeerLost(source="mast")


def test_a_crash_is_noticed_after_a_second_and_a_new_life_at_once() -> None:
    world = World()
    world.bus.crash("mast")
    assert world.bus.health("mast") is Health.STOPPED
    world.bus.advance(0.999)
    assert of_peers(world.heard) == []
    world.bus.advance(0.001)
    assert of_peers(world.heard) == [LOST]
    world.bus.start(world.mast())
    world.bus.run()
    back = of_peers(world.heard)[-1]
    assert isinstance(back, PeerBack)
    assert back.epoch == START_NS + 1


def test_who_is_not_there_is_not_told_of_unless_it_is_needed() -> None:
    bus = MemoryBus(ManualClock(START_NS), CODEC)
    heard: list[Struct] = []
    watcher: Actor[int] = Actor(
        name="watcher", state=0, handle=noting(heard), needs=("mast",), watches=("lamp",)
    )

    bus.start(watcher)
    bus.run()
    assert of_peers(heard) == [PeerBack(source="mast", epoch=1, pid=0)]

    bus.start(Actor(name="lamp", state=0, handle=noting([])))
    bus.run()
    assert of_peers(heard)[1:] == [PeerBack(source="lamp", epoch=START_NS, pid=0)]


def test_a_silence_that_ends_in_time_is_nobodys_loss() -> None:
    world = World()
    for _ in range(3):
        world.bus.pause("mast")
        world.bus.advance(0.6)
        world.bus.wake("mast")
        world.bus.crash("mast")
        world.bus.advance(0.6)
        world.bus.start(world.mast())
        world.bus.run()
    assert LOST not in world.heard


@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "replaced"])
def test_what_a_dead_actor_had_in_hand_is_gone(is_killed: bool) -> None:
    world = World()
    world.is_mute = True
    world.tell("ear", Calm(), ASK)
    if is_killed:
        world.bus.crash("ear")
    world.bus.start(world.ear())
    world.bus.run()
    world.heard.clear()
    world.bus.advance(5)
    assert world.heard == []  # No timer, no expiry, no repeat of the last life.


def test_a_paused_actor_finds_what_waited_in_order() -> None:
    world = World()
    world.bus.pause("ear")
    world.tell("mast", ROOF, Storm(number=1))
    world.bus.advance(3)
    assert world.heard == []
    assert PeerLost(source="ear") in world.mast_heard
    world.bus.wake("ear")
    world.bus.run()
    assert world.heard[:2] == [ROOF, Storm(number=1)]


def test_two_who_are_cut_off_hear_nothing_of_each_other_and_notice() -> None:
    world = World()
    world.bus.cut("mast", "ear")
    world.tell("mast", ROOF, Storm(number=1))
    world.bus.publish("mast", "air.roof", ROOF)
    world.tell("ear", ASK)
    world.bus.advance(2)
    assert world.heard == [ASK, RequestExpired(request_id="id-1", to="mast"), LOST]
    assert of_peers(world.mast_heard) == [PeerLost(source="ear")]
    assert ASK not in world.mast_heard

    world.bus.mend("mast", "ear")
    world.bus.advance(5)

    assert [m for m in world.heard if isinstance(m, Storm)] == storms(1)
    assert DONE in world.heard
    assert isinstance(of_peers(world.heard)[-1], PeerBack)
    assert set(world.mast_heard) >= {Late(ASK)}


def test_a_cut_that_is_mended_in_time_is_no_loss() -> None:
    world = World()
    for _ in range(3):
        world.bus.cut("mast", "ear")
        world.bus.advance(0.7)
        world.bus.mend("mast", "ear")
        world.bus.run()
    assert LOST not in world.heard


def test_what_is_said_without_bytes_waits_for_the_paused_and_misses_who_is_cut_off_or_down() -> (
    None
):
    world = World(codec=None, keeps_log=False)

    def readings() -> int:
        world.tell("mast", ROOF)
        return world.heard.count(ROOF)

    assert readings() == 1
    world.bus.pause("ear")
    assert readings() == 1
    world.bus.wake("ear")
    assert readings() == 3
    world.bus.cut("mast", "ear")
    assert readings() == 3
    world.bus.mend("mast", "ear")
    assert readings() == 4
    world.bus.crash("ear")
    assert readings() == 4
    world.bus.start(world.ear())
    assert readings() == 5


# --- facts ------------------------------------------------------------------------------------


def test_facts_that_are_lost_are_caught_up_in_order() -> None:
    world = World(faults=Copies((0,), (), ()))
    for n in range(1, 5):
        world.tell("mast", Storm(number=n))
    world.bus.advance(1)
    assert [m for m in world.heard if isinstance(m, Storm)] == storms(1, 2, 3, 4)


def test_the_last_fact_lost_is_missed_by_the_next_heartbeat() -> None:
    world = World(faults=Copies((0,), ()))
    world.tell("mast", *storms(1, 2))
    assert storms(1) == [m for m in world.heard if isinstance(m, Storm)]
    world.bus.advance(0.3)
    assert [m for m in world.heard if isinstance(m, Storm)] == storms(1, 2)


def test_a_new_life_hears_every_fact_again_from_the_log() -> None:
    world = World()
    world.tell("mast", *storms(1, 2, 3))
    world.bus.crash("ear")
    world.bus.start(world.ear())
    world.heard.clear()
    world.bus.run()
    assert [m for m in world.heard if isinstance(m, Storm | CaughtUp)] == [
        *storms(1, 2, 3), CaughtUp(head=3)
    ]  # fmt: skip


def test_a_writer_that_is_down_gives_nobody_its_log() -> None:
    world = World()
    log = [(n, Storm(number=n)) for n in (1, 2)]

    def writer() -> Actor[int]:
        def rows(after: int, _tags: tuple[str, ...], _limit: int) -> tuple[Any, int]:
            return [row for row in log if row[0] > after], log[-1][0]

        return Actor(name="writer", state=0, handle=noting([]), read_facts=rows)

    world.bus.start(writer())
    world.bus.run()
    world.bus.crash("writer")
    world.bus.crash("ear")
    world.bus.start(world.ear())
    world.bus.advance(20)
    assert not [m for m in world.heard if isinstance(m, Storm | CaughtUp)]

    world.bus.start(writer())
    world.bus.advance(5)

    assert [m for m in world.heard if isinstance(m, Storm | CaughtUp)] == [
        *storms(1, 2), CaughtUp(head=2)
    ]  # fmt: skip
    assert isinstance(world.bus.heard(Started), list)
