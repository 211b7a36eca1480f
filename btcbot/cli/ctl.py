"""`btcbot-ctl`: watch and steer a running fleet.

Safer commands (pause, kill, cancel) ask nothing; resume needs a reason. A command is answered only
after execution committed it; `ack_ms` is how long that took from the control socket's side.
"""

import time
from datetime import UTC, datetime
from typing import Any

import click

from btcbot.cli import exits
from btcbot.cli.common import LazyGroup, Options, common, print_table, run, stop

KILL_WAIT_S = 90.0
NOT_RUNNING = "btcbot: not running: nothing answers on {home}; start it with `btcbot up`"
Json = dict[str, Any]

COMMANDS = {"logs": ("btcbot.cli.ctl_logs", "Show the actors' log lines.")}


@click.group(
    cls=LazyGroup, modules=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@common
def group(**_options: Any) -> None:  # noqa: ANN401 (kept in the context)
    """Watch and steer a running fleet."""


def ask(options: Options, request: Json, timeout: float = 10.0) -> Json:
    """Return control's answer; ends the command with 3 or 5 when there is none."""
    from btcbot.cli.client import ask as ask_control

    home = options.load().config.home
    try:
        return ask_control(home, request, timeout)
    except TimeoutError:
        stop(exits.TIMED_OUT, f"btcbot: control on {home} did not answer within {timeout:.0f} s")
    except OSError:
        stop(exits.NOT_RUNNING, NOT_RUNNING.format(home=home))


def order(options: Options, request: Json, done: str) -> Json:
    """Have a command carried out; ends with 6 and the reason when it is refused."""
    answer = ask(options, request)
    if not answer["ok"]:
        code = exits.NOT_FOUND if answer.get("code") == "not_found" else exits.REFUSED
        stop(code, f"btcbot: refused: {answer['refused']}")
    options.show(answer, lambda: click.echo(done))
    return answer


# --- status -----------------------------------------------------------------------------------


@group.command()
@click.option("--watch", is_flag=True, help="Show it again each second until Ctrl-C.")
@click.option("--check", is_flag=True, help="Exit 7 unless everything is READY, fresh and known.")
@common
def status(options: Options, *, watch: bool, check: bool) -> None:
    """Show mode, actors, feeds, orders, positions, profit and limits, each with its age."""
    if watch:
        _watch(options)
        return
    found = ask(options, {"command": "status"})
    options.show(found, lambda: _print_status(options, found))
    if check and (problems := _problems(found)):
        stop(exits.PROBLEM, "btcbot: " + "; ".join(problems))


def _watch(options: Options) -> None:
    from btcbot.cli.client import ask as ask_control

    home = options.load().config.home
    while True:
        try:
            found = ask_control(home, {"command": "status"})
        except OSError as error:
            click.clear()
            click.echo(f"control on {home} does not answer ({error}); trying again")
        else:
            click.clear()
            _print_status(options, found)
        time.sleep(1)


def _problems(found: Json) -> list[str]:
    """Return what is not as it should be."""
    problems = [f"{a['name']} is {a['state']}" for a in found["actors"] if a["state"] != "READY"]
    fresh = ("LIVE", "FALLBACK")
    problems += [
        f"feed {f['pair']} is {f['state']}" for f in found["feeds"] if f["state"] not in fresh
    ]
    if found["orders"]["unknown"]:
        problems.append(f"{found['orders']['unknown']} orders are UNKNOWN")
    if found["trading_state"] == "HALTED":
        problems.append("HALTED: " + found["trading_state_set"]["reason"])
    return problems


def _print_status(options: Options, found: Json) -> None:
    state = found["trading_state_set"]
    ready = "ready" if found["ready"] else "NOT READY"
    click.echo(f"{found['mode']}  {ready}  {found['ts'][:19]}Z")
    click.echo(f"trading {found['trading_state']}  (by {state['by']}: {state['reason']})")
    for pause in found["pauses"]:
        scope = " ".join(f"{k}={v}" for k, v in pause["scope"].items())
        click.echo(f"paused {scope}: {pause['reason']}  until {pause['until'] or 'resumed'}")
    click.echo()
    print_table(
        options,
        ("actor", "state", "pid", "heartbeat s", "restarts", "rss MB"),
        [
            (a["name"], a["state"], a["pid"], a["heartbeat_age_s"], a["restarts"], a["rss_mb"])
            for a in found["actors"]
        ],
    )
    click.echo()
    print_table(
        options,
        ("feed", "state", "age s", ""),
        [(f["pair"], f["state"], f["age_s"], f["reason"]) for f in found["feeds"]],
    )
    click.echo()
    orders, pnl, equity = found["orders"], found["pnl_day"], found["equity"]
    age = orders["oldest_unknown_age_s"]
    unknown = f", oldest {age:.0f} s" if age is not None else ""
    click.echo(f"orders: {orders['open']} open, {orders['unknown']} unknown{unknown}")
    click.echo(f"equity: {_money(equity['value'])} {equity['asset']}{_stale(found)}")
    click.echo(
        f"today:  realized {_money(pnl['realized'])}, unrealized {_money(pnl['unrealized'])}, "
        f"fees {_money(pnl['fees'])} TRY, {pnl['fills']} fills"
    )
    if found["positions"]:
        click.echo()
        _print_positions(options, found)


def _stale(found: Json) -> str:
    age = found["account_age_s"]
    return "" if age is not None and age < 5 else f"  STALE ({age} s)"


def _money(value: str | None) -> str:
    return "?" if value is None else f"{float(value):,.2f}"


# --- steering ---------------------------------------------------------------------------------


def _scope(function: Any) -> Any:  # noqa: ANN401 (click's)
    for option in (
        click.option("--side", type=click.Choice(("buy", "sell"))),
        click.option("--strategy"),
        click.option("--pair"),
    ):
        function = option(function)
    return function


@group.command()
@_scope
@click.option("--reason", default="", help="For the log and for whoever wonders later.")
@click.option("--for", "duration", default="", metavar="2h", help="Lift it after 30s, 10m, 2h, 1d.")
@common
def pause(options: Options, *, reason: str, duration: str, **scope: str | None) -> None:
    """Send no new orders, at once; open orders stay managed. Survives every restart."""
    until_ns = time.time_ns() + _duration_ns(duration) if duration else None
    request = {"command": "pause", "reason": reason, "until_ns": until_ns, **scope}
    order(options, request, "paused")


@group.command()
@_scope
@click.option("--reason", required=True, help="Why it is right to trade again.")
@click.option("--ack", default="", metavar="EVENT", help="The event that HALTED the bot.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@common
def resume(options: Options, *, reason: str, ack: str, yes: bool, **scope: str | None) -> None:
    """Trade again. Asks for confirmation, or takes --yes."""
    if not yes and not click.confirm("Send orders again?", err=True):
        stop(exits.REFUSED, "btcbot: not confirmed")
    request = {"command": "resume", "reason": reason, "acknowledge": ack, **scope}
    order(options, request, "resumed")


@group.command()
@click.option("--reason", default="", help="For the log.")
@click.option("--yes", is_flag=True, help="Accepted for scripts; kill never asks.")
@common
def kill(options: Options, *, reason: str, yes: bool) -> None:
    """Send nothing more and cancel every order; done when each is proven closed."""
    del yes
    answer = ask(options, {"command": "kill", "reason": reason})
    if not answer["ok"]:
        stop(exits.REFUSED, f"btcbot: refused: {answer['refused']}")
    began, left = time.monotonic(), -1
    while time.monotonic() - began < KILL_WAIT_S:
        orders = ask(options, {"command": "status"})["orders"]
        if orders["open"] + orders["unknown"] == 0:
            answer |= {"complete": True, "took_s": round(time.monotonic() - began, 3)}
            options.show(answer, lambda: click.echo("killed: every order is closed"))
            return
        if left != (left := orders["open"] + orders["unknown"]):
            options.note(f"killed: {orders['open']} to close, {orders['unknown']} unknown")
        time.sleep(0.1)
    stop(exits.TIMED_OUT, f"btcbot: killed, but {left} orders are not proven closed yet")


# --- orders -----------------------------------------------------------------------------------


@group.group()
def orders() -> None:
    """List, show and cancel orders."""


@orders.command("list")
@click.option("--all", "everything", is_flag=True, help="Closed ones too.")
@common
def orders_list(options: Options, *, everything: bool) -> None:
    """List the orders that are live."""
    history = _history(options)
    rows = list(history.orders()) if everything else history.live_orders()
    columns = ("client_order_id", "pair", "side", "quantity", "limit_price", "state", "filled")
    table = [tuple(row[name] for name in columns) for row in rows]
    options.show({"orders": rows}, lambda: print_table(options, columns, table))


@orders.command("show")
@click.argument("name", metavar="ORDER_ID")
@common
def orders_show(options: Options, *, name: str) -> None:
    """Show one order, by client order id, exchange id or intent id."""
    found = _order(options, name)
    options.show(found, lambda: print_table(options, ("field", "value"), list(found.items())))


@orders.command("cancel")
@click.argument("name", metavar="ORDER_ID")
@click.option("--reason", default="", help="For the log.")
@common
def orders_cancel(options: Options, *, name: str, reason: str) -> None:
    """Ask for one order's cancel; the exchange decides, `orders show` tells."""
    label = _order(options, name)["client_order_id"]
    request = {"command": "cancel", "client_order_id": label, "reason": reason}
    order(options, request, f"cancel of {label} is asked for")


@group.command()
@click.argument("name", metavar="ORDER_ID")
@common
def trace(options: Options, *, name: str) -> None:
    """Tell one order's whole story, with the time from each step to the next."""
    history, found = _history(options), _order(options, name)
    steps = _steps(found, history.story(found["intent_id"]))
    rows = [
        (_clock(step["at_ns"]), f"{step['after_ms']:.3f}", step["actor"], step["what"])
        for step in steps
    ]
    columns = ("time UTC", "+ms", "actor", "what")
    options.show({"order": found, "steps": steps}, lambda: print_table(options, columns, rows))


def _steps(found: Json, facts: list[Json]) -> list[Json]:
    intent = facts[0]["fact"]["intent"] if facts else {}
    moments = [
        (intent.get("seen_ns"), "market_data", "price confirmed"),
        (found["decided_ns"], "strategy", f"decided: {intent.get('reason', '')}"),
        (found["approved_ns"], "risk_gate", "approved"),
        *((fact["at_ns"], "execution", _told(fact)) for fact in facts),
    ]
    known = sorted((m for m in moments if m[0]), key=lambda moment: moment[0])
    before = known[0][0] if known else 0
    steps = []
    for at_ns, actor, what in known:
        after_ms = (at_ns - before) / 1e6
        steps.append({"at_ns": at_ns, "after_ms": after_ms, "actor": actor, "what": what})
        before = at_ns
    return steps


def _told(fact: Json) -> str:
    kept = {k: v for k, v in fact["fact"].items() if k not in ("intent", "intent_id", "postings")}
    return f"{fact['kind']} " + " ".join(f"{k}={v}" for k, v in kept.items() if v not in (None, ""))


# --- money ------------------------------------------------------------------------------------


@group.command()
@common
def positions(options: Options) -> None:
    """Show what our own fills hold."""
    found = ask(options, {"command": "status"})
    shown = {"positions": found["positions"], "age_s": found["account_age_s"]}
    options.show(shown, lambda: _print_positions(options, found))


def _print_positions(options: Options, found: Json) -> None:
    columns = ("pair", "quantity", "average_cost", "realized_pnl", "unrealized_pnl")
    rows = [tuple(row[name] for name in columns) for row in found["positions"]]
    print_table(options, columns, rows)


@group.command()
@common
def balances(options: Options) -> None:
    """Show what the exchange says the account holds."""
    found = ask(options, {"command": "status"})
    columns = ("asset", "total", "free")
    rows = [tuple(row[name] for name in columns) for row in found["balances"]]
    shown = {"balances": found["balances"], "age_s": found["account_age_s"]}
    options.show(shown, lambda: print_table(options, columns, rows))


@group.command()
@click.option("--day", default="", metavar="2026-11-24", help="A past trading day (Istanbul).")
@common
def pnl(options: Options, *, day: str) -> None:
    """Show the profit and loss of a trading day, in TRY."""
    today = ask(options, {"command": "status"})["pnl_day"] if not day else None
    found = today if today and today["day"] else _past_day(options, day)
    columns = tuple(found)
    options.show(found, lambda: print_table(options, columns, [tuple(found.values())]))


def _past_day(options: Options, day: str) -> Json:
    """Book every fill again and return one day's sums; fees and turnover in the quote asset."""
    from btcbot.cli.pnl_days import pnl_of_day

    found = pnl_of_day(_history(options), day)
    if found is None:
        stop(exits.NOT_FOUND, f"btcbot: no fills on {day}")
    return found


# --- actors -----------------------------------------------------------------------------------


@group.group()
def actors() -> None:
    """List and restart actors."""


@actors.command("list")
@common
def actors_list(options: Options) -> None:
    """List the actors with pid, state and age of the last heartbeat."""
    found = ask(options, {"command": "status"})["actors"]
    columns = tuple(found[0])
    rows = [tuple(row.values()) for row in found]
    options.show({"actors": found}, lambda: print_table(options, columns, rows))


@actors.command("restart")
@click.argument("name")
@common
def actors_restart(options: Options, *, name: str) -> None:
    """End one actor in order; supervisord starts it again."""
    order(options, {"command": "restart", "actor": name}, f"{name} was told to end")


# --- small parts ------------------------------------------------------------------------------


def _history(options: Options) -> Any:  # noqa: ANN401 (imported late)
    from btcbot.store.database import StoreError
    from btcbot.store.queries import History

    try:
        return History.of(options.load().config.database)
    except StoreError as error:
        stop(exits.NOT_RUNNING, f"btcbot: {error}")


def _order(options: Options, name: str) -> Json:
    found: Json | None = _history(options).order(name)
    if found is None:
        stop(exits.NOT_FOUND, f"btcbot: no order {name!r}; see `btcbot-ctl orders list --all`")
    return found


def _clock(at_ns: int) -> str:
    moment = datetime.fromtimestamp(at_ns // 10**9, UTC)
    return f"{moment:%H:%M:%S}.{at_ns % 10**9 // 1000:06d}"


def _duration_ns(given: str) -> int:
    units = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
    number, unit = given[:-1], given[-1:]
    if not (number.isascii() and number.isdigit()) or unit not in units:
        stop(
            exits.USAGE, f"btcbot: --for {given!r}: expected a number and s, m, h or d, such as 2h"
        )
    return int(number) * units[unit] * 10**9


def main() -> None:
    run(group, "btcbot-ctl")


if __name__ == "__main__":
    main()
