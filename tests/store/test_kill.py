"""Killed at any moment, a writer has lost nothing that it had said was written."""

import random
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from btcbot.store.writer import Writer
from tests.store.facts import recorded

ROOT: Final = Path(__file__).parents[2]
KILLS: Final = 15
# Commits one fact or several at a time, and says the head after each commit.
PROGRAM: Final = """
import sys
from btcbot.store.writer import Writer
from tests.store.facts import commit, recorded

writer = Writer(sys.argv[1])
writer.verify()
writer.epoch = int(sys.argv[2])
while True:
    first = writer.head + 1
    commit(writer, *map(recorded, range(first, first + 1 + first % 4)))
    if writer.head % 7 == 0:
        writer.checkpoint()
    sys.stdout.write(f"{writer.head}\\n")
    sys.stdout.flush()
"""


@pytest.mark.timeout(300)
def test_nothing_acknowledged_is_lost_when_the_writer_is_killed(tmp_path: Path) -> None:
    chance = random.Random(20261126)
    database, acknowledged = tmp_path / "btcbot.db", 0

    for life in range(1, KILLS + 1):
        commits_to_live = chance.randint(1, 60)
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(database), str(life)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert process.stdout is not None
        for _ in range(commits_to_live):
            acknowledged = int(process.stdout.readline())
        process.kill()  # While it commits the next ones, as fast as it can.
        said = process.stdout.read().split("\n")[:-1]  # What follows the last end is half a line.
        process.stdout.close()
        process.wait()
        acknowledged = int(said[-1]) if said else acknowledged

        writer = Writer(str(database))
        writer.verify()
        assert writer.head >= acknowledged
        assert_whole(writer)
        writer.close()


def assert_whole(writer: Writer) -> None:
    """Every fact up to the head is there once, with the row that belongs to it."""
    seen, through, before = 0, 0, -1
    while through != before:
        before = through
        page, through = writer.reader.facts_after(before, ("recorded",), 500)
        for seq, fact in page:
            seen += 1
            assert (seq, fact) == (seen, recorded(seen))
    assert seen == writer.head
    [count] = writer.reader.rows("SELECT count(*) AS n, max(seq) AS last FROM commands")
    assert count == {"n": seen, "last": seen}
