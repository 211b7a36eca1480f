"""What our own trades brought in all, and what may be risked of it: a fold of facts.

The result is all that was realized plus what open positions would bring at the middle of the book.
It knows nothing of deposits, so a withdrawal is no loss. The result at the begin of each day and
the best one so far depend on prices, which are no facts: whoever needs them records them.
"""

from collections.abc import Collection, Mapping
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final

from msgspec import Struct, field

from btcbot.domain.facts import BalancesExplained, Fill, Opening
from btcbot.domain.ids import Asset, IntentId, Pair
from btcbot.domain.money import ZERO, Price
from btcbot.domain.standing import Standing
from btcbot.domain.words import Side
from btcbot.ledger import capital, pnl, value
from btcbot.ledger.capital import Capital
from btcbot.ledger.positions import Holding, book

QUOTES: Final = (value.TRY, value.USDT)  # Every pair of BTCTurk is quoted in one of them.
DAYS_KEPT: Final = 8
DAY, BEST = "day_began_with", "best_result"
KEEP_NS: Final = 60_000_000_000


class Result(Struct, kw_only=True):
    """Owned, changed in place by the functions here."""

    held: dict[Pair, Holding] = field(default_factory=dict)
    quotes: dict[Pair, Asset] = field(default_factory=dict)
    realized: dict[Asset, Decimal] = field(default_factory=dict)
    days: pnl.Days = field(default_factory=dict)
    capital: dict[Asset, Capital] = field(default_factory=dict)
    closing: dict[IntentId, Decimal] = field(default_factory=dict)  # By live sells, so far.
    streak: int = 0  # Sells in a row that lost.
    begun: dict[str, Decimal] = field(default_factory=dict)  # Day to the result it began with.
    best: Decimal = ZERO
    kept_day: str = ""  # The last day whose begin was given away.
    kept_best: Decimal = ZERO  # The best result that was given away.
    keep_ns: int = 0  # The best result is given away no sooner.


def open_with(result: Result, opening: Opening) -> None:
    """Take what the account had of the quote assets as capital."""
    for row in opening.balances:
        if row.asset in QUOTES:
            _pay_in(result, row.asset, row.total)


def explain(result: Result, fact: BalancesExplained) -> None:
    """Take a deposit or withdrawal of a quote asset."""
    for line in fact.postings:
        if line.account == "asset" and line.asset in QUOTES:
            _pay_in(result, line.asset, line.amount)


def add(result: Result, fill: Fill, reinvested_bps: Decimal) -> None:
    """Fold a fill of ours. What was held before btcbot's time and is sold becomes capital."""
    asset, before = fill.fee_asset, result.held.get(fill.pair, Holding())
    done = book(before, fill)
    result.held[fill.pair], result.quotes[fill.pair] = done.holding, asset
    result.realized[asset] = result.realized.get(asset, ZERO) + done.realized
    result.days = pnl.add(result.days, fill, done.realized)
    now = result.capital.get(asset, Capital())
    if fill.side is Side.SELL:
        beyond = fill.quantity - min(fill.quantity, before.quantity)
        now = capital.paid_in(now, beyond * fill.price)
        if fill.intent_id is not None:
            so_far = result.closing.get(fill.intent_id, ZERO)
            result.closing[fill.intent_id] = so_far + done.realized
    day = pnl.day_of(fill.at_ns)
    result.capital[asset] = capital.earned(now, day, done.realized, reinvested_bps)


def close(result: Result, intent_id: IntentId) -> None:
    """Count the end of an order: a sell that lost makes the streak longer, any other ends it."""
    realized = result.closing.pop(intent_id, None)
    if realized is not None:
        result.streak = result.streak + 1 if realized < 0 else 0


def total(result: Result, marks: value.Marks) -> Decimal | None:
    """Return the result so far in TRY; None when something that is held has no price."""
    sums = dict(result.realized)
    for pair, held in result.held.items():
        if held.quantity:
            mark, quote = marks.get(pair), result.quotes[pair]
            if mark is None:
                return None
            sums[quote] += held.unrealized(mark)
    return _in_try(sums, marks)


