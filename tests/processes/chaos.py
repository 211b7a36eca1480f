"""Real chaos: supervisord, every process and a sandbox, with things killed, frozen and cut.

`python -m tests.processes.chaos --kills N --seed S`. At the end a history checker, which knows only
the exchange's truth and the bot's own journal, must find nothing to say.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from btcbot.cli.client import ask
from btcbot.simulation.defaults import API_KEY, API_SECRET
from btcbot.store.disk import LOG_BYTES, MIB
from btcbot.store.queries import History
from btcbot.store.writer import Writer
from tests.processes.agreement import differences, settle
from tests.processes.fleet import ACTORS, BIN, Fleet, free_port, until
from tests.processes.wire import Wire

BACK_S = 30.0
LOG_MAX = LOG_BYTES + 4 * MIB  # What is lengthened ahead, and a little.
# In a process of its own: this one must not close files of a database that it reads elsewhere.
COPY = """
import apsw, sys
source = apsw.Connection(sys.argv[1], flags=apsw.SQLITE_OPEN_READONLY)
target = apsw.Connection(sys.argv[2])
with target.backup("main", source, "main") as backup:
    backup.step()
"""
TAKEOVER_P99_S, OTHERS_P99_S = 1.0, 3.0


class Stack:
    """A fleet that reaches its exchange over a wire of ours."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.draw = random.Random(seed)
        self.exchange_port = free_port()
        arguments = [
            str(BIN / "btcbot"), "sandbox", "--port", str(self.exchange_port),
            "--state", str(folder / "exchange"), "--seed", str(seed), "--pairs", "BTCTRY,ETHTRY",
        ]  # fmt: skip
        self.exchange = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
        self.wire = Wire(self.exchange_port)
        for name, text in (("key", API_KEY), ("secret", API_SECRET)):
            path = folder / name
            path.touch(0o600)
            path.write_text(text)
        self.fleet = Fleet(
            folder / "home",
            BTCBOT__EXCHANGE__REST_URL=f"http://127.0.0.1:{self.wire.port}",
            BTCBOT__EXCHANGE__API_KEY_FILE=str(folder / "key"),
            BTCBOT__EXCHANGE__API_SECRET_FILE=str(folder / "secret"),
        )
        self.fleet.port = self.exchange_port  # The truth is asked for past the wire.
        self.home = folder / "home"
        self.counts: Counter[str] = Counter()
        self.took: defaultdict[str, list[float]] = defaultdict(list)
        self.spares = 0
        self.kills_of_execution = 0

    def start(self) -> None:
        until("the exchange", self._exchange_answers, 20)
        started = self.fleet.up()
        assert started.returncode == 0, f"{started.stdout}\n{started.stderr}"

    def end(self) -> None:
        self.fleet.end()
        self.wire.close()
        self.exchange.terminate()
        self.exchange.wait(10)

    def _exchange_answers(self) -> bool:
        with suppress(OSError):
            self.fleet.truth("orders")
            return True
        return False

    # --- faults -------------------------------------------------------------------------------

    def kill(self, actor: str) -> None:
        """Kill one actor with -9, and measure how long it takes to be READY again."""
        row = self._row(actor)
        has_spare = bool(row.get("standby"))
        killed_ns = time.time_ns()
        with suppress(ProcessLookupError):
            os.kill(row["pid"], signal.SIGKILL)
        self.counts[f"kill -9 {actor}"] += 1
        if actor == "execution":
            self.kills_of_execution += 1
            self.spares += has_spare
            began_ns = self._began_after(killed_ns)
            self.took["takeover" if has_spare else "execution"].append((began_ns - killed_ns) / 1e9)
        self.took[f"{actor} READY"].append((self._ready_after(actor, killed_ns) - killed_ns) / 1e9)

    def freeze(self, actor: str) -> None:
        pid = self._row(actor)["pid"]
        lasts_s = self.draw.choice((0.2, 1.5, 4.0, 7.0))
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(lasts_s)
            os.kill(pid, signal.SIGCONT)
        self.counts[f"SIGSTOP {actor}"] += 1

    def kill_supervisord(self) -> None:
        """Kill supervisord: its children must die with it, and one instance start again."""
        os.kill(int((self.home / "run" / "supervisord.pid").read_text()), signal.SIGKILL)
        until("no process left", lambda: self.fleet.processes() == [], 15)
        assert self.fleet.up().returncode == 0, "the fleet did not start again"
        self.counts["kill -9 supervisord"] += 1

    def second_instance(self) -> None:
        assert self.fleet.up().returncode == 75, "a second instance was not refused"
        self.counts["second instance"] += 1

    def cut(self) -> None:
        self.counts["connections cut"] += self.wire.cut()

    def hold(self) -> None:
        self.wire.hold()
        time.sleep(self.draw.choice((0.5, 2.0, 6.0)))
        self.wire.release()
        self.counts["wire held"] += 1

    # --- looking ------------------------------------------------------------------------------

    def _row(self, actor: str) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def is_ready() -> bool:
            with suppress(OSError):
                for row in ask(self.home, {"command": "status"})["actors"]:
                    if row["name"] == actor and row["state"] in {"READY", "DEGRADED"}:
                        found.update(row)
                        return self._is_alive(row["pid"])
            return False

        until(f"{actor} is up", is_ready, BACK_S, every=0.02)
        return found

    def _is_alive(self, pid: int) -> bool:
        return Path(f"/proc/{pid}").exists()

    def _ready_after(self, actor: str, since_ns: int) -> int:
        mark = self.home / "run" / f"{actor}.ready"
        found = [0]

        def is_back() -> bool:
            with suppress(FileNotFoundError):
                found[0] = mark.stat().st_mtime_ns
            return found[0] > since_ns

        until(f"{actor} READY again", is_back, BACK_S, every=0.005)
        return found[0]

    def _began_after(self, since_ns: int) -> int:
        found = [0]

        def has_begun() -> bool:
            history = History(self.home / "btcbot.db")
            rows = [r for r in history.events(since_ns) if r["kind"] == "epoch_started"]
            found[0] = rows[0]["at_ns"] if rows else 0
            return bool(rows)

        until("a new life of execution", has_begun, BACK_S, every=0.01)
        return found[0]

    def writers(self) -> list[int]:
        """Return the pids that hold the database open for writing (I6)."""
        found = []
        for pid in self.fleet.processes():
            with suppress(OSError):
                for link in Path(f"/proc/{pid}/fd").iterdir():
                    with suppress(OSError):
                        flags = Path(f"/proc/{pid}/fdinfo/{link.name}").read_text()
                        is_writing = int(flags.split("flags:")[1].split()[0], 8) & 0o3
                        if link.readlink().name == "btcbot.db" and is_writing:
                            found.append(pid)
        return sorted(set(found))


