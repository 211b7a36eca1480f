"""`btcbot backup`: copies of the database, the proof that they can be lived from, the way back."""

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from btcbot.cli import exits
from btcbot.cli.common import Options, common, confirm, print_table, stop
from btcbot.domain.status import stamp

if TYPE_CHECKING:
    from btcbot.config import Config

Json = dict[str, Any]
BY_HAND_KEEP: Final = 1_000


@click.group("backup")
def command() -> None:
    """Take, list, prove and restore copies of the database."""


@command.command("take")
@common
def take(options: Options) -> None:
    """Copy the database now; the fleet may run. Exit 3: there is no database yet."""
    from btcbot.store.backup import back_up
    from btcbot.store.database import StoreError

    config = options.load().config
    try:
        made = back_up(config.database, config.backups, time.time_ns(), BY_HAND_KEEP, lambda: None)
    except StoreError as error:
        stop(exits.NOT_RUNNING, f"btcbot: {error}")
    except OSError as error:
        stop(exits.ERROR, f"btcbot: {config.backups}: {error}")
    found = {"path": str(made), "bytes": made.stat().st_size}
    options.show(found, lambda: click.echo(f"{made} ({found['bytes']} bytes)"))


@command.command("list")
@common
def list_(options: Options) -> None:
    """List the copies, newest first."""
    from btcbot.store.backup import backups, taken_ns

    rows: list[Json] = [
        {"path": str(path), "taken": stamp(taken_ns(path)), "bytes": path.stat().st_size}
        for path in backups(options.load().config.backups)
    ]
    table = [tuple(row.values()) for row in rows]
    options.show({"backups": rows}, lambda: print_table(options, ("path", "taken", "bytes"), table))


@command.command("drill")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@common
def drill(options: Options, file: Path | None) -> None:
    """Restore a copy into an empty folder and prove it; the newest, unless FILE is given.

    Follows the hash chain from the first event, builds every table again from the events, and
    compares. Nothing of the home is touched. Exit 4: no copy; exit 7: it cannot be lived from.
    """
    from btcbot.store.backup import copy, prove
    from btcbot.store.database import StoreError

    chosen = file or newest(options.load().config)
    with tempfile.TemporaryDirectory(prefix="btcbot-drill-") as folder:
        restored = Path(folder) / "btcbot.db"
        try:
            copy(chosen, restored, lambda: None)
            proof = prove(restored)
        except StoreError as error:
            stop(exits.PROBLEM, f"btcbot: {chosen}: {error}")
    found = {"path": str(chosen), "events": proof.events, "newest": stamp(proof.newest_ns)}
    text = f"{chosen}: {proof.events} events, chain whole, tables follow; newest {found['newest']}"
    options.show(found, lambda: click.echo(text))


@command.command("restore")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--reason", required=True, help="Why; kept beside the database that is put away.")
@click.option("--yes", is_flag=True, help="Do not ask for a typed confirmation.")
@common
def restore(options: Options, file: Path | None, *, reason: str, yes: bool) -> None:
    """Put a proven copy in the place of the database; the newest, unless FILE is given.

    The fleet must not run (exit 75). What is there now is put away, not removed. A copy lacks what
    happened since: run/KILL is made, so that the next start sends nothing and cancels what it
    finds, until a person has compared and resumes. Exit 7: the copy cannot be lived from.
    """
    from btcbot.store.backup import copy, prove
    from btcbot.store.database import StoreError
    from bus.standby import take as take_place
    from bus.zeromq import Locked

    config = options.load().config
    chosen = file or newest(config)
    if not yes:
        confirm("restore")
    config.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        place = take_place(config.run / "exec.lock")
    except Locked:
        stop(exits.TRY_LATER, f"btcbot: execution lives on {config.home}; `btcbot down` first")
    fresh = config.database.with_name("btcbot.db.new")
    try:
        fresh.unlink(missing_ok=True)
        copy(chosen, fresh, lambda: None)
        proof = prove(fresh)
        (config.run / "KILL").touch(mode=0o600)
        kept = put_away(config, reason)
        fresh.replace(config.database)
    except StoreError as error:
        stop(exits.PROBLEM, f"btcbot: {chosen}: {error}; nothing was changed")
    finally:
        fresh.unlink(missing_ok=True)
        os.close(place)
    found = {"path": str(chosen), "events": proof.events, "put_away": str(kept)}
    text = f"restored {proof.events} events; what was there is in {kept}; the next start is KILLED"
    options.show(found, lambda: click.echo(text))


def newest(config: "Config") -> Path:
    """Return the newest copy; ends with 4 when there is none."""
    from btcbot.store.backup import backups

    found = backups(config.backups)
    if not found:
        stop(exits.NOT_FOUND, f"btcbot: no copies in {config.backups}; `btcbot backup take`")
    return found[0]


def put_away(config: "Config", reason: str) -> Path:
    """Move the database and all that belongs to it into a folder of its own; return that."""
    from bus.kept import FILE

    kept = config.home / f"replaced-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    kept.mkdir(mode=0o700)
    (kept / "reason.txt").write_text(reason + "\n", encoding="utf-8")
    for suffix in ("", "-wal", "-shm", ".anchor"):
        path = config.database.with_name(config.database.name + suffix)
        if path.exists():
            path.replace(kept / path.name)
    for path in config.journal.glob(f"*/{FILE}"):  # What actors made of its facts.
        path.replace(kept / f"{path.parent.name}.{FILE}")
    return kept
