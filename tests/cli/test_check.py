"""`btcbot check` as a person runs it, against a real sandbox: green, and each thing that is not."""

import fcntl
import json
import os
import pty
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from btcbot.cli import exits
from btcbot.domain.ids import IntentId, client_order_id
from btcbot.simulation import defaults
from btcbot.store.anchor import path_of
from btcbot.store.writer import Writer
from tests.simulation.conftest import Running
from tests.store.facts import commit, started, write

BTCBOT = Path(sys.executable).with_name("btcbot")
FAR = {"quantity": "0.0001", "price": "2000000"}
Json = Any


class Home:
    """One home, its settings, and the sandbox that it checks."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.exchange = Running(*arguments)
        self.home = folder / "h"
        self.settings = {
            "BTCBOT__HOME": str(self.home),
            "BTCBOT__EXCHANGE__REST_URL": self.exchange.url,
            "BTCBOT__EXCHANGE__GRAPH_URL": self.exchange.url,
            "BTCBOT__EXCHANGE__WS_URL": self.exchange.url.replace("http", "ws") + "/ws",
            "BTCBOT__EXCHANGE__API_KEY_FILE": self.secret(folder / "key", defaults.API_KEY),
            "BTCBOT__EXCHANGE__API_SECRET_FILE": self.secret(folder / "s", defaults.API_SECRET),
            "BTCBOT__DASHBOARD__PORT": str(free_port()),
        }
        assert self.run("init", str(folder)).returncode == 0

    @property
    def database(self) -> Path:
        return self.home / "btcbot.db"

    def secret(self, path: Path, text: str) -> str:
        path.write_text(text)
        path.chmod(0o600)
        return str(path)

    def run(self, *arguments: str, stdin: Any = subprocess.DEVNULL, **settings: str) -> Any:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("BTCBOT__")}
        return subprocess.run(
            [BTCBOT, *arguments], env={**clean, **self.settings, **settings}, stdin=stdin,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def check(self, *arguments: str, **settings: str) -> Json:
        """Return what `btcbot check` says; its exit code agrees with it."""
        done = self.run("check", *arguments, "--json", **settings)
        assert done.stdout, done.stderr
        said = json.loads(done.stdout)
        assert done.returncode == (exits.OK if said["ok"] else exits.PROBLEM)
        assert said["ok"] == all(row["ok"] for row in said["checks"])
        return said

    def red(self, *arguments: str, **settings: str) -> dict[str, str]:
        """Return what was found where it is not as wanted."""
        rows = self.check(*arguments, **settings)["checks"]
        return {row["name"]: row["found"] for row in rows if not row["ok"]}

    def posts(self) -> int:
        return sum(
            row["method"] == "POST" and row["path"] == "/api/v1/order"
            for row in self.exchange.truth("requests")
        )

    def is_all_gone(self) -> bool:
        return not any(row["is_open"] for row in self.exchange.truth("orders"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


Begin = Callable[..., Home]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Give what makes a home with a sandbox; short paths: sockets have to fit."""
    made: list[Home] = []
    with tempfile.TemporaryDirectory(prefix="b") as name:

        def make(*arguments: str) -> Home:
            folder = Path(name) / str(len(made))
            folder.mkdir()
            made.append(Home(folder, *arguments))
            return made[-1]

        yield make
        for home in made:
            home.exchange.end(9)


@pytest.fixture(scope="module")
def shared() -> Iterator[Home]:
    """Give one home for tests that leave it as it was."""
    with tempfile.TemporaryDirectory(prefix="b") as name:
        home = Home(Path(name))
        yield home
        home.exchange.end(9)


# --- green, and red ---------------------------------------------------------------------------


def test_all_of_it_is_green_with_evidence(shared: Home) -> None:
    said = shared.check()

    assert said["ok"], said
    assert {row["name"] for row in said["checks"]} >= {
        "configuration", "home", "modes of files", "disk", "dashboard.port", "database", "clock",
        "key files", "exchange", "time offset", "pairs", "key: Total Funds (balances)",
        "key: Account (own trades)", "key: Trade (open orders)",
    }  # fmt: skip
    assert all(row["found"] and row["wanted"] for row in said["checks"])
    assert shared.posts() == 0


