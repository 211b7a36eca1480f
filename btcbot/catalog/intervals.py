"""Times that data covers, and what lies between them. All are half open: [from_ns, to_ns)."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from btcbot.catalog.rows import Cause, Channel, Provenance
from btcbot.domain.ids import Pair

Span = tuple[int, int]
END_NS: Final = 1 << 62  # Later than any time.
# Where two cover the same time, the first of these is what counts.
RANK: Final = {provenance: rank for rank, provenance in enumerate(Provenance)}


class Interval(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A time over which everything that happened on a channel is in the set.

    No row in it means that nothing happened: no trade, no change.
    """

    channel: Channel
    pair: Pair
    from_ns: int
    to_ns: int
    provenance: Provenance


class Gap(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A time within a set that nothing covers: there is no data, which is not "no trade"."""

    channel: Channel
    pair: Pair
    from_ns: int
    to_ns: int
    cause: Cause
    detail: str = ""


def union(spans: Iterable[Span]) -> list[Span]:
    """Return the same times, in order, with what touches or overlaps made one."""
    found: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def inside(spans: Sequence[Span], at_ns: int) -> bool:
    """Return whether a moment lies in one of `spans`, which are in order and apart."""
    index = bisect_right(spans, (at_ns, END_NS)) - 1
    return index >= 0 and at_ns < spans[index][1]


def holes(spans: Iterable[Span], within: Span) -> list[Span]:
    """Return what of `within` the spans leave out."""
    found, at = [], within[0]
    for start, end in union(spans):
        if start > at:
            found.append((at, min(start, within[1])))
        at = max(at, end)
        if at >= within[1]:
            break
    if at < within[1]:
        found.append((at, within[1]))
    return [span for span in found if span[0] < span[1]]


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    """Return the same coverage with intervals of one kind that touch made one; in order."""
    spans: dict[tuple[Channel, Pair, Provenance], list[Span]] = {}
    for one in intervals:
        spans.setdefault((one.channel, one.pair, one.provenance), []).append(
            (one.from_ns, one.to_ns)
        )
    return [
        Interval(channel=channel, pair=pair, from_ns=start, to_ns=end, provenance=provenance)
        for (channel, pair, provenance), found in sorted(spans.items())
        for start, end in union(found)
    ]


def gaps(intervals: Sequence[Interval], known: Iterable[Gap]) -> list[Gap]:
    """Return every gap inside a channel and pair, with the cause that is known of it, if any.

    A gap of which several causes are known is told in as many parts.
    """
    causes = list(known)
    found = []
    for channel, pair in sorted({(one.channel, one.pair) for one in intervals}):
        spans = [
            (one.from_ns, one.to_ns)
            for one in intervals
            if (one.channel, one.pair) == (channel, pair)
        ]
        here = [one for one in causes if (one.channel, one.pair) == (channel, pair)]
        whole = (min(start for start, _ in spans), max(end for _, end in spans))
        for hole in holes(spans, whole):
            found += _parts(channel, pair, hole, here)
    return found


def _parts(channel: Channel, pair: Pair, hole: Span, known: Iterable[Gap]) -> list[Gap]:
    parts = []
    at = hole[0]
    for one in sorted(known, key=lambda gap: gap.from_ns):
        start, end = max(one.from_ns, at), min(one.to_ns, hole[1])
        if start >= end:
            continue
        if start > at:
            parts.append(_gap(channel, pair, (at, start)))
        parts.append(_gap(channel, pair, (start, end), one.cause, one.detail))
        at = end
    if at < hole[1]:
        parts.append(_gap(channel, pair, (at, hole[1])))
    return parts


def _gap(
    channel: Channel, pair: Pair, span: Span, cause: Cause = Cause.UNKNOWN, detail: str = ""
) -> Gap:
    return Gap(
        channel=channel, pair=pair, from_ns=span[0], to_ns=span[1], cause=cause, detail=detail
    )
