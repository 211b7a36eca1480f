"""Charts as inline SVG without a word in them: labels are HTML, so that they stay readable.

A drawing is stretched to the width it gets; strokes keep theirs. Long series are thinned out to the
lowest and highest of each piece, so that no extreme is lost.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from html import escape
from typing import Final

from btcbot.domain.money import ZERO
from btcbot.domain.words import Side
from btcbot.research.lines import Bar, FillLine
from btcbot.research.returns import Curve
from btcbot.simulation.minutes import MINUTE_NS

WIDTH, HEIGHT = 720, 200
POINTS_MAX: Final = 1_200
BARS_MAX: Final = 240
MARKS_MAX: Final = 2_000


def svg(inside: str, label: str) -> str:
    """Return a drawing; `label` is what is read aloud instead of it."""
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none"'
    return f'<svg {box} role="img" aria-label="{escape(label)}">{inside}</svg>'


def line(curve: Curve, kind: str = "line") -> str:
    """Return a curve of steps: each value holds until the next.

    With `kind` "area" what lies between the curve and the top is filled.
    """
    rows = thinned(curve)
    if not rows:
        return ""
    scale = _Scale(rows[0][0], rows[-1][0], [value for _, value in rows])
    points, held = [], scale.y(rows[0][1])
    for at_ns, value in rows:
        x, y = scale.x(at_ns), scale.y(value)
        points += [f"{x},{held}", f"{x},{y}"] if y != held else [f"{x},{y}"]
        held = y
    if kind == "area":
        points = ["0,0", *points, f"{WIDTH},0"]
    return f'<polyline class="{kind}" points="{" ".join(points)}"/>'


def thinned(curve: Curve) -> Curve:
    """Return at most about a thousand points, the least and greatest of each piece among them."""
    if len(curve) <= POINTS_MAX:
        return curve
    size = len(curve) * 2 // POINTS_MAX + 1
    found = [curve[0]]
    for start in range(0, len(curve), size):
        piece = curve[start : start + size]
        ends = {min(piece, key=lambda row: row[1]), max(piece, key=lambda row: row[1])}
        found += sorted(ends)
    return [*found, curve[-1]]


def bars(counts: Sequence[int], losses: int) -> str:
    """Return a histogram; the first `losses` bins are losses."""
    most, width = max(counts, default=0), Decimal(WIDTH) / max(len(counts), 1)
    drawn = []
    for number, count in enumerate(counts):
        high = Decimal(HEIGHT) * count / most if most else ZERO
        kind = "down" if number < losses else "up"
        drawn.append(
            f'<rect class="{kind}" x="{_n(number * width + 1)}" y="{_n(HEIGHT - high)}"'
            f' width="{_n(width - 2)}" height="{_n(high)}"/>'
        )
    return "".join(drawn)


def candles(given: Sequence[Bar], fills: Iterable[FillLine]) -> str:
    """Return candles, merged to at most 240, with the fills on them: buys below, sells above."""
    rows, marks = merged(given), list(fills)[:MARKS_MAX]
    if not rows:
        return ""
    values = [value for bar in rows for value in (bar.low, bar.high)]
    step_ns = (rows[-1].open_ns - rows[0].open_ns) // max(len(rows) - 1, 1) or MINUTE_NS
    last_ns = max(rows[-1].open_ns + step_ns, *(line.ts_ns for line in marks), 0)
    scale = _Scale(rows[0].open_ns, last_ns, [*values, *(line.price for line in marks)])
    width = max(Decimal(WIDTH) / (2 * len(rows)), Decimal("0.8"))
    drawn = [_candle(bar, scale, width, step_ns // 2) for bar in rows]
    return "".join(drawn) + "".join(_mark(line, scale) for line in marks)


def merged(given: Sequence[Bar]) -> Sequence[Bar]:
    size = -(-len(given) // BARS_MAX)
    found = []
    for start in range(0, len(given), max(size, 1)):
        piece = given[start : start + size]
        found.append(
            Bar(
                pair=piece[0].pair,
                open_ns=piece[0].open_ns,
                open=piece[0].open,
                high=max(bar.high for bar in piece),
                low=min(bar.low for bar in piece),
                close=piece[-1].close,
            )
        )
    return found


def _candle(bar: Bar, scale: "_Scale", width: Decimal, half_ns: int) -> str:
    kind = "up" if bar.close >= bar.open else "down"
    x, top = Decimal(scale.x(bar.open_ns + half_ns)), Decimal(scale.y(max(bar.open, bar.close)))
    bottom = Decimal(scale.y(min(bar.open, bar.close)))
    wick = f"M{_n(x)} {scale.y(bar.high)}V{scale.y(bar.low)}"
    body = f'x="{_n(x - width / 2)}" y="{_n(top)}" width="{_n(width)}"'
    high = max(bottom - top, Decimal("0.8"))
    return f'<path class="{kind}" d="{wick}"/><rect class="{kind}" {body} height="{_n(high)}"/>'


def _mark(fill: FillLine, scale: "_Scale") -> str:
    x, y = scale.x(fill.ts_ns), Decimal(scale.y(fill.price))
    if fill.side is Side.BUY:
        return f'<path class="buy" d="M{x} {_n(y)}l5 10h-10z"/>'
    return f'<path class="sell" d="M{x} {_n(y)}l5 -10h-10z"/>'


class _Scale:
    """From (time, value) to the drawing; a flat series lies in the middle."""

    def __init__(self, from_ns: int, until_ns: int, values: Sequence[Decimal]) -> None:
        self._from_ns, self._span_ns = from_ns, max(until_ns - from_ns, 1)
        self._least, most = min(values), max(values)
        self._range = most - self._least
        self._margin = Decimal(HEIGHT) / 20

    def x(self, at_ns: int) -> str:
        return _n(Decimal(at_ns - self._from_ns) * WIDTH / self._span_ns)

    def y(self, value: Decimal) -> str:
        share = (value - self._least) / self._range if self._range else Decimal("0.5")
        return _n(HEIGHT - self._margin - share * (HEIGHT - 2 * self._margin))


def _n(value: Decimal | int) -> str:
    return f"{Decimal(value):.1f}"
