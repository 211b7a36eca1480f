"""Capture in a process that has better things to do: nothing is late, nothing is fatal."""

import json
import logging
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from btcbot.catalog.bounds import CaptureBounds
from btcbot.catalog.capture import FLUSH_S, WITHHELD, Capture, capturing
from btcbot.catalog.disk import prune
from btcbot.catalog.segments import Captured, SegmentWriter, read, segments, verify
from bus.clock import ManualClock, SystemClock
from tests.btcturk.servers import until

CLOCK = SystemClock()
PROGRAM = Path(__file__).with_name("failing_disk.py")
DAY_NS = 86_400 * 10**9


def found(root: Path, writer: str = "market_data") -> list[Captured]:
    return [record for path in segments(root / writer) for record in read(path)]


@contextmanager
def capture(root: Path, look_s: float = 5.0, **bounds: Any) -> Iterator[Capture]:
    limits = CaptureBounds(**{"disk_free_min_mb": 0, **bounds})
    made = Capture(root, "market_data", limits, CLOCK, look_s=look_s)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.asyncio
async def test_what_is_heard_can_be_read_soon_after_though_nothing_follows(tmp_path: Path) -> None:
    with capture(tmp_path) as hear:
        before = (CLOCK.now_ns(), CLOCK.monotonic_ns())
        hear("ws.public", 1, b"one")
        hear("rest GET /api/v2/ticker", 0, b"two")
        assert found(tmp_path) == []

        await until(lambda: len(found(tmp_path)) == 2)

        after = (CLOCK.now_ns(), CLOCK.monotonic_ns())
        for record in found(tmp_path):
            assert before[0] <= record.received_ns <= after[0]
            assert before[1] <= record.monotonic_ns <= after[1]
        assert [(one.source, one.session, one.payload) for one in found(tmp_path)] == [
            ("ws.public", 1, b"one"),
            ("rest GET /api/v2/ticker", 0, b"two"),
        ]
        assert FLUSH_S <= 0.25


@pytest.mark.asyncio
async def test_a_burst_is_written_before_it_fills_the_memory(tmp_path: Path) -> None:
    with capture(tmp_path) as hear:
        for _ in range(40):
            hear("ws.public", 1, bytes(100_000))
        assert hear.kept >= 30  # And nothing was awaited.


@pytest.mark.asyncio
async def test_closing_keeps_what_was_heard_a_moment_ago(tmp_path: Path) -> None:
    with capture(tmp_path) as hear:
        hear("ws.public", 1, b"last words")

    [path] = segments(tmp_path / "market_data")
    assert verify(path).is_sound
    assert found(tmp_path)[0].payload == b"last words"


@pytest.mark.asyncio
async def test_a_segment_is_sealed_when_its_time_has_passed(tmp_path: Path) -> None:
    with capture(tmp_path, look_s=0.01, rotate_s=1) as hear:
        hear("ws.public", 1, b"x")

        await until(lambda: [verify(one).is_sound for one in segments(hear.folder)] == [True])

        hear("ws.public", 1, b"y")
    assert len(segments(tmp_path / "market_data")) == 2


@pytest.mark.asyncio
async def test_a_record_that_waits_when_time_has_passed_begins_the_next_segment(
    tmp_path: Path,
) -> None:
    clock = ManualClock(DAY_NS)
    hear = Capture(tmp_path, "market_data", CaptureBounds(disk_free_min_mb=0), clock, look_s=0.01)
    hear("ws.public", 1, b"x")
    hear.flush()
    clock.advance(seconds=3_600)
    hear("ws.public", 1, b"y")

    await until(lambda: hear.kept == 2)

    assert [verify(path).is_sealed for path in segments(hear.folder)] == [True, False]
    hear.close()


@pytest.mark.asyncio
async def test_a_segment_of_the_configured_size_is_followed_by_another(tmp_path: Path) -> None:
    with capture(tmp_path, rotate_mb=1) as hear:
        for number in range(30):
            hear("ws.public", 1, _noise(100_000 + number))
            hear.flush()

    sizes = [path.stat().st_size for path in segments(tmp_path / "market_data")]
    assert len(sizes) == 3
    assert max(sizes) < 1_200_000


@pytest.mark.asyncio
async def test_an_answer_that_holds_a_secret_is_not_kept_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bounds = CaptureBounds(disk_free_min_mb=0)
    with capturing(
        tmp_path, "market_data", bounds, CLOCK, is_secret=lambda payload: b"hunter2" in payload
    ) as hear:
        hear("rest GET /x -> 502", 0, b"<pre>X-PCK: hunter2</pre>")

    [record] = found(tmp_path)
    assert record.payload == b""
    assert record.source == f"rest GET /x -> 502{WITHHELD}"
    assert [one.message for one in caplog.records] == ["capture_withheld"]


