"""Which code this is: a hash over its sources, which any change of them changes."""

from functools import cache
from hashlib import blake2b
from pathlib import Path

PACKAGES = ("actors", "btcbot", "bus")


@cache
def code() -> str:
    """Return 12 hex digits over the sources of the three packages, wherever they are installed."""
    root = Path(__file__).resolve().parents[1]
    found = blake2b(digest_size=6)
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            found.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()
