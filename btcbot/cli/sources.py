"""What `--data` names, as a market to play: files of any form, a data set's folder or its name."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from btcbot.domain.ids import Pair
from btcbot.domain.instruments import FeeRates, Instrument
from btcbot.domain.recorded import DatasetError
from btcbot.simulation.recording import Source

if TYPE_CHECKING:
    from btcbot.catalog.dataset import Dataset


class Chosen(Struct, frozen=True):
    """A market to play; rules and fees where the data set states them."""

    source: Source
    digest: Callable[[], str]  # A hash over what is played.
    rules: Instrument | None = None
    fees: FeeRates | None = None
    gaps: int | None = None  # Known to be in it; None: the data does not say.


def choose(given: Sequence[str], data: Path, pair: Pair) -> Chosen:
    """Return what `--data` names: one data set, else files, read in order. Raises DatasetError.

    `data`: the folder of the catalog. `pair` is played of a data set that has it; one that has
    a single other pair plays that.
    """
    from btcbot.catalog.convert import recover
    from btcbot.catalog.dataset import Dataset, find

    first = Path(given[0])
    if first.is_file() or (first.name != given[0] and not (first / "manifest.json").is_file()):
        paths = tuple(map(Path, given))
        return Chosen(source_of_files(paths), lambda: digest_of(paths))
    if len(given) > 1:
        raise DatasetError(f"{given[0]}: no such file; of data sets one is played, not {given}")
    folder = first if (first / "manifest.json").is_file() else find(data, given[0])
    recover(folder)
    return _of_dataset(Dataset(folder), pair)


def source_of_files(paths: Sequence[Path]) -> Source:
    """Return the market recorded in files. Raises DatasetError."""
    from btcbot.catalog import forms

    return Source(
        ", ".join(map(str, paths)), lambda: forms.play(paths), has_book=forms.has_book(paths)
    )


def digest_of(paths: Sequence[Path]) -> str:
    """Return a hash over the bytes of files, one by one. Raises OSError."""
    whole = hashlib.blake2b(digest_size=16)
    for path in paths:
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "blake2b").digest())
    return whole.hexdigest()


def _of_dataset(dataset: "Dataset", pair: Pair) -> Chosen:
    from btcbot.catalog.happenings import happenings, playable

    name, pairs = dataset.manifest.name, dataset.pairs
    if pair not in pairs and len(pairs) != 1:
        held = ", ".join(pairs) or "nothing"
        raise DatasetError(f"{name}: it has {held}; choose one of them with --pair")
    held_pair = pair if pair in pairs else pairs[0]
    channels = playable(dataset.channels(held_pair))
    if not channels:
        raise DatasetError(f"{name}: nothing of {held_pair} in it can be played")
    rules = next((row for row in dataset.manifest.rules if row.pair == pair), None)
    return Chosen(
        Source(
            name,
            lambda: happenings(dataset.rows(held_pair, channels)),
            has_book=not channels.isdisjoint({"depth", "quotes"}),
        ),
        lambda: dataset.digest,
        rules,
        dataset.manifest.fees.get(pair),
        sum(1 for gap in dataset.gaps() if gap.pair == held_pair and gap.channel in channels),
    )
