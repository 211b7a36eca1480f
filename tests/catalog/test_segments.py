"""Raw segments: what was flushed reads back, whatever happened to the file after that."""

import errno
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btcbot.catalog import segments
from btcbot.catalog.blocks import pack
from btcbot.catalog.segments import (
    Captured,
    SegmentError,
    SegmentWriter,
    read,
    started_ns,
    verify,
)

EACH = 4
HEAD = 13
HOUR = segments.PERIOD_NS
NOON = 1_767_268_800 * segments.SECOND_NS  # 2026-01-01T12:00:00Z


def frame(number: int, at_ns: int = NOON, payload: bytes = b"") -> Captured:
    return Captured(at_ns + number, "ws.public", 1, payload or b'[432,{"CS":%d}]' % number, number)


def writer(folder: Path, at_ns: int = NOON, **bounds: int) -> SegmentWriter:
    return SegmentWriter(folder, "market_data", at_ns, **bounds)  # type: ignore[arg-type]


def written(folder: Path) -> tuple[Path, list[Captured]]:
    """Return an unsealed segment of three blocks, as a kill leaves it, and what is in it."""
    one, records = writer(folder), []
    for number in range(3 * EACH):
        records.append(frame(number))
        one.append(records[-1])
        if number % EACH == EACH - 1:
            one.flush(NOON)
    assert one.path is not None
    return one.path, records


def ends_of(raw: bytes) -> list[int]:
    """Return where each block ends; the opening is the first."""
    ends = [0]
    while ends[-1] < len(raw):
        size = int.from_bytes(raw[ends[-1] + 5 : ends[-1] + 9], "little")
        ends.append(ends[-1] + HEAD + size)
    return ends[1:]


def test_what_was_flushed_reads_back_as_it_was_heard(tmp_path: Path) -> None:
    one = writer(tmp_path)
    heard = [
        Captured(NOON, "ws.public", 1, b'[991,{"type":991}]', 5),
        Captured(NOON + 1, "rest GET /api/v2/orderbook?pairSymbol=BTCTRY -> 503", 0, b"", 6),
        Captured(NOON + 2, "ws.public", 2, bytes(range(256)) * 100, 7),
    ]
    for record in heard:
        one.append(record)
    [done] = one.flush(NOON + 3)

    assert list(read(done.segment)) == heard
    assert (done.records, done.size) == (3, done.segment.stat().st_size)
    assert done.segment.name == "20260101T120000.000000000Z.seg"


RECORDS = st.builds(
    Captured,
    received_ns=st.integers(NOON, NOON + 3 * HOUR),  # In any order: clocks are set back.
    source=st.text(max_size=20),
    session=st.integers(0, 5),
    payload=st.binary(max_size=300),
    monotonic_ns=st.integers(0, 2**63 - 1),
)


