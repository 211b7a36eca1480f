"""A life of execution, from the wait for its place to its end; a panic lives the same one."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeAlias

from actors import place_of
from actors.execution import Performer, actor
from btcbot.arming import GateWatch
from btcbot.btcturk.hear import Hear
from btcbot.btcturk.venue import BtcturkVenue
from btcbot.catalog.capture import capturing
from btcbot.config import Config
from btcbot.domain.ids import Asset
from btcbot.domain.messages import DiskSeen
from btcbot.killfile import KillFile
from btcbot.layers import ConfigError
from btcbot.opening import Opened, open_desk
from btcbot.orders.state import Desk
from btcbot.secret import leaks
from btcbot.simulation.paper import PaperVenue
from btcbot.simulation.statefile import StateError, StateFile
from btcbot.simulation.venue import Latency
from btcbot.store.disk import MIB, Disk
from btcbot.store.keeper import Copies, Keeper
from bus.actor import Actor, Deliver
from bus.clock import SystemClock
from bus.runtime import PeersView, run_on_loop, serve
from bus.standby import take

log = logging.getLogger("btcbot.execution")
MILLISECOND_NS, SECOND_NS = 1_000_000, 1_000_000_000
Company: TypeAlias = Callable[[Desk, Deliver], Coroutine[Any, Any, None]]


def main(config: Config, *, begin: Callable[[], None], waits: bool = False) -> None:
    """Have the place of execution, `begin` a life, recover, then run until SIGTERM.

    Raises Locked when another process has the place, unless this one `waits` for it.
    """
    kill_file = KillFile(config.run / "KILL")
    signal.signal(signal.SIGUSR2, lambda _number, _frame: kill_file.make())
    held = take(config.run / "exec.lock", waits=waits)  # Before key, database and exchange.
    try:
        disk_of(config).look()  # On a full disk the reserve has to go before anything is written.
        begin()
        run_on_loop(live(config))
    finally:
        os.close(held)


async def live(config: Config, company: Company | None = None) -> None:
    """Live from recovery to SIGTERM; whoever calls has the place. `company` lives beside it."""
    # A proxy's error page may echo what was asked, headers and all: no such answer is kept.
    with capturing(config.raw, "execution", config.capture, SystemClock(), is_secret=leaks) as hear:
        await _trade(config, company, hear)


async def _trade(config: Config, company: Company | None, hear: Hear) -> None:
    clock = SystemClock()
    disk = disk_of(config)
    room = disk.look()
    opened = open_desk(config, clock.now_ns())
    disk.lengthen_log()
    writer, desk, kill_file = opened.writer, opened.desk, config.run / "KILL"
    venues: list[BtcturkVenue | PaperVenue] = []
    keepers: list[Keeper] = []
    beside: list[asyncio.Task[None]] = []

    def make(deliver: Deliver, _peers: PeersView) -> Actor[Desk]:
        venue = venue_of(config, opened, deliver, hear)
        venues.append(venue)
        loop = asyncio.get_running_loop()
        keeper = Keeper(
            config.database,
            disk,
            Copies(
                folder=config.backups,
                every_s=config.store.backup_interval_s,
                keep=config.store.backup_keep,
            ),
            lambda seen: tell(loop, deliver, seen),
            clock.now_ns,
        )
        keepers.append(keeper)
        performer = Performer(writer, venue, kill_file, deliver, keeper.tidy, GateWatch(config))
        deliver(DiskSeen(is_reserved=room.is_reserved, free=room.free, wal=room.wal))
        loop.add_signal_handler(signal.SIGUSR2, performer.kill_by_signal)
        if company is not None:
            beside.append(asyncio.ensure_future(company(desk, deliver)))
        return actor(desk, performer, writer.reader.facts_after)

    place = place_of(config)
    try:
        await serve(make, place)
    finally:
        for task in beside:
            task.cancel()
        for venue in venues:
            await venue.close()
        for keeper in keepers:
            keeper.close()
        writer.close()


def venue_of(
    config: Config, opened: Opened, deliver: Deliver, hear: Hear
) -> BtcturkVenue | PaperVenue:
    """Return where orders go: to the exchange, or to the model of one in this process.

    Raises ConfigError where the model's account cannot be gone on with.
    """
    clock = SystemClock()
    if opened.keys is None:
        return paper_of(config, deliver, clock)
    key, secret = opened.keys
    return BtcturkVenue(
        addresses=(config.addresses.rest, config.addresses.ws),
        credentials=(key.reveal(), secret.reveal()),
        deliver=deliver,
        kill_file=config.run / "KILL",
        clock=clock,
        hear=hear,
    )


def paper_of(config: Config, deliver: Deliver, clock: SystemClock) -> PaperVenue:
    """Return the paper exchange on the running event loop. Raises ConfigError."""
    loop = asyncio.get_running_loop()
    way_ns = config.paper.latency_ms * MILLISECOND_NS

    def call_at(at_ns: int, call: Callable[[], None]) -> None:
        loop.call_later(max(at_ns - clock.now_ns(), 0) / SECOND_NS, _or_end, call)

    try:
        venue = PaperVenue(
            StateFile(config.home / "paper"),
            {Asset(asset): amount for asset, amount in config.paper.balances.items()},
            {quote: config.fees(quote) for quote in (Asset("TRY"), Asset("USDT"))},
            Latency(submit_ns=way_ns, cancel_ns=way_ns, read_ns=way_ns),
            now=clock.now_ns,
            call_at=call_at,
            deliver=deliver,
        )
    except StateError as error:
        raise ConfigError(str(error)) from None
    loop.call_soon(venue.open)
    return venue


def _or_end(call: Callable[[], None]) -> None:
    """Call; an exchange that breaks ends the process, where asyncio would only log it."""
    try:
        call()
    except Exception:
        log.exception("paper_exchange_failed")
        raise SystemExit(1) from None


def disk_of(config: Config) -> Disk:
    """Return the disk of the journal, with its reserve."""
    return Disk(config.database, config.store.reserve_mb * MIB)


def tell(loop: asyncio.AbstractEventLoop, deliver: Deliver, seen: DiskSeen) -> None:
    """Deliver what the keeper's thread saw in the loop's own; a loop that ended needs nothing."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(deliver, seen)
