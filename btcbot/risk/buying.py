"""The rules that only a buy can break: it adds to what is at risk, and costs what the day has left.

What a rule needs and does not know refuses the buy. While orders must be smaller (`size_bps`), the
limits on what is bought and held shrink with them; a part of zero is zero. What several rules need
is valued once.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from msgspec import Struct

from btcbot.domain.messages import OrderIntent
from btcbot.domain.money import BPS_IN_ONE
from btcbot.domain.words import Rule
from btcbot.risk.exposure import NO_ORDERS
from btcbot.risk.picture import (
    Picture,
    Refusal,
    fees_of,
    gross_in_try,
    in_try,
    position_in_try,
    rate_of,
    working_in_try,
)

MILLISECOND_NS: Final = 1_000_000


class Buy(Struct, frozen=True):
    """An intent to buy and what it is added to, in TRY. None: something has no price."""

    intent: OrderIntent
    wanted: Decimal
    position: Decimal | None  # What is held of the pair and may still be bought.
    gross: Decimal | None  # Of all pairs.


def spread(picture: Picture, buy: Buy, _now_ns: int) -> Refusal:
    mark, limit = picture.marks[buy.intent.pair], picture.limits.spread_max_bps
    wide_bps = (mark.ask - mark.bid) * 2 / (mark.ask + mark.bid) * BPS_IN_ONE
    if wide_bps > limit:
        return Rule.SPREAD, f"{wide_bps:.1f} bps; allowed {limit} bps"
    return None


def size_reduced(picture: Picture, buy: Buy, _now_ns: int) -> Refusal:
    """Refuse what is right on a good day: larger orders, and pairs that are not held."""
    if picture.size_bps == BPS_IN_ONE and picture.opens_pairs:
        return None
    limit = now_allowed(picture, picture.limits.order_notional_max_try)
    if buy.wanted > limit:
        return Rule.SIZE_REDUCED, f"{buy.wanted:.2f} TRY; now allowed {limit:.2f} TRY"
    is_held = buy.intent.pair in picture.held or buy.intent.pair in picture.exposure.pairs
    if not picture.opens_pairs and not is_held:
        return Rule.SIZE_REDUCED, f"{buy.intent.pair} is not held, and no pair is opened now"
    return None


def cooldown(picture: Picture, buy: Buy, now_ns: int) -> Refusal:
    """Let time pass between two buys of a pair; an approval on its way is no older than now."""
    limit_ms, since_ns = picture.limits.buy_cooldown_ms, picture.bought_ns.get(buy.intent.pair)
    is_on_its_way = picture.exposure.pairs.get(buy.intent.pair, NO_ORDERS).unsent_buys > 0
    if limit_ms and is_on_its_way:
        return Rule.COOLDOWN, f"a buy of {buy.intent.pair} is on its way; wait {limit_ms} ms"
    if since_ns is not None and now_ns - since_ns < limit_ms * MILLISECOND_NS:
        age_ms = (now_ns - since_ns) // MILLISECOND_NS
        return Rule.COOLDOWN, f"{buy.intent.pair} was bought {age_ms} ms ago; wait {limit_ms} ms"
    return None


def pair_orders(picture: Picture, buy: Buy, _now_ns: int) -> Refusal:
    live = picture.exposure.pairs.get(buy.intent.pair, NO_ORDERS).orders
    limit = picture.limits.pair_open_orders_max
    if live >= limit:
        return Rule.PAIR_ORDERS, f"{live} of {buy.intent.pair} are live; allowed {limit}"
    return None


def position_notional(picture: Picture, buy: Buy, _now_ns: int) -> Refusal:
    """Hold what is held, what rests and what is wanted together."""
    limit = now_allowed(picture, picture.limits.position_notional_max_try)
    value, wanted = buy.position, buy.wanted
    if value is None:
        return Rule.ACCOUNT_UNKNOWN, f"no price of {buy.intent.pair} in TRY"
    if value + wanted > limit:
        return Rule.POSITION_NOTIONAL, f"{value:.2f} + {wanted:.2f} TRY; allowed {limit} TRY"
    return None


def gross_exposure(picture: Picture, buy: Buy, _now_ns: int) -> Refusal:
    limit = now_allowed(picture, picture.limits.gross_exposure_max_try)
    value, wanted = buy.gross, buy.wanted
    if value is None:
        return Rule.ACCOUNT_UNKNOWN, "a pair that is held has no price"
    if value + wanted > limit:
        return Rule.GROSS_EXPOSURE, f"{value:.2f} + {wanted:.2f} TRY; allowed {limit} TRY"
    return None


def capital(picture: Picture, buy: Buy, _now_ns: int) -> Refusal:
    """Risk no more than what the account began with and earned back: the rest is put aside."""
    limit, value, wanted = picture.standing.capital, buy.gross, buy.wanted
    if limit is None or value is None:
        return Rule.ACCOUNT_UNKNOWN, "the capital is not known yet"
    if value + wanted > limit:
        return Rule.CAPITAL, f"{value:.2f} + {wanted:.2f} TRY; the capital is {limit:.2f} TRY"
    return None


def concentration(picture: Picture, buy: Buy, _now_ns: int) -> Refusal:
    limit, equity = picture.limits.concentration_max_bps, picture.standing.equity
    value, wanted = buy.position, buy.wanted
    if equity is None or value is None:
        return Rule.ACCOUNT_UNKNOWN, "what the account is worth is not known"
    if (value + wanted) * BPS_IN_ONE > limit * equity:
        held = f"{value + wanted:.2f} TRY of {equity:.2f} TRY"
        return Rule.CONCENTRATION, f"{buy.intent.pair} would be {held}; allowed {limit} bps"
    return None


def decision_notional(picture: Picture, buy: Buy, _now_ns: int) -> Refusal:
    last, wanted = picture.decisions.get(buy.intent.strategy), buy.wanted
    limit = now_allowed(picture, picture.limits.decision_notional_max_try)
    bought = last.buying if last and buy.intent.decided_ns <= last.decided_ns else Decimal(0)
    if bought + wanted > limit:
        return Rule.DECISION_NOTIONAL, f"{bought:.2f} + {wanted:.2f} TRY; allowed {limit} TRY"
    return None


def turnover(picture: Picture, buy: Buy, _now_ns: int) -> Refusal:
    """Count what was traded today, what live orders may still trade, and what is wanted."""
    today, working = picture.standing.turnover, working_in_try(picture)
    limit, wanted = picture.limits.turnover_per_day_max_try, buy.wanted
    if today is None or working is None:
        return Rule.ACCOUNT_UNKNOWN, "what was traded today is not known"
    if today + working + wanted > limit:
        found = f"{today:.2f} today, {working:.2f} working, {wanted:.2f} wanted"
        return Rule.TURNOVER, f"{found}; allowed {limit} TRY"
    return None


def fees(picture: Picture, buy: Buy, _now_ns: int) -> Refusal:
    """Count what was paid today and what live orders and this one may cost as takers."""
    today, working = picture.standing.fees, _working_fees(picture)
    limit = picture.limits.fees_per_day_max_try
    wanted = buy.wanted * fees_of(picture, buy.intent.pair).taker_bps / BPS_IN_ONE
    if today is None or working is None:
        return Rule.ACCOUNT_UNKNOWN, "what was paid in fees today is not known"
    if today + working + wanted > limit:
        found = f"{today:.2f} paid, {working + wanted:.2f} to come"
        return Rule.FEES, f"{found}; allowed {limit} TRY"
    return None


def daily_loss(picture: Picture, _buy: Buy, _now_ns: int) -> Refusal:
    return _lost(
        Rule.DAILY_LOSS, picture.standing.day_loss, picture.limits.daily_loss_max_try, "today"
    )


def weekly_loss(picture: Picture, _buy: Buy, _now_ns: int) -> Refusal:
    limit = picture.limits.weekly_loss_max_try
    return _lost(Rule.WEEKLY_LOSS, picture.standing.week_loss, limit, "since Monday")


def drawdown(picture: Picture, _buy: Buy, _now_ns: int) -> Refusal:
    limit = picture.limits.drawdown_max_try
    return _lost(Rule.DRAWDOWN, picture.standing.drawdown, limit, "below the best")


def now_allowed(picture: Picture, limit: Decimal) -> Decimal:
    """Return what is left of a limit while orders must be smaller."""
    return limit if picture.size_bps == BPS_IN_ONE else limit * picture.size_bps / BPS_IN_ONE


def _lost(rule: Rule, loss: Decimal | None, limit: Decimal, since: str) -> Refusal:
    if loss is None:
        return Rule.ACCOUNT_UNKNOWN, f"the result {since} is not known"
    if loss >= limit:
        return rule, f"{loss:.2f} TRY lost {since}; at {limit} TRY buying ends"
    return None


def _working_fees(picture: Picture) -> Decimal | None:
    total = Decimal(0)
    for pair, orders in picture.exposure.pairs.items():
        rules = picture.rules.get(pair)
        rate = rate_of(picture, rules.quote) if rules else None
        if rate is None:
            return None
        total += orders.working * rate * fees_of(picture, pair).taker_bps / BPS_IN_ONE
    return total


BUY_RULES: Final[tuple[Callable[[Picture, Buy, int], Refusal], ...]] = (
    size_reduced,
    spread,
    position_notional,
    gross_exposure,
    capital,
    pair_orders,
    cooldown,
    decision_notional,
    turnover,
    fees,
    daily_loss,
    weekly_loss,
    drawdown,
    concentration,
)


def judge_buy(picture: Picture, intent: OrderIntent, now_ns: int) -> Refusal:
    """Return the first rule for buys that refuses `intent`, which has a price in TRY."""
    buy = _valued(picture, intent)
    for rule in BUY_RULES:
        refusal = rule(picture, buy, now_ns)
        if refusal is not None:
            return refusal
    return None


def _valued(picture: Picture, intent: OrderIntent) -> Buy:
    wanted = in_try(picture, intent)
    assert wanted is not None, "order_notional refuses what has no price"
    return Buy(intent, wanted, position_in_try(picture, intent.pair), gross_in_try(picture))
