"""The one exchange model: sandbox, paper, backtest and simulation all trade against this.

Deterministic and without I/O: time comes as an argument, in ns. The market is somebody else's
book, given from outside; our orders meet it like this:

- an order that reaches across takes what the book shows, level by level, and our own resting
  orders in their turn; what it took of a level is gone until the market next changes that level;
- what is left of a limit order rests behind the quantity shown at its price when it arrived
  (price-time priority). That queue shrinks when trades print at the price and when the level shows
  less. The order fills when trades print at its price beyond the queue, when trades print through
  it, or when the other side of the book reaches its price;
- at a price beyond the deepest level shown the queue is unknown: the order then waits behind all
  that the level first shows, and until then fills only when the market goes through it;
- a market order that the book cannot fill within 5 % of the best price is refused whole.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Struct

from btcbot.domain.ids import Asset, OrderId, Pair
from btcbot.domain.instruments import FeeRates, Instrument
from btcbot.domain.money import floor_to
from btcbot.domain.recorded import Quoted
from btcbot.domain.words import Side
from btcbot.simulation.account import ZERO, Account, Balance, Order, Rejected, Trade
from btcbot.simulation.book import Levels, Market, opposite, reaches
from btcbot.simulation.matching import Take, plan
from btcbot.simulation.rules import NewOrder, check

__all__ = ["Event", "Exchange", "Levels", "Market", "NewOrder", "Order", "Rejected", "Trade"]
EVENTS_MAX: Final = 100_000  # Nobody drains them: the oldest go.


class Event(Struct, frozen=True):
    """What the private socket tells; `order` is as it was then.

    `kind`: "inserted", "matched" or "deleted" (it left by cancellation, or was a triggered stop).
    `is_own`: both sides of the match are ours, and this is the one that rested.
    """

    kind: str
    order: Order
    trade: Trade | None = None
    is_own: bool = False


class Exchange:
    """Markets and one account; every method returns at once and appends to `events`."""

    def __init__(  # noqa: PLR0913 - what makes one exchange another
        self,
        instruments: Iterable[Instrument],
        fees: Mapping[Asset, FeeRates],
        balances: Mapping[Asset, Decimal],
        *,
        cancel_delay_ns: int = 1_000_000,
        trades_delay_ns: int = 0,
        lists_delay_ns: int = 0,
        is_first_in_queue: bool = False,
    ) -> None:
        """`balances` are totals.

        `is_first_in_queue`: a resting order stands in front of what is shown at its price, which is
        the best that can be; without it behind all of it, which is the worst.

        The delays: until a cancel takes effect; until own trades, and until new orders, are seen
        by those who ask for lists.
        """
        self.markets: dict[Pair, Market] = {}
        self.account = Account(balances, fees)
        for rules in instruments:
            self.list_pair(rules)
        self.events: list[Event] = []
        self._cancel_delay_ns = cancel_delay_ns
        self._trades_delay_ns = trades_delay_ns
        self._lists_delay_ns = lists_delay_ns
        self._is_first_in_queue = is_first_in_queue
        self._canceling: list[Order] = []

    def list_pair(self, rules: Instrument) -> None:
        """Trade a pair by `rules` from now on; orders that were taken stay as they are."""
        market = self.markets.setdefault(rules.pair, Market(rules))
        market.rules = rules
        self.account.balance(rules.base)
        self.account.balance(rules.quote)

    # --- the market moves ---------------------------------------------------------------------

    def set_top(self, pair: Pair, quote: Quoted, now_ns: int) -> None:
        """Replace the book by one level a side: the fast way, for recordings of quotes."""
        market = self.markets[pair]
        market.bid, market.ask, market.top = quote.bid, quote.ask, quote
        if market.resting or market.stops:
            self._market_moved(market, now_ns)

    def set_book(self, pair: Pair, bids: Levels, asks: Levels, now_ns: int) -> None:
        """Replace the whole book."""
        market = self.markets[pair]
        market.replace(bids, asks)
        if market.resting or market.stops:
            self._market_moved(market, now_ns)

    def change_book(self, pair: Pair, bids: Levels, asks: Levels, now_ns: int) -> None:
        """Change some levels; quantity 0 removes one."""
        market = self.markets[pair]
        market.change(bids, asks)
        if market.resting or market.stops:
            self._market_moved(market, now_ns)

    def print_trade(
        self, pair: Pair, taker: Side, price: Decimal, quantity: Decimal, now_ns: int
    ) -> Decimal:
        """Somebody traded: our resting orders at that price or better may be next in line.

        Return how much of the quantity was ours.
        """
        market = self.markets[pair]
        market.last = price
        left, ours = quantity, ZERO
        maker = opposite(taker)
        for order in market.in_priority(maker) if market.resting else ():
            if not left or not reaches(maker, order.price, price):
                break
            if order.price == price:
                passed = left if order.ahead is None else min(order.ahead, left)
                if order.ahead is not None:
                    order.ahead -= passed
                left -= passed
            filled = self._fill(market, order, order.price, min(order.left, left), now_ns)
            left, ours = left - filled, ours + filled
        if market.stops:
            self._trigger(market, now_ns)
        return ours

    def advance(self, now_ns: int) -> None:
        """Let time pass: accepted cancels take effect."""
        if not self._canceling:
            return
        waiting = []
        for order in self._canceling:
            if order.is_open and order.cancel_ns is not None:
                if order.cancel_ns <= now_ns:
                    self._remove(order, now_ns)
                else:
                    waiting.append(order)
        self._canceling = waiting

    @property
    def next_ns(self) -> int | None:
        """When the next accepted cancel takes effect."""
        return min((o.cancel_ns for o in self._canceling if o.cancel_ns is not None), default=None)

    # --- we act -------------------------------------------------------------------------------

    def submit(self, new: NewOrder, now_ns: int) -> Order:
        """Take an order by the documented rules, match it, rest what is left. Raises Rejected."""
        market = self.markets.get(new.pair)
        if market is None:
            raise Rejected(1037, f"Pair {new.pair} does not exists.")
        check(new, market)
        if new.method == "market":
            return self._submit_market(market, new, now_ns)
        quantity, hold = new.quantity, ZERO
        if new.spends_quote:  # A stopmarket buy: sized at its stop price, fee included.
            hold = new.quantity
            spent = new.quantity / (1 + self.account.taker_rate(market.rules)) / new.stop_price
            quantity = market.rules.quantity_down(spent)
        order = self._order(new, quantity, now_ns)
        self._open(market, order, hold or self.account.hold_of(order, market.rules))
        if order.is_stop:
            market.stops.append(order)
        else:
            self._match(market, order, now_ns)
        return order

    def cancel(self, order_id: OrderId, now_ns: int) -> None:
        """Accept a cancel, which takes effect later; the order may fill first. Raises Rejected."""
        order = self.account.orders.get(order_id)
        if order is None:
            raise Rejected(1052, "NO_ORDER_MATCHES_YOUR_REQUEST")
        if order.status == "Closed" or order.method == "market":
            raise Rejected(1051, "ORDER_COULD_NOT_BE_CANCELED")
        if order.is_open and order.cancel_ns is None:
            order.cancel_ns = now_ns + self._cancel_delay_ns
            self._canceling.append(order)
            self.advance(now_ns)

    # --- we ask -------------------------------------------------------------------------------

    def open_orders(self, now_ns: int, pair: Pair | None = None) -> list[Order]:
        """Return resting orders and waiting stops of one pair or of all, oldest first."""
        seen_ns = now_ns - self._lists_delay_ns
        found = [
            order
            for market in self.markets.values()
            if pair is None or market.rules.pair == pair
            for order in (*market.resting, *market.stops)
            if order.created_ns <= seen_ns
        ]
        return sorted(found, key=lambda order: order.id)

    def all_orders(self, now_ns: int, pair: Pair, from_id: int = 0) -> Iterator[Order]:
        """Yield every remembered order of `pair` with an id >= `from_id`, newest first."""
        seen_ns = now_ns - self._lists_delay_ns
        for order in reversed(self.account.orders.values()):
            if order.id < from_id:
                return
            if order.pair == pair and order.created_ns <= seen_ns:
                yield order

    def order(self, order_id: OrderId) -> Order | None:
        """Return one order; unlike the lists, it never lags."""
        return self.account.orders.get(order_id)

    def trades(self, now_ns: int, since_ns: int = 0) -> Iterator[Trade]:
        """Yield own trades that are visible by now and not older than `since_ns`, newest first."""
        seen_ns = now_ns - self._trades_delay_ns
        for trade in reversed(self.account.trades):
            if trade.at_ns < since_ns:
                return
            if trade.at_ns <= seen_ns:
                yield trade

    def balances(self) -> Mapping[Asset, Balance]:
        """Return every asset's balance; the account's own, to read only."""
        return self.account.balances

    def drain(self) -> list[Event]:
        """Return what happened since the last drain."""
        events, self.events = self.events, []
        return events

    def restore(self, orders: Iterable[Order], trades: Iterable[Trade]) -> None:
        """Put back what an earlier life wrote down; balances are restored by the caller."""
        self.account.restore(orders, trades)
        for order in self.account.orders.values():
            if order.is_open:
                market = self.markets[order.pair]
                (market.stops if order.is_stop else market.resting).append(order)
                if order.cancel_ns is not None:
                    self._canceling.append(order)

    # --- matching -----------------------------------------------------------------------------

    def _submit_market(self, market: Market, new: NewOrder, now_ns: int) -> Order:
        """Sweep the book within the guard, or refuse: nothing of a market order ever rests."""
        takes, is_enough = self._sweep(market, new.side, new.quantity, is_quote=new.spends_quote)
        if not is_enough:
            raise Rejected(1118, "FAILED_MARKET_ORDER")
        quantity = sum((take.quantity for take in takes), start=ZERO)
        order = self._order(new, quantity, now_ns)
        self._open(market, order, new.quantity)
        self._apply(market, order, takes, now_ns)
        return order

    def _sweep(
        self, market: Market, side: Side, amount: Decimal, *, is_quote: bool
    ) -> tuple[list[Take], bool]:
        """Return what a market order of base `amount` (or quote, fee included) would take."""
        budget = None
        if is_quote:
            budget = amount / (1 + self.account.taker_rate(market.rules))
        takes = plan(market, side, market.guard(side), None if is_quote else amount, budget)
        if budget is None:
            return takes, sum((take.quantity for take in takes), start=ZERO) == amount
        left = budget - sum((take.price * take.quantity for take in takes), start=ZERO)
        # Less than a step at the last price is left over: the budget is spent.
        return takes, bool(takes) and not floor_to(left / takes[-1].price, market.rules.step)

    def _match(self, market: Market, order: Order, now_ns: int) -> None:
        """Take what the book shows within the limit; then rest."""
        takes = plan(market, order.side, order.price, order.left, None)
        self._apply(market, order, takes, now_ns)
        if order.left:
            order.ahead = ZERO if self._is_first_in_queue else market.queue_at(order)
            market.resting.append(order)

    def _apply(self, market: Market, order: Order, takes: list[Take], now_ns: int) -> None:
        """Execute a plan: each part against everybody else's level or against our own order."""
        side = opposite(order.side)
        for take in takes:
            if take.maker is None:
                market.consume(side, take.price, take.quantity)
                for ours in market.resting:
                    if ours.side is side and ours.price == take.price and ours.ahead:
                        ours.ahead = max(ZERO, ours.ahead - take.quantity)
            else:
                self._fill(market, take.maker, take.price, take.quantity, now_ns, is_own=True)
            self._fill(market, order, take.price, take.quantity, now_ns, is_maker=False)

    def _fill(  # noqa: PLR0913 - an execution is these things
        self, market: Market, order: Order, price: Decimal, quantity: Decimal, now_ns: int,
        *, is_maker: bool = True, is_own: bool = False,
    ) -> Decimal:  # fmt: skip
        """Execute `quantity` of an order; return it."""
        if quantity:
            trade = self.account.execute(
                order, market.rules, price, quantity, now_ns, is_maker=is_maker
            )
            if not order.left and is_maker:
                market.resting.remove(order)
            self._tell("matched", order, trade, is_own=is_own)
        return quantity

    def _market_moved(self, market: Market, now_ns: int) -> None:
        """Fill the resting orders whose price the other side of the book has reached."""
        for side in (Side.BUY, Side.SELL):
            other = opposite(side)
            for order in market.in_priority(side):
                if not market.best(other) or not reaches(side, order.price, market.best(other)):
                    break
                for take in plan(market, side, order.price, order.left, None, with_ours=False):
                    market.consume(other, take.price, take.quantity)
                    self._fill(market, order, order.price, take.quantity, now_ns)
        market.see_queues()
        if market.stops:
            self._trigger(market, now_ns)

    # --- stops --------------------------------------------------------------------------------

    def _trigger(self, market: Market, now_ns: int) -> None:
        """Turn stops that the market reached into new orders with the same client id."""
        for stop in tuple(market.stops):
            is_reached = (
                market.ask >= stop.stop_price
                if stop.side is Side.BUY
                else ZERO < market.bid <= stop.stop_price
            )
            if is_reached:
                hold = stop.hold
                self._remove(stop, now_ns)
                self._send_child(market, stop, hold, now_ns)

    def _send_child(self, market: Market, stop: Order, hold: Decimal, now_ns: int) -> None:
        """Open what a stop was waiting to send, on the funds that the stop held."""
        child = Order(
            id=self.account.next_order_id(),
            client_id=stop.client_id,
            pair=stop.pair,
            side=stop.side,
            method="market" if stop.is_market else "limit",
            quantity=stop.quantity,
            left=stop.left,
            price=stop.price,
            stop_price=stop.stop_price,
            created_ns=now_ns,
            updated_ns=now_ns,
        )
        self._open(market, child, hold)
        if not stop.is_market:
            self._match(market, child, now_ns)
            return
        budget = None
        if child.side is Side.BUY:
            budget = hold / (1 + self.account.taker_rate(market.rules))
        takes = plan(market, child.side, market.guard(child.side), child.left, budget)
        self._apply(market, child, takes, now_ns)
        if child.left:  # Past the guard, or the market ran past what the stop had held.
            self._remove(child, now_ns)

    # --- inside -------------------------------------------------------------------------------

    def _order(self, new: NewOrder, quantity: Decimal, now_ns: int) -> Order:
        return Order(
            id=self.account.next_order_id(),
            client_id=new.client_id,
            pair=new.pair,
            side=new.side,
            method=new.method,
            quantity=quantity,
            left=quantity,
            price=new.price if new.is_priced else ZERO,
            stop_price=new.stop_price if new.method.startswith("stop") else ZERO,
            created_ns=now_ns,
            updated_ns=now_ns,
        )

    def _open(self, market: Market, order: Order, hold: Decimal) -> None:
        self.account.open(order, market.rules, hold)
        self._tell("inserted", order)

    def _remove(self, order: Order, now_ns: int) -> None:
        market = self.markets[order.pair]
        for waiting in (market.resting, market.stops):
            if order in waiting:
                waiting.remove(order)
        self.account.end(order, market.rules, now_ns)
        self._tell("deleted", order)

    def _tell(
        self, kind: str, order: Order, trade: Trade | None = None, *, is_own: bool = False
    ) -> None:
        self.events.append(Event(kind, msgspec.structs.replace(order), trade, is_own))
        if len(self.events) > EVENTS_MAX:
            del self.events[: EVENTS_MAX // 2]
