"""What facts and approvals mean for the picture: orders, throttles, and signs of trouble."""

from msgspec.structs import replace

from btcbot.domain.facts import (
    OrderAbsent,
    OrderAcked,
    OrderClosed,
    OrderNotSent,
    OrderRejected,
    OrderSubmitting,
    OrderUnknown,
)
from btcbot.domain.messages import OrderIntent
from btcbot.domain.money import ZERO
from btcbot.domain.words import Side
from btcbot.risk import degrade, exposure
from btcbot.risk.degrade import note
from btcbot.risk.exposure import Resting
from btcbot.risk.picture import Decision, Picture, in_try
from btcbot.risk.rules import HOUR_NS

Ended = OrderClosed | OrderRejected | OrderNotSent | OrderAbsent


def approve(picture: Picture, intent: OrderIntent) -> None:
    """Count at once: the next intent is judged as if this one were live already."""
    if intent.intent_id not in picture.ended and intent.intent_id not in picture.exposure.orders:
        exposure.put(picture.exposure, Resting(intent, intent.quantity))
        _decided(picture, intent)


def submitting(picture: Picture, fact: OrderSubmitting) -> None:
    intent = fact.intent
    if intent.intent_id not in picture.exposure.orders:
        _decided(picture, intent)
    exposure.put(picture.exposure, Resting(intent, intent.quantity, sent_ns=fact.at_ns))
    note(picture.sent_ns, fact.at_ns, HOUR_NS)
    if intent.side is Side.BUY:
        picture.bought_ns[intent.pair] = fact.at_ns


def doubt(picture: Picture, fact: OrderUnknown | OrderAcked) -> None:
    """Follow whether an order is in doubt, and how long the exchange took."""
    known, is_unknown = picture.exposure.orders.get(fact.intent_id), isinstance(fact, OrderUnknown)
    if is_unknown:
        note(picture.seen.unknown_ns, fact.at_ns)
    if known is None:
        return
    if not is_unknown and fact.at_ns - known.sent_ns >= degrade.LATENCY_NS and known.sent_ns:
        note(picture.seen.slow_ns, fact.at_ns)
    exposure.put(picture.exposure, replace(known, is_unknown=is_unknown))


def end(picture: Picture, fact: Ended, now_ns: int) -> None:
    """Free what an order took; its intent, asked again while it may be approved, takes nothing."""
    intent_id = fact.intent_id
    order = exposure.drop(picture.exposure, intent_id)
    if isinstance(fact, OrderRejected):
        note(picture.seen.rejected_ns, fact.at_ns)
    if order is not None:
        pair = order.intent.pair
        if isinstance(fact, OrderNotSent) and picture.bought_ns.get(pair) == order.sent_ns:
            del picture.bought_ns[pair]  # Nothing was bought that one would have to wait after.
        known = {**picture.ended, intent_id: order.intent.expires_ns}
        picture.ended = {key: until_ns for key, until_ns in known.items() if until_ns > now_ns}


def _decided(picture: Picture, intent: OrderIntent) -> None:
    """Count an order with its decision, an older decision with the newest."""
    last, bought = picture.decisions.get(intent.strategy), ZERO
    if intent.side is Side.BUY and intent.pair in picture.rules:
        bought = in_try(picture, intent) or ZERO
    if last is not None and intent.decided_ns <= last.decided_ns:
        decision = Decision(last.decided_ns, last.orders + 1, last.buying + bought)
    else:
        decision = Decision(intent.decided_ns, 1, bought)
    picture.decisions[intent.strategy] = decision
