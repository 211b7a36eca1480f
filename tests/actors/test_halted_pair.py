"""A pair that stops trading while orders rest: nothing new, the rest is cancelled."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from btcbot.domain.facts import (
    Fill,
    IntentRefused,
    OrderAcked,
    OrderCancelRequested,
    OrderClosed,
)
from btcbot.domain.feed import RulesRead
from btcbot.domain.ids import Pair
from btcbot.domain.instruments import DOCUMENTED, Instrument
from btcbot.domain.messages import AccountSnapshot, OrderIntent
from btcbot.domain.money import Price, Quantity
from btcbot.domain.words import Rule, Side
from tests import builders as make
from tests.builders import BTCTRY, SECOND_NS
from tests.stages import market, stage

ETH: Instrument = DOCUMENTED[Pair("ETHTRY")]


def wish(number: int, now_ns: int, price: Decimal) -> OrderIntent:
    return make.intent(
        number, limit_price=Price(price), slot=f"test:{number}", strategy="test",
        seen_ns=now_ns, decided_ns=now_ns, expires_ns=now_ns + 3_600 * SECOND_NS,
    )  # fmt: skip


@pytest.mark.parametrize("left", [(replace(DOCUMENTED[BTCTRY], is_trading=False),), ()])
def test_what_rests_is_cancelled_nothing_is_sent_and_fills_are_still_booked(
    left: tuple[Instrument, ...],
) -> None:
    played = stage()
    played.bus.crash("strategy")  # Only this test wishes.
    played.follow(market(3))
    bus = played.bus
    top = bus.state("market_data").feeds[BTCTRY].quotes.top
    resting = wish(1, played.clock.now_ns(), (top.bid - 1_000) // 10 * 10)
    bus.ask("risk_gate", resting.intent_id, resting)
    bus.advance(2)
    assert [fact.intent_id for fact in bus.heard(OrderAcked)] == [resting.intent_id]

    bus.deliver("market_data", RulesRead(instruments=(ETH, *left)))
    # It fills in part before the cancel arrives: that is money, whatever the pair's state.
    half, below = resting.quantity / 2, Price(resting.limit_price - 10)
    now_ns = played.clock.now_ns()
    played.exchange.print_trade(BTCTRY, Side.SELL, below, Quantity(half), now_ns)
    played.venue.ring()
    bus.advance(20)

    [asked] = bus.heard(OrderCancelRequested)
    assert (asked.intent_id, asked.by) == (resting.intent_id, "execution")
    assert asked.reason == "BTCTRY is not trading"
    assert [fact.intent_id for fact in bus.heard(OrderClosed)] == [resting.intent_id]

    late = wish(2, played.clock.now_ns(), (top.bid - 1_000) // 10 * 10)
    bus.ask("risk_gate", late.intent_id, late)
    bus.advance(2)
    [refused] = bus.heard(IntentRefused)
    assert (refused.intent.intent_id, refused.rule) == (late.intent_id, Rule.PAIR_NOT_TRADING)

    [fill] = bus.heard(Fill)
    assert (fill.intent_id, fill.quantity) == (resting.intent_id, half)
    [position] = bus.heard(AccountSnapshot)[-1].positions  # Accounting goes on.
    assert (position.pair, position.quantity) == (BTCTRY, half)
