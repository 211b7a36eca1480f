"""`btcbot sandbox`: an exchange to play with, speaking BTCTurk's REST and WebSocket."""

import asyncio
import socket
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from btcbot.cli import exits
from btcbot.cli.common import Options, common, stop
from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import DOCUMENTED
from btcbot.domain.money import MoneyError, parse
from btcbot.fault_profile import profile_of
from btcbot.layers import ConfigError
from btcbot.simulation import defaults
from btcbot.simulation.access import PERMISSIONS, permissions_of
from btcbot.simulation.faults import PRESETS, Profile

if TYPE_CHECKING:
    from btcbot.simulation.sandbox import Source

SPEED_MAX = 1_000.0
# A third of the shortest time after which btcbot takes an order for absent (orders.bounds).
CANCEL_DELAY_MAX_S = 10.0
LISTS_DELAY_MAX_S = 30.0  # As users of the real exchange reported.


@click.command("sandbox")
@click.option("--host", default=defaults.HOST, show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=defaults.PORT, show_default=True, type=click.IntRange(0, 65_535),
    help="0: any free port; the first line of output names it.",
)  # fmt: skip
@click.option(
    "--api-key", default=defaults.API_KEY, show_default=True, help="The key that may do everything."
)
@click.option("--api-secret", default=defaults.API_SECRET, show_default=True, help="Base64.")
@click.option("--balance", "balances", multiple=True, metavar="ASSET=AMOUNT", help="Repeatable.")
@click.option(
    "--pairs", "--pair", "pairs", multiple=True, metavar="PAIR[,PAIR...]",
    help="Repeatable; default: all that are known.",
)  # fmt: skip
@click.option("--seed", default=1, show_default=True, help="One seed, one market.")
@click.option(
    "--data", type=click.Path(path_type=Path), multiple=True, metavar="FILE",
    help="Play this recording for the first pair, over and over; several files are read in order.",
)  # fmt: skip
@click.option(
    "--speed", default=1.0, show_default=True, type=click.FloatRange(0.001, SPEED_MAX),
    help="Market seconds per second.",
)  # fmt: skip
@click.option(
    "--cancel-delay", default=0.0, show_default=True, type=click.FloatRange(0, CANCEL_DELAY_MAX_S),
    help="Seconds from a cancel's answer to its effect; the order may fill meanwhile.",
)  # fmt: skip
@click.option(
    "--orders-delay", default=0.0, show_default=True, type=click.FloatRange(0, LISTS_DELAY_MAX_S),
    help="Seconds until lists of orders show a new one; it is there, and may fill, at once.",
)  # fmt: skip
@click.option(
    "--trades-delay", default=0.0, show_default=True, type=click.FloatRange(0, LISTS_DELAY_MAX_S),
    help="Seconds until own trades are listed.",
)  # fmt: skip
@click.option(
    "--grant", "grants", multiple=True, metavar="KEY:SECRET:PERMISSION[,PERMISSION...]",
    help=f"A further key, repeatable; permissions are {', '.join(PERMISSIONS)}.",
)  # fmt: skip
@click.option(
    "--faults", default="", metavar="FILE|PRESET",
    help=f"What goes wrong, drawn from --seed: {', '.join(PRESETS)}, or a TOML file.",
)  # fmt: skip
@click.option("--state", type=click.Path(path_type=Path), help="Keep the account in this folder.")
@common
def command(  # noqa: PLR0913 - one parameter an option
    options: Options,
    *,
    host: str,
    port: int,
    api_key: str,
    api_secret: str,
    balances: tuple[str, ...],
    pairs: tuple[str, ...],
    seed: int,
    data: tuple[Path, ...],
    speed: float,
    cancel_delay: float,
    orders_delay: float,
    trades_delay: float,
    grants: tuple[str, ...],
    faults: str,
    state: Path | None,
) -> None:
    """Serve a simulated exchange until Ctrl-C; its own truth is under /__truth__/.

    REST v1 and v2, the chart API and WebSocket (/ and /ws) are on one port. With --state the
    account outlives the process, and --balance counts only for a fresh one.
    """
    chosen = [pair for given in pairs for pair in given.split(",") if pair] or list(DOCUMENTED)
    held = dict(map(_balance, balances)) if balances else dict(defaults.BALANCES)
    settings = Settings(
        host=host,
        port=port,
        key=api_key,
        secret=api_secret,
        balances=held,
        pairs=tuple(chosen),
        seed=seed,
        speed=speed,
        state=state,
        data=data,
        cancel_delay_s=cancel_delay,
        orders_delay_s=orders_delay,
        trades_delay_s=trades_delay,
        grants=tuple(map(_grant, grants)),
        faults=profile_of(faults) if faults else Profile(),
    )
    try:
        listener = listen(settings)
        address = f"http://{host}:{listener.getsockname()[1]}"
        options.show({"url": address}, lambda: click.echo(f"sandbox: {address}"))
        options.note("btcbot: Ctrl-C ends it")
        run(settings, listener)
    except ConfigError as error:
        stop(exits.CONFIG, f"btcbot: {error}")


