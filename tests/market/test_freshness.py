"""A feed is judged by when it was last confirmed, never by whether its price moved."""

import pytest

from btcbot.domain.words import FeedStatus
from btcbot.market.freshness import STALE_NS, status_of

NOW_NS = 1_795_000_000_000_000_000
UP, DOWN = True, False
WHOLE, REST, NOTHING = (True, False), (False, True), (False, False)  # (is_whole, is_fallback).


@pytest.mark.parametrize(
    ("confirmed_ns", "is_up", "source", "status"),
    [
        (0, UP, NOTHING, FeedStatus.STARTING),
        (0, DOWN, REST, FeedStatus.DOWN),
        (NOW_NS, UP, WHOLE, FeedStatus.LIVE),
        (NOW_NS, UP, NOTHING, FeedStatus.STALE),  # A gap: no price is current, however young.
        (NOW_NS, DOWN, NOTHING, FeedStatus.DOWN),
        (NOW_NS - STALE_NS, UP, WHOLE, FeedStatus.LIVE),
        (NOW_NS - STALE_NS - 1, UP, WHOLE, FeedStatus.STALE),
        (NOW_NS - STALE_NS - 1, UP, REST, FeedStatus.STALE),
        (NOW_NS - STALE_NS, UP, REST, FeedStatus.FALLBACK),
        (NOW_NS - STALE_NS, DOWN, REST, FeedStatus.FALLBACK),
        (NOW_NS - STALE_NS - 1, DOWN, REST, FeedStatus.DOWN),
        (NOW_NS + 5, UP, WHOLE, FeedStatus.LIVE),
    ],
)
def test_status_follows_the_last_confirmation_and_what_it_is_of(
    confirmed_ns: int, is_up: bool, source: tuple[bool, bool], status: FeedStatus
) -> None:
    is_whole, is_fallback = source
    found = status_of(confirmed_ns, NOW_NS, is_up=is_up, is_whole=is_whole, is_fallback=is_fallback)

    assert found is status
