"""`btcbot-ctl` as a person runs it: shapes, words and exit codes, against a real control socket."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from btcbot.cli import exits
from btcbot.cli.client import ask
from btcbot.domain.facts import PauseChanged
from btcbot.domain.ids import CommandId, Pair
from btcbot.domain.messages import CancelIntent, Scope, SetPause, SetTradingState
from btcbot.domain.status import ACTORS, Life
from btcbot.domain.words import FeedStatus, Side, TradingState
from tests.cli.books import (
    CLOSED,
    DOUBTFUL,
    ORDER_ID,
    REFUSED,
    killed,
    label,
    story,
    trading,
    write,
)
from tests.cli.control_room import PAIRS, ControlRoom, feed, open_room

Ctl = Callable[..., subprocess.CompletedProcess[str]]
BIN = Path(sys.executable).parent


@pytest.fixture
def home() -> Iterator[Path]:
    """Give a short path: sockets have to fit."""
    with tempfile.TemporaryDirectory(prefix="b") as name:
        yield Path(name)


@pytest.fixture
def ctl(home: Path) -> Ctl:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("BTCBOT__")}
        return subprocess.run(
            [BIN / "btcbot-ctl", *arguments],
            env={**clean, "BTCBOT__HOME": str(home)},
            cwd=home, capture_output=True, text=True, timeout=60, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    return run


@pytest.fixture
def room(home: Path) -> Iterator[ControlRoom]:
    with open_room(home) as room:
        yield room


def told(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


# --- not running ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ["status"], ["status", "--check"], ["pause"], ["resume", "--reason", "r"], ["kill"],
        ["positions"], ["balances"], ["pnl"], ["actors", "list"], ["actors", "restart", "strategy"],
        ["logs"], ["orders", "list"], ["trace", "x"],
    ],
)  # fmt: skip
def test_without_a_fleet_every_command_says_so_and_exits_3(ctl: Ctl, command: list[str]) -> None:
    done = ctl(*command)

    assert done.returncode == exits.NOT_RUNNING
    assert done.stdout == ""
    assert "btcbot up" in done.stderr


# --- status ---------------------------------------------------------------------------------------


def test_status_has_the_public_shape(ctl: Ctl, room: ControlRoom) -> None:
    room.say_all()
    room.bus.say_fact(trading(TradingState.LIVE, room.now_ns, ""))
    room.bus.say_fact(
        PauseChanged(
            scope=Scope(pair=Pair("ETHTRY")),
            is_paused=True,
            until_ns=None,
            by="uid 1000",
            reason="news",
            command_id=CommandId("c"),
            at_ns=room.now_ns,
        )
    )
    room.bus.run()

    found = told(ctl("status", "--json"))

    assert (found["mode"], found["ready"], found["trading_state"]) == ("sandbox", True, "LIVE")
    assert found["trading_state_set"].keys() == {"by", "reason", "ts"}
    assert found["ts"].endswith("Z")
    assert len(found["ts"]) == len("2026-11-22T18:00:00.000000000Z")
    assert {row["name"] for row in found["actors"]} == set(ACTORS)
    assert found["actors"][0] == {
        "name": "market_data", "pid": 4, "state": "READY", "heartbeat_age_s": 0.1, "restarts": 0,
        "rss_mb": 30.5,
    }  # fmt: skip
    assert [row["pair"] for row in found["feeds"]] == list(PAIRS)
    assert found["feeds"][0]["state"] == "LIVE"
    assert found["feeds"][0]["age_s"] < 60
    assert found["orders"] == {"open": 0, "unknown": 0, "oldest_unknown_age_s": None}
    assert found["balances"] == [{"asset": "TRY", "total": "100000", "free": "98000"}]
    [position] = found["positions"]
    assert position | {
        "pair": "BTCTRY", "quantity": "0.012", "average_cost": "4000000", "unrealized_pnl": "12.5",
    } == position  # fmt: skip
    assert found["equity"] == {"asset": "TRY", "value": "100012.5"}
    day = found["pnl_day"]
    assert (day["realized"], day["unrealized"], day["fees"]) == ("0", "12.5", "1.2")
    assert found["limits"] == [{"name": "order_notional_max_try", "used": "500", "limit": "5000"}]
    [pause] = found["pauses"]
    assert (pause["scope"], pause["reason"], pause["until"]) == ({"pair": "ETHTRY"}, "news", None)


def test_what_was_not_heard_is_null_and_never_a_number(ctl: Ctl, room: ControlRoom) -> None:
    room.lives = {}

    found = told(ctl("status", "--json"))

    assert found["ready"] is False
    assert {row["state"] for row in found["actors"]} == {"STOPPED"}
    assert found["trading_state"] == "PAUSED"
    assert found["equity"]["value"] is None
    assert found["pnl_day"]["realized"] is None
    assert {row["state"] for row in found["feeds"]} == {"STARTING"}


def test_orders_in_doubt_are_counted_apart_with_their_age(ctl: Ctl, room: ControlRoom) -> None:
    for fact in story():
        room.bus.say_fact(fact)
    room.bus.run()

    orders = told(ctl("status", "--json"))["orders"]

    assert (orders["open"], orders["unknown"]) == (0, 1)
    assert orders["oldest_unknown_age_s"] >= 0


def test_check_exits_0_when_all_is_well(ctl: Ctl, room: ControlRoom) -> None:
    room.now_ns = time.time_ns()
    room.say_all()
    room.bus.say_fact(trading(TradingState.LIVE, room.now_ns, ""))
    room.bus.run()

    done = ctl("status", "--check")

    assert done.returncode == exits.OK, done.stderr


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (lambda room: room.lives.pop("strategy"), "strategy is STOPPED"),
        (
            lambda room: room.lives.update(
                execution=Life(pid=1, state="READY", age_s=1.5, restarts=0, rss_mb=None)
            ),
            "execution is STOPPED",
        ),
        (
            lambda room: room.say(
                "market_data", "feed.ETHTRY", feed(Pair("ETHTRY"), room.now_ns, FeedStatus.STALE)
            ),
            "feed ETHTRY is STALE",
        ),
        (lambda room: room.bus.say_fact(story()[9]) or room.bus.say_fact(story()[10]), "UNKNOWN"),
        (
            lambda room: room.bus.say_fact(trading(TradingState.REDUCE, room.now_ns, "")),
            "REDUCE: r",
        ),
    ],
)
def test_check_exits_7_and_names_what_is_wrong(
    ctl: Ctl, room: ControlRoom, wrong: Callable[[ControlRoom], object], word: str
) -> None:
    room.now_ns = time.time_ns()
    room.say_all()
    wrong(room)
    room.bus.run()

    done = ctl("status", "--check", "--json")

    assert done.returncode == exits.PROBLEM
    assert word in done.stderr
    assert json.loads(done.stdout)["mode"] == "sandbox"


def test_old_values_are_marked_stale(ctl: Ctl, room: ControlRoom) -> None:
    room.now_ns -= 60 * 10**9
    room.say_all()

    for command in ("status", "positions", "balances", "pnl"):
        assert "STALE" in ctl(command).stdout, command


def test_watch_shows_the_status_until_it_is_interrupted(home: Path, room: ControlRoom) -> None:
    room.say_all()
    command = [str(BIN / "btcbot-ctl"), "status", "--watch", "--home", str(home)]
    shown = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(1.5)
    shown.send_signal(signal.SIGINT)
    out, _ = shown.communicate(timeout=10)

    assert shown.returncode == 130
    assert out.count("100,012.50 TRY") >= 1


# --- steering -------------------------------------------------------------------------------------


def test_pause_tells_who_why_and_how_fast(ctl: Ctl, room: ControlRoom) -> None:
    answer = told(ctl("pause", "--reason", "lunch", "--json"))

    [asked] = room.heard
    assert isinstance(asked, SetTradingState)
    assert (asked.by, asked.reason) == (f"uid {os.geteuid()}", "lunch")
    assert answer.keys() >= {"ok", "command_id", "event", "ack_ms"}
    assert answer["ack_ms"] < 50


def test_a_pause_may_be_of_a_part_and_for_a_time(ctl: Ctl, room: ControlRoom) -> None:
    before = time.time_ns()
    done = ctl("pause", "--pair", "ETHTRY", "--side", "buy", "--for", "2h", "--reason", "x")

    assert "pair=ETHTRY side=buy" in done.stdout
    [asked] = room.heard
    assert isinstance(asked, SetPause)
    assert asked.scope == Scope(pair=Pair("ETHTRY"), side=Side.BUY)
    assert asked.until_ns is not None
    assert 0 <= asked.until_ns - before - 2 * 3_600 * 10**9 < 60 * 10**9


@pytest.mark.parametrize("duration", ["2", "h", "-2h", "0m", "1.5h", "2w"])
def test_a_duration_that_is_none_is_a_usage_error(
    ctl: Ctl, room: ControlRoom, duration: str
) -> None:
    assert ctl("pause", f"--for={duration}").returncode == exits.USAGE
    assert room.heard == []


def test_a_pair_that_does_not_exist_is_not_found(ctl: Ctl, room: ControlRoom) -> None:
    done = ctl("pause", "--pair", "ETHTYR")

    assert done.returncode == exits.NOT_FOUND
    assert "did you mean ETHTRY" in done.stderr
    assert room.heard == []


def test_resume_needs_a_reason_and_says_what_is_still_paused(ctl: Ctl, room: ControlRoom) -> None:
    assert ctl("resume").returncode == exits.USAGE
    assert ctl("resume", "--reason", " ").returncode == exits.REFUSED
    room.bus.say_fact(
        PauseChanged(
            scope=Scope(side=Side.BUY),
            is_paused=True,
            until_ns=None,
            by="x",
            reason="falling",
            command_id=CommandId("c"),
            at_ns=room.now_ns,
        )
    )
    room.bus.run()

    done = ctl("resume", "--reason", "over")

    assert done.returncode == 0
    assert "still paused: side=buy (falling)" in done.stderr


def test_what_execution_refuses_exits_6_with_its_reason(ctl: Ctl, room: ControlRoom) -> None:
    room.refusal = "HALTED: overfill; look into it, then --ack 12"

    done = ctl("resume", "--reason", "now", "--yes")

    assert done.returncode == exits.REFUSED
    assert "--ack 12" in done.stderr


def test_an_execution_that_does_not_answer_exits_5(ctl: Ctl, room: ControlRoom) -> None:
    room.is_mute = True

    done = ctl("pause")

    assert done.returncode == exits.TIMED_OUT
    assert "run/KILL" in done.stderr


# --- kill -----------------------------------------------------------------------------------------


def test_kill_ends_when_the_database_says_that_every_order_is_closed(
    ctl: Ctl, home: Path, room: ControlRoom
) -> None:
    write(home, *story()[:8], *killed(room.now_ns, is_complete=True))

    answer = told(ctl("kill", "--reason", "fire", "--yes", "--json"))

    assert answer["complete"] is True
    [asked] = room.heard
    assert isinstance(asked, SetTradingState)
    assert (asked.state, asked.reason) == (TradingState.KILLED, "fire")


def test_kill_waits_for_an_order_in_doubt(home: Path, room: ControlRoom) -> None:
    write(home, *story(), *killed(room.now_ns, is_complete=False))
    command = [str(BIN / "btcbot-ctl"), "kill", "--home", str(home)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with pytest.raises(subprocess.TimeoutExpired):
        running.wait(2)

    write(home, killed(room.now_ns, is_complete=True)[1])
    out, err = running.communicate(timeout=10)

    assert running.returncode == 0
    assert "1 of them UNKNOWN" in err
    assert "every order is closed" in out


def test_kill_works_without_control(ctl: Ctl, home: Path) -> None:
    (home / "run").mkdir()
    write(home, *killed(time.time_ns(), is_complete=True))
    lock = home / "run" / "fleet.lock"
    lock.write_text(f"{os.getpid()}\n", encoding="ascii")
    holder = subprocess.Popen(["flock", "--no-fork", str(lock), "sleep", "60"])
    try:
        time.sleep(0.3)
        done = ctl("kill")
    finally:
        holder.kill()
        holder.wait()

    assert done.returncode == 0, done.stderr
    assert (home / "run" / "KILL").exists()


# --- orders ---------------------------------------------------------------------------------------


def test_orders_list_shows_what_is_live_and_with_all_everything(ctl: Ctl, home: Path) -> None:
    write(home, *story())

    live = told(ctl("orders", "list", "--json"))["orders"]
    every = told(ctl("orders", "list", "--all", "--json"))["orders"]

    assert [row["intent_id"] for row in live] == [DOUBTFUL]
    assert [row["intent_id"] for row in every] == [CLOSED, DOUBTFUL]


@pytest.mark.parametrize("name", [label(CLOSED), str(ORDER_ID), CLOSED])
def test_an_order_is_found_by_each_of_its_names(ctl: Ctl, home: Path, name: str) -> None:
    write(home, *story())

    assert told(ctl("orders", "show", name, "--json"))["state"] == "CLOSED"


@pytest.mark.parametrize("command", [["orders", "show"], ["orders", "cancel"], ["trace"]])
def test_an_order_that_is_not_there_exits_4(ctl: Ctl, home: Path, command: list[str]) -> None:
    write(home, *story())

    for name in ("nobody", "9" * 30, "-1"):
        assert ctl(*command, "--", name).returncode == exits.NOT_FOUND


def test_a_cancel_names_the_order_to_execution(ctl: Ctl, home: Path, room: ControlRoom) -> None:
    write(home, *story())

    assert ctl("orders", "cancel", DOUBTFUL, "--reason", "old").returncode == 0

    [asked] = room.heard
    assert isinstance(asked, CancelIntent)
    assert (asked.client_order_id, asked.reason) == (label(DOUBTFUL), "old")


def test_an_intent_that_was_refused_cannot_be_cancelled(
    ctl: Ctl, home: Path, room: ControlRoom
) -> None:
    write(home, *story())

    assert ctl("orders", "cancel", REFUSED).returncode == exits.REFUSED
    assert room.heard == []


def test_trace_tells_each_hop_with_its_latency(ctl: Ctl, home: Path) -> None:
    write(home, *story())

    found = told(ctl("trace", str(ORDER_ID), "--json"))

    steps = [(step["actor"], step["what"].split()[0].rstrip(":")) for step in found["steps"]]
    assert steps == [
        ("market_data", "the"),
        ("strategy", "decided"),
        ("risk_gate", "approved"),
        ("execution", "order_submitting"),
        ("execution", "order_acked"),
        ("exchange", "executed"),
        ("execution", "fill"),
        ("execution", "order_closing"),
        ("execution", "order_closed"),
    ]
    assert [step["after_ms"] for step in found["steps"]][:5] == [0, 1, 1, 1, 20]
    assert "closed" in ctl("trace", CLOSED).stdout


# --- money, actors, logs --------------------------------------------------------------------------


def test_money_is_told_with_its_age(ctl: Ctl, room: ControlRoom) -> None:
    room.say_all()

    assert told(ctl("positions", "--json"))["positions"][0]["pair"] == "BTCTRY"
    assert told(ctl("balances", "--json"))["balances"][0]["free"] == "98000"
    assert told(ctl("pnl", "--json"))["unrealized"] == "12.5"
    assert told(ctl("pnl", "--json"))["age_s"] is not None


def test_a_past_day_is_booked_again_from_its_fills(ctl: Ctl, home: Path) -> None:
    write(home, *story())

    found = told(ctl("pnl", "--day", "2026-11-18", "--json"))
    assert found.pop("ended")["equity"] == "99999.5"
    assert found == {
        "day": "2026-11-18",
        "sums": [
            {
                "day": "2026-11-18",
                "asset": "TRY",
                "realized": "0",
                "fees": "0.00096",
                "turnover": "0.4",
                "fills": 1,
            }
        ],
    }
    assert ctl("pnl", "--day", "2026-11-17").returncode == exits.NOT_FOUND
    assert ctl("pnl", "--day", "17.11.2026").returncode == exits.USAGE


@pytest.mark.usefixtures("room")
def test_a_restart_waits_until_the_actor_is_ready_again(ctl: Ctl) -> None:
    done = told(ctl("actors", "restart", "strategy", "--json"))

    assert (done["name"], done["was"], done["pid"]) == ("strategy", 4, 1004)
    assert ctl("actors", "restart", "nobody").returncode == exits.NOT_FOUND


def test_logs_are_merged_by_time_and_cannot_steer_a_terminal(ctl: Ctl, home: Path) -> None:
    (home / "log").mkdir()
    lines: dict[str, list[Any]] = {
        "execution": [{"ts": "2026-11-18T11:00:02.000000000Z", "level": "WARNING", "event": "b",
                       "order_id": 7, "error": "\x1b[2J\u202e"}],
        "strategy": [{"ts": "2026-11-18T11:00:01.000000000Z", "level": "INFO", "event": "a"},
                     {"ts": "2026-11-18T11:00:03.000000000Z", "level": "DEBUG", "event": "c"}],
    }  # fmt: skip
    for name, rows in lines.items():
        text = "".join(json.dumps({"actor": name, **row}) + "\n" for row in rows)
        (home / "log" / f"{name}.log").write_text(text, encoding="utf-8")

    shown = ctl("logs").stdout
    assert [line.split()[2] for line in shown.splitlines()] == ["strategy", "execution"]
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert len(ctl("logs", "--level", "debug").stdout.splitlines()) == 3
    assert len(ctl("logs", "--order", "7").stdout.splitlines()) == 1
    assert len(ctl("logs", "-n", "1").stdout.splitlines()) == 1
    assert json.loads(ctl("logs", "--actor", "strategy", "--json").stdout)["event"] == "a"


def test_the_client_gives_up_on_a_control_that_never_answers(home: Path) -> None:
    import socket

    (home / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(home / "run" / "ctl.sock"))
        silent.listen()
        with pytest.raises(TimeoutError):
            ask(home, {"command": "status"}, timeout=0.2)
