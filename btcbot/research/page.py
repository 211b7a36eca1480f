"""A report as one HTML file that asks nobody for anything: no script, no font, no other host.

All of a run's words are escaped, and the page forbids itself every request.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from html import escape
from importlib.resources import files
from itertools import chain
from typing import Any

from btcbot.domain.money import text
from btcbot.research import drawing, returns
from btcbot.research.figures import Json, curve_of, figures, utc
from btcbot.research.lines import Run
from btcbot.research.markup import figure, money, pairs, percent, plain, section, shown, table
from btcbot.research.returns import Curve

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
RATIOS = (
    ("Return", "total_return", True), ("Return of a year", "annual_return", True),
    ("Return of holding, no fees", "hold_return", True), ("Sharpe", "sharpe", False),
    ("Sortino", "sortino", False), ("Calmar", "calmar", False),
)  # fmt: skip


def page(run: Run) -> str:
    """Return the whole document."""
    found = figures(run)
    style = files("btcbot.research").joinpath("page.css").read_text(encoding="utf-8")
    name = f"{found['identity'].get('strategy', found['kind'])} {found['from']}"
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(name)}</title><style>{style}</style></head><body>"
    )
    return (
        head + "".join(chain(_top(found), _charts(run, found), _tables(found))) + "</body></html>\n"
    )


def _top(found: Json) -> Iterable[str]:
    title = f"{found['kind']}: {found['identity'].get('strategy', 'all strategies')}"
    yield f"<header><h1>{escape(title)}</h1>"
    yield f"<p>{escape(found['from'])} to {escape(found['to'])}, UTC</p></header><main>"
    yield section("Figures", pairs(_headline(found)))
    identity = {**found["identity"], "fingerprint": found["fingerprint"]}
    rows = [(key.replace("_", " "), shown(value)) for key, value in identity.items()]
    yield section("What was run", pairs(rows))


def _headline(found: Json) -> list[tuple[str, str]]:
    equity, trading, quality = found["equity"], found["trading"], found["quality"]
    rows = [("Equity, TRY", f"{money(equity['first'])} to {money(equity['last'])}")]
    for name, key, is_share in RATIOS:
        rows.append((name, percent(equity[key]) if is_share else plain(equity[key])))
    rows.append(("Returns are of a", f"{equity['period']}, {equity['periods']} of them"))
    worst = equity["drawdown"]
    if worst:
        back = worst["recovered"] or "not yet"
        rows += [
            ("Deepest fall", f"{percent(worst['ratio'])}, {money(worst['amount'])} TRY"),
            ("Peak, bottom, recovered", f"{worst['peak']}, {worst['bottom']}, {back}"),
        ]
    for row in trading["assets"]:
        asset = row["asset"]
        rows += [
            (f"Turnover, {asset}", money(row["turnover"])),
            (f"Fees and tax, {asset}", money(row["fees"])),
            (f"Realized, {asset}", money(row["realized"])),
        ]
    return [
        *rows,
        ("Time in the market", percent(trading["time_in_market"])),
        ("Turnover over mean equity", plain(trading["turnover_try_of_equity"])),
        ("Closed trades", str(trading["closed"])),
        ("Win rate", percent(trading["win_rate"])),
        ("Profit factor", plain(trading["profit_factor"])),
        ("Slippage, bps", plain(quality["slippage_bps"])),
        ("Maker's share", percent(quality["maker_share"])),
    ]


def _charts(run: Run, found: Json) -> Iterable[str]:
    line = curve_of(run)
    falls = [(row.at_ns, -row.drawdown) for row in run.equity if row.equity is not None]
    falls += [(run.ended_ns, falls[-1][1])] if falls else []
    yield _curve("Equity, TRY", line)
    yield _curve("Drawdown, TRY", falls, "area")
    for pair in sorted({bar.pair for bar in run.bars}):
        yield _candles(run, pair)
    bins = found["distribution"]["bins"]
    if bins:
        period = found["distribution"]["period"]
        half = (Decimal(_upper_edge(bins)) - Decimal(bins[-1][0])) / 2
        losses = sum(1 for edge, _ in bins if Decimal(edge) + half < 0)
        drawn = drawing.bars([count for _, count in bins], losses)
        ends = (percent(bins[0][0]), percent(_upper_edge(bins)))
        most = str(max(count for _, count in bins))
        yield figure(f"Returns of a {period}: how many", drawn, (most, "0"), ends)
    length_ns = returns.PERIODS[found["equity"]["period"]]
    rolling = returns.rolling_sharpe(returns.returns(line, length_ns), length_ns)
    if rolling:
        title = f"Sharpe of the last {returns.ROLLING} periods (a {found['equity']['period']} each)"
        yield _curve(title, [(one.at_ns, one.value) for one in rolling])


def _candles(run: Run, pair: str) -> str:
    bars = [bar for bar in run.bars if bar.pair == pair]
    fills = [row for row in run.fills if row.pair == pair]
    values = [value for bar in bars for value in (bar.low, bar.high)]
    values += [row.price for row in fills]
    ends = (utc(bars[0].open_ns), utc(bars[-1].open_ns))
    title = f"{pair}, middle of the book; fills: buys \N{BLACK UP-POINTING TRIANGLE}, sells"
    title += " \N{BLACK DOWN-POINTING TRIANGLE}"
    if len(fills) > drawing.MARKS_MAX:
        title += f" (the first {drawing.MARKS_MAX} of {len(fills)})"
    drawn = drawing.candles(bars, fills)
    return figure(title, drawn, (money(text(max(values))), money(text(min(values)))), ends)


def _upper_edge(bins: Sequence[Sequence[Any]]) -> str:
    """Return the upper edge of the last of equal bins."""
    edges = [Decimal(edge) for edge, _ in bins]
    width = edges[1] - edges[0] if len(edges) > 1 else Decimal(0)
    return text(edges[-1] + width)


def _tables(found: Json) -> Iterable[str]:
    yield section("Months", _months(found["months"]))
    yield section("Days (Istanbul)", table(found["days"]))
    yield section("Pairs", table(found["trading"]["pairs"]))
    yield section("How long orders took", table(found["latency"]))
    yield section("Orders", pairs(_order_rows(found)))
    refusals = [{"rule": rule, "intents": count} for rule, count in found["refusals"].items()]
    yield section("Refusals", table(refusals))
    yield section("Gaps", table(found["gaps"]))
    yield section("Orders in doubt", table(found["unknown"]))
    yield "</main>"


def _order_rows(found: Json) -> list[tuple[str, str]]:
    orders = found["orders"]
    states = [(state, str(count)) for state, count in orders["states"].items()]
    return [
        ("Sent", str(orders["sent"])),
        ("Filled, whole or in part", str(orders["filled"])),
        ("Intents refused", str(orders["refused"])),
        *states,
        ("Fills of people's orders", str(found["trading"]["foreign_fills"])),
    ]


def _months(found: dict[str, str]) -> str:
    years = sorted({month[:4] for month in found})
    names = [f"{number:02}" for number in range(1, 13)]
    rows = [
        {"year": year, **{name: percent(found.get(f"{year}-{name}"), "") for name in names}}
        for year in years
    ]
    return table(rows)


def _curve(title: str, line: Curve, kind: str = "line") -> str:
    if not line:
        return figure(title, "", ("", ""), ("", ""))
    values = [value for _, value in line]
    most, least = (money(text(pick(values).quantize(Decimal("0.01")))) for pick in (max, min))
    ends = (utc(line[0][0]), utc(line[-1][0]))
    return figure(title, drawing.line(line, kind), (most, least), ends)
