"""Times as people type and read them: UTC outside, nanoseconds since 1970 inside."""

from datetime import UTC, datetime, timedelta
from typing import Final

from btcbot.cli import exits
from btcbot.cli.common import stop

DAY_NS: Final = 86_400 * 10**9
LAST_NS: Final = 1 << 62


def utc(at_ns: int) -> str:
    """Return a time to the second, as 2026-11-24T18:00:00Z."""
    return f"{datetime.fromtimestamp(at_ns // 10**9, UTC):%Y-%m-%dT%H:%M:%S}Z"


def moment_ns(flag: str, given: str) -> int:
    """Read what `flag` was given: a day, or a time of one; without a zone it is UTC."""
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        stop(exits.USAGE, f"btcbot: {flag} {given!r}: expected UTC, 2026-11-24[T18:00:00]")
    return _ns(at.replace(tzinfo=UTC) if at.tzinfo is None else at)


def day_span(flag: str, given: str) -> tuple[int, int]:
    """Read a UTC day as (its first ns, the first of the next)."""
    try:
        at = datetime.strptime(given, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        stop(exits.USAGE, f"btcbot: {flag} {given!r}: expected a UTC day, such as 2026-11-24")
    start_ns = _ns(at)
    return start_ns, start_ns + DAY_NS


def timerange_span(given: str) -> tuple[int, int] | None:
    """Read 20260101-20260301 as (first ns, ns after the last); either side may be missing."""
    if not given:
        return None
    start, dash, end = given.partition("-")
    since_ns, until_ns = _end_of_range(start, 0), _end_of_range(end, LAST_NS)
    if not dash or since_ns >= until_ns:
        stop(exits.USAGE, f"btcbot: --timerange: {given!r}; expected FIRST-END, such as 20260101-")
    return since_ns, until_ns


def _end_of_range(given: str, default: int) -> int:
    if not given:
        return default
    try:
        return _ns(datetime.strptime(given, "%Y%m%d").replace(tzinfo=UTC))
    except ValueError:
        stop(exits.USAGE, f"btcbot: --timerange: {given!r} is no day; expected 20260101-20260301")


def _ns(at: datetime) -> int:
    """Return an aware time in ns, exact to its microsecond."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1_000
