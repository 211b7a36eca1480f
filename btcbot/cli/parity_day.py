"""`btcbot parity DAY`: what a day brought beside a backtest of its market, and why; its replay."""

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from btcbot.chosen import ALL
from btcbot.cli import exits
from btcbot.cli.backtest import plan_of
from btcbot.cli.common import Options, print_table, stop
from btcbot.cli.parity import opened
from btcbot.cli.replay import as_row, config_of, facts_of, span_of
from btcbot.cli.sources import Chosen
from btcbot.config import Config
from btcbot.domain.money import BPS_IN_ONE, half_up, text
from btcbot.simulation.recording import Source
from btcbot.simulation.venue import Latency
from bus.journal import JournalError

if TYPE_CHECKING:
    from btcbot.research.explain import Difference, Intents, Traded
    from btcbot.research.heard import Market
    from btcbot.research.lines import Run

CAUSE_COLUMNS = ("cause", "TRY", "bps")
ORDER_COLUMNS = ("at_ns", "pair", "side", "day", "backtest", "TRY", "causes")
CENTS, BPS_SCALE = 2, 2


def compare(options: Options, day: str) -> None:
    """Show what `day` brought more than its backtest; ends the command when it cannot."""
    from btcbot.research import explain
    from btcbot.research.folder import RunError
    from btcbot.research.heard import Middles, market_of

    options.leave_logs_out()
    config, span_ns = config_of(options), span_of(day)
    run = _in_try(options, opened(str(config.database), config.home, span_ns))
    if not run.orders and not run.refusals:
        stop(exits.NOT_FOUND, f"btcbot: nothing was ordered or refused on {day}")
    try:
        market = market_of(config.journal / "market_data", run.started_ns, span_ns[1])
    except RunError as error:
        stop(exits.PROBLEM, f"btcbot: {error}")
    market = {pair: rows for pair, rows in market.items() if pair.endswith("TRY")}
    orders, refused = _played(config, run, market)
    middles = Middles(market)
    mine = explain.traded_of(run)
    found = explain.explained(
        mine, orders, _refused(config, span_ns), refused, middles.last(), middles
    )
    shown = {**_shown(run, mine, orders, found), "replay": _replayed(config, span_ns)}
    options.show(shown, lambda: _print(options, shown))
    if shown["replay"]["differences"]:
        first = shown["replay"]["first"]
        stop(exits.PROBLEM, f"btcbot: replayed, {first['actor']} differs: {first['what']}")


def _replayed(config: Config, span_ns: tuple[int, int]) -> dict[str, Any]:
    """Return what came of every actor's recorded inbox in today's code."""
    from btcbot.replay.lives import ACTORS
    from btcbot.replay.verify import first_of, replay

    facts = facts_of(config)
    try:
        found = [replay(name, config, *span_ns, facts)[0] for name in ACTORS]
    except JournalError as error:
        stop(exits.PROBLEM, f"btcbot: {error}")
    first = first_of(iter(found))
    return {
        "handled": sum(told.handled for told in found),
        "compared": sum(told.compared for told in found),
        "differences": sum(len(told.differences) for told in found),
        "first": None if first is None else as_row(first),
    }


def _in_try(options: Options, run: "Run") -> "Run":
    """Return what was traded for TRY, of a day that adds up; ends the command for another."""
    from btcbot.research.checks import problems

    if wrong := problems(run):
        stop(exits.PROBLEM, "\n".join(f"btcbot: {problem}" for problem in wrong))
    pairs = {line.pair for line in run.orders} | {line.pair for line in run.fills}
    others = {pair for pair in pairs if not pair.endswith("TRY")}
    if others:
        options.note(f"btcbot: not quoted in TRY, so left out: {', '.join(sorted(others))}")
    return replace(
        run,
        orders=tuple(line for line in run.orders if line.pair not in others),
        fills=tuple(line for line in run.fills if line.pair not in others),
    )


def _refused(config: Config, span_ns: tuple[int, int]) -> "Intents":
    from btcbot.research.explain import Intents
    from btcbot.store.queries import History

    return Intents.of(History(config.database).intents(*span_ns))


