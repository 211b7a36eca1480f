"""`btcbot-ctl panic`: a kill that needs nobody: no control, no execution, no supervisord.

It is no back door. It ends the execution that lives, has the same lock, and lives as execution: the
same recovery, the same journal, the same proofs, with a kill as the first command. When every order
is proven closed it leaves, and the standby goes on, killed.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import click

from btcbot.cli import exits
from btcbot.cli.common import Options, common, stop

if TYPE_CHECKING:
    from btcbot.config import Config
    from btcbot.orders.state import Desk
    from bus.actor import Deliver

PLACE_WAIT_S: Final = 20.0
PATIENCE_S: Final = 2.0  # Then the holder is ended whether it likes it or not.
POLL_S: Final = 0.05
RULES_RETRY_S: Final = 2.0
CLOSED_WAIT_S: Final = 120.0


@click.command()
@click.option("--reason", default="", help="For the log.")
@click.option("--yes", is_flag=True, help="Accepted for scripts; panic never asks.")
@click.option(
    "--wait", "seconds", default=CLOSED_WAIT_S, show_default=True, help="For proofs, no longer."
)
@common
def panic(options: Options, *, reason: str, yes: bool, seconds: float) -> None:
    """Cancel every order with control and execution dead; done when each is proven closed.

    Ends the execution that lives, if one does, takes its lock and its place, recovers, cancels
    everything, journals, proves, and leaves the bot KILLED. Exit 5: some order is not proven closed
    in time; the kill stands, and whoever is execution next goes on with it. Exit 1: the journal
    cannot be used; then every order with a label of btcbot is cancelled without it.
    """
    del yes
    config = config_of(options)
    os.umask(0o077)
    config.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    (config.run / "KILL").touch(mode=0o600)  # Whoever lives sends nothing from here on.
    began = time.monotonic()
    left = _live(config, options, reason, seconds)
    took_s = round(time.monotonic() - began, 3)
    found = {"complete": not left, "left": left, "took_s": took_s}
    if left:
        options.show(found, lambda: None)
        stop(exits.TIMED_OUT, f"btcbot: killed, but not proven closed yet: {', '.join(left)}")
    options.show(found, lambda: click.echo(f"panic: every order is closed ({took_s} s)"))


def config_of(options: Options) -> "Config":
    """Return the configuration of the fleet that ran last on this home, else the files'."""
    from btcbot.config import thaw
    from btcbot.layers import ConfigError

    config = options.load().config
    with suppress(ConfigError):
        return thaw(config.run / "config.json")[0]
    return config


def _live(config: "Config", options: Options, reason: str, seconds: float) -> list[str]:
    """Be execution until every order is proven closed; return what is not within `seconds`."""
    from btcbot import logs
    from btcbot.cli import life
    from btcbot.layers import ConfigError
    from bus.runtime import run_on_loop

    logs.configure("execution", run_id="panic", mode=config.mode, level="warning")
    place = _place(config, options)
    left = ["nothing was read yet"]
    try:
        killing = company(config, options, reason, seconds, left)
        try:
            run_on_loop(life.live(config, killing))
        except ConfigError as error:
            options.note(f"panic: {error}")
            options.note("panic: cancelling by label, without the journal")
            run_on_loop(without_journal(config, seconds))
            stop(exits.ERROR, "btcbot: cancelled by label; nothing of it could be journaled")
    finally:
        for descriptor in place:
            os.close(descriptor)
    return left


def _place(config: "Config", options: Options) -> tuple[int, int]:
    """Return the place of execution and the precedence for it, ending whoever has the place."""
    from btcbot import vitals
    from bus.standby import pid_in, precedence_file, take_first
    from bus.zeromq import Locked, lock

    path, began = config.run / "exec.lock", time.monotonic()
    try:
        precedence = lock(precedence_file(path))
    except Locked:
        stop(exits.TRY_LATER, "btcbot: another panic is at work on this home")
    while (held := take_first(path, precedence)) is None:
        waited_s = time.monotonic() - began
        if waited_s > PLACE_WAIT_S:
            stop(exits.TIMED_OUT, f"btcbot: process {pid_in(path)} does not let go of {path}")
        number = signal.SIGTERM if waited_s < PATIENCE_S else signal.SIGKILL
        if vitals.end("execution", pid_in(path), number):
            options.note(f"panic: ending execution {pid_in(path)} ({number.name})")
        time.sleep(0.2)
    return held, precedence


