"""The rules of the risk gate: one pure function each, first refusal wins.

A rule returns (rule, detail) or None; the detail has what was found, what is allowed, the unit.
The picture counts every open and unknown order in full: the worst of "it happened" and "it did
not" for each limit.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from msgspec import Struct

from btcbot.domain.ids import Asset, IntentId, Pair
from btcbot.domain.instruments import FeeRates, Instrument, default_fees
from btcbot.domain.messages import BookTop, OrderIntent, Scope
from btcbot.domain.money import BPS_IN_ONE
from btcbot.domain.words import FeedStatus, Rule, Side, TradingState
from btcbot.risk.limits import RiskLimits

Refusal = tuple[Rule, str] | None
MILLISECOND_NS: Final = 1_000_000
MINUTE_NS: Final = 60_000_000_000
ZERO: Final = Decimal(0)


class Resting(Struct, frozen=True):
    """An order that may still execute, or an approval that may become one."""

    intent: OrderIntent
    left: Decimal  # Base asset.
    is_unknown: bool = False


class Picture(Struct, frozen=True, kw_only=True):
    """What the gate judges by."""

    limits: RiskLimits
    rules: Mapping[Pair, Instrument]
    marks: Mapping[Pair, BookTop]
    feeds: Mapping[Pair, FeedStatus]
    fees: Mapping[Pair, FeeRates]
    orders: Mapping[IntentId, Resting]
    held: Mapping[Pair, Decimal]  # Base asset, by our own fills.
    totals: Mapping[Asset, Decimal]  # What the account holds, as last stated.
    sent_ns: tuple[int, ...]
    trading: TradingState
    pauses: Mapping[Scope, int | None]
    silent: tuple[str, ...]
    is_caught_up: bool


def judge(picture: Picture, intent: OrderIntent, now_ns: int) -> Refusal:
    """Return the first rule that refuses `intent`, with its detail; None: it may go."""
    for rule in RULES:
        refusal = rule(picture, intent, now_ns)
        if refusal is not None:
            return refusal
    return None


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
    rate = picture.marks.get(_in_try_pair(picture.rules[intent.pair].quote))
    for top in (mark, rate) if rate is not None else (mark,):
        age_ns = now_ns - top.confirmed_ns
        if age_ns > limit_ms * MILLISECOND_NS:
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


def position_notional(picture: Picture, intent: OrderIntent, _now_ns: int) -> Refusal:
    """Hold what is held, what rests and what is wanted together; sells can only lower it."""
    if intent.side is Side.SELL:
        return None
    limit = picture.limits.position_notional_max_try
    value = position_in_try(picture, intent.pair, besides=intent.intent_id)
    wanted = in_try(picture, intent)
    if value is None or wanted is None:
        return Rule.ACCOUNT_UNKNOWN, f"no price of {intent.pair} in TRY"
    if value + wanted > limit:
        return Rule.POSITION_NOTIONAL, f"{value:.2f} + {wanted:.2f} TRY; allowed {limit} TRY"
    return None


def open_orders(picture: Picture, intent: OrderIntent, _now_ns: int) -> Refusal:
    limit, others = picture.limits.open_orders_max, _others(picture, intent)
    if len(others) >= limit:
        return Rule.OPEN_ORDERS, f"{len(others)} are live; allowed {limit}"
    for order in others:
        if order.intent.slot == intent.slot:
            return Rule.DUPLICATE_SLOT, f"{intent.slot} has an order"
        if order.is_unknown and order.intent.pair == intent.pair:
            return Rule.PAIR_FROZEN, f"an order of {intent.pair} is UNKNOWN"
        if _crosses(order.intent, intent):
            return Rule.SELF_CROSS, f"our own order rests at {order.intent.limit_price}"
    return None


def order_rate(picture: Picture, _intent: OrderIntent, now_ns: int) -> Refusal:
    recent = sum(1 for t in picture.sent_ns if now_ns - t < MINUTE_NS)
    limit = picture.limits.orders_per_minute_max
    if recent >= limit:
        return Rule.ORDER_RATE, f"{recent} in a minute; allowed {limit}"
    return None


def funds(picture: Picture, intent: OrderIntent, _now_ns: int) -> Refusal:
    """Count every order that may still execute against what the account holds."""
    rules = picture.rules[intent.pair]
    asset = rules.quote if intent.side is Side.BUY else rules.base
    held = picture.totals.get(asset, ZERO)
    taken = sum(
        (
            _cost(picture, order.intent, order.left)
            for order in _others(picture, intent)
            if _asset(picture, order.intent) == asset
        ),
        start=_cost(picture, intent, intent.quantity),
    )
    left = held - taken
    if intent.side is Side.SELL:
        return (Rule.NOT_ENOUGH_BASE, f"{-left} {asset} are missing") if left < 0 else None
    reserve = picture.limits.cash_reserve_min_try if asset == "TRY" else ZERO
    if left < reserve:
        return Rule.CASH_RESERVE, f"{left:.2f} {asset} would be left; at least {reserve}"
    return None


RULES: Final[tuple[Callable[[Picture, OrderIntent, int], Refusal], ...]] = (
    expired,
    knows_enough,
    trading_state,
    instrument,
    fresh_price,
    price_collar,
    order_notional,
    position_notional,
    open_orders,
    order_rate,
    funds,
)


def in_try(picture: Picture, intent: OrderIntent) -> Decimal | None:
    """Return the intent's value in TRY; None when its quote has no price."""
    rate = _rate(picture, picture.rules[intent.pair].quote)
    return None if rate is None else intent.quantity * intent.limit_price * rate


