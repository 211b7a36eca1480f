"""What is kept of the account's course: a point every five minutes, and each day's last one."""

from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Struct

from btcbot.domain.messages import AccountSnapshot, PnlReport

OWNER, EQUITY, DIGEST = "accounting", "equity", "digest"  # Of the records that execution keeps.
EVERY_NS: Final = 300_000_000_000


class Point(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the account stood, in TRY; `day` is Istanbul's, and so are its sums."""

    at_ns: int
    day: str
    equity: Decimal | None  # None: something held had no price.
    realized: Decimal
    unrealized: Decimal
    fees: Decimal
    turnover: Decimal
    fills: int
    drawdown: Decimal


def point_of(account: AccountSnapshot, report: PnlReport) -> Point:
    """Return the point that these two say."""
    return Point(
        at_ns=report.at_ns,
        day=report.day,
        equity=account.equity,
        realized=report.realized,
        unrealized=report.unrealized,
        fees=report.fees,
        turnover=report.turnover,
        fills=report.fills,
        drawdown=report.drawdown,
    )


def payload(point: Point) -> bytes:
    """Return what is recorded."""
    return msgspec.json.encode(point)


def recorded(said: bytes) -> Point:
    """Return what was recorded. Raises msgspec.MsgspecError."""
    return msgspec.json.decode(said, type=Point)
