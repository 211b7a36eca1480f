"""Real programs for tests of capture: a sandbox exchange, and whatever listens to it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

BTCBOT: Final = (sys.executable, "-m", "btcbot.cli.main")
WAIT_S: Final = 40.0


@contextmanager
def program(
    *arguments: str, settings: Mapping[str, str] | None = None, output: Path = Path(os.devnull)
) -> Iterator[subprocess.Popen[str]]:
    """Run `btcbot` with `settings` as its whole configuration; it is killed when this is left."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("BTCBOT__")}
    with (
        output.open("w", encoding="utf-8") as errors,
        subprocess.Popen(
            [*BTCBOT, *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**clean, **(settings or {})},
            text=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def sandbox(*arguments: str) -> Iterator[str]:
    """Run a sandbox on a free port; give its address."""
    with program("sandbox", "--port", "0", *arguments) as process:
        assert process.stdout is not None
        yield process.stdout.readline().removeprefix("sandbox: ").strip()


def wait_for(is_so: Callable[[], object], what: str = "it") -> None:
    """Wait until `is_so`. Fails after a time that is long for any machine."""
    ends_s = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < ends_s, f"{what} did not come about in {WAIT_S} s"
        time.sleep(0.02)


def end(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> int:
    """Tell a program to end; return its exit code."""
    process.send_signal(number)
    return process.wait(WAIT_S)
