"""Resolving, backing up, moving the account: what is riskier asks, and says what it did."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from btcbot.domain.messages import ResolveOrder
from btcbot.domain.words import Resolution, TradingState
from btcbot.store.anchor import path_of
from btcbot.store.writer import Writer
from bus.zeromq import lock
from tests.cli.books import DOUBTFUL, START_NS, label, story, trading, write
from tests.cli.control_room import ControlRoom, open_room

BIN = Path(sys.executable).parent
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def home() -> Iterator[Path]:
    """Give a short path with a database: sockets have to fit."""
    with tempfile.TemporaryDirectory(prefix="b") as name:
        write(Path(name), *story())
        yield Path(name)


@pytest.fixture
def run(home: Path) -> Run:
    def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("BTCBOT__")}
        return subprocess.run(
            [BIN / program, *arguments],
            env={**clean, "BTCBOT__HOME": str(home)},
            cwd=home, capture_output=True, text=True, timeout=60, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    return run


@pytest.fixture
def room(home: Path) -> Iterator[ControlRoom]:
    with open_room(home) as room:
        yield room


RESOLVE = ("orders", "resolve", label(DOUBTFUL), "--as", "absent")


def test_resolve_asks_execution_with_the_word_the_reason_and_who(
    run: Run, room: ControlRoom
) -> None:
    done = run("btcbot-ctl", *RESOLVE, "--reason", "not on the page", "--yes", "--json")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ok"]
    [asked] = room.heard
    assert isinstance(asked, ResolveOrder)
    assert (asked.client_order_id, asked.resolution) == (label(DOUBTFUL), Resolution.ABSENT)
    assert (asked.reason, asked.by) == ("not on the page", f"uid {os.getuid()}")


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("--reason", "r"), 6, "not a terminal to confirm on; add --yes"),
        (("--yes",), 2, "--reason"),
        (("--reason", " ", "--yes"), 6, "resolve needs a reason"),
    ],
)
def test_resolve_needs_a_reason_and_a_confirmation(
    run: Run, room: ControlRoom, arguments: tuple[str, ...], code: int, why: str
) -> None:
    done = run("btcbot-ctl", *RESOLVE, *arguments)

    assert done.returncode == code
    assert why in done.stderr
    assert room.heard == []


def test_resolve_says_why_execution_refused(run: Run, room: ControlRoom) -> None:
    room.bus.state("control").pids["execution"] = 1
    room.refusal = "the exchange shows it: as order 7"

    done = run("btcbot-ctl", *RESOLVE, "--reason", "r", "--yes")

    assert done.returncode == 6
    assert "the exchange shows it: as order 7" in done.stderr


def test_resolve_is_not_left_with_an_execution_that_is_silent(run: Run, room: ControlRoom) -> None:
    room.bus.state("control").lost["execution"] = 1

    done = run("btcbot-ctl", *RESOLVE, "--reason", "r", "--yes")

    assert done.returncode == 6
    assert "execution is silent" in done.stderr
    assert room.heard == []


def test_resolve_of_no_order_is_4(run: Run) -> None:
    done = run("btcbot-ctl", "orders", "resolve", "x", "--as", "closed", "--reason", "r", "--yes")

    assert done.returncode == 4


def test_a_copy_is_taken_listed_drilled_and_restored(run: Run, home: Path) -> None:
    assert run("btcbot", "backup", "drill").returncode == 4
    made = json.loads(run("btcbot", "backup", "take", "--json").stdout)
    write(home, trading(TradingState.PAUSED, START_NS + 10**10, "later"))
    [listed] = json.loads(run("btcbot", "backup", "list", "--json").stdout)["backups"]
    assert (listed["path"], listed["bytes"]) == (made["path"], made["bytes"])
    drilled = run("btcbot", "backup", "drill", "--json")
    assert drilled.returncode == 0, drilled.stderr
    assert json.loads(drilled.stdout)["events"] == len(story())

    folded = home / "journal" / "accounting" / "facts.kept"
    folded.parent.mkdir(parents=True)
    folded.write_bytes(b"of the newer database")
    assert run("btcbot", "backup", "restore", "--reason", "drill").returncode == 6
    done = run("btcbot", "backup", "restore", "--reason", "drill", "--yes", "--json")

    assert done.returncode == 0, done.stderr
    away = Path(json.loads(done.stdout)["put_away"])
    assert (away / "reason.txt").read_text() == "drill\n"
    assert head(away / "btcbot.db") == len(story()) + 1
    assert head(home / "btcbot.db") == len(story())
    assert not folded.exists()
    assert (away / "accounting.facts.kept").exists()
    assert (home / "run" / "KILL").exists()  # The next start is killed.


def head(database: Path) -> int:
    writer = Writer(str(database))
    writer.verify()
    writer.close()
    return writer.head


def test_a_copy_that_cannot_be_lived_from_is_not_restored(run: Run, home: Path) -> None:
    torn = home / "torn.db"
    torn.write_bytes((home / "btcbot.db").read_bytes()[:9_000])
    before = (home / "btcbot.db").read_bytes()

    drilled = run("btcbot", "backup", "drill", str(torn))
    restored = run("btcbot", "backup", "restore", str(torn), "--reason", "r", "--yes")

    assert (drilled.returncode, restored.returncode) == (7, 7)
    assert "nothing was changed" in restored.stderr
    assert (home / "btcbot.db").read_bytes() == before
    assert not (home / "run" / "KILL").exists()


@pytest.mark.parametrize(
    "command",
    [
        ("backup", "restore", "--reason", "r", "--yes"),
        ("account", "move", "--reason", "r", "--yes"),
    ],
)
def test_nothing_is_changed_under_an_execution_that_lives(
    run: Run, home: Path, command: tuple[str, ...]
) -> None:
    run("btcbot", "init")
    assert run("btcbot", "backup", "take").returncode == 0
    key_of(home)
    held = lock(home / "run" / "exec.lock")

    done = run("btcbot", *command)

    assert done.returncode == 75, done.stderr
    assert "`btcbot down` first" in done.stderr
    os.close(held)


def key_of(home: Path) -> None:
    """Write the key that `btcbot up` would have written."""
    (home / "run").mkdir(mode=0o700, exist_ok=True)
    for kind in ("key", "secret"):
        file = home / "run" / f"sandbox.{kind}"
        file.touch(mode=0o600)
        file.write_text("a-key-of-some-length")


def test_the_account_is_moved_only_while_no_order_is_live(run: Run, home: Path) -> None:
    key_of(home)

    done = run("btcbot", "account", "move", "--reason", "rotated", "--yes")

    assert done.returncode == 6
    assert label(DOUBTFUL) in done.stderr
    shown = json.loads(run("btcbot", "account", "show", "--json").stdout)
    assert shown["journal"] is None
    assert len(shown["configured"]["account"]) == 16
    assert path_of(str(home / "btcbot.db")).exists()


def test_panic_without_a_home_that_answers_says_what_it_could_not_prove(
    run: Run, home: Path
) -> None:
    key_of(home)
    (home / "run" / "sandbox.secret").write_text("c2VjcmV0IG9mIGEgdGVzdA==")

    done = run("btcbot-ctl", "panic", "--wait", "2")

    assert done.returncode == 5, done.stderr
    assert "not proven closed yet" in done.stderr
    assert (home / "run" / "KILL").exists()
