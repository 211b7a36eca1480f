"""Proofs that each key of [agent] changes what is asked, of whom, and what is let pass."""

from decimal import Decimal
from typing import Any

from btcbot.agent.context import Money
from btcbot.chosen import agent_setup
from tests.agent.asking import Bench, drop, facts, reply, said
from tests.builders import BTCTRY
from tests.config.settled import configured

MODEL = {"url": "http://127.0.0.1:1/v1", "model": "tiny"}


def bench(**keys: Any) -> Bench:
    """Return an agent as `keys` of [agent] set it up: in advise, with a model, unless they say."""
    given = {f"agent__{key}": value for key, value in {"mode": "advise", **MODEL, **keys}.items()}
    return Bench(agent_setup(configured(**given).agent))


def questions(room: Bench, *, times: int = 10, every_s: float = 30) -> int:
    """Return how often the model is asked while a plan is judged again and again."""
    for _ in range(times):
        room.judge()
        if room.desk.open is not None:
            room.answer(reply(said(), tokens=(900, 100)))
        room.later(every_s)
    return len(room.asked)


def test_mode_says_whether_answers_limit_what_is_bought() -> None:
    def kept(mode: str) -> Decimal:
        room = bench(mode=mode)
        room.judge()
        if room.asked:
            room.answer(reply(said(limits=[drop()])))
        [left] = room.judge()
        return left

    assert kept("advise") == 0
    assert kept("shadow") == kept("off") > 0
    assert questions(bench(mode="off")) == 0


def test_interval_s_says_how_often_it_is_asked() -> None:
    assert questions(bench(interval_s=30)) == 10
    assert questions(bench(interval_s=150)) == 2


def test_timeout_s_says_how_long_an_answer_is_waited_for() -> None:
    room = bench(timeout_s=7)
    room.judge()

    assert room.asked[0].timeout_ns == 7_000_000_000


def test_the_budgets_of_the_day_end_the_asking() -> None:
    free = questions(bench(interval_s=10))

    assert questions(bench(interval_s=10, tokens_per_day_max=6_000)) < free
    priced = {"interval_s": 10, "money_per_mtok_in": "100", "money_per_mtok_out": "100"}
    enough = questions(bench(**priced, money_per_day_max="100"))
    assert enough == free
    assert questions(bench(**priced, money_per_day_max="0.6")) < enough
    assert questions(bench(**{**priced, "money_per_mtok_in": "0"}, money_per_day_max="0.6")) > (
        questions(bench(**priced, money_per_day_max="0.6"))
    )
    assert questions(bench(**{**priced, "money_per_mtok_out": "0"}, money_per_day_max="0.6")) > (
        questions(bench(**priced, money_per_day_max="0.6"))
    )


def test_spread_max_bps_and_drawdown_max_bps_are_the_rules_that_stop_buying() -> None:
    wide = {BTCTRY: facts(spread_bps=Decimal(50))}
    assert bench(spread_max_bps=60).judge(pairs=wide)[0] > 0
    assert bench(spread_max_bps=40).judge(pairs=wide)[0] == 0

    def at_drawdown(limit: int) -> Decimal:
        room = bench(drawdown_max_bps=limit)
        room.desk.money = Money(
            equity=Decimal(95_000), drawdown=Decimal(5_000), realized=Decimal(0)
        )
        return room.judge()[0]

    assert at_drawdown(501) > 0
    assert at_drawdown(500) == 0
