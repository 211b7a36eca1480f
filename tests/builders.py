"""Valid messages with defaults: a test states only what matters to it.

Every builder takes fields of its message by name; a number may be an int or a text.
"""

from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from btcbot.domain.facts import (
    Balances,
    Fill,
    Opening,
    OrderAbsent,
    OrderAcked,
    OrderClosed,
    OrderNotSent,
    OrderRejected,
    OrderSubmitting,
    OrderUnknown,
    PauseChanged,
    Recorded,
    TradingStateChanged,
)
from btcbot.domain.feed import BookRead, BookSnapshot, TextLevel
from btcbot.domain.ids import Asset, ClientOrderId, CommandId, IntentId, OrderId, Pair, TradeId
from btcbot.domain.instruments import DOCUMENTED, FEES_TRY
from btcbot.domain.messages import (
    AssetBalance,
    BookTop,
    FeedState,
    InstrumentRules,
    IntentVerdict,
    OrderIntent,
    Record,
    Scope,
)
from btcbot.domain.money import Amount, Price, Quantity
from btcbot.domain.words import FeedStatus, Rule, Side, TradingState
from btcbot.ledger import postings

START_NS = 1_795_000_000_000_000_000
SECOND_NS = 1_000_000_000
BTCTRY, ETHTRY = Pair("BTCTRY"), Pair("ETHTRY")
TRY, BTC = Asset("TRY"), Asset("BTC")
FEES = {BTCTRY: FEES_TRY, ETHTRY: FEES_TRY}

S = TypeVar("S", bound=Struct)


def with_changes(default: S, changes: dict[str, Any]) -> S:
    """Return `default` with `changes`; where it has a Decimal, a number of any spelling will do."""
    exact = {
        name: Decimal(value) if isinstance(getattr(default, name), Decimal) else value
        for name, value in changes.items()
    }
    return replace(default, **exact)


# --- market ---------------------------------------------------------------------------------------


def book_top(**changes: Any) -> BookTop:
    """Return BTCTRY at 2,499,990 / 2,500,010, confirmed at the start."""
    default = BookTop(
        pair=BTCTRY,
        bid=Price(Decimal(2_499_990)),
        bid_quantity=Quantity(Decimal(1)),
        ask=Price(Decimal(2_500_010)),
        ask_quantity=Quantity(Decimal(1)),
        changed_ns=START_NS,
        confirmed_ns=START_NS,
    )
    return with_changes(default, changes)


def quoted(now_ns: int, **changes: Any) -> BookTop:
    """Return a top that is true just now."""
    return book_top(changed_ns=now_ns, confirmed_ns=now_ns, **changes)


def levels(*rows: tuple[int | str, int | str]) -> tuple[TextLevel, ...]:
    """Return (price, amount) rows as the exchange writes them."""
    return tuple(TextLevel(str(price), str(amount)) for price, amount in rows)


def side(*rows: tuple[int | str, int | str]) -> bytes:
    """Return one side of a whole book, of (price, amount) rows, as the exchange writes it."""
    return msgspec.json.encode([{"A": str(amount), "P": str(price)} for price, amount in rows])


def book_snapshot(**changes: Any) -> BookSnapshot:
    default = BookSnapshot(
        pair=BTCTRY,
        change_set=100,
        bids=side((2_499_990, 1), (2_499_980, 2)),
        asks=side((2_500_010, 1), (2_500_020, 2)),
    )
    return with_changes(default, changes)


def book_read(**changes: Any) -> BookRead:
    default = BookRead(
        pair=BTCTRY,
        event_ns=START_NS,
        bids=levels((2_499_980, 1)),
        asks=levels((2_500_020, 1)),
    )
    return with_changes(default, changes)


def feed_state(status: FeedStatus = FeedStatus.LIVE, **changes: Any) -> FeedState:
    default = FeedState(
        pair=BTCTRY, status=status, confirmed_ns=START_NS, reason="", at_ns=START_NS
    )
    return with_changes(default, changes)


def instrument_rules(*pairs: Pair) -> InstrumentRules:
    """Return the documented rules of `pairs`, of BTCTRY and ETHTRY when none are named."""
    named = pairs or (BTCTRY, ETHTRY)
    return InstrumentRules(instruments=tuple(DOCUMENTED[p] for p in named), at_ns=START_NS)


# --- intents and verdicts -------------------------------------------------------------------------


def intent(number: int = 1, **changes: Any) -> OrderIntent:
    """Return a buy of 0.001 BTC at 2,500,010, good for ten seconds; its slot follows its side."""
    default = OrderIntent(
        intent_id=intent_id(number),
        strategy="profit_aware",
        slot="",
        pair=BTCTRY,
        side=Side.BUY,
        quantity=Quantity(Decimal("0.001")),
        limit_price=Price(Decimal(2_500_010)),
        reason="it is cheap",
        seen_ns=START_NS,
        decided_ns=START_NS,
        expires_ns=START_NS + 10 * SECOND_NS,
    )
    made = with_changes(default, changes)
    return made if made.slot else replace(made, slot=f"{made.strategy}:{made.pair}:{made.side}")


