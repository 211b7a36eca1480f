"""How well orders were executed: slippage, maker share, how long things took. Pure.

Slippage is against the middle of the book when the order was decided: what a buy paid above it, or
a sell got below it, in bps of that middle; fees are no part of it. Less than 0: better than the
middle. It is weighted by value. Orders without a known middle are counted, never guessed.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from msgspec import Struct

from btcbot.domain.money import BPS_IN_ONE, ZERO
from btcbot.domain.words import Side
from btcbot.research.lines import FillLine, OrderLine
from btcbot.research.returns import quantile

MEDIAN, MOST = Decimal("0.5"), Decimal("0.9")


class Slippage(Struct, frozen=True, kw_only=True):
    """Of one fill, against its order's arrival price."""

    at_ns: int
    pair: str
    bps: Decimal
    cost: Decimal  # In quote: bps of the value at the arrival price.
    value: Decimal  # At the arrival price, in quote.


class Spread(Struct, frozen=True, kw_only=True):
    """How long something took, in nanoseconds; over `count` orders."""

    count: int
    median: Decimal | None
    most: Decimal | None  # Nine of ten took no longer.
    longest: int | None


class Maker(Struct, frozen=True, kw_only=True):
    """Turnover by who rested, in quote; `unknown`: the exchange did not say."""

    maker: Decimal = ZERO
    taker: Decimal = ZERO
    unknown: Decimal = ZERO

    @property
    def share(self) -> Decimal | None:
        """The part of the known turnover that rested; None when none is known."""
        known = self.maker + self.taker
        return self.maker / known if known else None


def slippages(orders: Iterable[OrderLine], fills: Iterable[FillLine]) -> Iterator[Slippage]:
    """Yield the slippage of every fill whose order has an arrival price."""
    arrivals = {line.client_order_id: line.arrival_price for line in orders}
    for fill in fills:
        arrival = arrivals.get(fill.client_order_id or "")
        if arrival:
            worse = fill.price - arrival if fill.side is Side.BUY else arrival - fill.price
            yield Slippage(
                at_ns=fill.ts_ns,
                pair=fill.pair,
                bps=worse / arrival * BPS_IN_ONE,
                cost=worse * fill.quantity,
                value=arrival * fill.quantity,
            )


def mean_bps(found: Sequence[Slippage]) -> Decimal | None:
    """Return the slippage of all together, weighted by value; None without any."""
    value = sum((one.value for one in found), start=ZERO)
    cost = sum((one.cost for one in found), start=ZERO)
    return cost / value * BPS_IN_ONE if value else None


def maker_of(fills: Iterable[FillLine]) -> Maker:
    sums = {"maker": ZERO, "taker": ZERO, "unknown": ZERO}
    for fill in fills:
        kind = fill.liquidity if fill.liquidity in ("maker", "taker") else "unknown"
        sums[kind] += fill.notional
    return Maker(maker=sums["maker"], taker=sums["taker"], unknown=sums["unknown"])


def spread(spans_ns: Iterable[int]) -> Spread:
    rows = [Decimal(span) for span in sorted(spans_ns)]
    return Spread(
        count=len(rows),
        median=quantile(rows, MEDIAN),
        most=quantile(rows, MOST),
        longest=int(rows[-1]) if rows else None,
    )


def hops(orders: Sequence[OrderLine], fills: Iterable[FillLine]) -> dict[str, Spread]:
    """Return how long each leg of an order took; only orders that went it count.

    Our clock ticks for all but fills, which carry the exchange's: with clocks that differ the
    first fill may even come before the order was sent. In a backtest there is one clock.
    """
    first: dict[str, int] = {}
    for fill in fills:
        if fill.client_order_id is not None:
            known_ns = first.get(fill.client_order_id, fill.ts_ns)
            first[fill.client_order_id] = min(known_ns, fill.ts_ns)
    legs: dict[str, list[int]] = {
        "decided to approved": [],
        "approved to sent": [],
        "sent to acknowledged": [],
        "sent to first fill": [],
        "sent to over": [],
    }
    for line in orders:
        ends = (
            ("decided to approved", line.decided_ns, line.approved_ns),
            ("approved to sent", line.approved_ns, line.created_ns),
            ("sent to acknowledged", line.created_ns, line.acked_ns),
            ("sent to first fill", line.created_ns, first.get(line.client_order_id)),
            ("sent to over", line.created_ns, line.closed_ns),
        )
        for name, from_ns, until_ns in ends:
            if from_ns is not None and until_ns is not None:
                legs[name].append(until_ns - from_ns)
    return {name: spread(spans) for name, spans in legs.items()}
