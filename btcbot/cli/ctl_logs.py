"""`btcbot-ctl logs`: the actors' lines, merged by time."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from btcbot.cli import exits
from btcbot.cli.common import Options, common, stop
from btcbot.domain.status import ACTORS

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
Json = dict[str, Any]


@click.command("logs")
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--actor", type=click.Choice((*ACTORS, "sandbox")))
@click.option("--level", type=click.Choice(LEVELS, case_sensitive=False), default="INFO")
@click.option("--order", "order_id", default="", help="Only lines that name this order.")
@common
def command(
    options: Options, *, follow: bool, actor: str | None, level: str, order_id: str
) -> None:
    """Show log lines, oldest first."""
    folder = options.load().config.home / "log"
    names = (actor,) if actor else (*ACTORS, "sandbox")
    places = {folder / f"{name}.log": 0 for name in names}
    if not any(path.exists() for path in places):
        stop(exits.NOT_RUNNING, f"btcbot: no logs in {folder}; start the fleet with `btcbot up`")
    while True:
        lines = [line for path in places for line in _new_lines(path, places)]
        for line in sorted(lines, key=lambda row: str(row.get("ts", ""))):
            if _is_wanted(line, level, order_id):
                _show(options, line)
        if not follow:
            return
        time.sleep(0.5)


def _new_lines(path: Path, places: dict[Path, int]) -> Iterator[Json]:
    """Yield the lines that were added since the last look; a rotated file starts over."""
    if not path.exists():
        return
    with path.open("rb") as file:
        if path.stat().st_size < places[path]:
            places[path] = 0
        file.seek(places[path])
        for raw in file:
            if not raw.endswith(b"\n"):
                break
            places[path] += len(raw)
            try:
                yield msgspec.json.decode(raw, type=dict[str, Any])
            except msgspec.MsgspecError:
                yield {"ts": "", "level": "INFO", "event": raw.decode("utf-8", "replace").strip()}


def _is_wanted(line: Json, level: str, order_id: str) -> bool:
    found = str(line.get("level", "INFO"))
    rank = LEVELS.index(found) if found in LEVELS else 1
    named = not order_id or any(str(value) == order_id for value in line.values())
    return named and rank >= LEVELS.index(level.upper())


def _show(options: Options, line: Json) -> None:
    if options.is_json:
        click.echo(msgspec.json.encode(line).decode())
        return
    head = ("ts", "level", "actor", "event", "run_id", "mode")
    rest = " ".join(f"{name}={value}" for name, value in line.items() if name not in head)
    when = str(line.get("ts", ""))[11:23]
    click.echo(
        f"{when} {line.get('level', ''):<8} {line.get('actor', ''):<11} {line['event']} {rest}"
    )
