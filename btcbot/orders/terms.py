"""In which form an intent is sent: as a limit order, unless market orders are switched on.

An intent has a limit price always: the worst it may be executed at, held against the collar by both
gates. With market orders off, one that wants the market is sent as a limit order at that price,
which takes what is there up to it and nothing beyond. A real market order is bounded by nothing but
the exchange's own guard (5 % from the best price), so it is switched on by hand alone.
"""

from msgspec.structs import replace

from btcbot.domain.messages import BookTop, OrderIntent
from btcbot.domain.money import BPS_IN_ONE, Bps, Notional, floor_to, step_of
from btcbot.domain.venue import LimitOrder, MarketBuy, MarketSell, OrderTerms
from btcbot.domain.words import Side


def as_sent(intent: OrderIntent, *, may_market: bool) -> OrderIntent:
    """Return `intent` as it is journaled and sent: wanting the market only where it may."""
    return intent if may_market or not intent.wants_market else replace(intent, wants_market=False)


def terms_of(intent: OrderIntent, mark: BookTop, price_scale: int, taker: Bps) -> OrderTerms:
    """Return what is sent for `intent`, whose quantity is base asset whatever the form.

    A market buy spends quote: what the quantity costs at the best ask with the commission on top,
    rounded down to the scale of prices.
    """
    if not intent.wants_market:
        return LimitOrder(side=intent.side, quantity=intent.quantity, price=intent.limit_price)
    if intent.side is Side.SELL:
        return MarketSell(quantity=intent.quantity)
    cost = intent.quantity * mark.ask * (1 + taker / BPS_IN_ONE)
    return MarketBuy(spend=Notional(floor_to(cost, step_of(price_scale))))


def spends_quote(intent: OrderIntent) -> bool:
    """Return whether the size in base asset of what was sent is known only once it is filled."""
    return intent.wants_market and intent.side is Side.BUY


def is_beyond(intent: OrderIntent, mark: BookTop) -> bool:
    """Return whether the best price is already worse than the intent allows."""
    if intent.side is Side.BUY:
        return mark.ask > intent.limit_price
    return mark.bid < intent.limit_price
