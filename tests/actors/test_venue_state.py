"""What execution says of the exchange reaches whoever is asked how everything is."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from actors import CODEC, control, dashboard, execution
from btcbot.config import Config
from btcbot.domain.messages import RateUse, VenueState
from btcbot.domain.status import View, status_of
from btcbot.domain.venue import ReadFailed
from btcbot.domain.words import SocketStatus
from bus.clock import ManualClock
from bus.memory import MemoryBus
from tests.orders.test_market_orders import NOW_NS, PAIR, desk

USE = RateUse(group="submit", window_s=1, used=2, allowed=5, documented=10, closed_s=0)
STATE = VenueState(
    rate=(USE,),
    private_socket=SocketStatus.SUSPECT,
    socket_reason="silent while 2 of our orders changed; polling goes on",
    clock_offset_ms=-12,
    clock_error_ms=8,
    trouble="",
    drift=3,
    at_ns=NOW_NS,
)


def heard(*outcomes: Any) -> tuple[View, View]:
    """Let execution hear `outcomes` of its venue; return control's view and the dashboard's."""
    clock = ManualClock(NOW_NS)
    bus = MemoryBus(clock, CODEC)
    here = desk(market_orders=False)
    nothing: Callable[[Any], None] = lambda _: None  # noqa: E731 - performs no effect
    asked = control.actor(Config(pairs=(PAIR,)), nothing, 4242)
    shown = dashboard.actor("sandbox", (PAIR,))
    bus.start(execution.actor(here, nothing, lambda *_: ((), 0)))
    bus.start(asked)
    bus.start(shown)
    bus.run()
    for outcome in outcomes:
        bus.deliver("execution", outcome)
        bus.run()
    return asked.state.view, shown.state


def test_every_rate_limit_the_socket_and_the_clock_are_in_the_status() -> None:
    for view in heard(STATE):
        status = status_of(view, {}, NOW_NS + 1_500_000_000)

        assert status["rate"] == [
            {"group": "submit", "window_s": 1, "used": 2, "allowed": 5, "documented": 10,
             "closed_s": 0}
        ]  # fmt: skip
        assert status["exchange"] == {
            "private_socket": "SUSPECT",
            "reason": "silent while 2 of our orders changed; polling goes on",
            "clock_offset_ms": -12,
            "clock_error_ms": 8,
            "trouble": "",
            "drift": 3,
            "age_s": 1.5,
        }


def test_before_it_was_heard_nothing_is_known() -> None:
    view, _ = heard()
    status = status_of(view, {}, NOW_NS)

    assert status["rate"] == []
    assert set(status["exchange"].values()) == {None}


@pytest.mark.parametrize("trouble", ["", "401s in a row"])
def test_what_execution_cannot_read_is_the_trouble_that_is_shown(trouble: str) -> None:
    failed = ReadFailed(what=f"open {PAIR}", detail="cannot find exchange.invalid")
    view, _ = heard(failed, replace(STATE, trouble=trouble))

    assert view.venue is not None
    assert view.venue.trouble == f"open {PAIR}: cannot find exchange.invalid"


def test_the_words_of_a_refused_key_are_shown_when_nothing_else_is_wrong() -> None:
    view, _ = heard(replace(STATE, trouble="HTTP 401, code 1037: Invalid Signature"))

    assert view.venue is not None
    assert "Invalid Signature" in view.venue.trouble
