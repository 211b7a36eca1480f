"""The agent policy: what it asks, what follows from an answer, and what never does."""

from decimal import Decimal
from typing import get_args, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from btcbot.agent import guardrails, prompt, record
from btcbot.agent.budget import Breaker, after
from btcbot.agent.contracts import AgentSetup, Context, PairContext
from btcbot.domain.agent import (
    Advice,
    AgentMode,
    AgentOutcome,
    AnswerFault,
    BuyLimit,
    LimitReason,
    ModelAnswered,
    ModeOrdered,
)
from btcbot.domain.facts import Recorded
from btcbot.domain.ids import Asset, CommandId, Pair
from btcbot.domain.messages import Record
from btcbot.domain.money import Quantity
from btcbot.domain.words import Side, TradingState
from tests.agent.asking import (
    NOTHING,
    PAIRS,
    SETUP,
    Bench,
    done,
    drop,
    facts,
    known,
    planned,
    reply,
    said,
    shrink,
)
from tests.builders import BTCTRY, ETHTRY, START_NS

FULL, HALF = Decimal("0.001"), Decimal("0.0005")
SHADOW = replace(SETUP, mode=AgentMode.SHADOW)
RULES_ALONE = replace(SETUP, model="")


@pytest.fixture
def bench() -> Bench:
    """Return an agent in advise whose first question is on its way."""
    bench = Bench()
    bench.judge()
    return bench


def recorded(command: str, kind: str, payload: bytes) -> Recorded:
    return Recorded(
        owner="agent", kind=kind, key=kind, payload=payload, command_id=CommandId(command), at_ns=1
    )


# --- what an answer does --------------------------------------------------------------------------


def test_an_answer_shrinks_what_is_bought_of_its_pairs_until_it_ends(bench: Bench) -> None:
    bench.answer(reply(said(limits=[shrink(keep=50)], ttl_s=60)))

    both = (planned(), planned(ETHTRY))
    assert bench.judge(*both) == (HALF, FULL)
    bench.later(59.999)
    assert bench.judge(*both) == (HALF, FULL)
    bench.later(0.001)
    assert bench.judge(*both) == (FULL, FULL)


def test_an_answer_never_touches_a_sale(bench: Bench) -> None:
    bench.answer(reply(said(stance="observe")))

    assert bench.judge(planned(), planned(side=Side.SELL)) == (NOTHING, FULL)


def test_until_an_answer_comes_the_rules_alone_stand(bench: Bench) -> None:
    wide = {BTCTRY: facts(spread_bps=Decimal(121)), ETHTRY: facts()}

    assert bench.judge(planned(), planned(ETHTRY), pairs=wide) == (NOTHING, FULL)


def test_an_answer_does_not_lift_a_rule(bench: Bench) -> None:
    bench.answer(reply(said(limits=[shrink(keep=99)])))
    wide = {BTCTRY: facts(spread_bps=Decimal(121))}

    assert bench.judge(planned(), pairs=wide) == (NOTHING,)


def test_a_newer_answer_takes_the_place_of_the_older_one_and_a_bad_one_does_not(
    bench: Bench,
) -> None:
    bench.answer(reply(said(limits=[drop()], ttl_s=3_600)))
    bench.later(300)
    bench.judge()
    bench.answer(reply("buy everything"))
    assert bench.judge() == (NOTHING,)

    bench.later(300)
    bench.judge()
    bench.answer(reply(said()))
    assert bench.judge() == (FULL,)


def test_an_answer_stands_for_three_questions_at_most(bench: Bench) -> None:
    bench.answer(reply(said(limits=[drop()], ttl_s=3_600)))

    assert bench.records[0].decision.until_ns == START_NS + 900 * 10**9


def test_an_answer_that_is_unsure_is_recorded_and_ignored(bench: Bench) -> None:
    bench.answer(reply(said(limits=[drop()], confidence=49)))

    assert bench.judge() == (FULL,)
    assert bench.records[0].decision.outcome is AgentOutcome.ADVISED
    assert bench.records[0].decision.guarded == ()


