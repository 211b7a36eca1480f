"""The exchange model as execution's venue, in virtual time: every answer takes its latency.

Nothing here knows a bus: time, scheduling and delivery are given. Latencies are the same for every
request of a run, so a run can be repeated to the byte.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Final, assert_never

from msgspec import Struct

from btcbot.domain.ids import TradeId
from btcbot.domain.messages import AssetBalance, Message
from btcbot.domain.money import ZERO, Amount, Price, Quantity
from btcbot.domain.venue import (
    AllOrdersRead,
    BalancesRead,
    Cancel,
    CancelAnswered,
    ConnectionsIdle,
    Doorbell,
    FillsRead,
    LimitOrder,
    MarketBuy,
    MarketSell,
    OpenOrdersRead,
    OrderRead,
    OrderTerms,
    Outcome,
    ReadAllOrders,
    ReadBalances,
    ReadFills,
    ReadOpenOrders,
    ReadOrder,
    ReadTime,
    StopLimitOrder,
    StopMarketBuy,
    StopMarketSell,
    Submit,
    Submitted,
    TimeRead,
    VenueEffect,
    VenueFill,
    VenueOrder,
)
from btcbot.domain.words import Side
from btcbot.simulation.account import Order, Rejected, Trade
from btcbot.simulation.exchange import Exchange, NewOrder

CONNECTIONS = 4
TOLD_MAX = 10_000  # Trades that are kept as they were told; past it all are made anew.
MILLISECOND_NS = 1_000_000
Deliver = Callable[[Message], None]
CallAt = Callable[[int, Callable[[], None]], None]
Now = Callable[[], int]


class Latency(Struct, frozen=True, kw_only=True):
    """Nanoseconds. Requests: one way, and the way back is the same."""

    submit_ns: int = 25 * MILLISECOND_NS
    cancel_ns: int = 25 * MILLISECOND_NS
    read_ns: int = 25 * MILLISECOND_NS
    doorbell_ns: int = 10 * MILLISECOND_NS  # From the match to the private socket's frame.
    cancel_effect_ns: int = MILLISECOND_NS  # From an accepted cancel to the order's end.
    fills_ns: int = 0  # From the match until lists of own trades show it.


class SimulatedVenue:
    """Performs venue effects against the exchange model."""

    def __init__(
        self, exchange: Exchange, latency: Latency, now: Now, call_at: CallAt, deliver: Deliver,
        *, audit: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """`audit` is called after every change of the account."""
        self._exchange, self._latency, self._audit = exchange, latency, audit
        self._now, self._call_at, self._deliver = now, call_at, deliver
        self._idle = CONNECTIONS
        self._told: dict[TradeId, VenueFill] = {}  # By trade: a list tells most of them again.

    def open(self) -> None:
        """Say that the connections stand."""
        self._deliver(ConnectionsIdle(count=self._idle))

    def start(self, effect: VenueEffect) -> None:
        """Begin one effect; its outcome comes after the round trip."""
        latency = self._latency
        if isinstance(effect, Submit):
            self._idle -= 1
            self._after(latency.submit_ns, lambda: self._submit(effect))
        elif isinstance(effect, Cancel):
            self._after(latency.cancel_ns, lambda: self._cancel(effect))
        else:
            self._after(latency.read_ns, lambda: self._read(effect))

    def ring(self) -> None:
        """Tell execution what moved since the last call; to be called after every market event."""
        events = self._exchange.drain()
        if events:
            self._audit()
        for event in events:
            self._later(self._latency.doorbell_ns, Doorbell(order_id=event.order.id))

    def _submit(self, effect: Submit) -> None:
        self._exchange.advance(self._now())
        new = _new_order(effect)
        try:
            order = self._exchange.submit(new, self._now())
        except Rejected as no:
            outcome = Submitted(
                intent_id=effect.intent_id,
                outcome=Outcome.REJECTED,
                code=str(no.code),
                detail=no.message,
            )
        else:
            outcome = Submitted(
                intent_id=effect.intent_id, outcome=Outcome.ACKED, order_id=order.id
            )
        self._later(self._latency.submit_ns, outcome)
        self._after(self._latency.submit_ns, self._free)
        self.ring()

    def _free(self) -> None:
        self._idle += 1
        self._deliver(ConnectionsIdle(count=self._idle))

    def _cancel(self, effect: Cancel) -> None:
        try:
            self._exchange.cancel(effect.order_id, self._now())
            answer = CancelAnswered(order_id=effect.order_id, is_accepted=True)
        except Rejected as no:
            answer = CancelAnswered(order_id=effect.order_id, is_accepted=False, detail=no.message)
        self._later(self._latency.cancel_ns, answer)
        due_ns = self._exchange.next_ns
        if due_ns is not None:
            self._call_at(due_ns, self._advance)

    def _advance(self) -> None:
        """Let accepted cancels take effect; tell of them."""
        self._exchange.advance(self._now())
        self.ring()

    def _read(self, effect: VenueEffect) -> None:
        self._advance()
        self._later(self._latency.read_ns, self._found(effect))

    def _found(self, effect: VenueEffect) -> Message:
        """Return what a read finds at this moment."""
        exchange, now_ns = self._exchange, self._now()
        match effect:
            case ReadFills():
                return self._fills(effect, now_ns)
            case ReadOrder():
                found = exchange.order(effect.order_id)
                row = _venue_order(found) if found else None
                return OrderRead(order_id=effect.order_id, order=row)
            case ReadOpenOrders():
                rows = exchange.open_orders(now_ns, effect.pair)
                return OpenOrdersRead(
                    pair=effect.pair, orders=tuple(map(_venue_order, rows)), asked_ns=now_ns
                )
            case ReadAllOrders():
                every = exchange.all_orders(now_ns, effect.pair, effect.from_order_id)
                return AllOrdersRead(
                    pair=effect.pair,
                    orders=tuple(map(_venue_order, every)),
                    is_complete=True,
                    asked_ns=now_ns,
                )
            case ReadBalances():
                held = sorted(exchange.balances().items())
                balances = tuple(AssetBalance(a, Amount(b.total), Amount(b.free)) for a, b in held)
                return BalancesRead(balances=balances, asked_ns=now_ns)
            case _:
                assert isinstance(effect, ReadTime), f"not a read: {effect}"
                return TimeRead(offset_ns=0, error_ns=0)

    def _fills(self, effect: ReadFills, now_ns: int) -> FillsRead:
        """Return own trades, newest first as the exchange lists them."""
        since_ns = 0 if effect.order_id is not None else effect.since_ms * MILLISECOND_NS
        found = self._exchange.trades(now_ns, since_ns)
        if effect.order_id is not None:
            found = (trade for trade in found if trade.order_id == effect.order_id)
        if len(self._told) > TOLD_MAX:
            self._told.clear()
        fills = tuple([self._told.get(trade.id) or self._tell(trade) for trade in found])
        return FillsRead(order_id=effect.order_id, fills=fills, asked_ns=now_ns)

    def _tell(self, trade: Trade) -> VenueFill:
        self._told[trade.id] = told = _venue_fill(trade)
        return told

    def _after(self, delay_ns: int, call: Callable[[], None]) -> None:
        self._call_at(self._now() + delay_ns, call)

    def _later(self, delay_ns: int, message: Message) -> None:
        self._after(delay_ns, lambda: self._deliver(message))


def _new_order(effect: Submit) -> NewOrder:
    """Return the order that a submit asks for, as the exchange understands its body."""
    terms, pair, label = effect.terms, effect.pair, effect.client_order_id
    match terms:
        case MarketBuy() | StopMarketBuy():
            side, quantity = Side.BUY, Decimal(terms.spend)
        case MarketSell() | StopMarketSell():
            side, quantity = Side.SELL, Decimal(terms.quantity)
        case LimitOrder() | StopLimitOrder():
            side, quantity = terms.side, Decimal(terms.quantity)
        case _:
            assert_never(terms)
    return NewOrder(
        pair=pair,
        side=side,
        method=_METHODS[type(terms)],
        quantity=quantity,
        price=terms.price if isinstance(terms, LimitOrder | StopLimitOrder) else ZERO,
        stop_price=ZERO
        if isinstance(terms, LimitOrder | MarketBuy | MarketSell)
        else terms.stop_price,
        client_id=label,
    )


_METHODS: Final[dict[type[OrderTerms], str]] = {
    LimitOrder: "limit",
    MarketBuy: "market",
    MarketSell: "market",
    StopLimitOrder: "stoplimit",
    StopMarketBuy: "stopmarket",
    StopMarketSell: "stopmarket",
}


def _venue_order(order: Order) -> VenueOrder:
    return VenueOrder(
        order_id=order.id,
        client_id=order.client_id,
        pair=order.pair,
        side=order.side,
        quantity=Amount(order.quantity),
        left=Amount(order.left),
        price=Price(order.price),
        status=order.status,
        method=order.method,
        stop_price=Price(order.stop_price),
        created_ms=order.created_ns // MILLISECOND_NS,
        updated_ms=order.updated_ns // MILLISECOND_NS,
    )


def _venue_fill(trade: Trade) -> VenueFill:
    return VenueFill(
        trade_id=trade.id,
        order_id=trade.order_id,
        client_id=trade.client_id,
        pair=trade.pair,
        side=trade.side,
        quantity=Quantity(trade.quantity),
        price=Price(trade.price),
        fee=Amount(trade.fee),
        tax=Amount(trade.tax),
        event_ns=trade.at_ns,
    )
