"""Hundreds of hostile answers: no order beyond the plan, no budget overrun, nobody blocked."""

import json
from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors import CODEC
from btcbot.agent.parse import advice_of, tokens_of
from btcbot.domain.agent import Advice, AgentOutcome, AnswerFault
from btcbot.domain.words import Side
from tests.agent.asking import PAIRS, SETUP, Bench, drop, planned, reply, said, shrink
from tests.agent.hostile import COUNT, corpus
from tests.builders import BTCTRY, ETHTRY

ORDERS = (planned(), planned(ETHTRY), planned(side=Side.SELL), planned(ETHTRY, Side.SELL))


def test_none_of_them_is_advice_and_each_fault_is_met() -> None:
    found = Counter(advice_of(raw, PAIRS) for _, raw in corpus())

    assert COUNT >= 500
    assert set(found) == set(AnswerFault)
    assert found.total() == COUNT


def test_whatever_it_answers_no_order_exceeds_the_plan_and_no_sale_is_touched() -> None:
    bench = Bench(replace(SETUP, interval_ns=0, tokens_per_day_max=10**9))
    bench.judge()
    bench.answer(reply(said(limits=[shrink(keep=50)], ttl_s=3_600)))
    for kind, raw in corpus(seed=2):
        bench.later(3_601)  # Whatever pause the breaker made is over.
        bench.judge()
        bench.answer(raw)
        kept = bench.judge(*ORDERS)
        assert kept == tuple(order.quantity for order in ORDERS), kind

    [first, *others] = [each.decision for each in bench.records if each.decision.raw]
    assert first.outcome is AgentOutcome.ADVISED
    assert len(others) >= COUNT - 60  # Of an empty reply nothing is kept.
    assert {each.outcome for each in others} == {AgentOutcome.REFUSED}


def test_a_record_of_any_answer_crosses_the_bus() -> None:
    bench = Bench(replace(SETUP, interval_ns=0, tokens_per_day_max=10**9))
    for _, raw in corpus(seed=3):
        bench.later(3_601)
        bench.judge()
        bench.answer(raw)

    for record in bench.records:
        assert CODEC.decode_message(CODEC.encode_message(record)) == record


@pytest.mark.parametrize(
    "usage", [(0, 0), (10**9, 10**9), (-1, 5), (10**30, 1), ("many", 2), (1.5, 2), (True, False)]
)
def test_whatever_it_says_it_cost_nothing_is_asked_past_the_budget(
    usage: tuple[object, object],
) -> None:
    setup = replace(SETUP, interval_ns=0, money_per_day_max=Decimal("0.1"))
    bench, sent = Bench(setup), 0
    for _ in range(200):
        bench.judge()
        sent += bench.desk.open is not None
        if bench.desk.open is not None:
            body = json.loads(reply(said()))
            body["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
            worst = bench.desk.open.most
            assert bench.desk.spent.money <= setup.money_per_day_max
            bench.answer(json.dumps(body))
            if not isinstance(tokens_of(json.dumps(body)), tuple):
                assert bench.records[-1].decision.cost == worst.money
        bench.later(1)

    assert sent == 200 if usage == (0, 0) else sent < 200


@given(
    raw=st.text(max_size=200) | st.binary(max_size=200).map(lambda b: b.decode("utf-8", "replace"))
)
def test_no_text_breaks_the_parser(raw: str) -> None:
    for body in (raw, reply(raw)):
        tokens_of(body)
        assert not isinstance(advice_of(body, PAIRS), Advice)


@given(
    keep=st.integers(1, 99), ttl=st.integers(60, 3_600), confidence=st.integers(0, 100),
    observes=st.booleans(),
)  # fmt: skip
def test_every_answer_of_the_grammar_is_read(
    keep: int, ttl: int, confidence: int, observes: bool
) -> None:
    limits = [] if observes else [shrink(keep=keep), drop("ETHTRY")]
    stance = "observe" if observes else "proceed"
    raw = reply(said(stance=stance, ttl_s=ttl, confidence=confidence, limits=limits))

    advice = advice_of(raw, PAIRS)

    assert isinstance(advice, Advice)
    assert (advice.is_observing, advice.ttl_s, advice.confidence) == (observes, ttl, confidence)
    kept = [(each.pair, each.keep_percent) for each in advice.limits]
    assert kept == ([] if observes else [(BTCTRY, keep), (ETHTRY, 0)])
