"""Proofs that the keys of [risk] and [orders] change what execution and the risk gate do."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from actors import risk_gate
from btcbot.domain.facts import OrderCancelRequested, OrderSubmitting, PauseChanged
from btcbot.domain.ids import OrderId
from btcbot.domain.instruments import DOCUMENTED, FEES_TRY
from btcbot.domain.money import Price
from btcbot.domain.venue import (
    Outcome,
    ReadAllOrders,
    ReadBalances,
    ReadFills,
    ReadOpenOrders,
    ReadTime,
    Submit,
    TimeRead,
)
from btcbot.domain.words import OrderState, Rule
from btcbot.risk.rules import judge
from tests.config.settled import configured, floor
from tests.orders.desks import BTCTRY, ETHTRY, NOW, TRY, Floor, intent
from tests.risk.test_rules import picture

# A key, a value that refuses what the default lets pass, the rule, and the second of two orders.
LIMITS: dict[str, tuple[Any, Rule, dict[str, Any]]] = {
    "order_notional_max_try": (2_000, Rule.ORDER_NOTIONAL, {}),
    "position_notional_max_try": (4_000, Rule.POSITION_NOTIONAL, {}),
    "cash_reserve_min_try": (96_000, Rule.CASH_RESERVE, {}),
    "open_orders_max": (1, Rule.OPEN_ORDERS, {}),
    "orders_per_minute_max": (1, Rule.ORDER_RATE, {}),
    "price_collar_bps": (2, Rule.PRICE_COLLAR, {"limit_price": "2500600"}),
}


@pytest.mark.parametrize("key", LIMITS)
def test_each_limit_of_risk_is_one_of_executions_own_gate(key: str) -> None:
    value, rule, wanted = LIMITS[key]

    assert second_of_two(floor(), wanted) is None
    assert second_of_two(floor(**{f"risk__{key}": value}), wanted) is rule


def second_of_two(desk: Floor, wanted: dict[str, Any]) -> Rule | None:
    """Return why the second order of 2,490 TRY is refused; where it alone is, the first goes."""
    desk.approve(intent(1))
    return desk.approve(intent(2, **{"limit_price": "2490010", **wanted})).rule


@pytest.mark.parametrize("key", [*LIMITS, "book_age_max_ms"])
def test_each_limit_of_risk_is_one_of_the_risk_gate(key: str) -> None:
    limits = configured(**{f"risk__{key}": {"book_age_max_ms": 100}.get(key, 0)}).risk
    gate = risk_gate.actor(limits, {BTCTRY: FEES_TRY})
    assert gate.state.limits == limits
    asked = replace(intent(), limit_price=Price(Decimal(2_500_010)), expires_ns=NOW + 10**9)
    usual = picture()

    refused = judge(replace(usual, limits=limits), asked, NOW + 150_000_000)

    assert judge(usual, asked, NOW + 150_000_000) is None
    if key == "cash_reserve_min_try":  # A reserve of nothing refuses nothing.
        assert refused is None
        rich = configured(risk__cash_reserve_min_try=98_000).risk
        refused = judge(replace(usual, limits=rich), asked, NOW)
    assert refused is not None
    rule = LIMITS[key][1] if key in LIMITS else Rule.STALE_BOOK
    assert refused[0] is rule


def quiet(_desk: Floor) -> None:
    """Have nothing to look for."""


def resting(desk: Floor) -> None:
    desk.place(intent(), 7)


def doubtful(desk: Floor) -> None:
    desk.lose(intent())


INTERVALS: dict[str, tuple[type[Struct], Callable[[Floor], None], int, int]] = {
    "fills_interval_s": (ReadFills, resting, 2, 20),
    "open_orders_interval_s": (ReadOpenOrders, quiet, 5, 50),
    "balances_interval_s": (ReadBalances, quiet, 30, 300),
    "clock_interval_s": (ReadTime, quiet, 30, 300),
    "sweep_interval_s": (ReadAllOrders, doubtful, 5, 50),
}


@pytest.mark.parametrize("key", INTERVALS)
def test_each_interval_says_how_often_the_exchange_is_read(key: str) -> None:
    kind, arrange, usual_s, longer_s = INTERVALS[key]

    often = reads(floor(**{f"orders__{key}": usual_s}), kind, arrange)
    seldom = reads(floor(**{f"orders__{key}": longer_s}), kind, arrange)

    assert often >= 2 * seldom + 1


def reads(desk: Floor, kind: type[Struct], arrange: Callable[[Floor], None]) -> int:
    arrange(desk)
    desk.asked.clear()
    desk.wait(150)
    return sum(type(effect) is kind for effect in desk.asked)


def test_absence_wait_s_says_how_long_an_order_is_looked_for() -> None:
    short, long = floor(orders__absence_wait_s=30), floor(orders__absence_wait_s=900)
    for desk in (short, long):
        desk.lose(intent())
        desk.wait(60)

    assert short.order(intent()).state is OrderState.ABSENT
    assert long.order(intent()).state is OrderState.UNKNOWN


def test_clock_error_max_ms_says_how_wrong_the_clock_may_be() -> None:
    for most_ms, rule in ((1_000, None), (400, Rule.CLOCK)):
        desk = floor(orders__clock_error_max_ms=most_ms)
        desk.hear(TimeRead(offset_ns=0, error_ns=500_000_000))
        assert desk.approve(intent()).rule is rule


def test_slot_orders_per_minute_max_stops_a_slot_that_repeats_itself() -> None:
    for most, rule in ((2, None), (1, Rule.SLOT_RATE)):
        desk = floor(orders__slot_orders_per_minute_max=most)
        first = intent(1, slot="one")
        assert desk.approve(first).rule is None
        desk.reply(first, Outcome.REJECTED, detail="no")
        again = intent(2, slot="one", limit_price="2480000")
        assert desk.approve(again).rule is rule
        assert bool(desk.said(PauseChanged)) is (rule is Rule.SLOT_RATE)


def test_drift_max_bps_says_how_far_the_market_may_leave_an_order_behind() -> None:
    assert floor(orders__drift_max_bps=39).approve(intent()).rule is Rule.TOO_FAR  # By 40 bps.
    desk = floor(orders__drift_max_bps=41)
    assert desk.approve(intent()).rule is None
    desk.reply(intent(), Outcome.ACKED, order_id=OrderId(7))
    desk.wait(1)
    assert not desk.said(OrderCancelRequested)
    desk.bid = desk.ask = Price(Decimal(2_501_000))  # 44 bps.
    desk.wait(1)
    assert desk.said(OrderCancelRequested)


def test_market_orders_says_how_what_wants_the_market_is_sent() -> None:
    wanted = intent(wants_market=True, limit_price="2501000")
    sent = {}
    for is_on in (False, True):
        desk = floor(orders__market_orders=is_on)
        assert desk.approve(wanted).rule is None
        [submit] = [effect for effect in desk.asked if isinstance(effect, Submit)]
        sent[is_on] = type(submit.terms).__name__

    assert sent[False] != sent[True]


def test_only_the_configured_pairs_are_traded() -> None:
    assert floor(pairs=["BTCTRY", "ETHTRY"]).approve(intent()).rule is None
    desk = floor(pairs=["ETHTRY"])
    desk.desk.rules[BTCTRY] = DOCUMENTED[BTCTRY]
    assert desk.setup.pairs == (ETHTRY,)
    assert desk.approve(intent()).rule is Rule.UNKNOWN_PAIR


def test_taker_bps_is_reserved_with_an_order() -> None:
    reserved = []
    for rate in (0, 100):
        desk = floor(exchange__taker_bps=Decimal(rate))
        desk.approve(intent())
        [sending] = desk.said(OrderSubmitting)
        reserved.append(sending.reserved)

    assert reserved == [Decimal(2_490), Decimal("2514.9")]
    assert configured(exchange__taker_bps=Decimal(9)).fees(TRY).taker_bps == 9
