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

from msgspec import Struct, field

from actors import CODEC
from btcbot.domain.ids import Asset, Pair
from btcbot.domain.messages import BookTop
from btcbot.domain.money import ZERO, Price, half_up
from btcbot.ledger import value
from btcbot.research.lines import Bar, EquityLine, FillLine
from btcbot.research.trading import flows
from btcbot.simulation.minutes import Minute, sample
from bus.envelope import Refused
from bus.journal import Entry, JournalError, read, segments

EQUITY_SCALE: Final = 8
MARK_EVERY_NS: Final = 10_000_000_000  # Of the curve; a week of it is 60,000 points.

Marks = Mapping[Pair, list[tuple[int, Price]]]
Step = FillLine | tuple[Pair, Price]


class Heard(Struct, frozen=True):
    """The market of a period: minutes of every pair's middle, and its middle now and then."""

    minutes: dict[Pair, list[Minute]] = field(default_factory=dict)
    marks: dict[Pair, list[tuple[int, Price]]] = field(default_factory=dict)


def heard(journal: Path, from_ns: int, until_ns: int) -> Heard:
    """Return what accounting heard of the market; a damaged segment says nothing more."""
    found = Heard()
    for path in segments(journal):
        try:
            for entry in read(path):
                if isinstance(entry, Entry) and from_ns <= entry.handled_ns < until_ns:
                    _hear(found, entry)
        except (JournalError, OSError, Refused):
            continue
    return found


def _hear(found: Heard, entry: Entry) -> None:
    message, at_ns = CODEC.decode(entry.frame).message, entry.handled_ns
    if type(message) is BookTop:
        middle = value.mark_of(message)
        sample(found.minutes.setdefault(message.pair, []), at_ns, middle)
        marks = found.marks.setdefault(message.pair, [])
        if not marks or at_ns - marks[-1][0] >= MARK_EVERY_NS:
            marks.append((at_ns, middle))


def bars_of(minutes: Mapping[Pair, Iterable[Minute]]) -> Iterator[Bar]:
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
    first: Mapping[str, Decimal], fills: Iterable[FillLine], heard_marks: Marks
) -> Iterator[EquityLine]:
    """Yield the value of the traded assets after every fill and at every mark."""
    rows = list(fills)
    held = {asset: first.get(asset, ZERO) for asset in sorted(set(flows(rows)))}
    marks: dict[Pair, Price] = {}
    peak = ZERO
    for at_ns, steps in groupby(_steps(rows, heard_marks), key=lambda row: row[0]):
        for _, step in steps:
            if isinstance(step, FillLine):
                for asset, amount in flows([step]).items():
                    held[asset] += amount
                if step.pair not in heard_marks or step.pair not in marks:
                    marks[Pair(step.pair)] = Price(step.price)
            else:
                marks[step[0]] = step[1]
        equity = _value(held, marks)
        if equity is not None:
            peak = max(peak, equity)
            yield EquityLine(at_ns=at_ns, equity=equity, drawdown=peak - equity)


def _steps(fills: Iterable[FillLine], marks: Marks) -> list[tuple[int, Step]]:
    """Return fills and marks in order of time."""
    steps: list[tuple[int, Step]] = [(line.ts_ns, line) for line in fills]
    for pair, rows in marks.items():
        steps += [(at_ns, (pair, price)) for at_ns, price in rows]
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
