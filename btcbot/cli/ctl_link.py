"""What every `btcbot-ctl` command shares: asking control, reading the database, showing ages."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import click

from btcbot.cli import exits
from btcbot.cli.common import Options, stop

if TYPE_CHECKING:
    from btcbot.store.queries import History

ACCOUNT_STALE_S: Final = 5.0  # Accounting says where we stand once a second.
Json = dict[str, Any]
_EXITS = {"not_found": exits.NOT_FOUND, "timeout": exits.TIMED_OUT}


def ask(options: Options, request: Json, timeout: float = 10.0) -> Json:
    """Return control's answer; ends the command with 3 or 5 when there is none."""
    from btcbot.cli.client import ask as ask_control

    home = options.load().config.home
    try:
        answer = ask_control(home, request, timeout)
    except TimeoutError:
        stop(exits.TIMED_OUT, f"btcbot: control on {home} did not answer within {timeout:.0f} s")
    except OSError:
        stop(exits.NOT_RUNNING, f"btcbot: not running: {silence(options)}")
    if answer.get("ok") is False:
        code = _EXITS.get(answer["code"], exits.REFUSED)
        stop(code, f"btcbot: {answer['code'].replace('_', ' ')}: {answer['refused']}")
    return answer


def silence(options: Options) -> str:
    """Return what it means that nothing listens on the control socket, and what to do."""
    from btcbot.cli.fleet import holder_of

    config = options.load().config
    if holder_of(config) is None:
        return f"no fleet runs on {config.home}; start it with `btcbot up`"
    return f"a fleet runs on {config.home}, but its control does not answer; it is restarted soon"


def status_of(options: Options) -> Json:
    """Return the status document of the running fleet."""
    return ask(options, {"command": "status"})


def carry_out(options: Options, request: Json, done: str) -> Json:
    """Have a command carried out and say so; ends with 4, 5 or 6 and the reason when it is not."""
    answer = ask(options, request)
    took = f" ({answer['ack_ms']:.0f} ms)" if answer["ack_ms"] else ""
    options.show(answer, lambda: click.echo(f"{done}{took}"))
    return answer


def history(options: Options) -> "History":
    """Return the database, read-only; ends with 3 when there is none yet."""
    from btcbot.store.database import StoreError
    from btcbot.store.queries import History

    try:
        return History(options.load().config.database)
    except StoreError as error:
        stop(exits.NOT_RUNNING, f"btcbot: {error}")


def aged(age_s: float | None, limit_s: float) -> str:
    """Return an age to show; past its limit it says so."""
    if age_s is None:
        return "STALE"
    return f"{age_s:.1f}" if age_s <= limit_s else f"STALE {age_s:.0f}"


def account_age(found: Json) -> str:
    """Return " STALE ..." for what comes from accounting when it is old, else ""."""
    age_s = found["account_age_s"]
    is_fresh = age_s is not None and age_s <= ACCOUNT_STALE_S
    return "" if is_fresh else f"  STALE ({'never heard' if age_s is None else f'{age_s:.0f} s'})"


def money(value: str | None) -> str:
    """Return an amount of TRY with two decimals; "?" when it is not known."""
    return "?" if value is None else f"{Decimal(value):,.2f}"
