"""The hard gate: each rule just inside and just outside, judged by execution's own desk alone."""

from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from btcbot.domain.facts import IntentRefused, OrderSubmitting, PauseChanged
from btcbot.domain.ids import Asset, CommandId, OrderId, Pair
from btcbot.domain.instruments import DOCUMENTED, default_fees
from btcbot.domain.messages import InstrumentRules, OrderIntent, RefuseIntent, Scope, SetPause
from btcbot.domain.money import Price
from btcbot.domain.venue import ConnectionsIdle, Outcome, TimeRead
from btcbot.domain.words import Rule, Side, TradingState
from btcbot.orders.bounds import OrderBounds
from bus.actor import PeerBack, PeerLost
from tests.orders.desks import (
    ASK,
    BID,
    BTC,
    BTCTRY,
    ETHTRY,
    GATE,
    NOW,
    SECOND,
    TRY,
    Floor,
    intent,
    listed,
    ready,
    row,
)

MS = 1_000_000
USDT, BTCUSDT, USDTTRY = Asset("USDT"), Pair("BTCUSDT"), Pair("USDTTRY")
Arrange = Callable[[Floor], None]


def nothing(_floor: Floor) -> None:
    """Leave the floor as it is."""


def state(value: TradingState) -> Arrange:
    def arrange(floor: Floor) -> None:
        floor.desk.trading = value

    return arrange


def desk(**changes: Any) -> Arrange:
    def arrange(floor: Floor) -> None:
        for name, value in changes.items():
            setattr(floor.desk, name, value)

    return arrange


def paused(until_ns: int | None = None, **scope: Any) -> Arrange:
    def arrange(floor: Floor) -> None:
        floor.hear(
            SetPause(
                command_id=CommandId("p"), scope=Scope(**scope), is_paused=True,
                until_ns=until_ns, by="uid 1", reason="lunch",
            )
        )  # fmt: skip

    return arrange


def clock(error_ms: int = 1, age_s: float = 0) -> Arrange:
    def arrange(floor: Floor) -> None:
        floor.hear(TimeRead(offset_ns=0, error_ns=error_ms * MS))
        floor.desk.clock_read_ns = floor.now_ns - round(age_s * SECOND)

    return arrange


def price_age(ms: int) -> Arrange:
    def arrange(floor: Floor) -> None:
        marks = floor.desk.marks
        for pair, mark in marks.items():
            marks[pair] = replace(mark, confirmed_ns=floor.now_ns - ms * MS)

    return arrange


def holding(**totals: str) -> Arrange:
    def arrange(floor: Floor) -> None:
        for asset, total in totals.items():
            floor.desk.ledger[asset] = Decimal(total)  # type: ignore[index]

    return arrange


def resting(**wanted: Any) -> Arrange:
    def arrange(floor: Floor) -> None:
        other = intent(9, **wanted)
        floor.desk.setup = replace(floor.desk.setup, gate=LOOSE)
        assert floor.approve(other).rule is None
        floor.reply(other, Outcome.ACKED, order_id=OrderId(90))
        floor.desk.setup = floor.setup

    return arrange


def lost(**wanted: Any) -> Arrange:
    def arrange(floor: Floor) -> None:
        floor.lose(intent(9, **wanted))

    return arrange


def rules(**changes: Any) -> Arrange:
    def arrange(floor: Floor) -> None:
        known = replace(DOCUMENTED[BTCTRY], **changes)
        floor.hear(InstrumentRules(instruments=(known, DOCUMENTED[ETHTRY]), at_ns=NOW))

    return arrange


def only(*pairs: Pair) -> Arrange:
    def arrange(floor: Floor) -> None:
        floor.desk.setup = replace(floor.desk.setup, pairs=pairs)

    return arrange


def sold_of(position: str) -> Arrange:
    def arrange(floor: Floor) -> None:
        floor.desk.positions[BTCTRY] = Decimal(position)

    return arrange


