"""What the exchange told of the past, as rows: what is still missing, and what an answer covers.

Only holes are asked for, so a fetch that was interrupted goes on where it ended, and what was
recorded live is never touched.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from btcbot.catalog.intervals import RANK, Gap, Span, holes
from btcbot.catalog.manifest import Manifest
from btcbot.catalog.rows import Candle, Cause, Channel, Provenance, Trade
from btcbot.catalog.writer import Writer
from btcbot.domain.feed import SeenTrade
from btcbot.domain.ids import Pair
from btcbot.domain.money import Price, Quantity

SECOND_NS: Final = 1_000_000_000
MILLISECOND_NS: Final = 1_000_000
Figures = tuple[int, Price, Price, Price, Price, Quantity]
"""(open time in s, open, high, low, close, volume) of one candle."""


def wanted(manifest: Manifest, pair: Pair, span: Span) -> list[Span]:
    """Return what of `span` has no candles yet: neither have we any, nor has the exchange."""
    have = [
        (one.from_ns, one.to_ns)
        for one in manifest.intervals
        if (one.channel, one.pair) == (Channel.CANDLES, pair)
        and RANK[one.provenance] <= RANK[Provenance.BACKFILL]
    ]
    asked = [
        (gap.from_ns, gap.to_ns)
        for gap in manifest.gaps
        if (gap.channel, gap.pair) == (Channel.CANDLES, pair) and gap.cause is Cause.NONE_THERE
    ]
    return holes([*have, *asked], span)


def pages(span: Span, span_ns: int, rows_max: int) -> Iterator[Span]:
    """Yield `span` in pages of at most `rows_max` candles, whole ones of the exchange's clock."""
    start = span[0] // span_ns * span_ns
    while start + span_ns <= span[1]:
        end = min(start + rows_max * span_ns, span[1] // span_ns * span_ns)
        yield start, end
        start = end


def add_candles(
    writer: Writer, pair: Pair, page: Span, span_ns: int, answer: Sequence[Figures]
) -> int:
    """Add the candles of one answer; what the exchange did not give is a gap that says so."""
    candles = [_candle(row, span_ns) for row in answer]
    inside = [one for one in candles if page[0] <= one.open_ns and one.at_ns <= page[1]]
    for one in inside:
        writer.add(pair, one)
        writer.cover(Channel.CANDLES, pair, (one.open_ns, one.at_ns))
    for start, end in holes(((one.open_ns, one.at_ns) for one in inside), page):
        writer.explain(
            Gap(
                channel=Channel.CANDLES,
                pair=pair,
                from_ns=start,
                to_ns=end,
                cause=Cause.NONE_THERE,
            )
        )
    return len(inside)


def add_trades(writer: Writer, pair: Pair, answer: Sequence[SeenTrade], rows_max: int) -> int:
    """Add the newest trades; return how many.

    Trades that share the time of the oldest may be cut off: a full answer counts from after it.
    """
    rows = sorted(answer, key=lambda row: (row.event_ns, row.trade_id))
    if not rows:
        return 0
    start = rows[0].event_ns
    if len(rows) >= rows_max:
        start += MILLISECOND_NS
        rows = [row for row in rows if row.event_ns >= start]
    for row in rows:
        writer.add(pair, _trade(row))
    end = rows[-1].event_ns + 1 if rows else start
    writer.cover(Channel.TRADES, pair, (start, end))
    return len(rows)


def _candle(row: Figures, span_ns: int) -> Candle:
    open_s, opened, high, low, close, volume = row
    open_ns = open_s * SECOND_NS
    return Candle(
        at_ns=open_ns + span_ns,
        open_ns=open_ns,
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=volume,
    )


def _trade(row: SeenTrade) -> Trade:
    return Trade(
        at_ns=row.event_ns,
        traded_ns=row.event_ns,
        trade_id=row.trade_id,
        side=row.side,
        price=row.price,
        quantity=row.quantity,
    )
