"""The simulated account: totals, holds, orders and trades; exact, never negative."""

from collections.abc import Iterable, Mapping
from decimal import ROUND_DOWN, Decimal
from typing import Final

from msgspec import Struct

from btcbot.domain.ids import Asset, OrderId, Pair, TradeId
from btcbot.domain.instruments import FeeRates, Instrument
from btcbot.domain.money import BPS_IN_ONE, Bps, step_of
from btcbot.domain.words import Side

ZERO: Final = Decimal(0)
TAX_RATE: Final = Decimal("0.20")  # Of the fee; published rates include it.
FEE_STEP: Final = step_of(8)
FIRST_ORDER_ID: Final = 26_900_000_001  # Beyond 32 bits, as on the exchange.
FIRST_TRADE_ID: Final = 1_181_163_798_924_649_598  # Beyond 2^53, as on the exchange.
# What is remembered of the past. Some 12 MB of ended orders and as much of trades.
ORDERS_MAX: Final = 10_000
TRADES_MAX: Final = 20_000


class Rejected(Exception):
    """The exchange says no; `code` and `message` as documented."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Order(Struct, kw_only=True):
    """One order, whoever sent it; `left` is what is not executed, in base asset."""

    id: OrderId
    client_id: str
    pair: Pair
    side: Side
    method: str  # "limit", "market", "stoplimit", "stopmarket"
    quantity: Decimal
    left: Decimal
    price: Decimal  # 0 for a market or stopmarket order.
    stop_price: Decimal = ZERO
    status: str = "Untouched"
    created_ns: int
    updated_ns: int
    hold: Decimal = ZERO  # Quote for a buy, base for a sell.
    ahead: Decimal | None = ZERO  # Quantity in front of us at our price; None: not seen yet.
    cancel_ns: int | None = None  # A cancel was accepted and takes effect then.
    first_price: Decimal | None = None  # Of its first execution.

    @property
    def is_open(self) -> bool:
        return self.status in {"Untouched", "Partial"}

    @property
    def is_stop(self) -> bool:
        return self.method.startswith("stop")

    @property
    def is_market(self) -> bool:
        return self.method.endswith("market")


class Trade(Struct, kw_only=True, frozen=True):
    """One execution of an order; fee and tax are costs in quote."""

    id: TradeId
    order_id: OrderId
    client_id: str
    pair: Pair
    base: Asset
    quote: Asset
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    tax: Decimal
    is_maker: bool
    at_ns: int


class Balance(Struct):
    total: Decimal = ZERO
    locked: Decimal = ZERO

    @property
    def free(self) -> Decimal:
        return self.total - self.locked


class Account:
    """Balances, orders and trades; remembers what changed since the last `changes`."""

    def __init__(self, balances: Mapping[Asset, Decimal], fees: Mapping[Asset, FeeRates]) -> None:
        self.balances = {asset: Balance(total) for asset, total in balances.items()}
        self.fees = fees
        self.orders: dict[OrderId, Order] = {}  # In order of id; ended ones go when there are many.
        self.trades: list[Trade] = []  # Oldest first; the oldest go when there are many.
        self._last_order_id = FIRST_ORDER_ID - 1
        self._last_trade_id = FIRST_TRADE_ID - 1
        self._changed: dict[OrderId, Order] = {}
        self._traded: list[Trade] = []

    def balance(self, asset: Asset) -> Balance:
        return self.balances.setdefault(asset, Balance())

    def taker_rate(self, rules: Instrument) -> Decimal:
        """Return the taker's fee with its tax as a fraction: 0.0024."""
        return self.fees[rules.quote].taker_bps / BPS_IN_ONE

    def next_order_id(self) -> OrderId:
        """Return an id above every one so far; one is spent even when the order is refused."""
        self._last_order_id += 1
        return OrderId(self._last_order_id)

    def restore(self, orders: Iterable[Order], trades: Iterable[Trade]) -> None:
        """Put back what an earlier life wrote down, oldest first."""
        self.orders |= {order.id: order for order in orders}
        self.trades.extend(trades)
        self._last_order_id = max(self.orders, default=self._last_order_id)
        self._last_trade_id = max((t.id for t in self.trades), default=self._last_trade_id)

    def hold_of(self, order: Order, rules: Instrument) -> Decimal:
        """Return what the open part of a priced order holds: a buy has the taker's fee on top."""
        if order.side is Side.SELL:
            return order.left
        return order.left * order.price * (1 + self.taker_rate(rules))

    def open(self, order: Order, rules: Instrument, hold: Decimal) -> None:
        """Take an order and hold its funds. Raises Rejected when they are not free."""
        balance = self.balance(rules.quote if order.side is Side.BUY else rules.base)
        if hold > balance.free:
            if hold <= balance.total:
                raise Rejected(1122, "FAILED_ORDER_WITH_OPEN_ORDERS")
            raise Rejected(1055, "BALANCE_NOT_ENOUGH")
        order.hold = hold
        balance.locked += hold
        self.orders[order.id] = order
        self._touch(order, order.created_ns)
        self._forget()

    def execute(
        self, order: Order, rules: Instrument, price: Decimal, quantity: Decimal, now_ns: int,
        *, is_maker: bool,
    ) -> Trade:  # fmt: skip
        """Fill part of an order and move the money; the hold shrinks to what is left."""
        rates = self.fees[rules.quote]
        notional = price * quantity
        fee, tax = fee_and_tax(notional, rates.maker_bps if is_maker else rates.taker_bps)
        order.left -= quantity
        order.status = "Partial" if order.left else "Closed"
        order.first_price = order.first_price or price
        self._last_trade_id += 1
        trade = Trade(
            id=TradeId(self._last_trade_id),
            order_id=order.id,
            client_id=order.client_id,
            pair=order.pair,
            base=rules.base,
            quote=rules.quote,
            side=order.side,
            price=price,
            quantity=quantity,
            fee=fee,
            tax=tax,
            is_maker=is_maker,
            at_ns=now_ns,
        )
        self.trades.append(trade)
        self._traded.append(trade)
        self._move(order, rules, notional, trade)
        self._touch(order, now_ns)
        return trade

    def end(self, order: Order, rules: Instrument, now_ns: int) -> None:
        """Cancel what is left of an order and release its hold."""
        order.status, order.cancel_ns = "Canceled", None
        self._rehold(order, rules, ZERO)
        self._touch(order, now_ns)

    def changes(self) -> tuple[list[Order], list[Trade]]:
        """Return what changed since the last call: what a persistent exchange writes down."""
        orders, trades = list(self._changed.values()), self._traded
        self._changed, self._traded = {}, []
        return orders, trades

    # --- inside -------------------------------------------------------------------------------

    def _move(self, order: Order, rules: Instrument, notional: Decimal, trade: Trade) -> None:
        base, quote = self.balance(rules.base), self.balance(rules.quote)
        is_buy = order.side is Side.BUY
        cost = notional + trade.fee + trade.tax if is_buy else notional - trade.fee - trade.tax
        if not order.is_open:
            hold = ZERO
        elif is_buy and order.is_market:
            hold = order.hold - cost  # What it may still spend.
        else:
            hold = self.hold_of(order, rules)
        self._rehold(order, rules, hold)
        if is_buy:
            base.total += trade.quantity
            quote.total -= cost
        else:
            base.total -= trade.quantity
            quote.total += cost

    def _rehold(self, order: Order, rules: Instrument, hold: Decimal) -> None:
        balance = self.balance(rules.quote if order.side is Side.BUY else rules.base)
        balance.locked += hold - order.hold
        order.hold = hold

    def _touch(self, order: Order, now_ns: int) -> None:
        order.updated_ns = now_ns
        self._changed[order.id] = order

    def _forget(self) -> None:
        """Drop the oldest ended order and the oldest trades once there are too many."""
        if len(self.orders) > ORDERS_MAX:
            ended = next((o.id for o in self.orders.values() if not o.is_open), None)
            if ended is not None:
                del self.orders[ended]
        if len(self.trades) > TRADES_MAX + TRADES_MAX // 10:
            del self.trades[:-TRADES_MAX]


def fee_and_tax(notional: Decimal, rate: Bps) -> tuple[Decimal, Decimal]:
    """Return (fee, tax) of a fill: the published rate includes the tax, which is 20 % of the fee.

    Rounded down to 8 decimals, so that a hold at the taker's rate always covers them.
    """
    fee = (notional * rate / BPS_IN_ONE / (1 + TAX_RATE)).quantize(FEE_STEP, ROUND_DOWN)
    return fee, (fee * TAX_RATE).quantize(FEE_STEP, ROUND_DOWN)
