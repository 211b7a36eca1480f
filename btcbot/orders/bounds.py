"""The bounds within which orders are hunted, read and cancelled; sandbox values, with floors."""

from typing import Annotated

from msgspec import Meta, Struct

NS = 1_000_000_000


class OrderBounds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds, where a name ends in `_s`.

    The floors keep a wrong setting from turning doubt into certainty too early.
    """

    # An UNKNOWN order is proven absent no sooner. BTCTurk: 900; the sandbox answers far quicker.
    absence_wait_s: Annotated[int, Meta(ge=30, le=86_400)] = 60
    # Between two full readings of all orders while one is UNKNOWN.
    sweep_interval_s: Annotated[int, Meta(ge=5, le=600)] = 5
    # Own trades of the whole account, while any order is live.
    fills_interval_s: Annotated[int, Meta(ge=1, le=60)] = 2
    # Open orders, one pair in turn.
    open_orders_interval_s: Annotated[int, Meta(ge=1, le=60)] = 5
    # Balances, when nothing else asks for them.
    balances_interval_s: Annotated[int, Meta(ge=5, le=600)] = 30
    # The exchange's clock against ours.
    clock_interval_s: Annotated[int, Meta(ge=5, le=300)] = 30
    # No POST when our clock may be wrong by more: BTCTurk refuses stamps 5 s off.
    clock_error_max_ms: Annotated[int, Meta(ge=1, le=2_000)] = 1_000
    # No order may rest further from the middle of its book: it is refused, and one that the market
    # left so far behind is cancelled. Its strategy decides anew once it is proven gone.
    drift_max_bps: Annotated[int, Meta(ge=10, le=10_000)] = 1_000
    # Orders of one slot in a minute; one more pauses its strategy until a person resumes it.
    slot_orders_per_minute_max: Annotated[int, Meta(ge=1, le=120)] = 20
    # Off: what wants the market is sent as a limit order at its worst price, within the collar.
    # On: as a market order, which only the exchange's guard of 5 % bounds.
    market_orders: bool = False
