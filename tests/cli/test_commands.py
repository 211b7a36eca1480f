"""`btcbot init`, `config`, `version`: shapes and exit codes, run as a person runs them."""

import configparser
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from btcbot.cli import exits
from btcbot.cli.fleet import ACTORS, supervisord_conf
from btcbot.cli.main import COMMANDS
from btcbot.cli.reference import sections

Run = Callable[..., subprocess.CompletedProcess[str]]
BIN = Path(sys.executable).parent


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a short path: sockets have to fit."""
    with tempfile.TemporaryDirectory(prefix="b") as name:
        yield Path(name)


@pytest.fixture
def btcbot(folder: Path) -> Run:
    """Run `btcbot` in `folder`, with no settings but those given."""

    def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("BTCBOT__")}
        return subprocess.run(
            [BIN / "btcbot", *arguments],
            cwd=folder,
            env={**clean, "HOME": str(folder), **settings},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_init_writes_a_file_that_is_read_and_says_the_defaults(btcbot: Run, folder: Path) -> None:
    done = btcbot("init", "--json")
    shown = json.loads(btcbot("config", "show", "--json").stdout)

    assert done.returncode == exits.OK
    assert json.loads(done.stdout)["file"] == str(folder / "btcbot.toml")
    home = {"value": str(folder / "home"), "origin": str(folder / "btcbot.toml"), "over": []}
    assert shown["home"] == home
    assert shown["sandbox.port"] == {"value": 8790, "origin": "default", "over": []}
    assert (folder / "home" / "run").stat().st_mode & 0o777 == 0o700


def test_every_line_of_the_template_may_be_uncommented(btcbot: Run, folder: Path) -> None:
    btcbot("init")
    path = folder / "btcbot.toml"
    lines = path.read_text(encoding="utf-8").splitlines()
    bare = [line.removeprefix("# ") for line in lines if " = " in line or line.startswith("[")]
    before = json.loads(btcbot("config", "show", "--json").stdout)

    path.write_text("\n".join(bare), encoding="utf-8")
    after = json.loads(btcbot("config", "show", "--json").stdout)

    assert tomllib.loads(path.read_text(encoding="utf-8"))
    values = [{key: row["value"] for key, row in shown.items()} for shown in (before, after)]
    assert values[0] == values[1]


def test_init_leaves_a_file_that_exists(btcbot: Run, folder: Path) -> None:
    (folder / "btcbot.toml").write_text("mode = 'paper'\n", encoding="utf-8")

    done = btcbot("init")

    assert done.returncode == exits.REFUSED
    assert (folder / "btcbot.toml").read_text(encoding="utf-8") == "mode = 'paper'\n"


@pytest.mark.parametrize("where", ["/dev/null", "/dev/null/below", "/proc/nothing"])
def test_init_says_where_nothing_can_be_written(btcbot: Run, where: str) -> None:
    done = btcbot("init", where)

    assert done.returncode == exits.ERROR
    assert done.stderr.startswith(f"btcbot: {where}/btcbot.toml: ")
    assert "choose a folder that can be written" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [(("--home", "/proc/nothing"), {}), ((), {"BTCBOT__LOG__LEVEL": "nonsense"})],
)
def test_init_that_cannot_go_on_is_not_in_the_way_of_the_next(
    btcbot: Run, folder: Path, arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    done = btcbot("init", *arguments, **environment)
    assert done.returncode == exits.CONFIG
    assert "nothing" in done.stderr or "nonsense" in done.stderr

    assert btcbot("init").returncode == exits.OK
    assert (folder / "btcbot.toml").exists()


def test_init_that_finds_no_room_leaves_nothing(btcbot: Run, folder: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))  # As a full disk.
    try:
        done = btcbot("init")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert done.returncode == exits.ERROR
    assert "btcbot.toml: File too large" in done.stderr

    assert btcbot("init").returncode == exits.OK
    assert (folder / "btcbot.toml").exists()


def test_config_show_is_a_table_on_stdout(btcbot: Run) -> None:
    done = btcbot("config", "show", BTCBOT__LOG__LEVEL="debug")

    assert done.returncode == exits.OK
    assert done.stdout.splitlines()[0].split() == ["KEY", "VALUE", "ORIGIN", "OVER"]
    [line] = [line for line in done.stdout.splitlines() if line.startswith("log.level")]
    assert line.split() == ["log.level", '"debug"', "environment", "BTCBOT__LOG__LEVEL"]


@pytest.mark.parametrize(
    "command", [("config", "check"), ("up",), ("actor", "execution"), ("down",)]
)
def test_a_bad_configuration_ends_every_command_with_78(btcbot: Run, command: tuple[str]) -> None:
    done = btcbot(*command, BTCBOT__MOD="live")

    assert done.returncode == exits.CONFIG
    assert "did you mean 'mode'?" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("command", [("up",), ("up", "--detach"), ("actor", "execution")])
def test_live_does_not_start_and_says_all_that_is_missing(
    btcbot: Run, folder: Path, command: tuple[str]
) -> None:
    done = btcbot(*command, BTCBOT__MODE="live")

    assert done.returncode == exits.CONFIG
    for condition in ("live.armed", "live.acknowledge", "absence_wait_s", "check --live"):
        assert condition in done.stderr
    assert not (folder / ".local").exists()


def test_the_first_line_says_armed_or_blocked_by_which_gates(btcbot: Run) -> None:
    blocked = btcbot("up", "--detach", BTCBOT__MODE="live")
    as_json = btcbot("up", "--detach", "--json", BTCBOT__MODE="live")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        armed = btcbot("up", BTCBOT__DASHBOARD__PORT=port)

    [line] = blocked.stdout.splitlines()
    assert line.startswith("BLOCKED by armed, acknowledge, key, absence_wait, live_check [mode ok:")
    assert "armed NO: live.armed = false; " in line
    assert (as_json.stdout, as_json.stderr.splitlines()[0]) == ("", line)
    # It would go on from here, but for the port.
    assert (blocked.returncode, armed.returncode) == (exits.CONFIG, exits.TRY_LATER)
    [line] = armed.stdout.splitlines()
    assert line == "ARMED: orders go to http://127.0.0.1:8790 [mode ok: mode = 'sandbox']"


def test_usage_errors_exit_2(btcbot: Run) -> None:
    for arguments in (("config", "shw"), ("actor", "nobody"), ("--nope",), ("nonsense",)):
        assert btcbot(*arguments).returncode == exits.USAGE


def test_the_common_flags_may_stand_before_and_after_the_command(btcbot: Run, folder: Path) -> None:
    before = btcbot("--json", "--home", str(folder / "h"), "config", "show")
    after = btcbot("config", "show", "--json", "--home", str(folder / "h"))

    assert before.stdout == after.stdout
    home = json.loads(after.stdout)["home"]
    assert (home["value"], home["origin"]) == (str(folder / "h"), "flag")


def test_down_without_a_fleet_exits_3(btcbot: Run) -> None:
    done = btcbot("down")

    assert done.returncode == exits.NOT_RUNNING
    assert "no fleet runs" in done.stderr


def test_version_says_what_is_installed(btcbot: Run) -> None:
    found = json.loads(btcbot("version", "--json").stdout)

    assert set(found) == {"btcbot", "schema", "python", "platform"}


def test_every_key_is_explained() -> None:
    unexplained = [
        f"{section.name}.{key.name}"
        for section in sections()
        for key in section.keys
        if not key.text
    ]

    assert unexplained == []


def test_the_help_lists_every_command_without_importing_it(btcbot: Run) -> None:
    done = btcbot("--help")

    assert done.returncode == exits.OK
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout


def test_supervisord_listens_on_no_port_and_never_gives_up_on_an_actor() -> None:
    conf = configparser.RawConfigParser()
    conf.read(supervisord_conf())
    programs = [conf[name] for name in conf.sections() if name.startswith("program:")]

    assert "inet_http_server" not in conf
    assert conf["unix_http_server"]["chmod"] == "0700"
    assert {name.name.partition(":")[2] for name in programs} == {
        *ACTORS,
        "execution_standby",
        "sandbox",
    }
    for program in programs:
        assert (program["startsecs"], program["exitcodes"]) == ("0", "78")
        assert program["autorestart"] == "unexpected"
        assert program["stopasgroup"] == program["killasgroup"] == "true"
    # The first up is the last down: nobody is left who could ask execution for anything.
    first, second = sorted(programs, key=lambda program: int(program["priority"]))[:2]
    assert (first.name, second.name) == ("program:sandbox", "program:execution")
    # And the standby goes before execution, or it would take over.
    assert int(conf["program:execution_standby"]["priority"]) > int(second["priority"])
