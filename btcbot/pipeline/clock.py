"""Strategies that look at the whole account by the clock: their part of it, and their pairs."""

from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from btcbot.domain.decisions import Why
from btcbot.domain.ids import Pair
from btcbot.domain.messages import Candle
from btcbot.domain.money import ZERO
from btcbot.domain.words import Side
from btcbot.pipeline import adapt
from btcbot.pipeline.book import Standing
from btcbot.pipeline.decision import Idleness
from btcbot.pipeline.seats import Seat
from btcbot.pipeline.state import State
from btcbot.pipeline.turn import Wishes
from btcbot.portfolio.account import Account
from btcbot.portfolio.budget import rooms
from btcbot.portfolio.features import Features, Memory, read, see_candle, see_depth, see_top
from btcbot.portfolio.picture import Allocator, Picture
from btcbot.portfolio.rejects import counts, resting
from btcbot.portfolio.selection import Sight, is_due, refresh
from btcbot.portfolio.universe import Candidate, screen

SECOND_NS: Final = 1_000_000_000


def is_time(state: State, seat: Seat, strategy: Allocator, now_ns: int) -> bool:
    """Return whether a seat should look: its period is over, or it was filled since it looked.

    A clock that was set back ends the period too: nobody waits for time that comes twice.
    """
    looked_ns = state.looked_ns.get(seat.setup.name)
    period_ns = strategy.every_s(seat.setup.params) * SECOND_NS
    return looked_ns is None or not 0 <= now_ns - looked_ns < period_ns


def look(state: State, seat: Seat, strategy: Allocator, standing: Standing, now_ns: int) -> Wishes:
    """Let a seat look at its part of the account; its own state moves on.

    While no pair has a usable price there is nothing to look at, and it looks again at once.
    """
    if not standing.market.tops:
        return Wishes(())
    state.looked_ns[seat.setup.name] = now_ns
    picture = _picture(state, seat, strategy, standing, now_ns)
    seat.inner, proposal = strategy.propose(seat.inner, seat.setup.params, picture, now_ns)
    adapt.watch(state, seat, picture.account, proposal, now_ns)
    name = seat.setup.name
    return Wishes(
        tuple(replace(wish, strategy=name) for wish in proposal.wishes),
        tuple(
            Idleness(name, row.pair or Pair(""), Why(row.reason.value), row.detail)
            for row in proposal.idle
        ),
    )


def hear_candle(state: State, candle: Candle) -> None:
    """Fold a minute of a pair into what is known of its day."""
    see_candle(_memory(state, candle.pair), state.setup.features, candle)


def _memory(state: State, pair: Pair) -> Memory:
    found = state.memories.get(pair)
    if found is None:
        found = state.memories[pair] = Memory(pair)
    return found


def _picture(
    state: State, seat: Seat, strategy: Allocator, standing: Standing, now_ns: int
) -> Picture:
    whole, here = standing.whole, standing.market.rules
    room = rooms(whole, standing.parts, state.setup.limits)
    spendable = ZERO if room is None else room[seat.setup.name]
    features = {pair: _features(state, pair, now_ns) for pair in here}
    candidates = tuple(
        Candidate(instrument=row, features=features[pair]) for pair, row in here.items()
    )
    rests, rules = resting(state.rejects, now_ns), adapt.rules_of(seat, state.setup.universe)
    if strategy.WANTS_DAY:
        _select(state, candidates, rests, now_ns)
    return Picture(
        account=_part(state, seat, standing, spendable),
        limits=state.setup.limits,
        universe=screen(rules, candidates, rests, now_ns).selected,
        scores=state.scores,
        rising=tuple(pair for pair in sorted(state.scores) if _is_rising(features.get(pair))),
    )


def _is_rising(features: Features | None) -> bool:
    """Return whether a pair costs more than a day ago; what is not known is no rise."""
    return features is not None and features.momentum is not None and features.momentum > 0


def _features(state: State, pair: Pair, now_ns: int) -> Features:
    memory, top = _memory(state, pair), state.tops.get(pair)
    if top is not None:
        see_top(memory, top)
    depth = next(iter(state.seats.values())).view.depths.get(pair)
    if depth is not None:
        see_depth(memory, state.setup.features, depth)
    return read(memory, state.setup.features, now_ns)


def _select(
    state: State, candidates: tuple[Candidate, ...], rests: dict[Pair, int], now_ns: int
) -> None:
    """Choose the pairs anew if it is time; who is in has its score of then."""
    rules = state.setup.selection
    if not is_due(rules, state.selection, now_ns):
        return
    sight = Sight(
        candidates=candidates,
        resting=rests,
        rejects=counts(state.rejects, state.setup.rejects, now_ns),
    )
    found = refresh(rules, state.selection, sight, now_ns)
    state.selection = found.selection
    members = found.selection.members
    state.scores = {row.pair: row.value for row in found.scores if row.pair in members}


def _part(state: State, seat: Seat, standing: Standing, spendable: Decimal) -> Account:
    """Return what one seat may plan with: its room and its own holdings."""
    whole, name = standing.whole, seat.setup.name
    book = next(part for part in standing.parts if part.strategy == name)
    buying = dict[Pair, Decimal]()
    for order in state.books.live.values():
        if order.strategy == name and order.side is Side.BUY:
            buying[order.pair] = buying.get(order.pair, ZERO) + order.left * order.price
    lines = {}
    for pair, line in whole.lines.items():
        held = book.held.get(pair, ZERO)
        free = max(min(held - book.selling.get(pair, ZERO), line.free), ZERO)
        lines[pair] = replace(line, held=held, free=free, buying=buying.get(pair, ZERO))
    cash = min(spendable + state.setup.limits.cash_reserve, whole.cash_free)
    return replace(whole, cash_free=cash, lines=lines)
