"""`btcbot config show|check|diff`: values with their origins, and what differs from what."""

import json
import subprocess
import sys
from typing import Any

from btcbot.cli import exits
from btcbot.config import Config, freeze
from btcbot.layers import leaves
from tests.cli.terminal import Terminal, watching


def said(terminal: Terminal, *arguments: str, **settings: str) -> Any:
    done = terminal.btcbot("config", *arguments, "--json", **settings)
    assert done.code == exits.OK, done.err
    return json.loads(done.out)


def test_show_has_every_key_with_its_value_and_where_it_was_set(terminal: Terminal) -> None:
    path = terminal.write("more.toml", "[strategy.params]\nprofit_bps = 2.5\n")

    shown = said(terminal, "show", "-c", str(path), BTCBOT__LOG__LEVEL="debug")

    free = {"strategy.params", "strategies", "paper.balances"}  # Shown key by key.
    assert shown["paper.balances.TRY"]["value"] == "100000"
    assert {leaf.key for leaf in leaves(Config)} - free <= shown.keys()
    assert shown["mode"] == {"value": "sandbox", "origin": "default", "over": []}
    assert shown["log.level"]["origin"] == "environment BTCBOT__LOG__LEVEL"
    assert shown["strategy.params.profit_bps"]["value"] == "2.5"
    assert shown["strategy.params.profit_bps"]["origin"] == str(path)


def test_show_says_what_a_value_was_set_over_the_next_to_win_first(terminal: Terminal) -> None:
    terminal.write("btcbot.toml", "[sandbox]\nport = 1001\n")
    first = terminal.write("first.toml", "[sandbox]\nport = 1002\n")
    second = terminal.write("second.toml", "[sandbox]\nport = 1003\n")

    files = ("-c", str(first), "-c", str(second))
    port = said(terminal, "show", *files, BTCBOT__SANDBOX__PORT="1004")["sandbox.port"]

    assert (port["value"], port["origin"]) == (1004, "environment BTCBOT__SANDBOX__PORT")
    assert port["over"] == [
        {"value": 1003, "origin": str(second)},
        {"value": 1002, "origin": str(first)},
        {"value": 1001, "origin": str(terminal.folder / "btcbot.toml")},
    ]
    table = terminal.btcbot("config", "show", *files, BTCBOT__SANDBOX__PORT="1004").out
    [line] = [line for line in table.splitlines() if line.startswith("sandbox.port")]
    assert f"1003 {second}; 1002 {first}" in line


def test_show_has_no_secret_but_only_the_paths_of_its_files(terminal: Terminal) -> None:
    secret = "c2VjcmV0LWNhbmFyeQ=="
    key = terminal.write("key", secret)
    key.chmod(0o600)

    done = terminal.btcbot("config", "show", BTCBOT__EXCHANGE__API_SECRET_FILE=str(key))

    assert str(key) in done.out
    assert secret not in done.out


def test_diff_without_another_is_what_is_not_at_its_default(terminal: Terminal) -> None:
    path = terminal.write("more.toml", "mode = 'sandbox'\n[sandbox]\nport = 1001\n")

    assert said(terminal, "diff") == {}
    assert said(terminal, "diff", "-c", str(path), "--home", str(terminal.folder / "h")) == {
        "sandbox.port": {
            "ours": {"value": 1001, "origin": str(path)},
            "other": {"value": 8790, "origin": "default"},
        }
    }


def test_diff_with_a_file_reads_it_alone_over_the_defaults(terminal: Terminal) -> None:
    ours = terminal.write("ours.toml", "[sandbox]\nport = 1001\nseed = 3\n")
    other = terminal.write("other.toml", "[sandbox]\nseed = 3\n[strategy.params]\nlife_s = 5\n")

    found = said(terminal, "diff", str(other), "-c", str(ours), BTCBOT__SANDBOX__SPEED="2")

    assert list(found) == ["sandbox.port", "sandbox.speed", "strategy.params.life_s"]
    assert found["sandbox.speed"]["ours"]["origin"] == "environment BTCBOT__SANDBOX__SPEED"
    assert found["strategy.params.life_s"] == {
        "ours": {"value": None, "origin": "not set"},
        "other": {"value": 5, "origin": str(other)},
    }


def test_diff_with_a_home_reads_the_file_in_it(terminal: Terminal) -> None:
    other = terminal.folder / "other"
    terminal.write("other/btcbot.toml", "[log]\nlevel = 'error'\n")

    found = said(terminal, "diff", str(other))

    assert list(found) == ["home", "log.level"]
    assert found["home"]["other"]["value"] == str(other)


def test_diff_with_what_runs_says_what_a_restart_would_change(terminal: Terminal) -> None:
    home = terminal.folder / "h"
    missing = terminal.btcbot("config", "diff", "--running", "--home", str(home))
    terminal.write("h/run/config.json", freeze(Config(home=home), "run-7").decode())

    found = said(terminal, "diff", "--running", "--home", str(home), BTCBOT__LOG__LEVEL="debug")

    assert missing.code == exits.NOT_FOUND
    assert "no fleet was started on this home" in missing.err
    assert found == {
        "log.level": {
            "ours": {"value": "debug", "origin": "environment BTCBOT__LOG__LEVEL"},
            "other": {"value": "info", "origin": "fleet run-7"},
        }
    }


def test_diff_takes_one_thing_to_compare_with(terminal: Terminal) -> None:
    other = terminal.write("other.toml", "")

    assert terminal.btcbot("config", "diff", str(other), "--running").code == exits.USAGE
    assert terminal.btcbot("config", "diff", "no-such-file").code == exits.USAGE
    terminal.write("other.toml", "mod = 1\n")
    assert terminal.btcbot("config", "diff", str(other)).code == exits.CONFIG


def test_check_says_whether_a_fleet_would_be_armed_and_writes_nothing(terminal: Terminal) -> None:
    found = said(terminal, "check")

    assert found["ok"]
    assert found["gates"][0] | {"wanted": ""} == {
        "code": "mode", "is_open": True, "found": "mode = 'sandbox'", "wanted": "",
    }  # fmt: skip
    live = {
        "BTCBOT__MODE": "live",
        "BTCBOT__LIVE__ARMED": "true",
        "BTCBOT__LIVE__ACKNOWLEDGE": "I_UNDERSTAND",
        "BTCBOT__EXCHANGE__API_KEY_FILE": "key",
        "BTCBOT__EXCHANGE__API_SECRET_FILE": "secret",
        "BTCBOT__ORDERS__ABSENCE_WAIT_S": "900",
    }
    checked = terminal.btcbot("config", "check", **live)
    assert checked.code == exits.OK
    assert "\nBLOCKED by live_check [mode ok: mode = 'live'; armed ok" in checked.out
    assert list(terminal.folder.iterdir()) == []


def test_what_is_reached_for_is_noticed() -> None:
    """The tests of what does not start prove nothing where a start goes unseen."""
    with watching() as reached:
        subprocess.run([sys.executable, "-c", ""], check=True)

    assert "subprocess.Popen" in reached