MUCH = Decimal(10**9)
LOOSE = replace(GATE, order_notional_max_try=MUCH, position_notional_max_try=MUCH)
SELL: dict[str, Any] = {"side": Side.SELL, "limit_price": "2510000"}
CROSSED = {"limit_price": "2500010"}
TABLE: list[tuple[str, Arrange, dict[str, Any], Rule | None]] = [
    ("live", nothing, {}, None),
    ("reduce takes a sale", state(TradingState.REDUCE), SELL, None),
    ("reduce takes no buy", state(TradingState.REDUCE), {}, Rule.TRADING_STATE),
    ("paused", state(TradingState.PAUSED), SELL, Rule.TRADING_STATE),
    ("killed", state(TradingState.KILLED), SELL, Rule.TRADING_STATE),
    ("halted", state(TradingState.HALTED), SELL, Rule.TRADING_STATE),
    ("paused pair", paused(pair=BTCTRY), {}, Rule.PAUSED_SCOPE),
    ("another pair is paused", paused(pair=ETHTRY), {}, None),
    ("paused strategy", paused(strategy="test"), {}, Rule.PAUSED_SCOPE),
    ("another strategy is paused", paused(strategy="other"), {}, None),
    ("paused side", paused(side=Side.BUY), {}, Rule.PAUSED_SCOPE),
    ("the other side is paused", paused(side=Side.SELL), {}, None),
    ("still recovering", desk(first_reads=("balances",)), {}, Rule.ACCOUNT_UNKNOWN),
    ("key refused twice", desk(unauthorised=2), {}, None),
    ("key refused three times", desk(unauthorised=3), {}, Rule.ACCOUNT_UNKNOWN),
    ("risk_gate is silent", desk(risk_gate_is_heard=False), {}, Rule.PEER_LOST),
    ("no clock", desk(clock=None), {}, Rule.CLOCK),
    ("clock read 90 s ago", clock(age_s=90), {}, None),
    ("clock read longer ago", clock(age_s=90.1), {}, Rule.CLOCK),
    ("clock wrong by a second", clock(error_ms=1_000), {}, None),
    ("clock wrong by more", clock(error_ms=1_001), {}, Rule.CLOCK),
    ("one connection", desk(idle_connections=1), {}, None),
    ("no connection", desk(idle_connections=0), {}, Rule.NO_CONNECTION),
    ("no rules", desk(rules={}), {}, Rule.UNKNOWN_PAIR),
    ("a pair that is not configured", nothing, {"pair": Pair("XRPTRY")}, Rule.UNKNOWN_PAIR),
    ("a pair that is known, and not configured", only(BTCTRY), {"pair": ETHTRY}, Rule.UNKNOWN_PAIR),
    ("a pair that is not traded", rules(is_trading=False), {}, Rule.PAIR_NOT_TRADING),
    ("on the step", nothing, {"quantity": "0.00100001"}, None),
    ("off the step", nothing, {"quantity": "0.001000001"}, Rule.NOT_ON_STEP),
    ("nothing", nothing, {"quantity": "0"}, Rule.NOT_ON_STEP),
    ("off the tick", nothing, {"limit_price": "2490000.5"}, Rule.NOT_ON_TICK),
    ("free", nothing, {"limit_price": "0"}, Rule.NOT_ON_TICK),
    ("the least", nothing, {"quantity": "0.00004013"}, None),
    ("less than the least", nothing, {"quantity": "0.00004012"}, Rule.BELOW_MINIMUM),
    ("its slot has an order", resting(slot="test:1"), {}, Rule.DUPLICATE_SLOT),
    ("a sell above our buy", resting(**CROSSED), {**SELL, "limit_price": "2500020"}, None),
    ("a sell at our buy", resting(**CROSSED), {**SELL, **CROSSED}, Rule.SELF_CROSS),
    ("a buy at our sell", resting(**(SELL | CROSSED)), CROSSED, Rule.SELF_CROSS),
    ("a buy below our sell", resting(**(SELL | CROSSED)), {"limit_price": "2500000"}, None),
    ("a buy at a sell elsewhere", resting(**(SELL | CROSSED), pair=ETHTRY), CROSSED, None),
    ("a buy in doubt", lost(), {}, Rule.PAIR_FROZEN),
    ("a sale in doubt", lost(**SELL), {}, Rule.PAIR_FROZEN),
    ("a sale while a buy is in doubt", lost(), SELL, None),
    ("a sale while a sale is in doubt", lost(**SELL), SELL, None),
    ("a sale across a buy in doubt", lost(**CROSSED), {**SELL, **CROSSED}, Rule.SELF_CROSS),
    ("in doubt elsewhere", lost(pair=ETHTRY), {}, None),
    ("price confirmed 2 s ago", price_age(2_000), {}, None),
    ("price confirmed longer ago", price_age(2_001), {}, Rule.STALE_BOOK),
    ("price from a clock set back", price_age(-2_001), {}, Rule.STALE_BOOK),
    ("no price", desk(marks={}), {}, Rule.STALE_BOOK),
    ("a buy 100 bps past mid", nothing, {"limit_price": "2525000", "quantity": "0.0001"}, None),
    (
        "a buy further past mid", nothing, {"limit_price": "2525010", "quantity": "0.0001"},
        Rule.PRICE_COLLAR,
    ),
    ("a sell 100 bps past mid", nothing, {"side": Side.SELL, "limit_price": "2475000"}, None),
    (
        "a sell further past mid", nothing, {"side": Side.SELL, "limit_price": "2474990"},
        Rule.PRICE_COLLAR,
    ),
    ("a buy 1000 bps below mid", nothing, {"limit_price": "2250000"}, None),
    ("a buy further below mid", nothing, {"limit_price": "2249990"}, Rule.TOO_FAR),
    ("a sell 1000 bps above mid", nothing, {"side": Side.SELL, "limit_price": "2750000"}, None),
    (
        "a sell further above mid", nothing, {"side": Side.SELL, "limit_price": "2750010"},
        Rule.TOO_FAR,
    ),
    ("5000 TRY", nothing, {"quantity": "0.002", "limit_price": "2500000"}, None),
    (
        "more than 5000 TRY", nothing, {"quantity": "0.00200001", "limit_price": "2500000"},
        Rule.ORDER_NOTIONAL,
    ),
    ("a position of 20000 TRY", sold_of("0.00700"), {}, None),
    ("a larger position", sold_of("0.00701"), {}, Rule.POSITION_NOTIONAL),
    ("a sale out of a larger position", sold_of("9"), SELL, None),
    (
        "a larger position, were all to fill", resting(quantity="0.00701"), {},
        Rule.POSITION_NOTIONAL,
    ),
    ("the reserve is left", holding(TRY="3495.976"), {}, None),
    ("less than the reserve is left", holding(TRY="3495.975"), {}, Rule.CASH_RESERVE),
    ("the base is there", holding(BTC="0.001"), SELL, None),
    ("some base is missing", holding(BTC="0.00099999"), SELL, Rule.NOT_ENOUGH_BASE),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arrange", "wanted", "rule"), [line[1:] for line in TABLE], ids=[line[0] for line in TABLE]
)
def test_the_gate(arrange: Arrange, wanted: dict[str, Any], rule: Rule | None) -> None:
    floor = ready()
    arrange(floor)
    floor.drop()

    verdict = floor.approve(intent(1, **wanted))

    assert verdict.rule == rule, verdict
    if rule is None:
        [sending] = floor.said(OrderSubmitting)
        [post] = floor.posts
        assert (post.client_order_id, post.stamp_ms) == (sending.client_order_id, sending.stamp_ms)
    else:
        [refused] = floor.said(IntentRefused)
        assert (refused.rule, refused.detail) == (rule, verdict.detail)
        assert not floor.posts


