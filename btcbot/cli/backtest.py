"""`btcbot backtest`: the same actors over a recording, in virtual time."""

import hashlib
import sys
import time
from collections.abc import Iterator, Mapping
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from btcbot.cli import exits, run_folder
from btcbot.cli.common import Options, common, print_table, stop
from btcbot.cli.progress import followed, say_over
from btcbot.cli.times import timerange_span, utc
from btcbot.config import Config
from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import DOCUMENTED, FeeRates, Instrument
from btcbot.domain.money import MoneyError, half_up, parse, text
from btcbot.domain.recorded import Happening
from btcbot.simulation.venue import MILLISECOND_NS, Latency
from btcbot.source import code

if TYPE_CHECKING:
    from btcbot.backtest import Plan, Result
    from btcbot.cli.sources import Chosen

CENTS = 2
PAIR_COLUMNS = (
    "pair", "orders", "fills", "turnover", "fees", "realized_pnl", "unrealized_pnl", "position",
    "average_cost",
)  # fmt: skip


@click.command("backtest")
@click.option("-s", "--strategy", "name", required=True, help="Which strategy decides.")
@click.option(
    "--data",
    "given",
    required=True,
    multiple=True,
    metavar="NAME|FILE",
    help="A data set of the catalog, or a file of any form it imports; repeat for the next file.",
)
@click.option(
    "--pair",
    "pairs",
    multiple=True,
    default=("BTCTRY",),
    show_default=True,
    help="Whose rules and fees count; repeat for several of a data set, or `all` of them.",
)
@click.option(
    "--start-price",
    metavar="PRICE",
    help="First price of the one pair. Else as recorded; for a foreign market, a usual one.",
)
@click.option("--timerange", default="", metavar="20260101-20260301", help="UTC days; end not in.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for orders, fills and equity; default: HOME/backtests/RUN.",
)
@click.option(
    "--latency-ms",
    type=click.IntRange(0, 60_000),
    default=25,
    show_default=True,
    help="How long a request takes, one way.",
)
@click.option(
    "--queue",
    type=click.Choice(("back", "front")),
    default="back",
    show_default=True,
    help="Where a resting order stands among those at its price: the worst case, or the best.",
)
@click.option("--codec", is_flag=True, help="Encode every message, as between processes.")
@common
def command(  # noqa: PLR0913 - one parameter an option
    options: Options,
    *,
    name: str,
    given: tuple[str, ...],
    pairs: tuple[str, ...],
    start_price: str | None,
    timerange: str,
    out: Path | None,
    latency_ms: int,
    queue: str,
    codec: bool,
) -> None:
    """Run a strategy over recorded data and print what came of it.

    The folder gets orders.jsonl, fills.jsonl, equity.csv, candles.csv and, when all is written,
    summary.json. The same input gives the same bytes.
    """
    from btcbot import backtest
    from btcbot.catalog.parquet import LibraryMissing
    from btcbot.cli.sources import choose
    from btcbot.domain.recorded import DatasetError
    from btcbot.research import fingerprint
    from btcbot.simulation.recording import open_recording

    config = options.load().config
    start, span_ns = _price(start_price), timerange_span(timerange)
    try:
        chosen = choose(given, config.data, pairs)
        if start is not None and len(chosen) > 1:
            stop(exits.USAGE, f"btcbot: --start-price is of one pair; played are {len(chosen)}")
        plan = msgspec.structs.replace(
            plan_of(config, name, chosen, has_codec=codec),
            latency=latency_of(latency_ms),
            is_first_in_queue=queue == "front",
        )
        played = {
            rules.pair: open_recording(chosen[rules.pair].source, rules, start, span_ns)
            for rules in plan.instruments
        }
        factors = {pair: one.factor for pair, one in played.items()}
        identity = _identity(plan, chosen[plan.pair].digest(), factors, timerange)
        folder = run_folder.prepare(out, config, identity["run"])
        recordings = {pair: one.events for pair, one in played.items()}
        recordings[plan.pair] = _followed(options, recordings[plan.pair])
        result, stage = backtest.run_all(plan, recordings)
        if stage.unpriced:
            raise DatasetError(  # noqa: TRY301 - as all that is wrong with a recording
                f"{', '.join(stage.unpriced)}: nothing here makes a price; changes of a book count "
                "only after the whole book: put the file that begins with it before this one"
            )
    except (DatasetError, LibraryMissing) as error:
        stop(exits.CONFIG, f"btcbot: --data: {error}")
    gaps = [one.gaps for one in chosen.values() if one.gaps is not None]
    summary = {**identity, "data_gaps": sum(gaps) if gaps else None, **_summary(plan, result)}
    summary["fingerprint"] = fingerprint.of(run_folder.run_of(result, summary)).whole
    run_folder.write(folder, result, summary)
    say_over(f"btcbot: orders, fills and equity are in {folder}", options)
    options.show(summary, lambda: _print(options, summary))


