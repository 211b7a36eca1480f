"""From the wishes of all strategies to orders: one pure function for live, paper and backtest.

Each wish is rounded, held to its strategy's own budget or holdings, netted against the opposite
wishes of others, and then held to the account's caps. Sells go first. Nothing is ever enlarged;
whatever is cut or left out is in the verdicts with its reason.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec import Struct, field

from btcbot.domain.ids import Pair
from btcbot.domain.words import Side, TradingState
from btcbot.portfolio.account import Account, Book, Line, Wish, evaluation_order
from btcbot.portfolio.budget import PlanLimits
from btcbot.portfolio.drafts import Draft, Verdict
from btcbot.portfolio.netting import Transfer, net
from btcbot.portfolio.purse import PlannedOrder, Purse, open_purse, settle
from btcbot.portfolio.reasons import Reason

Slot = tuple[Pair, Side]


class Cycle(Struct, frozen=True, kw_only=True):
    """What holds for one plan alone."""

    now_ns: int
    trading: TradingState  # LIVE: all; REDUCE: sells; else nothing.
    resting: Mapping[Slot, int] = field(default_factory=dict)  # Until when a pair's side rests.


class Plan(Struct, frozen=True, kw_only=True):
    """Orders in the order to send them; one verdict a wish, in the order they were judged."""

    orders: tuple[PlannedOrder, ...]
    transfers: tuple[Transfer, ...]
    verdicts: tuple[Verdict, ...]
    deploy: Decimal  # What this cycle might spend, fees included.
    spent: Decimal  # What its buys may cost, fees included; never more than `deploy`.


def plan(
    account: Account,
    books: Sequence[Book],
    wishes: Sequence[Wish],
    limits: PlanLimits,
    cycle: Cycle,
) -> Plan:
    """Return what to order now, and what became of every wish. Same arguments, same plan."""
    assert len({book.strategy for book in books}) == len(books), "two books of one strategy"
    purse = open_purse(account, books, limits)
    deploy = purse.cash
    drafts = [_draft(account, cycle, wish) for wish in _in_order(books, wishes)]
    for draft in drafts:
        _bar_bookless(purse, draft)
    transfers = net(drafts, purse.parts)
    orders = [order for draft in drafts if (order := settle(purse, limits, draft)) is not None]
    return Plan(
        orders=tuple(orders),
        transfers=transfers,
        verdicts=tuple(draft.verdict() for draft in drafts),
        deploy=deploy,
        spent=purse.spent,
    )


def _in_order(books: Sequence[Book], wishes: Sequence[Wish]) -> list[Wish]:
    """Return sells first; then the heavier strategy, the larger notional, the pair's name."""
    ranks = {book.strategy: rank for rank, book in enumerate(evaluation_order(books))}
    return sorted(
        wishes,
        key=lambda wish: (
            wish.side is Side.BUY,
            ranks.get(wish.strategy, len(ranks)),
            -(wish.quantity * wish.limit_price),
            wish.pair,
            wish.strategy,
            wish.limit_price,
            wish.life_ns,
            wish.reason,
        ),
    )


def _draft(account: Account, cycle: Cycle, wish: Wish) -> Draft:
    """Return the wish on a tick and a step, or refused for what bars it from the start."""
    line = account.lines.get(wish.pair)
    draft = Draft(wish, line, wish.limit_price, wish.quantity)
    reason = _bar(account, cycle, wish)
    if reason is not None or line is None:
        draft.refuse(reason or Reason.UNKNOWN_PAIR)
        return draft
    rules = line.instrument
    to_tick = rules.price_down if wish.side is Side.BUY else rules.price_up
    draft.price = to_tick(wish.limit_price)
    draft.left = rules.quantity_down(wish.quantity)
    if not draft.price:
        draft.refuse(Reason.PRICE_ROUNDS_TO_ZERO, f"{wish.limit_price}; tick {rules.tick}")
    elif not rules.is_priced_right(draft.price):
        allowed = f"{rules.price_min} to {rules.price_max}"
        draft.refuse(Reason.PRICE_BOUNDS, f"{draft.price}; allowed {allowed}")
    elif not draft.left:
        draft.refuse(Reason.ROUNDED, f"{wish.quantity} {rules.base}; step {rules.step}")
    return draft


def _bar(account: Account, cycle: Cycle, wish: Wish) -> Reason | None:
    """Return why nothing of a wish may go, whatever its size; None: it may."""
    trading, is_buy = cycle.trading, wish.side is Side.BUY
    if trading is not TradingState.LIVE and (is_buy or trading is not TradingState.REDUCE):
        return Reason.TRADING_STATE
    if cycle.now_ns < cycle.resting.get((wish.pair, wish.side), 0):
        return Reason.COOLDOWN
    if wish.quantity <= 0 or wish.limit_price <= 0:
        return Reason.NOT_POSITIVE
    return _bar_line(account, account.lines.get(wish.pair))


def _bar_line(account: Account, line: Line | None) -> Reason | None:
    """Return why nothing of a pair may be ordered; None: it may."""
    if line is None:
        return Reason.UNKNOWN_PAIR
    if line.instrument.quote != account.quote:
        return Reason.OTHER_QUOTE
    if not line.instrument.is_trading:
        return Reason.PAIR_NOT_TRADING
    return Reason.NO_PRICE if line.middle is None else None


def _bar_bookless(purse: Purse, draft: Draft) -> None:
    """Refuse what no part of the capital stands for, or what nobody can say the size of."""
    if draft.left and draft.wish.strategy not in purse.parts.held:
        draft.refuse(Reason.NO_BOOK, draft.wish.strategy)
    is_unknown = purse.parts.room is None or purse.exposure is None
    if draft.left and is_unknown and draft.wish.side is Side.BUY:
        draft.refuse(Reason.EXPOSURE_UNKNOWN)
