"""Foreign files into a data set: judged row by row, and refused whole if anything is wrong.

Gaps are no reason to refuse: the set then says where it has no data.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

from msgspec import Struct, field

from btcbot.catalog import forms, replay
from btcbot.catalog.defects import Defect, Finding, Flaw, Judge
from btcbot.catalog.intervals import Span
from btcbot.catalog.manifest import Source, sha256_of
from btcbot.catalog.place import WRONG, Place
from btcbot.catalog.rows import CHANNEL_OF, Candle, Channel, Row
from btcbot.catalog.writer import Writer
from btcbot.domain.ids import Pair
from btcbot.domain.recorded import DatasetError

T = TypeVar("T")
TOLD_EVERY: Final = 5_000
Tell = Callable[[int], None]
"""Called now and then with how many rows more were read."""


class Coverage(Struct):
    """The times that rows cover: from the first to the last, broken where something is missing."""

    spans: dict[Channel, list[Span]] = field(default_factory=dict)

    def note(self, row: Row, *, is_after_gap: bool) -> None:
        start, end = (
            (row.open_ns, row.at_ns) if isinstance(row, Candle) else (row.at_ns, row.at_ns + 1)
        )
        spans = self.spans.setdefault(CHANNEL_OF[type(row)], [])
        if spans and not is_after_gap:
            spans[-1] = (spans[-1][0], max(spans[-1][1], end))
        else:
            spans.append((start, end))


class Judged(Struct, frozen=True):
    """A row as it stands in a file, with what is wrong with it."""

    file: str
    number: int
    row: Row
    findings: tuple[Finding, ...]


def judged(
    paths: Sequence[Path], on_defect: Callable[[Defect], None], judge: Judge | None = None
) -> Iterator[Judged]:
    """Yield the rows that can be read of files that belong together, in order.

    What cannot be read goes to `on_defect`; so do the findings, all of them.
    """
    judge = judge or Judge(has_running_ids=True)
    for path in paths:

        def wrong(row: int, reason: str, file: str = str(path)) -> None:
            on_defect(Defect(file, row, Flaw.VALUE, reason))

        place = Place(on_wrong=wrong)
        try:
            for row in forms.rows(path, place):
                findings = _findings(judge, row, place)
                for found in findings:
                    on_defect(Defect(str(path), place.row, found.flaw, found.reason))
                yield Judged(str(path), place.row, row, findings)
        except forms.Truncated as error:
            on_defect(Defect(str(path), place.row, Flaw.TRUNCATED, str(error)))
        except DatasetError as error:
            on_defect(Defect(str(path), place.row, Flaw.FORM, str(error)))


def import_files(paths: Sequence[Path], pair: Pair, writer: Writer, tell: Tell) -> list[Defect]:
    """Add the rows of files to a data set as rows of `pair`; return what is wrong with them.

    Where the answer is not empty, nothing may be committed. Gaps are not in it.
    """
    defects: list[Defect] = []
    coverage = Coverage()
    rows = Counter[str]()

    def note(defect: Defect) -> None:
        if defect.flaw is not Flaw.GAP:
            defects.append(defect)

    for one in told(judged(paths, note), tell):
        if not defects:
            writer.add(pair, one.row)
        coverage.note(one.row, is_after_gap=any(f.flaw is Flaw.GAP for f in one.findings))
        rows[one.file] += 1
    if not defects:
        _attest(paths, pair, writer, coverage, rows)
    return defects


def _attest(
    paths: Sequence[Path], pair: Pair, writer: Writer, coverage: Coverage, rows: Counter[str]
) -> None:
    """Say what the set now covers, and what it was made from."""
    for channel, spans in coverage.spans.items():
        for span in spans:
            writer.cover(channel, pair, span)
    for path in paths:
        form, count = forms.form_of(path).name, rows[str(path)]
        writer.came_from(Source(name=path.name, form=form, rows=count, sha256=sha256_of(path)))


def told(rows: Iterable[T], tell: Tell) -> Iterator[T]:
    """Yield `rows`, telling now and then how many more there were."""
    for count, row in enumerate(rows, 1):
        yield row
        if count % TOLD_EVERY == 0:
            tell(TOLD_EVERY)


def _findings(judge: Judge, row: Row, place: Place) -> tuple[Finding, ...]:
    try:
        return tuple(judge.judge(row))
    except WRONG as error:  # A book that never begins.
        place.wrong(error)
        return ()


def import_replay(folder: Path, writer: Writer, tell: Tell) -> list[Defect]:
    """Add the rows of a replay dataset to a data set; return what is wrong with them.

    Equal times are allowed in it. Where the answer is not empty, nothing may be committed.
    """
    defects = [
        defect
        for symbol in replay.symbols(folder)
        for defect in _import_symbol(folder, symbol, writer, tell)
    ]
    for path in sorted(folder.glob("*/*.csv")):
        hashed = sha256_of(path)
        name = str(path.relative_to(folder))
        writer.came_from(Source(name=name, form="replay dataset", rows=0, sha256=hashed))
    return defects


def _import_symbol(folder: Path, symbol: Pair, writer: Writer, tell: Tell) -> list[Defect]:
    judge, coverage = Judge(has_running_ids=False), Coverage()
    defects: list[Defect] = []
    for file, number, row in told(replay.rows(folder, symbol), tell):
        findings = tuple(judge.judge(row))
        defects += (
            Defect(file, number, one.flaw, one.reason)
            for one in findings
            if one.flaw not in {Flaw.GAP, Flaw.DUPLICATE}
        )
        if not defects:
            writer.add(symbol, row)
        coverage.note(row, is_after_gap=any(one.flaw is Flaw.GAP for one in findings))
    for channel, spans in coverage.spans.items():
        for span in spans:
            writer.cover(channel, symbol, span)
    return defects
