"""`btcbot up`: start the fleet under supervisord."""

import os
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

import click

from btcbot.arming import Gate, gates, headline
from btcbot.chosen import configured
from btcbot.cli import exits
from btcbot.cli.common import Options, common, stop
from btcbot.cli.fleet import (
    ACTORS,
    become_supervisord,
    check_ports,
    forget_lives,
    make_folders,
    refuse_unarmed,
    take_lock,
    write_config,
    write_keys,
    write_pid,
)
from btcbot.config import Config

# Cold, on a slow machine: nine interpreters and the first reconciliation.
READY_WAIT_S = 30.0
FACTS_A_SECOND = 4_000  # That all actors read at once, on a slow machine: half of what was seen.
POLL_S = 0.1


@click.command("up")
@click.option("--detach", is_flag=True, help="Return when all actors are READY.")
@click.option(
    "--wait",
    "seconds",
    type=float,
    help="With --detach: no longer.  [default: 30, and 1 more for every 4000 facts of the history]",
)
@common
def command(options: Options, *, detach: bool, seconds: float | None) -> None:
    """Start the fleet for the configured mode; Ctrl-C stops it in order.

    The first line says whether orders will go out: ARMED, or BLOCKED and by which gates (exit 78).
    With --detach: exit 0 when every actor is READY, 1 if one is not, naming it; the fleet then
    runs on, and its logs say why. Exit 75: a fleet has this home already.
    """
    config = options.load().config
    found = gates(config, time.time_ns())
    say_armed(options, config, found)
    refuse_unarmed(found)
    configured(config)  # A person's own strategy is run before anything starts.
    os.umask(0o077)
    make_folders(config)
    lock = take_lock(config)
    check_ports(config)
    run_id = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) + f"-{os.getpid()}"
    forget_lives(config)
    write_keys(config)
    write_config(config, run_id)
    if not detach:
        options.note(f"btcbot: fleet on {config.home}; logs in {config.home / 'log'}; Ctrl-C stops")
        become_supervisord(config, lock, dict(os.environ))
    if seconds is None:
        seconds = patience_s(config)
    child = os.fork()
    if child == 0:
        _detach(config, lock)
    os.close(lock)
    late = wait_ready(config, child, seconds)
    if late:
        stop(exits.ERROR, f"btcbot: not READY: {late}; see {config.home / 'log'}")
    told = {"home": str(config.home), "supervisord": child, "ready": list(ACTORS)}
    options.show(told, lambda: click.echo(f"ready: {len(ACTORS)} actors on {config.home}"))


def say_armed(options: Options, config: Config, found: Sequence[Gate]) -> None:
    """Say ARMED or BLOCKED, and every gate: first, and on stderr where stdout is for JSON."""
    click.echo(headline(config, found), err=options.is_json)
    sys.stdout.flush()  # supervisord takes this process over: what is buffered would be lost.


def patience_s(config: Config) -> float:
    """Return how long a start may take: nearly every actor reads the whole history first."""
    from btcbot.store.queries import facts_in

    return READY_WAIT_S + facts_in(config.database) / FACTS_A_SECOND


def wait_ready(config: Config, supervisord: int, seconds: float) -> str:
    """Wait for every actor to be READY; return "" then, else which is not and in what state."""
    give_up = time.monotonic() + seconds
    late = "all"
    while time.monotonic() < give_up:
        if os.waitpid(supervisord, os.WNOHANG) != (0, 0):
            return f"supervisord ended; see {config.home / 'log' / 'supervisord.log'}"
        late = _late(config)
        if not late:
            return ""
        time.sleep(POLL_S)
    return late


def _late(config: Config) -> str:
    """Return "" when the fleet says that it is ready, else who is not, and in what state."""
    from btcbot.cli.client import ask

    try:
        status = ask(config.home, {"command": "status"})
    except OSError:
        silent = [name for name in ACTORS if not (config.run / f"{name}.ready").exists()]
        return ", ".join(silent) or "control (it does not answer)"
    states = {row["name"]: row["state"] for row in status["actors"]}
    return ", ".join(
        f"{name} ({states.get(name, 'not heard of')})"
        for name in ACTORS
        if states.get(name) != "READY"
    )


def _detach(config: Config, lock: int) -> NoReturn:
    """Become supervisord in a session of its own, away from the terminal."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    output = os.open(
        config.home / "log" / "supervisord.out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600
    )
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    write_pid(lock)
    become_supervisord(config, lock, dict(os.environ))
    os._exit(exits.ERROR)
