"""`btcbot-ctl degrade`: the risk mode, why it is so, and holding it at something stricter."""

import sys
import time
from functools import partial
from typing import Final

import click

from btcbot.cli import exits
from btcbot.cli.common import Options, common, stop
from btcbot.cli.ctl_link import Json, aged, carry_out, status_of
from btcbot.cli.ctl_steer import duration_ns

STALE_S: Final = 5.0


@click.group()
def degrade() -> None:
    """Show and hold the risk mode."""


@degrade.command("status")
@common
def degrade_status(options: Options) -> None:
    """Show the risk mode, the degrade level, what is wrong, and what a person set."""
    found = status_of(options)
    answer = {**found["risk"], "age_s": found["limits_age_s"]}
    options.show(answer, partial(_print, answer))


@degrade.command("override")
@click.argument("mode", type=click.Choice(("REDUCE", "OBSERVE"), case_sensitive=False))
@click.option(
    "--for", "duration", required=True, metavar="2h", help="Until after 30s, 10m, 2h, 1d."
)
@click.option("--reason", default="", help="For the log and for whoever wonders later.")
@common
def degrade_override(options: Options, *, mode: str, duration: str, reason: str) -> None:
    """Hold the risk mode at MODE or stricter for a time: REDUCE only sells, OBSERVE sends nothing.

    Survives every restart. What holds already is never made looser: exit 6, `degrade clear` first.
    """
    until_ns = time.time_ns() + duration_ns(duration)
    request = {
        "command": "override", "mode": mode.upper(), "until_ns": until_ns, "reason": reason,
    }  # fmt: skip
    carry_out(options, request, f"held at {mode.upper()} for {duration}")


@degrade.command("clear")
@click.option("--reason", required=True, help="Why it is right to go on.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation on a terminal.")
@common
def degrade_clear(options: Options, *, reason: str, yes: bool) -> None:
    """Leave the risk mode to risk_gate, which forgets what went wrong so far.

    On a terminal it asks for confirmation; elsewhere it needs --yes. The limits stay as they are.
    """
    if not yes and not (sys.stdin.isatty() and click.confirm("Forget it?", err=True)):
        stop(exits.REFUSED, "btcbot: not confirmed; add --yes")
    carry_out(options, {"command": "override", "mode": "NORMAL", "reason": reason}, "cleared")


def _print(answer: Json) -> None:
    click.echo(f"mode       {answer['mode']}  (age {aged(answer['age_s'], STALE_S)} s)")
    click.echo(f"buys       {answer['size_bps']} bps of their limits")
    click.echo(f"level      {'?' if answer['level'] is None else answer['level']}")
    click.echo(f"because    {', '.join(answer['concerns']) or 'nothing'}")
    click.echo(f"anomalies  {', '.join(answer['anomalies']) or 'none'}")
    held = answer["override"]
    if held is not None:
        until = held["until"][:19] + "Z" if held["until"] else "cleared"
        click.echo(f"override   {held['mode']} until {until}, by {held['by']}: {held['reason']}")
