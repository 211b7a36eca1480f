"""Pairs whose orders the exchange keeps refusing rest for a while: bounded, and it ends by itself.

Counted are refusals for being below the exchange's minimum (its code 1123): they mean that our
idea of the pair's rules is wrong, and asking again will not mend it.
"""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from btcbot.domain.ids import Pair

MINUTE_NS = 60_000_000_000


class RejectRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many refusals, within which time, make a pair rest for how long."""

    count: Annotated[int, Meta(ge=1, le=100)] = 3
    window_min: Annotated[int, Meta(ge=1, le=1_440)] = 60
    rest_min: Annotated[int, Meta(ge=1, le=10_080)] = 240


class Rejected(Struct, frozen=True):
    """Of one pair: its last refusals, oldest first, and until when it rests."""

    at_ns: tuple[int, ...] = ()
    rests_until_ns: int = 0


def note(
    state: Mapping[Pair, Rejected], rules: RejectRules, pair: Pair, at_ns: int
) -> dict[Pair, Rejected]:
    """Return the state after one more refusal of `pair`; no more than `count` times are kept."""
    found = state.get(pair, Rejected())
    since_ns = at_ns - rules.window_min * MINUTE_NS
    recent = (*(t for t in found.at_ns if t > since_ns), at_ns)[-rules.count :]
    after = replace(found, at_ns=recent)
    if len(recent) >= rules.count:
        until_ns = max(found.rests_until_ns, at_ns + rules.rest_min * MINUTE_NS)
        after = replace(after, rests_until_ns=until_ns)
    return {**state, pair: after}


def resting(state: Mapping[Pair, Rejected], now_ns: int) -> dict[Pair, int]:
    """Return the pairs that rest at `now_ns`, with the time each rests until."""
    return {
        pair: found.rests_until_ns
        for pair, found in sorted(state.items())
        if found.rests_until_ns > now_ns
    }


def counts(state: Mapping[Pair, Rejected], rules: RejectRules, now_ns: int) -> dict[Pair, int]:
    """Return how many refusals each pair had within the window, for the universe's score."""
    since_ns = now_ns - rules.window_min * MINUTE_NS
    return {
        pair: sum(1 for t in found.at_ns if t > since_ns) for pair, found in sorted(state.items())
    }
