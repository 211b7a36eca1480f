"""A second execution on the same home has no key, no database and no exchange: it never was."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from bus.zeromq import lock

ROOT: Final = Path(__file__).parents[2]


def test_a_second_execution_ends_before_it_opens_anything(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "run").mkdir(parents=True)
    home.chmod(0o700)
    held = lock(home / "run" / "exec.lock")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "btcbot.cli.main", "actor", "execution"],
            cwd=ROOT,
            env={
                **os.environ,
                "BTCBOT__HOME": str(home),
                "BTCBOT__EXCHANGE__API_KEY_FILE": str(tmp_path / "no-such-key"),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(held)

    assert done.returncode == 75, done.stderr  # 78 if it had looked for its key.
    assert not (home / "btcbot.db").exists()
    assert not [path.name for path in home.iterdir() if path.name.startswith("btcbot.db")]
    assert not [path for path in (home / "run").iterdir() if path.is_socket()]


def test_alone_it_opens_the_database(tmp_path: Path) -> None:
    """The test above proves nothing where an execution never comes so far."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    process = subprocess.Popen(
        [sys.executable, "-m", "btcbot.cli.main", "actor", "execution"],
        cwd=ROOT,
        env={**os.environ, "BTCBOT__HOME": str(home)},
        stderr=subprocess.DEVNULL,
    )
    try:
        while not (home / "btcbot.db").exists():
            assert process.poll() is None, "it ended by itself"
            # It begins in a moment; the test's own time-out ends a wait that is in vain.
            process_is_slow(process)
    finally:
        process.terminate()
        process.wait(30)


def process_is_slow(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(0.05)
    except subprocess.TimeoutExpired:
        return