def run(kills: int, seed: int, folder: Path) -> list[str]:
    """Kill `kills` times, with other faults between; return everything that is wrong."""
    stack = Stack(folder, seed)
    wrong: list[str] = []
    try:
        stack.start()
        until("the first fills", lambda: stack.fleet.export("fills"), 90, every=1)
        others = [stack.cut, stack.cut, stack.hold, stack.second_instance]
        for number in range(kills):
            draw = stack.draw
            stack.kill(draw.choice(("execution", *ACTORS)))
            if draw.random() < 0.15:
                draw.choice(others)()
            if draw.random() < 0.08:
                stack.freeze(draw.choice(ACTORS))
            if number % 100 == 60:
                stack.kill_supervisord()
            if len(writers := stack.writers()) > 1:
                wrong.append(f"I6: {len(writers)} processes write the database: {writers}")
            if number % 50 == 49:
                click.echo(f"{number + 1} kills: {_figures(stack.took)}", err=True)
            time.sleep(draw.uniform(0.05, 0.8))
        settle(stack.fleet)
        wrong += differences(stack.fleet)
        wrong += _journal(stack.home)
        wrong += _books(stack)
        wrong += _late(stack)
        wrong += _log(stack.home)
        click.echo(json.dumps(_summary(stack, wrong), indent=1))
    finally:
        stack.end()
    if left := stack.fleet.processes():
        wrong.append(f"processes are left: {left}")
    return wrong