def risked(
    result: Result, marks: value.Marks, traded: Collection[Asset], reinvested_bps: Decimal
) -> Decimal | None:
    """Return the capital that may be risked, in TRY: of the quote assets that are `traded`.

    None when there is none of these yet, or a part has no price.
    """
    parts = {
        asset: one.available(reinvested_bps)
        for asset, one in result.capital.items()
        if asset in traded
    }
    return _in_try(parts, marks) if parts else None


def day_sums(result: Result, marks: value.Marks, day: str) -> tuple[Decimal, Decimal] | None:
    """Return (turnover, fees) of `day` in TRY; None when a part has no price."""
    sums = result.days.get(day, {})
    turnover = _in_try({asset: one.turnover for asset, one in sums.items()}, marks)
    fees = _in_try({asset: one.fees for asset, one in sums.items()}, marks)
    return None if turnover is None or fees is None else (turnover, fees)


def begin_day(result: Result, day: str, at: Decimal) -> None:
    """Note with which result `day` began; the first word counts, and old days go."""
    kept = {name: result.begun[name] for name in sorted(result.begun)[-DAYS_KEPT:]}
    result.begun = {**kept, day: result.begun.get(day, at)}


@lru_cache(8)
def monday_of(day: str) -> str:
    """Return the Monday of the week of `day`."""
    found = date.fromisoformat(day)
    return (found - timedelta(days=found.weekday())).isoformat()


def week_began(result: Result, day: str) -> Decimal | None:
    """Return the result at the begin of the first day of this week that was seen."""
    monday = monday_of(day)
    days = [name for name in result.begun if monday <= name <= day]
    return result.begun[min(days)] if days else None


def look(result: Result, marks: value.Marks, now_ns: int) -> Decimal | None:
    """Return the result so far; the first of a day, and one better than any, is kept in `result`.

    A result before the first day that was kept began with nothing. None: it is not known.
    """
    day, now = pnl.day_of(now_ns), total(result, marks)
    if now is None:
        return None
    if day not in result.begun:
        begin_day(result, day, now if result.begun else ZERO)
    result.best = max(result.best, now)
    return now


def standing(
    result: Result,
    marks: value.Marks,
    traded: Collection[Asset],
    reinvested_bps: Decimal,
    now_ns: int,
) -> Standing:
    """Return how the day stands but for the equity; what has no price is not known."""
    day, now = pnl.day_of(now_ns), look(result, marks, now_ns)
    if now is None:
        return Standing(loss_streak=result.streak)
    week, sums = week_began(result, day), day_sums(result, marks, day)
    assert week is not None, f"{day} began, and its week did not"
    return Standing(
        capital=risked(result, marks, traded, reinvested_bps),
        turnover=sums[0] if sums else None,
        fees=sums[1] if sums else None,
        day_loss=max(result.begun[day] - now, ZERO),
        week_loss=max(week - now, ZERO),
        drawdown=result.best - now,
        loss_streak=result.streak,
    )


def recall(result: Result, kind: str, key: str, kept: Decimal) -> None:
    """Take back what `to_keep` gave away in an earlier life."""
    if kind == DAY:
        result.kept_day = max(result.kept_day, key)
        begin_day(result, key, kept)
    elif kind == BEST:
        result.kept_best = kept
        result.best = max(result.best, kept)


def to_keep(result: Result, step: Decimal, now_ns: int) -> list[tuple[str, str, Decimal]]:
    """Return (kind, key, amount) that a later life has to be told; each once, none before a fill.

    The best result goes when it rose by more than `step`, at most once a minute.
    """
    found, day = [], pnl.day_of(now_ns)
    if result.realized and day != result.kept_day and day in result.begun:
        result.kept_day = day
        found.append((DAY, day, result.begun[day]))
    if now_ns >= result.keep_ns and result.best > result.kept_best + step:
        result.kept_best, result.keep_ns = result.best, now_ns + KEEP_NS
        found.append((BEST, "", result.best))
    return found


def _pay_in(result: Result, asset: Asset, amount: Decimal) -> None:
    result.capital[asset] = capital.paid_in(result.capital.get(asset, Capital()), amount)


def _in_try(sums: Mapping[Asset, Decimal], marks: Mapping[Pair, Price]) -> Decimal | None:
    found = ZERO
    for asset, amount in sums.items():
        if amount:
            rate = value.rate(marks, asset)
            if rate is None:
                return None
            found += amount * rate
    return found
