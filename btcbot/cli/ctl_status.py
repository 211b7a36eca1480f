"""`btcbot-ctl status`: how everything is, each row with its age."""

import time
from typing import Any, Final

import click

from btcbot.cli import exits
from btcbot.cli.common import Options, common, print_table, stop
from btcbot.cli.ctl_link import (
    ACCOUNT_STALE_S,
    Json,
    account_age,
    aged,
    money,
    silence,
    status_of,
)
from btcbot.cli.ctl_money import print_positions

HEARTBEAT_STALE_S: Final = 1.0
FEED_STALE_S: Final = 5.0
LIMITS_STALE_S: Final = 5.0
EXCHANGE_STALE_S: Final = 10.0
USABLE: Final = ("LIVE", "FALLBACK")


@click.command()
@click.option("--watch", is_flag=True, help="Show it again each second until Ctrl-C.")
@click.option("--check", is_flag=True, help="Exit 7 unless everything is READY, fresh and known.")
@common
def status(options: Options, *, watch: bool, check: bool) -> None:
    """Show mode, actors, feeds, orders, positions, profit and limits, each with its age.

    Nothing old is shown as new: past its limit a row says STALE. Exit 3: no fleet runs.
    """
    if watch:
        _watch(options)
        return
    found = status_of(options)
    options.show(found, lambda: print_status(options, found))
    if check and (problems := problems_of(found)):
        stop(exits.PROBLEM, "btcbot: " + "; ".join(problems))


def _watch(options: Options) -> None:
    from btcbot.cli.client import ask as ask_control

    home = options.load().config.home
    while True:
        try:
            found: Any = ask_control(home, {"command": "status"}, timeout=2.0)
        except OSError:
            found = None
        if options.is_json:
            options.show(found, lambda: None)
        else:
            click.clear()
            if found is None:
                click.echo(f"STALE: {silence(options)}")
            else:
                print_status(options, found)
        time.sleep(1)


def problems_of(found: Json) -> list[str]:
    """Return what is not as it should be; empty when a person need not look."""
    problems = [f"{a['name']} is {a['state']}" for a in found["actors"] if a["state"] != "READY"]
    problems += [
        f"feed {f['pair']} is {f['state']}" for f in found["feeds"] if f["state"] not in USABLE
    ]
    if found["orders"]["unknown"]:
        problems.append(f"{found['orders']['unknown']} orders are UNKNOWN")
    if found["trading_state"] in {"HALTED", "REDUCE"}:
        problems.append(f"{found['trading_state']}: {found['trading_state_set']['reason']}")
    if found["killing"]:
        problems.append("killed, but not every order is proven closed yet")
    age_s = found["account_age_s"]
    if age_s is None or age_s > ACCOUNT_STALE_S:
        problems.append("the account is STALE")
    return problems


def print_status(options: Options, found: Json) -> None:
    """Print the status document for a person."""
    ready = "ready" if found["ready"] else "NOT READY"
    click.echo(f"{found['mode']}  {ready}  {found['ts'][:19]}Z")
    _print_trading(found)
    click.echo()
    columns = ("actor", "state", "pid", "heartbeat s", "restarts", "rss MB")
    print_table(options, columns, [row for a in found["actors"] for row in _actors(a)])
    click.echo()
    feeds = [
        (f["pair"], f["state"], aged(f["age_s"], FEED_STALE_S), f["reason"]) for f in found["feeds"]
    ]
    print_table(options, ("feed", "state", "age s", "reason"), feeds)
    click.echo()
    _print_money(found)
    if found["positions"]:
        click.echo()
        print_positions(options, found)
    _print_exchange(options, found)
    if found["limits"]:
        click.echo()
        age = aged(found["limits_age_s"], LIMITS_STALE_S)
        limits = [(row["name"], row["used"], row["limit"], age) for row in found["limits"]]
        print_table(options, ("limit", "used", "allowed", "age s"), limits)


def _print_exchange(options: Options, found: Json) -> None:
    exchange = found["exchange"]
    if exchange["age_s"] is None:
        return
    click.echo()
    age = aged(exchange["age_s"], EXCHANGE_STALE_S)
    reason = f" ({exchange['reason']})" if exchange["reason"] else ""
    clock = "clock not read yet"
    if exchange["clock_error_ms"] is not None:
        clock = f"clock {exchange['clock_offset_ms']:+} ms, within {exchange['clock_error_ms']} ms"
    click.echo(f"exchange  private socket {exchange['private_socket']}{reason}, {clock}, age {age}")
    if exchange["trouble"]:
        click.echo(f"exchange  {exchange['trouble']}")
    used = [row for row in found["rate"] if row["used"] or row["closed_s"]]
    rows = [
        (row["group"], row["window_s"], row["used"], row["allowed"], row["closed_s"] or "")
        for row in used
    ]
    if rows:
        print_table(options, ("rate", "window s", "used", "allowed", "closed s"), rows)


def _print_trading(found: Json) -> None:
    state = found["trading_state_set"]
    since = f" at {state['ts'][:19]}Z" if state["ts"] else ""
    click.echo(f"trading {found['trading_state']}  (by {state['by']}{since}: {state['reason']})")
    if found["killing"]:
        click.echo("killed: not every order is proven closed yet")
    _print_risk(found)
    for pause in found["pauses"]:
        until = pause["until"][:19] + "Z" if pause["until"] else "resumed"
        click.echo(f"paused {scope_text(pause['scope'])}: {pause['reason']}  (until {until})")


def _print_risk(found: Json) -> None:
    risk = found["risk"]
    why = [*risk["concerns"], *risk["anomalies"]]
    said = f"  ({', '.join(why)})" if why else ""
    smaller = "" if risk["size_bps"] in {"10000", "0"} else f"  buys at {risk['size_bps']} bps"
    level = f"  degrade level {risk['level']}" if risk["level"] else ""
    click.echo(f"risk    {risk['mode']}{smaller}{level}{said}")


def scope_text(scope: dict[str, str]) -> str:
    """Return a pause's scope for people."""
    return " ".join(f"{name}={part}" for name, part in scope.items()) or "everything"


def _actors(row: Json) -> list[tuple[object, ...]]:
    """Return the row of an actor and, below it, who waits for its place."""
    age = aged(row["heartbeat_age_s"], HEARTBEAT_STALE_S)
    own = (row["name"], row["state"], row["pid"], age, row["restarts"], row["rss_mb"])
    standby = row.get("standby")
    return [own, ("  standby", "waits", standby["pid"], "", "", "")] if standby else [own]


def _print_money(found: Json) -> None:
    orders, pnl, equity, stale = (
        found["orders"],
        found["pnl_day"],
        found["equity"],
        account_age(found),
    )
    age_s = orders["oldest_unknown_age_s"]
    oldest = f", oldest {age_s:.0f} s" if age_s is not None else ""
    click.echo(f"orders  {orders['open']} open, {orders['unknown']} unknown{oldest}")
    click.echo(f"equity  {money(equity['value'])} {equity['asset']}{stale}")
    click.echo(
        f"today   realized {money(pnl['realized'])}, unrealized {money(pnl['unrealized'])}, "
        f"fees {money(pnl['fees'])}, drawdown {money(pnl['drawdown'])} TRY, "
        f"{pnl['fills'] or 0} fills{stale}"
    )
