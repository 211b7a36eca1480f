"""From wishes to orders: the plan, then the policy, then the guardrails; and the record of it."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from btcbot.domain.decisions import DecisionCut, DecisionLine, DecisionRecord, Trigger, Why
from btcbot.domain.ids import IntentId, Pair, intent_id
from btcbot.domain.money import ZERO, Quantity
from btcbot.domain.policy import Judgement, Planned, Policy, PolicyContext, Ruling
from btcbot.portfolio.account import Account, Book, Wish
from btcbot.portfolio.budget import PlanLimits
from btcbot.portfolio.drafts import Verdict
from btcbot.portfolio.netting import Transfer
from btcbot.portfolio.plan import Cycle, Plan, plan
from btcbot.portfolio.reasons import Reason

WHY_OF = {reason: Why(reason.value) for reason in Reason}
REASON_MAX = 256  # Characters of a reason that are kept, a strategy's or the policy's.


class Idleness(Struct, frozen=True):
    """Why a strategy that looks at the whole account wants nothing of a pair."""

    strategy: str
    pair: Pair
    why: Why
    detail: str = ""


class Question(Struct, frozen=True, kw_only=True):
    """Everything one decision depends on, besides the policy."""

    epoch: int
    number: int
    trigger: Trigger
    account: Account
    books: tuple[Book, ...]
    wishes: tuple[Wish, ...]
    barred: tuple[tuple[Wish, Why], ...]  # Wishes that no plan may serve now.
    idle: tuple[Idleness, ...]
    limits: PlanLimits
    cycle: Cycle

    @property
    def name(self) -> str:
        return f"{self.epoch}.{self.number}"


class Order(Struct, frozen=True):
    """What is to be asked for, under the id of its intent."""

    intent_id: IntentId
    planned: Planned


class Decision(Struct, frozen=True, kw_only=True):
    """The orders to ask for, what passes between seats, and why."""

    orders: tuple[Order, ...]
    transfers: tuple[Transfer, ...]
    record: DecisionRecord
    judgement: Judgement | None  # None: there is no policy, or nothing was planned.


def decide(
    question: Question,
    policy: Policy | None,
    policy_state: Any,  # noqa: ANN401 - the policy's own
    context: PolicyContext | None,
) -> Decision:
    """Return what is decided. Same arguments, same decision."""
    made = plan(question.account, question.books, question.wishes, question.limits, question.cycle)
    planned = tuple(
        Planned(
            strategy=o.strategy, pair=o.pair, side=o.side, quantity=o.quantity,
            limit_price=o.limit_price, life_ns=o.life_ns, reason=o.reason,
        )
        for o in made.orders
    )  # fmt: skip
    judgement = None
    if policy is not None and context is not None and planned:
        judgement = policy.judge(policy_state, context, planned)
    passed = tuple(_passed(question, planned, judgement))
    lines = _lines(question, made, planned, passed)
    return Decision(
        orders=tuple(one.order for one in passed if one.order is not None),
        transfers=made.transfers,
        record=_record(question, made, lines, policy),
        judgement=judgement,
    )


def guarded(question: Question, order: Planned, ruling: Ruling) -> Planned | None:
    """Return the order as far as `ruling` lets it pass: never larger, on a step; None: nothing.

    What is not a number of at least 0 lets nothing pass.
    """
    quantity = ruling.quantity
    if not quantity.is_finite() or quantity <= 0:
        return None
    rules = question.account.lines[order.pair].instrument
    left = rules.quantity_down(min(quantity, order.quantity))
    least = max(question.limits.notional_min, rules.notional_min)
    if left * order.limit_price < least:
        return None
    return order if left == order.quantity else msgspec.structs.replace(order, quantity=left)


def fits(record: DecisionRecord, size_max: int) -> tuple[DecisionRecord, bytes]:
    """Return the record and its JSON of at most `size_max` bytes.

    First lines without an intent go; if intents alone are too much, the words and the cuts of them
    all: what was ordered, and the last code for why it was no more, are always told.
    """
    said = msgspec.json.encode(record)
    while len(said) > size_max:
        rest = [line for line in record.lines if line.intent_id is None]
        told = [line for line in record.lines if line.intent_id is not None]
        if not rest:
            return _bare(record, size_max)
        kept = rest[: len(rest) // 2]
        record = msgspec.structs.replace(
            record,
            lines=(*told, *kept),
            left_out=record.left_out + len(rest) - len(kept),
        )
        said = msgspec.json.encode(record)
    return record, said


def _bare(record: DecisionRecord, size_max: int) -> tuple[DecisionRecord, bytes]:
    lines = tuple(msgspec.structs.replace(line, reason="", cuts=()) for line in record.lines)
    record = msgspec.structs.replace(record, lines=lines)
    said = msgspec.json.encode(record)
    assert len(said) <= size_max, f"{len(said)} bytes of {len(lines)} intents in one decision"
    return record, said


class Passed(NamedTuple):
    """What the policy let pass of an order, and its reason where that is less than was planned."""

    order: Order | None
    reason: str


def _passed(
    question: Question, planned: Sequence[Planned], judgement: Judgement | None
) -> Iterator[Passed]:
    if judgement is None:
        for leg, order in enumerate(planned):
            yield Passed(Order(_intent(question, order, leg), order), "")
        return
    rulings = judgement.rulings
    if len(rulings) != len(planned):
        wrong = f"{len(rulings)} rulings for {len(planned)} orders"
        rulings = tuple(Ruling(ZERO, wrong) for _ in planned)
    for leg, (order, ruling) in enumerate(zip(planned, rulings, strict=True)):
        left, reason = guarded(question, order, ruling), ruling.reason[:REASON_MAX]
        order_left = None if left is None else Order(_intent(question, left, leg), left)
        yield Passed(order_left, reason)


def _intent(question: Question, order: Planned, leg: int) -> IntentId:
    return intent_id(order.strategy, question.epoch, question.number, leg)


def _lines(
    question: Question, made: Plan, planned: Sequence[Planned], passed: Sequence[Passed]
) -> tuple[DecisionLine, ...]:
    """Return what became of each wish: the plan's verdicts in their order, then the barred."""
    lines, leg = [], 0
    wishes = _by_verdict(question.wishes, made.verdicts)
    for verdict, wish in zip(made.verdicts, wishes, strict=True):
        line = _line(wish, verdict)
        if verdict.ordered:
            line = _ruled(line, planned[leg], passed[leg])
            leg += 1
        lines.append(line)
    assert leg == len(planned), "a verdict for each order"
    barred = (
        DecisionLine(
            strategy=wish.strategy, pair=wish.pair, side=wish.side, asked=wish.quantity,
            limit_price=wish.limit_price, reason=wish.reason, ordered=ZERO, why=why,
        )
        for wish, why in question.barred
    )  # fmt: skip
    idle = (
        DecisionLine(
            strategy=row.strategy, pair=row.pair, side=None, asked=ZERO, limit_price=None,
            reason=row.detail, ordered=ZERO, why=row.why,
        )
        for row in question.idle
    )  # fmt: skip
    return (*lines, *barred, *idle)