def position_in_try(
    picture: Picture, pair: Pair, besides: IntentId | None = None
) -> Decimal | None:
    """Return what is held of `pair` and may still be bought, in TRY at the mark.

    `besides`: an intent that is asked again must not be counted as an order next to itself.
    """
    mark, rules = picture.marks.get(pair), picture.rules.get(pair)
    if mark is None or rules is None:
        return None
    rate = _rate(picture, rules.quote)
    resting = sum(
        (
            order.left * order.intent.limit_price
            for key, order in picture.orders.items()
            if key != besides and order.intent.pair == pair and order.intent.side is Side.BUY
        ),
        start=ZERO,
    )
    return None if rate is None else (picture.held.get(pair, ZERO) * mark.ask + resting) * rate


def _others(picture: Picture, intent: OrderIntent) -> list[Resting]:
    """Return every live order but the intent's own: it may be asked again."""
    return [row for key, row in picture.orders.items() if key != intent.intent_id]


def _rate(picture: Picture, quote: Asset) -> Decimal | None:
    if quote == "TRY":
        return Decimal(1)
    mark = picture.marks.get(_in_try_pair(quote))
    return mark.ask if mark else None


def _in_try_pair(quote: Asset) -> Pair:
    return Pair(f"{quote}TRY")


def _cost(picture: Picture, intent: OrderIntent, quantity: Decimal) -> Decimal:
    """Return what an order may take of its asset: with the taker's fee for a buy."""
    if intent.side is Side.SELL:
        return quantity
    fees = picture.fees.get(intent.pair) or default_fees(picture.rules[intent.pair].quote)
    rate = fees.taker_bps / BPS_IN_ONE
    return quantity * intent.limit_price * (1 + rate)


def _asset(picture: Picture, intent: OrderIntent) -> Asset | None:
    rules = picture.rules.get(intent.pair)
    if rules is None:
        return None
    return rules.quote if intent.side is Side.BUY else rules.base


def _crosses(resting: OrderIntent, intent: OrderIntent) -> bool:
    if resting.pair != intent.pair or resting.side is intent.side:
        return False
    buy, sell = (resting, intent) if resting.side is Side.BUY else (intent, resting)
    return buy.limit_price >= sell.limit_price
