"""`btcbot backtest`: the same actors over a recording, in virtual time."""

import csv
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import msgspec

from btcbot.cli import exits
from btcbot.cli.common import Options, common, print_table, stop
from btcbot.domain.ids import Pair
from btcbot.domain.instruments import DOCUMENTED
from btcbot.domain.money import half_up, text

FOREVER = 1 << 62


@click.command("backtest")
@click.option("-s", "--strategy", "name", required=True, help="Which strategy decides.")
@click.option(
    "--data",
    "paths",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    help="L2 jsonl, trades, quotes or candles csv, also .gz; repeat for the next file.",
)
@click.option("--pair", default="BTCTRY", show_default=True, help="Whose rules and fees count.")
@click.option("--timerange", default="", metavar="20260101-20260301", help="UTC days; end not in.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for orders, fills, equity.")
@click.option("--codec", is_flag=True, help="Encode every message, as between processes.")
@common
def command(  # noqa: PLR0913 - one parameter an option
    options: Options,
    *,
    name: str,
    paths: tuple[Path, ...],
    pair: str,
    timerange: str,
    out: Path | None,
    codec: bool,
) -> None:
    """Run a strategy over recorded data and print what came of it.

    With --out the folder gets orders.jsonl, fills.jsonl, equity.csv and summary.json; the same
    input gives the same bytes.
    """
    from btcbot import backtest
    from btcbot.simulation.recording import DatasetError
    from btcbot.strategies.registry import StrategyError, find, parameters

    config = options.load().config
    if pair not in DOCUMENTED:
        known = ", ".join(DOCUMENTED)
        stop(exits.CONFIG, f"btcbot: no rules for --pair {pair!r}; allowed are {known}")
    since_ns, until_ns = _range(timerange)
    try:
        given = config.strategy.params if config.strategy.name == name else {}
        params = parameters(find(name), given, is_sandbox=True)
        plan = backtest.Plan(
            strategy=name,
            params=params,
            pair=Pair(pair),
            limits=config.risk,
            bounds=config.orders,
            has_codec=codec,
        )
        events, factor = backtest.events_of(paths, Pair(pair), since_ns, until_ns)
        result, _ = backtest.run(plan, events)
        data = backtest.digest_of(paths)
    except StrategyError as error:
        stop(exits.CONFIG, f"btcbot: {error}")
    except DatasetError as error:
        stop(exits.CONFIG, f"btcbot: {error}")
    summary = _summary(plan, result, factor, data)
    if out is not None:
        _write(out, result, summary)
    options.show(summary, lambda: print_table(options, ("", ""), list(_rows(summary))))


def _summary(plan: Any, result: Any, factor: Decimal, data: str) -> dict[str, Any]:  # noqa: ANN401

    fills = result.fills
    fees = sum((Decimal(f["fee"]) + Decimal(f["tax"]) for f in fills), start=Decimal(0))
    turnover = sum((Decimal(f["price"]) * Decimal(f["quantity"]) for f in fills), start=Decimal(0))
    known = [point for point in result.equity if point.equity is not None]
    return {
        "strategy": plan.strategy,
        "params": msgspec.to_builtins(plan.params, enc_hook=str),
        "pair": plan.pair,
        "code": version("btcbot"),
        "data": data,
        "factor": text(half_up(factor, 12)),
        "from": _utc(result.started_ns),
        "to": _utc(result.ended_ns),
        "events": result.events,
        "orders": len(result.orders),
        "fills": len(fills),
        "refusals": result.refusals,
        "turnover": text(half_up(turnover, 2)),
        "fees": text(half_up(fees, 2)),
        "realized_pnl": text(half_up(result.realized, 2)),
        "unrealized_pnl": text(half_up(result.unrealized, 2)),
        "drawdown_max": text(half_up(max((p.drawdown for p in known), default=Decimal(0)), 2)),
        "equity_first": text(half_up(known[0].equity, 2)) if known else None,
        "equity_last": text(half_up(known[-1].equity, 2)) if known else None,
        "positions": result.positions,
        "balances": result.balances,
    }


def _rows(summary: dict[str, Any]) -> Any:  # noqa: ANN401
    units = {"turnover", "fees", "realized_pnl", "unrealized_pnl", "drawdown_max"}
    for key, value in summary.items():
        label = f"{key} (quote)" if key in units else key
        shown = value if isinstance(value, str | int) else msgspec.json.encode(value).decode()
        yield label.replace("_", " "), shown


def _write(out: Path, result: Any, summary: dict[str, Any]) -> None:  # noqa: ANN401
    out.mkdir(parents=True, exist_ok=True)
    for name, rows in (("orders", result.orders), ("fills", result.fills)):
        lines = (msgspec.json.encode(row) + b"\n" for row in rows)
        (out / f"{name}.jsonl").write_bytes(b"".join(lines))
    with (out / "equity.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("at_ns", "equity_try", "drawdown_try"))
        for point in result.equity:
            equity = "" if point.equity is None else text(point.equity)
            writer.writerow((point.at_ns, equity, text(point.drawdown)))
    encoded = msgspec.json.format(msgspec.json.encode(summary), indent=2)
    (out / "summary.json").write_bytes(encoded + b"\n")


def _range(given: str) -> tuple[int, int]:
    """Read 20260101-20260301; either side may be missing."""
    start, _, end = given.partition("-")
    return _day(start, 0), _day(end, FOREVER)


def _day(given: str, default: int) -> int:
    if not given:
        return default
    try:
        moment = datetime.strptime(given, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        stop(exits.USAGE, f"btcbot: --timerange: {given!r} is no day; expected 20260101-20260301")
    return round(moment.timestamp()) * 10**9


def _utc(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns // 10**9, UTC):%Y-%m-%dT%H:%M:%S}Z"
