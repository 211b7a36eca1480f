"""`btcbot-ctl actors`: the processes of a fleet."""

import time
from functools import partial
from typing import Final

import click

from btcbot.cli import exits
from btcbot.cli.common import Options, common, print_table, stop
from btcbot.cli.ctl_link import ask, status_of

RESTART_WAIT_S: Final = 30.0
POLL_S: Final = 0.2


@click.group()
def actors() -> None:
    """List and restart actors."""


@actors.command("list")
@common
def actors_list(options: Options) -> None:
    """List the actors with pid, state and age of the last heartbeat."""
    found = status_of(options)["actors"]
    columns = tuple(name for name in found[0] if name != "standby")
    rows = [tuple(row[name] for name in columns) for row in found]
    options.show({"actors": found}, lambda: print_table(options, columns, rows))


@actors.command("restart")
@click.argument("name")
@common
def actors_restart(options: Options, *, name: str) -> None:
    """End one actor in order and wait until it is READY again; supervisord starts it.

    Exit 4: there is no such actor. Exit 5: it is not READY within 30 s; its log says why.
    """
    from btcbot.cli.client import ask as ask_control

    old = ask(options, {"command": "restart", "actor": name})["pid"]
    home, began, row = options.load().config.home, time.monotonic(), {}
    while time.monotonic() - began < RESTART_WAIT_S:
        try:
            found = ask_control(home, {"command": "status"}, timeout=2.0)
        except OSError:  # Control itself may be the one that starts again.
            time.sleep(POLL_S)
            continue
        [row] = [actor for actor in found["actors"] if actor["name"] == name]
        if row["state"] == "READY" and row["pid"] != old:
            took_s = round(time.monotonic() - began, 3)
            done = {"name": name, "pid": row["pid"], "was": old, "took_s": took_s}
            text = f"{name} is READY again ({took_s} s, pid {row['pid']})"
            options.show(done, partial(click.echo, text))
            return
        time.sleep(POLL_S)
    state = row.get("state", "STOPPED")
    stop(exits.TIMED_OUT, f"btcbot: {name} is {state} after {RESTART_WAIT_S:.0f} s; see its log")
