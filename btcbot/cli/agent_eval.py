"""Recorded questions put to another prompt or model, judged by the same rules and guardrails."""

from collections.abc import Callable, Iterable
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from btcbot.agent import budget, prompt, record
from btcbot.agent.client import ModelClient
from btcbot.agent.contracts import AgentSetup, AskModel
from btcbot.agent.parse import tokens_of
from btcbot.domain.agent import AgentDecision, AgentMode, AgentOutcome, BuyLimit
from btcbot.domain.ids import Pair


class Contest(Struct, frozen=True, kw_only=True):
    """Who is asked, and what."""

    url: str
    key: str | None
    model: str
    prompt: str
    timeout_ns: int
    money_per_mtok_in: Decimal
    money_per_mtok_out: Decimal
    leaks: Callable[[str], bool]
    now_ns: Callable[[], int]


class Case(Struct, frozen=True, kw_only=True):
    """One question: of `pairs` pairs, `same` would keep the same part as was recorded."""

    decision_id: str
    outcome: str  # Of asking, or the fault of the answer.
    is_advice: bool
    pairs: int
    same: int
    keep_before: int  # The sum of the pairs' percents.
    keep_now: int
    tokens: int
    cost: Decimal


async def evaluate(contest: Contest, decisions: Iterable[AgentDecision]) -> list[Case]:
    """Return a case for each of `decisions`, asked one after another."""
    client = ModelClient(contest.url, contest.key, lambda _answer: None, contest.leaks)
    try:
        return [await _case(contest, client, each) for each in decisions]
    finally:
        await client.close()


async def _case(contest: Contest, client: ModelClient, before: AgentDecision) -> Case:
    asked_for = prompt.parameters(contest.model)
    body = prompt.body(asked_for, contest.prompt, before.context)
    answer = await client.ask(AskModel(before.decision_id, body, contest.timeout_ns))
    asked = replace(
        before,
        outcome=answer.outcome,
        raw=answer.raw,
        parameters=asked_for,
        prompt=contest.prompt,
    )
    now = record.derived(asked)
    setup = AgentSetup(
        mode=AgentMode.SHADOW,
        money_per_mtok_in=contest.money_per_mtok_in,
        money_per_mtok_out=contest.money_per_mtok_out,
    )
    tokens = tokens_of(answer.raw) or (0, 0)
    cost = budget.usage(setup, *tokens)
    pairs = [pair.pair for pair in prompt.context_from(before.context).pairs]
    was, becomes = _kept(before.guarded, pairs), _kept(now.guarded, pairs)
    return Case(
        decision_id=before.decision_id,
        outcome=(now.fault or now.outcome).value,
        is_advice=now.outcome is AgentOutcome.ADVISED,
        pairs=len(pairs),
        same=sum(a == b for a, b in zip(was, becomes, strict=True)),
        keep_before=sum(was),
        keep_now=sum(becomes),
        tokens=cost.tokens,
        cost=cost.money,
    )


def _kept(limits: tuple[BuyLimit, ...], pairs: list[Pair]) -> list[int]:
    """Return what each of `pairs` keeps, in percent."""
    by_pair = {limit.pair: limit.keep_percent for limit in limits}
    return [by_pair.get(pair, 100) for pair in pairs]
