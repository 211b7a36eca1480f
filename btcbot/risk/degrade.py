"""What is wrong just now, and how much less is done for it, until it has been well for a time.

Trouble heats, calm cools: one number of seconds. Each second with an anomaly adds one, up to what
keeps level 2; a contradiction in our books goes to the top at once; each calm second takes one off.
A level is reached at its heat and left at half of that, so it does not flap; and whatever happened,
after `HEAT_MAX` calm seconds the level is 0. Only a person's resume cools at once.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct, field

from btcbot.domain.ids import Pair
from btcbot.domain.messages import BookTop
from btcbot.domain.words import Anomaly, FeedStatus, RiskMode

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
SPIKE_NS: Final = 5 * MINUTE_NS
SPIKE: Final = 3
LATENCY_NS: Final = 2 * SECOND_NS
SKEW_NS: Final = 2 * SECOND_NS
ERROR_NS: Final = MINUTE_NS  # A contradiction heats for so long; then it cools.
CRITICAL: Final = 3
CRITICAL_NS: Final = 60 * MINUTE_NS

HEAT_OF: Final = (0, 30, 120, 600)  # Where each level begins.
MODE_OF: Final = (RiskMode.NORMAL, RiskMode.NORMAL, RiskMode.REDUCE, RiskMode.OBSERVE)
HEAT_WARN: Final = 240  # Anomalies that are no contradiction heat no further: level 2.
HEAT_MAX: Final = 600
USABLE: Final = (FeedStatus.LIVE, FeedStatus.FALLBACK)
ERRORS: Final = (Anomaly.BOOKS_DIFFER,)
# A second that was slept through must not weigh as one in which nothing was wrong, nor the reverse.
STEP_MAX_S: Final = 2


class Seen(Struct, kw_only=True):
    """When the things happened that make an anomaly when they are many; owned, oldest first."""

    rejected_ns: list[int] = field(default_factory=list)
    unknown_ns: list[int] = field(default_factory=list)
    slow_ns: list[int] = field(default_factory=list)  # Acked, but late.
    errors_ns: list[int] = field(default_factory=list)  # Contradictions.


class Degrade(Struct, frozen=True):
    """How much trouble there was, in seconds, and the level it made."""

    heat: int = 0
    level: int = 0
    at_ns: int = 0


def note(times_ns: list[int], at_ns: int, kept_ns: int = SPIKE_NS) -> None:
    """Add one to `times_ns`, and forget what is older than `kept_ns`."""
    times_ns.append(max(at_ns, times_ns[-1]) if times_ns else at_ns)
    del times_ns[: bisect_right(times_ns, at_ns - kept_ns)]


def anomalies(
    seen: Seen,
    marks: Mapping[Pair, BookTop],
    feeds: Mapping[Pair, FeedStatus],
    age_max_ns: int,
    now_ns: int,
) -> tuple[Anomaly, ...]:
    """Return what is wrong at `now_ns`. A market without trades is quiet, not wrong."""
    found = _of_prices(marks, feeds, age_max_ns, now_ns)
    if len(seen.slow_ns) >= SPIKE and _is_spike(seen.slow_ns, now_ns):
        found += (Anomaly.EXCHANGE_LATENCY,)
    if len(seen.rejected_ns) >= SPIKE and _is_spike(seen.rejected_ns, now_ns):
        found += (Anomaly.ORDER_REJECTS,)
    if len(seen.unknown_ns) >= SPIKE and _is_spike(seen.unknown_ns, now_ns):
        found += (Anomaly.ORDERS_UNKNOWN,)
    if seen.errors_ns and _since(seen.errors_ns, now_ns - ERROR_NS):
        found += (Anomaly.BOOKS_DIFFER,)
    return found


def _of_prices(
    marks: Mapping[Pair, BookTop], feeds: Mapping[Pair, FeedStatus], age_max_ns: int, now_ns: int
) -> tuple[Anomaly, ...]:
    found: tuple[Anomaly, ...] = ()
    stale, oldest_ns, is_ahead = 0, now_ns - age_max_ns, False
    for pair, status in feeds.items():
        top = marks.get(pair)
        if top is None or status not in USABLE or top.confirmed_ns < oldest_ns:
            stale += 1
        if top is not None and top.confirmed_ns - now_ns > SKEW_NS:
            is_ahead = True
    if is_ahead:
        found = (Anomaly.CLOCK_SKEW,)
    return (*found, Anomaly.STALE_MARKET_DATA) if 2 * stale > len(feeds) else found


def follow(state: Degrade, found: Sequence[Anomaly], now_ns: int) -> Degrade:
    """Return the degrade state after the time since the last look was like `found`."""
    if not found and not state.heat:  # So it is most of a day.
        return Degrade(at_ns=now_ns)
    passed_s = max(1, min((now_ns - state.at_ns) // SECOND_NS, STEP_MAX_S))
    if any(anomaly in ERRORS for anomaly in found):
        heat = HEAT_MAX
    elif found:
        heat = min(state.heat + passed_s, max(HEAT_WARN, state.heat - passed_s))
    else:
        heat = max(state.heat - passed_s, 0)
    return Degrade(heat, level_of(heat, state.level), now_ns)


def level_of(heat: int, before: int) -> int:
    """Return the level at `heat`: up where a level begins, down at half of that."""
    level = max(level for level, begins in enumerate(HEAT_OF) if heat >= begins)
    if level >= before:
        return level
    return max(level, *(n for n in range(before + 1) if not n or 2 * heat > HEAT_OF[n]))


def is_critical(seen: Seen, now_ns: int) -> bool:
    """Return whether contradictions came so often that a person has to look before anything."""
    return _since(seen.errors_ns, now_ns - CRITICAL_NS) >= CRITICAL


def _is_spike(times_ns: Sequence[int], now_ns: int) -> bool:
    return _since(times_ns, now_ns - SPIKE_NS) >= SPIKE


def _since(times_ns: Sequence[int], since_ns: int) -> int:
    return len(times_ns) - bisect_right(times_ns, since_ns)
