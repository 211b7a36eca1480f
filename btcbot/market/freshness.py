"""How far a pair's prices can be trusted: judged by when they were last confirmed."""

from typing import Final

from btcbot.domain.words import FeedStatus

# Looked at once a second, so it is said within 5 s of the last frame.
STALE_NS: Final = 4_000_000_000
LIVE: Final = FeedStatus.LIVE


def status_of(
    confirmed_ns: int, now_ns: int, *, is_up: bool, is_whole: bool, is_fallback: bool
) -> FeedStatus:
    """Return the feed's status; an unchanged price is never stale by itself.

    `confirmed_ns` 0: never confirmed. `is_whole`: the book of this session has no gap. Over REST a
    price is usable, slower, and says so.
    """
    if is_whole and confirmed_ns and now_ns - confirmed_ns <= STALE_NS:
        return LIVE  # So it is most of a day.
    if not confirmed_ns:
        return FeedStatus.STARTING if is_up else FeedStatus.DOWN
    is_usable = is_whole or is_fallback
    if not is_usable or now_ns - confirmed_ns > STALE_NS:
        return FeedStatus.STALE if is_up else FeedStatus.DOWN
    return FeedStatus.FALLBACK