@pytest.mark.parametrize(
    ("age_ms", "is_taken"), [(0, True), (500, True), (501, False), (-500, True), (-501, False)]
)
def test_an_approval_is_good_for_half_a_second(age_ms: int, is_taken: bool) -> None:
    """One from the future is as bad: the clock was set back, and nobody knows its age."""
    floor = ready()

    verdict = floor.approve(intent(), approved_ns=floor.now_ns - age_ms * MS)

    assert verdict.rule == (None if is_taken else Rule.EXPIRED)


@pytest.mark.parametrize(("left_ns", "is_taken"), [(1, True), (0, False), (-1, False)])
def test_an_intent_that_is_over_is_not_sent(left_ns: int, is_taken: bool) -> None:
    floor = ready()

    verdict = floor.approve(intent(expires_ns=floor.now_ns + left_ns))

    assert verdict.rule == (None if is_taken else Rule.EXPIRED)


def test_a_known_intent_is_answered_again_and_not_sent_again() -> None:
    floor = ready()
    first = floor.approve(intent())
    refused = floor.approve(intent(2, quantity="0"))

    floor.now_ns += 3_600 * SECOND  # Long after it could have been accepted.
    again = floor.approve(intent(), approved_ns=NOW)
    still = floor.approve(intent(2, quantity="0"), approved_ns=NOW)

    assert (again, still) == (first, refused)
    assert len(floor.posts) == 1
    assert len(floor.said(OrderSubmitting)) == len(floor.said(IntentRefused)) == 1