def _followed(options: Options, events: Iterator[Happening]) -> Iterator[Happening]:
    """Return `events`; on a terminal with a word now and then on how far they are."""
    options.leave_logs_out()
    if not sys.stderr.isatty() or options.verbosity < 0:
        return events
    return followed(events, lambda text: say_over(text, options, is_last=False), time.monotonic)


def plan_of(
    config: Config, name: str, chosen: Mapping[Pair, "Chosen"], *, has_codec: bool
) -> "Plan":
    """Return what is to be run, by the configuration and the flags; exits 78 when it cannot be."""
    from btcbot import backtest
    from btcbot.chosen import chosen_for
    from btcbot.pipeline.registry import StrategyError

    for pair, one in chosen.items():
        if pair not in DOCUMENTED and one.rules is None:
            known = ", ".join(DOCUMENTED)
            more = "or a pair whose rules the data set states"
            stop(exits.CONFIG, f"btcbot: no rules for --pair {pair!r}; allowed are {known}, {more}")
    try:
        runs = chosen_for(config, name)
    except StrategyError as error:
        stop(exits.CONFIG, f"btcbot: {error}")
    rows = [one.rules or DOCUMENTED[pair] for pair, one in chosen.items()]
    first, *others = rows
    return backtest.Plan(
        strategy=name,
        params=None if len(runs.setup.seats) > 1 else runs.setup.seats[0].params,
        seats=runs.setup.seats,
        hosted=runs.strategies,
        caps=config.plan,
        universe=config.universe.rules,
        pair=first.pair,
        rules=first,
        others=tuple(others),
        limits=config.risk,
        bounds=config.orders,
        fees={
            quote: _fees(config, quote, [one for one in rows if one.quote == quote], chosen)
            for quote in (Asset("TRY"), Asset("USDT"))
        },
        has_codec=has_codec,
    )


def _fees(
    config: Config, quote: Asset, rows: list[Instrument], chosen: Mapping[Pair, "Chosen"]
) -> FeeRates:
    """Return the rates of `quote`: what the data set states of its pairs, else the configured."""
    stated = {rates for row in rows if (rates := chosen[row.pair].fees) is not None}
    if len(stated) > 1:
        stop(
            exits.CONFIG,
            f"btcbot: --data: its pairs in {quote} have different fees, and a run has one rate for"
            " each quote asset; choose fewer pairs with --pair",
        )
    return stated.pop() if stated else config.fees(quote)


def latency_of(one_way_ms: int) -> Latency:
    """Return the latencies of a run: every request and its answer take this long."""
    one_way_ns = one_way_ms * MILLISECOND_NS
    return Latency(submit_ns=one_way_ns, cancel_ns=one_way_ns, read_ns=one_way_ns)


