"""What a data set says of itself: `manifest.json`, written anew as a whole, or not at all."""

import hashlib
import os
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from btcbot.catalog.intervals import Gap, Interval
from btcbot.catalog.rows import Channel, Provenance
from btcbot.domain.ids import Pair
from btcbot.domain.instruments import FeeRates, Instrument
from btcbot.domain.recorded import DatasetError

FILE: Final = "manifest.json"
VERSION: Final = 1


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Parquet file; never changed once it is listed. Times are those of its rows."""

    path: str  # From the folder of the set.
    channel: Channel
    pair: Pair
    day: str  # UTC, 2026-11-24.
    provenance: Provenance
    rows: int
    from_ns: int
    to_ns: int
    size: int
    sha256: str


class Source(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What rows were made from: a file with its hash, or an address."""

    name: str
    form: str
    rows: int
    sha256: str = ""


class Cursor(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far the raw segments of one writer are converted, and all that going on depends on.

    `covered` and `open_gaps` are as of `heard_ns`: which channels were being heard, which not.
    """

    segment: str = ""
    records: int = 0  # Of that segment,
    size: int = 0  # and its bytes: more of them are news.
    life_ns: int = 0
    number: int = -1  # Of the segment within that life.
    session: int = 0
    heard_ns: int = 0
    change_sets: dict[Pair, int] = {}
    trade_ids: dict[Pair, int] = {}
    covered: tuple[tuple[Channel, Pair], ...] = ()
    open_gaps: tuple[Gap, ...] = ()


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A data set. `rules` and `fees` are of the exchange it was taken from, where known."""

    name: str
    version: int = VERSION
    next_seq: int = 0
    candle_ns: int = 0  # How long its candles are; 0: it has none yet. All are the same.
    rules: tuple[Instrument, ...] = ()
    fees: dict[Pair, FeeRates] = {}
    parts: tuple[Part, ...] = ()
    intervals: tuple[Interval, ...] = ()
    gaps: tuple[Gap, ...] = ()  # Those whose cause is known.
    sources: tuple[Source, ...] = ()
    converted: dict[str, Cursor] = {}  # By the writer of raw segments.


def load(folder: Path) -> Manifest:
    """Return the manifest of a data set. Raises DatasetError."""
    path = folder / FILE
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise DatasetError(f"{folder}: no data set: it has no {FILE}") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise DatasetError(f"{path}: {error}") from None
    if found.version != VERSION:
        raise DatasetError(f"{path}: version {found.version}; this btcbot reads {VERSION}")
    return found


def save(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest: after a crash either the old one is there or the new one."""
    encoded = msgspec.json.encode(manifest, enc_hook=str)
    replace(folder / FILE, msgspec.json.format(encoded, indent=1) + b"\n")


def replace(path: Path, content: bytes) -> None:
    """Put `content` at `path` as a whole, on the disk when this returns."""
    draft = path.with_name(f"{path.name}.new")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def sha256_of(path: Path) -> str:
    """Return the hash of a file's bytes. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
