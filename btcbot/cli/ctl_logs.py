"""`btcbot-ctl logs`: the actors' lines, merged by time."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from btcbot.cli import exits
from btcbot.cli.common import Options, common, stop
from btcbot.domain.status import ACTORS

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
HEAD: Final = ("ts", "level", "actor", "event", "run_id", "mode")
POLL_S: Final = 0.3
Json = dict[str, Any]


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option("-n", "--lines", default=200, show_default=True, help="The newest N lines; 0: all.")
@click.option("--actor", type=click.Choice((*ACTORS, "sandbox")), help="Only this one's lines.")
@click.option(
    "--level",
    type=click.Choice(LEVELS, case_sensitive=False),
    default="INFO",
    show_default=True,
    help="This level and above.",
)
@click.option("--order", "order_id", default="", help="Only lines that name this order.")
@common
def logs(
    options: Options, *, follow: bool, lines: int, actor: str | None, level: str, order_id: str
) -> None:
    """Show log lines, oldest first; works without a running fleet. With --json, one object a line.

    Exit 3: there are no logs yet.
    """
    folder = options.load().config.home / "log"
    names = (actor,) if actor else (*ACTORS, "sandbox")
    # Either of the two processes may be execution: each writes to a file of its own.
    files = [*names, *(["execution_standby"] if "execution" in names else [])]
    tails = [Tail(folder / f"{name}.log") for name in files]
    if not any(tail.path.exists() for tail in tails):
        stop(exits.NOT_RUNNING, f"btcbot: no logs in {folder}; start the fleet with `btcbot up`")
    limit = lines
    while True:
        found = [
            line for tail in tails for line in tail.fresh() if _is_wanted(line, level, order_id)
        ]
        found.sort(key=lambda line: str(line.get("ts", "")))
        for line in found[-limit:] if limit else found:
            _show(options, line)
        if not follow:
            return
        limit = 0
        time.sleep(POLL_S)


class Tail:
    """One log file: what was added since the last look, also across a rotation."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file_id, self._offset = 0, 0

    def fresh(self) -> Iterator[Json]:
        """Yield each whole line that was not yielded before."""
        try:
            file = self.path.open("rb")
        except OSError:
            return
        with file:
            about = self.path.stat()
            if about.st_ino != self._file_id or about.st_size < self._offset:
                self._file_id, self._offset = about.st_ino, 0
            file.seek(self._offset)
            for raw in file:
                if not raw.endswith(b"\n"):
                    return
                self._offset += len(raw)
                yield _parsed(raw)


def _parsed(raw: bytes) -> Json:
    """Return a line's fields; what is no JSON (a crash of the interpreter) is shown as it is."""
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError):
        return {"ts": "", "level": "ERROR", "event": raw.decode("utf-8", "replace").strip()}


def _is_wanted(line: Json, level: str, order_id: str) -> bool:
    found = str(line.get("level", "INFO"))
    rank = LEVELS.index(found) if found in LEVELS else LEVELS.index("ERROR")
    is_named = not order_id or any(str(value) == order_id for value in line.values())
    return is_named and rank >= LEVELS.index(level.upper())


def _show(options: Options, line: Json) -> None:
    if options.is_json:
        click.echo(msgspec.json.encode(line).decode())
        return
    rest = " ".join(f"{name}={value}" for name, value in line.items() if name not in HEAD)
    when = str(line.get("ts", ""))[11:23]
    head = f"{when:<12} {line.get('level', ''):<8} {line.get('actor', ''):<11}"
    click.echo(printable(f"{head} {line.get('event', '')} {rest}".rstrip()))


def printable(text: str) -> str:
    """Return `text` without what could steer a terminal: a log holds words of the exchange."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
