"""Refused frames: counted, kept up to a bound, and never the end of an actor."""

import logging
import random
import stat
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from bus.actor import Actor, Hears, Nack, PeerBack, PeerLost
from bus.envelope import FRAME_MAX, Refused
from bus.quarantine import FILES_MAX, KEPT_MAX, Quarantine
from tests.bus.station import Calibrate, Reading, Room, Storm, beat, frame, noting

ROOF = Reading(place="roof", degrees=1)
BAD = (
    b"", b"\x00", b"garbage", b"\x01" + bytes(FRAME_MAX), frame(ROOF)[:-1], frame(ROOF) + b"\x00",
    frame(ROOF).replace(b"reading", b"raining"), b"\x01\x99\x02" + frame(ROOF)[3:],
    frame(ROOF).replace(b"roof", b"\xff\xff\xff\xff"), b"\x01" + b"\x91" * 1_000,
    frame(ROOF, source="thief"), frame(Storm(number=1)),
)  # fmt: skip


def room_of(folder: Path, heard: list[Struct], **more: Any) -> Room:
    hears = (Hears(source="mast", topic="air.", conflate=False),)
    actor: Actor[int] = Actor(
        name="ear", state=0, handle=noting(heard), hears=hears, receives=(Calibrate,), **more
    )
    room = Room(folder, actor).start()
    heard.clear()
    return room


def files(room: Room) -> list[Path]:
    return sorted((room.folder / "quarantine").iterdir())


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
def test_what_is_no_message_is_counted_and_kept_wherever_it_arrives(
    tmp_path: Path, bad: bytes
) -> None:
    heard: list[Struct] = []
    room = room_of(tmp_path, heard)

    room.stream(bad)
    room.request(bad)
    room.answer(bad)
    room.stream(frame(ROOF))

    assert heard == [ROOF]
    refused = sum(room.quarantine.counts.values())
    assert refused == (2 if bad == frame(Storm(number=1)) else 3)  # That answers nothing we asked.
    assert len(files(room)) == refused
    reason, _, kept = files(room)[0].read_bytes().partition(b"\n")
    assert reason.split(b":")[0].decode() in room.quarantine.counts
    assert kept == bad[:KEPT_MAX]


def test_an_asker_is_told_that_its_frame_was_no_request(tmp_path: Path) -> None:
    room = room_of(tmp_path, [])
    room.request(b"garbage", b"mast/1")
    room.request(frame(Storm(number=1)), b"mast/1")
    nacks = [envelope.message for _, envelope in room.wire.answered]
    assert [type(nack) for nack in nacks] == [Nack, Nack]
    assert nacks[1] == Nack(reason="not_received", detail="Storm")


def test_being_told_so_is_logged_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Struct] = []
    room = room_of(tmp_path, heard)
    with caplog.at_level(logging.WARNING, "btcbot.bus"):
        room.answer(frame(Nack(reason="kind", detail="first byte is 103"), topic=""))
    assert heard == []
    assert [record.message for record in caplog.records] == ["request_refused"]


def test_files_are_capped_and_private_and_go_on_being_renewed(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "q", "ear")
    for n in range(1, 3 * FILES_MAX + 8):
        quarantine.keep(b"%d" % n, Refused("kind", "x"), "mast")
    kept = sorted((tmp_path / "q").iterdir())
    assert len(kept) == FILES_MAX
    assert quarantine.counts == {"kind": 3 * FILES_MAX + 7}
    numbers = {int(path.read_bytes().partition(b"\n")[2]) for path in kept}
    sampled = {2 * FILES_MAX, 3 * FILES_MAX}  # In place of the two oldest.
    assert numbers == {*range(3, FILES_MAX + 1), *sampled}
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    assert stat.S_IMODE((tmp_path / "q").stat().st_mode) == 0o700


def test_what_cannot_be_kept_is_counted_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "q").write_text("in the way")
    quarantine = Quarantine(tmp_path / "q", "ear")
    quarantine.keep(b"x", Refused("kind", "x"), "mast")
    assert quarantine.counts == {"kind": 1, "not_kept": 1}


