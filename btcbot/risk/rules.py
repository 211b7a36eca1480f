"""The rules of the risk gate: one pure function each, first refusal wins.

A rule returns (rule, detail) or None; the detail has what was found, what is allowed, the unit.
The picture counts every open and unknown order in full: the worst of "it happened" and "it did
not" for each limit. `RULES` hold for every intent. What a sell can only lower is in `buying.py`:
no loss, budget or degrade level ever keeps anybody from selling.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from btcbot.domain.messages import OrderIntent
from btcbot.domain.money import BPS_IN_ONE, ZERO
from btcbot.domain.words import FeedStatus, RiskMode, Rule, Side, TradingState
from btcbot.risk.buying import judge_buy
from btcbot.risk.exposure import NO_ORDERS, without
from btcbot.risk.picture import (
    Picture,
    Refusal,
    cost_of,
    in_try,
    in_try_pair,
    promised,
)

MILLISECOND_NS: Final = 1_000_000
MINUTE_NS: Final = 60_000_000_000
HOUR_NS: Final = 60 * MINUTE_NS


def judge(picture: Picture, intent: OrderIntent, now_ns: int) -> Refusal:
    """Return the first rule that refuses `intent`, with its detail; None: it may go.

    An intent that is asked again is not counted as an order next to itself.
    """
    if intent.intent_id in picture.exposure.orders:
        picture = replace(picture, exposure=without(picture.exposure, intent.intent_id))
    for rule in RULES:
        refusal = rule(picture, intent, now_ns)
        if refusal is not None:
            return refusal
    return None if intent.side is Side.SELL else judge_buy(picture, intent, now_ns)


def expired(_picture: Picture, intent: OrderIntent, now_ns: int) -> Refusal:
    if now_ns >= intent.expires_ns:
        late_ms = (now_ns - intent.expires_ns) // MILLISECOND_NS
        return Rule.EXPIRED, f"{late_ms} ms past its time"
    return None


def knows_enough(picture: Picture, _intent: OrderIntent, _now_ns: int) -> Refusal:
    if picture.silent:
        return Rule.PEER_LOST, f"silent: {', '.join(picture.silent)}"
    if not picture.is_caught_up or not picture.totals:
        return Rule.ACCOUNT_UNKNOWN, "the account is not known yet"
    return None


def trading_state(picture: Picture, intent: OrderIntent, now_ns: int) -> Refusal:
    if picture.trading is TradingState.REDUCE and intent.side is Side.BUY:
        return Rule.TRADING_STATE, "REDUCE: only sells may go"
    if picture.trading not in (TradingState.LIVE, TradingState.REDUCE):
        return Rule.TRADING_STATE, f"{picture.trading}"
    for scope, until_ns in picture.pauses.items():
        if scope.covers(intent) and (until_ns is None or now_ns < until_ns):
            return (
                Rule.PAUSED_SCOPE,
                f"{scope.pair or '*'} {scope.strategy or '*'} {scope.side or '*'}",
            )
    return None


def risk_mode(picture: Picture, intent: OrderIntent, _now_ns: int) -> Refusal:
    """Obey the degrade level and a person's override; losses have rules of their own."""
    if picture.mode is RiskMode.OBSERVE:
        return picture.mode_rule, "OBSERVE: nothing may go"
    if picture.mode is RiskMode.REDUCE and intent.side is Side.BUY:
        return picture.mode_rule, "REDUCE: only sells may go"
    return None


def instrument(picture: Picture, intent: OrderIntent, _now_ns: int) -> Refusal:
    rules = picture.rules.get(intent.pair)
    if rules is None:
        return Rule.UNKNOWN_PAIR, f"no rules for {intent.pair}"
    if not rules.is_trading:
        return Rule.PAIR_NOT_TRADING, intent.pair
    if intent.quantity <= 0 or intent.quantity % rules.step:
        return Rule.NOT_ON_STEP, f"{intent.quantity} {rules.base}; step {rules.step}"
    if intent.limit_price <= 0 or intent.limit_price % rules.tick:
        return Rule.NOT_ON_TICK, f"{intent.limit_price} {rules.quote}; tick {rules.tick}"
    notional = intent.quantity * intent.limit_price
    if notional < rules.notional_min:
        return Rule.BELOW_MINIMUM, f"{notional:.2f} {rules.quote}; at least {rules.notional_min}"
    if not rules.is_priced_right(intent.limit_price):
        found = f"{intent.limit_price} {rules.quote}"
        return Rule.PRICE_BOUNDS, f"{found}; allowed {rules.price_min} to {rules.price_max}"
    return None