def _identity(
    plan: "Plan", data: str, factors: Mapping[Pair, Decimal], timerange: str
) -> dict[str, Any]:
    """Return what decides the result: two runs that agree in it agree in every byte."""
    parts = {
        "strategy": plan.strategy,
        "params": msgspec.to_builtins(plan.params, enc_hook=str),
        **_files(plan),
        "pair": ",".join(plan.pairs),
        "data": data,
        "timerange": timerange,
        "factor": ",".join(text(half_up(factor, 16)) for factor in factors.values()),
        "latency_ms": plan.latency.submit_ns // MILLISECOND_NS,
        "queue": "front" if plan.is_first_in_queue else "back",
        "config": plan.digest,
        "code": f"{version('btcbot')}+{code()}",
    }
    run = hashlib.blake2b(msgspec.json.encode(parts), digest_size=8).hexdigest()
    return {"run": run, **parts}


def _files(plan: "Plan") -> dict[str, str]:
    """Return a hash over the strategies' own files, where there are any: their text decides too."""
    texts = [Path(seat.uses).read_bytes() for seat in plan.seats if seat.uses.endswith(".py")]
    if not texts:
        return {}
    return {"files": hashlib.blake2b(b"\0".join(texts), digest_size=16).hexdigest()}


def _summary(plan: "Plan", result: "Result") -> dict[str, Any]:
    known = [point.equity for point in result.equity if point.equity is not None]
    return {
        "from": utc(result.started_ns),
        "to": utc(result.ended_ns),
        "events": result.events,
        "orders": len(result.orders),
        "fills": len(result.fills),
        "refusals": result.refusals,
        "equity_asset": "TRY",
        "equity_first": _cents(known[0]) if known else None,
        "equity_last": _cents(known[-1]) if known else None,
        "drawdown_max": _cents(max((p.drawdown for p in result.equity), default=Decimal(0))),
        "pairs": [_pair(rules, result) for rules in plan.instruments],
        "balances": _texts(result.balances),
        "balances_first": _texts(result.balances_first),
        "started_ns": result.started_ns,
        "ended_ns": result.ended_ns,
    }


def _texts(amounts: Mapping[Asset, Decimal]) -> dict[str, str]:
    return {asset: text(total) for asset, total in sorted(amounts.items())}


def _pair(rules: Instrument, result: "Result") -> dict[str, Any]:
    """Return the pair's figures, in its quote asset."""
    pair = rules.pair
    fills = [row for row in result.fills if row["pair"] == pair]
    zero = Decimal(0)
    turnover = sum((Decimal(f["price"]) * Decimal(f["quantity"]) for f in fills), start=zero)
    fees = sum((Decimal(f["fee"]) + Decimal(f["tax"]) for f in fills), start=zero)
    positions = result.account.positions if result.account else ()
    held = next((row for row in positions if row.pair == pair), None)
    return {
        "pair": pair,
        "quote": rules.quote,
        "orders": sum(1 for row in result.orders if row["pair"] == pair),
        "fills": len(fills),
        "turnover": _cents(turnover),
        "fees": _cents(fees),
        "realized_pnl": _cents(held.realized_pnl if held else zero),
        "unrealized_pnl": _cents(held.unrealized_pnl if held else zero),
        "position": text(held.quantity if held else zero),
        "average_cost": _cents(held.average_cost if held else zero),
    }


def _print(options: Options, summary: dict[str, Any]) -> None:
    """Print two tables: the run, and the money of its pairs."""
    print_table(options, ("", ""), list(_rows(summary)))
    pairs = summary["pairs"]
    print_table(options, PAIR_COLUMNS, [[row[name] for name in PAIR_COLUMNS] for row in pairs])


def _rows(summary: dict[str, Any]) -> Iterator[tuple[str, object]]:
    for key, value in summary.items():
        if key == "pairs":
            continue
        if isinstance(value, dict):
            shown: object = " ".join(f"{name}={part}" for name, part in value.items()) or "none"
        else:
            shown = value
        yield key.replace("_", " "), shown


def _price(given: str | None) -> Decimal | None:
    if given is None:
        return None
    try:
        price = parse(given)
    except MoneyError as error:
        stop(exits.USAGE, f"btcbot: --start-price: {error}")
    if price <= 0:
        stop(exits.USAGE, f"btcbot: --start-price: {given} is not above 0")
    return price


def _cents(value: Decimal) -> str:
    return text(half_up(value, CENTS))
