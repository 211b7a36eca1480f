"""What the gate judges by, and the values that several rules need.

The gate owns one picture and changes it as it hears; nothing is rebuilt for an intent.
"""

from decimal import Decimal
from typing import Final

from msgspec import Struct, field

from btcbot.domain.ids import Asset, IntentId, Pair
from btcbot.domain.instruments import FeeRates, Instrument, default_fees
from btcbot.domain.messages import BookTop, OrderIntent, Scope
from btcbot.domain.money import BPS_IN_ONE, ZERO
from btcbot.domain.standing import Standing
from btcbot.domain.words import FeedStatus, RiskMode, Rule, Side, TradingState
from btcbot.risk.degrade import Degrade, Seen
from btcbot.risk.exposure import NO_ORDERS, Exposure
from btcbot.risk.limits import RiskLimits

Refusal = tuple[Rule, str] | None
TRY: Final = Asset("TRY")
USDTTRY: Final = Pair("USDTTRY")
ONE: Final = Decimal(1)


class Decision(Struct, frozen=True):
    """What was approved of one decision of a strategy."""

    decided_ns: int
    orders: int
    buying: Decimal  # TRY.


class Picture(Struct, kw_only=True):
    """Owned, changed in place; time is the only other thing a rule is given."""

    limits: RiskLimits  # As configured, and as tightened since.
    fees: dict[Pair, FeeRates]
    rules: dict[Pair, Instrument] = field(default_factory=dict)
    marks: dict[Pair, BookTop] = field(default_factory=dict)
    feeds: dict[Pair, FeedStatus] = field(default_factory=dict)
    exposure: Exposure = field(default_factory=Exposure)
    held: dict[Pair, Decimal] = field(default_factory=dict)  # Base asset, by our own fills; > 0.
    totals: dict[Asset, Decimal] = field(default_factory=dict)  # Of the account, as shown last.
    standing: Standing = field(default_factory=Standing)
    sent_ns: list[int] = field(default_factory=list)  # Of the last hour, oldest first.
    bought_ns: dict[Pair, int] = field(default_factory=dict)  # When a buy was sent last.
    decisions: dict[str, Decision] = field(default_factory=dict)  # The last one of each strategy.
    trading: TradingState = TradingState.PAUSED  # Fail closed until execution says otherwise.
    pauses: dict[Scope, int | None] = field(default_factory=dict)
    mode: RiskMode = RiskMode.NORMAL  # Of the degrade level and the override.
    mode_rule: Rule = Rule.DEGRADED  # Which of the two.
    size_bps: Decimal = BPS_IN_ONE  # How much of the limits of buys is left.
    opens_pairs: bool = True  # False: only pairs that are held may be bought.
    seen: Seen = field(default_factory=Seen)
    degrade: Degrade = Degrade()
    ended: dict[IntentId, int] = field(default_factory=dict)  # Until the intent expires.
    silent: tuple[str, ...] = ("market_data", "execution")
    is_caught_up: bool = False


def take_price(picture: Picture, top: BookTop) -> bool:
    """Take a price; return whether something is valued at it that is worth something else now."""
    old, pair = picture.marks.get(top.pair), top.pair
    picture.marks[pair] = top
    if old is not None and old.ask == top.ask and old.bid == top.bid:
        return False
    if old is None or pair == USDTTRY or pair in picture.held or pair in picture.exposure.pairs:
        return True  # What was earned in USDT, and what is quoted in it, hangs on USDTTRY.
    rules = picture.rules.get(pair)
    return rules is None or bool(picture.totals.get(rules.base))


def rate_of(picture: Picture, quote: Asset) -> Decimal | None:
    """Return TRY per unit of `quote`, at the ask; None when there is no price."""
    if quote == TRY:
        return ONE
    mark = picture.marks.get(in_try_pair(quote))
    return mark.ask if mark else None


def in_try_pair(quote: Asset) -> Pair:
    return Pair(f"{quote}TRY")


def in_try(picture: Picture, intent: OrderIntent) -> Decimal | None:
    """Return the intent's value in TRY; None when its quote has no price."""
    rate = rate_of(picture, picture.rules[intent.pair].quote)
    return None if rate is None else intent.quantity * intent.limit_price * rate


def position_in_try(picture: Picture, pair: Pair) -> Decimal | None:
    """Return what is held of `pair` and may still be bought, in TRY at the ask."""
    buying, held = picture.exposure.pairs.get(pair, NO_ORDERS).buying, picture.held.get(pair, ZERO)
    if not buying and not held:
        return ZERO
    mark, rules = picture.marks.get(pair), picture.rules.get(pair)
    rate = rate_of(picture, rules.quote) if rules else None
    if rate is None or (held and mark is None):
        return None
    return (held * mark.ask + buying) * rate if mark and held else buying * rate


def gross_in_try(picture: Picture) -> Decimal | None:
    """Return what is held of all pairs and may still be bought; None if one has no price."""
    total = ZERO
    for pair in {**picture.held, **picture.exposure.pairs}:
        position = position_in_try(picture, pair)
        if position is None:
            return None
        total += position
    return total


def working_in_try(picture: Picture) -> Decimal | None:
    """Return what all live orders may still trade, both sides, at their limits."""
    total = ZERO
    for pair, orders in picture.exposure.pairs.items():
        rules = picture.rules.get(pair)
        rate = rate_of(picture, rules.quote) if rules else None
        if rate is None:
            return None
        total += orders.working * rate
    return total


def fees_of(picture: Picture, pair: Pair) -> FeeRates:
    return picture.fees.get(pair) or default_fees(picture.rules[pair].quote)


def promised(picture: Picture, asset: Asset) -> Decimal | None:
    """Return what live orders may still take of `asset`: with the taker's fee for buys.

    None: a pair in which an order lives has no rules, so nobody knows what that order takes.
    """
    total = ZERO
    for pair, orders in picture.exposure.pairs.items():
        rules = picture.rules.get(pair)
        if rules is None:
            return None
        if rules.base == asset:
            total += orders.selling
        if rules.quote == asset and orders.buying:
            total += orders.buying * (1 + fees_of(picture, pair).taker_bps / BPS_IN_ONE)
    return total


def cost_of(picture: Picture, intent: OrderIntent) -> Decimal:
    """Return what `intent` may take: base for a sell, quote with the taker's fee for a buy."""
    if intent.side is Side.SELL:
        return intent.quantity
    rate = fees_of(picture, intent.pair).taker_bps / BPS_IN_ONE
    return intent.quantity * intent.limit_price * (1 + rate)
