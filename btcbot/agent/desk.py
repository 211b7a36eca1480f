"""The agent inside the strategy actor: when it asks, what it heard, what a plan may keep. Pure.

One question at a time, and only while something is planned: set aside what it may cost (a record
of execution), ask, hear how it ended, record the decision. An answer that never comes blocks
nobody: each plan is judged by what stands.
"""

from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Struct, field

from btcbot.agent import budget, guardrails, prompt, rules
from btcbot.agent.budget import Breaker, Spent, Usage
from btcbot.agent.context import Money, context_of, middles
from btcbot.agent.contracts import SECOND_NS, AgentSetup, AskModel, Context
from btcbot.agent.parse import tokens_of
from btcbot.agent.record import GOOD, Question, decision_of
from btcbot.domain.agent import (
    AGENT_MODE,
    AGENT_OWNER,
    AgentMode,
    AgentOutcome,
    BuyLimit,
    ModelAnswered,
    ModeOrdered,
    RecordDecision,
)
from btcbot.domain.facts import Recorded
from btcbot.domain.ids import Asset, CommandId, Pair
from btcbot.domain.messages import CommandDone, Record
from btcbot.domain.policy import PolicyContext

SPENT: Final = "spent"
LOST_NS: Final = 5 * SECOND_NS  # Past the timeout: whoever asked is gone.


class Standing(Struct, frozen=True):
    """What the newest valid answer about a quote asset's pairs lets through."""

    limits: tuple[BuyLimit, ...]
    until_ns: int


class Open(Struct, frozen=True, kw_only=True):
    """A question on its way: `most` is set aside for it."""

    question: Question
    quote: Asset
    body: bytes
    most: Usage
    is_sent: bool = False


class Desk(Struct, kw_only=True):
    """What the agent remembers; owned by the strategy actor, changed in place."""

    setup: AgentSetup
    mode: AgentMode
    life: str = ""  # How the ids of this life's questions begin.
    spent: Spent = Spent()
    breaker: Breaker = Breaker()
    open: Open | None = None
    money: Money = field(default_factory=Money)
    asked_ns: dict[Asset, int] = field(default_factory=dict)  # Of each quote asset, last.
    middles: dict[Pair, Decimal] = field(default_factory=dict)  # Of the questions before.
    standing: dict[Asset, Standing] = field(default_factory=dict)
    dropped: int = 0
    shrunk: int = 0
    due: list[AskModel | RecordDecision] = field(default_factory=list)  # Heard of, not sent yet.


def start(setup: AgentSetup) -> Desk:
    """Return the agent before it knows anything."""
    return Desk(setup=setup, mode=setup.mode)


# --- asking ---------------------------------------------------------------------------------------


def consult(desk: Desk, known: PolicyContext) -> tuple[Struct, ...]:
    """Begin a question when one is due, or decide by the rules; give up one that is overdue."""
    now_ns = known.now_ns
    if desk.open is not None:
        return _give_up(desk, desk.open, now_ns)
    last_ns = desk.asked_ns.get(known.quote)
    is_due = last_ns is None or now_ns - last_ns >= desk.setup.interval_ns
    return _begin(desk, known) if is_due and desk.mode is not AgentMode.OFF else ()


def _begin(desk: Desk, known: PolicyContext) -> tuple[Struct, ...]:
    now_ns = known.now_ns
    asked = _question(desk, known)
    body = prompt.body(asked.parameters, asked.prompt, asked.context)
    most = budget.worst(desk.setup, body)
    desk.asked_ns[known.quote] = now_ns
    desk.middles.update(middles(known))
    desk.spent = budget.spent_today(desk.spent, now_ns)
    begun = Open(question=asked, quote=known.quote, body=body, most=most)
    if outcome := _why_not(desk, most, now_ns):
        return (_decide(desk, begun, _no_reply(asked, outcome), budget.NOTHING, now_ns),)
    desk.open = begun
    desk.spent = budget.charged(desk.spent, most)
    payload = msgspec.json.encode(desk.spent)
    aside = CommandId(f"{asked.ask_id}.aside")
    return (Record(command_id=aside, owner=AGENT_OWNER, kind=SPENT, key=SPENT, payload=payload),)


def _why_not(desk: Desk, most: Usage, now_ns: int) -> AgentOutcome | None:
    if not desk.setup.model:
        return AgentOutcome.RULES
    if now_ns < desk.breaker.open_until_ns:
        return AgentOutcome.BREAKER
    if not budget.has_room(desk.spent, most, desk.setup):
        return AgentOutcome.BUDGET
    return None


def _question(desk: Desk, known: PolicyContext) -> Question:
    ask_id = CommandId(f"agent-{known.decision}")
    desk.life = ask_id.rpartition(".")[0]
    return Question(
        ask_id=ask_id,
        mode=desk.mode,
        parameters=prompt.parameters(desk.setup.model),
        prompt=prompt.PROMPT,
        context=prompt.context_text(_context(desk, known)),
        asked_ns=known.now_ns,
    )