def _by_verdict(wishes: Sequence[Wish], verdicts: Sequence[Verdict]) -> list[Wish]:
    """Return the wish of each verdict: a seat has one a pair and side."""
    known = {(wish.strategy, wish.pair, wish.side): wish for wish in wishes}
    assert len(known) == len(wishes), "two wishes for one slot"
    return [known[verdict.strategy, verdict.pair, verdict.side] for verdict in verdicts]


def _line(wish: Wish, verdict: Verdict) -> DecisionLine:
    return DecisionLine(
        strategy=wish.strategy,
        pair=wish.pair,
        side=wish.side,
        asked=wish.quantity,
        limit_price=wish.limit_price,
        reason=wish.reason,
        ordered=verdict.ordered,
        netted=verdict.netted,
        why=WHY_OF[verdict.reason],
        cuts=tuple(DecisionCut(WHY_OF[c.reason], c.left, c.detail) for c in verdict.cuts),
    )


def _ruled(line: DecisionLine, planned: Planned, passed: Passed) -> DecisionLine:
    order = passed.order
    replace = msgspec.structs.replace
    left = Quantity(ZERO) if order is None else order.planned.quantity
    if left < planned.quantity:
        cuts = (*line.cuts, DecisionCut(Why.POLICY, left, passed.reason))
        line = replace(line, ordered=left, why=Why.POLICY, cuts=cuts)
    return line if order is None else replace(line, intent_id=order.intent_id)


def _record(
    question: Question, made: Plan, lines: tuple[DecisionLine, ...], policy: Policy | None
) -> DecisionRecord:
    return DecisionRecord(
        decision=question.name,
        trigger=question.trigger,
        quote=question.account.quote,
        inputs=_inputs(question),
        lines=lines,
        deploy=made.deploy,
        spent=made.spent,
        policy="" if policy is None else policy.NAME,
        unsaid=0,
        left_out=0,
        at_ns=question.cycle.now_ns,
    )


def _inputs(question: Question) -> str:
    """Return 16 hex digits over all that the decision was made from."""
    cycle = question.cycle
    resting = [(*slot, until_ns) for slot, until_ns in sorted(cycle.resting.items())]
    parts = (
        question.account, question.books, question.wishes, question.barred, question.limits,
        cycle.now_ns, cycle.trading, resting,
    )  # fmt: skip
    return hashlib.blake2b(msgspec.msgpack.encode(parts), digest_size=8).hexdigest()