def test_a_link_put_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "q").mkdir()
    (tmp_path / "precious").write_text("keep")
    for slot in range(FILES_MAX):
        (tmp_path / "q" / f"ear-{slot:02d}.frame").symlink_to(tmp_path / "precious")
    Quarantine(tmp_path / "q", "ear").keep(b"x", Refused("kind", "x"), "mast")
    assert (tmp_path / "precious").read_text() == "keep"


def test_a_flood_of_frames_is_no_flood_of_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    room = room_of(tmp_path, [])
    with caplog.at_level(logging.WARNING, "btcbot.bus"):
        room.stream(*[b"garbage"] * 10_000)
    assert len([r for r in caplog.records if r.message == "frame_refused"]) == FILES_MAX + 99


def test_random_bytes_end_nobody(tmp_path: Path) -> None:
    heard: list[Struct] = []
    room = room_of(tmp_path, heard, watches=("mast",))
    seed = 7
    chance = random.Random(seed)
    for n in range(2_000):
        raw = chance.randbytes(chance.randrange(200))
        try:
            room.shell.heard_stream("mast", raw)
            room.shell.heard_request(chance.randbytes(5), raw)
            room.shell.heard_answer("mast", raw)
            room.shell.work()
        except Exception as error:  # noqa: BLE001 - this is what must not happen
            pytest.fail(f"seed {seed}, frame {n}: {error!r} from {raw.hex()}")
    assert heard == [PeerLost(source="mast")]


# --- three within ten seconds -----------------------------------------------------------------


def watching(folder: Path, heard: list[Struct]) -> Room:
    room = room_of(folder, heard, watches=("mast",))
    room.stream(beat(number=1))
    heard.clear()
    return room


def beaten(room: Room, seconds: float, epoch: int = 1) -> None:
    """Let time pass with a heartbeat every quarter of a second."""
    for _ in range(round(seconds * 4)):
        room.wait(0.25)
        room.stream(beat(epoch=epoch, number=room.clock.now_ns()))


def test_a_peer_with_three_refused_frames_in_ten_seconds_counts_as_failed(tmp_path: Path) -> None:
    heard: list[Struct] = []
    room = watching(tmp_path, heard)

    for _ in range(2):
        room.stream(b"garbage")
        beaten(room, 4)
    assert heard == []
    room.stream(b"garbage")
    assert heard == [PeerLost(source="mast")]

    beaten(room, 5)
    room.stream(b"garbage")
    assert len(heard) == 1  # Said once, and its heartbeats do not bring it back.


def test_three_within_more_than_ten_seconds_are_bad_luck(tmp_path: Path) -> None:
    heard: list[Struct] = []
    room = watching(tmp_path, heard)
    for _ in range(6):
        room.stream(b"garbage")
        beaten(room, 5.25)
    assert heard == []


def test_ten_clean_seconds_bring_it_back(tmp_path: Path) -> None:
    heard: list[Struct] = []
    room = watching(tmp_path, heard)
    room.stream(b"a", b"b", b"c")
    heard.clear()

    beaten(room, 10)
    assert heard == []
    beaten(room, 0.25)
    assert heard == [PeerBack(source="mast", epoch=1, pid=9)]
    room.stream(b"d")
    assert len(heard) == 1  # Counted anew.


def test_a_new_life_brings_it_back_at_once(tmp_path: Path) -> None:
    heard: list[Struct] = []
    room = watching(tmp_path, heard)
    room.stream(b"a", b"b", b"c")
    heard.clear()

    room.stream(beat(epoch=2))

    assert heard == [PeerBack(source="mast", epoch=2, pid=9)]


def test_refused_requests_and_answers_count_too(tmp_path: Path) -> None:
    heard: list[Struct] = []
    room = watching(tmp_path, heard)
    room.stream(b"garbage")
    room.request(b"garbage", b"mast/77")
    room.answer(b"garbage")
    assert heard == [PeerLost(source="mast")]


def test_each_peer_answers_for_itself(tmp_path: Path) -> None:
    heard: list[Struct] = []
    room = watching(tmp_path, heard)
    room.stream(b"a", b"b", source="mast")
    room.stream(b"c", b"d", b"e", source="buoy")
    assert heard == []
