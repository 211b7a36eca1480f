"""Fuzz the readers of what btcbot itself wrote: inbox journals, and raw segments.

Whatever became of the file, a reader gives back what was written or says that it is damaged; it
never gives back anything else.
"""

import os
import random
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from btcbot.catalog import segments
from btcbot.catalog.blocks import scan
from btcbot.catalog.segments import Captured, SegmentError, SegmentWriter
from bus import journal
from bus.journal import Checkpoint, Entry, Journal, JournalError
from tests.fuzz.spoil import Broken, shuffled, spoil

NOW_NS = 1_795_000_000_000_000_000
# Opening a file on a disk costs more than reading it.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
HEAD = 16  # Of a journal's record.
Counts = Counter[tuple[str, str]]


def journals(count: int, seed: int) -> Counter[tuple[str, str]]:
    """Spoil a journal's segment `count` times; return what became of it. Raises Broken."""
    draw, counts = random.Random(seed), Counts()
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        ours, others = (_journal(Path(name) / who, who) for who in ("ours", "others"))
        raw, foreign = ours.read_bytes(), others.read_bytes()
        wholes = [list(journal.read(path)) for path in (ours, others)]
        records, strange = _records(raw), _records(foreign)
        path = Path(name) / "spoilt.seg"
        for number in range(count):
            spoilt = (
                shuffled(records, strange, draw)
                if draw.random() < 0.2
                else spoil(raw, foreign, draw)
            )
            path.write_bytes(spoilt)
            counts["journal", _judge_journal(path, wholes, f"{number} of seed {seed}")] += 1
    return counts


def _judge_journal(path: Path, wholes: Sequence[list[Checkpoint | Entry]], which: str) -> str:
    found: list[Checkpoint | Entry] = []
    outcome = "read"
    try:
        for record in journal.read(path):
            found.append(record)  # noqa: PERF402 - what came before the error counts too
    except JournalError as error:
        outcome = "refused"
        if str(path) not in str(error):
            raise Broken(f"journal {which}: the refusal names no file: {error}") from error
    except Exception as error:
        raise Broken(f"journal {which}: {type(error).__name__}: {error}") from error
    if not any(found == whole[: len(found)] for whole in wholes):
        raise Broken(f"journal {which}: {len(found)} records are not the first that were written")
    return "whole" if outcome == "read" and found in wholes else outcome


def raw_segments(count: int, seed: int) -> Counter[tuple[str, str]]:
    """Spoil a raw segment `count` times; return what became of it. Raises Broken."""
    draw, counts = random.Random(seed), Counts()
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        ours, others = (_segment(Path(name) / who, who) for who in ("ours", "others"))
        raw, foreign = ours.read_bytes(), others.read_bytes()
        wholes = [list(segments.read(path)) for path in (ours, others)]
        pieces, strange = _blocks(raw), _blocks(foreign)
        path = Path(name) / "spoilt.seg"
        for number in range(count):
            spoilt = (
                shuffled(pieces, strange, draw)
                if draw.random() < 0.2
                else spoil(raw, foreign, draw)
            )
            path.write_bytes(spoilt)
            counts["segment", _judge_segment(path, wholes, f"{number} of seed {seed}")] += 1
    return counts


def _judge_segment(path: Path, wholes: Sequence[list[Captured]], which: str) -> str:
    try:
        found, report = list(segments.read(path)), segments.verify(path)
    except SegmentError:
        return "refused"
    except Exception as error:
        raise Broken(f"segment {which}: {type(error).__name__}: {error}") from error
    if report.records != len(found):
        raise Broken(f"segment {which}: {report.records} counted, {len(found)} read")
    written = [record for whole in wholes for record in whole]
    if any(record not in written for record in found):
        raise Broken(f"segment {which}: a record was read that nobody wrote")
    if report.is_sound and found not in wholes:
        raise Broken(f"segment {which}: sound, and not what was written: {len(found)} records")
    return "whole" if report.is_sound else "damaged"


def _journal(folder: Path, actor: str) -> Path:
    made = Journal(folder, actor, NOW_NS)
    made.open(b"state of " + actor.encode(), "code", NOW_NS)
    for number in range(12):
        made.append(NOW_NS + number, f"{actor} {number} ".encode() * (1 + number % 5))
    made.close()
    return journal.segments(folder)[-1]


def _segment(folder: Path, name: str) -> Path:
    made = SegmentWriter(folder, name, NOW_NS)
    for number in range(20):
        payload = f'[432,{{"CS":{number},"who":"{name}"}}]'.encode()
        made.append(Captured(NOW_NS + number, "ws.public", 1, payload, number))
        if number % 4 == 3:
            made.flush(NOW_NS + number)
    made.close(NOW_NS + 100)
    return segments.segments(folder)[-1]


def _records(raw: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(raw):
        end = at + HEAD + int.from_bytes(raw[at : at + 4], "little")
        found.append(raw[at:end])
        at = end
    return found


def _blocks(raw: bytes) -> list[bytes]:
    return [raw[block.start : block.end] for block in scan(raw)]
