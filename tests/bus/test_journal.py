"""The inbox journal: what was written or a plain error, whatever happened to the file."""

import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from bus import journal
from bus.journal import (
    KEEP_NS,
    SEGMENT_NS,
    Checkpoint,
    Entry,
    Journal,
    JournalError,
    read,
    segments,
)

NOW_NS = 1_795_000_000_000_000_000
DAY_NS = 86_400_000_000_000


def written(folder: Path, *frames: bytes) -> Path:
    """Return the one segment of a journal with `frames` in it."""
    made = Journal(folder, "ear", NOW_NS)
    made.open(b"state", "code", NOW_NS)
    for n, frame in enumerate(frames):
        made.append(NOW_NS + n, frame)
    made.close()
    return segments(folder)[-1]


FRAMES = (b"one", b"", b"three")
ENTRIES = [Entry(NOW_NS + n, frame) for n, frame in enumerate(FRAMES)]


def test_a_segment_begins_with_a_checkpoint_and_gives_back_what_was_appended(
    tmp_path: Path,
) -> None:
    first, *rest = read(written(tmp_path, *FRAMES))
    assert isinstance(first, Checkpoint)
    assert (first.actor, first.started_ns, first.code, first.state) == (
        "ear",
        NOW_NS,
        "code",
        b"state",
    )
    assert rest == ENTRIES


def test_cut_off_anywhere_what_is_left_is_the_beginning_of_what_was_written(tmp_path: Path) -> None:
    path = written(tmp_path, *FRAMES)
    raw, whole = path.read_bytes(), list(read(path))
    lengths = set()
    for size in range(len(raw)):
        path.write_bytes(raw[:size])
        found = list(read(path))
        assert found == whole[: len(found)]
        lengths.add(len(found))
    assert lengths == set(range(len(whole)))


def test_any_changed_bit_is_found(tmp_path: Path) -> None:
    path = written(tmp_path, *FRAMES)
    raw = path.read_bytes()
    for bit in range(8 * len(raw)):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(JournalError, match="is not what was written"):
            list(read(path))


def test_a_record_taken_out_doubled_or_moved_is_found(tmp_path: Path) -> None:
    path = written(tmp_path, b"aaaa", b"bbbb", b"cccc")
    raw = path.read_bytes()
    size = journal._HEAD.size + len(b"aaaa") + 11  # The array's head, the time, the length.
    begin = len(raw) - 3 * size
    a, b, c = (raw[begin + n * size : begin + (n + 1) * size] for n in range(3))
    assert b"bbbb" in b
    for parts in ((b, c), (a, c), (a, a, b, c), (b, a, c), (a, b, b)):
        path.write_bytes(raw[:begin] + b"".join(parts))
        with pytest.raises(JournalError):
            list(read(path))


def test_garbage_after_the_end_is_found(tmp_path: Path) -> None:
    path = written(tmp_path, *FRAMES)
    path.write_bytes(path.read_bytes() + bytes(64))
    with pytest.raises(JournalError, match=str(path)):
        list(read(path))


def test_a_file_that_was_never_written_to_has_nothing(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(b"")
    assert list(read(path)) == []


WRITER = """
    import sys
    from pathlib import Path
    from bus.journal import Journal

    made = Journal(Path(sys.argv[1]), "ear", 1)
    made.open(b"", "", 1)
    n = 0
    while True:
        for _ in range(10):
            made.append(n, b"%d" % n + b"." * 3_000)
            n += 1
        made.flush()
"""


def test_after_kill_9_the_record_is_whole_up_to_its_torn_tail(tmp_path: Path) -> None:
    for attempt in range(5):
        folder = tmp_path / str(attempt)
        process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(WRITER), str(folder)])
        deadline = time.monotonic() + 60
        while not (found := segments(folder)) or found[0].stat().st_size < 1_000_000:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()

        first, *entries = read(segments(folder)[0])

        assert isinstance(first, Checkpoint)
        assert len(entries) > 300
        for n, entry in enumerate(entries):
            assert isinstance(entry, Entry)
            assert entry.frame.startswith(b"%d." % n)


# --- epochs -----------------------------------------------------------------------------------