def test_a_table_names_each_check_and_the_remedy_of_what_is_red(shared: Home) -> None:
    done = shared.run("check", BTCBOT__PAIRS='["BTCTRY", "DOGETRY"]')

    assert done.returncode == exits.PROBLEM
    assert "DOGETRY is not listed" in done.stdout
    assert "take them out" in done.stdout


def test_a_configuration_that_cannot_be_read_is_one_red_row(shared: Home) -> None:
    assert list(shared.red(BTCBOT__MOD="live")) == ["configuration"]


def test_each_red_thing_is_named(shared: Home, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "taken" in shared.red(BTCBOT__DASHBOARD__PORT=port)["dashboard.port"]

    nobody = f"http://127.0.0.1:{free_port()}"
    assert list(shared.red(BTCBOT__EXCHANGE__REST_URL=nobody)) == ["exchange"]

    open_ = Path(shared.secret(tmp_path / "open", defaults.API_KEY))
    open_.chmod(0o644)
    assert "0644" in shared.red(BTCBOT__EXCHANGE__API_KEY_FILE=str(open_))["key files"]

    wrong = shared.secret(tmp_path / "wrong", "d3Jvbmctc2VjcmV0LWFsdG9nZXRoZXI=")
    red = shared.red(BTCBOT__EXCHANGE__API_SECRET_FILE=wrong)
    assert len(red) == 3
    assert "Invalid Signature" in red["key: Trade (open orders)"]

    leak = shared.home / "log" / "leak"
    leak.touch()
    leak.chmod(0o644)
    assert shared.red() == {"modes of files": "log/leak 0644"}
    leak.unlink()

    shared.home.chmod(0o755)
    assert list(shared.red()) == ["home"]
    shared.home.chmod(0o700)
    assert shared.red() == {}


def test_the_permissions_of_a_key_are_told_apart_by_reads(begin: Begin, tmp_path: Path) -> None:
    home = begin("--grant", f"little:{defaults.API_SECRET}:funds")
    red = home.red(BTCBOT__EXCHANGE__API_KEY_FILE=home.secret(tmp_path / "k", "little"))

    assert list(red) == ["key: Account (own trades)", "key: Trade (open orders)"]
    assert home.posts() == 0


def test_a_clock_that_is_far_from_the_exchanges_is_red(begin: Begin, tmp_path: Path) -> None:
    profile = tmp_path / "skew.toml"
    profile.write_text("clock_offset_s = 4.0")
    home = begin("--faults", str(profile))

    found = home.red()["time offset"]
    assert "+4" in found or "+3" in found


# --- the database -----------------------------------------------------------------------------


def fill(home: Home) -> None:
    writer = Writer(str(home.database))
    commit(writer, started(1))
    write(writer, 40)
    writer.close()
    for path in home.home.glob("btcbot.db*"):
        path.chmod(0o600)


def alter(home: Home, statement: str) -> None:
    connection = sqlite3.connect(home.database)
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'"):
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("UPDATE events SET payload = x'00' WHERE seq = 7", "event 7 is not what was written"),
        ("UPDATE events SET at_ns = at_ns + 1 WHERE seq = 3", "event 3 is not what was written"),
        ("DELETE FROM events WHERE seq > 30", "but event 41 was written"),
        ("PRAGMA user_version = 9", "schema 9"),
    ],
)
def test_a_database_that_is_not_what_was_written_is_red_and_stays_as_it_is(
    begin: Begin, damage: str, words: str
) -> None:
    home = begin()
    fill(home)
    assert "41 events, chain unbroken, anchor agrees" in str(home.check())
    alter(home, damage)
    before = home.database.read_bytes()

    assert words in home.red()["database"]
    assert home.database.read_bytes() == before
    assert not list(home.home.glob(".check*"))


