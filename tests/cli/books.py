"""A database as execution writes it, with one order of each kind, for what reads it."""

from decimal import Decimal
from pathlib import Path

import msgspec

from btcbot.domain.adaptation import Adaptation, Because, Change, Outcome, Period, Values
from btcbot.domain.decisions import DecisionCut, DecisionLine, DecisionRecord, Trigger, Why
from btcbot.domain.facts import (
    EpochStarted,
    Fact,
    Fill,
    IntentRefused,
    KillCompleted,
    OrderAcked,
    OrderClosed,
    OrderClosing,
    OrderSubmitting,
    OrderUnknown,
    Recorded,
    TradingStateChanged,
)
from btcbot.domain.ids import Asset, ClientOrderId, CommandId, IntentId, OrderId, Pair, TradeId
from btcbot.domain.messages import OrderIntent
from btcbot.domain.money import Amount, Price, Quantity
from btcbot.domain.words import Rule, Side, TradingState
from btcbot.ledger import history, postings
from btcbot.store.writer import Writer

START_NS = 1_795_000_000_000_000_000
SECOND = 1_000_000_000
BTC, TRY = Asset("BTC"), Asset("TRY")
CLOSED, DOUBTFUL, REFUSED = IntentId("closed"), IntentId("doubtful"), IntentId("refused")
ORDER_ID, TRADE_ID = OrderId(26_947_521_557), TradeId(1_181_163_798_924_649_755)


def intent(intent_id: IntentId, at_ns: int = START_NS) -> OrderIntent:
    return OrderIntent(
        intent_id=intent_id,
        strategy="profit_aware",
        slot=f"profit_aware:BTCTRY:{intent_id}",
        pair=Pair("BTCTRY"),
        side=Side.BUY,
        quantity=Quantity(Decimal("1.0E-7")),
        limit_price=Price(Decimal(4_000_000)),
        reason="dip",
        seen_ns=at_ns - 3_000_000,
        decided_ns=at_ns - 2_000_000,
        expires_ns=at_ns + 60 * SECOND,
    )


def submitting(intent_id: IntentId, at_ns: int) -> OrderSubmitting:
    return OrderSubmitting(
        intent=intent(intent_id, at_ns),
        client_order_id=label(intent_id),
        approved_ns=at_ns - 1_000_000,
        stamp_ms=at_ns // 10**6,
        id_floor=OrderId(0),
        reserved=Amount(Decimal("0.401")),
        at_ns=at_ns,
    )


def label(intent_id: IntentId) -> ClientOrderId:
    return ClientOrderId(f"b1-abcde-{intent_id}")


def fill(at_ns: int) -> Fill:
    quantity, price = Quantity(Decimal("1.0E-7")), Price(Decimal(4_000_000))
    fee, tax = Amount(Decimal("0.00084")), Amount(Decimal("0.00012"))
    return Fill(
        trade_id=TRADE_ID,
        order_id=ORDER_ID,
        intent_id=CLOSED,
        client_order_id=label(CLOSED),
        pair=Pair("BTCTRY"),
        side=Side.BUY,
        quantity=quantity,
        price=price,
        fee=fee,
        tax=tax,
        fee_asset=TRY,
        event_ns=at_ns - 500_000,
        liquidity=None,
        postings=postings.of_fill(Side.BUY, BTC, TRY, quantity, price, fee, tax),
        at_ns=at_ns,
    )


def trading(state: TradingState, at_ns: int, command: str) -> TradingStateChanged:
    return TradingStateChanged(
        state=state, by="test", reason="r", command_id=CommandId(command), at_ns=at_ns
    )


