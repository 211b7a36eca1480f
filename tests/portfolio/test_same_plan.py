"""The same context gives an identical plan, in any process: hashes are seeded anew in each."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import msgspec

from tests.portfolio.cycle import hundred, whole_cycle

ROOT = Path(__file__).resolve().parents[2]
PRINTS = "from tests.portfolio.test_same_plan import digest; print(digest())"


def digest() -> str:
    """Return the hash of a whole cycle's plan."""
    return hashlib.blake2b(msgspec.json.encode(whole_cycle(*hundred()))).hexdigest()


def test_the_same_context_gives_an_identical_plan_under_other_hash_seeds() -> None:
    for seed in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-c", PRINTS], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        assert told.stdout.strip() == digest()