def test_a_verdict_outlives_a_restart() -> None:
    floor = ready()
    first = floor.approve(intent())
    floor.restart()

    assert floor.approve(intent()) == first
    assert len(floor.posts) == 1


def test_a_refusal_of_the_risk_gate_is_kept_once_and_overrules_nothing() -> None:
    floor = ready()
    refusal = RefuseIntent(intent=intent(), rule=Rule.STALE_BOOK, detail="old")
    floor.hear(refusal, refusal)
    verdict = floor.approve(intent())
    assert verdict.rule is Rule.STALE_BOOK
    assert len(floor.said(IntentRefused)) == 1

    assert floor.approve(intent(2)).rule is None
    floor.hear(replace(refusal, intent=intent(2)))
    assert floor.answers[-1] == floor.answers[-2]  # Sent stays sent.


def test_stamps_strictly_increase_whatever_the_clock_does() -> None:
    floor = ready()
    floor.approve(intent(1))
    floor.now_ns -= 400 * MS
    floor.price()
    floor.approve(intent(2))
    floor.restart().open_up()
    floor.approve(intent(3, pair=ETHTRY))

    stamps = [post.stamp_ms for post in floor.posts]
    assert len(stamps) == 3
    assert all(later > earlier for earlier, later in pairwise(stamps))


def test_the_stamp_is_by_the_clock_of_the_exchange() -> None:
    floor = ready()
    floor.hear(TimeRead(offset_ns=-1_500 * MS, error_ns=0))
    floor.approve(intent())
    assert floor.posts[0].stamp_ms == floor.now_ns // MS - 1_500


def test_ten_orders_may_be_open_and_not_eleven() -> None:
    floor = ready()
    verdicts = []
    for number in range(1, 12):
        verdicts.append(floor.approve(intent(number, quantity="0.0001")).rule)
        floor.hear(ConnectionsIdle(count=4))
    assert verdicts == [None] * 10 + [Rule.OPEN_ORDERS]


def test_each_order_takes_one_connection() -> None:
    floor = ready()
    verdicts = [floor.approve(intent(n, quantity="0.0001")).rule for n in range(1, 6)]
    assert verdicts == [None] * 4 + [Rule.NO_CONNECTION]


def test_no_more_orders_leave_in_a_minute_than_allowed_also_across_a_restart() -> None:
    floor = ready(gate=replace(GATE, orders_per_minute_max=3))

    def go(number: int) -> Rule | None:
        wanted = intent(number, quantity="0.0001")
        rule = floor.approve(wanted).rule
        if rule is None:
            floor.reply(wanted, Outcome.REJECTED, code="1")
        return rule

    assert [go(1), go(2)] == [None, None]
    floor.restart().open_up()
    assert [go(3), go(4)] == [None, Rule.ORDER_RATE]

    floor.wait(60)
    assert go(5) is None