@pytest.mark.parametrize("setup", [SHADOW, replace(SHADOW, model="")])
def test_in_shadow_it_is_recorded_and_nothing_follows(setup: AgentSetup) -> None:
    bench = Bench(setup)
    paused = {"trading": TradingState.REDUCE}
    assert bench.judge(**paused) == (FULL,)
    if bench.asked:
        bench.answer(reply(said(stance="observe")))

    assert bench.judge(**paused) == (FULL,)
    [kept] = bench.records
    assert [limit.keep_percent for limit in kept.decision.guarded] == [0, 0]


def test_the_next_record_counts_what_was_dropped_and_shrunk(bench: Bench) -> None:
    bench.answer(reply(said(limits=[shrink(), drop("ETHTRY")], ttl_s=3_600)))
    bench.judge(planned(), planned(ETHTRY), planned(side=Side.SELL))

    bench.later(300)
    bench.judge(planned())
    bench.answer(reply(said()))

    assert (bench.records[1].decision.dropped, bench.records[1].decision.shrunk) == (1, 2)

    bench.later(300)
    bench.judge(planned())
    bench.answer(reply(said()))
    assert (bench.records[2].decision.dropped, bench.records[2].decision.shrunk) == (0, 0)


# --- the rules alone ------------------------------------------------------------------------------


def test_without_a_model_the_rules_decide_and_are_recorded_once_an_interval() -> None:
    bench = Bench(RULES_ALONE)
    for _ in range(3):
        assert bench.judge() == (FULL,)

    bench.later(300)
    bench.judge(trading=TradingState.REDUCE)

    assert not bench.asked
    assert [each.decision.outcome for each in bench.records] == 2 * [AgentOutcome.RULES]
    assert {limit.reason for limit in bench.records[1].decision.guarded} == {
        LimitReason.TRADING_STATE
    }


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        (LimitReason.TRADING_STATE, {"trading": TradingState.REDUCE}),
        (LimitReason.TRADING_STATE, {"trading": TradingState.PAUSED}),
        (LimitReason.TRADING_STATE, {"trading": TradingState.KILLED}),
        (LimitReason.STALE, {"pairs": {BTCTRY: facts(quote_age_ns=2_001_000_000)}}),
        (LimitReason.STALE, {"pairs": {BTCTRY: facts(quote_age_ns=None)}}),
        (LimitReason.STALE, {"pairs": {BTCTRY: facts(spread_bps=None, middle=None)}}),
        (LimitReason.SPREAD, {"pairs": {BTCTRY: facts(spread_bps=Decimal(121))}}),
    ],
)
def test_the_rules_stop_buying_on_what_is_bad_or_not_known(
    reason: LimitReason, changes: dict[str, object]
) -> None:
    bench = Bench(RULES_ALONE)

    assert bench.judge(planned(), planned(side=Side.SELL), **changes) == (NOTHING, FULL)
    assert bench.records[0].decision.guarded[0].reason is reason


@pytest.mark.parametrize(
    ("equity", "drawdown", "reason"),
    [
        (None, 0, LimitReason.ACCOUNT_UNKNOWN),
        (100, None, LimitReason.ACCOUNT_UNKNOWN),
        (90, 10, LimitReason.DRAWDOWN),
        (91, 9, None),
    ],
)
def test_the_rules_stop_buying_at_the_drawdown_or_when_nobody_knows_it(
    equity: int | None, drawdown: int | None, reason: LimitReason | None
) -> None:
    bench = Bench(RULES_ALONE)
    bench.desk.money.equity = None if equity is None else Decimal(equity)
    bench.desk.money.drawdown = None if drawdown is None else Decimal(drawdown)

    bench.judge()

    assert {limit.reason for limit in bench.records[0].decision.guarded} == {reason} - {None}


# --- asking ---------------------------------------------------------------------------------------


def test_it_asks_one_question_at_a_time_and_once_an_interval(bench: Bench) -> None:
    bench.later(9)
    bench.judge()
    assert len(bench.asked) == 1

    bench.answer(reply(said()))
    bench.later(290)
    bench.judge()
    assert len(bench.asked) == 1

    bench.later(1)
    bench.judge()
    assert len(bench.asked) == 2


def test_it_asks_only_when_what_it_may_cost_is_on_record() -> None:
    bench = Bench()
    effects = bench.policy.judge(bench.desk, known(), (planned(),)).effects

    [aside] = effects
    assert isinstance(aside, Record)
    refused = done(aside.command_id, "full")
    bench.hear(refused)
    assert bench.records[0].decision.outcome is AgentOutcome.NOT_SENT
    assert bench.desk.spent.tokens == 0


