"""What a strategy changed of its own parameters, and why: the words of the audit."""

from decimal import Decimal
from enum import StrEnum

from msgspec import Struct


class Outcome(StrEnum):
    """What came of the look at one period."""

    KEPT = "KEPT"  # Nothing is to be changed.
    APPLIED = "APPLIED"  # A new version.
    ROLLED_BACK = "ROLLED_BACK"  # The version was bad: an older one holds again.
    REJECTED = "REJECTED"  # A change was proposed, and may not be made.


class Because(StrEnum):
    """Why; several may hold."""

    # Of a version that is given up, where there is another to return to.
    DRAWDOWN = "drawdown"  # Fell too far from its highest result.
    REJECTS = "rejects"  # The exchange rejected too many orders of one period.
    THROTTLED = "throttled"  # Orders were refused for their number.
    NET_LOSS = "net_loss"  # The last periods lost too much.
    # Of a change.
    NEAR_DRAWDOWN = "near_drawdown"  # Not far from falling too far.
    UNPRICED = "unpriced"  # Something had no price.
    HEALTHY = "healthy"  # Filled, and nothing was wrong, for so long.
    # Of a change that may not be made.
    TRADING_STATE = "trading_state"  # Not LIVE.
    KNOWN_BAD = "known_bad"  # A version with the same values was bad.


class Values(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters that may change, all of one version."""

    offset_bps: Decimal
    orders_max: int
    cycle_max: Decimal
    spread_max_bps: Decimal
    universe_size: int


class Period(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happened in one period, and in no other; amounts in the quote asset."""

    start_ns: int
    end_ns: int
    sent: int  # Orders.
    fills: int
    rejected: int  # By the exchange.
    refused: int  # Before they were sent, the throttled among them.
    throttled: int  # Refused for the number of orders.
    unpriced: int  # Looks at which something had no price.
    result: Decimal | None  # At its end, of all that was ever filled; None: not all has a price.
    net_pnl: Decimal | None  # Of this period: `result` less the last that was known before it.
    drawdown: Decimal  # From the highest result of the window, as a part of the capital: 0 to 1.


class Change(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    before: Decimal
    after: Decimal


class Adaptation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The look at one period. It counts when execution has written it down.

    `changes` are from the values of one version to those of the other, or would have been;
    `values` are those that hold from here on. `base`: 16 hex digits over the configuration's own
    parameters: other parameters begin anew, with a version of a higher number.
    """

    adaptation: str  # "SEAT.NUMBER"
    seat: str
    number: int  # Of the seat's periods, from 1 on.
    base: str
    outcome: Outcome
    from_version: int
    to_version: int
    changes: tuple[Change, ...]
    reasons: tuple[Because, ...]
    values: Values
    window: tuple[Period, ...]  # What was looked at: of this version alone, the newest last.
    is_good: bool  # The newest period was healthy: its version may be returned to.
    at_ns: int
