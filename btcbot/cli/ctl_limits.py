"""`btcbot-ctl limits`: what may be used, what is, and making it less."""

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click
from msgspec import ValidationError, convert

from btcbot.cli import exits
from btcbot.cli.common import Options, common, print_table, stop
from btcbot.cli.ctl_link import Json, aged, carry_out, status_of
from btcbot.layers import toml_text

if TYPE_CHECKING:
    from btcbot.domain.facts import LimitTightened
    from btcbot.risk.limits import RiskLimits

STALE_S: Final = 5.0
COLUMNS: Final = ("limit", "used", "allowed", "configured", "tightened by", "reason")


@click.group()
def limits() -> None:
    """Show and tighten the limits of [risk]."""


@limits.command("show")
@common
def limits_show(options: Options) -> None:
    """Show each limit: used, allowed now, as configured, and who tightened it.

    To lift tightenings, set risk.tightened_since_ns to the number shown, and start the fleet again.
    """
    found = status_of(options)
    rows, lift_ns = rows_of(_configured(options), found)
    answer = {"limits": rows, "limits_age_s": found["limits_age_s"], "lift_ns": lift_ns}
    options.show(answer, partial(_print, options, answer))


@limits.command("tighten")
@click.argument("name")
@click.argument("value")
@click.option("--reason", default="", help="For the log and for whoever wonders later.")
@common
def limits_tighten(options: Options, *, name: str, value: str, reason: str) -> None:
    """Make the limit NAME stricter, at once: VALUE in the unit of its name. Survives every restart.

    A least (cash_reserve_min_try, buy_cooldown_ms) is raised, a most lowered. Exit 4: there is no
    such limit. Exit 6: it is as strict already; looser is the configuration's.
    """
    request = {"command": "tighten", "name": name, "value": value, "reason": reason}
    carry_out(options, request, f"{name} is {value} now")


def rows_of(configured: "RiskLimits", found: Json) -> tuple[list[Json], int | None]:
    """Return a row a limit, and the number that lifts every tightening; None: there is none."""
    from btcbot.risk.limits import TIGHTENABLE, holding

    facts = {row["name"]: _fact(row) for row in found["tightened"]}
    live = {n: f for n, f in facts.items() if f.at_ns >= configured.tightened_since_ns}
    holds, used = holding(configured, live), {r["name"]: r["used"] for r in found["limits"]}
    rows = []
    for name in TIGHTENABLE:
        row = {
            "name": name,
            "used": used.get(name),
            "limit": toml_text(getattr(holds, name)),
            "configured": toml_text(getattr(configured, name)),
            "tightened_by": live[name].by if name in live else None,
            "reason": live[name].reason if name in live else None,
        }
        rows.append(row)
    lift_ns = max((fact.at_ns for fact in live.values()), default=None)
    return rows, None if lift_ns is None else lift_ns + 1


def _configured(options: Options) -> "RiskLimits":
    """Return the limits that the running fleet was started with."""
    from btcbot.config import thaw
    from btcbot.layers import ConfigError

    try:
        return thaw(options.load().config.run / "config.json")[0].risk
    except ConfigError as error:
        stop(exits.NOT_RUNNING, f"btcbot: {error}")


def _fact(row: Json) -> "LimitTightened":
    from btcbot.domain.facts import LimitTightened

    known = {key: row[key] for key in ("name", "value", "by", "reason", "at_ns")}
    try:
        return convert({**known, "command_id": ""}, LimitTightened)
    except ValidationError as error:
        stop(exits.PROBLEM, f"btcbot: control says what is no tightening: {error}")


def _print(options: Options, answer: Json) -> None:
    rows: list[tuple[Any, ...]] = [
        (r["name"], r["used"] or "", r["limit"], r["configured"], r["tightened_by"] or "",
         r["reason"] or "")
        for r in answer["limits"]
    ]  # fmt: skip
    print_table(options, COLUMNS, rows)
    click.echo(f"used: {aged(answer['limits_age_s'], STALE_S)} s ago")
    if answer["lift_ns"] is not None:
        click.echo(f"to lift what was tightened: risk.tightened_since_ns = {answer['lift_ns']}")
