"""Made-up runs for reports: curves, orders and fills, with only what a test cares about."""

import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from btcbot.domain.words import Side
from btcbot.research.lines import EquityLine, FillLine, OrderLine, Run

DAY_NS = 86_400 * 10**9
START_NS = 1_767_225_600 * 10**9  # 2026-01-01, midnight UTC.
Curve = list[tuple[int, Decimal]]


def curve(count: int, *, step_ns: int = DAY_NS, seed: int = 1) -> Curve:
    """Return a walk of equity that gains and loses, one point every `step_ns`."""
    draw, equity = random.Random(seed), Decimal(100_000)
    found = [(START_NS, equity)]
    for number in range(1, count):
        equity += Decimal(draw.randint(-150_000, 160_000)) / 100
        found.append((START_NS + number * step_ns, equity))
    return found


def order(number: int, side: Side = Side.BUY, **given: Any) -> OrderLine:
    """Return an order that filled whole, 25 ms after it was sent."""
    at_ns = given.pop("at_ns", START_NS + number * 10**9)
    quantity = given.pop("quantity", Decimal("0.01"))
    price = given.pop("price", Decimal(4_000_000))
    fields: dict[str, Any] = {
        "client_order_id": f"b1-{number}",
        "intent_id": f"i{number}",
        "strategy": "made",
        "pair": "BTCTRY",
        "side": side,
        "method": "limit",
        "quantity": quantity,
        "limit_price": price,
        "state": "CLOSED",
        "filled": quantity,
        "average_price": price,
        "reason": "filled",
        "created_ns": at_ns,
        "decided_ns": at_ns,
        "approved_ns": at_ns,
        "acked_ns": at_ns + 50_000_000,
        "closed_ns": at_ns + 90_000_000,
        "arrival_price": price,
    }
    return OrderLine(**{**fields, **given})


def fill(number: int, of: OrderLine, **given: Any) -> FillLine:
    """Return the whole fill of an order at its limit; a fee of 10 bps and a tax of 2."""
    price, quantity = given.get("price", of.limit_price), given.get("quantity", of.quantity)
    fields: dict[str, Any] = {
        "trade_id": 1_000 + number,
        "order_id": 26_900_000_000 + number,
        "intent_id": of.intent_id,
        "client_order_id": of.client_order_id,
        "pair": of.pair,
        "side": of.side,
        "quantity": of.quantity,
        "price": of.limit_price,
        "fee": price * quantity / 1_000,
        "tax": price * quantity / 5_000,
        "fee_asset": "TRY",
        "ts_ns": of.created_ns + 25_000_000,
        "liquidity": "taker",
    }
    return FillLine(**{**fields, **given})


def run(
    orders: Sequence[OrderLine] = (),
    fills: Sequence[FillLine] = (),
    points: Sequence[tuple[int, Decimal]] = ((START_NS, Decimal(100_000)),),
    **given: Any,
) -> Run:
    """Return a backtest's run that adds up: its balances follow from the fills."""
    cash, units, peak = Decimal(100_000), Decimal(0), Decimal(0)
    for line in fills:
        sign = 1 if line.side is Side.BUY else -1
        cash -= sign * line.notional + line.charges
        units += sign * line.quantity
    equity = []
    for at_ns, value in points:
        peak = max(peak, value)
        equity.append(EquityLine(at_ns=at_ns, equity=value, drawdown=peak - value))
    fields: dict[str, Any] = {
        "kind": "backtest",
        "identity": {"run": "ab12", "pair": "BTCTRY"},
        "started_ns": START_NS,
        "ended_ns": points[-1][0] if points else START_NS,
        "orders": tuple(orders),
        "fills": tuple(fills),
        "refusals": {},
        "equity": tuple(equity),
        "balances_first": {"TRY": Decimal(100_000)},
        "balances_last": {"TRY": cash, "BTC": units},
    }
    return Run(**{**fields, **given})
