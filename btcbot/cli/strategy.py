"""`btcbot strategy`: which there are, a file to begin one of your own with, and a check of it."""

import inspect
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from btcbot.cli import exits
from btcbot.cli.common import Options, common, print_table, stop

COLUMNS: Final = ("name", "decides", "about")
CHECK_S: Final = 120


@click.group("strategy")
def command() -> None:
    """List strategies, begin one of your own, and check one."""


@command.command("list")
@common
def list_(options: Options) -> None:
    """List the strategies of btcbot, with their parameters in --json."""
    from btcbot.pipeline.registry import STRATEGIES, is_allocator

    rows = [
        {
            "name": name,
            "decides": "by the clock" if is_allocator(strategy) else "on quotes",
            "about": (inspect.getdoc(strategy) or "").partition("\n")[0],
            "params": _defaults(strategy.Params),
        }
        for name, strategy in sorted(STRATEGIES.items())
    ]
    table = [[row[name] for name in COLUMNS] for row in rows]
    options.show({"strategies": rows}, lambda: print_table(options, COLUMNS, table))


@command.command("new")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@common
def new(options: Options, file: Path) -> None:
    """Write FILE.py: a strategy that runs, to be changed. Exit 6: the file exists."""
    name = file.stem
    if file.suffix != ".py" or not name.isidentifier() or not name.islower():
        stop(exits.USAGE, f"btcbot: {file}: expected a name such as my_own.py, in lower case")
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(template(name))
    except FileExistsError:
        stop(exits.REFUSED, f"btcbot: refused: {file} exists")
    except OSError as error:
        stop(exits.ERROR, f"btcbot: {file}: {error.strerror}")
    path = str(file.absolute())
    said = f'{path}\nTry it: btcbot strategy check {path}\nUse it: name = "{path}"'
    options.show({"path": path}, lambda: click.echo(said))


@command.command("check")
@click.argument("name", metavar="NAME|FILE|configured")
@click.option(
    "--seconds", default=CHECK_S, show_default=True, type=click.IntRange(30, 3_600),
    help="Of the made market that it is tried on.",
)  # fmt: skip
@common
def check(options: Options, name: str, *, seconds: int) -> None:
    """Try a strategy for look-ahead and warm-up; exit 7 when a look at it finds something.

    It is run on a made market of BTCTRY again and again: the same, cut short, with another future,
    a day later. What it decided before a moment must not depend on what comes after it. A FILE is
    run: check only what you trust.
    """
    from btcbot.chosen import chosen_for
    from btcbot.pipeline.registry import StrategyError
    from btcbot.trial import findings

    config = options.load().config
    given = str(Path(name).absolute()) if name.endswith(".py") else name
    try:
        found = findings(chosen_for(config, given), seconds)
    except StrategyError as error:
        stop(exits.CONFIG, f"btcbot: {error}")
    rows = [(row.name, "ok" if row.is_ok else "FOUND", row.detail) for row in found]
    options.show(
        {"strategy": name, "findings": found},
        lambda: print_table(options, ("look", "result", "detail"), rows),
    )
    if not all(row.is_ok for row in found):
        stop(exits.PROBLEM)


def template(name: str) -> str:
    """Return the text of a strategy that runs: it buys a dip and sells with a profit."""
    return _TEMPLATE.replace("MY_NAME", name)


def _defaults(params: type[msgspec.Struct]) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(params(), enc_hook=str)
    return found


_TEMPLATE = '''"""Buys when the middle falls under a moving mean of itself, sells with a profit.

Pure: what `decide` returns follows from its arguments alone. No clock, no random, no file, nothing
kept outside the state. It wants; budgets, caps, the risk gate and execution judge each wish.
"""

from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta, Struct

from btcbot.domain.ids import Pair
from btcbot.domain.messages import BookTop
from btcbot.domain.words import Side
from btcbot.strategies.anchor import Anchor, middle, moved
from btcbot.strategies.contract import (
    NO_HOLDING, NO_WANTS, MarketView, Want, amount_in, crossing_buy, crossing_sell, gain,
)

NAME: Final = "MY_NAME"
WANTS_DEPTH: Final = False  # True: ten levels a side, once a second, in view.depths.
DECIDES_ON_FILLS: Final = True  # Asked at once after a fill of its own.


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What [strategy.params] may set, each with its range."""

    order_notional: Decimal = Decimal(500)  # Quote asset of one buy.
    dip_bps: Annotated[float, Meta(ge=0, le=2_000)] = 2.0
    profit_bps: Annotated[float, Meta(ge=0, le=10_000)] = 1.0  # After the fees of both ways.
    stop_loss_bps: Annotated[float, Meta(gt=0, le=10_000)] = 80.0
    anchor_s: Annotated[float, Meta(ge=1, le=86_400)] = 5.0
    warm_up_s: Annotated[float, Meta(ge=0, le=86_400)] = 5.0
    spread_max_bps: Annotated[float, Meta(ge=0, le=10_000)] = 100.0
    cross_bps: Annotated[float, Meta(ge=0, le=100)] = 5.0
    life_s: Annotated[float, Meta(ge=1, le=3_600)] = 4.0

    def __post_init__(self) -> None:
        amount_in("order_notional", self.order_notional)


class State(Struct, frozen=True):
    """What is remembered between two quotes."""

    anchors: dict[Pair, Anchor]


def start(_params: Params) -> State:
    return State({})


def decide(
    state: State, params: Params, view: MarketView, top: BookTop, now_ns: int
) -> tuple[State, tuple[Want, ...]]:
    """Return the next state and what is wanted of the pair whose quote changed."""
    anchor = moved(state.anchors.get(top.pair), params.anchor_s, middle(top), now_ns)
    after = State({**state.anchors, top.pair: anchor})
    rules, held = view.rules.get(top.pair), view.holdings.get(top.pair, NO_HOLDING)
    if rules is None or not anchor.is_warm(params.warm_up_s, now_ns):
        return after, NO_WANTS
    want = None
    if held.quantity > 0 and not view.is_busy(top.pair, Side.SELL):
        gained = gain(held, top, view.fees[top.pair].taker_bps)
        if gained >= params.profit_bps or gained <= -params.stop_loss_bps:
            want = crossing_sell(rules, top, held.quantity, params, f"{gained:.1f} bps after fees")
    if held.quantity == 0 and not view.is_busy(top.pair, Side.BUY):
        dip = -anchor.deviation_bps(top)
        if dip >= params.dip_bps:
            want = crossing_buy(rules, top, params.order_notional, params, f"{dip:.1f} bps under")
    return after, NO_WANTS if want is None else (want,)
'''
