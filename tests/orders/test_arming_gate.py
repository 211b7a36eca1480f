"""Arming is checked again for every order: by the gates as they were seen last, without I/O."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from actors import execution
from actors.execution import Complain, LookAtGates, Performer
from btcbot.domain.messages import BookDepth
from btcbot.domain.venue import ArmingSeen, Cancel, ShowMarket, Submit, VenueEffect
from btcbot.domain.words import Rule, TradingState
from btcbot.store.writer import Writer
from bus.actor import Woken
from tests import builders as make
from tests.orders.desks import BTCTRY, Floor, intent, ready


def live(**changes: Any) -> Floor:
    """Return a desk of mode live that a person has resumed, and that nobody has armed yet."""
    floor = ready(mode="live", **changes)
    assert floor.desk.trading is TradingState.PAUSED  # As every first start in live is.
    floor.command(TradingState.LIVE, "resume", reason="ready")
    return floor


def sends(floor: Floor) -> int:
    return sum(isinstance(effect, Submit) for effect in floor.asked)


def test_an_order_goes_when_every_gate_is_open() -> None:
    floor = live()
    floor.hear(ArmingSeen(shut=()))

    assert floor.approve(intent()).rule is None
    assert sends(floor) == 1


def test_nothing_goes_before_somebody_has_looked() -> None:
    verdict = live().approve(intent())

    assert verdict.rule is Rule.NOT_ARMED
    assert verdict.detail == "nobody has looked at the gates yet"


@pytest.mark.parametrize(
    "shut",
    [(code,) for code in ("mode", "armed", "acknowledge", "key", "absence_wait", "kill_switch",
                          "live_check")] + [("armed", "live_check")],
)  # fmt: skip
def test_a_gate_that_shuts_between_two_orders_stops_the_second_by_its_code(
    shut: tuple[str, ...],
) -> None:
    floor = live()
    floor.hear(ArmingSeen(shut=()))
    assert floor.approve(intent(1)).rule is None

    told = [effect for effect in floor.effects if isinstance(effect, Complain)]
    assert told == [], "with every gate open there is nothing to tell"
    floor.hear(ArmingSeen(shut=shut))
    assert Complain("gates_shut", ", ".join(shut)) in floor.effects
    verdict = floor.approve(intent(2, limit_price="2480000"))

    assert (verdict.rule, verdict.detail) == (Rule.NOT_ARMED, f"shut: {', '.join(shut)}")
    assert sends(floor) == 1


def test_an_open_order_is_cancelled_all_the_same_while_a_gate_is_shut() -> None:
    floor = live()
    floor.hear(ArmingSeen(shut=()))
    floor.place(intent(), 7)

    floor.hear(ArmingSeen(shut=("live_check",)))
    floor.command(TradingState.KILLED, "kill", reason="enough")
    floor.wait(1)

    assert any(isinstance(effect, Cancel) for effect in floor.asked)


def test_a_restart_forgets_what_was_seen_and_looks_again_before_it_sends() -> None:
    floor = live()
    floor.hear(ArmingSeen(shut=()))

    floor.restart().open_up()

    assert LookAtGates() in floor.effects
    assert floor.approve(intent()).rule is Rule.NOT_ARMED


def test_every_tick_of_live_looks_at_the_gates_and_no_tick_of_sandbox_does() -> None:
    for mode, is_looked_at in (("live", True), ("sandbox", False), ("backtest", False)):
        floor = ready(mode=mode)
        for seconds in (1, 600):  # A busy tick and quiet ones.
            floor.effects.clear()
            floor.hear(Woken(name="tick", due_ns=floor.now_ns + seconds))
            assert (LookAtGates() in floor.effects) is is_looked_at


class NoVenue:
    """An exchange that nobody may reach for."""

    def start(self, effect: VenueEffect) -> None:
        raise AssertionError(effect)


def test_what_was_seen_of_the_gates_arrives_as_a_message_when_it_changed(tmp_path: Path) -> None:
    seen = [ArmingSeen(shut=()), None, ArmingSeen(shut=("live_check",))]
    heard: list[Struct] = []
    writer = Writer(":memory:")
    performer = Performer(
        writer, NoVenue(), tmp_path / "KILL", heard.append, gates=lambda: seen.pop(0)
    )

    for _ in range(3):
        performer(LookAtGates())
    writer.close()

    assert heard == [ArmingSeen(shut=()), ArmingSeen(shut=("live_check",))]


def test_sandbox_needs_no_arming() -> None:
    floor = ready()

    assert floor.desk.shut_gates is None
    assert floor.approve(intent()).rule is None


def test_a_dry_run_refuses_last_of_all_what_would_be_sent() -> None:
    floor = ready(mode="dry_run")

    would_go = floor.approve(intent(1))
    too_much = floor.approve(intent(2, quantity="999"))

    assert (would_go.rule, would_go.detail) == (Rule.DRY_RUN, "it would be sent")
    assert too_much.rule not in (None, Rule.DRY_RUN)
    assert sends(floor) == 0


@pytest.mark.parametrize("mode", ["paper", "dry_run"])
def test_the_paper_exchange_is_shown_what_the_market_does(mode: str) -> None:
    floor = ready(mode=mode)
    market = (
        make.book_top(),
        make.instrument_rules(),
        BookDepth(pair=BTCTRY, bids=(), asks=(), confirmed_ns=1),
    )

    for seen in market:
        floor.hear(seen)

    assert [e.seen for e in floor.asked if isinstance(e, ShowMarket)][-3:] == list(market)


def test_a_real_exchange_is_not_told_of_its_own_market() -> None:
    floor = ready(mode="sandbox")
    floor.hear(make.book_top())
    floor.hear(make.instrument_rules())

    assert not any(isinstance(effect, ShowMarket) for effect in floor.asked)


def test_execution_hears_trades_and_depth_where_it_is_the_exchange_and_marks_elsewhere() -> None:
    def topics(mode: str) -> set[str]:
        floor = ready(mode=mode)
        made = execution.actor(floor.desk, lambda _: None, floor.writer.reader.facts_after)
        return {row.topic for row in made.hears}

    assert topics("paper") == topics("dry_run") == {"top.", "depth.", "trade.", "rules"}
    assert topics("sandbox") == topics("live") == {"mark.", "rules"}
