"""One run as it was written down, whatever kind it is of: what every report is made from.

Amounts are exact decimals, times UTC nanoseconds. None is "not known", never 0.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from btcbot.domain.money import is_sane
from btcbot.domain.words import Side

BACKTEST: Final = "backtest"
AMOUNTS: Final = (
    "quantity", "limit_price", "filled", "average_price", "arrival_price", "price", "fee", "tax",
    "equity", "drawdown", "open", "high", "low", "close",
)  # fmt: skip


class Line(Struct, frozen=True, kw_only=True):
    """A row of a run. Raises ValueError for an amount that no exchange could state."""

    def __post_init__(self) -> None:
        for name in AMOUNTS:
            value = getattr(self, name, None)
            if value is not None and not is_sane(value):
                raise ValueError(f"{name} = {str(value)[:40]}: allowed are 0 and 1e-16 to 1e15")


class OrderLine(Line, frozen=True, kw_only=True):
    """One order. `arrival_price`: the middle of the book when it was decided, quote per base."""

    client_order_id: str
    intent_id: str
    strategy: str
    pair: str
    side: Side
    method: str
    quantity: Decimal
    limit_price: Decimal
    state: str
    filled: Decimal
    average_price: Decimal | None
    reason: str
    created_ns: int
    decided_ns: int
    closed_ns: int | None = None
    approved_ns: int | None = None
    acked_ns: int | None = None
    arrival_price: Decimal | None = None


class FillLine(Line, frozen=True, kw_only=True):
    """One execution; fee and tax are costs in `fee_asset`. No intent: a person traded."""

    trade_id: int
    order_id: int
    intent_id: str | None
    client_order_id: str | None
    pair: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    tax: Decimal
    fee_asset: str
    ts_ns: int
    liquidity: str | None

    @property
    def notional(self) -> Decimal:
        return self.price * self.quantity

    @property
    def charges(self) -> Decimal:
        return self.fee + self.tax


class EquityLine(Line, frozen=True, kw_only=True):
    """What the account is worth in TRY; None: something in it has no price."""

    at_ns: int
    equity: Decimal | None
    drawdown: Decimal


class Bar(Line, frozen=True, kw_only=True):
    """A minute of a pair's middle, of samples taken once a second."""

    pair: str
    open_ns: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


class Doubt(Struct, frozen=True, kw_only=True):
    """An order whose fate was not known, and how that ended; `until_ns` None: it has not."""

    client_order_id: str
    pair: str
    from_ns: int
    until_ns: int | None
    ended: str


class Gap(Struct, frozen=True, kw_only=True):
    """A stretch of time of which nothing is known."""

    what: str
    from_ns: int
    until_ns: int


class Run(Struct, frozen=True, kw_only=True):
    """A backtest, or a period of a home's database. Rows are in order of time."""

    kind: str  # "backtest", or the mode of the home.
    identity: Mapping[str, Any]
    started_ns: int
    ended_ns: int
    orders: tuple[OrderLine, ...]
    fills: tuple[FillLine, ...]
    refusals: Mapping[str, int]
    equity: tuple[EquityLine, ...]
    balances_first: Mapping[str, Decimal]
    balances_last: Mapping[str, Decimal]
    moved_in: Mapping[str, Decimal] = {}  # By people: deposits less withdrawals.
    bars: tuple[Bar, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    gaps: tuple[Gap, ...] = ()
    span_ns: tuple[int, int] | None = None  # A part of a longer life: orders may reach beyond it.
