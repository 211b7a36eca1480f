"""Wishes that follow from money and prices alone: towards target weights, by momentum, a sweep.

They are wishes like any strategy's: the plan nets them and holds them to budgets and caps.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from btcbot.domain.ids import Pair
from btcbot.domain.money import BPS_IN_ONE, ZERO, Price
from btcbot.domain.words import Side
from btcbot.portfolio.account import Account, Line, Wish
from btcbot.portfolio.bounds import check_amounts
from btcbot.portfolio.budget import PlanLimits, deploy_budget, fee_part, investable
from btcbot.portfolio.reasons import Reason
from btcbot.portfolio.targets import split


class RebalanceRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When to move towards the weights, and at which price."""

    strategy: str = "rebalance"
    band: Decimal = Decimal("0.02")  # Of the capital: nearer than this is near enough.
    offset_bps: Decimal = Decimal(5)  # From the middle, on the patient side.
    life_s: Annotated[int, Meta(ge=1, le=3_600)] = 120  # Of an order.

    def __post_init__(self) -> None:
        check_amounts(self)


class SweepRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do with cash above a target. Off unless it is asked for."""

    strategy: str = "sweep"
    is_on: bool = False
    cash_target: Decimal = Decimal(300)  # Kept; the reserve of the limits if that is more.
    offset_bps: Decimal = Decimal(20)
    life_s: Annotated[int, Meta(ge=1, le=3_600)] = 120

    def __post_init__(self) -> None:
        check_amounts(self)


class Idle(Struct, frozen=True):
    """Why nothing is wished of a pair; `pair` None: of none."""

    pair: Pair | None
    reason: Reason
    detail: str = ""


class Proposal(Struct, frozen=True):
    """Wishes and what was left alone, both by pair."""

    wishes: tuple[Wish, ...]
    idle: tuple[Idle, ...] = ()


def rebalance(
    account: Account,
    weights: Mapping[Pair, Decimal],
    limits: PlanLimits,
    rules: RebalanceRules,
) -> Proposal:
    """Return the wishes that move each pair of `weights` to its part of the capital.

    capital = cash above the reserve + what the pairs of `weights` hold and are buying
    target = weight x capital, at most `position_max`; what is nearer than the band stays.
    What live sells hold counts as sold. Pairs without a weight are left alone: 0 sells all.
    """
    pairs = sorted(weights)
    lines = {pair: account.lines[pair] for pair in pairs if pair in account.lines}
    standing = {pair: _standing(line) for pair, line in lines.items()}
    if None in standing.values():
        return Proposal((), tuple(Idle(p, Reason.EXPOSURE_UNKNOWN) for p in pairs))
    capital = investable(account.cash_free, limits)
    capital += sum((value or ZERO for value in standing.values()), ZERO)
    wishes: list[Wish] = []
    idle: list[Idle] = []
    for pair in pairs:
        line = lines.get(pair)
        if line is None or line.middle is None:
            idle.append(Idle(pair, Reason.UNKNOWN_PAIR if line is None else Reason.NO_PRICE))
            continue
        target = min(weights[pair] * capital, limits.position_max)
        delta = target - (standing[pair] or ZERO)
        band = rules.band * capital if weights[pair] else ZERO  # What is not wanted goes whole.
        found = _towards(line, delta, band, limits)
        if isinstance(found, Idle):
            idle.append(found)
        else:
            wishes.append(_wish(line, found, rules))
    return Proposal(tuple(wishes), tuple(idle))


def _standing(line: Line) -> Decimal | None:
    """Return what is free of a pair and being bought, in quote; None: it is held, unpriced."""
    if line.middle is None:
        return None if line.held else line.buying
    return line.free * line.middle + line.buying


def _towards(line: Line, delta: Decimal, band: Decimal, limits: PlanLimits) -> Decimal | Idle:
    """Return what to buy (above 0) or sell (below 0) of a pair, in quote; or why neither."""
    pair, quote = line.instrument.pair, line.instrument.quote
    if abs(delta) <= band:
        return Idle(pair, Reason.WITHIN_BAND, f"{delta:.2f}; band {band:.2f} {quote}")
    least = max(limits.notional_min, line.instrument.notional_min)
    if abs(delta) < least:
        return Idle(pair, Reason.BELOW_MINIMUM, f"{delta:.2f}; at least {least} {quote}")
    return delta


def by_momentum(
    account: Account,
    scores: Mapping[Pair, Decimal],
    limits: PlanLimits,
    rules: RebalanceRules,
) -> Proposal:
    """Return buys that split what may be spent among the pairs with positive scores.

    A pair's part holds its fees. Pairs without a price, and those too small for an order, have
    none: their part goes to the others.
    """
    return _spread(account, scores, deploy_budget(account.cash_free, limits), limits, rules)


def sweep(
    account: Account, universe: Sequence[Pair], limits: PlanLimits, rules: SweepRules
) -> Proposal:
    """Return patient buys of equal size from the cash above the target; or that it is off."""
    if not rules.is_on:
        return Proposal((), (Idle(None, Reason.SWEEP_OFF),))
    excess = account.cash_free - max(rules.cash_target, limits.cash_reserve)
    if excess <= 0:
        found = f"{account.cash_free} {account.quote}; kept are {rules.cash_target}"
        return Proposal((), (Idle(None, Reason.NOTHING_TO_SWEEP, found),))
    return _spread(account, dict.fromkeys(universe, Decimal(1)), excess, limits, rules)


def _spread(
    account: Account,
    scores: Mapping[Pair, Decimal],
    amount: Decimal,
    limits: PlanLimits,
    rules: RebalanceRules | SweepRules,
) -> Proposal:
    lines = {pair: account.lines.get(pair) for pair in sorted(scores)}
    priced = {
        pair: line
        for pair, line in lines.items()
        if line is not None and line.middle and _price(line, rules.offset_bps, is_buy=True)
    }
    # One minimum for all, so that who is left out is told by the scores alone.
    least = max((_least(line, limits, rules) for line in priced.values()), default=ZERO)
    parts = split(amount, {pair: scores[pair] for pair in priced}, least)
    wishes = tuple(
        _wish(line, parts[pair] / (1 + fee_part(line, limits)), rules)
        for pair, line in priced.items()
        if pair in parts
    )
    idle = tuple(
        Idle(pair, Reason.BELOW_MINIMUM if pair in priced else Reason.NO_PRICE)
        for pair in lines
        if pair not in parts
    )
    return Proposal(wishes, idle)


def _least(line: Line, limits: PlanLimits, rules: RebalanceRules | SweepRules) -> Decimal:
    """Return the smallest part that makes an order after rounding, with its fees."""
    assert line.middle is not None, line.instrument.pair
    least = max(limits.notional_min, line.instrument.notional_min)
    quantity = least / _price(line, rules.offset_bps, is_buy=True) + line.instrument.step
    return quantity * line.middle * (1 + fee_part(line, limits))


def _price(line: Line, offset_bps: Decimal, *, is_buy: bool) -> Price:
    """Return the patient price on a tick: under the middle to buy, above it to sell."""
    assert line.middle is not None, line.instrument.pair
    part = offset_bps / BPS_IN_ONE
    if is_buy:
        return line.instrument.price_down(line.middle * (1 - part))
    return line.instrument.price_up(line.middle * (1 + part))


def _wish(line: Line, amount: Decimal, rules: RebalanceRules | SweepRules) -> Wish:
    """Return a wish for `amount` in quote, above 0 to buy; rounded as its order will be.

    What is bought is worth no more than `amount` at the middle, what is sold brings no more than
    it at its price.
    """
    assert line.middle is not None, line.instrument.pair
    is_buy = amount > 0
    price = _price(line, rules.offset_bps, is_buy=is_buy)
    return Wish(
        strategy=rules.strategy,
        pair=line.instrument.pair,
        side=Side.BUY if is_buy else Side.SELL,
        quantity=line.instrument.quantity_down(abs(amount) / max(line.middle, price)),
        limit_price=price,
        life_ns=rules.life_s * 1_000_000_000,
    )