def _played(config: Config, run: "Run", market: "Market") -> tuple["list[Traded]", "Intents"]:
    """Return what a backtest of the day ordered: its pairs, its first balances, its latency."""
    from btcbot import backtest
    from btcbot.research import explain, folder
    from btcbot.research.folder import order_of
    from btcbot.research.heard import rules_of
    from btcbot.store.queries import History

    recorded = {pair: iter(events) for pair, events in market.items() if events}
    if not recorded:
        return [], explain.Intents.of([])
    known = rules_of(config.journal / "market_data")
    source = Source("the journal", lambda: iter(()), has_book=True)
    chosen = {pair: Chosen(source, lambda: "", known.get(pair)) for pair in recorded}
    plan = replace(
        plan_of(config, ALL, chosen, has_codec=False),
        balances=run.balances_first,
        latency=latency_of(run),
    )
    result, stage = backtest.run_all(plan, recorded)
    played = replace(
        run,
        orders=tuple(map(order_of, result.orders)),
        fills=tuple(map(folder.fill_of, result.fills)),
    )
    verdicts = History(stage.journal.reader).intents()
    return explain.traded_of(played), explain.Intents.of(verdicts)


def latency_of(run: "Run") -> Latency:
    """Return the day's own latency: half of the median from sent to acknowledged."""
    from btcbot.research.quality import spread

    took = spread(
        line.acked_ns - line.created_ns for line in run.orders if line.acked_ns is not None
    )
    if took.median is None:
        return Latency()
    one_way_ns = int(took.median) // 2
    return Latency(submit_ns=one_way_ns, cancel_ns=one_way_ns, read_ns=one_way_ns)


def _shown(
    run: "Run", mine: "list[Traded]", theirs: "list[Traded]", found: "list[Difference]"
) -> dict[str, Any]:
    from btcbot.research.explain import by_cause

    value = sum((one.cost for one in mine), start=Decimal(0))
    causes = by_cause(found)
    whole = sum(causes.values(), start=Decimal(0))
    return {
        "kind": run.kind,
        "orders": {"day": len(mine), "backtest": len(theirs), "paired": _paired(found)},
        "latency_ms": text(half_up(Decimal(latency_of(run).submit_ns) / 1_000_000, 3)),
        "turnover": text(half_up(value, CENTS)),
        "difference": {"TRY": _cents(whole), "bps": _bps(whole, value)},
        "causes": [
            {"cause": cause, "TRY": _cents(amount), "bps": _bps(amount, value)}
            for cause, amount in causes.items()
        ],
        "rows": [
            {
                "at_ns": one.at_ns,
                "pair": one.pair,
                "side": one.side,
                "day": one.a or None,
                "backtest": one.b or None,
                "TRY": _cents(one.total),
                "causes": {cause: _cents(amount) for cause, amount in one.parts.items()},
            }
            for one in found
        ],
    }


def _paired(found: "Iterable[Difference]") -> int:
    return sum(1 for one in found if one.a and one.b)


def _cents(amount: Decimal) -> str:
    return text(half_up(amount, CENTS))


def _bps(amount: Decimal, value: Decimal) -> str | None:
    return text(half_up(amount / value * BPS_IN_ONE, BPS_SCALE)) if value else None


def _print(options: Options, shown: dict[str, Any]) -> None:
    orders, replay = shown["orders"], shown["replay"]
    rows: list[tuple[str, object]] = [
        ("day", shown["kind"]),
        ("orders of the day, of the backtest", f"{orders['day']}, {orders['backtest']}"),
        ("paired", orders["paired"]),
        ("latency one way, ms", shown["latency_ms"]),
        ("turnover of the day", shown["turnover"]),
        ("the day brought more, TRY", shown["difference"]["TRY"]),
        ("in bps of its turnover", shown["difference"]["bps"]),
        ("replayed messages, of them compared", f"{replay['handled']}, {replay['compared']}"),
        ("differences of the replay", replay["differences"]),
    ]
    print_table(options, ("", ""), rows)
    causes = [[row[name] for name in CAUSE_COLUMNS] for row in shown["causes"]]
    print_table(options, CAUSE_COLUMNS, causes)
    cells = [
        [*(row[name] for name in ORDER_COLUMNS[:-1]), _words(row["causes"])]
        for row in shown["rows"]
    ]
    print_table(options, ORDER_COLUMNS, cells)


def _words(causes: dict[str, str]) -> str:
    return " ".join(f"{cause}={amount}" for cause, amount in causes.items()) or "none"
