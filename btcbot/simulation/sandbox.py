"""The sandbox: the exchange model, the market that moves it, and what both leave on disk.

Knows no HTTP and no clock: `server.py` asks it questions and tells it the time, in ns. Everything
it acknowledges is in the state file first, so a sandbox that is killed goes on where it was.
"""

import heapq
from collections import deque
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final, Protocol

from msgspec import Struct

from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import Instrument, default_fees
from btcbot.domain.words import Side
from btcbot.simulation.account import Balance, Rejected
from btcbot.simulation.defaults import START_PRICES
from btcbot.simulation.exchange import Event, Exchange
from btcbot.simulation.history import MINUTE_NS, MINUTES_MAX, History, PublicTrade
from btcbot.simulation.market import SyntheticMarket, past
from btcbot.simulation.statefile import Saved, StateError, StateFile
from btcbot.simulation.transfers import FIRST_ID, Transfer

WINDOW: Final = 100  # Levels a side that anybody sees.
REQUESTS_MAX: Final = 20_000
BODY_MAX: Final = 4_096
TOLD_MAX: Final = 1_000  # Public trades between two tellings.
# Public trade ids begin near 1.1e17 as on the exchange, and go on growing over restarts.
TID_NS: Final = 16
Book = tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]


class Request(Struct, frozen=True):
    """One request as it arrived, for the truth."""

    at_ns: int
    method: str
    path: str
    query: str
    body: str
    client_id: str
    status: int


class Source(Protocol):
    """What moves the market of one pair instead of the synthetic one: a recording."""

    pair: Pair
    start: Decimal  # The first price.

    def play(self, sandbox: "Sandbox", seconds: float, now_ns: int) -> None:
        """Let `seconds` of recorded time happen now."""
        ...


class Delays(Struct, frozen=True, kw_only=True):
    """Until a cancel takes effect, and until a new order or own trade is seen in a list."""

    cancels_ns: int = 0
    orders_ns: int = 0
    trades_ns: int = 0


