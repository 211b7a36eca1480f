"""The simulated account: totals, what open orders hold, orders and trades; exact, never negative."""

from collections.abc import Iterable, Mapping
from decimal import ROUND_DOWN, Decimal
from typing import Final

from msgspec import Struct

from btcbot.domain.ids import Asset, OrderId, Pair, TradeId
from btcbot.domain.instruments import FeeRates, Instrument
from btcbot.domain.money import BPS_IN_ONE, Bps, step_of
from btcbot.domain.words import Side

TAX_RATE: Final = Decimal("0.20")  # Of the fee; published rates include it.
FEE_STEP: Final = step_of(8)
FIRST_ORDER_ID: Final = 26_900_000_001  # Beyond 32 bits, as on the exchange.
FIRST_TRADE_ID: Final = 1_181_163_798_924_649_598  # Beyond 2^53, as on the exchange.


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
    price: Decimal
    stop_price: Decimal = Decimal(0)
    status: str = "Untouched"
    created_ns: int
    updated_ns: int
    hold: Decimal = Decimal(0)  # Quote for a buy, base for a sell.
    ahead: Decimal = Decimal(0)  # Quantity in front of us at our price.
    cancel_ns: int | None = None  # A cancel was accepted and takes effect then.

    @property
    def is_open(self) -> bool:
        return self.status in {"Untouched", "Partial"}


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
    total: Decimal = Decimal(0)
    locked: Decimal = Decimal(0)

    @property
    def free(self) -> Decimal:
        return self.total - self.locked


class Account:
    """Balances, orders and trades; remembers what changed since the last `changes`."""

    def __init__(
        self, balances: Mapping[Asset, Decimal], fees: Mapping[Asset, FeeRates]
    ) -> None:
        self.balances = {asset: Balance(total) for asset, total in balances.items()}
        self.fees = fees
        self.orders: dict[OrderId, Order] = {}
        self.trades: list[Trade] = []
        self._last_order_id = FIRST_ORDER_ID - 1
        self._changed: dict[OrderId, Order] = {}
        self._traded = 0

    def balance(self, asset: Asset) -> Balance:
        return self.balances.setdefault(asset, Balance())

    def next_order_id(self) -> OrderId:
        """Return an id above every one so far; one is spent even when the order is refused."""
        self._last_order_id += 1
        return OrderId(self._last_order_id)

    def restore(self, orders: Iterable[Order], trades: Iterable[Trade]) -> None:
        """Put back what an earlier life wrote down."""
        self.orders |= {order.id: order for order in orders}
        self._last_order_id = max(self.orders, default=self._last_order_id)
        self.trades.extend(trades)
        self._traded = len(self.trades)

    def open(self, order: Order, rules: Instrument) -> None:
        """Take an order and hold its funds. Raises Rejected when they are not free."""
        asset = rules.quote if order.side is Side.BUY else rules.base
        order.hold = self.needed(order, rules)
        balance = self.balance(asset)
        if order.hold > balance.free:
            if order.hold <= balance.total:
                raise Rejected(1122, "FAILED_ORDER_WITH_OPEN_ORDERS")
            raise Rejected(1055, "BALANCE_NOT_ENOUGH")
        balance.locked += order.hold
        self.orders[order.id] = order
        self.touch(order, order.created_ns)

    def needed(self, order: Order, rules: Instrument) -> Decimal:
        """Return what the open part of `order` holds: a buy holds the taker's fee on top."""
        if order.side is Side.SELL:
            return order.left
        price = order.price or order.stop_price
        return order.left * price * (1 + self.fees[rules.quote].taker_bps / BPS_IN_ONE)

    def execute(  # noqa: PLR0913 - an execution is these things
        self,
        order: Order,
        rules: Instrument,
        price: Decimal,
        quantity: Decimal,
        now_ns: int,
        *,
        is_maker: bool,
    ) -> Trade:
        """Fill part of an order and move the money; the hold shrinks to what is left."""
        rates = self.fees[rules.quote]
        fee, tax = fee_and_tax(price * quantity, rates.maker_bps if is_maker else rates.taker_bps)
        order.left -= quantity
        order.status = "Partial" if order.left else "Closed"
        trade = Trade(
            id=TradeId(self.trades[-1].id + 1 if self.trades else FIRST_TRADE_ID),
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
        self._rehold(order, rules)
        base, quote = self.balance(rules.base), self.balance(rules.quote)
        sign = 1 if order.side is Side.BUY else -1
        base.total += sign * quantity
        quote.total -= sign * price * quantity + fee + tax
        self.touch(order, now_ns)
        return trade

    def end(self, order: Order, rules: Instrument, now_ns: int) -> None:
        """Cancel what is left of an order and release its hold."""
        order.status, order.cancel_ns = "Canceled", None
        self._rehold(order, rules)
        self.touch(order, now_ns)

    def touch(self, order: Order, now_ns: int) -> None:
        order.updated_ns = now_ns
        self._changed[order.id] = order

    def changes(self) -> tuple[list[Order], list[Trade]]:
        """Return what changed since the last call: what a persistent exchange writes down."""
        orders, trades = list(self._changed.values()), self.trades[self._traded :]
        self._changed.clear()
        self._traded = len(self.trades)
        return orders, trades

    def _rehold(self, order: Order, rules: Instrument) -> None:
        balance = self.balance(rules.quote if order.side is Side.BUY else rules.base)
        hold = self.needed(order, rules) if order.is_open else Decimal(0)
        balance.locked += hold - order.hold
        order.hold = hold


def fee_and_tax(notional: Decimal, rate: Bps) -> tuple[Decimal, Decimal]:
    """Return (fee, tax) of a fill: the published rate includes the tax, which is 20 % of the fee.

    Rounded down to 8 decimals, so that a hold at the taker's rate always covers them.
    """
    fee = (notional * rate / BPS_IN_ONE / (1 + TAX_RATE)).quantize(FEE_STEP, ROUND_DOWN)
    return fee, (fee * TAX_RATE).quantize(FEE_STEP, ROUND_DOWN)