def story() -> list[Fact]:
    """Return the facts of a filled order, an order in doubt and a refused intent."""
    at = START_NS
    return [
        EpochStarted(epoch=1, instance="abcde", mode="sandbox", at_ns=at),
        trading(TradingState.LIVE, at, ""),
        submitting(CLOSED, at),
        OrderAcked(intent_id=CLOSED, order_id=ORDER_ID, at_ns=at + 20_000_000),
        IntentRefused(intent=intent(REFUSED), rule=Rule.STALE_BOOK, detail="3 s", at_ns=at + 5),
        fill(at + SECOND),
        OrderClosing(
            intent_id=CLOSED, executed=Amount(Decimal("1.0E-7")), status="Closed", at_ns=at + SECOND
        ),
        OrderClosed(
            intent_id=CLOSED,
            filled=Amount(Decimal("1.0E-7")),
            average_price=Price(Decimal(4_000_000)),
            reason="filled",
            at_ns=at + 2 * SECOND,
        ),
        Recorded(
            owner="accounting", kind="peak", key="BTC,TRY", payload=b"500", at_ns=at + 3 * SECOND,
            command_id=CommandId("accounting-1-1"),
        ),
        submitting(DOUBTFUL, at + 4 * SECOND),
        OrderUnknown(intent_id=DOUBTFUL, detail="HTTP 504", at_ns=at + 5 * SECOND),
        Recorded(
            owner="strategy", kind="decision", key="TRY", payload=msgspec.json.encode(decision()),
            at_ns=at + 6 * SECOND, command_id=CommandId("strategy-1-1"),
        ),
        Recorded(
            owner="strategy", kind="adaptation", key="adaptive.1",
            payload=msgspec.json.encode(adaptation(at)), at_ns=at + 6 * SECOND,
            command_id=CommandId("strategy-1-2"),
        ),
        *(
            Recorded(
                owner="accounting", kind=kind, key=kind, payload=history.payload(stood(at)),
                at_ns=at + 7 * SECOND, command_id=CommandId(f"accounting-1-{kind}"),
            )
            for kind in (history.EQUITY, history.DIGEST)
        ),
    ]  # fmt: skip


def stood(at_ns: int) -> history.Point:
    """Return where the account stood."""
    return history.Point(
        at_ns=at_ns, day="2026-11-18", equity=Decimal("99999.5"), realized=Decimal(0),
        unrealized=Decimal("-0.5"), fees=Decimal("0.00096"), turnover=Decimal("0.4"), fills=1,
        drawdown=Decimal("0.5"),
    )  # fmt: skip


def decision() -> DecisionRecord:
    """Return the record of the decision that led to the intent that was refused."""
    wish = intent(REFUSED)
    line = DecisionLine(
        strategy=wish.strategy, pair=wish.pair, side=wish.side, asked=wish.quantity,
        limit_price=wish.limit_price, reason=wish.reason, ordered=wish.quantity,
        cuts=(DecisionCut(Why.CASH, wish.quantity, "0.50; allowed 0.40 TRY"),), why=Why.CASH,
        intent_id=REFUSED,
    )  # fmt: skip
    return DecisionRecord(
        decision="1.1", trigger=Trigger.QUOTE, quote=TRY, inputs="0123456789abcdef", lines=(line,),
        deploy=Decimal(1), spent=Decimal("0.4"), policy="", unsaid=2, left_out=0,
        at_ns=wish.decided_ns,
    )  # fmt: skip


def adaptation(at_ns: int) -> Adaptation:
    """Return the record of a period after which a strategy changed itself."""
    values = Values(
        offset_bps=Decimal(5), orders_max=3, cycle_max=Decimal(5_000), spread_max_bps=Decimal(80),
        universe_size=5,
    )  # fmt: skip
    period = Period(
        start_ns=at_ns - 3_600 * SECOND, end_ns=at_ns, sent=4, fills=2, rejected=0, refused=1,
        throttled=1, unpriced=0, result=Decimal("1.50"), net_pnl=Decimal("-0.50"),
        drawdown=Decimal("0.0001"),
    )  # fmt: skip
    return Adaptation(
        adaptation="adaptive.1", seat="adaptive", number=1, base="0123456789abcdef",
        outcome=Outcome.APPLIED, from_version=1, to_version=2,
        changes=(Change("orders_max", Decimal(4), Decimal(3)),), reasons=(Because.THROTTLED,),
        values=values, window=(period,), is_good=False, at_ns=at_ns,
    )  # fmt: skip


def killed(at_ns: int, *, is_complete: bool) -> list[Fact]:
    """Return what a kill leaves on record."""
    order = trading(TradingState.KILLED, at_ns, "kill-1")
    done = KillCompleted(command_id=CommandId("kill-1"), at_ns=at_ns + SECOND)
    return [order, done] if is_complete else [order]


def write(home: Path, *facts: Fact) -> None:
    """Add `facts` to the database of `home`, which is made if there is none."""
    writer = Writer(str(home / "btcbot.db"))
    writer.epoch = 1
    writer.commit(facts, writer.head + 1)
    writer.close()
