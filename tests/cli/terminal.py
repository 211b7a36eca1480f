"""`btcbot` as a person calls it, without a process of its own, and what the call reached for."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec import Struct

from btcbot.cli import ctl, main
from btcbot.cli.common import run

PROGRAMS = {"btcbot": main.group, "btcbot-ctl": ctl.group}
# What starts something, or speaks to somebody (sys.addaudithook).
REACHES = ("socket.connect", "subprocess.Popen", "os.fork", "os.exec", "os.posix_spawn")
_watching: list[list[str]] = []


def _hook(event: str, _arguments: object) -> None:
    if _watching and event in REACHES:
        _watching[-1].append(event)


sys.addaudithook(_hook)  # For good: Python takes none back, so it does nothing unless asked to.


class Ended(Struct, frozen=True):
    """How one call ended, and what it did on the way that reaches beyond this process."""

    code: int
    out: str
    err: str
    reached: list[str]


class Terminal:
    """A folder to stand in, with no setting but those given and no home but in it."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder, self._patch, self._capsys = folder, monkeypatch, capsys
        for name in [name for name in os.environ if name.upper().startswith("BTCBOT_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(folder / "user"))
        monkeypatch.chdir(folder)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def btcbot(self, *arguments: str, **settings: str) -> Ended:
        """Call `btcbot` with `arguments` and with `settings` in the environment."""
        return self.call("btcbot", *arguments, **settings)

    def call(self, program: str, *arguments: str, **settings: str) -> Ended:
        """Call `btcbot` or `btcbot-ctl`."""
        with self._patch.context() as patch, watching() as reached:
            for name, value in settings.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", [program, *arguments])
            with pytest.raises(SystemExit) as ended:
                run(PROGRAMS[program], program)
        said = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, said.out, said.err, reached)


@contextmanager
def watching() -> Iterator[list[str]]:
    """Yield a list of what is reached for meanwhile."""
    _watching.append([])
    try:
        yield _watching[-1]
    finally:
        _watching.pop()
