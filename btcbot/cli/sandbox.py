"""`btcbot sandbox`: an exchange to play with, speaking BTCTurk's REST and WebSocket."""

import asyncio
import time
from decimal import Decimal
from pathlib import Path

import click
from msgspec import Struct

from btcbot.cli import exits
from btcbot.cli.common import Options, common, stop
from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import DOCUMENTED
from btcbot.domain.money import MoneyError, parse
from btcbot.simulation import defaults


@click.command("sandbox")
@click.option("--host", default=defaults.HOST, show_default=True, help="Address to listen on.")
@click.option("--port", default=defaults.PORT, show_default=True, type=click.IntRange(1, 65_535))
@click.option("--api-key", default=defaults.API_KEY, show_default=True)
@click.option("--api-secret", default=defaults.API_SECRET, show_default=True, help="Base64.")
@click.option("--balance", "balances", multiple=True, metavar="ASSET=AMOUNT", help="Repeatable.")
@click.option("--pair", "pairs", multiple=True, help="Repeatable; default: all that are known.")
@click.option("--seed", default=1, show_default=True, help="One seed, one market.")
@click.option("--speed", default=1.0, show_default=True, help="Market seconds per second.")
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
    speed: float,
    state: Path | None,
) -> None:
    """Serve a simulated exchange until Ctrl-C; its own truth is under /__truth__/."""
    for pair in pairs:
        if pair not in DOCUMENTED:
            known = ", ".join(DOCUMENTED)
            stop(exits.CONFIG, f"btcbot: no rules for {pair!r}; allowed are {known}")
    held = dict(defaults.BALANCES) if not balances else dict(map(_balance, balances))
    options.note(f"btcbot: sandbox on http://{host}:{port} (Ctrl-C ends it)")
    chosen = pairs or tuple(DOCUMENTED)
    run(Settings(host, port, api_key, api_secret, held, chosen, seed, speed, state))


class Settings(Struct, frozen=True):
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


def run(settings: Settings) -> None:
    """Serve until told to end."""
    from btcbot.btcturk.auth import KeyPair
    from btcbot.simulation.sandbox import Sandbox
    from btcbot.simulation.server import serve

    try:
        keys = KeyPair(settings.key, settings.secret)
    except ValueError as error:
        stop(exits.CONFIG, f"btcbot: {error}")
    sandbox = Sandbox(
        [DOCUMENTED[Pair(pair)] for pair in settings.pairs],
        settings.balances,
        time.time_ns(),
        seed=settings.seed,
        state=settings.state,
    )
    asyncio.run(serve(sandbox, keys, settings.host, settings.port, settings.speed))


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
