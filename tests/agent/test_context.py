"""The figures a policy is told, and what a question and a failure cost: by hand."""

from decimal import Decimal

import pytest

from btcbot.agent import budget
from btcbot.agent.budget import OPEN_LAST_NS, Breaker, Spent, Usage
from btcbot.agent.context import Money, context_of, drawdown_bps
from btcbot.agent.contracts import SECOND_NS, AgentSetup
from btcbot.domain.agent import AgentMode
from tests.agent.asking import facts, known
from tests.builders import BTCTRY, START_NS


@pytest.mark.parametrize(
    ("equity", "drawdown", "bps"),
    [
        (90, 10, 1_000),
        (100, 0, 0),
        (-5, 15, 15_000),
        (-10, 10, None),
        (None, 1, None),
        (1, None, None),
    ],
)
def test_a_drawdown_is_a_part_of_the_peak_and_unknown_without_one(
    equity: int | None, drawdown: int | None, bps: int | None
) -> None:
    money = Money(
        equity=None if equity is None else Decimal(equity),
        drawdown=None if drawdown is None else Decimal(drawdown),
    )
    assert drawdown_bps(money) == bps


@pytest.mark.parametrize(
    ("before", "middle", "bps"),
    [(100, 101, 100), (100, 99, -100), (100, None, None), (None, 101, None), (0, 101, None)],
)
def test_a_price_has_changed_since_the_last_question_or_nobody_knows(
    before: int | None, middle: int | None, bps: int | None
) -> None:
    of_pair = facts(middle=None if middle is None else Decimal(middle))
    earlier = {} if before is None else {BTCTRY: Decimal(before)}

    told = context_of(known(pairs={BTCTRY: of_pair}), Money(), earlier)

    assert told.pairs[0].change_bps == bps


def test_a_question_may_take_the_last_token_and_the_last_of_the_money() -> None:
    setup = AgentSetup(mode=AgentMode.ADVISE, tokens_per_day_max=100, money_per_day_max=Decimal(10))
    spent = Spent(1, 1, 60, Decimal(6))

    assert budget.has_room(spent, Usage(30, 10, Decimal(4)), setup)
    assert not budget.has_room(spent, Usage(30, 11, Decimal(4)), setup)
    assert not budget.has_room(spent, Usage(30, 10, Decimal("4.01")), setup)


def test_a_model_that_goes_on_failing_is_asked_once_an_hour() -> None:
    breaker, pauses = Breaker(), []
    for _ in range(40):
        breaker = budget.after(breaker, is_good=False, now_ns=START_NS)
        pauses.append(max(breaker.open_until_ns - START_NS, 0) // SECOND_NS)

    assert pauses[:9] == [0, 0, 60, 120, 240, 480, 960, 1_920, 3_600]
    assert set(pauses[9:]) == {OPEN_LAST_NS // SECOND_NS}
    assert budget.after(breaker, is_good=True, now_ns=START_NS) == Breaker()
