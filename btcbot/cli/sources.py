"""What `--data` names, as a market to play: files of any form, a data set's folder or its name."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from btcbot.domain.ids import Pair
from btcbot.domain.instruments import FeeRates, Instrument
from btcbot.domain.recorded import DatasetError
from btcbot.simulation.recording import Source

if TYPE_CHECKING:
    from btcbot.catalog.dataset import Dataset


ALL: Final = "all"  # Pairs of a data set.


class Chosen(Struct, frozen=True):
    """A market to play; rules and fees where the data set states them."""

    source: Source
    digest: Callable[[], str]  # A hash over what is played.
    rules: Instrument | None = None
    fees: FeeRates | None = None
    gaps: int | None = None  # Known to be in it; None: the data does not say.


def choose(given: Sequence[str], data: Path, names: Sequence[str]) -> dict[Pair, Chosen]:
    """Return the market of each pair of `--pair` in what `--data` names. Raises DatasetError.

    That is one data set, else files, read in order, which are of one pair. `data`: the folder of
    the catalog; `names`: pairs, or `all` of the data set. A data set that has a single pair plays
    it as the one that is wanted.
    """
    dataset = _dataset(given, data)
    if dataset is None:
        paths = tuple(map(Path, given))
        return {_only(names): Chosen(source_of_files(paths), lambda: digest_of(paths))}
    pairs = sorted(dataset.pairs) if ALL in names else list(dict.fromkeys(map(Pair, names)))
    if not pairs:
        raise DatasetError(f"{dataset.manifest.name}: it has no pair")
    return {pair: _of_dataset(dataset, pair, is_alone=len(pairs) == 1) for pair in pairs}


def _only(names: Sequence[str]) -> Pair:
    """Return the one pair that files are played as. Raises DatasetError."""
    if ALL in names or len(set(names)) > 1:
        raise DatasetError(
            f"files are of one pair, and wanted are {', '.join(names)}: name one, or import them"
            " into a data set with `btcbot data import`"
        )
    return Pair(names[0])


def _dataset(given: Sequence[str], data: Path) -> "Dataset | None":
    """Return the data set that is named; None: files are. Raises DatasetError."""
    from btcbot.catalog.convert import recover
    from btcbot.catalog.dataset import Dataset, find

    first = Path(given[0])
    if first.is_file() or (first.name != given[0] and not (first / "manifest.json").is_file()):
        return None
    if len(given) > 1:
        raise DatasetError(f"{given[0]}: no such file; of data sets one is played, not {given}")
    folder = first if (first / "manifest.json").is_file() else find(data, given[0])
    recover(folder)
    return Dataset(folder)


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


def _of_dataset(dataset: "Dataset", pair: Pair, *, is_alone: bool) -> Chosen:
    from btcbot.catalog.happenings import happenings, playable

    name, pairs = dataset.manifest.name, dataset.pairs
    if pair not in pairs and (len(pairs) != 1 or not is_alone):
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
