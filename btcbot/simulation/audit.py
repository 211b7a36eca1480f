"""Conservation in a run: after every change of the account, it is computed a second time.

Nothing here asks the account for a sum. Trades alone move totals, open orders alone hold funds, and
an order's executions and what is left of it are what was ordered. A run that does not add up dies.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from btcbot.domain.ids import Asset, OrderId, TradeId
from btcbot.domain.instruments import Instrument
from btcbot.domain.money import BPS_IN_ONE
from btcbot.domain.words import Side
from btcbot.simulation.account import ZERO, Account, Order, Trade

ROUNDED: Final = Decimal("0.00000003")  # Fee and tax are each rounded down to 8 decimals.


class Audit:
    """A second set of books of `account`, which nobody else asks for its changes."""

    def __init__(self, account: Account, instruments: Iterable[Instrument]) -> None:
        self.is_maker: dict[TradeId, bool] = {}
        self._account, self._fees = account, dict(account.fees)
        self._rules = {rules.pair: rules for rules in instruments}
        self._totals = {asset: one.total for asset, one in account.balances.items()}
        self._locked: dict[Asset, Decimal] = dict.fromkeys(self._totals, ZERO)
        self._holds: dict[OrderId, Decimal] = {}  # Of open orders.
        self._executed: dict[OrderId, Decimal] = {}  # Of orders that are not over.

    def __call__(self) -> None:
        """Take what changed since the last call. Raises AssertionError: it does not add up."""
        orders, trades = self._account.changes()
        for trade in trades:
            self._book(trade)
        for order in orders:
            self._hold(order)
        for asset, balance in self._account.balances.items():
            total, locked = self._totals.get(asset, ZERO), self._locked.get(asset, ZERO)
            assert balance.total == total, f"{asset}: has {balance.total}, trades make it {total}"
            assert balance.locked == locked, (
                f"{asset}: {balance.locked} is locked, open orders hold {locked}"
            )
            assert 0 <= locked <= total, f"{asset}: {locked} of {total} is locked"

    def _book(self, trade: Trade) -> None:
        notional = trade.price * trade.quantity
        rates = self._fees[trade.quote]
        rate = rates.maker_bps if trade.is_maker else rates.taker_bps
        owed, paid = notional * rate / BPS_IN_ONE, trade.fee + trade.tax
        assert trade.quantity > 0, f"trade {trade.id} is of {trade.quantity}"
        assert 0 <= owed - paid < ROUNDED, f"trade {trade.id}: {owed} is owed, {paid} was paid"
        sign = 1 if trade.side is Side.BUY else -1
        self._totals[trade.base] += sign * trade.quantity
        self._totals[trade.quote] -= sign * notional + paid
        executed = self._executed.get(trade.order_id, ZERO)
        self._executed[trade.order_id] = executed + trade.quantity
        self.is_maker[trade.id] = trade.is_maker
        order = self._account.orders.get(trade.order_id)
        if order is not None and not order.is_market:
            better = sign * (order.price - trade.price)
            assert better >= 0, f"trade {trade.id} at {trade.price}, the limit is {order.price}"

    def _hold(self, order: Order) -> None:
        rules = self._rules[order.pair]
        executed = self._executed.get(order.id, ZERO)
        assert order.left >= 0, f"order {order.id}: {order.left} is left"
        assert order.left + executed == order.quantity, (
            f"order {order.id} of {order.quantity}: {executed} was executed, {order.left} is left"
        )
        assert order.is_open == (order.hold > 0), f"order {order.id}: holds {order.hold}"
        if order.is_open and not order.is_market and not order.is_stop:
            owed = self._account.hold_of(order, rules)
            assert order.hold == owed, f"order {order.id}: holds {order.hold}, needs {owed}"
        asset = rules.quote if order.side is Side.BUY else rules.base
        self._locked[asset] += order.hold - self._holds.pop(order.id, ZERO)
        if order.is_open:
            self._holds[order.id] = order.hold
        else:
            self._executed.pop(order.id, None)
