"""Versions of a strategy's own parameters: what to change after a period, and when to go back.

Everything follows from the window, the last periods of the version that holds: each period is what
happened in it alone, and a version answers for no period of another one. Nothing here reads a
clock; what was decided counts when it comes back from execution's log (`fold`), so a life that
ends and a replay know the same versions.
"""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from btcbot.domain.adaptation import Adaptation, Because, Change, Outcome, Period, Values
from btcbot.domain.money import ZERO, floor_to
from btcbot.portfolio.tuning import NAMES, Bounds, Rollback, changed, held

WINDOW: Final = 5  # Periods.
RECENT: Final = 3  # Periods: for losses, for what was throttled, and for growth.
CHANGES_MAX: Final = 3
VERSIONS_MAX: Final = 100  # The oldest but the first are forgotten.
NEAR: Final = Decimal("0.8")  # Of the drawdown at which a version is bad.
OFFSET_STEP, SPREAD_STEP = Decimal(2), Decimal(10)  # bps
LESS, MORE = Decimal("0.95"), Decimal("1.05")
CENT: Final = Decimal("0.01")


class Standing(StrEnum):
    NEW = "new"
    GOOD = "good"  # Had a healthy period.
    BAD = "bad"  # Was given up.


class Version(Struct, frozen=True):
    number: int
    values: Values
    standing: Standing = Standing.NEW


class Lineage(Struct, frozen=True, kw_only=True):
    """What is remembered: the versions since the configuration's own, which stands first."""

    base: str
    versions: tuple[Version, ...]
    active: int  # The number of the version that holds.
    highest: int  # The last number given.
    others: int = 0  # The highest that versions of another configuration had.
    judged: int = 0  # Periods that were looked at.
    window: tuple[Period, ...] = ()  # Of the active version.

    @property
    def version(self) -> Version:
        """The version that holds."""
        return next(row for row in self.versions if row.number == self.active)


Step = tuple[Because, bool, str, Decimal]  # Why, whether it holds, and what a parameter becomes.


class Proposed(NamedTuple):
    values: Values
    reasons: tuple[Because, ...]


def begun(base: str, values: Values, others: int = 0, judged: int = 0) -> Lineage:
    """Return the first version, numbered after all others: it is good, for a person chose it."""
    number = others + 1
    return Lineage(
        base=base, versions=(Version(number, values, Standing.GOOD),), active=number,
        highest=number, others=others, judged=judged,
    )  # fmt: skip


def should_roll_back(window: Sequence[Period], rules: Rollback) -> tuple[Because, ...]:
    """Return why the version of `window` is bad; nothing: it is not."""
    recent = window[-RECENT:]
    lost = -sum((row.net_pnl or ZERO for row in recent), ZERO)
    found = (
        (Because.DRAWDOWN, any(row.drawdown > rules.drawdown_max for row in window)),
        (Because.REJECTS, any(row.rejected >= rules.rejects_max for row in window)),
        (Because.THROTTLED, any(row.throttled for row in recent)),
        (Because.NET_LOSS, lost > rules.loss_max),
    )
    return tuple(reason for reason, holds in found if holds)


def is_healthy(row: Period, rules: Rollback) -> bool:
    """Return whether a period is a reason to do more: filled, priced, no loss, nothing wrong."""
    trouble = row.rejected or row.throttled or row.unpriced or not row.fills
    is_far = row.drawdown < NEAR * rules.drawdown_max
    return not trouble and is_far and row.net_pnl is not None and row.net_pnl >= 0


def propose(values: Values, window: Sequence[Period], bounds: Bounds, rules: Rollback) -> Proposed:
    """Return `values` after at most three changes that the newest period calls for, in bounds."""
    newest, is_near = window[-1], window[-1].drawdown >= NEAR * rules.drawdown_max
    trouble: tuple[Step, ...] = (
        (Because.REJECTS, newest.rejected >= rules.rejects_max, "offset_bps",
         values.offset_bps - OFFSET_STEP),
        (Because.THROTTLED, newest.throttled > 0, "orders_max", Decimal(values.orders_max - 1)),
        (Because.NEAR_DRAWDOWN, is_near, "cycle_max", values.cycle_max * LESS),
        (Because.UNPRICED, newest.unpriced > 0, "spread_max_bps",
         values.spread_max_bps - SPREAD_STEP),
    )  # fmt: skip
    steps = [step for step in trouble if step[1]]
    recent = window[-RECENT:]
    if not steps and len(recent) == RECENT and all(is_healthy(row, rules) for row in recent):
        steps = [
            (Because.HEALTHY, True, "universe_size", Decimal(values.universe_size + 1)),
            (Because.HEALTHY, True, "cycle_max", values.cycle_max * MORE),
        ]
    found = values
    for _, _, name, value in steps[:CHANGES_MAX]:
        found = changed(found, name, held(name, floor_to(value, CENT), bounds))
    return Proposed(found, tuple(dict.fromkeys(reason for reason, _, _, _ in steps)))


