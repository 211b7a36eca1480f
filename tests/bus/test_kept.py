"""What an actor folded is kept: its next life reads on from there, and from nowhere else."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct
from msgspec.structs import replace

from bus import kept
from bus.actor import Actor, CaughtUp, FactsAfter, FactsPage, Health, Hears, Started, Step
from bus.journal import Checkpoint, Entry, read, segments
from bus.kept import EVERY, AnotherLog, revived
from tests.bus.station import CODEC, Reading, Room, Storm, beat, frame

CODE = "code"


class Almanac(Struct, frozen=True, kw_only=True):
    """What a weather station remembers."""

    made_for: str = "roof"
    storms: tuple[int, ...] = ()  # Of facts.
    degrees: int = 0  # Of a stream.
    epoch: int = 0
    is_caught_up: bool = False


def handle(state: Almanac, message: Struct, _now_ns: int) -> Step[Almanac]:
    match message:
        case Storm():
            return Step(replace(state, storms=(*state.storms, message.number)))
        case Reading():
            return Step(replace(state, degrees=message.degrees))
        case Started():
            return Step(replace(state, epoch=message.epoch))
        case CaughtUp():
            return Step(replace(state, is_caught_up=True))
        case _:
            pass
    return Step(state)


def almanac(**more: Any) -> Actor[Almanac]:
    """Return the actor before it knows anything."""
    return Actor(
        name="almanac",
        state=Almanac(**more),
        handle=handle,
        facts=(Storm,),
        needs=("mast",),
        hears=(
            Hears(source="mast", topic="fact", conflate=False),
            Hears(source="mast", topic="air."),
        ),
    )


class Log:
    """The writer's log of storms, and the lives that read it."""

    def __init__(self, folder: Path, size: int = 0) -> None:
        self.folder = folder
        self.storms = [Storm(number=n) for n in range(1, size + 1)]
        (folder / "almanac").mkdir(exist_ok=True)
        self.asked: list[int] = []  # After which fact, by the newest life.

    @property
    def path(self) -> Path:
        return self.folder / "almanac" / "facts.kept"

    def life(self, code: str = CODE, **more: Any) -> Room:
        """Begin a life and let it catch up."""
        room = Room(self.folder, revived(almanac(**more), self.folder, code)).start()
        room.stream(beat(head=len(self.storms)))
        self.asked = []
        while room.health() is Health.RECOVERING:
            self._answer(room)
        return room

    def _answer(self, room: Room) -> None:
        asked = CODEC.decode(room.wire.asked[-1][1])
        request = asked.message
        assert isinstance(request, FactsAfter)
        self.asked.append(request.after)
        rows = enumerate(self.storms[request.after : request.after + 500], request.after + 1)
        facts = tuple((n, CODEC.encode_message(storm)) for n, storm in rows)
        through = facts[-1][0] if facts else len(self.storms)
        page = FactsPage(facts=facts, through=through, head=len(self.storms))
        room.answer(frame(page, topic=asked.topic))

    def say(self, room: Room, count: int) -> None:
        """Let `count` more storms be written and heard."""
        for _ in range(count):
            n = len(self.storms) + 1
            self.storms.append(Storm(number=n))
            room.stream(frame(self.storms[-1], topic="fact", sequence=n))


def numbers(log: Log) -> tuple[int, ...]:
    return tuple(storm.number for storm in log.storms)


def test_a_life_that_was_killed_is_followed_by_one_that_reads_what_came_since(
    tmp_path: Path,
) -> None:
    log = Log(tmp_path, EVERY + 3)
    room = log.life()
    log.say(room, 5)  # And no word of farewell.

    after = log.life()

    assert log.asked == [EVERY + 2]  # The last one that was kept is read again, to be known by.
    assert after.shell.state.storms == numbers(log)
    assert log.path.stat().st_mode & 0o777 == 0o600


def test_a_life_that_was_ended_leaves_nothing_to_be_read_again(tmp_path: Path) -> None:
    log = Log(tmp_path, 2)
    room = log.life()
    log.say(room, 3)
    room.shell.stop()

    after = log.life()

    assert log.asked == [4]
    assert after.shell.state.storms == (1, 2, 3, 4, 5)


def test_a_life_keeps_the_facts_alone_and_nothing_that_was_its_own(tmp_path: Path) -> None:
    log = Log(tmp_path, 2)
    room = log.life()
    room.stream(frame(Reading(place="roof", degrees=9)))
    assert room.shell.state.degrees == 9
    room.shell.stop()

    begun = revived(almanac(), tmp_path, CODE).state

    assert begun == Almanac(storms=(1, 2))


def test_a_replay_finds_in_the_journal_what_a_life_began_with(tmp_path: Path) -> None:
    log = Log(tmp_path, 3)
    log.life().shell.stop()
    room = log.life()
    log.say(room, 1)

    began, *handled = read(segments(tmp_path / "journal")[-1])

    assert isinstance(began, Checkpoint)
    assert msgspec.msgpack.decode(began.state, type=Almanac).storms == (1, 2, 3)
    frames = [row.frame for row in handled if isinstance(row, Entry)]
    assert [m for m in (CODEC.decode(f).message for f in frames) if isinstance(m, Storm)] == [
        Storm(number=4)
    ]


def test_while_a_log_is_still_read_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    write = kept._write

    def counted(path: Path, payload: bytes) -> None:
        written.append(len(payload))
        write(path, payload)

    monkeypatch.setattr(kept, "_write", counted)
    log = Log(tmp_path, 3 * EVERY)
    room = log.life()
    assert len(written) == 1
    log.say(room, EVERY - 1)
    assert len(written) == 1
    log.say(room, 1)
    assert len(written) == 2


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def turned(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize("spoil", [torn, empty, turned])
def test_a_file_that_is_not_what_was_written_is_passed_over_and_every_fact_is_read(
    tmp_path: Path, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    log = Log(tmp_path, 3)
    log.life().shell.stop()
    spoil(log.path)

    with caplog.at_level(logging.WARNING):
        after = log.life()

    assert log.asked == [0]
    assert after.shell.state.storms == (1, 2, 3)
    assert "kept_facts_unusable" in caplog.text


@pytest.mark.parametrize("change", [{"code": "other"}, {"made_for": "cellar"}])
def test_what_other_code_or_another_configuration_folded_is_passed_over(
    tmp_path: Path, change: dict[str, str]
) -> None:
    log = Log(tmp_path, 3)
    log.life().shell.stop()

    after = log.life(**change)

    assert log.asked == [0]
    assert after.shell.state.storms == (1, 2, 3)


def test_a_log_that_was_replaced_ends_the_life_and_the_next_reads_all_of_it(
    tmp_path: Path,
) -> None:
    log = Log(tmp_path, 4)
    log.life().shell.stop()
    log.storms[3] = Storm(number=40)

    with pytest.raises(AnotherLog, match="fact 4 is not the one"):
        log.life()
    after = log.life()

    assert log.asked == [0]
    assert after.shell.state.storms == (1, 2, 3, 40)


def test_a_disk_that_takes_nothing_costs_the_next_life_its_time_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log(tmp_path, 2)
    room = log.life()
    log.path.with_suffix(".new").mkdir()

    with caplog.at_level(logging.WARNING):
        room.shell.stop()
    after = log.life()

    assert "kept_facts_unwritten" in caplog.text
    assert log.asked == [0]
    assert after.shell.state.storms == (1, 2)
