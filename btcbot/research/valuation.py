"""What a home was worth: its fills, valued by the market as accounting's journal heard it.

The curve is the value, in TRY at the middle of the book, of what was there when the period began
and of what our fills made of it. What people paid in or took out meanwhile is no part of it, and
nor is an asset that no fill moved. Journals reach back a week; before that, and where a segment
is damaged, a pair is worth its last own fill.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Final

from actors import CODEC
from btcbot.domain.ids import Asset, Pair
from btcbot.domain.messages import BookTop
from btcbot.domain.money import ZERO, Price, half_up
from btcbot.ledger import value
from btcbot.research.lines import Bar, EquityLine, FillLine
from btcbot.research.trading import flows
from btcbot.simulation.minutes import MINUTE_NS, Minute, sample
from bus.envelope import Refused
from bus.journal import Entry, JournalError, read, segments

EQUITY_SCALE: Final = 8

Minutes = dict[Pair, list[Minute]]


def minutes_heard(journal: Path, from_ns: int, until_ns: int) -> Minutes:
    """Return the middles that accounting heard, by the minute; a damaged segment says nothing."""
    found: Minutes = {}
    for path in segments(journal):
        try:
            for entry in read(path):
                if isinstance(entry, Entry) and from_ns <= entry.handled_ns <= until_ns:
                    _hear(found, entry)
        except (JournalError, OSError, Refused):
            continue
    return found


def _hear(found: Minutes, entry: Entry) -> None:
    message = CODEC.decode(entry.frame).message
    if type(message) is BookTop:
        sample(found.setdefault(message.pair, []), entry.handled_ns, value.mark_of(message))


def bars_of(minutes: Minutes) -> Iterator[Bar]:
    for pair in sorted(minutes):
        for one in minutes[pair]:
            yield Bar(
                pair=pair,
                open_ns=one.open_ns,
                open=one.open,
                high=one.high,
                low=one.low,
                close=one.close,
            )


def curve(
    first: Mapping[str, Decimal], fills: Iterable[FillLine], minutes: Minutes
) -> Iterator[EquityLine]:
    """Yield the value of the traded assets after every fill and at the end of every minute."""
    rows = list(fills)
    held = {asset: first.get(asset, ZERO) for asset in sorted(set(flows(rows)))}
    marks: dict[Pair, Price] = {}
    peak = ZERO
    for at_ns, steps in groupby(_steps(rows, minutes), key=lambda row: row[0]):
        for _, step in steps:
            if isinstance(step, FillLine):
                for asset, amount in flows([step]).items():
                    held[asset] += amount
                if step.pair not in minutes or step.pair not in marks:
                    marks[Pair(step.pair)] = Price(step.price)
            else:
                marks[step[0]] = Price(step[1].close)
        equity = _value(held, marks)
        if equity is not None:
            peak = max(peak, equity)
            yield EquityLine(at_ns=at_ns, equity=equity, drawdown=peak - equity)


Step = FillLine | tuple[Pair, Minute]


def _steps(fills: Iterable[FillLine], minutes: Minutes) -> list[tuple[int, Step]]:
    """Return fills and ends of minutes in order of time."""
    steps: list[tuple[int, Step]] = [(line.ts_ns, line) for line in fills]
    for pair, rows in minutes.items():
        steps += [(one.open_ns + MINUTE_NS - 1, (pair, one)) for one in rows]
    return sorted(steps, key=lambda row: row[0])


def _value(held: Mapping[str, Decimal], marks: Mapping[Pair, Price]) -> Decimal | None:
    total = ZERO
    for asset, amount in held.items():
        if amount:
            rate = value.rate(marks, Asset(asset))
            if rate is None:
                return None
            total += amount * rate
    return half_up(total, EQUITY_SCALE) if held else None
