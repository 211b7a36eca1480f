"""From what a decision is judged by to what a policy is told: each number in its one spelling."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from msgspec import Struct

from btcbot.agent.contracts import PAIRS_MAX, Context, PairContext
from btcbot.domain.ids import Pair
from btcbot.domain.money import BPS_IN_ONE, ZERO, text
from btcbot.domain.policy import PairFacts, PolicyContext

MILLISECOND_NS: Final = 1_000_000
BPS_MAX: Final = 1_000_000
AGE_MAX_MS: Final = 86_400_000


class Money(Struct, kw_only=True):
    """What accounting said last, in TRY; None: nothing yet, or not known."""

    equity: Decimal | None = None
    drawdown: Decimal | None = None
    realized: Decimal | None = None


def context_of(known: PolicyContext, money: Money, before: Mapping[Pair, Decimal]) -> Context:
    """Return what is known now of at most 20 pairs; `before`: the middles of the last question."""
    pairs = [_pair(pair, facts, before.get(pair)) for pair, facts in known.pairs.items()]
    pairs.sort(key=lambda each: (-each.held * (each.middle or ZERO), each.pair))
    return Context(
        quote=known.quote,
        trading=known.trading,
        cash_free=_known(known.cash_free),
        exposure=_plain(known.exposure),
        deploy=_known(known.deploy),
        equity=_plain(money.equity),
        drawdown_bps=drawdown_bps(money),
        day_realized=_plain(money.realized),
        pairs=tuple(pairs[:PAIRS_MAX]),
    )


def middles(known: PolicyContext) -> dict[Pair, Decimal]:
    """Return the middle of every pair that has a fresh price."""
    return {pair: facts.middle for pair, facts in known.pairs.items() if facts.middle is not None}


def drawdown_bps(money: Money) -> int | None:
    """Return how far equity lies below its peak; None: not known."""
    if money.equity is None or money.drawdown is None or money.equity + money.drawdown <= 0:
        return None
    return _bps(money.drawdown / (money.equity + money.drawdown) * BPS_IN_ONE)


def _pair(pair: Pair, facts: PairFacts, before: Decimal | None) -> PairContext:
    middle, age_ns = facts.middle, facts.quote_age_ns
    has_change = middle is not None and before
    return PairContext(
        pair=pair,
        middle=_plain(middle),
        spread_bps=None if facts.spread_bps is None else _bps(facts.spread_bps),
        change_bps=_bps((middle / before - 1) * BPS_IN_ONE) if has_change else None,  # type: ignore[operator]
        age_ms=None if age_ns is None else min(max(age_ns // MILLISECOND_NS, 0), AGE_MAX_MS),
        held=_known(facts.held),
        average_cost=_known(facts.average_cost),
        buying=_known(facts.buying),
        selling=_known(facts.selling),
    )


def _bps(value: Decimal) -> int:
    return min(max(round(value), -BPS_MAX), BPS_MAX)


def _known(value: Decimal) -> Decimal:
    """Return `value` to 8 decimals, in its one spelling: equal contexts are equal bytes."""
    return Decimal(text(round(value, 8)))


def _plain(value: Decimal | None) -> Decimal | None:
    return None if value is None else _known(value)
