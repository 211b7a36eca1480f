"""What every command shares: the flags, the exit codes, and data on stdout as table or JSON."""

import functools
import logging
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec
from msgspec import Struct

from btcbot.cli import exits
from btcbot.config import Loaded, load
from btcbot.layers import ConfigError
from btcbot.secret import SecretError

Command = Callable[..., Any]


class Options(Struct, kw_only=True):
    """The common flags, wherever on the command line they stood."""

    files: tuple[Path, ...] = ()
    home: Path | None = None
    verbosity: int = 0
    is_json: bool = False
    has_color: bool = True

    def load(self) -> Loaded:
        """Return the configuration of all layers. Raises ConfigError (exit 78)."""
        return load(self.files, {"home": str(self.home.absolute())} if self.home else {})

    def note(self, text: str) -> None:
        """Say what is going on, on stderr; -q silences it."""
        if self.verbosity >= 0:
            click.echo(text, err=True)

    def leave_logs_out(self) -> None:
        """Keep what actors tell the readers of logs off a terminal where they only play; -v has it.

        Without a handler Python prints bare event names.
        """
        if self.verbosity <= 0:
            logging.getLogger("btcbot").addHandler(logging.NullHandler())

    def show(self, value: object, table: Callable[[], None]) -> None:
        """Print `value` as JSON on stdout when --json was given, else call `table`."""
        if self.is_json:
            print_json(value)
        else:
            table()


def common(function: Command) -> Command:
    """Give a command -c, --home, -v, -q, --no-color and --json, as one `options` argument."""

    @functools.wraps(function)
    def wrapped(**arguments: Any) -> Any:  # noqa: ANN401 (click's)
        options = merged(click.get_current_context(), arguments)
        return function(options=options, **arguments)

    return _flags(wrapped)


def merged(context: click.Context, arguments: dict[str, Any]) -> Options:
    """Take the common flags out of `arguments`, on top of those the group before it was given."""
    above = context.obj if isinstance(context.obj, Options) else Options()
    options = Options(
        files=above.files + tuple(arguments.pop("files")),
        home=arguments.pop("home") or above.home,
        verbosity=above.verbosity + arguments.pop("verbose") - arguments.pop("quiet"),
        is_json=arguments.pop("is_json") or above.is_json,
        has_color=not arguments.pop("no_color") and above.has_color,
    )
    if not options.has_color:
        context.color = False
    context.obj = options
    return options


def print_json(value: object) -> None:
    """Print one JSON document, readable by people too; Decimals and paths are strings."""
    encoded = msgspec.json.encode(value, enc_hook=str)
    click.echo(msgspec.json.format(encoded, indent=2).decode())


def print_table(options: Options, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print `rows` under `columns`; a pipe gets full width, so that nothing is cut off."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    is_terminal = sys.stdout.isatty()
    console = Console(
        no_color=not options.has_color or None,
        width=None if is_terminal else 10_000,
        highlight=False,
    )
    table = Table(box=None, pad_edge=False, header_style="bold" if options.has_color else "")
    for number, column in enumerate(columns):
        is_right = bool(rows) and all(_is_number(row[number]) for row in rows)
        table.add_column(column, overflow="fold", justify="right" if is_right else "left")
    for row in rows:
        # Text, never markup: what an exchange or a person wrote may hold brackets.
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console.print(table)


def _is_number(cell: object) -> bool:
    """Return whether a cell is a number, or empty where a number would be."""
    return cell is None or bool(re.fullmatch(r"-?[0-9][0-9,]*(\.[0-9]+)?|", str(cell)))


def stop(code: int, text: str = "") -> NoReturn:
    """End the command with `code`, after `text` on stderr."""
    if text:
        click.echo(text, err=True)
    sys.exit(code)


def confirm(word: str, about: str = "") -> None:
    """Have a person type `word` before something riskier; ends with 6 when they do not."""
    if not sys.stdin.isatty():
        stop(exits.REFUSED, "btcbot: refused: not a terminal to confirm on; add --yes")
    ask = f"{about}: type {word} to confirm" if about else f"Type {word} to confirm"
    if click.prompt(ask, err=True, default="", show_default=False) != word:
        stop(exits.REFUSED, "btcbot: not confirmed")


class LazyGroup(click.Group):
    """A group whose commands are modules with a `command`, imported when they are called."""

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 (click's)
        modules: Mapping[str, tuple[str, str]] | None = None,
        **rest: Any,  # noqa: ANN401
    ) -> None:
        """`modules`: for each command "module" or "module:name", and one line of help.

        The help is shown without importing; the name is `command` where it is not given.
        """
        super().__init__(*args, **rest)
        self._modules = modules or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._modules})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._modules:
            return super().get_command(ctx, cmd_name)
        module, _, name = self._modules[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name or "command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        own = {name: command.get_short_help_str(80) for name, command in self.commands.items()}
        rows = {**own, **{name: help_ for name, (_, help_) in self._modules.items()}}
        with formatter.section("Commands"):
            formatter.write_dl(sorted(rows.items()))


def run(group: click.Group, name: str) -> None:
    """Run a command line to its end and exit with one of the codes of `exits`."""
    try:
        sys.exit(group.main(prog_name=name, standalone_mode=False) or exits.OK)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        stop(130, "interrupted")
    except (ConfigError, SecretError) as error:
        stop(exits.CONFIG, f"{name}: configuration: {error}")
    except BrokenPipeError:
        # Somebody piped us into `head`: done. stderr and stdout may both be gone.
        sys.stderr.close()
        sys.exit(exits.OK)


def _flags(function: Command) -> Command:
    for option in (
        click.option("--json", "is_json", is_flag=True, help="Print JSON instead of a table."),
        click.option("--no-color", is_flag=True, help="No colours."),
        click.option("-q", "--quiet", count=True, help="Say less on stderr."),
        click.option("-v", "--verbose", count=True, help="Say more on stderr."),
        click.option(
            "--home",
            type=click.Path(file_okay=False, path_type=Path),
            help="Database, journals, sockets, logs.",
        ),
        click.option(
            "-c",
            "--config",
            "files",
            multiple=True,
            type=click.Path(dir_okay=False, path_type=Path),
            help="A further TOML file; may be repeated, later wins.",
        ),
    ):
        function = option(function)
    return function
