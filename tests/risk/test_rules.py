"""Each rule of the gate: just inside passes, just outside is refused, with figures."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from btcbot.domain.ids import Asset, IntentId, Pair
from btcbot.domain.instruments import DOCUMENTED, FEES_TRY, FEES_USDT
from btcbot.domain.messages import BookTop, OrderIntent, Scope
from btcbot.domain.money import Price, Quantity
from btcbot.domain.standing import Standing
from btcbot.domain.words import FeedStatus, RiskMode, Rule, Side, TradingState
from btcbot.risk import exposure
from btcbot.risk.exposure import Resting
from btcbot.risk.limits import RiskLimits
from btcbot.risk.picture import Decision, Picture, position_in_try, take_price
from btcbot.risk.rules import HOUR_NS, MINUTE_NS, judge, minute_ends_ns

NOW_NS = 1_795_000_000_000_000_000
MS = 1_000_000
BTCTRY, BTCUSDT, USDTTRY = Pair("BTCTRY"), Pair("BTCUSDT"), Pair("USDTTRY")
TRY, BTC, USDT = Asset("TRY"), Asset("BTC"), Asset("USDT")
D = Decimal


def top(pair: Pair, bid: str, ask: str, age_ns: int = 0) -> BookTop:
    one, at_ns = Quantity(D(1)), NOW_NS - age_ns
    return BookTop(
        pair=pair, bid=Price(D(bid)), bid_quantity=one, ask=Price(D(ask)), ask_quantity=one,
        changed_ns=at_ns, confirmed_ns=at_ns,
    )  # fmt: skip


def intent(price: str = "2500000", quantity: str = "0.001", **more: Any) -> OrderIntent:
    """Return a buy for 2,500 TRY at the middle."""
    made = OrderIntent(
        intent_id=IntentId("a" * 26), strategy="s", slot="s:BTCTRY:buy", pair=BTCTRY,
        side=Side.BUY, quantity=Quantity(D(quantity)), limit_price=Price(D(price)), reason="",
        seen_ns=NOW_NS, decided_ns=NOW_NS, expires_ns=NOW_NS + 1,
    )  # fmt: skip
    return replace(made, **more)


def sell(price: str = "2500000", quantity: str = "0.001", **more: Any) -> OrderIntent:
    return intent(price, quantity, side=Side.SELL, slot="s:BTCTRY:sell", **more)


LIMITS = RiskLimits(
    order_notional_max_try=D(5_000), position_notional_max_try=D(20_000),
    cash_reserve_min_try=D(1_000), open_orders_max=3, orders_per_minute_max=5,
    price_collar_bps=D(100), book_age_max_ms=2_000, orders_per_hour_max=7, buy_cooldown_ms=1_000,
    decision_orders_max=4, decision_notional_max_try=D(9_000), pair_open_orders_max=2,
    gross_exposure_max_try=D(30_000), turnover_per_day_max_try=D(50_000),
    fees_per_day_max_try=D(100), daily_loss_max_try=D(500), weekly_loss_max_try=D(900),
    drawdown_max_try=D(1_200), spread_max_bps=D(50), concentration_max_bps=D(5_000),
)  # fmt: skip
STANDING = Standing(
    equity=D(100_000), capital=D(100_000), turnover=D(0), fees=D(0), day_loss=D(0),
    week_loss=D(0), drawdown=D(0),
)  # fmt: skip


def picture(
    limits: dict[str, Any] | None = None, orders: dict[IntentId, Resting] | None = None, **more: Any
) -> Picture:
    """Return a picture in which `intent()` and `sell()` may go."""
    made = Picture(
        limits=replace(LIMITS, **(limits or {})),
        rules=dict(DOCUMENTED),
        marks={BTCTRY: top(BTCTRY, "2499990", "2500010")},
        feeds={BTCTRY: FeedStatus.LIVE},
        fees={BTCTRY: FEES_TRY, BTCUSDT: FEES_USDT},
        exposure=exposure.of(*(orders or {}).values()),
        held={BTCTRY: D("0.001")},
        totals={TRY: D(100_000), BTC: D("0.001")},
        standing=STANDING,
        trading=TradingState.LIVE,
        silent=(),
        is_caught_up=True,
    )
    return replace(made, **more)


def standing(**more: Any) -> Picture:
    return picture(standing=replace(STANDING, **more))


def decided(orders: int, buying: int, ago_ns: int = 0) -> Picture:
    return picture(decisions={"s": Decision(NOW_NS - ago_ns, orders, D(buying))})


def bounded(low: str | None, high: str | None) -> Picture:
    """Return a picture in which exchange info names bounds of the price."""
    bounds = {"price_min": low and D(low), "price_max": high and D(high)}
    return picture(rules={**DOCUMENTED, BTCTRY: replace(DOCUMENTED[BTCTRY], **bounds)})


def resting(number: int = 1, is_unknown: bool = False, **more: Any) -> dict[IntentId, Resting]:
    """Return an order of ours far from the market, in a slot of its own."""
    key = IntentId(f"{number:026}")
    made = replace(intent("2400000"), intent_id=key, slot=f"other:{number}")
    made = replace(made, **more)
    return {key: Resting(made, made.quantity, is_unknown, NOW_NS)}


def many(count: int) -> dict[IntentId, Resting]:
    """Return `count` orders of ours, each of a pair that nothing else is of."""
    pairs = (Pair("ETHTRY"), USDTTRY, BTCUSDT)
    return {key: row for n in range(count) for key, row in resting(n, pair=pairs[n % 3]).items()}


def unsent(pair: Pair) -> dict[IntentId, Resting]:
    """Return an approval of which execution has not said that it is journaled."""
    return {key: replace(row, sent_ns=0) for key, row in resting(pair=pair).items()}


def holding_eth(quantity: str) -> Picture:
    """Return a picture with 2,500.01 TRY of BTC and ETH at 100,000 TRY held."""
    eth = Pair("ETHTRY")
    marks = {BTCTRY: top(BTCTRY, "2499990", "2500010"), eth: top(eth, "100000", "100000")}
    return picture(held={BTCTRY: D("0.001"), eth: D(quantity)}, marks=marks)


def marks_of_usdt(age_ns: int = 0) -> dict[str, Any]:
    return {
        "marks": {
            BTCUSDT: top(BTCUSDT, "60000", "60000"),
            USDTTRY: top(USDTTRY, "40", "40", age_ns),
        },
        "feeds": {BTCUSDT: FeedStatus.LIVE},
        "totals": {USDT: D(1_000), TRY: D(0)},
        "held": {},
    }


def in_usdt(quantity: str = "0.001", price: str = "60000") -> OrderIntent:
    return intent(price, quantity, pair=BTCUSDT, slot="s:BTCUSDT:buy")


Row = tuple[str, Rule, Picture, OrderIntent, Picture, OrderIntent, tuple[str, ...]]
TABLE: list[Row] = [
    # What is judged, its rule, just inside, just outside, what the detail shows.
    ("time", Rule.EXPIRED, picture(), intent(expires_ns=NOW_NS + 1),
     picture(), intent(expires_ns=NOW_NS - 7 * MS), ("7 ms",)),
    ("time to the nanosecond", Rule.EXPIRED, picture(), intent(expires_ns=NOW_NS + 1),
     picture(), intent(expires_ns=NOW_NS), ("0 ms",)),
    ("peers", Rule.PEER_LOST, picture(silent=()), intent(),
     picture(silent=("execution",)), intent(), ("execution",)),
    ("facts", Rule.ACCOUNT_UNKNOWN, picture(), intent(),
     picture(is_caught_up=False), intent(), ("not known",)),
    ("balances", Rule.ACCOUNT_UNKNOWN, picture(), intent(),
     picture(totals={}), intent(), ("not known",)),
    ("reduce", Rule.TRADING_STATE, picture(trading=TradingState.REDUCE), sell(),
     picture(trading=TradingState.REDUCE), intent(), ("REDUCE",)),
    ("paused", Rule.TRADING_STATE, picture(), sell(),
     picture(trading=TradingState.PAUSED), sell(), ("PAUSED",)),
    ("killed", Rule.TRADING_STATE, picture(), sell(),
     picture(trading=TradingState.KILLED), sell(), ("KILLED",)),
    ("halted", Rule.TRADING_STATE, picture(), sell(),
     picture(trading=TradingState.HALTED), sell(), ("HALTED",)),
    ("scope", Rule.PAUSED_SCOPE, picture(pauses={Scope(side=Side.SELL): None}), intent(),
     picture(pauses={Scope(side=Side.BUY): None}), intent(), ("buy",)),
    ("scope of a strategy", Rule.PAUSED_SCOPE, picture(pauses={Scope(strategy="x"): None}),
     intent(), picture(pauses={Scope(strategy="s", pair=BTCTRY): None}), intent(),
     ("BTCTRY", "s")),
    ("scope with an end", Rule.PAUSED_SCOPE, picture(pauses={Scope(): NOW_NS}), intent(),
     picture(pauses={Scope(): NOW_NS + 1}), intent(), ("*",)),
    ("pair", Rule.UNKNOWN_PAIR, picture(), intent(),
     picture(rules={}), intent(), ("BTCTRY",)),
    ("market", Rule.PAIR_NOT_TRADING, picture(), intent(),
     picture(rules={BTCTRY: replace(DOCUMENTED[BTCTRY], is_trading=False)}), intent(),
     ("BTCTRY",)),
    ("step", Rule.NOT_ON_STEP, picture(), intent(quantity="0.00100001"),
     picture(), intent(quantity="0.001000001"), ("0.001000001", "1E-8")),
    ("nothing", Rule.NOT_ON_STEP, picture(), intent(), picture(), intent(quantity="0"), ("0 BTC",)),
    ("less than nothing", Rule.NOT_ON_STEP, picture(), intent(),
     picture(), intent(quantity="-0.001"), ("-0.001",)),
    ("tick", Rule.NOT_ON_TICK, picture(), intent("2500010"),
     picture(), intent("2500001"), ("2500001", "10")),
    ("no price", Rule.NOT_ON_TICK, picture(), intent(), picture(), intent("0"), ("0 TRY",)),
    ("minimum", Rule.BELOW_MINIMUM, picture(), intent(quantity="0.00003997"),
     picture(), intent(quantity="0.00003996"), ("99.90", "99.91")),
    ("lowest price", Rule.PRICE_BOUNDS, bounded("2500000", None), intent("2500000"),
     bounded("2500010", None), intent("2500000"), ("2500000", "2500010")),
    ("highest price", Rule.PRICE_BOUNDS, bounded(None, "2500000"), intent("2500000"),
     bounded(None, "2499990"), intent("2500000"), ("2500000", "2499990")),
    ("age", Rule.STALE_BOOK, picture(marks={BTCTRY: top(BTCTRY, "2499990", "2500010", 2_000 * MS)}),
     intent(), picture(marks={BTCTRY: top(BTCTRY, "2499990", "2500010", 2_000 * MS + 1)}),
     intent(), ("2001 ms", "2000 ms")),
    ("no book", Rule.STALE_BOOK, picture(), intent(), picture(marks={}), intent(), ("LIVE",)),
    ("feed", Rule.STALE_BOOK, picture(feeds={BTCTRY: FeedStatus.FALLBACK}), intent(),
     picture(feeds={BTCTRY: FeedStatus.STALE}), intent(), ("STALE",)),
    ("no feed", Rule.STALE_BOOK, picture(), intent(), picture(feeds={}), intent(), ("STARTING",)),
    ("age of the rate", Rule.STALE_BOOK, picture(**marks_of_usdt(2_000 * MS)), in_usdt(),
     picture(**marks_of_usdt(2_000 * MS + 1)), in_usdt(), ("USDTTRY", "2001 ms")),
    ("collar of a buy", Rule.PRICE_COLLAR, picture(), intent("2525000"),
     picture(), intent("2525010"), ("100.0", "100 bps")),
    ("collar of a sell", Rule.PRICE_COLLAR, picture(), sell("2475000"),
     picture(), sell("2474990"), ("100.0", "100 bps")),
    ("value", Rule.ORDER_NOTIONAL, picture(), intent(quantity="0.002"),
     picture(), intent(quantity="0.00200001"), ("5000.02", "5000 TRY")),
    ("value of a sell", Rule.ORDER_NOTIONAL, picture(totals={BTC: D(1)}), sell(quantity="0.002"),
     picture(totals={BTC: D(1)}), sell(quantity="0.00200001"), ("5000.02", "5000 TRY")),
    ("value in TRY", Rule.ORDER_NOTIONAL, picture(**marks_of_usdt()), in_usdt("0.00208333"),
     picture(**marks_of_usdt()), in_usdt("0.00208334"), ("5000.0", "5000 TRY")),
    ("no rate", Rule.ACCOUNT_UNKNOWN, picture(**marks_of_usdt()), in_usdt(),
     picture(**marks_of_usdt() | {"marks": {BTCUSDT: top(BTCUSDT, "60000", "60000")}}),
     in_usdt(), ("USDT",)),
    ("position", Rule.POSITION_NOTIONAL, picture(held={BTCTRY: D("0.00699997")}), intent(),
     picture(held={BTCTRY: D("0.00699998")}), intent(), ("17500.0", "2500.00", "20000 TRY")),
    ("position with what rests", Rule.POSITION_NOTIONAL,
     picture(held={BTCTRY: D("0.006")}, orders=resting(limit_price=Price(D("2499900")))), intent(),
     picture(held={BTCTRY: D("0.006001")}, orders=resting(limit_price=Price(D("2499900")))),
     intent(), ("2500.00", "20000 TRY")),
    ("mode", Rule.DEGRADED, picture(mode=RiskMode.REDUCE), sell(),
     picture(mode=RiskMode.REDUCE), intent(), ("REDUCE",)),
    ("mode that only looks", Rule.OVERRIDE, picture(), sell(),
     picture(mode=RiskMode.OBSERVE, mode_rule=Rule.OVERRIDE), sell(), ("OBSERVE",)),
    ("age in the future", Rule.STALE_BOOK,
     picture(marks={BTCTRY: top(BTCTRY, "2499990", "2500010", -2_000 * MS)}), intent(),
     picture(marks={BTCTRY: top(BTCTRY, "2499990", "2500010", -2_001 * MS)}), intent(),
     ("-2001 ms",)),
    ("hour", Rule.HOURLY_RATE, picture(sent_ns=[NOW_NS - HOUR_NS, *[NOW_NS - MINUTE_NS] * 6]),
     sell(), picture(sent_ns=[NOW_NS - MINUTE_NS] * 7), sell(), ("7 in an hour", "allowed 7")),
    ("orders of a decision", Rule.DECISION_ORDERS, decided(3, 0), sell(), decided(4, 0), sell(),
     ("4 orders", "allowed 4")),
    ("orders of an older decision", Rule.DECISION_ORDERS, decided(4, 0, ago_ns=1), sell(),
     decided(4, 0, ago_ns=-1), sell(), ("4 orders",)),
    ("spread", Rule.SPREAD, picture(marks={BTCTRY: top(BTCTRY, "2493750", "2506250")}), intent(),
     picture(marks={BTCTRY: top(BTCTRY, "2493740", "2506250")}), intent(), ("50.0", "50 bps")),
    ("smaller", Rule.SIZE_REDUCED, picture(size_bps=D(5_000)), intent(),
     picture(size_bps=D(5_000)), intent("2500010"), ("2500.01", "2500.00 TRY")),
    ("smaller positions", Rule.POSITION_NOTIONAL,
     picture(size_bps=D(5_000), held={BTCTRY: D("0.0029")}), intent(),
     picture(size_bps=D(5_000), held={BTCTRY: D("0.0031")}), intent(), ("10000 TRY",)),
    ("no new pairs", Rule.SIZE_REDUCED, picture(opens_pairs=False), intent(),
     picture(opens_pairs=False, held={}), intent(), ("BTCTRY", "not held")),
    ("cooldown", Rule.COOLDOWN, picture(bought_ns={BTCTRY: NOW_NS - 1_000 * MS}), intent(),
     picture(bought_ns={BTCTRY: NOW_NS - 999 * MS}), intent(), ("999 ms ago", "1000 ms")),
    ("cooldown of another pair", Rule.COOLDOWN, picture(orders=unsent(Pair("ETHTRY"))), intent(),
     picture(orders=unsent(BTCTRY)), intent(), ("on its way",)),
    ("orders of a pair", Rule.PAIR_ORDERS, picture(orders=resting()), intent(),
     picture(orders=resting(1) | resting(2)), intent(), ("2 of BTCTRY", "allowed 2")),
    ("all pairs", Rule.GROSS_EXPOSURE, holding_eth("0.2499"), intent(),
     holding_eth("0.25"), intent(), ("27500.01 + 2500.00", "30000 TRY")),
    ("a pair without a price", Rule.ACCOUNT_UNKNOWN, picture(), intent(),
     picture(held={Pair("ETHTRY"): D(1)}), intent(), ("no price",)),
    ("capital", Rule.CAPITAL, standing(capital=D("5000.01")), intent(),
     standing(capital=D(5_000)), intent(), ("2500.01 + 2500.00", "5000.00 TRY")),
    ("capital that is not known", Rule.ACCOUNT_UNKNOWN, picture(), intent(),
     standing(capital=None), intent(), ("capital",)),
    ("part of the account", Rule.CONCENTRATION, standing(equity=D("10000.02")), intent(),
     standing(equity=D("10000.01")), intent(), ("5000.01 TRY of 10000.01 TRY", "5000 bps")),
    ("worth that is not known", Rule.ACCOUNT_UNKNOWN, picture(), intent(),
     standing(equity=None), intent(), ("worth",)),
    ("bought by a decision", Rule.DECISION_NOTIONAL, decided(1, 6_500), intent(),
     decided(1, 6_501), intent(), ("6501.00 + 2500.00", "9000 TRY")),
    ("turnover", Rule.TURNOVER, standing(turnover=D(47_500)), intent(),
     standing(turnover=D("47500.01")), intent(), ("47500.01 today", "50000 TRY")),
    ("turnover with what rests", Rule.TURNOVER,
     picture(standing=replace(STANDING, turnover=D(45_100)), orders=resting()), intent(),
     picture(standing=replace(STANDING, turnover=D(45_101)), orders=resting()), intent(),
     ("2400.00 working",)),
    ("turnover that is not known", Rule.ACCOUNT_UNKNOWN, picture(), intent(),
     standing(turnover=None), intent(), ("traded today",)),
    ("fees", Rule.FEES, standing(fees=D(94)), intent(), standing(fees=D("94.01")), intent(),
     ("94.01 paid", "6.00 to come", "100 TRY")),
    ("fees with what rests", Rule.FEES,
     picture(standing=replace(STANDING, fees=D("88.24")), orders=resting()), intent(),
     picture(standing=replace(STANDING, fees=D("88.25")), orders=resting()), intent(), ("11.76",)),
    ("fees that are not known", Rule.ACCOUNT_UNKNOWN, picture(), intent(),
     standing(fees=None), intent(), ("fees",)),
    ("loss of the day", Rule.DAILY_LOSS, standing(day_loss=D("499.99")), intent(),
     standing(day_loss=D(500)), intent(), ("500.00 TRY", "today")),
    ("loss that is not known", Rule.ACCOUNT_UNKNOWN, picture(), intent(),
     standing(day_loss=None), intent(), ("today",)),
    ("loss of the week", Rule.WEEKLY_LOSS, standing(week_loss=D("899.99")), intent(),
     standing(week_loss=D(900)), intent(), ("900.00 TRY", "Monday")),
    ("drawdown", Rule.DRAWDOWN, standing(drawdown=D("1199.99")), intent(),
     standing(drawdown=D(1_200)), intent(), ("1200.00 TRY", "best")),
    ("open orders", Rule.OPEN_ORDERS, picture(orders=many(2)), intent(),
     picture(orders=many(3)), intent(), ("3 are live", "allowed 3")),
    ("slot", Rule.DUPLICATE_SLOT, picture(orders=resting()), intent(),
     picture(orders=resting(slot="s:BTCTRY:buy")), intent(), ("s:BTCTRY:buy",)),
    ("unknown", Rule.PAIR_FROZEN, picture(orders=resting(is_unknown=True, pair=Pair("ETHTRY"))),
     intent(), picture(orders=resting(is_unknown=True)), intent(), ("BTCTRY", "UNKNOWN")),
    ("self-cross of a buy", Rule.SELF_CROSS,
     picture(orders=resting(side=Side.SELL, limit_price=Price(D(2_500_010)))), intent(),
     picture(orders=resting(side=Side.SELL, limit_price=Price(D(2_500_000)))), intent(),
     ("2500000",)),
    ("self-cross of a sell", Rule.SELF_CROSS,
     picture(orders=resting(limit_price=Price(D(2_499_990)))), sell(),
     picture(orders=resting(limit_price=Price(D(2_500_000)))), sell(), ("2500000",)),
    ("rate", Rule.ORDER_RATE, picture(sent_ns=[NOW_NS - MINUTE_NS, *[NOW_NS - 1] * 4]), intent(),
     picture(sent_ns=[NOW_NS - MINUTE_NS + 1, *[NOW_NS - 1] * 4]), intent(), ("5 in", "allowed 5")),
    ("cash", Rule.CASH_RESERVE, picture(totals={TRY: D("3506")}), intent(),
     picture(totals={TRY: D("3505.99")}), intent(), ("999.99 TRY", "at least 1000")),
    ("cash with what rests", Rule.CASH_RESERVE,
     picture(totals={TRY: D("5911.76")}, orders=resting()), intent(),
     picture(totals={TRY: D("5911.75")}, orders=resting()), intent(), ("999.99 TRY",)),
    ("cash of another quote", Rule.CASH_RESERVE,
     picture(**marks_of_usdt() | {"totals": {USDT: D("60.084")}}), in_usdt(),
     picture(**marks_of_usdt() | {"totals": {USDT: D("60.083")}}), in_usdt(), ("USDT",)),
    ("an order of a pair without rules", Rule.ACCOUNT_UNKNOWN,
     picture(orders=resting(pair=Pair("ETHTRY"))), sell(),
     picture(orders=resting(pair=Pair("GONETRY"))), sell(), ("without rules",)),
    ("coins", Rule.NOT_ENOUGH_BASE, picture(), sell(),
     picture(totals={BTC: D("0.00099999")}), sell(), ("1E-8 BTC",)),
    ("coins with what rests", Rule.NOT_ENOUGH_BASE,
     picture(totals={BTC: D("0.002")}, orders=resting(side=Side.SELL)), sell("2500010"),
     picture(totals={BTC: D("0.00199999")}, orders=resting(side=Side.SELL)), sell("2500010"),
     ("1E-8 BTC",)),
]  # fmt: skip


@pytest.mark.parametrize("row", TABLE, ids=[row[0].replace(" ", "_") for row in TABLE])
def test_just_inside_passes_and_just_outside_is_refused_with_figures(row: Row) -> None:
    _, rule, inside, may, outside, may_not, figures = row
    assert judge(inside, may, NOW_NS) is None
    refused = judge(outside, may_not, NOW_NS)
    assert refused is not None
    assert refused[0] is rule
    assert all(figure in refused[1] for figure in figures), refused[1]


def test_the_oldest_order_of_the_last_minute_leaves_it_a_minute_after_it_was_sent() -> None:
    older, first, second = NOW_NS - MINUTE_NS, NOW_NS - MINUTE_NS + 1, NOW_NS - 5
    assert minute_ends_ns([older, first, second], NOW_NS) == first + MINUTE_NS
    assert minute_ends_ns([older], NOW_NS) == 0


def test_the_table_has_every_rule_of_the_gate() -> None:
    said = {row[1] for row in TABLE}
    of_execution = {
        Rule.CLOCK, Rule.NO_CONNECTION, Rule.NOT_ARMED, Rule.REPEATED, Rule.SLOT_RATE,
        Rule.DRY_RUN, Rule.TOO_FAR,
    }  # fmt: skip
    assert said == set(Rule) - of_execution


@pytest.mark.parametrize(
    ("limit", "rule", "asked"),
    [("order_notional_max_try", Rule.ORDER_NOTIONAL, sell()),
     ("position_notional_max_try", Rule.POSITION_NOTIONAL, intent()),
     ("open_orders_max", Rule.OPEN_ORDERS, sell()),
     ("orders_per_minute_max", Rule.ORDER_RATE, sell()),
     ("price_collar_bps", Rule.PRICE_COLLAR, intent("2500010")),
     ("gross_exposure_max_try", Rule.GROSS_EXPOSURE, intent()),
     ("concentration_max_bps", Rule.CONCENTRATION, intent()),
     ("pair_open_orders_max", Rule.PAIR_ORDERS, intent()),
     ("decision_orders_max", Rule.DECISION_ORDERS, sell()),
     ("decision_notional_max_try", Rule.DECISION_NOTIONAL, intent()),
     ("orders_per_hour_max", Rule.HOURLY_RATE, sell()),
     ("turnover_per_day_max_try", Rule.TURNOVER, intent()),
     ("fees_per_day_max_try", Rule.FEES, intent()),
     ("daily_loss_max_try", Rule.DAILY_LOSS, intent()),
     ("weekly_loss_max_try", Rule.WEEKLY_LOSS, intent()),
     ("drawdown_max_try", Rule.DRAWDOWN, intent()),
     ("spread_max_bps", Rule.SPREAD, intent())],
)  # fmt: skip
def test_a_cap_of_zero_means_zero(limit: str, rule: Rule, asked: OrderIntent) -> None:
    assert judge(picture(), asked, NOW_NS) is None
    refused = judge(picture({limit: type(getattr(LIMITS, limit))(0)}), asked, NOW_NS)
    assert refused is not None
    assert refused[0] is rule


def test_buy_cooldown_ms_is_how_long_the_next_buy_of_a_pair_waits() -> None:
    bought = {BTCTRY: NOW_NS - 1_500 * MS}
    assert judge(picture({"buy_cooldown_ms": 1_500}, bought_ns=bought), intent(), NOW_NS) is None
    refused = judge(picture({"buy_cooldown_ms": 1_501}, bought_ns=bought), intent(), NOW_NS)
    assert refused is not None
    assert refused[0] is Rule.COOLDOWN


def test_a_reserve_of_zero_may_be_spent_to_the_last() -> None:
    limits = {"cash_reserve_min_try": D(0)}
    assert judge(picture(limits, totals={TRY: D(2_506)}), intent(), NOW_NS) is None
    assert judge(picture(limits, totals={TRY: D("2505.99")}), intent(), NOW_NS) is not None


def test_an_intent_that_is_asked_again_is_not_in_its_own_way() -> None:
    asked = intent(quantity="0.002")
    own = {asked.intent_id: Resting(asked, asked.quantity)}
    tight = {"position_notional_max_try": D(5_000), "open_orders_max": 1, "pair_open_orders_max": 1}
    at = picture(tight, orders=own, held={}, totals={TRY: D(6_012)})
    assert judge(at, asked, NOW_NS) is None


def test_an_order_of_a_pair_without_configured_fees_counts_with_the_published_ones() -> None:
    eth = resting(pair=Pair("ETHTRY"), limit_price=Price(D(100_000)), quantity=Quantity(D("0.1")))
    at = picture(orders=eth, totals={TRY: D("13529.99")})
    assert judge(at, intent(), NOW_NS) == (
        Rule.CASH_RESERVE, "999.99 TRY would be left; at least 1000"
    )  # fmt: skip


def test_the_first_rule_that_refuses_speaks() -> None:
    at = picture(silent=("execution",), trading=TradingState.HALTED)
    refused = judge(at, intent(expires_ns=NOW_NS), NOW_NS)
    assert refused is not None
    assert refused[0] is Rule.EXPIRED


def test_a_position_without_a_price_is_not_known() -> None:
    assert position_in_try(picture(marks={}), BTCTRY) is None
    assert position_in_try(picture(marks={}, held={}), BTCTRY) == 0
    assert position_in_try(picture(), BTCTRY) == D("2500.010")


SPENT = replace(
    STANDING, day_loss=D(10**9), week_loss=D(10**9), drawdown=D(10**9), fees=D(10**9),
    turnover=D(10**9), capital=D(0), equity=None, loss_streak=9,
)  # fmt: skip


def test_no_loss_budget_or_level_keeps_anybody_from_selling() -> None:
    nothing = {
        name: type(getattr(LIMITS, name))(0)
        for name in (
            "position_notional_max_try", "gross_exposure_max_try", "concentration_max_bps",
            "pair_open_orders_max", "decision_notional_max_try", "turnover_per_day_max_try",
            "fees_per_day_max_try", "daily_loss_max_try", "weekly_loss_max_try",
            "drawdown_max_try", "spread_max_bps",
        )
    }  # fmt: skip
    at = picture(
        nothing, standing=SPENT, mode=RiskMode.REDUCE, size_bps=D(0), opens_pairs=False,
        trading=TradingState.REDUCE, bought_ns={BTCTRY: NOW_NS},
    )  # fmt: skip

    assert judge(at, sell(), NOW_NS) is None
    assert judge(at, intent(), NOW_NS) is not None


def test_more_than_all_of_a_profit_cannot_be_risked_again() -> None:
    with pytest.raises(ValueError, match="profit_reinvested_bps = 10001: at most 10000"):
        RiskLimits(profit_reinvested_bps=D(10_001))


@pytest.mark.parametrize("value", ["-1", "NaN", "Infinity", "1e999999", "1e16"])
@pytest.mark.parametrize(
    "name", [n for n in RiskLimits.__struct_fields__ if isinstance(getattr(LIMITS, n), Decimal)]
)
def test_a_limit_that_is_no_amount_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=f"{name} = .*: allowed is 0 to 1e15"):
        msgspec.convert({name: value}, RiskLimits)


# --- which prices change what anything is worth ---------------------------------------------------


@pytest.mark.parametrize(
    ("bid", "ask", "counts"),
    [
        ("2499990", "2500010", False),
        ("2499980", "2500010", True),
        ("2499990", "2500020", True),
    ],
)
def test_a_price_counts_when_either_side_of_it_moved(bid: str, ask: str, counts: bool) -> None:
    assert take_price(picture(), top(BTCTRY, bid, ask)) is counts


def test_the_price_of_what_nobody_holds_or_wants_counts_for_nothing_but_is_kept() -> None:
    made = picture(held={}, totals={TRY: D(100)}, exposure=exposure.of())
    moved = top(BTCTRY, "2499980", "2500010")

    assert not take_price(made, moved)
    assert made.marks[BTCTRY] == moved


def test_the_price_of_usdt_counts_even_while_none_is_held() -> None:
    made = picture(totals={BTC: D(1)}, held={BTCUSDT: D(1)})
    take_price(made, top(USDTTRY, "40", "41"))

    assert take_price(made, top(USDTTRY, "40", "42"))
