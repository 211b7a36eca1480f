"""A tick of execution that is skipped would have done nothing."""

from copy import deepcopy
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from actors.execution import Checkpoint
from btcbot import backtest
from btcbot.bench.goals import made_quotes, quotes_plan
from btcbot.orders import commands, schedule
from btcbot.orders.schedule import SECOND
from btcbot.orders.state import UNAUTHORISED_MAX, Desk
from btcbot.orders.turn import Turn
from bus.actor import Actor, Step, Woken
from tests.orders.desks import intent, ready

MEANS = {"fast": 10, "slow": 20}
PLAN = quotes_plan(has_codec=False)
SETUP = backtest.setup_of(PLAN)


class Witnessed(backtest.Stage):
    """A backtest in which every quiet tick is done in full as well, on a copy of the desk."""

    quiet = busy = 0

    def actor(self, name: str) -> Actor[Any]:
        made = super().actor(name)
        if name != "execution":
            return made
        handle = made.handle

        def witnessed(desk: Desk, message: Struct, now_ns: int) -> Step[Desk]:
            if isinstance(message, Woken) and message.name == "tick":
                self._look(desk, message.due_ns, now_ns)
            return handle(desk, message, now_ns)

        fields = {field: getattr(made, field) for field in made.__dataclass_fields__}
        return Actor(**{**fields, "handle": witnessed})

    def _look(self, desk: Desk, due_ns: int, now_ns: int) -> None:
        if not schedule.is_quiet(desk, now_ns, due_ns):
            self.busy += 1
            return
        self.quiet += 1
        turn = Turn(deepcopy(desk), now_ns)
        commands.end_pauses(turn)
        schedule.tend(turn, due_ns)
        assert not turn.facts
        assert not turn.asks
        assert turn.desk == desk


def test_a_quiet_tick_done_in_full_would_say_nothing_ask_nothing_and_change_nothing() -> None:
    plan = replace(PLAN, params=replace(PLAN.params, **MEANS))
    quotes = list(made_quotes(6_000))
    stage = Witnessed(plan, quotes[0].at_ns)

    stage.play(quotes)

    assert stage.result(quotes[0].at_ns, len(quotes)).fills
    assert stage.quiet > 400
    assert stage.busy > 100


@pytest.mark.parametrize(
    "doubt",
    [
        {"live": {"an intent": None}},
        {"waiting": {"fills": 1}},
        {"pauses": {"all": None}},
        {"hunts": {"BTCTRY": None}},
        {"kill_command": "kill"},
        {"unauthorised": UNAUTHORISED_MAX},
    ],
    ids=lambda doubt: next(iter(doubt)),
)
def test_a_tick_is_not_quiet_while_anything_is_live_under_way_or_in_doubt(
    doubt: dict[str, Any],
) -> None:
    due = dict.fromkeys(("clock", "fills", "balances", "open BTCTRY"), 2)
    assert schedule.is_quiet(Desk(setup=SETUP, due=due), 1, 1)

    assert not schedule.is_quiet(Desk(setup=SETUP, due=due, **doubt), 1, 1)


def test_what_is_heard_ends_the_quiet_that_was_found() -> None:
    floor = ready()
    desk = floor.desk
    while not schedule.is_quiet(desk, floor.now_ns, floor.now_ns):
        floor.wait(0.5)
    assert desk.quiet_until_ns > floor.now_ns

    floor.approve(intent())

    assert desk.live
    assert desk.quiet_until_ns == 0
    assert not schedule.is_quiet(desk, floor.now_ns, floor.now_ns)
    assert desk.tick_ns - floor.now_ns <= schedule.SOON_NS


@pytest.mark.parametrize("name", ["clock", "fills", "balances", "open BTCTRY"])
def test_a_tick_is_not_quiet_when_a_read_is_due_or_was_never_asked_for(name: str) -> None:
    due = dict.fromkeys(("clock", "fills", "balances", "open BTCTRY"), 2)

    for changed in ({**due, name: 1}, {key: at for key, at in due.items() if key != name}):
        assert not schedule.is_quiet(Desk(setup=SETUP, due=changed), 1, 1)


def test_the_disk_is_looked_at_every_ten_seconds_though_nothing_is_written() -> None:
    floor = ready()
    floor.wait(11)
    floor.effects.clear()
    head = floor.desk.head

    floor.wait(60)

    looks = [effect for effect in floor.effects if isinstance(effect, Checkpoint)]
    assert floor.desk.head == head
    assert 5 <= len(looks) <= 6


def test_a_look_at_the_disk_makes_no_tick_of_a_quiet_time_a_full_one() -> None:
    floor = ready()
    while not schedule.is_quiet(floor.desk, floor.now_ns, floor.now_ns):
        floor.wait(0.5)
    floor.desk.due["checkpoint"] = floor.now_ns
    quiet_until_ns = floor.desk.quiet_until_ns
    floor.effects.clear()

    floor.hear(Woken(name="tick", due_ns=floor.now_ns))

    assert Checkpoint() in floor.effects
    assert floor.desk.quiet_until_ns == quiet_until_ns


def test_a_tick_that_comes_late_or_early_is_never_quiet() -> None:
    due = dict.fromkeys(("clock", "fills", "balances", "open BTCTRY"), 9 * SECOND)
    desk = Desk(setup=SETUP, due=due)

    assert schedule.is_quiet(desk, 4 * SECOND, 3 * SECOND)
    assert not schedule.is_quiet(desk, 4 * SECOND, 3 * SECOND - 1)
    assert not schedule.is_quiet(desk, 4 * SECOND, 5 * SECOND + 1)
