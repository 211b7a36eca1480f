"""What occupies a slot and what makes it rest; what is written down and comes back as a fact."""

from typing import Final

from msgspec import json

from btcbot.domain.facts import OrderRejected, Recorded
from btcbot.domain.ids import IntentId
from btcbot.domain.messages import IntentVerdict
from btcbot.pipeline import adapt, book
from btcbot.pipeline.state import State
from btcbot.portfolio.netting import Transfer
from btcbot.portfolio.rejects import note

BACK_OFF_FIRST_NS, BACK_OFF_LAST_NS = 1_000_000_000, 60_000_000_000
MIN_TOTAL: Final = "1123"  # FAILED_MIN_TOTAL_AMOUNT: our idea of the pair's rules is wrong.
OWNER: Final = "strategy"


def recall(state: State, fact: Recorded) -> None:
    """Take in a transfer or a judgement that is written down; decisions are for people alone."""
    if (fact.owner, fact.kind) == (OWNER, "transfer"):
        book.transfer(state.seats, json.decode(fact.payload, type=Transfer))
        state.moving.pop(fact.key, None)
    elif (fact.owner, fact.kind) == (OWNER, adapt.KIND):
        adapt.recall(state, fact)


def judged(state: State, verdict: IntentVerdict, now_ns: int) -> None:
    """Let the slot of a refused wish rest; an accepted one goes on in facts."""
    if verdict.rule is None:
        return
    known = state.books.live.get(verdict.intent_id)
    if known is not None and known.strategy in state.seats:
        state.seats[known.strategy].tally.refuse(verdict.rule)
    refuse(state, verdict.intent_id, now_ns)


def reject(state: State, fact: OrderRejected) -> None:
    """Let the slot rest; perhaps long ago: catching up. Too small again and again: the pair too."""
    known = state.books.live.get(fact.intent_id)
    if known is not None and known.strategy in state.seats:
        state.seats[known.strategy].tally.counts.rejected += 1
    if known is not None and fact.code == MIN_TOTAL:
        state.rejects = note(state.rejects, state.setup.rejects, known.pair, fact.at_ns)
    refuse(state, fact.intent_id, fact.at_ns)


def free(state: State, ended: IntentId) -> str:
    """Forget a wish that ended; its slot is free unless another order stands in it."""
    order = state.books.live.pop(ended, None)
    if order is None:
        return ""
    seat = state.seats.get(order.strategy)
    if seat is not None and all(o.slot != order.slot for o in state.books.live.values()):
        seat.view.live.pop(order.slot, None)
    return order.slot


def refuse(state: State, refused: IntentId, at_ns: int) -> None:
    """Let a refused slot rest, twice as long each time, so that refusals do not flood the log."""
    slot = free(state, refused)
    if slot:
        _, pause = state.refused.get(slot, (0, BACK_OFF_FIRST_NS // 2))
        pause = min(2 * pause, BACK_OFF_LAST_NS)
        state.refused[slot] = (at_ns + pause, pause)
