"""A feed is judged by when it was last confirmed, never by whether its price moved."""

import pytest

from btcbot.domain.words import FeedStatus
from btcbot.market.freshness import STALE_NS, status_of

NOW_NS = 1_795_000_000_000_000_000


@pytest.mark.parametrize(
    ("confirmed_ns", "is_up", "is_fallback", "status"),
    [
        (0, True, False, FeedStatus.STARTING),
        (0, False, True, FeedStatus.DOWN),
        (NOW_NS, True, False, FeedStatus.LIVE),
        (NOW_NS - STALE_NS, True, False, FeedStatus.LIVE),
        (NOW_NS - STALE_NS - 1, True, False, FeedStatus.STALE),
        (NOW_NS - STALE_NS - 1, True, True, FeedStatus.STALE),
        (NOW_NS - STALE_NS, False, True, FeedStatus.FALLBACK),
        (NOW_NS - STALE_NS - 1, False, True, FeedStatus.DOWN),
        (NOW_NS + 5, True, False, FeedStatus.LIVE),
    ],
)
def test_status_follows_the_last_confirmation(
    confirmed_ns: int, is_up: bool, is_fallback: bool, status: FeedStatus
) -> None:
    assert status_of(confirmed_ns, NOW_NS, is_up=is_up, is_fallback=is_fallback) is status
