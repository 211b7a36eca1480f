"""What the account has and what each seat holds of it, folded from facts and our own wishes."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from btcbot.domain.facts import Balances, BalancesExplained, Fill, Opening
from btcbot.domain.ids import Asset, IntentId, Pair
from btcbot.domain.instruments import FeeRates, Instrument
from btcbot.domain.messages import BookTop, OrderIntent
from btcbot.domain.money import BPS_IN_ONE, ZERO, Price
from btcbot.domain.words import Side
from btcbot.ledger import holdings
from btcbot.pipeline.seats import Seat
from btcbot.portfolio.account import Account, Book, Line
from btcbot.portfolio.netting import Transfer
from btcbot.strategies.contract import NO_HOLDING, Holding

HALF: Final = Decimal("0.5")
OWNERS_MAX: Final = 4_096  # Intents whose fills may still come; the oldest are forgotten.


class Resting(Struct, frozen=True):
    """A wish that is asked, or the order it became: what it may still take."""

    strategy: str
    slot: str
    pair: Pair
    side: Side
    left: Decimal  # Base asset.
    price: Price


class Books(Struct, kw_only=True):
    """Owned by the strategy actor, changed in place."""

    accounts: holdings.Accounts = field(default_factory=dict)
    live: dict[IntentId, Resting] = field(default_factory=dict)
    owners: dict[IntentId, str] = field(default_factory=dict)
    unclaimed: dict[Pair, Holding] = field(default_factory=dict)  # Of strategies without a seat.


def rest(books: Books, intent: OrderIntent) -> None:
    """Count a wish as live from when it is asked; again when it is sent changes nothing."""
    books.owners[intent.intent_id] = intent.strategy
    while len(books.owners) > OWNERS_MAX:
        del books.owners[next(iter(books.owners))]
    if intent.intent_id not in books.live:
        books.live[intent.intent_id] = Resting(
            intent.strategy, intent.slot, intent.pair, intent.side, intent.quantity,
            intent.limit_price,
        )  # fmt: skip


def state(books: Books, stated: Balances | Opening | BalancesExplained) -> None:
    """Take the exchange's word for what the account has, or a person's for what came or went."""
    if isinstance(stated, BalancesExplained):
        books.accounts = holdings.explain(books.accounts, stated.postings)
        return
    books.accounts = holdings.state(books.accounts, stated.balances, stated.at_ns)
    if isinstance(stated, Opening):
        books.accounts = holdings.post(books.accounts, stated.postings, stated.at_ns)


def fill(books: Books, seats: Mapping[str, Seat], one: Fill) -> Seat | None:
    """Book a fill; return the seat it is of. None: nobody's that decides here.

    A seat alone on the account holds what every strategy before it bought.
    """
    books.accounts = holdings.post(books.accounts, one.postings, one.at_ns)
    if one.intent_id is None:
        return None
    known = books.live.get(one.intent_id)
    if known is not None:
        left = max(known.left - one.quantity, ZERO)
        books.live[one.intent_id] = replace(known, left=left)
    seat = _owner(seats, books.owners.get(one.intent_id, ""))
    held = books.unclaimed if seat is None else seat.view.holdings
    held[one.pair] = _after(held.get(one.pair, NO_HOLDING), one)
    if seat is not None:
        seat.tally.fill(one)
    return seat


def transfer(seats: Mapping[str, Seat], moved: Transfer) -> None:
    """Move a holding from one seat to another; a seat that is gone neither gives nor takes."""
    seller, buyer = seats.get(moved.seller), seats.get(moved.buyer)
    if seller is not None:
        held = seller.view.holdings.get(moved.pair, NO_HOLDING)
        rest_of = max(held.quantity - moved.quantity, ZERO)
        seller.view.holdings[moved.pair] = Holding(rest_of, held.average_cost)
        seller.tally.flow(moved.pair, moved.quantity * moved.price)
    if buyer is not None:
        held = buyer.view.holdings.get(moved.pair, NO_HOLDING)
        quantity = held.quantity + moved.quantity
        cost = held.quantity * held.average_cost + moved.quantity * moved.price
        buyer.view.holdings[moved.pair] = Holding(quantity, cost / quantity)
        buyer.tally.flow(moved.pair, -moved.quantity * moved.price)


class Market(Struct, frozen=True, kw_only=True):
    """The pairs of one quote asset as a decision sees them; `tops`: the usable prices."""

    quote: Asset
    rules: Mapping[Pair, Instrument]
    fees: Mapping[Pair, FeeRates]
    tops: Mapping[Pair, BookTop]


def account(books: Books, seats: Iterable[Seat], market: Market, now_ns: int) -> Account:
    """Return what the plan may use: the cash, and of each pair what our own fills hold.

    What a person holds beside us is not in it: neither sold nor counted.
    """
    held, buying, selling = dict[Pair, Decimal](), dict[Pair, Decimal](), dict[Pair, Decimal]()
    for by_pair in (books.unclaimed, *(seat.view.holdings for seat in seats)):
        for pair, one in by_pair.items():
            held[pair] = held.get(pair, ZERO) + one.quantity
    cash = _total(books, market.quote, now_ns)
    for order in books.live.values():
        if order.side is Side.SELL:
            selling[order.pair] = selling.get(order.pair, ZERO) + order.left
        elif order.pair in market.rules:
            cost = order.left * order.price
            buying[order.pair] = buying.get(order.pair, ZERO) + cost
            cash -= cost * (1 + market.fees[order.pair].taker_bps / BPS_IN_ONE)
    lines = {}
    for pair, row in market.rules.items():
        ours = held.get(pair, ZERO)
        free = ours and min(ours, _total(books, row.base, now_ns)) - selling.get(pair, ZERO)
        top = market.tops.get(pair)
        lines[pair] = Line(
            instrument=row,
            fees=market.fees[pair],
            middle=None if top is None else Price((top.bid + top.ask) * HALF),
            ask=None if top is None else top.ask,
            held=ours,
            free=max(free, ZERO),
            buying=buying.get(pair, ZERO),
        )
    return Account(quote=market.quote, cash_free=max(cash, ZERO), lines=lines)


class Standing(Struct, frozen=True, kw_only=True):
    """The account at one time, in one quote asset, and each seat's part of it."""

    market: Market
    whole: Account
    parts: tuple[Book, ...]


