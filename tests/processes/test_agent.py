"""The agent in a real fleet: a model on loopback is asked, obeyed, recorded, replayed, switched."""

import json
import os
import signal
from pathlib import Path

import pytest

from btcbot.cli import exits
from btcbot.secret import write_secret
from tests.processes.fleet import Fleet, Json, running, until
from tests.processes.models import Model, model

pytestmark = [pytest.mark.timeout(600), pytest.mark.fleet]
KEY = "sk-a-key-that-stands-nowhere-else"
NOTHING = {
    "stance": "proceed", "ttl_s": 3_600, "confidence": 90,
    "limits": [
        {"pair": pair, "action": "drop", "keep_percent": 0} for pair in ("BTCTRY", "ETHTRY")
    ],
}  # fmt: skip


def settings(folder: Path, asked: Model) -> dict[str, str]:
    write_secret(folder / "model.key", KEY)
    return {
        "BTCBOT__AGENT__MODE": "advise",
        "BTCBOT__AGENT__URL": asked.url,
        "BTCBOT__AGENT__MODEL": "tiny-7b",
        "BTCBOT__AGENT__KEY_FILE": str(folder / "model.key"),  # agent.key_file
        "BTCBOT__AGENT__INTERVAL_S": "10",
    }


def said(fleet: Fleet, *arguments: str) -> Json:
    done = fleet.run("btcbot", "agent", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_fleet_asks_the_model_that_is_set_and_buys_what_it_lets_pass(tmp_path: Path) -> None:
    with (
        model(NOTHING) as asked,
        running(tmp_path / "home", **settings(tmp_path, asked)) as fleet,
    ):
        until("advice", lambda: outcomes(fleet).count("advised") >= 1, 150, every=0.5)
        until("a plan cut by it", lambda: cut_by_policy(fleet), 150, every=0.5)

        assert asked.asked[0]["model"] == "tiny-7b"
        assert set(asked.keys) == {f"Bearer {KEY}"}
        advised = [row for row in said(fleet, "show") if row["outcome"] == "advised"]
        first = whole(fleet, advised[0]["decision"])
        assert first["advice"]["limits"][0]["reason"] == "model"
        bought = [
            row
            for row in fleet.export("intents")
            if row["side"] == "buy" and row["decided_ns"] > first["answered_ns"]
        ]
        assert bought == []

        again = said(fleet, "replay")
        assert again["decisions"] >= 1
        assert again["different"] == []

        compared = said(fleet, "eval", "--calls", "1")
        assert (compared["asked"], compared["advised"]) == (1, 1)
        assert compared["pairs"] == compared["pairs_same"] == 2

        stays_off(fleet, asked)
        assert no_file_has(tmp_path / "home", KEY.encode())


def outcomes(fleet: Fleet) -> list[str]:
    return [row["outcome"] for row in said(fleet, "show")]


def whole(fleet: Fleet, decision: str) -> Json:
    return said(fleet, "show", decision)


def cut_by_policy(fleet: Fleet) -> bool:
    lines = [line for row in fleet.export("decisions") for line in row["lines"]]
    return any(line["why"] == "policy" for line in lines)


def stays_off(fleet: Fleet, asked: Model) -> None:
    """Switch it off, end the strategy, and see that its next life asks nobody either."""
    refused = fleet.ctl("agent", "mode", "off")
    assert refused.returncode == exits.REFUSED
    assert "needs a reason" in refused.stderr
    assert fleet.ctl("agent", "mode", "off", "--reason", "enough").returncode == 0
    before = fleet.signal("strategy", signal.SIGKILL)
    until("another strategy", lambda: fleet.pid("strategy") != before, 60)
    asked_before = len(asked.asked)
    bought = len([row for row in fleet.export("intents") if row["side"] == "buy"])
    # It trades again, and nobody is asked though more than an interval has passed.
    until("it buys", lambda: buys(fleet) > bought, 150, every=0.5)
    newest = said(fleet, "show")[-1]
    assert len(asked.asked) == asked_before, newest
    status = fleet.json("agent", "status")
    assert (status["mode"], status["mode_set_reason"]) == ("off", "enough")


def buys(fleet: Fleet) -> int:
    return sum(row["side"] == "buy" for row in fleet.export("intents"))


def no_file_has(home: Path, secret: bytes) -> bool:
    files = [path for path in home.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 10
    return not any(secret in path.read_bytes() for path in files if os.access(path, os.R_OK))
