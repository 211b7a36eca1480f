"""From an answer to a decision, and from a record of one to the same decision again."""

from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from btcbot.agent import guardrails, prompt, rules
from btcbot.agent.budget import Usage
from btcbot.agent.contracts import AgentSetup
from btcbot.agent.parse import advice_of
from btcbot.domain.agent import (
    Advice,
    AgentDecision,
    AgentMode,
    AgentOutcome,
    AnswerFault,
    BuyLimit,
    ModelAnswered,
)
from btcbot.domain.ids import CommandId

GOOD: Final = (AgentOutcome.ADVISED, AgentOutcome.RULES)


class Question(Struct, frozen=True, kw_only=True):
    """What was asked, when, and under which mode."""

    ask_id: CommandId
    mode: AgentMode
    parameters: str
    prompt: str
    context: str
    asked_ns: int


class Outcome(Struct, frozen=True):
    """What a decision derives from what was asked and answered; a replay derives it again."""

    question_hash: str
    outcome: AgentOutcome
    fault: AnswerFault | None
    advice: Advice | None
    rules: tuple[BuyLimit, ...]
    guarded: tuple[BuyLimit, ...]
    until_ns: int


def decision_of(
    setup: AgentSetup,
    question: Question,
    answer: ModelAnswered,
    cost: Usage,
    before: tuple[int, int],
    now_ns: int,
) -> AgentDecision:
    """Return the whole record; `before`: wishes dropped and shrunk since the last decision."""
    record = AgentDecision(
        decision_id=question.ask_id,
        mode=question.mode,
        model=setup.model,
        parameters=question.parameters,
        prompt=question.prompt,
        context=question.context,
        question_hash="",
        spread_max_bps=setup.spread_max_bps,
        drawdown_max_bps=setup.drawdown_max_bps,
        ttl_max_s=setup.ttl_max_s,
        asked_ns=question.asked_ns,
        answered_ns=now_ns,
        outcome=answer.outcome,
        status=answer.status,
        raw=answer.raw,
        raw_bytes=answer.raw_bytes,
        fault=None,
        advice=None,
        rules=(),
        guarded=(),
        until_ns=0,
        tokens_in=cost.tokens_in,
        tokens_out=cost.tokens_out,
        cost=cost.amount,
        dropped=before[0],
        shrunk=before[1],
    )
    return replace(record, **msgspec.structs.asdict(derived(record)))


def derived(record: AgentDecision) -> Outcome:
    """Return what follows from the question and the reply in `record`, whatever it says follows.

    Raises msgspec.ValidationError when its context is no context.
    """
    context = prompt.context_from(record.context)
    pairs = tuple(pair.pair for pair in context.pairs)
    outcome, fault, advice = record.outcome, None, None
    if outcome in (AgentOutcome.ADVISED, AgentOutcome.REFUSED):
        found = advice_of(record.raw, pairs)
        if isinstance(found, Advice):
            outcome, advice = AgentOutcome.ADVISED, found
        else:
            outcome, fault = AgentOutcome.REFUSED, found
    limits = rules.limits_of(context, record.spread_max_bps, record.drawdown_max_bps)
    return Outcome(
        question_hash=prompt.question_hash(record.parameters, record.prompt, record.context),
        outcome=outcome,
        fault=fault,
        advice=advice,
        rules=limits,
        guarded=guardrails.guarded(advice, limits, pairs),
        until_ns=guardrails.stands_until(advice, record.ttl_max_s, record.answered_ns),
    )


def differences(record: AgentDecision) -> dict[str, tuple[object, object]]:
    """Return each field that a replay decides otherwise: what is recorded, what follows now."""
    again = msgspec.structs.asdict(derived(record))
    return {
        name: (getattr(record, name), value)
        for name, value in again.items()
        if getattr(record, name) != value
    }