@pytest.mark.asyncio
async def test_capture_that_is_switched_off_makes_nothing(tmp_path: Path) -> None:
    with capturing(tmp_path, "market_data", CaptureBounds(enabled=False), CLOCK) as hear:
        hear("ws.public", 1, b"x")

    assert segments(tmp_path / "market_data") == []


# --- the disk ---------------------------------------------------------------------------------


def a_day_each(root: Path, writer: str, days: list[int]) -> list[Path]:
    """Write a segment of about 100 kB for each of `days`."""
    one = SegmentWriter(root / writer, writer, 0)
    for day in days:
        one.append(Captured(day * DAY_NS, "ws.public", 1, CLOCK.now_ns().to_bytes(8) * 12_500))
        one.append(Captured(day * DAY_NS, "ws.public", 1, _noise(100_000)))
        one.rotate(0)
    return segments(root / writer)


def _noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def test_the_oldest_segment_goes_first_whoever_wrote_it(tmp_path: Path) -> None:
    public = a_day_each(tmp_path, "market_data", [1, 3, 5])
    private = a_day_each(tmp_path, "execution", [2, 4])

    assert prune(tmp_path, 600_000) == []
    assert prune(tmp_path, 350_000) == [public[0], private[0]]
    # The newest of each may be at work; nothing else is left.
    assert prune(tmp_path, 0) == [public[1]]
    assert segments(tmp_path / "market_data") == public[2:]
    assert segments(tmp_path / "execution") == private[1:]
    assert prune(tmp_path / "none", 0) == []


@pytest.mark.asyncio
async def test_a_running_capture_stays_within_its_limit_and_says_what_it_deletes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    old = a_day_each(tmp_path, "market_data", list(range(1, 200)))

    with capture(tmp_path, look_s=0.02, disk_max_mb=16):
        await until(lambda: not old[0].exists())

    left = sum(path.stat().st_size for path in segments(tmp_path / "market_data"))
    assert 15_000_000 < left <= 16_000_000
    deleted = [vars(one)["file"] for one in caplog.records if one.message == "capture_deleted"]
    assert deleted == [str(path) for path in old if not path.exists()]


def fail(folder: Path, how: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder), how],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_folder_that_may_not_be_written_stops_capture_until_it_may() -> None:
    with tempfile.TemporaryDirectory() as name:
        told = fail(Path(name), "forbidden")

        records = found(Path(name) / "raw")
        opening = verify(segments(Path(name) / "raw" / "market_data")[0]).opening

    assert told["events"][0][0] == "capture_stopped"
    assert "it has to be a folder of the user that runs btcbot" in told["events"][0][1]
    assert "Permission denied" in told["events"][0][1]
    assert [event for event, _ in told["events"]] == ["capture_stopped", "capture_resumed"]
    assert len(records) == told["kept"] == told["sent"] - told["lost"]
    assert opening is not None
    assert opening.lost == told["lost"]


@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode != 0,
    reason="no unshare that may make a small disk here",
)
@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("full", "free some, or lower capture.disk_max_mb; [Errno 28] No space left on device"),
        ("floor", "less than capture.disk_free_min_mb = 4 is free on the disk of"),
    ],
)
def test_a_full_disk_stops_capture_until_there_is_room(tmp_path: Path, how: str, says: str) -> None:
    """The disk is a tmpfs of 8 MB, which nobody else sees; what is on it is copied out."""
    disk, out = tmp_path / "disk", tmp_path / "out"
    disk.mkdir()
    place, copy, program = map(shlex.quote, (str(disk), str(out), str(PROGRAM)))
    script = f"""
mount -t tmpfs -o size=8m none {place} &&
{shlex.quote(sys.executable)} {program} {place} {how} && cp -r {place}/raw {copy}
"""
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-ec", script],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)

    assert [event for event, _ in told["events"]] == ["capture_stopped", "capture_resumed"]
    assert says in told["events"][0][1]
    reports = [verify(path) for path in segments(out / "market_data")]
    assert sum(report.records for report in reports) == told["kept"]
    assert told["kept"] == told["sent"] - told["lost"]
    assert sum(report.opening.lost for report in reports if report.opening) == told["lost"]
    assert [report.path for report in reports if report.damaged or report.torn_at] == []