def stand(books: Books, seats: Sequence[Seat], market: Market, now_ns: int) -> Standing:
    """Return how the account stands in `market`."""
    whole = account(books, seats, market, now_ns)
    return Standing(market=market, whole=whole, parts=parts(books, seats, whole.lines))


def parts(books: Books, seats: Iterable[Seat], lines: Mapping[Pair, Line]) -> tuple[Book, ...]:
    """Return each seat's part: its weight, and of the pairs in `lines` what it holds and wants."""
    found = []
    for seat in seats:
        name = seat.setup.name
        own = [o for o in books.live.values() if o.strategy == name and o.pair in lines]
        selling: dict[Pair, Decimal] = {}
        for order in own:
            if order.side is Side.SELL:
                selling[order.pair] = selling.get(order.pair, ZERO) + order.left
        buys = (order.left * order.price for order in own if order.side is Side.BUY)
        found.append(
            Book(
                strategy=name,
                weight=seat.setup.weight,
                held={p: h.quantity for p, h in seat.view.holdings.items() if p in lines},
                selling=selling,
                buying=sum(buys, ZERO),
            )
        )
    return tuple(found)


def _total(books: Books, asset: Asset, now_ns: int) -> Decimal:
    found = books.accounts.get(asset)
    return ZERO if found is None else found.shown(asset, now_ns).total


def _owner(seats: Mapping[str, Seat], strategy: str) -> Seat | None:
    if len(seats) == 1:
        return next(iter(seats.values()))
    return seats.get(strategy)


def _after(held: Holding, one: Fill) -> Holding:
    """Return a holding after a fill; the average cost carries the fees of the buys."""
    if one.side is Side.BUY:
        cost = held.quantity * held.average_cost + one.quantity * one.price + one.fee + one.tax
        quantity = held.quantity + one.quantity
        return Holding(quantity, cost / quantity)
    return Holding(max(held.quantity - one.quantity, ZERO), held.average_cost)
