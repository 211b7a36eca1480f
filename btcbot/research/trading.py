"""What trading did: turnover, fees, closed trades, time in the market, by pair and by day. Pure.

Sums are kept by quote asset, as the fills had them: what that was worth in TRY is not known here.
A closed trade is an order that sold something we had bought: what it realized, all fees inside, by
average cost (`ledger.positions`).
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from msgspec import Struct, field

from btcbot.domain.facts import Fill
from btcbot.domain.ids import Asset, ClientOrderId, IntentId, OrderId, Pair, TradeId
from btcbot.domain.money import ZERO, Amount, Price, Quantity
from btcbot.domain.words import Side
from btcbot.ledger.pnl import Sums, day_of, sums_of
from btcbot.ledger.positions import Holding, book
from btcbot.research.lines import FillLine


class Closed(Struct, frozen=True):
    """An order that sold, and what it realized in the quote asset."""

    order_id: int
    pair: str
    at_ns: int
    realized: Decimal


class Trading(Struct, kw_only=True):
    """The fold of a run's own fills."""

    held: dict[Pair, Holding] = field(default_factory=dict)
    totals: dict[Asset, Sums] = field(default_factory=dict)
    days: dict[tuple[str, Asset], Sums] = field(default_factory=dict)  # Istanbul's day.
    pairs: dict[Pair, Sums] = field(default_factory=dict)
    closed: dict[int, Closed] = field(default_factory=dict)  # By order.
    in_market_ns: int = 0  # With anything held.
    foreign: int = 0  # Fills of orders that are not ours; in nothing else here.


def traded(fills: Iterable[FillLine], ended_ns: int) -> Trading:
    """Return what the fills of a run add up to; `ended_ns` ends what is held until then."""
    found, since_ns = Trading(), None
    for line in fills:
        if line.intent_id is None:
            found.foreign += 1
            continue
        _book(found, line)
        is_held = any(one.quantity for one in found.held.values())
        if is_held and since_ns is None:
            since_ns = line.ts_ns
        elif not is_held and since_ns is not None:
            found.in_market_ns += line.ts_ns - since_ns
            since_ns = None
    if since_ns is not None:
        found.in_market_ns += max(ended_ns - since_ns, 0)
    return found


def _book(found: Trading, line: FillLine) -> None:
    fill = as_fact(line)
    before = found.held.get(fill.pair, Holding())
    done = book(before, fill)
    found.held[fill.pair] = done.holding
    sums, asset, day = sums_of(fill, done.realized), fill.fee_asset, day_of(fill.event_ns)
    found.totals[asset] = found.totals.get(asset, Sums()).plus(sums)
    found.days[day, asset] = found.days.get((day, asset), Sums()).plus(sums)
    found.pairs[fill.pair] = found.pairs.get(fill.pair, Sums()).plus(sums)
    if fill.side is Side.SELL and before.quantity:
        sold = found.closed.get(line.order_id)
        so_far = sold.realized if sold else ZERO
        found.closed[line.order_id] = Closed(
            line.order_id, line.pair, line.ts_ns, so_far + done.realized
        )


def win_rate(closed: Sequence[Closed]) -> Decimal | None:
    """Return the part of closed trades that gained; None without any."""
    gained = sum(1 for one in closed if one.realized > 0)
    return Decimal(gained) / len(closed) if closed else None


def profit_factor(closed: Sequence[Closed]) -> Decimal | None:
    """Return all that was gained over all that was lost; None when nothing was lost."""
    lost = -sum((one.realized for one in closed if one.realized < 0), start=ZERO)
    gained = sum((one.realized for one in closed if one.realized > 0), start=ZERO)
    return gained / lost if lost else None


def flows(fills: Iterable[FillLine]) -> dict[str, Decimal]:
    """Return what the fills moved of each asset; fees are paid in the quote asset."""
    moved: dict[str, Decimal] = {}
    for line in fills:
        base, quote = line.pair.removesuffix(line.fee_asset), line.fee_asset
        sign = 1 if line.side is Side.BUY else -1
        moved[base] = moved.get(base, ZERO) + sign * line.quantity
        moved[quote] = moved.get(quote, ZERO) - sign * line.notional - line.charges
    return moved


def as_fact(line: FillLine) -> Fill:
    """Return a line as the fact it came from, without its postings."""
    return Fill(
        trade_id=TradeId(line.trade_id),
        order_id=OrderId(line.order_id),
        intent_id=IntentId(line.intent_id) if line.intent_id else None,
        client_order_id=ClientOrderId(line.client_order_id) if line.client_order_id else None,
        pair=Pair(line.pair),
        side=line.side,
        quantity=Quantity(line.quantity),
        price=Price(line.price),
        fee=Amount(line.fee),
        tax=Amount(line.tax),
        fee_asset=Asset(line.fee_asset),
        event_ns=line.ts_ns,
        liquidity=line.liquidity,
        postings=(),
        at_ns=line.ts_ns,
    )