@settings(max_examples=60, deadline=None)
@given(heard=st.lists(st.lists(RECORDS, max_size=5), max_size=6), turns=st.integers(0, 63))
def test_whatever_is_heard_and_whenever_it_is_flushed_it_reads_back_in_order(
    heard: list[list[Captured]], turns: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        one = writer(Path(folder))
        for number, block in enumerate(heard):
            for record in block:
                one.append(record)
            (one.rotate if turns >> number & 1 else one.flush)(NOON)
        one.close(NOON)

        made = segments.segments(Path(folder))
        assert [record for path in made for record in read(path)] == [
            record for block in heard for record in block
        ]
        assert all(verify(path).is_sound for path in made)
        for path in made:
            assert len({record.received_ns // HOUR for record in read(path)}) == 1


def test_nothing_is_made_before_something_is_heard(tmp_path: Path) -> None:
    one = writer(tmp_path / "raw")
    assert one.flush(NOON) == one.close(NOON) == ()
    assert not (tmp_path / "raw").exists()


def test_a_closed_segment_says_that_it_is_whole(tmp_path: Path) -> None:
    one = writer(tmp_path)
    one.append(frame(1))
    one.append(frame(2))
    [done] = one.close(NOON + 9)

    report = verify(done.segment)
    assert report.is_sound
    assert (report.records, report.first_ns, report.last_ns) == (2, NOON + 1, NOON + 2)
    assert report.opening == segments.Opening(1, "market_data", NOON, 0, NOON + 1, 0, 0)
    assert done.segment.stat().st_mode & 0o777 == 0o600


def test_a_segment_cut_at_any_byte_reads_back_to_its_last_whole_block(tmp_path: Path) -> None:
    path, records = written(tmp_path / "whole")
    raw, cut = path.read_bytes(), tmp_path / "cut.seg"
    ends = ends_of(raw)

    for length in range(len(raw) + 1):
        cut.write_bytes(raw[:length])
        whole = [end for end in ends if end <= length]
        report = verify(cut)
        assert list(read(cut)) == records[: EACH * max(len(whole) - 1, 0)]
        assert (report.damaged, report.is_sealed) == ((), False)
        assert report.torn_at == (None if whole[-1:] == [length] else max(whole, default=0))


@settings(max_examples=150, deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_changed_byte_costs_its_block_alone_and_is_told(position: float, flip: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, records = written(Path(folder))
        raw = bytearray(path.read_bytes())
        at, ends = int(position * len(raw)), ends_of(bytes(raw))
        raw[at] ^= flip
        path.write_bytes(raw)

        hit = sum(end <= at for end in ends)  # 0: the opening.
        report = verify(path)
        lost = range(EACH * (hit - 1), EACH * hit) if hit else ()
        assert list(read(path)) == [one for n, one in enumerate(records) if n not in lost]
        if hit == len(ends) - 1:  # Nothing good follows: it cannot be told from a torn tail.
            assert (report.torn_at, report.damaged) == (ends[-2], ())
        else:
            assert report.damaged == ((ends[hit - 1] if hit else 0, ends[hit]),)
        assert not report.is_sound


def test_a_tail_of_zeros_is_torn_and_a_foreign_file_has_nothing(tmp_path: Path) -> None:
    path, records = written(tmp_path)
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(bytes(4_096))
    foreign = tmp_path / "foreign.seg"
    foreign.write_bytes(b"PAR1 what is this")

    assert list(read(path)) == records
    assert verify(path).torn_at == size
    assert list(read(foreign)) == []
    assert (verify(foreign).opening, verify(foreign).torn_at) == (None, 0)


def test_records_that_the_sealing_counts_and_nobody_finds_are_missing(tmp_path: Path) -> None:
    one = writer(tmp_path)
    for number in range(3):
        one.append(frame(number))
        one.flush(NOON)
    one.close(NOON)
    [path] = segments.segments(tmp_path)
    raw = path.read_bytes()
    ends = ends_of(raw)
    path.write_bytes(raw[: ends[1]] + raw[ends[2] :])  # A whole block is gone.

    report = verify(path)
    assert (report.missing, report.damaged, report.is_sound) == (1, (), False)


def test_a_segment_of_a_later_format_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(segments, "VERSION", 2)
    path, _ = written(tmp_path)
    monkeypatch.undo()

    with pytest.raises(SegmentError, match=r"format 2; this btcbot reads format 1"):
        list(read(path))


# --- rotation ---------------------------------------------------------------------------------


def test_a_segment_never_holds_two_hours(tmp_path: Path) -> None:
    one = writer(tmp_path)
    for at_ns in (NOON + HOUR - 1, NOON + HOUR, NOON + HOUR + 1):
        one.append(frame(0, at_ns))
    done = one.flush(NOON + HOUR + 2)

    assert [entry.records for entry in done] == [1, 2]
    first, second = segments.segments(tmp_path)
    assert verify(first).is_sound
    assert (started_ns(first), started_ns(second)) == (NOON + HOUR - 1, NOON + HOUR)


def test_a_segment_of_full_size_is_sealed_before_the_next_record(tmp_path: Path) -> None:
    one = writer(tmp_path, segment_max=2_000)
    noise = random.Random(1)
    heard = [frame(n, payload=noise.randbytes(900)) for n in range(9)]
    for record in heard:
        one.append(record)
        one.flush(NOON)
    one.close(NOON)

    made = segments.segments(tmp_path)
    assert [verify(path).records for path in made] == [3, 3, 3]
    assert all(verify(path).is_sound for path in made)
    assert [record for path in made for record in read(path)] == heard
    openings = [verify(path).opening for path in made]
    assert [opening.number for opening in openings if opening] == [0, 1, 2]


def test_a_new_life_makes_a_new_file_and_leaves_the_old_one_as_it_is(tmp_path: Path) -> None:
    path, _ = written(tmp_path)
    before = path.read_bytes()
    later = writer(tmp_path, NOON - HOUR)  # Its clock was set back, and names must still sort.
    later.append(frame(0, NOON - HOUR))
    later.close(NOON - HOUR)

    assert path.read_bytes() == before
    assert segments.segments(tmp_path)[0] == path
    assert len(segments.segments(tmp_path)) == 2


def test_a_segment_whose_hour_has_passed_is_over_though_nothing_is_heard(tmp_path: Path) -> None:
    one = writer(tmp_path)
    assert not one.is_over(NOON + HOUR)
    one.append(frame(0))
    one.flush(NOON)
    assert not one.is_over(NOON + HOUR - 1)
    assert one.is_over(NOON + HOUR)
    one.rotate(NOON + HOUR)
    assert not one.is_over(NOON + HOUR)
    assert verify(segments.segments(tmp_path)[0]).is_sound


def test_what_waits_is_bounded(tmp_path: Path) -> None:
    one = writer(tmp_path)
    while not one.is_full:
        one.append(frame(0, payload=bytes(10_000)))
    one.flush(NOON)
    assert not one.is_full


# --- a disk that fails ------------------------------------------------------------------------


def test_a_full_disk_costs_what_waited_and_the_next_segment_says_how_much(tmp_path: Path) -> None:
    """The limit on a file's size is the kernel's own: writes come back short, then fail."""
    program = """
import random, resource, signal, sys
from pathlib import Path
from btcbot.catalog.segments import Captured, SegmentWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
noise = random.Random(1)
one = SegmentWriter(Path(sys.argv[1]), "market_data", 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
for number in range(20):
    one.append(Captured(number, "ws.public", 1, noise.randbytes(30_000)))
    try:
        one.flush(number)
    except OSError as error:
        print("failed", number, error.errno)
        if number > 5:
            break
one.close(99)
print("kept", one.kept, "lost", one.lost)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[0] == f"failed 3 {errno.EFBIG}"
    assert done.stdout.splitlines()[-1] == "kept 6 lost 2"
    first, second = segments.segments(tmp_path)
    assert [record.received_ns for record in read(first)] == [0, 1, 2]
    assert (verify(first).torn_at, verify(first).is_sealed) == (None, False)
    assert [record.received_ns for record in read(second)] == [4, 5, 6]
    opening = verify(second).opening
    assert opening is not None
    assert (opening.lost, opening.lost_since_ns) == (1, 3)


def test_a_folder_that_cannot_be_made_loses_and_counts_until_it_can(tmp_path: Path) -> None:
    (tmp_path / "raw").write_text("a file stands in its place", encoding="ascii")
    one = writer(tmp_path / "raw" / "market_data")
    for number in range(2):
        one.append(frame(number))
        with pytest.raises(NotADirectoryError):
            one.flush(NOON)
    assert one.lost == 2

    (tmp_path / "raw").unlink()
    one.append(frame(2))
    [done] = one.flush(NOON)
    opening = verify(done.segment).opening
    assert opening is not None
    assert (opening.lost, one.lost, one.kept) == (2, 2, 1)


@pytest.mark.parametrize(
    "order",
    [(0, 1, 2, 2, 3, 4), (0, 2, 1, 3, 4), (0, 1, 1, 3, 4), (0, 1, 2, 3, 4, 4), (0, 1, 2, 3, 4, 1)],
)
def test_whole_blocks_that_were_copied_moved_or_exchanged_are_no_longer_sound(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    one = writer(tmp_path)
    for number in range(3 * EACH):
        one.append(frame(number))
        if number % EACH == EACH - 1:
            one.flush(NOON)
    one.close(NOON)
    [path] = segments.segments(tmp_path)
    raw = path.read_bytes()
    starts = [0, *ends_of(raw)]
    assert verify(path).is_sound
    assert len(starts) == 6

    path.write_bytes(b"".join(raw[starts[n] : starts[n + 1]] for n in order))

    report = verify(path)
    assert report.is_altered
    assert not report.is_sound


def test_a_segment_that_was_sealed_without_a_check_is_sound(tmp_path: Path) -> None:
    path, records = written(tmp_path)
    sealing = msgspec.msgpack.encode((len(records), NOON))
    path.write_bytes(path.read_bytes() + pack(3, sealing))

    assert verify(path).is_sound