def test_an_epoch_is_the_time_of_the_start_or_one_more_than_the_last(tmp_path: Path) -> None:
    epochs = []
    for now_ns in (NOW_NS, NOW_NS + 5, NOW_NS + 5, NOW_NS - DAY_NS, NOW_NS + DAY_NS):
        made = Journal(tmp_path, "ear", now_ns)
        made.open(b"", "", now_ns)
        made.close()
        epochs.append(made.epoch - NOW_NS)
    assert epochs == [0, 5, 6, 7, DAY_NS]


def test_an_epoch_does_not_go_back_when_old_segments_are_forgotten(tmp_path: Path) -> None:
    made = Journal(tmp_path, "ear", NOW_NS)
    made.open(b"", "", NOW_NS)
    made.open(b"", "", NOW_NS + 30 * DAY_NS)
    made.close()
    assert Journal(tmp_path, "ear", 1).epoch == NOW_NS + 1


# --- segments ---------------------------------------------------------------------------------


def test_a_segment_is_due_to_end_when_large_or_a_day_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SEGMENT_MAX", 1_000)
    made = Journal(tmp_path, "ear", NOW_NS)
    made.open(b"", "", NOW_NS)
    assert not made.is_due(NOW_NS + SEGMENT_NS - 1)
    assert made.is_due(NOW_NS + SEGMENT_NS)
    made.append(NOW_NS, bytes(900))
    assert not made.is_due(NOW_NS)
    made.append(NOW_NS, bytes(100))
    assert made.is_due(NOW_NS)
    made.open(b"", "", NOW_NS + 1)
    assert not made.is_due(NOW_NS + 1)
    made.close()


def test_segments_are_in_order_private_and_each_stands_alone(tmp_path: Path) -> None:
    made = Journal(tmp_path, "ear", NOW_NS)
    for n in range(12):
        made.open(b"%d" % n, "", NOW_NS)
        made.append(NOW_NS, b"%d" % n)
    made.close()
    for n, path in enumerate(segments(tmp_path)):
        first, entry = read(path)
        assert isinstance(first, Checkpoint)
        assert first.state == b"%d" % n
        assert entry == Entry(NOW_NS, b"%d" % n)
        assert path.stat().st_mode & 0o777 == 0o600


def aged(path: Path, age_ns: int) -> None:
    os.utime(path, ns=(NOW_NS - age_ns, NOW_NS - age_ns))


def test_what_is_past_seven_days_goes_with_an_event(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = Journal(tmp_path, "ear", NOW_NS)
    for _ in range(3):
        made.open(b"", "", NOW_NS)
    old, kept, _ = segments(tmp_path)
    aged(old, KEEP_NS + 1)
    aged(kept, KEEP_NS)

    with caplog.at_level(logging.INFO, "btcbot.bus"):
        made.open(b"", "", NOW_NS)
    made.close()

    assert not old.exists()
    assert kept.exists()
    [event] = caplog.records
    assert event.message == "journal_segment_forgotten"
    assert event.__dict__["path"] == str(old)


def test_what_is_past_the_bytes_of_an_actor_goes_oldest_first_and_the_newest_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "KEEP_BYTES", 2_500)
    made = Journal(tmp_path, "ear", NOW_NS)
    for n in range(6):
        made.open(b"", "", NOW_NS)
        made.append(NOW_NS, bytes([n]) * 1_000)
    made.open(b"", "", NOW_NS)
    sizes = [path.stat().st_size for path in segments(tmp_path)]
    assert sum(sizes) <= 2_500
    assert len(sizes) == 3

    made.append(NOW_NS, bytes(10_000))
    made.open(b"", "", NOW_NS)
    made.close()
    assert len(segments(tmp_path)) == 1  # One that is larger than all may be; never none.


def test_two_writers_cannot_share_a_segment(tmp_path: Path) -> None:
    first, second = Journal(tmp_path, "ear", NOW_NS), Journal(tmp_path, "ear", NOW_NS)
    first.open(b"", "", NOW_NS)
    with pytest.raises(FileExistsError):
        second.open(b"", "", NOW_NS)
    first.close()
