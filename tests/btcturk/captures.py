"""Samples of the real exchange's answers and frames: the shared folder, else our copy of it."""

import json
from pathlib import Path
from typing import Any

COPY = Path(__file__).parent / "samples"
SHARED = Path(__file__).parents[3] / "shared" / "btcturk-samples"
FOLDER = SHARED if SHARED.is_dir() else COPY


def sample(name: str) -> bytes:
    """Return one sample as it came over the wire."""
    return (FOLDER / f"{name}.json").read_bytes()


def tree(name: str) -> Any:
    return json.loads(sample(name))


def names(pattern: str = "*") -> list[str]:
    """Return the names of all samples that match, of which there must be some."""
    found = sorted(path.stem for path in FOLDER.glob(f"{pattern}.json"))
    assert found, f"no sample {pattern} in {FOLDER}"
    return found
