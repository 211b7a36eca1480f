"""How far a pair's prices can be trusted: judged by when they were last confirmed."""

from btcbot.domain.words import FeedStatus

STALE_NS = 5_000_000_000


def status_of(confirmed_ns: int, now_ns: int, *, is_up: bool, is_fallback: bool) -> FeedStatus:
    """Return the feed's status; an unchanged price is never stale by itself.

    `confirmed_ns` 0: never confirmed. Over REST a price is usable, slower, and says so.
    """
    if not confirmed_ns:
        return FeedStatus.STARTING if is_up else FeedStatus.DOWN
    if now_ns - confirmed_ns > STALE_NS:
        return FeedStatus.STALE if is_up else FeedStatus.DOWN
    return FeedStatus.FALLBACK if is_fallback else FeedStatus.LIVE
