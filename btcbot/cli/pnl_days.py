"""The profit of past trading days, from the fills on record."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from btcbot.domain.facts import Fill
from btcbot.domain.ids import Asset, ClientOrderId, IntentId, OrderId, Pair, TradeId
from btcbot.domain.money import Amount, Price, Quantity, text
from btcbot.domain.words import Side
from btcbot.ledger.pnl import Sums, day_of, sums_of
from btcbot.ledger.positions import Holding, book

Json = dict[str, Any]


def pnl_of_day(rows: Iterable[Json], day: str) -> list[Json]:
    """Book every fill in `rows` again and return the sums of `day`, one row a quote asset.

    Amounts are in that asset: what it was worth in TRY on that day is nowhere on record. Empty when
    the day had no fills of ours.
    """
    holdings: dict[Pair, Holding] = {}
    sums: dict[Asset, Sums] = {}
    for row in rows:
        if row["intent_id"] is None:
            continue
        fill = _fill(row)
        done = book(holdings.get(fill.pair, Holding()), fill)
        holdings[fill.pair] = done.holding
        if day_of(fill.event_ns) == day:
            before = sums.get(fill.fee_asset, Sums())
            sums[fill.fee_asset] = before.plus(sums_of(fill, done.realized))
    return [
        {
            "day": day,
            "asset": asset,
            "realized": text(found.realized),
            "fees": text(found.fees),
            "turnover": text(found.turnover),
            "fills": found.fills,
        }
        for asset, found in sorted(sums.items())
    ]


def _fill(row: Json) -> Fill:
    return Fill(
        trade_id=TradeId(row["trade_id"]),
        order_id=OrderId(row["order_id"]),
        intent_id=IntentId(row["intent_id"]),
        client_order_id=ClientOrderId(row["client_order_id"]),
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