class Sandbox:
    """One exchange with one account; time is told to it."""

    def __init__(  # noqa: PLR0913 - what differs between one sandbox and another
        self,
        instruments: Iterable[Instrument],
        balances: Mapping[Asset, Decimal],
        now_ns: int,
        *,
        seed: int = 1,
        state: StateFile | None = None,
        source: Source | None = None,
        delays: Delays | None = None,
        minutes: int = MINUTES_MAX,
    ) -> None:
        """Begin, or go on from `state`, whose balances then count. Raises StateError.

        `minutes`: how much of a past is made up.
        """
        rules = {row.pair: row for row in instruments}
        fees = {row.quote: default_fees(row.quote) for row in rules.values()}
        delays = delays or Delays()
        self.exchange = Exchange(
            rules.values(),
            fees,
            balances,
            cancel_delay_ns=delays.cancels_ns,
            trades_delay_ns=delays.trades_ns,
            lists_delay_ns=delays.orders_ns,
        )
        self.transfers: list[Transfer] = []  # Oldest first.
        self.hints: deque[str] = deque(maxlen=TOLD_MAX)  # That balances moved, not yet told.
        self.notices: deque[str] = deque(maxlen=TOLD_MAX)  # To everybody, not yet told.
        self.requests: deque[Request] = deque(maxlen=REQUESTS_MAX)
        self.untold: deque[tuple[Pair, PublicTrade]] = deque(maxlen=TOLD_MAX)
        self._events: list[Event] = []
        self._state, self._source = state, source
        prices = START_PRICES | self._restored(rules)
        self._begin_with(now_ns)
        if source is not None:
            prices[source.pair] = source.start
        self.histories = {
            pair: History(row, past(row, prices[pair], seed, minutes), now_ns // TID_NS, now_ns)
            for pair, row in rules.items()
        }
        played = source.pair if source else None
        self._markets = {
            pair: SyntheticMarket(row, START_PRICES[pair], seed)
            for pair, row in rules.items()
            if pair != played
        }
        for pair, market in self._markets.items():
            market.resume_at(prices[pair])
            self.exchange.markets[pair].last = self.histories[pair].last
        self._minute = 0
        self.step(0.5, now_ns)

    # --- time passes --------------------------------------------------------------------------

    def step(self, seconds: float, now_ns: int) -> None:
        """Let the market move on by `seconds` of its own time, all of it at `now_ns`."""
        for pair, market in self._markets.items():
            moves = market.step(seconds)
            for trade in moves.trades:
                self.print_trade(pair, trade.side, trade.price, trade.quantity, now_ns)
            self.exchange.change_book(pair, moves.bids, moves.asks, now_ns)
        if self._source is not None:
            self._source.play(self, seconds, now_ns)
        for history in self.histories.values():
            history.advance(now_ns)
        self.settle(now_ns)
        if now_ns // MINUTE_NS != self._minute and self._state is not None:
            self._minute = now_ns // MINUTE_NS
            self._state.append(Saved(prices=self._prices()))

    def settle(self, now_ns: int) -> None:
        """Let due cancels take effect, make our own trades public, and write it all down."""
        self.exchange.advance(now_ns)
        events = self.exchange.drain()
        for event in events:
            # A match of two orders of ours is one public trade: the taker's.
            if event.trade is not None and not event.is_own:
                trade = event.trade
                sides = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}
                taker = sides[trade.side] if trade.is_maker else trade.side
                self._publish(trade.pair, taker, trade.price, trade.quantity, now_ns)
        self._save()
        self._events += events

    def print_trade(
        self, pair: Pair, side: Side, price: Decimal, quantity: Decimal, now_ns: int
    ) -> None:
        """Let somebody trade: with our resting orders first where they are in front."""
        ours = self.exchange.print_trade(pair, side, price, quantity, now_ns)
        if ours < quantity:
            self._publish(pair, side, price, quantity - ours, now_ns)

    def take_events(self) -> list[Event]:
        """Return what happened to our orders, all of it durable, since the last time."""
        events, self._events = self._events, []
        return events

    def window(self, pair: Pair) -> Book:
        """Return (bids, asks) as anybody sees them: 100 levels a side, best first, with ours."""
        market = self.exchange.markets[pair]
        sides = {Side.BUY: market.bids, Side.SELL: market.asks}
        if market.resting:
            sides = {side: dict(levels) for side, levels in sides.items()}
            for order in market.resting:
                levels = sides[order.side]
                levels[order.price] = levels.get(order.price, Decimal(0)) + order.left
        bids = heapq.nlargest(WINDOW, sides[Side.BUY].items())
        return bids, heapq.nsmallest(WINDOW, sides[Side.SELL].items())

    def transfer(self, asset: Asset, amount: Decimal, now_ns: int) -> Transfer:
        """Let money come in, or leave (below zero). Raises Rejected when it is not there."""
        balance = self.exchange.account.balance(asset)
        if balance.free + amount < 0:
            raise Rejected(1055, "BALANCE_NOT_ENOUGH")
        balance.total += amount
        made = self._note_transfer(asset, amount, now_ns)
        self.hints.append(made.kind)
        if self._state is not None:
            self._state.append(Saved(transfers=[made], balances=self._balances()))
        return made

    def close(self) -> None:
        if self._state is not None:
            self._state.close()

    # --- inside -------------------------------------------------------------------------------

    def _publish(
        self, pair: Pair, side: Side, price: Decimal, quantity: Decimal, now_ns: int
    ) -> None:
        self.untold.append((pair, self.histories[pair].add(side, price, quantity, now_ns)))

    def _save(self) -> None:
        orders, trades = self.exchange.account.changes()
        if self._state is not None and (orders or trades):
            self._state.append(Saved(orders, trades, self._balances(), self._prices()))

    def _balances(self) -> dict[str, Balance]:
        return {str(asset): row for asset, row in self.exchange.balances().items()}

    def _begin_with(self, now_ns: int) -> None:
        """Note what a fresh account holds as what was paid in."""
        if self.transfers or self.exchange.account.orders:
            return
        for asset, balance in self.exchange.balances().items():
            if balance.total:
                self._note_transfer(asset, balance.total, now_ns)
        if self._state is not None:
            self._state.append(Saved(transfers=self.transfers, balances=self._balances()))

    def _note_transfer(self, asset: Asset, amount: Decimal, now_ns: int) -> Transfer:
        number = FIRST_ID + len(self.transfers)
        made = Transfer(id=number, asset=asset, amount=amount, at_ns=now_ns)
        self.transfers.append(made)
        return made

    def _prices(self) -> dict[str, str]:
        markets = self.exchange.markets.items()
        return {pair: str(market.price) for pair, market in markets if market.price}

    def _restored(self, rules: Mapping[Pair, Instrument]) -> dict[Pair, Decimal]:
        """Take back what an earlier life left; return the prices it ended at."""
        if self._state is None:
            return {}
        saved = self._state.load()
        unknown = sorted({order.pair for order in saved.orders} - rules.keys())
        if unknown:
            raise StateError(f"the state has orders of {', '.join(unknown)}: add these pairs")
        for asset, balance in saved.balances.items():
            self.exchange.account.balances[Asset(asset)] = balance
        self.exchange.restore(saved.orders, saved.trades)
        self.transfers = list(saved.transfers)
        prices = {Pair(pair): Decimal(price) for pair, price in saved.prices.items()}
        return {pair: price for pair, price in prices.items() if pair in rules}
