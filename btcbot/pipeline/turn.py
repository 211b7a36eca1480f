"""One turn of the pipeline: what the strategies want becomes intents, transfers and a record."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from msgspec import Struct, json
from msgspec.structs import replace

from btcbot.domain.decisions import DecisionRecord, Trigger, Why
from btcbot.domain.ids import Asset, Pair
from btcbot.domain.messages import OrderIntent
from btcbot.domain.money import BPS_IN_ONE, ZERO
from btcbot.domain.policy import PairFacts, Policy, PolicyContext
from btcbot.domain.words import Side
from btcbot.pipeline.book import Standing, rest
from btcbot.pipeline.decision import REASON_MAX, Decision, Idleness, Question, decide, fits
from btcbot.pipeline.state import Quiet, State, quote_of, standing_in
from btcbot.portfolio.account import Line, Wish
from btcbot.portfolio.budget import deploy_budget
from btcbot.portfolio.netting import Transfer
from btcbot.portfolio.plan import Cycle
from btcbot.portfolio.rejects import resting
from btcbot.strategies.contract import NO_HOLDING, slot_of

MINUTE_NS: Final = 60_000_000_000
SAID_MAX: Final = 10  # Records without an intent in a minute; more are counted.
PAYLOAD_MAX: Final = 64 * 1024
UNKEPT_MAX: Final = 1_000  # Records that wait to be asked for.
_SIDES: Final = tuple(Side)


class Wishes(NamedTuple):
    """What is wanted at one time, and what clock strategies left alone."""

    wishes: tuple[Wish, ...]
    idle: tuple[Idleness, ...] = ()
    standing: Standing | None = None  # As it was looked at, just now.


class Said(Struct, frozen=True):
    """What a turn leads to: each is one effect of the actor."""

    intents: tuple[OrderIntent, ...] = ()
    records: tuple[DecisionRecord, ...] = ()  # To publish; their keeping is in `state.unkept`.
    effects: tuple[Struct, ...] = ()  # The policy's.


def turn(state: State, policy: Policy | None, asked: Wishes, trigger: Trigger, now_ns: int) -> Said:
    """Decide on `asked`, one decision a quote asset; remember what became live."""
    said = Said()
    for quote in _quotes(state, asked):
        state.decisions += 1  # Each has a number of its own.
        sifted = _sift(state, asked, quote, now_ns)
        quiet = state.quiet.setdefault(quote, Quiet())
        if _is_known(quiet, sifted):
            quiet.unsaid += 1
            continue
        question = _question(state, asked, sifted, quote, trigger, now_ns)
        context = None if policy is None else _context(state, question)
        decision = decide(question, policy, state.policy, context)
        if decision.judgement is not None:
            state.policy = decision.judgement.state
        for moved in decision.transfers:
            _move(state, question, moved)
        intents = tuple(_intents(state, decision, now_ns))
        said = Said(
            (*said.intents, *intents),
            (*said.records, *_news(state, decision)),
            (*said.effects, *(decision.judgement.effects if decision.judgement else ())),
        )
    return said


def _quotes(state: State, asked: Wishes) -> tuple[Asset, ...]:
    pairs = [wish.pair for wish in asked.wishes] + [i.pair for i in asked.idle if i.pair]
    return tuple(sorted({quote_of(state, pair) for pair in pairs}))


class Sifted(NamedTuple):
    """What is wanted in one quote asset, and what no plan may serve now."""

    wishes: tuple[Wish, ...]
    barred: tuple[tuple[Wish, Why], ...]
    idle: tuple[Idleness, ...]


def _sift(state: State, asked: Wishes, quote: Asset, now_ns: int) -> Sifted:
    """Return what of `asked` a plan may serve, one wish a slot, and what not."""
    open_wishes: dict[str, Wish] = {}
    barred: list[tuple[Wish, Why]] = []
    for wish in asked.wishes:
        if quote_of(state, wish.pair) != quote:
            continue
        slot = slot_of(wish.strategy, wish.pair, wish.side)
        why = _bar(state, slot, now_ns)
        if len(wish.reason) > REASON_MAX:
            wish = replace(wish, reason=wish.reason[:REASON_MAX])  # noqa: PLW2901
        if slot in open_wishes:
            why = Why.SLOT_BUSY
        if why is None:
            open_wishes[slot] = wish
        else:
            barred.append((wish, why))
    idle = tuple(i for i in asked.idle if i.pair and quote_of(state, i.pair) == quote)
    return Sifted(tuple(open_wishes.values()), tuple(barred), idle)


def _is_known(quiet: Quiet, sifted: Sifted) -> bool:
    """Return whether nothing can be ordered, for the reasons that were recorded last.

    A record would say nothing new: no plan is made for it.
    """
    if sifted.wishes:
        return False
    lines = (
        *(_said_of(wish.strategy, wish.pair, wish.side, why) for wish, why in sifted.barred),
        *(_said_of(row.strategy, row.pair, None, row.why) for row in sifted.idle),
    )
    return ";".join(lines) == quiet.signature


def _question(
    state: State, asked: Wishes, sifted: Sifted, quote: Asset, trigger: Trigger, now_ns: int
) -> Question:
    """Return everything the decision depends on."""
    standing = asked.standing
    if standing is None or standing.market.quote != quote:
        standing = standing_in(state, quote, now_ns)
    return Question(
        epoch=state.epoch,
        number=state.decisions,
        trigger=trigger,
        account=standing.whole,
        books=standing.parts,
        wishes=sifted.wishes,
        barred=sifted.barred,
        idle=sifted.idle,
        limits=state.setup.limits,
        cycle=Cycle(
            now_ns=now_ns,
            trading=state.trading,
            resting={
                (pair, side): until_ns
                for pair, until_ns in resting(state.rejects, now_ns).items()
                for side in _SIDES
            },
        ),
    )


def _bar(state: State, slot: str, now_ns: int) -> Why | None:
    not_before, pause = state.refused.get(slot, (0, 0))
    strategy = state.seats[slot.partition(":")[0]]
    if slot in strategy.view.live or any(slot in slots for slots in state.moving.values()):
        return Why.SLOT_BUSY
    # Further off than its own pause: the clock was set back since.
    return Why.REFUSED_LATELY if not_before - pause <= now_ns < not_before else None


def _intents(state: State, decision: Decision, now_ns: int) -> Iterator[OrderIntent]:
    """Yield an intent for each order; from here on its slot is taken and its money spoken for."""
    for order in decision.orders:
        planned = order.planned
        slot = slot_of(planned.strategy, planned.pair, planned.side)
        intent = OrderIntent(
            intent_id=order.intent_id,
            strategy=planned.strategy,
            slot=slot,
            pair=planned.pair,
            side=planned.side,
            quantity=planned.quantity,
            limit_price=planned.limit_price,
            reason=planned.reason,
            seen_ns=state.tops[planned.pair].confirmed_ns,
            decided_ns=now_ns,
            expires_ns=now_ns + planned.life_ns,
        )
        state.seats[planned.strategy].view.live[slot] = planned.side
        rest(state.books, intent)
        yield intent


def _move(state: State, question: Question, moved: Transfer) -> None:
    """Ask that a transfer be written down: it counts when it is, and until then both sides wait."""
    name = f"{question.name}:{moved.seller}:{moved.buyer}:{moved.pair}"
    state.moving[name] = tuple(
        slot_of(seat, moved.pair, side) for seat in (moved.seller, moved.buyer) for side in _SIDES
    )
    state.unkept.append((f"transfer {name}", json.encode(moved)))


def _news(state: State, decision: Decision) -> tuple[DecisionRecord, ...]:
    """Return the record if it tells something new; what is left out is counted in the next."""
    record = decision.record
    now_ns = record.at_ns
    quiet = state.quiet[record.quote]
    is_done = bool(decision.orders or decision.transfers)
    signature = "" if is_done else _signature(record)
    quiet.said_ns = tuple(at_ns for at_ns in quiet.said_ns if now_ns - at_ns < MINUTE_NS)
    if not is_done and (signature == quiet.signature or len(quiet.said_ns) >= SAID_MAX):
        quiet.unsaid += 1
        return ()
    record, said = fits(replace(record, unsaid=quiet.unsaid), PAYLOAD_MAX)
    quiet.unsaid, quiet.signature = 0, signature
    if not is_done:
        quiet.said_ns = (*quiet.said_ns, now_ns)
    if len(state.unkept) < UNKEPT_MAX:
        state.unkept.append((f"decision {record.quote}", said))
    return (record,)


def _signature(record: DecisionRecord) -> str:
    """Return what a decision without an order says: who wanted what, and why it was not to be."""
    return ";".join(_said_of(x.strategy, x.pair, x.side, x.why) for x in record.lines)


def _said_of(strategy: str, pair: Pair, side: Side | None, why: Why) -> str:
    return f"{strategy}:{pair}:{side}:{why}"


def _context(state: State, question: Question) -> PolicyContext:
    cycle, lines = question.cycle, question.account.lines
    return PolicyContext(
        decision=question.name,
        now_ns=cycle.now_ns,
        trading=cycle.trading,
        quote=question.account.quote,
        cash_free=question.account.cash_free,
        exposure=question.account.exposure,
        deploy=deploy_budget(question.account.cash_free, question.limits),
        pairs={pair: _facts(state, question, pair, line) for pair, line in lines.items()},
    )


def _facts(state: State, question: Question, pair: Pair, line: Line) -> PairFacts:
    top = state.tops.get(pair)
    spread = None
    if top is not None and line.middle is not None:
        spread = (top.ask - top.bid) * BPS_IN_ONE / line.middle
    holdings = [seat.view.holdings.get(pair, NO_HOLDING) for seat in state.seats.values()]
    held = sum((one.quantity for one in holdings), ZERO)
    cost = sum((one.quantity * one.average_cost for one in holdings), ZERO)
    selling = (book.selling.get(pair, ZERO) for book in question.books)
    return PairFacts(
        middle=line.middle,
        spread_bps=spread,
        held=held,
        average_cost=cost / held if held else ZERO,
        buying=line.buying,
        selling=sum(selling, ZERO),
        quote_age_ns=None if top is None else question.cycle.now_ns - top.confirmed_ns,
    )