def test_a_question_nobody_ended_is_given_up_and_its_late_answer_is_nothing(bench: Bench) -> None:
    bench.later(16)
    bench.judge()

    assert bench.records[0].decision.outcome is AgentOutcome.LOST
    bench.answer(reply(said(stance="observe")))
    assert bench.judge() == (FULL,)
    assert len(bench.records) == 1


def test_after_three_failures_it_leaves_the_model_alone_twice_as_long_each_time() -> None:
    breaker, rests = Breaker(), []
    for _ in range(11):
        breaker = after(breaker, is_good=False, now_ns=START_NS)
        rests.append(max(breaker.open_until_ns - START_NS, 0) // 10**9)

    assert rests == [0, 0, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]
    assert after(breaker, is_good=True, now_ns=START_NS) == Breaker()


def test_the_breaker_is_on_record_while_it_is_open() -> None:
    bench = Bench(replace(SETUP, interval_ns=30 * 10**9))
    for _ in range(3):
        bench.judge()
        bench.answer("", AgentOutcome.BROKEN)
        bench.later(30)
    bench.judge()
    bench.later(30)
    bench.judge()

    outcomes = [each.decision.outcome for each in bench.records]
    assert outcomes == [*3 * [AgentOutcome.BROKEN], AgentOutcome.BREAKER]
    assert len(bench.asked) == 4


def test_a_question_that_could_exceed_the_day_is_not_asked() -> None:
    bench = Bench(replace(SETUP, tokens_per_day_max=10_000))
    for _ in range(8):
        bench.judge()
        if len(bench.asked) > len(bench.records):
            bench.answer(reply(said(), tokens=None))  # Counts as the most it can be.
        assert bench.desk.spent.tokens <= 10_000
        bench.later(300)

    outcomes = [each.decision.outcome for each in bench.records]
    assert set(outcomes) == {AgentOutcome.ADVISED, AgentOutcome.BUDGET}
    bench.later(86_400)
    bench.judge()
    assert len(bench.asked) == outcomes.count(AgentOutcome.ADVISED) + 1


def test_money_is_a_limit_of_its_own() -> None:
    bench = Bench(replace(SETUP, money_per_mtok_out=Decimal(1_000), money_per_day_max=Decimal(1)))
    bench.judge()
    bench.answer(reply(said(), tokens=(1_000, 500)))
    bench.later(300)
    bench.judge()

    assert bench.records[0].decision.cost == Decimal("0.503")
    assert bench.records[1].decision.outcome is AgentOutcome.BUDGET


def test_a_new_life_counts_what_the_last_one_set_aside(bench: Bench) -> None:
    aside = bench.aside[0]
    heir = Bench(replace(SETUP, tokens_per_day_max=bench.desk.spent.tokens))
    heir.hear(recorded("agent-6.1.aside", "spent", aside.payload))

    heir.judge()

    assert heir.records[0].decision.outcome is AgentOutcome.BUDGET


def test_its_own_record_of_what_it_set_aside_does_not_undo_what_a_question_cost(
    bench: Bench,
) -> None:
    bench.answer(reply(said(), tokens=(10, 10)))
    bench.hear(recorded(bench.aside[0].command_id, "spent", bench.aside[0].payload))

    assert bench.desk.spent.tokens == 20


def test_what_nobody_called_for_goes_with_the_next_judgement_and_once(bench: Bench) -> None:
    reply_of = ModelAnswered(
        ask_id=bench.asked[0].ask_id, outcome=AgentOutcome.TIMEOUT, status=0, raw="", raw_bytes=0
    )
    bench.policy.hear(bench.desk, reply_of, bench.now_ns)

    bench.judge()
    bench.judge()

    assert [each.decision.outcome for each in bench.records] == [AgentOutcome.TIMEOUT]


# --- the mode -------------------------------------------------------------------------------------


def order(mode: AgentMode) -> Recorded:
    ordered = ModeOrdered(mode=mode, by="uid 1000", reason="why not")
    return recorded("ctl-1-1", "mode", msgspec.json.encode(ordered))


def test_a_person_changes_the_mode_and_what_stood_is_gone(bench: Bench) -> None:
    bench.answer(reply(said(limits=[drop()])))
    bench.hear(order(AgentMode.SHADOW))
    assert bench.judge() == (FULL,)

    bench.hear(order(AgentMode.ADVISE))
    assert bench.judge() == (FULL,)


def test_when_off_it_asks_nobody_and_records_nothing() -> None:
    bench = Bench()
    bench.hear(order(AgentMode.OFF))
    bench.later(10_000)

    assert bench.judge(trading=TradingState.REDUCE) == (FULL,)
    assert not bench.asked
    assert not bench.records


def test_an_answer_to_a_question_of_another_mode_has_no_influence() -> None:
    shadow = Bench(SHADOW)
    shadow.judge()
    shadow.hear(order(AgentMode.ADVISE))
    shadow.answer(reply(said(stance="observe")))

    assert shadow.judge() == (FULL,)


# --- the record -----------------------------------------------------------------------------------


def test_a_record_is_decided_again_without_a_model(bench: Bench) -> None:
    bench.answer(reply(said(limits=[shrink()])))
    [asked] = bench.records

    assert record.differences(asked.decision) == {}
    forged = replace(asked.decision, guarded=())
    assert set(record.differences(forged)) == {"guarded"}
    other = replace(asked.decision, raw=reply(said(limits=[drop()])))
    assert set(record.differences(other)) == {"advice", "guarded"}


def test_a_refused_answer_is_refused_again(bench: Bench) -> None:
    bench.answer(reply("no"))
    [asked] = bench.records

    assert asked.decision.fault is AnswerFault.NOT_JSON
    assert record.differences(asked.decision) == {}


def test_the_question_holds_numbers_and_closed_words_alone(bench: Bench) -> None:
    kinds = {
        part
        for struct in (Context, PairContext)
        for hint in get_type_hints(struct).values()
        for part in (get_args(hint) or (hint,))
    }

    assert kinds == {
        Decimal, int, Pair, Asset, TradingState, PairContext, type(None), ...,
    }  # fmt: skip
    assert bench.desk.open is not None
    context = prompt.context_from(bench.desk.open.question.context)
    assert {pair.pair for pair in context.pairs} == set(PAIRS)


def test_equal_contexts_are_equal_bytes_and_a_hundred_pairs_still_fit() -> None:
    many = {Pair(f"AA{number:03}TRY"): facts(held=Decimal(number)) for number in range(100)}
    benches = (Bench(), Bench())
    for bench, pairs in zip(benches, (many, dict(reversed(many.items()))), strict=True):
        bench.judge(pairs=pairs)
    [first, second] = (bench.asked[0].body for bench in benches)

    assert first == second
    begun = benches[0].desk.open
    assert begun is not None
    assert prompt.context_from(begun.question.context).pairs[0].pair == "AA099TRY"
    assert len(begun.question.context) <= prompt.CONTEXT_MAX


# --- guardrails -----------------------------------------------------------------------------------

percents = st.integers(0, 100)
limits = st.lists(
    st.builds(BuyLimit, st.sampled_from(PAIRS), percents, st.sampled_from(LimitReason)), max_size=4
).map(tuple)
advices = st.builds(
    Advice, is_observing=st.booleans(), ttl_s=st.integers(60, 3_600), confidence=percents,
    limits=limits,
)  # fmt: skip


@given(advice=st.none() | advices, rules=limits)
def test_no_advice_lifts_a_rule(advice: Advice | None, rules: tuple[BuyLimit, ...]) -> None:
    rules = guardrails.strictest(rules)
    by_pair = {one.pair: one.keep_percent for one in guardrails.guarded(advice, rules, PAIRS)}

    assert all(by_pair[one.pair] <= one.keep_percent for one in rules)


@given(
    limit=st.none() | st.builds(BuyLimit, st.just(BTCTRY), percents, st.just(LimitReason.MODEL)),
    side=st.sampled_from(Side),
    quantity=st.decimals("0.00000001", "1000000", places=8),
)
def test_no_limit_makes_a_wish_larger_or_touches_a_sale(
    limit: BuyLimit | None, side: Side, quantity: Decimal
) -> None:
    left = guardrails.kept(limit, side, Quantity(quantity))

    assert 0 <= left <= quantity
    assert side is Side.BUY or left == quantity