def _books(stack: Stack) -> list[str]:
    """Have the bot itself reconcile its books, and those of a copy that is taken and restored."""
    restored = stack.home.parent / "restored"
    restored.mkdir(mode=0o700)
    taken = stack.fleet.run("btcbot", "backup", "take")
    copies = sorted((stack.home / "backup").glob("*.db"))
    found = [f"a copy: {taken.stderr.strip()}"] if taken.returncode else []
    (restored / "btcbot.db").write_bytes(copies[-1].read_bytes())
    for home in (stack.home, restored):
        done = stack.fleet.run("btcbot", "ledger", "reconcile", "--home", str(home))
        if done.returncode:
            found.append(
                f"ledger of {home.name}: exit {done.returncode}: {done.stdout} {done.stderr}"
            )
    return found


def _journal(home: Path) -> list[str]:
    """Verify the chain of events, and that a replay of them gives the tables that are there."""
    copy = home / "copy.db"
    subprocess.run([sys.executable, "-c", COPY, str(home / "btcbot.db"), str(copy)], check=True)
    writer, fresh = Writer(str(copy)), Writer(":memory:")
    try:
        writer.verify(tail=10**9)
        for seq, epoch, _, fact in writer.reader.events(0, 1 << 62):
            fresh.epoch = epoch
            fresh.commit((fact,), seq)
        same = writer.reader.recover() == fresh.reader.recover()
        tables = [
            table
            for table in ("intents", "fills", "postings", "latest", "commands")
            if list(writer.reader.rows(f"SELECT * FROM {table}"))
            != list(fresh.reader.rows(f"SELECT * FROM {table}"))
        ]
        found = [] if same else ["I7: a replay of the events recovers another state"]
        return found + [f"I7: a replay of the events gives another table {t}" for t in tables]
    finally:
        writer.close()
        fresh.close()


def _late(stack: Stack) -> list[str]:
    wrong = []
    for name, values in stack.took.items():
        bound = TAKEOVER_P99_S if name == "takeover" else OTHERS_P99_S
        if len(values) >= 100 and _percentile(values, 0.99) > bound:
            wrong.append(f"{name}: p99 {_percentile(values, 0.99):.2f} s; allowed are {bound} s")
    return wrong


def _log(home: Path) -> list[str]:
    """See that the write-ahead log is emptied: each start reads all of it."""
    size = (home / "btcbot.db-wal").stat().st_size
    if size <= LOG_MAX:
        return []
    return [f"the write-ahead log has {size >> 20} MiB: nobody empties it"]


def _summary(stack: Stack, wrong: list[str]) -> dict[str, object]:
    return {
        "faults": dict(sorted(stack.counts.items())),
        "seconds": _figures(stack.took),
        "kills_that_found_a_spare": f"{stack.spares} of {stack.kills_of_execution}",
        "orders": len(stack.fleet.export("orders")),
        "fills": len(stack.fleet.export("fills")),
        "wrong": wrong,
    }


def _figures(took: dict[str, list[float]]) -> dict[str, str]:
    return {
        name: f"n {len(v)}, p50 {statistics.median(v):.2f}, p99 {_percentile(v, 0.99):.2f}, "
        f"max {max(v):.2f}"
        for name, v in sorted(took.items())
    }


def _percentile(values: list[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(part * (len(ordered) - 1)))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="btcbot-chaos-") as folder:
        wrong = run(given.kills, given.seed, Path(folder))
    for line in wrong:
        click.echo(f"WRONG {line}", err=True)
    click.echo(f"{given.kills} kills, seed {given.seed}: {len(wrong)} wrong")
    return 7 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
