"""Commands that start processes of their own leave none behind when they are killed."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

BTCBOT = Path(sys.executable).with_name("btcbot")
WAIT_S = 30


def started(parent: psutil.Process, word: str, least: int) -> list[psutil.Process]:
    """Return all processes of `parent` once `least` of them have `word` in their command line."""
    give_up = time.monotonic() + WAIT_S
    while time.monotonic() < give_up:
        found = parent.children(recursive=True)
        try:
            if sum(word in " ".join(one.cmdline()) for one in found) >= least:
                return found
        except psutil.NoSuchProcess:
            pass  # It ended while we looked.
        time.sleep(0.05)
    raise AssertionError(f"{word} was not started {least} times in {WAIT_S} s")


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("arguments", "word", "least"),
    [
        (("bench", "--goal", "G1", "--pairs", "1"), "btcbot.bench.stage", 4),
        (("sim", "--seeds", "400", "--jobs", "2"), "spawn_main", 2),
    ],
)
def test_a_command_that_is_killed_leaves_no_process_behind(
    tmp_path: Path, arguments: tuple[str, ...], word: str, least: int
) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    command = [str(BTCBOT), *arguments, "--home", "home"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as run:
        children = started(psutil.Process(run.pid), word, least)
        run.kill()

    _, alive = psutil.wait_procs(children, WAIT_S)
    left = [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]  # Dead, and not reaped.
    for one in left:
        one.kill()
    assert not left
