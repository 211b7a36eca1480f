"""The price a market is measured against: a moving mean of its middle, weighted by time."""

import math
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from btcbot.domain.messages import BookTop

SECOND_NS: Final = 1_000_000_000


class Anchor(Struct, frozen=True):
    """The moving mean of one pair's middle, and since when it is kept."""

    value: float
    since_ns: int
    at_ns: int
    bought_ns: int = 0
    sold_ns: int = 0

    def deviation_bps(self, top: BookTop) -> float:
        """Return how far the middle lies above the anchor; below it, less than 0."""
        return (middle(top) / self.value - 1) * 10_000

    def is_warm(self, warm_up_s: float, now_ns: int) -> bool:
        return now_ns - self.since_ns >= warm_up_s * SECOND_NS

    def has_rested(self, rest_s: float, now_ns: int) -> bool:
        """Return whether the last buy is long enough ago."""
        return now_ns - self.bought_ns >= rest_s * SECOND_NS

    def may_sell_again(self, rest_s: float, now_ns: int) -> bool:
        """Return whether the last sale is long enough ago; it is if the clock was set back."""
        return not 0 <= now_ns - self.sold_ns < rest_s * SECOND_NS


def middle(top: BookTop) -> float:
    return float(top.bid + top.ask) / 2


def moved(anchor: Anchor | None, anchor_s: float, price: float, now_ns: int) -> Anchor:
    """Return the anchor after a new middle; each counts for the time since the one before.

    The weight of `price` is 1 - exp(-seconds passed / anchor_s).
    """
    if anchor is None:
        return Anchor(price, now_ns, now_ns)
    passed_ns = max(now_ns - anchor.at_ns, 0)  # The machine's clock may have been set back.
    weight = 1 - math.exp(-passed_ns / SECOND_NS / anchor_s)
    return replace(anchor, value=anchor.value + weight * (price - anchor.value), at_ns=now_ns)
