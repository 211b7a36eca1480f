"""What must never happen, judged from the exchange's truth and from the bytes that left.

A violation names the invariant (docs/explanation/promises.md), what was found, and when. What must
happen *sometimes* is counted as well: a world in which nothing goes wrong proves nothing.
"""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from btcbot.domain.facts import (
    EpochStarted,
    Fact,
    Fill,
    IntentRefused,
    OrderAbsent,
    OrderAcked,
    OrderClosing,
    OrderNotSent,
    OrderRejected,
    OrderSubmitting,
    OrderUnknown,
    OrderZombie,
    TradingStateChanged,
)
from btcbot.domain.ids import IntentId
from btcbot.domain.words import OrderState, Rule, TradingState
from btcbot.orders.state import Desk
from btcbot.sim.host import Host
from btcbot.simulation.account import Order
from btcbot.store.reader import Reader

SAFE = (TradingState.PAUSED, TradingState.KILLED, TradingState.HALTED)


class Now(Protocol):
    def now_ns(self) -> int: ...


class Watch:
    """Collects violations; `sometimes` counts what was seen to happen."""

    def __init__(self, host: Host, clock: Now) -> None:
        self._host, self._clock = host, clock
        self.violations: list[str] = []
        self.sometimes: Counter[str] = Counter()
        self.posts: Counter[str] = Counter()
        self.fence: str = ""  # The command after whose answer no POST may leave; empty: none.
        self._intents: Counter[IntentId] = Counter()
        self._unknown: dict[IntentId, int] = {}
        self._sent: dict[IntentId, OrderSubmitting] = {}
        self._fills: dict[tuple[int, int, str], Fill] = {}
        self._followed: dict[type[Fact], Callable[[Any], None]] = {
            OrderSubmitting: self._submitting,
            OrderUnknown: self._doubted,
            OrderAcked: self._acked,
            OrderAbsent: self._absent,
            OrderRejected: self._rejected,
            OrderClosing: self._closing,
            OrderNotSent: self._counted("an order is not sent"),
            OrderZombie: self._counted("an order believed absent is found"),
            IntentRefused: self._refused,
            Fill: self._filled,
            TradingStateChanged: self._trading,
            EpochStarted: self._began,
        }

    def broken(self, invariant: str, what: str) -> None:
        """Note a violation."""
        self.violations.append(f"{invariant} at {self._clock.now_ns()}: {what}")

    # --- bytes --------------------------------------------------------------------------------

    def post_left(self, data: bytes, desk: Desk, reader: Reader) -> None:
        """Judge a POST at the moment when the kernel takes it (I1, I4, I11, I12)."""
        head, _, body = data.partition(b"\r\n\r\n")
        if not head.startswith(b"POST "):
            self.broken("I1", f"bytes that are no POST: {data[:60]!r}")
            return
        label = str(msgspec.json.decode(body)["newOrderClientId"])
        self.posts[label] += 1
        if self.posts[label] > 1:
            self.broken("I1", f"{label} was sent {self.posts[label]} times")
        rows = list(
            reader.rows(
                "SELECT state, posts, stamp_ms FROM intents WHERE client_order_id = ?", (label,)
            )
        )
        stamp = next((v for n, v in _headers(head) if n == "x-stamp"), "")
        if not rows or rows[0]["posts"] != 1 or rows[0]["state"] != "SENDING":
            self.broken("I11", f"{label} left without its journal row: {rows}")
        elif str(rows[0]["stamp_ms"]) != stamp:
            self.broken("I11", f"{label} was signed at {stamp}, journaled {rows[0]['stamp_ms']}")
        if self.fence:
            self.broken("I4", f"{label} left after the answer to {self.fence}")
        if desk.trading in SAFE:
            self.broken("I4", f"{label} left while {desk.trading}")
        bound_ns = desk.setup.bounds.clock_error_max_ms * 1_000_000
        if desk.clock is None or desk.clock.error_ns > bound_ns:
            self.broken("I12", f"{label} left with the clock known to {desk.clock}")
        self._judge_exposure(desk)

    def _judge_exposure(self, desk: Desk) -> None:
        """Hold every limit of the hard gate against the exchange's orders and our doubts (I5)."""
        gate = desk.setup.gate
        live = [desk.orders[intent_id] for intent_id in desk.live]
        if len(live) > gate.open_orders_max:
            self.broken("I5", f"{len(live)} live orders; allowed are {gate.open_orders_max}")
        for order in live:
            worth = order.intent.quantity * order.intent.limit_price
            if worth > gate.order_notional_max_try:
                self.broken("I5", f"{order.client_order_id} is worth {worth}")
        known = {order.order_id for order in live}
        prefix = f"b1-{desk.setup.tag}-"
        for row in self._host.orders_of(prefix):
            label_known = any(order.client_order_id == row.client_id for order in live)
            if row.is_open and row.id not in known and not label_known:
                self.broken("I5", f"{row.client_id} is open and counted nowhere")

    # --- facts --------------------------------------------------------------------------------

    def heard(self, fact: Fact) -> None:
        """Follow what is said of orders and money."""
        follow = self._followed.get(type(fact))
        if follow is not None:
            follow(fact)

    def _submitting(self, fact: OrderSubmitting) -> None:
        self._intents[fact.intent.intent_id] += 1
        self._sent[fact.intent.intent_id] = fact
        if self._intents[fact.intent.intent_id] > 1:
            self.broken("I1", f"{fact.client_order_id} is submitted a second time")

    def _doubted(self, fact: OrderUnknown) -> None:
        self._unknown[fact.intent_id] = fact.at_ns
        self.sometimes["an outcome is unknown"] += 1

    def _rejected(self, fact: OrderRejected) -> None:
        if fact.intent_id in self._unknown:
            self.sometimes["unknown, then refused by a late answer"] += 1

    def _refused(self, fact: IntentRefused) -> None:
        if fact.rule is Rule.EXPIRED:
            self.sometimes["an approval expired on its way"] += 1

    def _began(self, fact: EpochStarted) -> None:
        if fact.epoch > 1:
            self.sometimes["execution starts again"] += 1

    def _counted(self, name: str) -> Callable[[Fact], None]:
        def follow(_fact: Fact) -> None:
            self.sometimes[name] += 1

        return follow

    def _trading(self, fact: TradingStateChanged) -> None:
        self.sometimes[f"trading is {fact.state}"] += 1

    def _acked(self, fact: OrderAcked) -> None:
        began_ns = self._unknown.get(fact.intent_id)
        if began_ns is None:
            return
        how = "found" if fact.found else "acknowledged by a late answer"
        self.sometimes[f"unknown, then {how}"] += 1
        if not fact.found and fact.at_ns - began_ns > 60 * 10**9:
            self.sometimes["a late answer after a minute"] += 1
        order = self._host.exchange.order(fact.order_id)
        if fact.found and order is not None and not order.left:
            self.sometimes["unknown, then found filled"] += 1

    def _closing(self, fact: OrderClosing) -> None:
        if fact.status in {"Canceled", "Cancelled"} and fact.executed:
            self.sometimes["cancelled after a partial fill"] += 1
        booked = (f.quantity for f in self._fills.values() if f.intent_id == fact.intent_id)
        if sum(booked, start=Decimal(0)) != fact.executed:
            self.sometimes["the trade list lags an order's end"] += 1

    def _absent(self, fact: OrderAbsent) -> None:
        self.sometimes["unknown, then proven absent"] += 1
        label = self._sent[fact.intent_id].client_order_id if fact.intent_id in self._sent else ""
        there = list(self._host.orders_of(label)) if label else []
        if there and not self._host.plan.beyond_bounds:
            self.broken("I1", f"{label} is called absent, and is order {there[0].id}")

    def _filled(self, fact: Fill) -> None:
        key = (fact.trade_id, fact.order_id, fact.side)
        if key in self._fills:
            self.broken("I2", f"trade {key} is booked twice")
        self._fills[key] = fact
        trade = next((t for t in self._host.exchange.account.trades if t.id == fact.trade_id), None)
        same = trade is not None and (
            (trade.order_id, trade.side, trade.quantity, trade.price, trade.fee, trade.tax)
            == (fact.order_id, fact.side, fact.quantity, fact.price, fact.fee, fact.tax)
        )
        if not same:
            self.broken("I2", f"trade {key} is not what the exchange has: {fact} / {trade}")
        order = self._host.exchange.order(fact.order_id)
        delay_ns = round(self._host.plan.cancel_slow_s * 10**9)
        if trade and order and order.cancel_ns and trade.at_ns >= order.cancel_ns - delay_ns:
            self.sometimes["filled after the cancel was accepted"] += 1
        if fact.intent_id is None:
            self.sometimes["a person's trade is booked"] += 1
        per_asset: dict[str, Decimal] = {}
        for line in fact.postings:
            per_asset[line.asset] = per_asset.get(line.asset, Decimal(0)) + line.amount
        if any(per_asset.values()):
            self.broken("I3", f"the postings of {key} do not balance: {per_asset}")

    # --- the end ------------------------------------------------------------------------------

    def at_rest(self, desk: Desk) -> None:
        """Judge the whole once nothing moves any more (I1, I2, I3, L1)."""
        prefix = f"b1-{desk.setup.tag}-"
        theirs = self._host.orders_of(prefix)
        for label, count in Counter(row.client_id for row in theirs).items():
            if count > 1:
                self.broken("I1", f"{label} is on the exchange {count} times")
        for row in theirs:
            if row.is_open:
                self.broken("L1", f"{row.client_id} is still open on the exchange")
        self._compare_fills(theirs)
        for asset, balance in self._host.exchange.balances().items():
            ours = desk.ledger.get(asset, Decimal(0))
            if ours != balance.total:
                self.broken("I3", f"{asset}: books {ours}, exchange {balance.total}")

    def is_at_rest(self, desk: Desk) -> bool:
        """Return whether nothing is open, in doubt, or unread, by the exchange's truth too."""
        if desk.live or desk.first_reads or desk.mismatch is not None:
            return False
        prefix = f"b1-{desk.setup.tag}-"
        orders = self._host.orders_of(prefix)
        if any(row.is_open for row in orders):
            return False
        ours = {row.id for row in orders}
        trades = [t for t in self._host.exchange.account.trades if t.order_id in ours]
        booked = {key[:2] for key in self._fills}
        return all((t.id, t.order_id) in booked for t in trades) and not self._differences(desk)

    def _differences(self, desk: Desk) -> bool:
        balances = self._host.exchange.balances().items()
        return any(desk.ledger.get(a, Decimal(0)) != b.total for a, b in balances)

    def _compare_fills(self, theirs: list[Order]) -> None:
        ours = {row.id for row in theirs}
        for trade in self._host.exchange.account.trades:
            if trade.order_id in ours and (trade.id, trade.order_id, trade.side) not in self._fills:
                self.broken("I2", f"trade {trade.id} of order {trade.order_id} was never booked")

    def states(self, reader: Reader) -> None:
        """Judge the rows of orders: every one must be over (L1)."""
        over = {s.value for s in (OrderState.REJECTED, OrderState.NOT_SENT, OrderState.ABSENT,
                                  OrderState.CLOSED)} | {"REFUSED"}  # fmt: skip
        for row in reader.rows("SELECT client_order_id, state FROM intents"):
            if row["state"] not in over:
                self.broken("L1", f"{row['client_order_id']} is still {row['state']}")


def _headers(head: bytes) -> list[tuple[str, str]]:
    lines = head.decode("ascii").split("\r\n")[1:]
    return [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]