def test_the_same_order_of_a_slot_waits_five_seconds() -> None:
    floor = ready()

    def go(number: int, **changes: Any) -> Rule | None:
        wanted = intent(number, **({"slot": "s"} | changes))
        rule = floor.approve(wanted).rule
        if rule is None:
            floor.reply(wanted, Outcome.REJECTED, code="1")
        return rule

    assert go(1) is None
    assert go(2) is Rule.REPEATED
    assert go(3, slot="another") is None
    assert go(4, limit_price="2490010") is None
    floor.wait(4)
    assert go(5) is Rule.REPEATED
    floor.wait(1.1)
    assert go(6) is None


def test_a_slot_that_repeats_itself_has_its_strategy_paused_until_a_person_resumes() -> None:
    floor = ready(bounds=OrderBounds(slot_orders_per_minute_max=3))

    def go(number: int, **changes: Any) -> Rule | None:
        wanted = intent(number, **({"slot": "s", "limit_price": 2_490_000 + 10 * number} | changes))
        rule = floor.approve(wanted).rule
        if rule is None:
            floor.reply(wanted, Outcome.REJECTED, code="1")
        return rule

    assert [go(n) for n in range(1, 4)] == [None] * 3
    assert go(4) is Rule.SLOT_RATE
    [pause] = floor.said(PauseChanged)
    assert (pause.scope, pause.until_ns, pause.by) == (Scope(strategy="test"), None, "execution")

    assert go(5, slot="other") is Rule.PAUSED_SCOPE
    assert go(6, slot="theirs", strategy="other") is None
    floor.wait(120)
    assert go(7) is Rule.PAUSED_SCOPE


def test_a_pair_that_left_the_rules_is_not_traded_and_still_counted() -> None:
    floor = ready()
    floor.place(intent(9, pair=ETHTRY, quantity="0.001"), 90)
    floor.hear(InstrumentRules(instruments=(DOCUMENTED[BTCTRY],), at_ns=NOW))

    assert floor.approve(intent(1, pair=ETHTRY)).rule is Rule.PAIR_NOT_TRADING
    holding(TRY="3495.976")(floor)
    assert floor.approve(intent(2)).rule is Rule.CASH_RESERVE


@pytest.mark.parametrize(("filled", "taken"), [("0", "4980"), ("0.0015", "1245")])
@pytest.mark.parametrize(("short", "rule"), [("0", None), ("0.01", Rule.CASH_RESERVE)])
def test_what_a_live_order_may_still_take_is_held_for_it_to_the_last_unit(
    filled: str, taken: str, short: str, rule: Rule | None
) -> None:
    floor = ready()
    other = intent(9, quantity="0.002")  # 4,980 TRY and its fee.
    floor.place(other, 90)
    order = floor.order(other)
    floor.desk.orders[other.intent_id] = replace(order, filled=Decimal(filled))
    with_fee = 1 + floor.setup.fees[TRY].taker_bps / 10_000
    needed = GATE.cash_reserve_min_try + (Decimal(taken) + 2_490) * with_fee
    holding(TRY=str(needed - Decimal(short)))(floor)
    floor.hear(ConnectionsIdle(count=4))

    assert floor.approve(intent(1)).rule is rule


def test_an_order_of_a_pair_without_rules_cannot_be_counted_and_stops_every_other() -> None:
    floor = ready()
    floor.place(intent(9, pair=ETHTRY, quantity="0.001"), 90)
    floor.restart().hear(ConnectionsIdle(count=4), PeerBack(source="risk_gate", epoch=1, pid=0))
    floor.hear(InstrumentRules(instruments=(DOCUMENTED[BTCTRY],), at_ns=NOW))
    floor.wait(1)

    verdict = floor.approve(intent(1))
    assert (verdict.rule, floor.posts[1:]) == (Rule.ACCOUNT_UNKNOWN, []), verdict
    verdict = floor.approve(intent(3, side=Side.SELL, limit_price="2510000"))
    assert (verdict.rule, floor.posts[1:]) == (Rule.ACCOUNT_UNKNOWN, []), verdict

    floor.hear(InstrumentRules(instruments=(DOCUMENTED[ETHTRY], DOCUMENTED[BTCTRY]), at_ns=NOW))
    assert floor.approve(intent(2)).rule is None


