"""`btcbot-ctl pause|resume|kill`: who may send orders, and whether any."""

import sys
import time
from typing import Any, Final

import click

from btcbot.cli import exits
from btcbot.cli.common import Options, common, stop
from btcbot.cli.ctl_link import Json, ask, carry_out, history, silence, status_of
from btcbot.cli.ctl_status import scope_text

KILL_WAIT_S: Final = 90.0
KILL_ANSWER_S: Final = 2.0  # Then the kill file, which needs nobody but execution.
POLL_S: Final = 0.1
UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def _scope(function: Any) -> Any:  # noqa: ANN401 (click's)
    for option in (
        click.option("--side", type=click.Choice(("buy", "sell")), help="Only this side."),
        click.option("--strategy", help="Only this strategy's orders."),
        click.option("--pair", help="Only this pair, such as BTCTRY."),
    ):
        function = option(function)
    return function


@click.command()
@_scope
@click.option("--reason", default="", help="For the log and for whoever wonders later.")
@click.option("--for", "duration", default="", metavar="2h", help="Lift it after 30s, 10m, 2h, 1d.")
@common
def pause(options: Options, *, reason: str, duration: str, **scope: str | None) -> None:
    """Send no new orders, at once; open orders stay managed. Survives every restart.

    Without --pair, --strategy or --side it covers everything. Several pauses may stand at once.
    """
    until_ns = time.time_ns() + duration_ns(duration) if duration else None
    request = {"command": "pause", "reason": reason, "until_ns": until_ns, **scope}
    carry_out(options, request, f"paused {_covered(scope)}")


@click.command()
@_scope
@click.option("--reason", required=True, help="Why it is right to trade again.")
@click.option("--ack", default="", metavar="EVENT", help="The event that HALTED the bot.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation on a terminal.")
@common
def resume(options: Options, *, reason: str, ack: str, yes: bool, **scope: str | None) -> None:
    """Trade again: everything, or one paused scope, named exactly as it was paused.

    On a terminal it asks for confirmation; in a script the reason is enough.
    """
    is_asked = not yes and sys.stdin.isatty()
    if is_asked and not click.confirm("Send orders again?", err=True):
        stop(exits.REFUSED, "btcbot: not confirmed")
    request = {"command": "resume", "reason": reason, "acknowledge": ack, **scope}
    carry_out(options, request, f"resumed {_covered(scope)}")
    for left in status_of(options)["pauses"]:
        options.note(f"still paused: {scope_text(left['scope'])} ({left['reason']})")


@click.command()
@click.option("--reason", default="", help="For the log.")
@click.option("--yes", is_flag=True, help="Accepted for scripts; kill never asks.")
@common
def kill(options: Options, *, reason: str, yes: bool) -> None:
    """Send nothing more and cancel every order; done when each is proven closed.

    Works with control dead too: then it makes run/KILL, which execution obeys by itself. Exit 5:
    after 90 s some order is still not proven closed; the kill stands and goes on.
    """
    del yes
    began, left = time.monotonic(), -1
    answer, books = _order_kill(options, reason), history(options)
    while not books.is_kill_complete():
        if time.monotonic() - began > KILL_WAIT_S:
            options.show(answer | {"complete": False}, lambda: None)
            stop(exits.TIMED_OUT, f"btcbot: killed, but {left} orders are not proven closed yet")
        if left != (left := len(live := books.live_orders())):
            unknown = sum(row["state"] == "UNKNOWN" for row in live)
            options.note(f"killed: {left} orders not proven closed yet, {unknown} of them UNKNOWN")
        time.sleep(POLL_S)
    took_s = round(time.monotonic() - began, 3)
    answer |= {"complete": True, "took_s": took_s}
    options.show(answer, lambda: click.echo(f"killed: every order is closed ({took_s} s)"))


def _order_kill(options: Options, reason: str) -> Json:
    """Have execution kill, through control or, when that is silent, through the kill file."""
    from btcbot.cli.client import ask as ask_control
    from btcbot.cli.fleet import holder_of

    config = options.load().config
    request = {"command": "kill", "reason": reason}
    try:
        answer = ask_control(config.home, request, KILL_ANSWER_S)
    except OSError:
        if holder_of(config) is None:
            stop(exits.NOT_RUNNING, f"btcbot: not running: {silence(options)}")
    else:
        if answer["ok"]:
            return answer
        if answer["code"] != "timeout":
            return ask(options, request)  # Says why, and ends.
    kill_file = config.run / "KILL"
    kill_file.touch(mode=0o600)
    options.note(f"no answer through control: made {kill_file}")
    return {"ok": True, "code": "", "refused": "", "command_id": "", "by": str(kill_file)}


def _covered(scope: dict[str, str | None]) -> str:
    return scope_text({name: part for name, part in scope.items() if part is not None})


def duration_ns(given: str) -> int:
    number, unit = given[:-1], given[-1:]
    if not (number.isascii() and number.isdigit()) or unit not in UNITS_S or int(number) == 0:
        stop(
            exits.USAGE, f"btcbot: --for {given!r}: expected a number and s, m, h or d, such as 2h"
        )
    return int(number) * UNITS_S[unit] * 10**9
