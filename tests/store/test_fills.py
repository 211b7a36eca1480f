"""What fills do to the row of their order: exact sums, at a cost that does not grow."""

from decimal import Decimal
from typing import Any

import apsw

from btcbot.domain.facts import Fill, OrderAcked, OrderSubmitting
from btcbot.domain.ids import Asset, ClientOrderId, IntentId, OrderId, Pair, TradeId, intent_id
from btcbot.domain.messages import OrderIntent
from btcbot.domain.money import Amount, Price, Quantity
from btcbot.domain.words import Side
from btcbot.store.queries import History
from btcbot.store.writer import Writer

PAIR, ORDER = Pair("BTCTRY"), OrderId(7)


def wanted() -> OrderIntent:
    return OrderIntent(
        intent_id=intent_id("test", 1, 1, 0), strategy="test", slot="test:BTCTRY:buy", pair=PAIR,
        side=Side.BUY, quantity=Quantity(Decimal(1)), limit_price=Price(Decimal(4_000_000)),
        reason="", seen_ns=1, decided_ns=1, expires_ns=2,
    )  # fmt: skip


def fill(number: int, ours: IntentId | None, quantity: str, price: str) -> Fill:
    return Fill(
        trade_id=TradeId(number), order_id=ORDER, intent_id=ours, client_order_id=None, pair=PAIR,
        side=Side.BUY, quantity=Quantity(Decimal(quantity)), price=Price(Decimal(price)),
        fee=Amount(Decimal(0)), tax=Amount(Decimal(0)), fee_asset=Asset("TRY"), event_ns=1,
        liquidity=None, postings=(), at_ns=1,
    )  # fmt: skip


def writer_with_an_order(intent: OrderIntent) -> Writer:
    writer = Writer(":memory:")
    submitting = OrderSubmitting(
        intent=intent, client_order_id=ClientOrderId("b-1"), approved_ns=1, stamp_ms=1,
        id_floor=OrderId(0), reserved=Amount(Decimal(1)), at_ns=1,
    )  # fmt: skip
    acked = OrderAcked(intent_id=intent.intent_id, order_id=ORDER, at_ns=1)
    writer.commit((submitting, acked), 1)
    return writer


def test_an_order_is_the_exact_sum_of_its_own_fills() -> None:
    intent = wanted()
    writer = writer_with_an_order(intent)

    writer.commit((fill(1, intent.intent_id, "0.1", "3999999.1"), fill(2, None, "5", "1")), 3)
    writer.commit((fill(3, intent.intent_id, "0.2", "4000000"),), 5)

    [row] = History(writer.reader).orders()
    assert row["filled"] == "0.3"
    assert Decimal(row["average_price"]) == (Decimal("399999.91") + 800_000) / Decimal("0.3")


def test_booking_a_fill_reads_none_of_the_fills_before_it() -> None:
    intent = wanted()
    writer = writer_with_an_order(intent)
    writer.commit(tuple(fill(n, None, "1", "1") for n in range(10, 500)), 3)
    steps: list[int] = []

    def note(profile: dict[str, Any]) -> None:
        steps.append(profile["stmt_status"]["SQLITE_STMTSTATUS_FULLSCAN_STEP"])

    writer._connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, note)
    writer.commit((fill(1, intent.intent_id, "0.1", "4000000"),), writer.head + 1)

    assert steps
    assert sum(steps) == 0