def fresh_price(picture: Picture, intent: OrderIntent, now_ns: int) -> Refusal:
    """Judge by no old price: neither the pair's own nor the one that makes its quote TRY."""
    mark, limit_ms = picture.marks.get(intent.pair), picture.limits.book_age_max_ms
    status = picture.feeds.get(intent.pair, FeedStatus.STARTING)
    if mark is None or status not in (FeedStatus.LIVE, FeedStatus.FALLBACK):
        return Rule.STALE_BOOK, f"{intent.pair}: feed is {status}"
    rate = picture.marks.get(in_try_pair(picture.rules[intent.pair].quote))
    for top in (mark, rate) if rate is not None else (mark,):
        age_ns = now_ns - top.confirmed_ns
        # From the future: a clock was set back, and nobody knows how old the price is.
        if abs(age_ns) > limit_ms * MILLISECOND_NS:
            age_ms = -(-age_ns // MILLISECOND_NS)  # Up: never shown as what is allowed.
            return Rule.STALE_BOOK, f"{top.pair}: {age_ms} ms old; allowed {limit_ms} ms"
    return None


def price_collar(picture: Picture, intent: OrderIntent, _now_ns: int) -> Refusal:
    mark, collar = picture.marks[intent.pair], picture.limits.price_collar_bps
    middle = (mark.bid + mark.ask) / 2
    sign = 1 if intent.side is Side.BUY else -1
    past_bps = sign * (intent.limit_price - middle) / middle * BPS_IN_ONE
    if past_bps > collar:
        return Rule.PRICE_COLLAR, f"{past_bps:.1f} bps past the middle; allowed {collar} bps"
    return None


def order_notional(picture: Picture, intent: OrderIntent, _now_ns: int) -> Refusal:
    value, limit = in_try(picture, intent), picture.limits.order_notional_max_try
    if value is None:
        return Rule.ACCOUNT_UNKNOWN, f"no price of {picture.rules[intent.pair].quote} in TRY"
    if value > limit:
        return Rule.ORDER_NOTIONAL, f"{value:.2f} TRY; allowed {limit} TRY"
    return None


def open_orders(picture: Picture, intent: OrderIntent, _now_ns: int) -> Refusal:
    limit, live = picture.limits.open_orders_max, len(picture.exposure.orders)
    if live >= limit:
        return Rule.OPEN_ORDERS, f"{live} are live; allowed {limit}"
    if intent.slot in picture.exposure.slots:
        return Rule.DUPLICATE_SLOT, f"{intent.slot} has an order"
    return None


def beside_our_own(picture: Picture, intent: OrderIntent, _now_ns: int) -> Refusal:
    """Leave a pair alone while one of its orders is in doubt, and never trade with ourselves."""
    of_pair = picture.exposure.pairs.get(intent.pair, NO_ORDERS)
    if of_pair.unknown:
        return Rule.PAIR_FROZEN, f"an order of {intent.pair} is UNKNOWN"
    if of_pair.orders:
        for order in picture.exposure.orders.values():
            if _crosses(order.intent, intent):
                return Rule.SELF_CROSS, f"our own order rests at {order.intent.limit_price}"
    return None


def order_rate(picture: Picture, _intent: OrderIntent, now_ns: int) -> Refusal:
    recent, limit = sent_since(picture.sent_ns, now_ns - MINUTE_NS), picture.limits
    if recent >= limit.orders_per_minute_max:
        allowed = limit.orders_per_minute_max
        return Rule.ORDER_RATE, f"{recent} in a minute; allowed {allowed}"
    return None


def hourly_rate(picture: Picture, _intent: OrderIntent, now_ns: int) -> Refusal:
    recent, limit = sent_since(picture.sent_ns, now_ns - HOUR_NS), picture.limits
    if recent >= limit.orders_per_hour_max:
        return Rule.HOURLY_RATE, f"{recent} in an hour; allowed {limit.orders_per_hour_max}"
    return None


def decision_orders(picture: Picture, intent: OrderIntent, _now_ns: int) -> Refusal:
    """Count what was approved of the same decision; an older decision counts with the newest."""
    last, limit = picture.decisions.get(intent.strategy), picture.limits.decision_orders_max
    approved = last.orders if last and intent.decided_ns <= last.decided_ns else 0
    if approved >= limit:
        return Rule.DECISION_ORDERS, f"{approved} orders of this decision; allowed {limit}"
    return None


def funds(picture: Picture, intent: OrderIntent, _now_ns: int) -> Refusal:
    """Count every order that may still execute against what the account holds."""
    rules = picture.rules[intent.pair]
    asset = rules.quote if intent.side is Side.BUY else rules.base
    held, taken = picture.totals.get(asset, ZERO), promised(picture, asset)
    if taken is None:
        return Rule.ACCOUNT_UNKNOWN, "an order lives in a pair without rules"
    left = held - taken - cost_of(picture, intent)
    if intent.side is Side.SELL:
        return (Rule.NOT_ENOUGH_BASE, f"{-left} {asset} are missing") if left < 0 else None
    reserve = picture.limits.cash_reserve_min_try if asset == "TRY" else ZERO
    if left < reserve:
        return Rule.CASH_RESERVE, f"{left:.2f} {asset} would be left; at least {reserve}"
    return None


def sent_since(sent_ns: Sequence[int], since_ns: int) -> int:
    """Return how many were sent after `since_ns`; `sent_ns` is sorted."""
    return len(sent_ns) - bisect_right(sent_ns, since_ns)


def minute_ends_ns(sent_ns: Sequence[int], now_ns: int) -> int:
    """Return when the first one leaves the minute that counts; 0: none is in it."""
    first = bisect_right(sent_ns, now_ns - MINUTE_NS)
    return sent_ns[first] + MINUTE_NS if first < len(sent_ns) else 0


def _crosses(resting: OrderIntent, intent: OrderIntent) -> bool:
    if resting.pair != intent.pair or resting.side is intent.side:
        return False
    buy, sell = (resting, intent) if resting.side is Side.BUY else (intent, resting)
    return buy.limit_price >= sell.limit_price


RuleFunction = Callable[[Picture, OrderIntent, int], Refusal]
RULES: Final[tuple[RuleFunction, ...]] = (
    expired,
    knows_enough,
    trading_state,
    risk_mode,
    instrument,
    fresh_price,
    price_collar,
    order_notional,
    open_orders,
    beside_our_own,
    order_rate,
    hourly_rate,
    decision_orders,
    funds,
)
