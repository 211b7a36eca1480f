"""An account, books and wishes: a test states what matters to it."""

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import FeeRates, Instrument
from btcbot.domain.money import Bps, Price, Quantity
from btcbot.domain.words import Side, TradingState
from btcbot.portfolio.account import Account, Book, Line, Wish
from btcbot.portfolio.budget import PlanLimits
from btcbot.portfolio.plan import Cycle, Plan, plan
from btcbot.portfolio.reasons import Reason
from tests.portfolio.markets import START, D, instrument

A, B, C = Pair("ATRY"), Pair("BTRY"), Pair("CTRY")
FREE = FeeRates(maker_bps=Bps(D(0)), taker_bps=Bps(D(0)))
FEES = FeeRates(maker_bps=Bps(D(12)), taker_bps=Bps(D(24)))
# Wide open: each test narrows the one it is about.
LIMITS = PlanLimits(
    cash_reserve=D(0), fee_buffer_bps=D(0), position_max=D(10**9), exposure_max=D(10**9),
    cycle_max=D(10**9), order_max=D(10**9), notional_min=D(1), orders_max=100,
)  # fmt: skip


def line(base: str = "A", middle: str | None = "100", **changes: Any) -> Line:
    """Return a pair at 100 TRY without fees or a minimum of the exchange; nothing is held."""
    rules: Instrument = changes.pop("rules", instrument(base, notional_min=D(1)))
    price = None if middle is None else Price(D(middle))
    made = Line(instrument=rules, fees=FREE, middle=price)
    return replace(made, **{name: _exact(value) for name, value in changes.items()})


def account(cash: str | int = 100_000, *lines: Line) -> Account:
    found = lines or (line("A"), line("B"), line("C"))
    return Account(
        quote=Asset("TRY"),
        cash_free=D(cash),
        lines={row.instrument.pair: row for row in found},
    )


def book(strategy: str = "s", **changes: Any) -> Book:
    return replace(Book(strategy=strategy), **changes)


def buy(quantity: str | int = 10, price: str | int = 100, **changes: Any) -> Wish:
    """Return a wish of strategy "s" to buy 10 of A at 100: 1,000 TRY."""
    made = Wish(
        strategy="s", pair=A, side=Side.BUY, quantity=Quantity(D(quantity)),
        limit_price=Price(D(price)),
    )  # fmt: skip
    return replace(made, **changes)


def sell(quantity: str | int = 10, price: str | int = 100, **changes: Any) -> Wish:
    return buy(quantity, price, side=Side.SELL, **changes)


def planned(
    *wishes: Wish, on: Account | None = None, books: tuple[Book, ...] | None = None, **more: Any
) -> Plan:
    """Return the plan of `wishes`; of `more`, what names a limit narrows it, the rest the cycle."""
    cycle = Cycle(now_ns=START, trading=TradingState.LIVE)
    limits = {name: _exact(v) for name, v in more.items() if name in PlanLimits.__struct_fields__}
    of_cycle = {name: v for name, v in more.items() if name not in limits}
    return plan(
        on or account(), books or (book(),), wishes, replace(LIMITS, **limits),
        replace(cycle, **of_cycle),
    )  # fmt: skip


def ordered(found: Plan) -> list[tuple[str, Side, Decimal]]:
    return [(order.pair, order.side, order.quantity) for order in found.orders]


def reasons(found: Plan) -> list[Reason]:
    return [verdict.reason for verdict in found.verdicts]


def _exact(value: Any) -> Any:
    return D(value) if isinstance(value, str) else value