def company(
    config: "Config", options: Options, reason: str, seconds: float, left: list[str]
) -> Callable[["Desk", "Deliver"], Coroutine[Any, Any, None]]:
    """Return what lives beside execution: it kills, shows, and ends it; `left` says how it went."""
    from btcbot.domain.ids import CommandId
    from btcbot.domain.messages import SetTradingState
    from btcbot.domain.words import TradingState

    async def live(desk: "Desk", deliver: "Deliver") -> None:
        deliver(
            SetTradingState(
                command_id=CommandId(f"panic-{time.time_ns()}"),
                state=TradingState.KILLED,
                by=f"panic, uid {os.getuid()}",
                reason=reason,
            )
        )
        give_up = time.monotonic() + seconds
        rules = asyncio.ensure_future(_tell_rules(config, deliver))
        said = -1
        while (left_now := not_closed(desk)) and time.monotonic() < give_up:
            if said != len(left_now):
                said = len(left_now)
                options.note(f"panic: {said} left: {', '.join(left_now[:5])}")
            await asyncio.sleep(POLL_S)
        left[:] = left_now
        rules.cancel()
        signal.raise_signal(signal.SIGTERM)  # The end that execution knows.

    return live


def not_closed(desk: "Desk") -> list[str]:
    """Return what stands between this desk and the proof that nothing of ours is open."""
    from btcbot.domain.ids import is_of_btcbot
    from btcbot.orders.accept import live_orders

    return [
        *(f"read of {name}" for name in desk.first_reads),
        *(f"{order.client_order_id} {order.state}" for order in live_orders(desk)),
        *(
            f"order {row.order_id} {row.client_id}"
            for rows in desk.foreign.values()
            for row in rows
            if is_of_btcbot(row.client_id)
        ),
        *(["the kill"] if desk.kill_command is not None else []),
    ]


async def _tell_rules(config: "Config", deliver: "Deliver") -> None:
    """Tell execution the pairs' rules, which market_data tells it when that lives."""
    from btcbot.btcturk.grammar import WireError
    from btcbot.btcturk.rest import Rest, RestError
    from btcbot.btcturk.rules import instruments
    from btcbot.domain.messages import InstrumentRules

    rest = Rest(config.addresses.rest, time.monotonic_ns)
    try:
        while True:
            try:
                found, _ = instruments(await rest.get("public", "/api/v2/server/exchangeinfo"))
            except (RestError, WireError):
                await asyncio.sleep(RULES_RETRY_S)
                continue
            ours = tuple(rules for rules in found if rules.pair in config.pairs)
            deliver(InstrumentRules(instruments=ours, at_ns=time.time_ns()))
            return
    finally:
        await rest.close()


async def without_journal(config: "Config", seconds: float) -> None:
    """Cancel every open order of the configured pairs that carries a label of btcbot."""
    from btcbot.btcturk.venue import BtcturkVenue
    from btcbot.domain.ids import is_of_btcbot
    from btcbot.domain.venue import Cancel, OpenOrdersRead, ReadOpenOrders
    from btcbot.secret import read_secret
    from bus.clock import SystemClock

    if config.is_paper:
        return  # The paper account lies beside the journal: nobody else has an order of it.
    listed: dict[str, int] = {}

    def take(message: object) -> None:
        if isinstance(message, OpenOrdersRead):
            ours = [row for row in message.orders if is_of_btcbot(row.client_id)]
            listed[message.pair] = len(ours)
            for row in ours:
                venue.start(Cancel(row.order_id))

    key_file, secret_file = config.key_files
    venue = BtcturkVenue(
        addresses=(config.addresses.rest, config.addresses.ws),
        credentials=(read_secret(key_file).reveal(), read_secret(secret_file).reveal()),
        deliver=take,
        kill_file=config.run / "KILL",
        clock=SystemClock(),
    )
    give_up = time.monotonic() + seconds
    try:
        while time.monotonic() < give_up:
            listed.clear()
            for pair in config.pairs:
                venue.start(ReadOpenOrders(pair))
            await asyncio.sleep(RULES_RETRY_S)
            if len(listed) == len(config.pairs) and not any(listed.values()):
                return
    finally:
        await venue.close()
    stop(exits.TIMED_OUT, f"btcbot: still open by the exchange's lists: {listed or 'not read'}")
