"""A person's word on an order in doubt: journaled, and never stronger than the exchange's lists."""

from decimal import Decimal
from typing import Any

import pytest

from btcbot.domain.facts import CommandRefused, OrderAbsent, OrderClosed, OrderResolved, OrderZombie
from btcbot.domain.ids import ClientOrderId, CommandId
from btcbot.domain.messages import CommandDone, OrderIntent, ResolveOrder
from btcbot.domain.venue import OpenOrdersRead, ReadAllOrders, ReadOpenOrders
from btcbot.domain.words import OrderState, Resolution, TradingState
from bus.actor import Late
from tests.orders.desks import BTCTRY, Floor, intent, label, listed, ready


def word(wanted: OrderIntent, name: str = "word", **changes: Any) -> ResolveOrder:
    fields: dict[str, Any] = {
        "command_id": CommandId(name),
        "client_order_id": label(wanted),
        "resolution": Resolution.ABSENT,
        "by": "uid 1000",
        "reason": "the exchange's page shows nothing",
    }
    return ResolveOrder(**{**fields, **changes})


def said(floor: Floor, message: ResolveOrder, *, is_late: bool = False) -> str:
    """Give the word, let the exchange answer; return the refusal, empty when it was taken."""
    before = len(floor.asked)
    floor.hear(Late(message) if is_late else message)
    while before < len(floor.asked):
        effect, before = floor.asked[before], before + 1
        floor.now_ns += 1_000_000
        floor.answer(effect)
    done = floor.answers[-1]
    assert isinstance(done, CommandDone)
    assert done.command_id == message.command_id
    return done.refused


def doubtful(seconds: float = 31, **changes: Any) -> tuple[Floor, OrderIntent]:
    """Return a floor with one order that nobody knows of, for `seconds`."""
    floor, wanted = ready(**changes), intent()
    floor.lose(wanted)
    floor.mute = (ReadAllOrders,)  # So that no sweep ends before the person speaks.
    floor.wait(seconds)
    floor.mute = ()
    floor.drop()
    return floor, wanted


@pytest.mark.parametrize(
    ("resolution", "state", "kind"),
    [
        (Resolution.ABSENT, OrderState.ABSENT, OrderAbsent),
        (Resolution.CLOSED, OrderState.CLOSED, OrderClosed),
    ],
)
def test_a_persons_word_ends_the_doubt_and_is_journaled_with_who_and_why(
    resolution: Resolution, state: OrderState, kind: type[OrderAbsent | OrderClosed]
) -> None:
    floor, wanted = doubtful()

    assert said(floor, word(wanted, resolution=resolution)) == ""

    assert floor.state(wanted) is state
    [resolved] = floor.said(OrderResolved)
    assert (resolved.by, resolved.reason) == ("uid 1000", "the exchange's page shows nothing")
    assert len(floor.said(kind)) == 1
    assert floor.restart().state(wanted) is state


def test_a_word_that_is_asked_again_of_the_next_life_has_the_same_answer() -> None:
    floor, wanted = doubtful()
    assert said(floor, word(wanted)) == ""

    assert said(floor.restart(), word(wanted)) == ""

    assert len(floor.said(OrderResolved)) == 1


def test_the_word_waits_for_the_lists_and_is_answered_once_for_every_asking() -> None:
    floor, wanted = doubtful()

    floor.hear(word(wanted), word(wanted))

    assert floor.state(wanted) is OrderState.UNKNOWN
    assert not floor.answers
    assert [type(e) for e in floor.asked] == [ReadOpenOrders]
    floor.answer(floor.asked[0])
    assert floor.state(wanted) is OrderState.UNKNOWN
    floor.answer(floor.asked[1])
    assert floor.state(wanted) is OrderState.ABSENT
    floor.hear(word(wanted))
    assert len(floor.said(OrderResolved)) == 1
    assert len(floor.answers) == 2


