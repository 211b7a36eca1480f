"""supervisord when nothing can be logged: it goes on starting what has ended, and at once."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TextIO, cast

import pytest
from supervisor import loggers  # type: ignore[import-untyped]

from btcbot.cli.supervise import Enduring, Forgiving

# Every write to /dev/full fails as one to a full disk does.
CONF = """
[supervisord]
nodaemon=true
pidfile={folder}/pid
logfile=/dev/full
logfile_maxbytes=0
[program:talker]
command=/bin/sh -c "echo said; echo once >> {folder}/lives; sleep 0.1"
startsecs=0
autorestart=true
redirect_stderr=true
stdout_logfile=/dev/full
stdout_logfile_maxbytes=0
"""


def lives(module: str, folder: Path, wanted: int) -> tuple[int, int | None]:
    """Run supervisord as `module` until its program lived `wanted` times, or it ends.

    Return how often that was, and its exit code where it ended by itself.
    """
    conf = folder / "supervisord.conf"
    conf.write_text(CONF.format(folder=folder), encoding="ascii")
    as_root = ["--user", "root"] if os.geteuid() == 0 else []
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", module, "-c", conf, "--silent", *as_root],
            stdin=subprocess.DEVNULL, stdout=full, stderr=full, cwd=folder,
        )  # fmt: skip
    counted, give_up = 0, time.monotonic() + 30
    try:
        while process.poll() is None and counted < wanted and time.monotonic() < give_up:
            time.sleep(0.05)
            if (folder / "lives").exists():
                counted = len((folder / "lives").read_text(encoding="ascii").split())
        return counted, process.poll()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def test_it_lives_on_while_neither_its_log_nor_stderr_can_be_written(tmp_path: Path) -> None:
    assert lives("btcbot.cli.supervise", tmp_path, 3) == (3, None)


def test_supervisord_by_itself_does_not(tmp_path: Path) -> None:
    """The test above proves nothing of one that would have lived anyway."""
    counted, code = lives("supervisor.supervisord", tmp_path, 3)

    assert counted < 3
    assert code not in (None, 0)


def test_a_log_that_cannot_be_rotated_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    (tmp_path / "x.log.1" / "in the way").mkdir(parents=True)
    plain = loggers.RotatingFileHandler(str(path), maxBytes=10, backupCount=1)
    record = loggers.LogRecord(loggers.LevelsByName.INFO, "0123456789\n")
    with pytest.raises(OSError, match=r"x\.log"):
        plain.emit(record)
    handler = Enduring(str(path), maxBytes=10, backupCount=1)

    for _ in range(3):
        handler.emit(record)
    (tmp_path / "x.log.1" / "in the way").rmdir()
    (tmp_path / "x.log.1").rmdir()
    handler.emit(record)

    assert path.read_bytes() == b""
    assert (tmp_path / "x.log.1").read_bytes() == b"0123456789\n" * 5
    handler.close()


def test_a_stream_that_is_gone_takes_what_is_said_and_keeps_quiet() -> None:
    gone = io.StringIO()
    gone.close()
    stream = Forgiving(cast("TextIO", gone))

    assert stream.write("nobody hears") == len("nobody hears")
    stream.flush()


def test_what_ended_is_started_anew_within_tenths_of_a_second(tmp_path: Path) -> None:
    """Its program lives a tenth of a second; supervisord by itself would wait one after each."""
    began = time.monotonic()
    assert lives("btcbot.cli.supervise", tmp_path, 10) == (10, None)
    assert time.monotonic() - began < 7
