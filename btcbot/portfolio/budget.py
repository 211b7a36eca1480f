"""How much may be spent: of the account in one cycle, and of each strategy's part.

A cap of zero means zero: nothing passes. There is no value that means "no cap".
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from btcbot.domain.ids import Pair
from btcbot.domain.money import BPS_IN_ONE, ZERO, floor_to
from btcbot.portfolio.account import Account, Book, Line
from btcbot.portfolio.bounds import check_amounts

CENT = Decimal("0.01")
ONE = Decimal(1)


class PlanLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Caps of one plan, in the quote asset. What trouble shrinks, the risk gate shrinks."""

    cash_reserve: Decimal = Decimal(300)  # Never spent.
    use_share: Decimal = ONE  # Of what lies above the reserve, in one cycle.
    fee_buffer_bps: Decimal = Decimal(20)  # Kept for fees beside each buy; the taker's at least.
    position_max: Decimal = Decimal(5_000)  # Held and being bought, of one pair.
    exposure_max: Decimal = Decimal(10_000)  # Held and being bought, of all pairs.
    cycle_max: Decimal = Decimal(1_000)  # Bought in one cycle. Sells are not counted.
    order_max: Decimal = Decimal(3_000)  # Of one order, buy or sell.
    notional_min: Decimal = Decimal(100)  # Of one order; the exchange's own if that is more.
    orders_max: Annotated[int, Meta(ge=0, le=100)] = 2  # In one cycle; sells come first.

    def __post_init__(self) -> None:
        check_amounts(self)
        if self.use_share > 1:
            raise ValueError(f"use_share = {self.use_share}: allowed is 0 to 1")


class Parts(Struct):
    """What each strategy has left while one plan is made; owned by it and changed in place."""

    room: dict[str, Decimal] | None  # To buy for, in quote; None: not known.
    held: dict[str, dict[Pair, Decimal]]  # To sell, in base.

    def to_buy(self, strategy: str) -> Decimal:
        return ZERO if self.room is None else self.room[strategy]

    def to_sell(self, strategy: str, pair: Pair) -> Decimal:
        return self.held[strategy].get(pair, ZERO)

    def buys(self, strategy: str, notional: Decimal) -> None:
        assert self.room is not None, strategy
        self.room[strategy] -= notional

    def sells(self, strategy: str, pair: Pair, quantity: Decimal) -> None:
        self.held[strategy][pair] -= quantity


def parts(account: Account, books: Sequence[Book], limits: PlanLimits) -> Parts:
    """Return what each strategy may buy for and sell before anything is planned."""
    return Parts(
        room=rooms(account, books, limits),
        held={
            book.strategy: {
                pair: max(quantity - book.selling.get(pair, ZERO), ZERO)
                for pair, quantity in sorted(book.held.items())
            }
            for book in books
        },
    )


def fee_part(line: Line, limits: PlanLimits) -> Decimal:
    """Return what to keep for fees beside each unit of a buy: the taker's, or the buffer."""
    return max(line.fees.taker_bps, limits.fee_buffer_bps) / BPS_IN_ONE


def investable(cash_free: Decimal, limits: PlanLimits) -> Decimal:
    """Return the cash above the reserve; never below zero."""
    return max(cash_free - limits.cash_reserve, ZERO)


def deploy_budget(cash_free: Decimal, limits: PlanLimits) -> Decimal:
    """Return what one cycle may spend, fees included.

    (cash_free - cash_reserve) x use_share, rounded down to a cent.
    """
    return floor_to(investable(cash_free, limits) * limits.use_share, CENT)


def rooms(account: Account, books: Sequence[Book], limits: PlanLimits) -> dict[str, Decimal] | None:
    """Return what each strategy may still buy; None: something that is held has no price.

    Its part of the capital, less what it holds and is buying. The capital is the cash above the
    reserve and all that the strategies hold and are buying; what nobody's fills explain is not in
    it. Rounded down to a cent, never below zero.
    """
    invested: dict[str, Decimal] = {}
    for book in sorted(books, key=lambda row: row.strategy):
        value = _held(account, book)
        if value is None:
            return None
        invested[book.strategy] = value + book.buying
    weights = sum(book.weight for book in books)
    capital = investable(account.cash_free, limits) + sum(invested.values(), ZERO)
    return {
        book.strategy: max(
            floor_to(capital * book.weight / weights - invested[book.strategy], CENT), ZERO
        )
        if weights
        else ZERO
        for book in books
    }


def _held(account: Account, book: Book) -> Decimal | None:
    total = ZERO
    for pair in sorted(book.held):
        quantity = book.held[pair]
        middle = _middle(account, pair)
        if quantity and middle is None:
            return None
        total += quantity * (middle or ZERO)
    return total


def _middle(account: Account, pair: Pair) -> Decimal | None:
    line = account.lines.get(pair)
    return None if line is None else line.middle