def test_a_list_that_was_asked_for_before_the_word_does_not_count() -> None:
    floor, wanted = doubtful()
    floor.hear(word(wanted))

    floor.hear(OpenOrdersRead(pair=BTCTRY, orders=(), asked_ns=floor.now_ns - 1))

    assert [type(e) for e in floor.asked] == [ReadOpenOrders]


@pytest.mark.parametrize("where", ["open", "ended"])
@pytest.mark.parametrize("resolution", list(Resolution))
def test_what_the_exchange_shows_is_stronger(where: str, resolution: Resolution) -> None:
    floor, wanted = doubtful()
    getattr(floor, where).append(listed(77, wanted, status="Untouched"))

    refused = said(floor, word(wanted, resolution=resolution))

    assert "the exchange shows it" in refused
    assert "77" in refused
    assert not floor.said(OrderResolved)
    assert floor.order(wanted).order_id == 77


def test_an_order_just_like_it_without_a_label_forbids_to_call_it_absent() -> None:
    floor, wanted = doubtful()
    floor.open.append(listed(78, None, client_id=""))

    assert "78, which is just like it" in said(floor, word(wanted))
    assert said(floor, word(wanted, "again", resolution=Resolution.CLOSED)) == ""


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"reason": " "}, "needs a reason"),
        ({"client_order_id": ClientOrderId("b1-tests-nothing")}, "no such order"),
    ],
)
def test_refuses_a_word_without_reason_or_order(changes: dict[str, Any], why: str) -> None:
    floor, wanted = doubtful()

    assert why in said(floor, word(wanted, **changes))
    assert floor.said(CommandRefused)
    assert floor.state(wanted) is OrderState.UNKNOWN


def test_refuses_while_the_request_may_still_become_an_order() -> None:
    floor, wanted = doubtful(29)

    assert "it may still become an order" in said(floor, word(wanted))
    floor.wait(2)
    assert said(floor, word(wanted, "later")) == ""


def test_refuses_to_end_what_is_not_in_doubt() -> None:
    floor, wanted = ready(), intent()
    floor.place(wanted, 7)
    floor.wait(31)

    assert "is OPEN, as 7" in said(floor, word(wanted))


def test_refuses_when_the_lists_cannot_be_read() -> None:
    floor, wanted = doubtful()
    floor.mute = (ReadOpenOrders,)
    floor.hear(word(wanted))

    floor.wait(5)

    assert "could not be read" in floor.said(CommandRefused)[0].detail
    assert floor.state(wanted) is OrderState.UNKNOWN


def test_an_incomplete_list_proves_nothing() -> None:
    floor, wanted = doubtful()
    floor.is_complete = False

    assert "could not be read whole" in said(floor, word(wanted))


def test_a_word_that_came_too_late_is_refused_unless_it_was_taken_before() -> None:
    floor, wanted = doubtful()

    assert "deadline" in said(floor, word(wanted, "slow"), is_late=True)
    assert said(floor, word(wanted)) == ""
    assert said(floor, word(wanted), is_late=True) == ""


@pytest.mark.parametrize("resolution", list(Resolution))
def test_an_order_that_appears_after_all_halts_and_is_cancelled(resolution: Resolution) -> None:
    floor, wanted = doubtful()
    assert said(floor, word(wanted, resolution=resolution)) == ""
    floor.open.append(listed(79, wanted))

    floor.wait(61)

    assert floor.desk.trading is TradingState.HALTED
    assert [zombie.order_id for zombie in floor.said(OrderZombie)] == [79]
    assert floor.state(wanted) is OrderState.ZOMBIE


def test_trading_may_be_resumed_once_no_doubt_is_left() -> None:
    floor, wanted = doubtful(61)
    floor.command(TradingState.PAUSED, "pause")
    assert "nobody knows" in floor.command(TradingState.LIVE, "early").refused
    assert said(floor, word(wanted)) == ""
    assert floor.order(wanted).filled == Decimal(0)

    assert floor.command(TradingState.LIVE, "resume").refused == ""
