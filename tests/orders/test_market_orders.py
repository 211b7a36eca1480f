"""Market orders: off by default, in base when selling, in quote when buying, and never confused."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.execution import Persist, handle
from btcbot.domain.facts import Fill, OrderClosed, OrderSubmitting, TradingStateChanged
from btcbot.domain.ids import Asset, IntentId, OrderId, Pair, TradeId, client_order_id, intent_id
from btcbot.domain.instruments import DOCUMENTED, default_fees
from btcbot.domain.messages import ApprovedOrder, BookTop, OrderIntent
from btcbot.domain.money import Amount, Notional, Price, Quantity
from btcbot.domain.venue import (
    FillsRead,
    LimitOrder,
    MarketBuy,
    MarketSell,
    OpenOrdersRead,
    OrderRead,
    OrderTerms,
    Outcome,
    Submit,
    Submitted,
    TimeRead,
    VenueFill,
    VenueOrder,
)
from btcbot.domain.words import Rule, Side, TradingState
from btcbot.orders.bounds import OrderBounds
from btcbot.orders.state import Desk, GateLimits, Setup
from btcbot.orders.terms import spends_quote, terms_of

PAIR = Pair("BTCTRY")
NOW_NS = 1_790_000_000_000_000_000
BID, ASK = Price(Decimal(3_712_280)), Price(Decimal(3_715_990))
ONE = Quantity(Decimal("0.001"))


def mark() -> BookTop:
    return BookTop(
        pair=PAIR, bid=BID, bid_quantity=ONE, ask=ASK, ask_quantity=ONE, changed_ns=NOW_NS,
        confirmed_ns=NOW_NS,
    )  # fmt: skip


def intent(side: Side = Side.BUY, limit: Decimal = Decimal(3_716_000), **more: Any) -> OrderIntent:
    return OrderIntent(
        intent_id=IntentId(intent_id("test", 1, 1, 0)),
        strategy="test", slot=f"test:{side}", pair=PAIR, side=side, quantity=ONE,
        limit_price=Price(limit), reason="", seen_ns=NOW_NS, decided_ns=NOW_NS,
        expires_ns=NOW_NS + 60 * 10**9, wants_market=True, **more,
    )  # fmt: skip


def desk(*, market_orders: bool) -> Desk:
    setup = Setup(
        tag="abcde",
        mode="sandbox",
        pairs=(PAIR,),
        bounds=OrderBounds(market_orders=market_orders),
        gate=GateLimits(
            order_notional_max_try=Decimal(10_000),
            position_notional_max_try=Decimal(10**9),
            open_orders_max=5,
            orders_per_minute_max=10,
            price_collar_bps=Decimal(100),
            gross_exposure_max_try=Decimal(40_000),
            cash_reserve_min_try=Decimal(0),
        ),
        fees={Asset("TRY"): default_fees(Asset("TRY"))},
    )
    found = Desk(setup=setup, trading=TradingState.LIVE, opened_ns=NOW_NS - 10**9)
    found.rules = {PAIR: DOCUMENTED[PAIR]}
    found.marks = {PAIR: mark()}
    found.ledger = {Asset("TRY"): Decimal(100_000), Asset("BTC"): Decimal(1)}
    found.clock, found.clock_read_ns = TimeRead(offset_ns=0, error_ns=10**6), NOW_NS
    found.idle_connections, found.risk_gate_is_heard = 4, True
    return found


def sent(here: Desk, wanted: OrderIntent) -> tuple[OrderTerms | None, list[Any]]:
    """Return the terms that execution sends for an approved intent, if any, and all effects."""
    step = handle(here, ApprovedOrder(intent=wanted, approved_ns=NOW_NS), NOW_NS)
    submits = [effect.terms for effect in step.effects if isinstance(effect, Submit)]
    assert len(submits) <= 1
    return (submits[0] if submits else None), list(step.effects)


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
def test_by_default_what_wants_the_market_is_a_limit_order_at_its_worst_price(side: Side) -> None:
    limit = Decimal(3_716_000) if side is Side.BUY else Decimal(3_712_000)
    terms, effects = sent(desk(market_orders=OrderBounds().market_orders), intent(side, limit))

    assert terms == LimitOrder(side=side, quantity=ONE, price=Price(limit))
    [journaled] = [e.facts[0] for e in effects if isinstance(e, Persist)]
    assert isinstance(journaled, OrderSubmitting)
    assert not journaled.intent.wants_market  # What was sent, not what was wished for.


def test_switched_on_a_buy_spends_quote_with_the_commission_inside() -> None:
    terms, _ = sent(desk(market_orders=True), intent())

    # 0.001 x 3,715,990 x 1.0024, and BTCTRY's amounts of quote are whole.
    assert terms == MarketBuy(spend=Notional(Decimal(3_724)))


def test_switched_on_a_sell_is_of_base() -> None:
    terms, _ = sent(desk(market_orders=True), intent(Side.SELL, Decimal(3_712_000)))

    assert terms == MarketSell(quantity=ONE)


@pytest.mark.parametrize(
    ("side", "limit"), [(Side.BUY, ASK - 990), (Side.SELL, BID + 20)], ids=["buy", "sell"]
)
def test_no_market_order_goes_when_the_market_is_past_its_limit(side: Side, limit: Decimal) -> None:
    here = desk(market_orders=True)
    wanted = replace(intent(side), limit_price=Price(limit))
    terms, _ = sent(here, wanted)

    assert terms is None
    verdict = here.verdicts[wanted.intent_id]
    assert verdict.rule is Rule.PRICE_COLLAR
    assert "past the limit" in verdict.detail


def test_the_collar_holds_for_it_like_for_any_other() -> None:
    here = desk(market_orders=True)
    terms, _ = sent(here, intent(limit=Decimal(3_800_000)))

    assert terms is None
    assert next(iter(here.verdicts.values())).rule is Rule.PRICE_COLLAR


@given(
    quantity=st.decimals(min_value=Decimal("0.0001"), max_value=10, places=8),
    ask=st.decimals(min_value=100, max_value=10_000_000, places=2),
    scale=st.integers(0, 2),
)
def test_a_market_buy_never_spends_more_than_is_reserved_at_its_limit(
    quantity: Decimal, ask: Decimal, scale: int
) -> None:
    wanted = replace(intent(), quantity=Quantity(quantity), limit_price=Price(ask))
    fee = default_fees(Asset("TRY")).taker_bps
    terms = terms_of(wanted, replace(mark(), ask=Price(ask)), scale, fee)

    assert isinstance(terms, MarketBuy)
    assert spends_quote(wanted)
    assert terms.spend <= quantity * ask * (1 + fee / 10_000)
    assert terms.spend % Decimal(1).scaleb(-scale) == 0


def fill(quantity: str, price: Decimal) -> FillsRead:
    row = VenueFill(
        trade_id=TradeId(1), order_id=OrderId(7), pair=PAIR, side=Side.BUY,
        client_id=client_order_id("abcde", intent().intent_id),
        quantity=Quantity(Decimal(quantity)), price=Price(price), fee=Amount(Decimal(7)),
        tax=Amount(Decimal(1)), event_ns=NOW_NS,
    )  # fmt: skip
    return FillsRead(order_id=None, fills=(row,), asked_ns=NOW_NS)


def closed(amount: str) -> OrderRead:
    row = VenueOrder(
        order_id=OrderId(7), client_id=client_order_id("abcde", intent().intent_id), pair=PAIR,
        side=Side.BUY, quantity=Amount(Decimal(amount)), left=Amount(Decimal(0)), price=ASK,
        status="Closed", method="market",
    )  # fmt: skip
    return OrderRead(order_id=OrderId(7), order=row)


def facts(here: Desk, *messages: Any) -> list[Any]:
    found = []
    for message in messages:
        step = handle(here, message, NOW_NS + 10**6)
        found += [f for e in step.effects if isinstance(e, Persist) for f in e.facts]
    return found


def test_a_market_buy_that_got_a_better_price_is_full_and_no_overfill() -> None:
    here = desk(market_orders=True)
    sent(here, intent())
    acked = Submitted(
        intent_id=intent().intent_id, outcome=Outcome.ACKED, order_id=OrderId(7), detail=""
    )
    told = facts(here, acked, closed("0.00100100"), fill("0.00100100", ASK - 4_000))

    assert [type(fact) for fact in told if isinstance(fact, Fill | TradingStateChanged)] == [Fill]
    [end] = [fact for fact in told if isinstance(fact, OrderClosed)]
    assert (end.reason, end.filled) == ("filled", Decimal("0.001001"))
    assert here.trading is TradingState.LIVE


def test_a_market_buy_that_cost_more_than_was_reserved_stops_everything() -> None:
    here = desk(market_orders=True)
    sent(here, intent())
    acked = Submitted(
        intent_id=intent().intent_id, outcome=Outcome.ACKED, order_id=OrderId(7), detail=""
    )
    facts(here, acked, closed("0.00101"), fill("0.00101", ASK))

    assert here.trading is TradingState.HALTED
    assert "overfill" in here.trading_reason


def test_a_limit_buy_of_more_than_its_quantity_stops_everything() -> None:
    here = desk(market_orders=False)
    sent(here, intent())
    acked = Submitted(
        intent_id=intent().intent_id, outcome=Outcome.ACKED, order_id=OrderId(7), detail=""
    )
    facts(here, acked, fill("0.00100001", ASK))

    assert here.trading is TradingState.HALTED


def test_an_open_market_order_is_never_expected_in_the_list_of_open_ones_alone() -> None:
    """The exchange never lists a market order as open: it is read by its id."""
    here = desk(market_orders=True)
    sent(here, intent())
    acked = Submitted(
        intent_id=intent().intent_id, outcome=Outcome.ACKED, order_id=OrderId(7), detail=""
    )
    handle(here, acked, NOW_NS)
    listed = OpenOrdersRead(pair=PAIR, orders=(), asked_ns=NOW_NS + 10**9)
    step = handle(here, listed, NOW_NS + 10**9)

    assert "ReadOrder" in {type(effect).__name__ for effect in step.effects}