def test_a_missing_anchor_and_a_torn_file_are_red(begin: Begin) -> None:
    home = begin()
    fill(home)
    path_of(str(home.database)).unlink()
    assert "no anchor" in home.red()["database"]
    home.database.write_bytes(b"no database at all" * 100)
    assert "damaged" in home.red()["database"]


def test_it_may_look_while_the_database_is_written(begin: Begin) -> None:
    home = begin()
    fill(home)
    writer = Writer(str(home.database))
    write(writer, 3)
    assert "44 events" in str(home.check())
    write(writer, 3)
    writer.close()


def test_a_clock_behind_the_newest_event_is_red(begin: Begin) -> None:
    home = begin()
    fill(home)
    late = started(1).at_ns + 10**18
    writer = Writer(str(home.database))
    commit(writer, started(late - started(0).at_ns))
    writer.close()
    assert "newest event" in home.red()["clock"]


# --- live -------------------------------------------------------------------------------------


def test_live_names_each_gate_and_up_says_which_check_is_missing(begin: Begin) -> None:
    home = begin()
    up = home.run("up", BTCBOT__MODE="live")
    assert up.returncode == exits.CONFIG
    assert "`btcbot check --live` was not run on this home" in up.stderr

    red = home.red("--live", BTCBOT__MODE="live")
    static = ["gate: armed", "gate: acknowledge", "gate: absence_wait"]
    assert list(red) == [*static, "experiments"]
    assert home.posts() == 0

    up = home.run("up", BTCBOT__MODE="live")
    assert "`btcbot check --live` is not green: experiments" in up.stderr
    assert up.returncode == exits.CONFIG

    (home.home / "run" / "KILL").touch(mode=0o600)
    armed = {
        "BTCBOT__LIVE__ARMED": "true",
        "BTCBOT__LIVE__ACKNOWLEDGE": "I_UNDERSTAND",
        "BTCBOT__ORDERS__ABSENCE_WAIT_S": "900",
    }
    red = home.red("--live", BTCBOT__MODE="live", **armed)
    assert list(red) == ["gate: kill_switch", "experiments"]
    assert "gate: mode" in home.red("--live", BTCBOT__MODE="sandbox")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--waive", "experiments", "--reason", "r"), "--waive needs --live"),
        (("--live", "--waive", "experiments"), "and --reason"),
        (("--live", "--reason", "r"), "--reason needs --waive"),
        (("--live", "--waive", "gate: armed", "--reason", "r"), "may be waived now: experiments"),
        (("--live", "--waive", "disk", "--reason", "r"), "may be waived now: experiments"),
    ],
)
def test_only_a_check_that_is_red_may_be_waived_and_with_a_reason(
    begin: Begin, arguments: tuple[str, ...], words: str
) -> None:
    done = begin().run("check", *arguments)

    assert done.returncode == exits.USAGE
    assert words in done.stderr


def test_orders_of_others_and_of_other_btcbots_are_named(begin: Begin) -> None:
    home = begin()
    ours = client_order_id("tests", IntentId("a" * 26))
    theirs = client_order_id("other", IntentId("b" * 26))
    fill(home)  # Whose instance is "tests".
    home.exchange.submit(newOrderClientId=ours, **FAR)
    assert "open orders" not in home.red("--live")

    home.exchange.submit(newOrderClientId="by-hand", **FAR)
    red = home.red("--live")
    assert "by-hand" in red["open orders"]
    assert "other btcbots" not in red

    number = home.exchange.submit(newOrderClientId=theirs, **FAR).json()["data"]["id"]
    home.exchange.call("DELETE", "order", params={"id": number})
    red = home.red("--live")
    assert theirs not in red["open orders"]
    assert theirs in red["other btcbots"]  # It is gone, and was there today.


# --- probe ------------------------------------------------------------------------------------


