"""Appends rows to a data set in bounded memory: the set has all of them at `commit`, or none.

Rows are held as columns, 40 bytes a level, and the largest partition is written whenever all of
them together grow too large: memory does not grow with the number of pairs or with the day.
"""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from btcbot.catalog import parquet
from btcbot.catalog.intervals import RANK, Gap, Interval, Span, inside, merged, union
from btcbot.catalog.manifest import Manifest, Part, Source, save, sha256_of
from btcbot.catalog.rows import CHANNEL_OF, Candle, Channel, Depth, Provenance, Row, start_ns
from btcbot.domain.ids import Pair
from btcbot.domain.recorded import DatasetError

DAY_NS: Final = 86_400_000_000_000
HELD_MAX: Final = 1_000_000  # Rows and levels, of all partitions together.
PART_MAX: Final = 500_000  # Rows and levels of one part: it is read as a whole.
LOOSE_MAX: Final = 4_000  # Rows and levels of one partition that are not columns yet.
Key = tuple[Channel, Pair, int]  # The day as a number.


class _Held(Struct):
    """What waits to be written of one partition."""

    loose: list[parquet.Numbered] = field(default_factory=list)
    loose_weight: int = 0
    frames: list[Any] = field(default_factory=list)
    weight: int = 0


class Writer:
    """Writes rows of one provenance into the data set in `folder`, which must be locked.

    A row of a time that something as good or better covers already is dropped, and counted.
    """

    def __init__(self, folder: Path, manifest: Manifest, provenance: Provenance) -> None:
        self._folder, self._provenance = folder, provenance
        self._held: dict[Key, _Held] = {}
        self._weight = 0
        self._parts: list[Part] = []
        self._intervals: list[Interval] = []
        self._gaps: list[Gap] = []
        self._sources: list[Source] = []
        self._last_ns: dict[tuple[Channel, Pair], int] = {}
        self._candle_ns = 0
        self.pairs: set[Pair] = set()
        self.rows = 0
        self.dropped = 0
        self._begin(manifest)

    def add(self, pair: Pair, row: Row) -> None:
        """Take the next row of its channel and pair; time never goes back."""
        channel = CHANNEL_OF[type(row)]
        place = (channel, pair)
        self.pairs.add(pair)
        assert row.at_ns >= self._last_ns.get(place, 0), f"{place}: time goes back: {row}"
        self._last_ns[place] = row.at_ns
        if isinstance(row, Candle):
            self._judge_span(row)
        if inside(self._covered.get(place, ()), start_ns(row)):
            self.dropped += 1
            return
        held = self._held.setdefault((*place, row.at_ns // DAY_NS), _Held())
        weight = 1 + len(row.bids) + len(row.asks) if isinstance(row, Depth) else 1
        held.loose.append((self._seq, row))
        held.loose_weight += weight
        held.weight += weight
        self._seq += 1
        self._weight += weight
        self.rows += 1
        if held.loose_weight >= LOOSE_MAX:
            _pack(held, channel)
        if held.weight >= PART_MAX:
            self._write((*place, row.at_ns // DAY_NS))
        elif self._weight >= HELD_MAX:
            self._write(max(self._held, key=lambda key: self._held[key].weight))

    def _judge_span(self, row: Candle) -> None:
        span_ns = row.at_ns - row.open_ns
        self._candle_ns = self._candle_ns or span_ns
        if span_ns != self._candle_ns:
            raise DatasetError(
                f"candles of {span_ns / 1e9:g} s; {self._manifest.name} has candles of"
                f" {self._candle_ns / 1e9:g} s: bring these into a data set of their own"
            )

    def cover(self, channel: Channel, pair: Pair, span: Span) -> None:
        """Say that the set now has all of `span`."""
        self._intervals.append(
            Interval(
                channel=channel,
                pair=pair,
                from_ns=span[0],
                to_ns=span[1],
                provenance=self._provenance,
            )
        )

    def explain(self, gap: Gap) -> None:
        """Say why there is no data in a gap."""
        self._gaps.append(gap)

    def came_from(self, source: Source) -> None:
        self._sources.append(source)

    def commit(self, **changes: Any) -> Manifest:  # noqa: ANN401 - fields of Manifest
        """Put everything on the disk and into the manifest; `changes`: other fields of it."""
        for key in sorted(self._held):
            self._write(key)
        old = self._manifest
        known = (*old.gaps, *self._gaps)
        manifest = msgspec.structs.replace(
            old,
            next_seq=self._seq,
            candle_ns=self._candle_ns,
            parts=(*old.parts, *self._parts),
            intervals=tuple(merged((*old.intervals, *self._intervals))),
            gaps=tuple(dict.fromkeys(known)),
            sources=(*old.sources, *self._sources),
            **changes,
        )
        save(self._folder, manifest)
        self._parts, self._intervals, self._gaps, self._sources = [], [], [], []
        self._begin(manifest)
        return manifest

    def abandon(self) -> None:
        """Leave the set as it was at the last commit."""
        for part in self._parts:
            path = self._folder / part.path
            path.unlink(missing_ok=True)
            for above in path.relative_to(self._folder).parents:
                with suppress(OSError):  # Others are in it.
                    (self._folder / above).rmdir()
        self._parts, self._held, self._weight = [], {}, 0

    def _begin(self, manifest: Manifest) -> None:
        self._manifest, self._seq = manifest, manifest.next_seq
        self._candle_ns = manifest.candle_ns
        spans: dict[tuple[Channel, Pair], list[Span]] = {}
        for one in manifest.intervals:
            if RANK[one.provenance] <= RANK[self._provenance]:
                spans.setdefault((one.channel, one.pair), []).append((one.from_ns, one.to_ns))
        self._covered = {place: union(found) for place, found in spans.items()}

    def _write(self, key: Key) -> None:
        """Write what is held of a partition as its next part."""
        channel, pair, day_number = key
        held = self._held.pop(key)
        _pack(held, channel)
        frame = parquet.joined(held.frames)
        self._weight -= held.weight
        day = f"{datetime.fromtimestamp(day_number * DAY_NS // 10**9, UTC):%Y-%m-%d}"
        folder = f"{channel}/{pair}/{day}"
        number = 1 + sum(
            (one.channel, one.pair, one.day) == (channel, pair, day)
            for one in (*self._manifest.parts, *self._parts)
        )
        name = f"{folder}/{number:04}.parquet"
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        from_ns, to_ns = parquet.write(path, frame)
        self._parts.append(
            Part(
                path=name,
                channel=channel,
                pair=pair,
                day=day,
                provenance=self._provenance,
                rows=frame.height,
                from_ns=from_ns,
                to_ns=to_ns,
                size=path.stat().st_size,
                sha256=sha256_of(path),
            )
        )


def _pack(held: _Held, channel: Channel) -> None:
    """Make columns of the rows that are not yet."""
    if held.loose:
        held.frames.append(parquet.frame_of(channel, held.loose))
    held.loose, held.loose_weight = [], 0
