"""The bounds within which an order is hunted."""

from msgspec import Struct


class OrderBounds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds."""

    absence_wait_s: int = 60  # An unknown order is proven absent no sooner.
    sweep_interval_s: int = 5  # Between two full readings of all orders.
