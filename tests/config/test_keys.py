"""Every key changes what btcbot does: tests/keys.toml has the test that proves it.

A new key fails this file until it has a line there. Name a test that sets the key (or the field it
is) to two values and sees another behaviour: an order refused, a read more, a file elsewhere; that
it parses proves nothing. `configured(risk__your_key=5)` of tests/config/settled.py sets keys as a
person would, `floor(...)` gives execution's desk with them.
"""

import ast
import tomllib
from functools import cache
from pathlib import Path

import pytest

from btcbot.config import Config
from btcbot.layers import flatten, leaves

ROOT = Path(__file__).resolve().parents[2]
KEYS = [leaf.key for leaf in leaves(Config)]
PROOFS: dict[str, str] = dict(
    flatten(tomllib.loads((ROOT / "tests" / "keys.toml").read_text(encoding="utf-8")))
)
# The keeper of copies has these two under names of its own.
ITS_NAME = {"store.backup_interval_s": "every_s", "store.backup_keep": "keep"}


def test_every_key_has_a_proof_and_every_proof_a_key() -> None:
    assert [key for key in KEYS if key not in PROOFS] == [], "add the test that proves each"
    assert [key for key in PROOFS if key not in KEYS] == [], "there are no such keys"


@pytest.mark.parametrize("key", PROOFS)
def test_each_proof_is_a_test_in_a_file_that_names_its_key(key: str) -> None:
    file, name = PROOFS[key].split("::")
    text = (ROOT / file).read_text(encoding="utf-8")

    assert f"def {name}(" in text, f"{key}: no such test: {PROOFS[key]}"
    assert ITS_NAME.get(key, key.rpartition(".")[2]) in text, f"{key}: {file} never names it"


@pytest.mark.parametrize("key", KEYS)
def test_each_key_is_read_where_something_is_done(key: str) -> None:
    """A key that only its own section knows is one that nobody obeys."""
    assert key.rpartition(".")[2] in attributes_read()


@cache
def attributes_read() -> frozenset[str]:
    """Return every attribute that code reads, but for the sections and their reference."""
    apart = {ROOT / "btcbot" / "sections.py", ROOT / "btcbot" / "cli" / "reference.py"}
    found: set[str] = set()
    for path in (*(ROOT / "btcbot").rglob("*.py"), *(ROOT / "actors").rglob("*.py")):
        if path not in apart:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return frozenset(found)
