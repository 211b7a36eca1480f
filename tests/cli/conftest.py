"""What tests of the command line stand in."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.terminal import Terminal


@pytest.fixture
def terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Terminal]:
    """Stand in a folder with a short path: sockets of its home have to fit."""
    with tempfile.TemporaryDirectory(prefix="b") as name:
        yield Terminal(Path(name), monkeypatch, capsys)
        monkeypatch.undo()