@pytest.mark.parametrize(
    ("pairs", "usdt_in_try", "quantity", "rule"),
    [
        ((BTCUSDT,), None, "0.001", Rule.ACCOUNT_UNKNOWN),
        ((BTCUSDT, USDTTRY), "40", "0.00005", None),
        ((BTCUSDT, USDTTRY), "40.4", "0.00005", Rule.ORDER_NOTIONAL),
    ],
)
def test_an_order_in_usdt_is_judged_by_its_worth_in_try(
    pairs: tuple[Pair, ...], usdt_in_try: str | None, quantity: str, rule: Rule | None
) -> None:
    floor = ready(pairs=pairs, fees={asset: default_fees(asset) for asset in (TRY, USDT)})
    holding(USDT="10000")(floor)
    if usdt_in_try is not None:
        mark = floor.desk.marks[USDTTRY]
        price = Price(Decimal(usdt_in_try))
        floor.desk.marks[USDTTRY] = replace(mark, bid=price, ask=price)
    assert floor.approve(intent(1, pair=BTCUSDT, quantity=quantity)).rule is rule


def test_risk_gate_is_followed() -> None:
    floor = ready()
    floor.hear(PeerLost(source="strategy"))
    assert floor.approve(intent(1)).rule is None
    floor.hear(PeerLost(source="risk_gate"))
    assert floor.approve(intent(2)).rule is Rule.PEER_LOST
    floor.hear(PeerBack(source="risk_gate", epoch=2, pid=0))
    assert floor.approve(intent(3)).rule is None


@settings(max_examples=60, deadline=None)
@given(
    wishes=st.lists(
        st.tuples(
            st.sampled_from([Side.BUY, Side.SELL]),
            st.integers(1, 300_000),
            st.integers(2_000_000, 3_000_000),
            st.sampled_from(list(Outcome)),
        ),
        max_size=25,
    )
)
def test_no_wish_takes_a_worst_case_past_a_limit(
    wishes: list[tuple[Side, int, int, Outcome]],
) -> None:
    """Whatever is asked for and whatever becomes of it, all that may be live at once is covered."""
    floor = ready()
    floor.desk.ledger |= {TRY: Decimal(20_000), BTC: Decimal("0.005")}
    live: list[OrderIntent] = []
    for number, (side, steps, price, outcome) in enumerate(wishes, 1):
        wanted = intent(
            number, side=side, quantity=Decimal(steps).scaleb(-8), limit_price=Price(Decimal(price))
        )
        if floor.approve(wanted).rule is not None:
            continue
        floor.reply(wanted, outcome, order_id=OrderId(number) if outcome is Outcome.ACKED else None)
        if outcome in (Outcome.ACKED, Outcome.UNKNOWN):
            live.append(wanted)

        fee = 1 + floor.setup.fees[TRY].taker_bps / 10_000
        buys = [w for w in live if w.side is Side.BUY]
        sells = [w for w in live if w.side is Side.SELL]
        assert sum(w.quantity * w.limit_price for w in buys) * fee <= 20_000 - 1_000
        assert sum(w.quantity for w in sells) <= Decimal("0.005")
        assert all(b.limit_price < s.limit_price for b in buys for s in sells)
        assert len(live) <= GATE.open_orders_max
        assert all(w.quantity * w.limit_price <= GATE.order_notional_max_try for w in live)


def test_prices_of_this_module_are_as_assumed() -> None:
    assert (BID + ASK) / 2 == 2_500_000
    assert row(BTC, "1").free == 1
    assert listed(1, intent()).left == intent().quantity
