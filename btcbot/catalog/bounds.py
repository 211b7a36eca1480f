"""How much raw capture may take of the disk, and how it is cut into segments."""

from typing import Annotated

from msgspec import Meta, Struct

MB = 1_000_000
DAY_S = 86_400


class CaptureBounds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the exchange says is kept byte for byte in HOME/data/raw; trading never waits for it."""

    enabled: bool = True  # Of the fleet; `btcbot record` is told by being called.
    # All of HOME/data/raw together. Past it the oldest segment is deleted, with a log event.
    disk_max_mb: Annotated[int, Meta(ge=16, le=10_000_000)] = 4_096
    # With less than this left on the disk, capture stops until there is more; the bot trades on.
    disk_free_min_mb: Annotated[int, Meta(ge=0, le=1_000_000)] = 512
    # A segment of this size is sealed and the next begun.
    rotate_mb: Annotated[int, Meta(ge=1, le=256)] = 64
    # The same after this many seconds of UTC; divides a day, so that no segment has two days.
    rotate_s: Annotated[int, Meta(ge=1, le=DAY_S)] = 3_600