def intent_id(number: int) -> IntentId:
    return IntentId(f"intent{number:020d}")


def verdict(number: int = 1, rule: Rule | None = None, detail: str = "") -> IntentVerdict:
    return IntentVerdict(intent_id=intent_id(number), rule=rule, detail=detail)


# --- facts ----------------------------------------------------------------------------------------


def submitting(wish: OrderIntent, at_ns: int = START_NS) -> OrderSubmitting:
    return OrderSubmitting(
        intent=wish,
        client_order_id=ClientOrderId(f"b1-tests-{wish.intent_id}"),
        approved_ns=at_ns,
        stamp_ms=at_ns // 1_000_000,
        id_floor=OrderId(0),
        reserved=Amount(wish.quantity * wish.limit_price),
        at_ns=at_ns,
    )


def acked(wish: OrderIntent) -> OrderAcked:
    return OrderAcked(intent_id=wish.intent_id, order_id=OrderId(7), at_ns=START_NS)


def unknown(wish: OrderIntent) -> OrderUnknown:
    return OrderUnknown(intent_id=wish.intent_id, detail="no reply", at_ns=START_NS)


def rejected(wish: OrderIntent, at_ns: int = START_NS) -> OrderRejected:
    return OrderRejected(intent_id=wish.intent_id, code="1006", detail="no", at_ns=at_ns)


def not_sent(wish: OrderIntent) -> OrderNotSent:
    return OrderNotSent(intent_id=wish.intent_id, detail="no byte left", at_ns=START_NS)


def absent(wish: OrderIntent) -> OrderAbsent:
    return OrderAbsent(intent_id=wish.intent_id, sweeps=3, at_ns=START_NS)


def closed(wish: OrderIntent, filled: int | str = 0) -> OrderClosed:
    return OrderClosed(
        intent_id=wish.intent_id,
        filled=Amount(Decimal(filled)),
        average_price=None,
        reason="canceled",
        at_ns=START_NS,
    )


def fill(wish: OrderIntent, number: int = 1, **changes: Any) -> Fill:
    """Return an execution of all of `wish` at its limit, without a fee, with its postings."""
    default = Fill(
        trade_id=TradeId(number),
        order_id=OrderId(7),
        intent_id=wish.intent_id,
        client_order_id=ClientOrderId(f"b1-tests-{wish.intent_id}"),
        pair=wish.pair,
        side=wish.side,
        quantity=wish.quantity,
        price=wish.limit_price,
        fee=Amount(Decimal(0)),
        tax=Amount(Decimal(0)),
        fee_asset=DOCUMENTED[wish.pair].quote,
        event_ns=START_NS,
        liquidity=None,
        postings=(),
        at_ns=START_NS,
    )
    made, rules = with_changes(default, changes), DOCUMENTED[wish.pair]
    lines = postings.of_fill(
        made.side, rules.base, rules.quote, made.quantity, made.price, made.fee, made.tax
    )
    return replace(made, postings=lines)


def recorded(record: Record, at_ns: int = START_NS) -> Recorded:
    """Return that execution keeps what `record` asks for."""
    return Recorded(
        owner=record.owner,
        kind=record.kind,
        key=record.key,
        payload=record.payload,
        command_id=record.command_id,
        at_ns=at_ns,
    )


def balance_rows(**totals: int | str) -> tuple[AssetBalance, ...]:
    """Return rows such as `TRY=1000, BTC="0.5"`, all of it free."""
    return tuple(
        AssetBalance(Asset(asset), Amount(Decimal(total)), Amount(Decimal(total)))
        for asset, total in totals.items()
    )


def balances(at_ns: int = START_NS, **totals: int | str) -> Balances:
    return Balances(balances=balance_rows(**totals), at_ns=at_ns)


def opening(at_ns: int = START_NS, **totals: int | str) -> Opening:
    rows = balance_rows(**totals)
    return Opening(balances=rows, postings=postings.of_opening(rows), at_ns=at_ns)


def trading(state: TradingState = TradingState.LIVE) -> TradingStateChanged:
    return TradingStateChanged(
        state=state, by="uid 1000", reason="a test", command_id=CommandId(""), at_ns=START_NS
    )


def pause(scope: Scope, **changes: Any) -> PauseChanged:
    """Return that `scope` is paused until somebody resumes it."""
    default = PauseChanged(
        scope=scope, is_paused=True, until_ns=None, by="uid 1000", reason="a test",
        command_id=CommandId("pause-1"), at_ns=START_NS,
    )  # fmt: skip
    return with_changes(default, changes)
