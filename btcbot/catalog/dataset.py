"""A data set: a folder with a manifest, and Parquet by channel, pair and UTC day.

    NAME/manifest.json
    NAME/trades/BTCTRY/2026-11-24/0001.parquet

Parts are never changed: what is added is a new part, then a new manifest. A process that dies in
between leaves a part that no manifest lists, which the next one writes over.
"""

import fcntl
import hashlib
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from heapq import merge
from pathlib import Path
from typing import Final

import msgspec

from btcbot.catalog import parquet
from btcbot.catalog.intervals import END_NS, RANK, Gap, Span, gaps, inside, union
from btcbot.catalog.manifest import Manifest, Part, load
from btcbot.catalog.rows import Channel, Row, start_ns
from btcbot.domain.ids import Pair
from btcbot.domain.recorded import DatasetError

SETS: Final = "sets"
FOREVER: Final[Span] = (0, END_NS)
Ordered = tuple[int, int, Row]
"""(time, number, row): the order in which rows are read."""


class Busy(Exception):
    """Another process writes to this data set."""


class Dataset:
    """One data set, as its manifest says; nothing is read before it is asked for."""

    def __init__(self, folder: Path) -> None:
        """Open a data set. Raises DatasetError."""
        self.folder = folder
        self.manifest: Manifest = load(folder)

    @property
    def pairs(self) -> list[Pair]:
        return sorted({part.pair for part in self.manifest.parts})

    @property
    def digest(self) -> str:
        """A hash over what is in the set: names and hashes of its parts, rules and fees."""
        manifest = self.manifest
        said = (manifest.rules, manifest.fees, manifest.parts, manifest.intervals)
        whole = msgspec.json.encode(said, enc_hook=str)
        return hashlib.blake2b(whole, digest_size=16).hexdigest()

    def channels(self, pair: Pair) -> frozenset[Channel]:
        return frozenset(part.channel for part in self.manifest.parts if part.pair == pair)

    def gaps(self) -> list[Gap]:
        """Return every gap with its cause; see `intervals.gaps`."""
        return gaps(self.manifest.intervals, self.manifest.gaps)

    def covers(self, channel: Channel, pair: Pair, at_ns: int) -> bool:
        """Return whether there is data of this moment: then no row means that nothing happened."""
        return any(
            one.from_ns <= at_ns < one.to_ns and (one.channel, one.pair) == (channel, pair)
            for one in self.manifest.intervals
        )

    def rows(
        self, pair: Pair, channels: Collection[Channel], span: Span = FOREVER
    ) -> Iterator[Row]:
        """Yield the rows of a pair in the order in which they were known, at most once each.

        Where two provenances cover the same time, the better one's rows are it. Raises
        DatasetError, also later.
        """
        try:
            streams = [self._channel(pair, channel, span) for channel in sorted(channels)]
            for _, _, row in merge(*streams):
                yield row
        except (OSError, parquet.ParquetError) as error:
            raise DatasetError(str(error)) from None

    def _channel(self, pair: Pair, channel: Channel, span: Span) -> Iterator[Ordered]:
        chosen = [
            part
            for part in self.manifest.parts
            if (part.pair, part.channel) == (pair, channel)
            and part.from_ns < span[1]
            and part.to_ns >= span[0]
        ]
        return merge(*(self._chain(chain, span) for chain in _chains(chosen)))

    def _chain(self, parts: Sequence[Part], span: Span) -> Iterator[Ordered]:
        """Yield the rows of parts that follow each other in time."""
        for part in parts:
            better = self._better(part)
            for seq, row in parquet.read(self.folder / part.path, part.channel):
                if span[0] <= row.at_ns < span[1] and not inside(better, start_ns(row)):
                    yield row.at_ns, seq, row

    def _better(self, part: Part) -> list[Span]:
        """Return the times of a part's channel for which there is something better."""
        return union(
            (one.from_ns, one.to_ns)
            for one in self.manifest.intervals
            if (one.channel, one.pair) == (part.channel, part.pair)
            and RANK[one.provenance] < RANK[part.provenance]
        )


def find(data: Path, name: str) -> Path:
    """Return the folder of a data set by its name. Raises DatasetError, which names the others."""
    if not is_name(name) or not (data / SETS / name / "manifest.json").is_file():
        known = ", ".join(names(data)) or "none"
        raise DatasetError(f"no data set {name!r} in {data / SETS}; there are: {known}")
    return data / SETS / name


def names(data: Path) -> list[str]:
    """Return the names of all data sets."""
    return sorted(path.parent.name for path in (data / SETS).glob("*/manifest.json"))


def is_name(text: str) -> bool:
    """Return whether this may name a data set: letters, digits, "-", "_" and ".", no path."""
    return text.replace("-", "").replace("_", "").replace(".", "").isalnum() and text[0] != "."


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a data set for writing; the kernel lets go when the process ends. Raises Busy."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Busy(f"{folder}: another process writes to this data set") from None
    finally:
        os.close(descriptor)


def _chains(parts: Sequence[Part]) -> list[list[Part]]:
    """Return the parts in as few rows of parts as follow each other without overlap in time."""
    chains: list[list[Part]] = []
    for part in sorted(parts, key=lambda one: (one.from_ns, one.path)):
        for chain in chains:
            if chain[-1].to_ns <= part.from_ns:
                chain.append(part)
                break
        else:
            chains.append([part])
    return chains