def test_nothing_is_sent_without_a_word(begin: Begin) -> None:
    home = begin()

    done = home.run("check", "--live", "--probe")

    assert home.posts() == 0
    for number in range(1, 13):
        assert f"\nV{number}  " in done.stderr
    assert "are held until it is cancelled" in done.stderr
    for arguments in (("--probe",), ("--live", "--yes", "V1"), ("--live", "--probe", "--yes", "x")):
        assert home.run("check", *arguments).returncode == exits.USAGE


def test_a_typed_name_performs_that_experiment_and_no_other(begin: Begin) -> None:
    home = begin()
    terminal, stdin = pty.openpty()
    os.write(terminal, b"V1\n" + b"yes\n" * 11)

    home.run("check", "--live", "--probe", stdin=stdin)

    os.close(stdin)
    os.close(terminal)
    assert home.posts() == 2
    assert home.is_all_gone()
    assert [path.name[:9] for path in (home.home / "checks").glob("probe*")] == ["probe-V1-"]


def test_every_experiment_is_performed_recorded_and_leaves_nothing(begin: Begin) -> None:
    home = begin()
    agreed = [word for n in (1, 2, 3, 4, 5, 6, 7, 9, 12) for word in ("--yes", f"V{n}")]

    said = home.check("--live", "--probe", *agreed)

    states = {row["experiment"]: row["state"] for row in said["experiments"]}
    assert states == {
        **{f"V{n}": "as assumed" for n in (1, 2, 3, 4, 5, 6, 7, 9, 12)},
        "V8": "to do", "V11": "to do", "V10": "to do by hand",
    }  # fmt: skip
    orders = home.exchange.truth("orders")
    assert len(orders) == 2 + 5 + 2 + 5 + 2 + 1 + 1
    assert {row["status"] for row in orders} == {"Canceled"}
    assert all(float(row["price"]) < 3_000_000 for row in orders)
    for path in (home.home / "checks").glob("probe-*.json"):
        record = json.loads(path.read_text())
        assert record["evidence"]
        assert not record["left"]
        assert defaults.API_SECRET not in path.read_text()
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("fault", ["submit_silent", "submit_garbled", "submit_cut", "submit_lost"])
def test_an_order_whose_answer_is_lost_is_found_by_its_label_and_cancelled(
    begin: Begin, tmp_path: Path, fault: str
) -> None:
    profile = tmp_path / "lost.toml"
    profile.write_text(f"{fault} = 1.0\ncancel_slow_s = 1.0")
    home = begin("--faults", str(profile))

    home.run("check", "--live", "--probe", "--yes", "V9")

    assert len(home.exchange.truth("orders")) == (fault != "submit_lost")
    assert home.is_all_gone()
    [path] = (home.home / "checks").glob("probe-V9-*.json")
    record = json.loads(path.read_text())
    assert (record["verdict"], record["left"]) == ("unclear", "")


def test_what_a_killed_probe_left_is_cancelled_first(begin: Begin) -> None:
    home = begin()
    label = "probe-1-v9-0-".ljust(35, "x")
    home.exchange.submit(newOrderClientId=label, **FAR)
    (home.home / "checks" / "probe-V9-1.json").write_text(
        json.dumps({
            "experiment": "V9", "at_ns": 1, "exchange": home.exchange.url, "pair": "BTCTRY",
            "verdict": "running", "labels": [label],
        })
    )  # fmt: skip
    assert "V9 running" in home.red("--live")["experiments"]

    home.run("check", "--live", "--probe")

    assert home.is_all_gone()
    assert home.posts() == 1  # Its own: nothing new was sent.


def test_no_experiment_beside_a_fleet(begin: Begin) -> None:
    home = begin()
    with (home.home / "run" / "fleet.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        done = home.run("check", "--live", "--probe", "--yes", "V1")
    assert done.returncode == exits.REFUSED
    assert "pid 4711" in done.stderr
    assert home.posts() == 0


def test_waiting_is_bounded(begin: Begin) -> None:
    home = begin()
    began = time.monotonic()
    home.exchange.process.send_signal(19)  # SIGSTOP: it takes connections and never answers.
    assert "exchange" in home.red()
    home.exchange.process.send_signal(18)
    assert time.monotonic() - began < 30
