"""Everything a report says of a run, as plain values: the shape of `btcbot report --json`. Pure.

Amounts and ratios are decimal texts, times UTC texts, what is not known is None. Ratios have six
decimals, money two; a share of 1 is all of it.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from btcbot.domain.money import ZERO, half_up, text
from btcbot.research import fingerprint, quality, returns, trading
from btcbot.research.gaps import silences
from btcbot.research.lines import Bar, Run
from btcbot.research.returns import Curve

Json = dict[str, Any]
SECOND_NS: Final = 1_000_000_000
MILLISECOND: Final = Decimal(1_000_000)
QUANTILES: Final = ("0.05", "0.25", "0.5", "0.75", "0.95")
SCALE, CENTS, MS = 6, 2, 3


def figures(run: Run) -> Json:
    """Return what is known of a run; whether it adds up is asked before (`checks`)."""
    line = curve_of(run)
    done = trading.traded(run.fills, run.ended_ns)
    return {
        "kind": run.kind,
        "identity": {name: run.identity[name] for name in run.identity if name in IDENTITY},
        "fingerprint": fingerprint.of(run).whole,
        "from": utc(run.started_ns),
        "to": utc(run.ended_ns),
        "equity": _equity(line, run.bars),
        "trading": _trading(run, done, line),
        "orders": _orders(run),
        "quality": _quality(run),
        "latency": _latency(run),
        "refusals": dict(run.refusals),
        "months": {month: ratio(value) for month, value in returns.by_month(line).items()},
        "days": _days(done),
        "distribution": _distribution(line),
        "rolling_sharpe": _rolling(line),
        "gaps": [
            {"what": one.what, "from": utc(one.from_ns), "to": utc(one.until_ns)}
            for one in (*run.gaps, *silences(run))
        ],
        "unknown": [
            {
                "client_order_id": one.client_order_id,
                "pair": one.pair,
                "from": utc(one.from_ns),
                "to": None if one.until_ns is None else utc(one.until_ns),
                "ended": one.ended,
            }
            for one in run.doubts
        ],
    }


IDENTITY: Final = (
    "run", "strategy", "params", "files", "pair", "data", "timerange", "factor", "latency_ms",
    "queue", "config", "code", "data_gaps", "events", "database", "mode", "lives", "facts",
)  # fmt: skip


def curve_of(run: Run) -> Curve:
    """Return the points of the equity that are known; the last one holds until the run ends."""
    found = [(line.at_ns, line.equity) for line in run.equity if line.equity is not None]
    if found and run.ended_ns > found[-1][0]:
        found.append((run.ended_ns, found[-1][1]))
    return found


def _equity(line: Curve, bars: Sequence[Bar]) -> Json:
    period = returns.period_of(line)
    length_ns = returns.PERIODS[period]
    values = [one.value for one in returns.returns(line, length_ns)]
    judged = values if len(values) >= returns.PERIODS_MIN else []  # Fewer say nothing.
    worst = returns.drawdown(line)
    return {
        "asset": "TRY",
        "first": cents(line[0][1]) if line else None,
        "last": cents(line[-1][1]) if line else None,
        "total_return": ratio(returns.total_return(line)),
        "annual_return": ratio(returns.annual_return(line)),
        "hold_return": ratio(_held(bars)),
        "period": period,
        "periods": len(values),
        "sharpe": ratio(returns.sharpe(judged, length_ns)),
        "sortino": ratio(returns.sortino(judged, length_ns)),
        "calmar": ratio(returns.calmar(line)),
        "drawdown": None
        if worst is None
        else {
            "amount": cents(worst.amount),
            "ratio": ratio(worst.ratio),
            "peak": utc(worst.peak_ns),
            "bottom": utc(worst.trough_ns),
            "recovered": None if worst.recovered_ns is None else utc(worst.recovered_ns),
        },
    }


def _held(bars: Sequence[Bar]) -> Decimal | None:
    """Return what holding the pair brought, without fees; None: no pair, or several."""
    if not bars or len({bar.pair for bar in bars}) > 1:
        return None
    return bars[-1].close / bars[0].open - 1


def _trading(run: Run, done: trading.Trading, line: Curve) -> Json:
    closed = list(done.closed.values())
    span_ns = run.ended_ns - run.started_ns
    middle = returns.mean([equity for _, equity in line])
    in_try = next((sums.turnover for asset, sums in done.totals.items() if asset == "TRY"), ZERO)
    return {
        "assets": [
            {
                "asset": asset,
                "fills": sums.fills,
                "turnover": cents(sums.turnover),
                "fees": cents(sums.fees),
                "realized": cents(sums.realized),
            }
            for asset, sums in sorted(done.totals.items())
        ],
        "pairs": [
            {"pair": pair, "fills": sums.fills, "turnover": cents(sums.turnover),
             "fees": cents(sums.fees), "realized": cents(sums.realized)}
            for pair, sums in sorted(done.pairs.items())
        ],
        "closed": len(closed),
        "win_rate": ratio(trading.win_rate(closed)),
        "profit_factor": ratio(trading.profit_factor(closed)),
        "time_in_market": ratio(Decimal(done.in_market_ns) / span_ns) if span_ns > 0 else None,
        "turnover_try_of_equity": ratio(in_try / middle) if middle else None,
        "foreign_fills": done.foreign,
    }  # fmt: skip


def _orders(run: Run) -> Json:
    states = Counter(line.state for line in run.orders)
    return {
        "sent": len(run.orders),
        "filled": sum(1 for line in run.orders if line.filled),
        "states": dict(sorted(states.items())),
        "refused": sum(run.refusals.values()),
    }


def _quality(run: Run) -> Json:
    found = list(quality.slippages(run.orders, run.fills))
    maker = quality.maker_of(run.fills)
    return {
        "slippage_bps": ratio(quality.mean_bps(found)),
        "slippage_fills": len(found),
        "slippage_unknown_fills": len(run.fills) - len(found),
        "maker_share": ratio(maker.share),
        "maker": cents(maker.maker),
        "taker": cents(maker.taker),
        "unknown": cents(maker.unknown),
    }


def _latency(run: Run) -> list[Json]:
    return [
        {
            "leg": leg,
            "orders": one.count,
            "median_ms": _ms(one.median),
            "p90_ms": _ms(one.most),
            "longest_ms": _ms(None if one.longest is None else Decimal(one.longest)),
        }
        for leg, one in quality.hops(run.orders, run.fills).items()
    ]


def _days(done: trading.Trading) -> list[Json]:
    return [
        {
            "day": day,
            "asset": asset,
            "fills": sums.fills,
            "turnover": text(sums.turnover),
            "fees": text(sums.fees),
            "realized": text(sums.realized),
        }
        for (day, asset), sums in sorted(done.days.items())
    ]


def _distribution(line: Curve) -> Json:
    period = returns.period_of(line)
    values = [one.value for one in returns.returns(line, returns.PERIODS[period])]
    return {
        "period": period,
        "mean": ratio(returns.mean(values)),
        "deviation": ratio(returns.deviation(values)),
        "quantiles": {
            share: ratio(returns.quantile(values, Decimal(share))) for share in QUANTILES
        },
        "bins": [[ratio(edge), count] for edge, count in returns.histogram(values)],
    }


def _rolling(line: Curve) -> list[Json]:
    length_ns = returns.PERIODS[returns.period_of(line)]
    found = returns.rolling_sharpe(returns.returns(line, length_ns), length_ns)
    return [{"at": utc(one.at_ns), "value": ratio(one.value)} for one in found]


def ratio(value: Decimal | None) -> str | None:
    return None if value is None else text(half_up(value, SCALE))


def cents(value: Decimal) -> str:
    return text(half_up(value, CENTS))


def _ms(value: Decimal | None) -> str | None:
    return None if value is None else text(half_up(value / MILLISECOND, MS))


def utc(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns // SECOND_NS, UTC):%Y-%m-%dT%H:%M:%S}Z"
