"""What is left of every cap while one plan is made, and what an order takes of it."""

from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct

from btcbot.domain.ids import Pair
from btcbot.domain.money import ZERO, Price, Quantity
from btcbot.domain.words import Side
from btcbot.portfolio.account import Account, Book
from btcbot.portfolio.budget import Parts, PlanLimits, deploy_budget, fee_part, parts
from btcbot.portfolio.drafts import Draft
from btcbot.portfolio.reasons import Reason


class PlannedOrder(Struct, frozen=True, kw_only=True):
    """On a step, on a tick, at least the minimum; belongs to one strategy."""

    strategy: str
    pair: Pair
    side: Side
    quantity: Quantity
    limit_price: Price
    life_ns: int
    reason: str


class Purse(Struct):
    """Owned by one plan, and changed in place by it."""

    parts: Parts
    cash: Decimal
    cycle: Decimal
    exposure: Decimal | None  # None: not known, so nothing more may be bought.
    orders: int
    positions: dict[Pair, Decimal]
    free: dict[Pair, Decimal]
    spent: Decimal = ZERO


def open_purse(account: Account, books: Sequence[Book], limits: PlanLimits) -> Purse:
    """Return what one plan may use."""
    exposure = account.exposure
    return Purse(
        parts=parts(account, books, limits),
        cash=deploy_budget(account.cash_free, limits),
        cycle=limits.cycle_max,
        exposure=None if exposure is None else limits.exposure_max - exposure,
        orders=limits.orders_max,
        positions={},
        free={},
    )


def settle(purse: Purse, limits: PlanLimits, draft: Draft) -> PlannedOrder | None:
    """Hold a draft to what is left of the account's caps; return its order, or None."""
    line = draft.line
    if not draft.left or line is None:
        return None
    if not purse.orders:
        draft.refuse(Reason.ORDERS_MAX, f"at most {limits.orders_max} a cycle")
        return None
    if draft.wish.side is Side.BUY:
        _cap_buy(purse, limits, draft)
    else:
        strategy, pair = draft.wish.strategy, draft.wish.pair
        draft.cap_quantity(Reason.STRATEGY_INVENTORY, purse.parts.to_sell(strategy, pair))
        draft.cap_quantity(Reason.INVENTORY, purse.free.get(pair, line.free))
        draft.cap_notional(Reason.ORDER_CAP, limits.order_max)
    least = max(limits.notional_min, line.instrument.notional_min)
    if draft.left and draft.notional < least:
        found = f"{draft.notional:.2f}; at least {least} {line.instrument.quote}"
        draft.refuse(Reason.BELOW_MINIMUM, found)
    if not draft.left:
        return None
    _charge(purse, limits, draft)
    return PlannedOrder(
        strategy=draft.wish.strategy,
        pair=draft.wish.pair,
        side=draft.wish.side,
        quantity=draft.left,
        limit_price=draft.price,
        life_ns=draft.wish.life_ns,
        reason=draft.wish.reason,
    )


def _cap_buy(purse: Purse, limits: PlanLimits, draft: Draft) -> None:
    line = draft.line
    assert line is not None, draft.wish
    assert purse.exposure is not None, draft.wish
    position, notional = _position_left(purse, limits, draft), draft.notional
    for reason, most in (
        (Reason.STRATEGY_BUDGET, purse.parts.to_buy(draft.wish.strategy)),
        (Reason.CASH, purse.cash / (1 + fee_part(line, limits))),
        (Reason.POSITION_CAP, position),
        (Reason.EXPOSURE_CAP, purse.exposure),
        (Reason.CYCLE_CAP, purse.cycle),
        (Reason.ORDER_CAP, limits.order_max),
    ):
        if notional > most:
            draft.cap_notional(reason, most)
            notional = draft.notional


def _charge(purse: Purse, limits: PlanLimits, draft: Draft) -> None:
    """Take an order from what is left. What a sell will bring is not counted before it is there."""
    line, pair, notional = draft.line, draft.wish.pair, draft.notional
    assert line is not None, draft.wish
    purse.orders -= 1
    if draft.wish.side is Side.SELL:
        purse.free[pair] = purse.free.get(pair, line.free) - draft.left
        purse.parts.sells(draft.wish.strategy, pair, draft.left)
        return
    purse.parts.buys(draft.wish.strategy, notional)
    cost = notional * (1 + fee_part(line, limits))
    purse.cash -= cost
    purse.spent += cost
    purse.cycle -= notional
    purse.positions[pair] = _position_left(purse, limits, draft) - notional
    assert purse.exposure is not None, draft.wish
    purse.exposure -= notional


def _position_left(purse: Purse, limits: PlanLimits, draft: Draft) -> Decimal:
    found = purse.positions.get(draft.wish.pair)
    if found is not None:
        return found
    assert draft.line is not None, draft.wish
    return limits.position_max - (draft.line.value or ZERO)
