"""Every command: its help, its common flags, its exit code for a mistake, and what it leaves be."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import click
import pytest

from btcbot.cli import exits
from tests.cli.books import story, write
from tests.cli.terminal import PROGRAMS, Terminal

ROOT = Path(__file__).resolve().parents[2]


def walk(
    group: click.Group, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command that does something, with its full name."""
    context = click.Context(group, info_name=path[-1])
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from walk(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(pair for name, group in PROGRAMS.items() for pair in walk(group, (name,)))
# Each reads the database that execution writes, and asks nobody.
READERS = [
    *(("btcbot", "export", what) for what in ("fills", "orders", "intents", "events", "decisions")),
    ("btcbot", "account", "show"),
    ("btcbot", "backup", "list"),
    ("btcbot-ctl", "orders", "list"),
    ("btcbot-ctl", "trace", "26947521557"),
    ("btcbot-ctl", "pnl", "--day", "2026-11-18"),
]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_and_is_in_the_reference(
    terminal: Terminal, path: tuple[str, ...]
) -> None:
    done = terminal.call(*path, "--help")

    assert (done.code, done.err, done.reached) == (exits.OK, "", [])
    for option in COMMANDS[path].params:
        if isinstance(option, click.Option) and not option.hidden:
            assert option.opts[-1] in done.out
            assert option.help, f"{' '.join(path)} {option.opts[-1]} says nothing"
    reference = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    assert f"### {' '.join(path)}\n" in reference


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_takes_json_and_refuses_a_flag_that_is_not_its_own(
    terminal: Terminal, path: tuple[str, ...]
) -> None:
    assert "--json" in {name for option in COMMANDS[path].params for name in option.opts}

    done = terminal.call(*path, "--no-such-flag")

    assert (done.code, done.out, done.reached) == (exits.USAGE, "", [])
    assert "No such option" in done.err
    assert list(terminal.folder.iterdir()) == []


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_no_command_reads_a_dotenv_file(terminal: Terminal, path: tuple[str, ...]) -> None:
    terminal.write(".env", "BTCBOT__MODE=live\n")

    done = terminal.call(*path, "--env-file", ".env")

    assert (done.code, done.out, done.reached) == (exits.USAGE, "", [])
    assert [path.name for path in terminal.folder.iterdir()] == [".env"]


def test_a_dotenv_file_that_lies_there_changes_nothing(terminal: Terminal) -> None:
    terminal.write(".env", "BTCBOT__SANDBOX__PORT=1\nBTCBOT__MODE=live\n")

    done = terminal.btcbot("config", "diff", "--json")

    assert (done.code, done.out) == (exits.OK, "{}\n")


@pytest.mark.parametrize("command", [("config", "show"), ("config", "diff"), ("version",)])
def test_a_command_that_is_local_speaks_to_nobody(
    terminal: Terminal, command: tuple[str, ...]
) -> None:
    done = terminal.btcbot(*command)

    assert (done.code, done.reached) == (exits.OK, [])
    assert list(terminal.folder.iterdir()) == []


@pytest.mark.parametrize("path", READERS, ids=" ".join)
def test_a_monitor_reads_while_execution_writes_and_changes_and_asks_nothing(
    terminal: Terminal, path: tuple[str, ...]
) -> None:
    home = terminal.folder / "h"
    (home / "run").mkdir(parents=True, mode=0o700)
    for kind in ("key", "secret"):
        terminal.write(f"h/run/sandbox.{kind}", "a-key-of-some-length").chmod(0o600)
    write(home, *story())
    writer = apsw.Connection(str(home / "btcbot.db"))
    writer.execute("BEGIN IMMEDIATE").fetchall()

    done = terminal.call(*path, "--json", "--home", str(home))

    assert (done.code, done.reached) == (exits.OK, []), done
    assert done.out
    writer.execute("COMMIT").fetchall()  # It would be refused at once if anybody were in its way.
    writer.close()