class Settings(Struct, frozen=True, kw_only=True):
    """One sandbox."""

    host: str
    port: int
    key: str
    secret: str
    balances: dict[Asset, Decimal]
    pairs: tuple[str, ...]
    seed: int
    speed: float
    state: Path | None
    data: tuple[Path, ...] = ()
    cancel_delay_s: float = 0.0
    orders_delay_s: float = 0.0
    trades_delay_s: float = 0.0
    grants: tuple[tuple[str, str, frozenset[str]], ...] = ()  # Key, secret, permissions.
    faults: Profile = Profile()


def run(settings: Settings, listener: socket.socket | None = None) -> None:
    """Serve until told to end. Raises ConfigError for what cannot be served."""
    from btcbot.btcturk.auth import KeyPair
    from btcbot.simulation.access import Access
    from btcbot.simulation.sandbox import Delays, Sandbox
    from btcbot.simulation.server import serve
    from btcbot.simulation.statefile import StateError, StateFile
    from btcbot.simulation.troubled import Skewed, Troubled
    from bus.clock import SystemClock

    if unknown := [pair for pair in settings.pairs if pair not in DOCUMENTED]:
        raise ConfigError(f"no rules for {unknown}; allowed are {', '.join(DOCUMENTED)}")
    faults = settings.faults
    clock = Skewed(SystemClock(), faults.clock_offset_s)
    listener = listener or listen(settings)
    try:
        sandbox = Sandbox(
            [DOCUMENTED[Pair(pair)] for pair in settings.pairs],
            settings.balances,
            clock.now_ns(),
            seed=settings.seed,
            state=StateFile(settings.state) if settings.state else None,
            source=_source(settings),
            delays=Delays(
                cancels_ns=_ns(settings.cancel_delay_s, faults.cancel_slow_s),
                orders_ns=_ns(settings.orders_delay_s, faults.lists_lag_s),
                trades_ns=_ns(settings.trades_delay_s, faults.fills_lag_s),
            ),
        )
        granted = (Access(KeyPair(key, secret), may) for key, secret, may in settings.grants)
        accesses = (Access(KeyPair(settings.key, settings.secret)), *granted)
    except (StateError, ValueError) as error:
        raise ConfigError(str(error)) from None
    troubled = Troubled(faults, settings.seed, clock)
    with listener:
        asyncio.run(serve(sandbox, accesses, listener, settings.speed, clock, troubled))


def _ns(*seconds: float) -> int:
    """Return the longest of some delays."""
    return round(max(seconds) * 1e9)


def listen(settings: Settings) -> socket.socket:
    """Return the listening socket; exit 75 when its address is taken."""
    try:
        listener = socket.create_server((settings.host, settings.port), backlog=128)
    except OSError as error:
        stop(exits.TRY_LATER, f"btcbot: cannot listen on {settings.host}:{settings.port}: {error}")
    # Connections inherit it; without, every answer waits 40 ms for the client's delayed ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _source(settings: Settings) -> "Source | None":
    if not settings.data:
        return None
    from btcbot.cli.sources import source_of_files
    from btcbot.domain.recorded import DatasetError
    from btcbot.simulation.player import Player

    try:
        return Player(source_of_files(settings.data), DOCUMENTED[Pair(settings.pairs[0])])
    except DatasetError as error:
        raise ConfigError(str(error)) from None


def _balance(given: str) -> tuple[Asset, Decimal]:
    """Read ASSET=AMOUNT; ends the command with what is wrong."""
    asset, _, amount = given.partition("=")
    try:
        value = parse(amount)
    except MoneyError as error:
        stop(exits.USAGE, f"btcbot: --balance {given}: {error}")
    if not asset.isalnum() or value < 0:
        stop(exits.USAGE, f"btcbot: --balance {given}: expected ASSET=AMOUNT, such as TRY=100000")
    return Asset(asset.upper()), value


def _grant(given: str) -> tuple[str, str, frozenset[str]]:
    """Read KEY:SECRET:PERMISSIONS; ends the command with what is wrong."""
    key, _, rest = given.partition(":")
    secret, _, names = rest.rpartition(":")
    try:
        permissions = permissions_of(names.split(","))
    except ValueError as error:
        stop(exits.USAGE, f"btcbot: --grant {key}: {error}")
    if not (key and secret):
        stop(exits.USAGE, "btcbot: --grant: expected KEY:SECRET:PERMISSION[,PERMISSION...]")
    return key, secret, permissions
