"""The policy without a model: the same context, the same limits. Unknown counts as bad."""

from typing import Final

from btcbot.agent.contracts import Context, PairContext
from btcbot.domain.agent import BuyLimit, LimitReason
from btcbot.domain.words import TradingState

AGE_MAX_MS: Final = 2_000  # As risk_gate judges a book.


def limits_of(context: Context, spread_max_bps: int, drawdown_max_bps: int) -> tuple[BuyLimit, ...]:
    """Return the pairs of `context` that must not be bought now, each with its first reason."""
    everything = _of_all(context, drawdown_max_bps)
    limits = []
    for pair in context.pairs:
        reason = everything or _of_pair(pair, spread_max_bps)
        if reason is not None:
            limits.append(BuyLimit(pair.pair, 0, reason))
    return tuple(limits)


def _of_all(context: Context, drawdown_max_bps: int) -> LimitReason | None:
    if context.trading is not TradingState.LIVE:
        return LimitReason.TRADING_STATE
    if context.drawdown_bps is None:
        return LimitReason.ACCOUNT_UNKNOWN
    if context.drawdown_bps >= drawdown_max_bps:
        return LimitReason.DRAWDOWN
    return None


def _of_pair(pair: PairContext, spread_max_bps: int) -> LimitReason | None:
    if pair.age_ms is None or pair.age_ms > AGE_MAX_MS or pair.spread_bps is None:
        return LimitReason.STALE
    if pair.spread_bps > spread_max_bps:
        return LimitReason.SPREAD
    return None
