"""What may follow from advice: a wish to buy is dropped or made smaller, and nothing else.

Sells pass as they are: to stop one would keep risk. No quantity grows, no price moves, no wish is
added. What a model says never lifts a rule.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from btcbot.domain.agent import Advice, BuyLimit, LimitReason
from btcbot.domain.ids import Pair
from btcbot.domain.money import Quantity
from btcbot.domain.words import Side

CONFIDENCE_MIN: Final = 50
SECOND_NS: Final = 1_000_000_000


def guarded(
    advice: Advice | None, rules: tuple[BuyLimit, ...], pairs: Iterable[Pair]
) -> tuple[BuyLimit, ...]:
    """Return the strictest limit of each of `pairs` that has one; unsure advice counts as none."""
    if advice is None or advice.confidence < CONFIDENCE_MIN:
        return rules
    said = advice.limits
    if advice.is_observing:
        said = tuple(BuyLimit(pair, 0, LimitReason.MODEL) for pair in pairs)
    return strictest(rules, said)


def strictest(*policies: tuple[BuyLimit, ...]) -> tuple[BuyLimit, ...]:
    """Return for each pair that is limited its lowest limit; of two equal ones the first."""
    lowest: dict[Pair, BuyLimit] = {}
    for limit in (limit for limits in policies for limit in limits):
        known = lowest.get(limit.pair)
        if known is None or limit.keep_percent < known.keep_percent:
            lowest[limit.pair] = limit
    return tuple(lowest[pair] for pair in sorted(lowest))


def stands_until(advice: Advice | None, ttl_max_s: int, answered_ns: int) -> int:
    """Return until when advice stands, at most `ttl_max_s` after it came; None: until then."""
    ttl_s = 0 if advice is None else min(advice.ttl_s, ttl_max_s)
    return answered_ns + ttl_s * SECOND_NS


def kept(limit: BuyLimit | None, side: Side, quantity: Quantity) -> Decimal:
    """Return what of a wish is let pass; the actor rounds it down to a step.

    0: nothing of it.
    """
    if limit is None or side is Side.SELL:
        return quantity
    left = quantity * min(max(limit.keep_percent, 0), 100) / 100
    assert left <= quantity, f"{left} of {quantity} {limit.pair}: a limit made a wish larger"
    return left
