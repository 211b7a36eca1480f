"""Plants one fault in a copy of the code and sees whether the tests notice.

`python -m tests.mutants.planted [NAME...]`: each mutant of `mutants.toml` is a small change of a
text that stands exactly once in a file; the commands beside it must then fail, and the first that
does has caught it. A mutant whose text is not found is a failure too: the code has moved on.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import msgspec
from msgspec import Struct

ROOT: Final = Path(__file__).parents[2]
TABLE: Final = Path(__file__).with_name("mutants.toml")
COPIED: Final = ("actors", "bus", "btcbot", "tests", "scripts", "docs", "pyproject.toml")
LONGEST_S: Final = 900.0


class Change(Struct, frozen=True, forbid_unknown_fields=True):
    file: str
    old: str
    new: str


class Mutant(Struct, frozen=True, forbid_unknown_fields=True):
    """`must_fail`: argument lists for Python, each tried until one exits with another code than 0.

    `within`: what the first of them amounts to, for people.
    """

    number: int
    name: str
    changes: list[Change]
    must_fail: list[list[str]]
    within: str


def load() -> list[Mutant]:
    """Return the table, in order of number."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return sorted(msgspec.convert(table["mutant"], list[Mutant]), key=lambda one: one.number)


def caught_by(mutant: Mutant) -> str:
    """Return the command that caught `mutant`; "" when it lives."""
    with tempfile.TemporaryDirectory(prefix="btcbot-mutant-") as name:
        folder = Path(name)
        for part in COPIED:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, folder / part)
        for change in mutant.changes:
            _plant(folder / change.file, change, mutant)
        for arguments in mutant.must_fail:
            if _fails(arguments, folder):
                return " ".join(arguments)
    return ""


def _plant(path: Path, change: Change, mutant: Mutant) -> None:
    text = path.read_text(encoding="utf-8")
    if text.count(change.old) != 1:
        raise ValueError(
            f"mutant {mutant.number} ({mutant.name}): {change.old!r} stands "
            f"{text.count(change.old)} times in {change.file}; expected once"
        )
    path.write_text(text.replace(change.old, change.new), encoding="utf-8")


def _fails(arguments: list[str], folder: Path) -> bool:
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True,
            timeout=LONGEST_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return True  # It hangs: the code as it is does not.
    return done.returncode != 0


def judged(names: list[str]) -> Iterator[tuple[Mutant, str, float]]:
    """Yield each mutant with what caught it and the seconds that took."""
    for mutant in load():
        if not names or mutant.name in names or str(mutant.number) in names:
            began = time.monotonic()
            yield mutant, caught_by(mutant), time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    lives = 0
    for mutant, by, took_s in judged(parser.parse_args().names):
        lives += not by
        verdict = f"caught by {by}" if by else "LIVES"
        click.echo(f"{mutant.number:>2} {mutant.name}: {verdict} ({took_s:.0f} s)")
    click.echo(f"{lives} mutants live")
    return 7 if lives else 0


if __name__ == "__main__":
    sys.exit(main())