def _context(desk: Desk, known: PolicyContext) -> Context:
    return context_of(known, desk.money, desk.middles)


def set_aside(desk: Desk, done: CommandDone, now_ns: int) -> tuple[AskModel | RecordDecision, ...]:
    """Ask, now that its cost is on record. Without the record it is not asked."""
    begun = desk.open
    if begun is None or begun.is_sent or done.command_id != f"{begun.question.ask_id}.aside":
        return ()
    if done.refused:
        return _ended(desk, begun, _no_reply(begun.question, AgentOutcome.NOT_SENT), now_ns)
    question = msgspec.structs.replace(begun.question, asked_ns=now_ns)
    desk.open = msgspec.structs.replace(begun, question=question, is_sent=True)
    return (AskModel(question.ask_id, begun.body, desk.setup.timeout_ns),)


def _give_up(desk: Desk, begun: Open, now_ns: int) -> tuple[Struct, ...]:
    if not begun.is_sent or now_ns < begun.question.asked_ns + desk.setup.timeout_ns + LOST_NS:
        return ()  # Execution will answer; the model is still in time.
    return _ended(desk, begun, _no_reply(begun.question, AgentOutcome.LOST), now_ns)


# --- answers --------------------------------------------------------------------------------------


def answered(desk: Desk, answer: ModelAnswered, now_ns: int) -> tuple[RecordDecision, ...]:
    """Take how a question ended; one that was given up is answered in vain."""
    begun = desk.open
    if begun is None or not begun.is_sent or answer.ask_id != begun.question.ask_id:
        return ()
    return _ended(desk, begun, answer, now_ns)


def _ended(
    desk: Desk, begun: Open, answer: ModelAnswered, now_ns: int
) -> tuple[RecordDecision, ...]:
    cost = _cost(desk.setup, begun, answer)
    desk.spent = budget.settled(desk.spent, begun.most, cost)
    desk.open = None
    record = _decide(desk, begun, answer, cost, now_ns)
    is_good = record.decision.outcome in GOOD
    desk.breaker = budget.after(desk.breaker, is_good=is_good, now_ns=now_ns)
    return (record,)


def _cost(setup: AgentSetup, begun: Open, answer: ModelAnswered) -> Usage:
    """Return what the reply says it cost; what does not say counts as the most it can be."""
    if answer.outcome is AgentOutcome.NOT_SENT:
        return budget.NOTHING
    tokens = tokens_of(answer.raw) if answer.outcome is AgentOutcome.ADVISED else None
    return begun.most if tokens is None else budget.usage(setup, *tokens)


def _decide(
    desk: Desk, begun: Open, answer: ModelAnswered, cost: Usage, now_ns: int
) -> RecordDecision:
    counts = (desk.dropped, desk.shrunk)
    decision = decision_of(desk.setup, begun.question, answer, cost, counts, now_ns)
    desk.dropped = desk.shrunk = 0
    if decision.advice is not None and decision.mode is desk.mode:
        # Rules are judged again with each plan: what stands is what the model said alone.
        pairs = tuple(pair.pair for pair in prompt.context_from(decision.context).pairs)
        limits = guardrails.guarded(decision.advice, (), pairs)
        desk.standing[begun.quote] = Standing(limits, decision.until_ns)
    return RecordDecision(decision=decision)


def _no_reply(asked: Question, outcome: AgentOutcome) -> ModelAnswered:
    return ModelAnswered(ask_id=asked.ask_id, outcome=outcome, status=0, raw="", raw_bytes=0)


# --- what was recorded ----------------------------------------------------------------------------


def recalled(desk: Desk, fact: Recorded) -> None:
    """Take back what a person ordered, and what earlier lives spent."""
    if fact.owner != AGENT_OWNER:
        return
    if fact.kind == AGENT_MODE:
        desk.mode = msgspec.json.decode(fact.payload, type=ModeOrdered).mode
        desk.standing = {}
    elif fact.kind == SPENT and not (desk.life and fact.command_id.startswith(desk.life + ".")):
        desk.spent = budget.spent_from(fact.payload)


# --- plans ----------------------------------------------------------------------------------------


def limits_now(desk: Desk, known: PolicyContext) -> dict[Pair, BuyLimit]:
    """Return the limits on buying that stand now: the rules', and those of an answer in time.

    In `shadow` and `off` there are none.
    """
    if desk.mode is not AgentMode.ADVISE:
        return {}
    setup = desk.setup
    limits = rules.limits_of(_context(desk, known), setup.spread_max_bps, setup.drawdown_max_bps)
    standing = desk.standing.get(known.quote)
    if standing is not None and known.now_ns < standing.until_ns:
        limits = guardrails.strictest(limits, standing.limits)
    return {limit.pair: limit for limit in limits}
