"""The one exchange model: sandbox, paper, backtest and simulation all trade against this.

Deterministic and without I/O: time comes as an argument, in ns. The market is somebody else's
book, given from outside; our orders meet it like this:

- an order that reaches across takes what the book shows, level by level; what it took is gone
  until the market next says otherwise;
- what is left of a limit order rests behind the quantity shown at its price when it arrived
  (price-time priority); it fills when trades print at its price beyond that queue, when trades
  print through it, or when the other side of the book reaches its price.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from msgspec import Struct

from btcbot.domain.ids import Asset, OrderId, Pair
from btcbot.domain.instruments import FeeRates, Instrument
from btcbot.domain.money import BPS_IN_ONE, step_of
from btcbot.domain.words import Side
from btcbot.simulation.account import Account, Order, Rejected, Trade

MARKET_GUARD: Final = Decimal("0.05")  # A market order goes no further from the best price.
BAND: Final = Decimal(10)  # Limit prices lie within a tenth and ten times the market.
PRICE_MIN, PRICE_MAX = Decimal("0.0000000000001"), Decimal(100_000_000)
METHODS: Final = ("limit", "market", "stoplimit", "stopmarket")
Levels = Iterable[tuple[Decimal, Decimal]]
ZERO = Decimal(0)


class NewOrder(Struct, kw_only=True, frozen=True):
    """A submit as it arrives; `quantity` of a market or stopmarket buy is quote to spend."""

    pair: Pair
    side: Side
    method: str
    quantity: Decimal
    price: Decimal = ZERO
    stop_price: Decimal = ZERO
    client_id: str = ""


class Event(Struct, frozen=True):
    """What the private socket tells: an order came, matched, or left by cancellation."""

    kind: str  # "inserted", "matched", "deleted"
    order: Order
    trade: Trade | None = None


class Market:
    """One pair: its rules, the book of everybody else, and our resting orders."""

    def __init__(self, rules: Instrument) -> None:
        self.rules = rules
        self.bids: dict[Decimal, Decimal] = {}
        self.asks: dict[Decimal, Decimal] = {}
        self.bid, self.ask = ZERO, ZERO  # Best prices; 0: that side is empty.
        self.last = ZERO
        self.resting: list[Order] = []  # In order of arrival.
        self.stops: list[Order] = []

    @property
    def price(self) -> Decimal:
        """What "the current price" means: the last trade, else the middle."""
        return self.last or (self.bid + self.ask) / 2

    def side(self, side: Side) -> dict[Decimal, Decimal]:
        return self.bids if side is Side.BUY else self.asks


class Exchange:
    """Markets and one account; every method returns at once and appends to `events`."""

    def __init__(
        self,
        instruments: Iterable[Instrument],
        fees: Mapping[Asset, FeeRates],
        balances: Mapping[Asset, Decimal],
        *,
        cancel_delay_ns: int = 1_000_000,
    ) -> None:
        self.markets = {rules.pair: Market(rules) for rules in instruments}
        self.account = Account(balances, fees)
        self.events: list[Event] = []
        self._cancel_delay_ns = cancel_delay_ns
        self._canceling: list[Order] = []

    # --- the market moves ---------------------------------------------------------------------

    def set_top(
        self, pair: Pair, bid: Decimal, bid_quantity: Decimal, ask: Decimal,
        ask_quantity: Decimal, now_ns: int,
    ) -> None:  # fmt: skip
        """Replace the book by one level a side: the fast way, for recordings of quotes."""
        market = self.markets[pair]
        market.bids = {bid: bid_quantity}
        market.asks = {ask: ask_quantity}
        market.bid, market.ask = bid, ask
        if market.resting or market.stops:
            self._market_moved(market, now_ns)

    def set_book(self, pair: Pair, bids: Levels, asks: Levels, now_ns: int) -> None:
        """Replace the whole book."""
        market = self.markets[pair]
        market.bids, market.asks = dict(bids), dict(asks)
        self._find_best(market)
        self._market_moved(market, now_ns)

    def change_book(self, pair: Pair, bids: Levels, asks: Levels, now_ns: int) -> None:
        """Change some levels; quantity 0 removes one."""
        market = self.markets[pair]
        for levels, changes in ((market.bids, bids), (market.asks, asks)):
            for price, quantity in changes:
                if quantity:
                    levels[price] = quantity
                else:
                    levels.pop(price, None)
        self._find_best(market)
        self._market_moved(market, now_ns)

    def print_trade(
        self, pair: Pair, taker: Side, price: Decimal, quantity: Decimal, now_ns: int
    ) -> None:
        """Somebody traded: our resting orders at that price or better may be next in line."""
        market = self.markets[pair]
        market.last = price
        maker = Side.SELL if taker is Side.BUY else Side.BUY
        left = quantity
        for order in self._in_priority(market, maker):
            if not left or not _reaches(maker, order.price, price):
                break
            if order.price == price:
                passed = min(order.ahead, left)
                order.ahead -= passed
                left -= passed
            left -= self._fill(market, order, order.price, min(order.left, left), now_ns)
        self._trigger(market, now_ns)

    def advance(self, now_ns: int) -> None:
        """Let time pass: accepted cancels take effect."""
        if not self._canceling:
            return
        due = [o for o in self._canceling if o.cancel_ns is not None and o.cancel_ns <= now_ns]
        self._canceling = [o for o in self._canceling if o not in due and o.is_open]
        for order in due:
            if order.is_open:
                self._remove(order, now_ns)

    @property
    def next_ns(self) -> int | None:
        """When the next accepted cancel takes effect."""
        return min((o.cancel_ns for o in self._canceling if o.cancel_ns is not None), default=None)

    # --- we act -------------------------------------------------------------------------------

    def submit(self, new: NewOrder, now_ns: int) -> Order:
        """Take an order by the documented rules, match it, rest what is left. Raises Rejected."""
        market = self._checked(new)
        order = Order(
            id=self.account.next_order_id(),
            client_id=new.client_id,
            pair=new.pair,
            side=new.side,
            method=new.method,
            quantity=ZERO,
            left=ZERO,
            price=new.price if new.method in ("limit", "stoplimit") else ZERO,
            stop_price=new.stop_price,
            created_ns=now_ns,
            updated_ns=now_ns,
        )
        order.quantity = order.left = self._base_quantity(market, new)
        if new.method == "market":
            order.price = self._guard(market, new.side)
        self.account.open(order, market.rules)
        self.events.append(Event("inserted", order))
        if new.method.startswith("stop"):
            market.stops.append(order)
        else:
            self._match(market, order, now_ns)
        return order

    def cancel(self, order_id: OrderId, now_ns: int) -> None:
        """Accept a cancel, which takes effect later; the order may fill first. Raises Rejected."""
        order = self.account.orders.get(order_id)
        if order is None:
            raise Rejected(1052, "NO_ORDER_MATCHES_YOUR_REQUEST")
        if order.status == "Closed" or (order.method == "market" and order.is_open):
            raise Rejected(1050, "ORDER_COULD_NOT_BE_CANCELED")
        if order.is_open and order.cancel_ns is None:
            order.cancel_ns = now_ns + self._cancel_delay_ns
            self._canceling.append(order)
            self.advance(now_ns)

    def restore(self, orders: Iterable[Order], trades: Iterable[Trade]) -> None:
        """Put back what an earlier life wrote down; balances are restored by the caller."""
        self.account.restore(orders, trades)
        for order in self.account.orders.values():
            market = self.markets.get(order.pair)
            if order.is_open and market is not None:
                (market.stops if order.method.startswith("stop") else market.resting).append(order)
                if order.cancel_ns is not None:
                    self._canceling.append(order)

    # --- rules --------------------------------------------------------------------------------

    def _checked(self, new: NewOrder) -> Market:
        market = self.markets.get(new.pair)
        if market is None:
            raise Rejected(1037, f"Pair {new.pair} does not exists.")
        rules = market.rules
        if new.method not in METHODS or not rules.is_trading:
            raise Rejected(1134, "ORDER_METHOD_NOT_SUPPORTED")
        if new.quantity <= 0:
            raise Rejected(1121, "FAILED_ORDER_PARAMETER")
        is_priced = new.method in ("limit", "stoplimit")
        if (is_priced or new.price) and not _fits(new.price, rules.price_scale):
            raise Rejected(1126, "FAILED_INVALID_PRICE_SCALE")
        spends_quote = new.side is Side.BUY and new.method in ("market", "stopmarket")
        if not _fits(new.quantity, rules.price_scale if spends_quote else rules.quantity_scale):
            raise Rejected(1127, "FAILED_INVALID_QUANTITY_SCALE")
        if is_priced:
            self._check_price(market, new.price)
        self._check_stop(market, new)
        value = (
            new.quantity
            if spends_quote
            else new.quantity * (new.price if is_priced else market.price)
        )
        if value < rules.notional_min:
            raise Rejected(1123, "FAILED_MIN_TOTAL_AMOUNT")
        return market

    def _check_price(self, market: Market, price: Decimal) -> None:
        if price < PRICE_MIN:
            raise Rejected(1227, "PRICE_MUST_BE_LESS_THAN_MINPRICE")
        if price > PRICE_MAX:
            raise Rejected(1226, "PRICE_MUST_BE_LESS_THAN_MAXPRICE")
        if market.price and price < market.price / BAND:
            raise Rejected(1120, "ORDER_MIN_PRICE_EXCEEDED")
        if market.price and price > market.price * BAND:
            raise Rejected(1120, "ORDER_MAX_PRICE_EXCEEDED")

    def _check_stop(self, market: Market, new: NewOrder) -> None:
        if not new.method.startswith("stop"):
            return
        if new.stop_price <= 0 or not _fits(new.stop_price, market.rules.price_scale):
            raise Rejected(1128, "FAILED_INVALID_STOP_PRICE_SCALE")
        if new.side is Side.BUY and new.stop_price <= market.ask:
            raise Rejected(1125, "FAILED_STOP_PRICE_LESS_THAN_BEST_BID")
        if new.side is Side.SELL and new.stop_price >= market.bid:
            raise Rejected(1124, "FAILED_STOP_PRICE_GREATER_THAN_BEST_ASK")

    def _base_quantity(self, market: Market, new: NewOrder) -> Decimal:
        """Return the order's size in base; a market buy's quote is spent at the guard's price."""
        if new.side is Side.SELL or new.method in ("limit", "stoplimit"):
            return new.quantity
        rate = 1 + self.account.fees[market.rules.quote].taker_bps / BPS_IN_ONE
        price = new.stop_price or self._guard(market, new.side)
        return market.rules.quantity_down(new.quantity / rate / price)

    def _guard(self, market: Market, side: Side) -> Decimal:
        """Return the worst price a market order may reach. Raises Rejected on an empty book."""
        best = market.ask if side is Side.BUY else market.bid
        if not best:
            raise Rejected(1118, "FAILED_MARKET_ORDER")
        sign = 1 if side is Side.BUY else -1
        return best * (1 + sign * MARKET_GUARD)

    # --- matching -----------------------------------------------------------------------------

    def _match(self, market: Market, order: Order, now_ns: int) -> None:
        """Take what the book shows within the limit; then rest, or end a market order."""
        levels = market.asks if order.side is Side.BUY else market.bids
        crosses = sorted(
            (p for p in levels if _reaches(order.side, order.price, p)),
            reverse=order.side is Side.SELL,
        )
        for price in crosses:
            if not order.left:
                break
            quantity = min(order.left, levels[price])
            levels[price] -= quantity
            if not levels[price]:
                del levels[price]
            self._fill(market, order, price, quantity, now_ns, is_maker=False)
        if crosses:
            self._find_best(market)
        if order.left and order.method in ("market", "stopmarket"):
            self._remove(order, now_ns)
        elif order.left:
            order.ahead = market.side(order.side).get(order.price, ZERO)
            market.resting.append(order)

    def _fill(
        self, market: Market, order: Order, price: Decimal, quantity: Decimal, now_ns: int,
        *, is_maker: bool = True,
    ) -> Decimal:  # fmt: skip
        """Execute `quantity` of an order; return it."""
        if quantity:
            trade = self.account.execute(
                order, market.rules, price, quantity, now_ns, is_maker=is_maker
            )
            if not order.left and is_maker:
                market.resting.remove(order)
            self.events.append(Event("matched", order, trade))
        return quantity

    def _market_moved(self, market: Market, now_ns: int) -> None:
        """Fill the resting orders whose price the other side of the book has reached."""
        for side, best in ((Side.BUY, market.ask), (Side.SELL, market.bid)):
            if not best:
                continue
            levels = market.asks if side is Side.BUY else market.bids
            for order in self._in_priority(market, side):
                if not _reaches(side, order.price, best):
                    break
                shown = sum(
                    (q for p, q in levels.items() if _reaches(side, order.price, p)), start=ZERO
                )
                self._fill(market, order, order.price, min(order.left, shown), now_ns)
        self._trigger(market, now_ns)

    def _trigger(self, market: Market, now_ns: int) -> None:
        """Turn stops that the market reached into new orders with the same client id."""
        for stop in tuple(market.stops):
            reached = (
                market.ask >= stop.stop_price
                if stop.side is Side.BUY
                else ZERO < market.bid <= stop.stop_price
            )
            if reached:
                market.stops.remove(stop)
                self.account.end(stop, market.rules, now_ns)
                self.events.append(Event("deleted", stop))
                self._child(market, stop, now_ns)

    def _child(self, market: Market, stop: Order, now_ns: int) -> None:
        is_market = stop.method == "stopmarket"
        child = Order(
            id=self.account.next_order_id(),
            client_id=stop.client_id,
            pair=stop.pair,
            side=stop.side,
            method="market" if is_market else "limit",
            quantity=stop.quantity,
            left=stop.left,
            price=self._guard(market, stop.side) if is_market else stop.price,
            created_ns=now_ns,
            updated_ns=now_ns,
        )
        try:
            self.account.open(child, market.rules)
        except Rejected:
            return  # The market ran past what the stop had held: nothing is sent in its place.
        self.events.append(Event("inserted", child))
        self._match(market, child, now_ns)

    def _remove(self, order: Order, now_ns: int) -> None:
        market = self.markets[order.pair]
        for waiting in (market.resting, market.stops):
            if order in waiting:
                waiting.remove(order)
        self.account.end(order, market.rules, now_ns)
        self.events.append(Event("deleted", order))

    def _in_priority(self, market: Market, side: Side) -> list[Order]:
        """Return our resting orders of one side: best price first, then first come."""
        sign = -1 if side is Side.BUY else 1
        ours = [order for order in market.resting if order.side is side]
        return sorted(ours, key=lambda order: sign * order.price)

    def _find_best(self, market: Market) -> None:
        market.bid = max(market.bids, default=ZERO)
        market.ask = min(market.asks, default=ZERO)


def _reaches(side: Side, limit: Decimal, price: Decimal) -> bool:
    """Return whether an order of `side` at `limit` meets `price` on the other side."""
    return price <= limit if side is Side.BUY else price >= limit


def _fits(value: Decimal, scale: int) -> bool:
    return value >= 0 and value % step_of(scale) == 0
