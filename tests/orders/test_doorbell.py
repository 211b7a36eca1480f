"""What a doorbell makes execution read, and how a private read that fails is remembered."""

from typing import Any

import pytest

from actors.execution import handle, health
from btcbot.domain.ids import OrderId
from btcbot.domain.venue import (
    Doorbell,
    OpenOrdersRead,
    Outcome,
    ReadBalances,
    ReadFailed,
    ReadFills,
    ReadOrder,
    ReadTime,
    Submitted,
    TimeRead,
)
from btcbot.orders.state import Desk
from bus.actor import Health, Woken
from tests.orders.test_market_orders import NOW_NS, PAIR, desk, intent, sent

LATER_NS = NOW_NS + 10**9


def quiet(here: Desk) -> Desk:
    """Let the routine reads be under way, so that only what is rung for is due."""
    handle(here, Woken(name="tick", due_ns=NOW_NS), NOW_NS)
    here.waiting.clear()
    return here


def asked(here: Desk, *messages: Any) -> list[Any]:
    found: list[Any] = []
    for message in messages:
        found += handle(here, message, LATER_NS).effects
    return found


def test_a_frame_about_an_order_of_ours_reads_that_order_and_the_trades() -> None:
    here = desk(market_orders=False)
    sent(here, intent())
    acked = Submitted(
        intent_id=intent().intent_id, outcome=Outcome.ACKED, order_id=OrderId(7), detail=""
    )
    handle(here, acked, NOW_NS)
    effects = asked(quiet(here), Doorbell(order_id=OrderId(7)), Woken(name="tick", due_ns=LATER_NS))

    assert ReadOrder(OrderId(7)) in effects
    assert [effect for effect in effects if isinstance(effect, ReadFills)]
    assert ReadBalances() not in effects


def test_a_frame_about_balances_reads_balances_and_trades() -> None:
    here = quiet(desk(market_orders=False))
    effects = asked(here, Doorbell(order_id=None), Woken(name="tick", due_ns=LATER_NS))

    assert ReadBalances() in effects
    assert [effect for effect in effects if isinstance(effect, ReadFills)]


def test_a_frame_about_somebody_elses_order_reads_the_trades_alone() -> None:
    here = quiet(desk(market_orders=False))
    effects = asked(here, Doorbell(order_id=OrderId(9)), Woken(name="tick", due_ns=LATER_NS))

    assert [effect for effect in effects if isinstance(effect, ReadFills)]
    assert not [effect for effect in effects if isinstance(effect, ReadOrder)]


def test_nothing_is_booked_from_a_doorbell() -> None:
    here = quiet(desk(market_orders=False))
    head = here.head
    asked(here, *[Doorbell(order_id=OrderId(7))] * 5)

    assert here.head == head


def test_a_read_that_goes_on_failing_keeps_execution_degraded_though_others_succeed() -> None:
    here = desk(market_orders=False)
    handle(here, ReadFailed(what="balances", detail="HTTP 401"), NOW_NS)
    listed = OpenOrdersRead(pair=PAIR, orders=(), asked_ns=NOW_NS)
    handle(here, listed, NOW_NS)

    assert health(here) is Health.DEGRADED
    assert here.trouble == "balances: HTTP 401"


@pytest.mark.parametrize("what", ["order 7", f"all {PAIR}", "fills_of"])
def test_a_read_that_is_not_repeated_does_not_degrade_for_ever(what: str) -> None:
    here = desk(market_orders=False)
    handle(here, ReadFailed(what=what, detail="HTTP 502"), NOW_NS)
    assert health(here) is Health.DEGRADED
    handle(here, OpenOrdersRead(pair=PAIR, orders=(), asked_ns=NOW_NS), NOW_NS)

    assert here.trouble == ""


def test_the_exchanges_clock_answers_whoever_asks_and_proves_nothing_of_the_key() -> None:
    here = desk(market_orders=False)
    for _ in range(3):
        failed = ReadFailed(what="balances", detail="HTTP 401", is_unauthorised=True)
        handle(here, failed, NOW_NS)
    handle(here, TimeRead(offset_ns=0, error_ns=10**6), NOW_NS)

    assert here.unauthorised == 3
    step = handle(here, Woken(name="tick", due_ns=LATER_NS), NOW_NS + 120 * 10**9)
    reads = [effect for effect in step.effects if type(effect).__name__.startswith("Read")]
    # One probe, until the key is mended; and the clock, which may be why it is refused.
    assert reads == [ReadTime(), ReadBalances()]


def test_what_was_not_sent_does_not_end_a_row_of_401s() -> None:
    here = desk(market_orders=False)
    sent(here, intent())
    here.unauthorised = 2
    not_sent = Submitted(intent_id=intent().intent_id, outcome=Outcome.NOT_SENT, detail="x")
    handle(here, not_sent, NOW_NS)

    assert here.unauthorised == 2