def judge(
    lineage: Lineage, period: Period, bounds: Bounds, rules: Rollback, *, seat: str, is_live: bool
) -> Adaptation:
    """Return what comes of `period`, the newest of the version that holds.

    `is_live`: the trading state is LIVE, without which nothing is changed but for going back.
    """
    window = (*lineage.window, period)[-WINDOW:]
    version, number = lineage.version, lineage.judged + 1
    kept = Adaptation(
        adaptation=f"{seat}.{number}", seat=seat, number=number, base=lineage.base,
        outcome=Outcome.KEPT, from_version=version.number, to_version=version.number, changes=(),
        reasons=(), values=version.values, window=window, is_good=is_healthy(period, rules),
        at_ns=period.end_ns,
    )  # fmt: skip
    bad = should_roll_back(window, rules)
    last_good = _last_good(lineage)
    if bad and last_good is not None:
        return replace(
            kept, outcome=Outcome.ROLLED_BACK, to_version=last_good.number, reasons=bad,
            changes=_changes(version.values, last_good.values), values=last_good.values,
        )  # fmt: skip
    proposed = propose(version.values, window, bounds, rules)
    reasons = tuple(dict.fromkeys((*bad, *proposed.reasons)))
    if proposed.values == version.values:
        return replace(kept, reasons=reasons)
    changes = _changes(version.values, proposed.values)
    bars = _bars(lineage, proposed.values, is_live=is_live)
    if bars:
        return replace(kept, outcome=Outcome.REJECTED, changes=changes, reasons=(*reasons, *bars))
    return replace(
        kept, outcome=Outcome.APPLIED, to_version=lineage.highest + 1, changes=changes,
        reasons=reasons, values=proposed.values,
    )  # fmt: skip


def fold(lineage: Lineage, first: Values, fact: Adaptation) -> Lineage:
    """Return what is remembered after `fact`, which is written down; one that came twice is none.

    `first`: the configuration's own values. A fact of other parameters of the configuration leaves
    nothing but its numbers.
    """
    if fact.base != lineage.base:
        others = max(lineage.others, fact.from_version, fact.to_version)
        return begun(lineage.base, first, others, max(lineage.judged, fact.number))
    if fact.number <= lineage.judged:
        return lineage
    after = replace(lineage, judged=fact.number, active=fact.to_version)
    match fact.outcome:
        case Outcome.APPLIED:
            new = Version(fact.to_version, fact.values)
            first_of, *rest = lineage.versions
            kept = (first_of, *[*rest, new][-(VERSIONS_MAX - 1) :])
            return replace(after, versions=kept, highest=fact.to_version, window=())
        case Outcome.ROLLED_BACK:
            return replace(_marked(after, fact.from_version, Standing.BAD), window=())
        case _:
            after = replace(after, window=fact.window)
            return _marked(after, fact.to_version, Standing.GOOD) if fact.is_good else after


def _last_good(lineage: Lineage) -> Version | None:
    """Return the newest good version before the one that holds; None: that one is the first."""
    before = [row for row in lineage.versions if row.number < lineage.active]
    return next((row for row in reversed(before) if row.standing is Standing.GOOD), None)


def _bars(lineage: Lineage, values: Values, *, is_live: bool) -> tuple[Because, ...]:
    bad = any(row.standing is Standing.BAD and row.values == values for row in lineage.versions)
    found = ((Because.TRADING_STATE, not is_live), (Because.KNOWN_BAD, bad))
    return tuple(reason for reason, holds in found if holds)


def _marked(lineage: Lineage, number: int, standing: Standing) -> Lineage:
    return replace(
        lineage,
        versions=tuple(
            replace(row, standing=standing) if row.number == number else row
            for row in lineage.versions
        ),
    )


def _changes(before: Values, after: Values) -> tuple[Change, ...]:
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in NAMES)
    return tuple(Change(name, Decimal(a), Decimal(b)) for name, a, b in pairs if a != b)
