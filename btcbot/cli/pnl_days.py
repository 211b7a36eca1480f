"""The profit of a past trading day, from the fills on record."""

from decimal import Decimal
from typing import Any, Protocol

from btcbot.domain.facts import Fill
from btcbot.domain.ids import Asset, OrderId, Pair, TradeId
from btcbot.domain.money import Amount, Price, Quantity, text
from btcbot.domain.words import Side
from btcbot.ledger.days import Day, add, day_of
from btcbot.ledger.positions import Holding, book, turnover


class Fills(Protocol):
    def fills(self) -> Any: ...  # noqa: ANN401


def pnl_of_day(history: Fills, day: str) -> dict[str, Any] | None:
    """Return the day's sums in the quote assets of its fills; None when it had none."""
    holdings: dict[str, Holding] = {}
    sums: Day | None = None
    for row in history.fills():
        if row["intent_id"] is None:
            continue
        fill = _fill(row)
        done = book(holdings.get(fill.pair, Holding()), fill)
        holdings[fill.pair] = done.holding
        if day_of(fill.event_ns) == day:
            sums = add(sums or Day(name=day), done.realized, fill.fee + fill.tax, turnover(fill))
    if sums is None:
        return None
    return {
        "day": day,
        "realized": text(sums.realized),
        "fees": text(sums.fees),
        "turnover": text(sums.turnover),
        "fills": sums.fills,
    }


def _fill(row: dict[str, Any]) -> Fill:
    return Fill(
        trade_id=TradeId(row["trade_id"]),
        order_id=OrderId(row["order_id"]),
        intent_id=row["intent_id"],
        client_order_id=row["client_order_id"],
        pair=Pair(row["pair"]),
        side=Side(row["side"]),
        quantity=Quantity(Decimal(row["quantity"])),
        price=Price(Decimal(row["price"])),
        fee=Amount(Decimal(row["fee"])),
        tax=Amount(Decimal(row["tax"])),
        fee_asset=Asset(row["fee_asset"]),
        event_ns=row["ts_ns"],
        liquidity=None,
        postings=(),
        at_ns=row["ts_ns"],
    )
