"""Every defect of a data set, of foreign files or of raw segments, by file and row.

A gap whose cause is known is no defect: the set says itself that it has no data there.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from btcbot.catalog import parquet, replay
from btcbot.catalog.dataset import Dataset
from btcbot.catalog.defects import Defect, Flaw, Judge
from btcbot.catalog.importing import Tell, judged, told
from btcbot.catalog.manifest import Part, sha256_of
from btcbot.catalog.rows import Cause, Provenance
from btcbot.catalog.segments import SegmentError, segments, stamp
from btcbot.catalog.segments import verify as verify_segment

# Made by BTCTurk, whose trade ids are not known to run without holes.
_NATIVE = frozenset({Provenance.LIVE, Provenance.BACKFILL})


def verify_files(paths: Sequence[Path], tell: Tell) -> Iterator[Defect]:
    """Yield what is wrong with foreign files that belong together, in their order."""
    found: list[Defect] = []
    for _ in told(judged(paths, found.append), tell):
        if found:
            yield from found
            found.clear()
    yield from found


def verify_folder(folder: Path, tell: Tell) -> Iterator[Defect]:
    """Yield what is wrong with a folder: a data set, raw segments, or a replay dataset."""
    if (folder / "manifest.json").exists():
        yield from verify_set(Dataset(folder), tell)
    elif any(folder.glob("*.seg")):
        yield from verify_segments(folder)
    else:
        for issue in replay.validate(folder).issues:
            yield Defect(issue.path, issue.row, Flaw.FORM, f"{issue.code}: {issue.message}")


def verify_set(dataset: Dataset, tell: Tell) -> Iterator[Defect]:
    """Yield what is wrong with a data set: its files first, then its rows, then its gaps."""
    sound = []
    for part in dataset.manifest.parts:
        defects = list(_of_file(dataset.folder / part.path, part))
        yield from defects
        if not any(one.flaw in {Flaw.MISSING, Flaw.TRUNCATED} for one in defects):
            sound.append(part)
    kinds = sorted({(part.pair, part.channel, part.provenance) for part in sound})
    for kind in kinds:
        chosen = [part for part in sound if (part.pair, part.channel, part.provenance) == kind]
        yield from _of_rows(dataset.folder, chosen, tell)
    for gap in dataset.gaps():
        if gap.cause is Cause.UNKNOWN:
            span = f"{stamp(gap.from_ns)} to {stamp(gap.to_ns)}"
            reason = f"no data of {gap.pair} from {span}: {gap.detail or 'nobody knows why'}"
            yield Defect(f"{dataset.folder}/{gap.channel}", 0, Flaw.GAP, reason)


def verify_segments(folder: Path) -> Iterator[Defect]:
    """Yield what is wrong with raw segments. The tail of the newest may still be written."""
    paths = segments(folder)
    for path in paths:
        try:
            report = verify_segment(path)
        except SegmentError as error:
            yield Defect(str(path), 0, Flaw.FORM, str(error))
            continue
        for start, end in report.damaged:
            yield Defect(str(path), 0, Flaw.HASH, f"bytes {start} to {end} are damaged")
        if report.missing:
            yield Defect(str(path), 0, Flaw.MISSING, f"{report.missing} records are missing")
        if report.is_altered and not report.damaged and not report.missing:
            reason = "its blocks are not those that were sealed: copied, moved, or of another file"
            yield Defect(str(path), 0, Flaw.HASH, reason)
        if report.torn_at is not None and path != paths[-1]:
            row = report.records
            reason = f"it ends at byte {report.torn_at} after record {row}"
            yield Defect(str(path), row, Flaw.TRUNCATED, reason)


def _of_file(path: Path, part: Part) -> Iterator[Defect]:
    if not path.is_file():
        reason = f"the manifest lists {part.rows} rows of {part.pair}, {part.day}"
        yield Defect(str(path), 0, Flaw.MISSING, f"{reason}; the file is not there")
        return
    size = path.stat().st_size
    if size < part.size or path.read_bytes()[-4:] != b"PAR1":
        reason = f"{size} bytes, expected {part.size}: it ends too early"
        yield Defect(str(path), 0, Flaw.TRUNCATED, reason)
        return
    if (found := sha256_of(path)) != part.sha256:
        reason = f"sha256 {found}, expected {part.sha256}: it was changed after it was written"
        yield Defect(str(path), 0, Flaw.HASH, reason)
    try:
        if (rows := parquet.count(path)) != part.rows:
            yield Defect(str(path), 0, Flaw.MISSING, f"{rows} rows, expected {part.rows}")
    except parquet.ParquetError as error:
        yield Defect(str(path), 0, Flaw.TRUNCATED, str(error))


def _of_rows(folder: Path, parts: Sequence[Part], tell: Tell) -> Iterator[Defect]:
    """Judge the rows of parts that continue each other; gaps are told of by the manifest."""
    judge = Judge(has_running_ids=parts[0].provenance not in _NATIVE)
    for part in sorted(parts, key=lambda one: (one.from_ns, one.path)):
        path = folder / part.path
        number = 0
        try:
            for number, (_, row) in enumerate(told(parquet.read(path, part.channel), tell), 1):
                for found in judge.judge(row):
                    if found.flaw is not Flaw.GAP:
                        yield Defect(str(path), number, found.flaw, found.reason)
        except ValueError as error:  # A file that is not ours, a book that never begins.
            yield Defect(str(path), number, Flaw.FORM, str(error))
