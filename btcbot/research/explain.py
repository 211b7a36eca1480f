"""Why two runs of one market brought different money: every difference has a cause, in TRY. Pure.

Orders are paired: the same pair and side, decided within ten seconds of each other, the nearest
first. What an order brought is what its fills are worth at the last middle, less what they cost.
The price of a fill is the middle at its decision, what the middle moved until the fill, and what
was paid beyond the middle then. So the difference of two paired orders falls apart, without a rest:

data       they decided at different middles or on different quantities, or only one decided at all
latency    the middle moved otherwise until a fill that took
queue      the same of an order that rested, and what one filled and the other did not
slippage   the price against the middle at the fill
fee        fee and tax
rejection  the exchange, or the way to it, took only one of them
risk       our own rules refused what the other run ordered

The parts of all orders add up to the difference of the two runs, or nothing is told.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct, field

from btcbot.domain.money import ZERO
from btcbot.domain.words import Side
from btcbot.research.lines import FillLine, OrderLine, Run

CAUSES: Final = ("data", "latency", "queue", "slippage", "fee", "rejection", "risk")
NEAR_NS: Final = 10_000_000_000
NEVER_THERE: Final = ("REJECTED", "NOT_SENT", "ABSENT")

Middle = Callable[[str, int], Decimal | None]
"""(pair, time) to the middle of the book then, in quote per base."""


class Traded(Struct, frozen=True, kw_only=True):
    """One order with what its fills add up to."""

    line: OrderLine
    quantity: Decimal = ZERO
    cost: Decimal = ZERO  # Price x quantity.
    charges: Decimal = ZERO
    filled_ns: int = 0  # Of the first fill.

    @property
    def sign(self) -> int:
        return 1 if self.line.side is Side.BUY else -1

    @property
    def price(self) -> Decimal:
        return self.cost / self.quantity

    @property
    def has_rested(self) -> bool:
        """Whether it filled only after the exchange had said that it has the order."""
        return self.line.acked_ns is not None and self.filled_ns > self.line.acked_ns


class Difference(Struct, frozen=True, kw_only=True):
    """What one order brought more in A than in B, by cause; one of the two may be missing."""

    at_ns: int
    pair: str
    side: Side
    a: str  # Client order ids; "": it has none.
    b: str
    parts: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def total(self) -> Decimal:
        return sum(self.parts.values(), start=ZERO)


class Intents(Struct, frozen=True, kw_only=True):
    """When our own rules refused what, by (pair, side)."""

    refused: Mapping[tuple[str, str], Sequence[int]] = field(default_factory=dict)

    @staticmethod
    def of(rows: Iterable[Mapping[str, Any]]) -> "Intents":
        """Return those of the verdicts in `rows` that were refusals."""
        found: dict[tuple[str, str], list[int]] = {}
        for row in rows:
            if row["rule"]:
                found.setdefault((row["pair"], row["side"]), []).append(row["decided_ns"])
        return Intents(refused=found)

    def is_near(self, line: OrderLine) -> bool:
        times = self.refused.get((line.pair, line.side), ())
        return any(abs(at_ns - line.decided_ns) <= NEAR_NS for at_ns in times)


def brought(orders: Iterable[Traded], marks: Mapping[str, Decimal]) -> Decimal:
    """Return what orders brought: their fills at the last middles, less cost and charges."""
    return sum((_brought(one, marks) for one in orders), start=ZERO)


def _brought(one: Traded, marks: Mapping[str, Decimal]) -> Decimal:
    worth = one.quantity * marks[one.line.pair] if one.quantity else ZERO
    return one.sign * (worth - one.cost) - one.charges


def traded_of(run: Run) -> list[Traded]:
    """Return every order of a run with its fills summed up."""
    fills: dict[str, list[FillLine]] = {}
    for fill in run.fills:
        if fill.client_order_id is not None:
            fills.setdefault(fill.client_order_id, []).append(fill)
    return [_traded(line, fills.get(line.client_order_id, [])) for line in run.orders]


def _traded(line: OrderLine, fills: Sequence[FillLine]) -> Traded:
    return Traded(
        line=line,
        quantity=sum((fill.quantity for fill in fills), start=ZERO),
        cost=sum((fill.notional for fill in fills), start=ZERO),
        charges=sum((fill.charges for fill in fills), start=ZERO),
        filled_ns=min((fill.ts_ns for fill in fills), default=0),
    )


def explained(
    a: Sequence[Traded], b: Sequence[Traded], a_refused: Intents, b_refused: Intents,
    marks: Mapping[str, Decimal], middle: Middle,
) -> list[Difference]:  # fmt: skip
    """Return the difference of every order, paired or alone, in order of time."""
    found = []
    for one, other in paired(a, b):
        if one is not None and other is not None:
            parts = _of_two(one, other, marks, middle)
        else:
            refusals = b_refused if one is not None else a_refused
            parts = _of_one(one or other, refusals, marks, is_a=one is not None)
        line = (one or other).line  # type: ignore[union-attr]
        found.append(
            Difference(
                at_ns=line.decided_ns,
                pair=line.pair,
                side=line.side,
                a=one.line.client_order_id if one is not None else "",
                b=other.line.client_order_id if other is not None else "",
                parts={cause: amount for cause, amount in parts.items() if amount},
            )
        )
    rest = brought(a, marks) - brought(b, marks) - sum((one.total for one in found), start=ZERO)
    assert abs(rest) < Decimal("0.00000001"), f"{rest} TRY have no cause"
    return sorted(found, key=lambda one: one.at_ns)


def paired(
    a: Sequence[Traded], b: Sequence[Traded]
) -> Iterator[tuple[Traded | None, Traded | None]]:
    """Yield each order with its like in the other run, or with None."""
    near = sorted(_near(a, b))
    left, right = set[int](), set[int]()
    for _, n, m in near:
        if n not in left and m not in right:
            left.add(n)
            right.add(m)
            yield a[n], b[m]
    for n, one in enumerate(a):
        if n not in left:
            yield one, None
    for m, other in enumerate(b):
        if m not in right:
            yield None, other


def _near(a: Sequence[Traded], b: Sequence[Traded]) -> Iterator[tuple[int, int, int]]:
    """Yield (time between, place in a, place in b) of all that may be alike."""
    alike: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for m, other in enumerate(b):
        alike.setdefault(_kind(other), []).append((other.line.decided_ns, m))
    for rows in alike.values():
        rows.sort()
    for n, one in enumerate(a):
        at_ns, rows = one.line.decided_ns, alike.get(_kind(one), [])
        for other_ns, m in rows[bisect_left(rows, (at_ns - NEAR_NS, -1)) :]:
            if other_ns > at_ns + NEAR_NS:
                break
            yield abs(other_ns - at_ns), n, m


def _kind(one: Traded) -> tuple[str, str]:
    return one.line.pair, one.line.side


def _of_one(
    one: Traded | None, refused: Intents, marks: Mapping[str, Decimal], *, is_a: bool
) -> dict[str, Decimal]:
    assert one is not None, "an order alone"
    cause = "risk" if refused.is_near(one.line) else "data"
    return {cause: _brought(one, marks) if is_a else -_brought(one, marks)}


def _of_two(
    a: Traded, b: Traded, marks: Mapping[str, Decimal], middle: Middle
) -> dict[str, Decimal]:
    parts = dict.fromkeys(CAUSES, ZERO)
    parts["fee"] = b.charges - a.charges
    common = min(a.quantity, b.quantity)
    if common:
        for cause, amount in _prices(a, b, middle):
            parts[cause] -= a.sign * common * amount
    for one, way in ((a, 1), (b, -1)):
        more = one.quantity - common
        if more:
            other = b if one is a else a
            parts[_why_more(one, other)] += (
                way * one.sign * more * (marks[one.line.pair] - one.price)
            )
    return parts


def _prices(a: Traded, b: Traded, middle: Middle) -> Iterator[tuple[str, Decimal]]:
    """Yield what the price of A is above the price of B, by cause."""
    steps = [_steps(one, middle) for one in (a, b)]
    waited = "queue" if a.has_rested or b.has_rested else "latency"
    for cause, of_a, of_b in zip(("data", waited, "slippage"), *steps, strict=True):
        yield cause, of_a - of_b


def _steps(one: Traded, middle: Middle) -> tuple[Decimal, Decimal, Decimal]:
    """Return (middle at the decision, its move until the fill, the price beyond it then)."""
    then = middle(one.line.pair, one.line.decided_ns) or one.price
    filled = middle(one.line.pair, one.filled_ns) or then
    return then, filled - then, one.price - filled


def _why_more(one: Traded, other: Traded) -> str:
    """Return why `one` filled more than `other`."""
    if other.line.state in NEVER_THERE:
        return "rejection"
    return "queue" if one.quantity <= other.line.quantity else "data"


def by_cause(found: Iterable[Difference]) -> dict[str, Decimal]:
    """Return the sums of all causes, also of those that are 0."""
    sums = dict.fromkeys(CAUSES, ZERO)
    for one in found:
        for cause, amount in one.parts.items():
            sums[cause] += amount
    return sums
