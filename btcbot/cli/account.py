"""`btcbot account`: which account the journal belongs to, and moving it to another on purpose."""

import os
import time

import click

from btcbot.cli import exits
from btcbot.cli.common import Options, common, confirm, stop


@click.group("account")
def command() -> None:
    """Show which account the journal belongs to, or move it."""


@command.command("show")
@common
def show(options: Options) -> None:
    """Show the account of the journal, and the one that is configured.

    An account is a fingerprint of its API key and the exchange's address; the key is not shown.
    Exit 7: they are not the same, and execution would refuse to start.
    """
    from btcbot.opening import identity_of, keys_of
    from btcbot.store.database import StoreError, open_reader
    from btcbot.store.reader import Reader

    config = options.load().config
    try:
        bound = Reader(open_reader(config.database)).bound()
    except StoreError as error:
        stop(exits.NOT_RUNNING, f"btcbot: {error}")
    now = identity_of(config, keys_of(config))
    journal = {"exchange": bound.exchange, "account": bound.account} if bound else None
    configured = {"exchange": now.exchange, "account": now.account}
    options.show(
        {"journal": journal, "configured": configured},
        lambda: click.echo(f"journal     {_said(journal)}\nconfigured  {_said(configured)}"),
    )
    if journal not in (None, configured):
        stop(exits.PROBLEM, "btcbot: the journal belongs to another account")


@command.command("move")
@click.option("--reason", required=True, help="Why these are one account: it is journaled.")
@click.option("--yes", is_flag=True, help="Do not ask for a typed confirmation.")
@common
def move(options: Options, *, reason: str, yes: bool) -> None:
    """Say that the configured key or address is of the journal's own account from now on.

    After a key was rotated, or the exchange moved. Never to bring another account's money into
    these books: take another --home for that. Exit 75: execution lives; exit 6: orders are live.
    """
    from btcbot.domain.facts import AccountBound
    from btcbot.opening import identity_of, keys_of, open_journal
    from btcbot.orders.lifecycle import is_terminal
    from bus.standby import take
    from bus.zeromq import Locked

    config = options.load().config
    now = identity_of(config, keys_of(config))
    if not config.database.exists():
        stop(exits.NOT_RUNNING, f"btcbot: {config.database}: no database yet; nothing to move")
    if not yes:
        confirm(now.account)
    try:
        place = take(config.run / "exec.lock")
    except Locked:
        stop(exits.TRY_LATER, f"btcbot: execution lives on {config.home}; `btcbot down` first")
    try:
        writer = open_journal(config)
        found = writer.reader.recover()
        live = [o.client_order_id for o in found.orders if not is_terminal(o.state)]
        if live:
            stop(exits.REFUSED, f"btcbot: refused: not proven closed: {', '.join(live)}")
        writer.epoch = found.epoch
        fact = AccountBound(
            exchange=now.exchange,
            account=now.account,
            by=f"uid {os.getuid()}",
            reason=reason,
            at_ns=time.time_ns(),
        )
        writer.commit((fact,), writer.head + 1)
        writer.close()
    finally:
        os.close(place)
    done = {"exchange": now.exchange, "account": now.account}
    options.show(done, lambda: click.echo(f"the journal is of {_said(done)}"))


def _said(identity: dict[str, str] | None) -> str:
    if identity is None:
        return "nobody's yet"
    return f"account {identity['account']} on {identity['exchange']}"
