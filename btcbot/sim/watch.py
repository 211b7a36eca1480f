"""What must never happen, judged from the exchange's truth and from the bytes that left.

A violation names the invariant (docs/explanation/promises.md), what was found, and when. What must
happen *sometimes* is counted as well: a world in which nothing goes wrong proves nothing.
"""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from btcbot.domain.facts import (
    Discrepancy,
    EpochStarted,
    Fact,
    Fill,
    IntentRefused,
    OrderAbsent,
    OrderAcked,
    OrderClosed,
    OrderClosing,
    OrderNotSent,
    OrderRejected,
    OrderSubmitting,
    OrderUnknown,
    OrderZombie,
    TradingStateChanged,
)
from btcbot.domain.feed import BookRead
from btcbot.domain.ids import Asset, IntentId
from btcbot.domain.messages import BookTop, OrderIntent
from btcbot.domain.money import BPS_IN_ONE
from btcbot.domain.venue import Outcome, Submitted
from btcbot.domain.words import OrderState, Rule, Side, TradingState
from btcbot.orders.state import Desk
from btcbot.orders.state import Order as LiveOrder
from btcbot.sim.host import KEYS, SECRET, Host
from btcbot.simulation.account import Order
from btcbot.store.reader import Reader

SAFE = (TradingState.PAUSED, TradingState.KILLED, TradingState.HALTED)
SECRETS = (b"X-Signature", KEYS.key.encode(), SECRET.encode())
MINUTE_NS = 60_000_000_000
APPROVED_FOR_NS = 500_000_000


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
        self._last: OrderIntent | None = None  # What is being sent.
        self._unknown: dict[IntentId, int] = {}
        self._sent: dict[IntentId, OrderSubmitting] = {}
        self._absent_labels: dict[str, None] = {}
        self._alarms: list[str] = []
        self._fills: dict[tuple[int, int, str], Fill] = {}
        self._followed: dict[type[Fact], Callable[[Any], None]] = {
            OrderSubmitting: self._submitting,
            OrderUnknown: self._doubted,
            OrderAcked: self._acked,
            OrderAbsent: self._absent,
            OrderRejected: self._rejected,
            OrderClosing: self._closing,
            OrderClosed: self._closed,
            OrderNotSent: self._not_sent,
            OrderZombie: self._zombie,
            Discrepancy: self._alarmed,
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
        """Hold every limit of the hard gate against all that may live, doubts in full (I5)."""
        gate = desk.setup.gate
        live = [desk.orders[intent_id] for intent_id in desk.live]
        self._judge_worst(desk, live)
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
            if self._host.plan.beyond_bounds and row.client_id in self._absent_labels:
                continue  # It will be found, and stop everything.
            if row.is_open and row.id not in known and not label_known:
                self.broken("I5", f"{row.client_id} is open and counted nowhere")

    def _judge_worst(self, desk: Desk, live: list[LiveOrder]) -> None:
        """Let every order that may live be filled, and see what is held and left then."""
        gate, cash = desk.setup.gate, desk.ledger.get(Asset("TRY"), Decimal(0))
        buys = [order for order in live if order.intent.side is Side.BUY]
        for order in buys:
            rate = 1 + desk.setup.fees[Asset("TRY")].taker_bps / BPS_IN_ONE
            cash -= order.left * order.intent.limit_price * rate
        last = self._last
        if last is None or last.side is not Side.BUY:
            return
        if cash < gate.cash_reserve_min_try:
            self.broken("I5", f"{cash} TRY would be left; at least {gate.cash_reserve_min_try}")
        others = sum((o.left for o in buys if o.intent.pair == last.pair), start=-last.quantity)
        held = desk.positions.get(last.pair, Decimal(0)) + others
        worth = held * desk.marks[last.pair].ask + last.quantity * last.limit_price
        if worth > gate.position_notional_max_try:
            self.broken("I5", f"{last.pair} worth {worth} TRY would be held")

    # --- messages -----------------------------------------------------------------------------

    def priced(self, top: BookTop) -> None:
        """Judge prices as market_data says them: the exchange has shown them lately (I10)."""
        if (top.bid, top.ask) not in self._host.shown[top.pair]:
            self.broken("I10", f"{top.pair}: {top.bid}/{top.ask} was never shown of late")

    def came(self, message: Struct) -> None:
        """Count what an actor hears now and then."""
        if isinstance(message, BookRead):
            self.sometimes["a book is read again from a snapshot"] += 1
        elif isinstance(message, Submitted) and message.outcome is Outcome.ACKED:
            began_ns = self._unknown.get(message.intent_id)
            if began_ns is not None and self._clock.now_ns() - began_ns > MINUTE_NS:
                self.sometimes["a late answer after a minute"] += 1

    def looked_at(self, name: str, frame: bytes) -> None:
        """Judge what an actor hears, as bytes: no secret, and nothing that was signed (I15)."""
        if any(secret in frame for secret in SECRETS):
            self.broken("I15", f"{name} was told a secret: {frame[:80]!r}")

    # --- facts --------------------------------------------------------------------------------

    def heard(self, fact: Fact) -> None:
        """Follow what is said of orders and money."""
        follow = self._followed.get(type(fact))
        if follow is not None:
            follow(fact)

    def _submitting(self, fact: OrderSubmitting) -> None:
        self._intents[fact.intent.intent_id] += 1
        self._sent[fact.intent.intent_id] = fact
        self._last = fact.intent
        if not 0 <= fact.at_ns - fact.approved_ns <= APPROVED_FOR_NS:
            age_ms = (fact.at_ns - fact.approved_ns) // 10**6
            self.broken("I14", f"{fact.client_order_id} was approved {age_ms} ms ago")
        if fact.at_ns >= fact.intent.expires_ns:
            self.broken("I14", f"{fact.client_order_id} is submitted past its time")
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

    def _not_sent(self, fact: OrderNotSent) -> None:
        self.sometimes["an order is not sent"] += 1
        if "we were paused" in fact.detail:
            self.sometimes["an order is not sent: its stamp is too old"] += 1
        label = self._label(fact.intent_id)
        if self.posts[label]:
            self.broken("I1", f"{label} is called not sent, and its bytes left")

    def _zombie(self, fact: OrderZombie) -> None:
        self.sometimes["an order believed absent is found"] += 1
        if not self._host.plan.beyond_bounds:
            label = self._label(fact.intent_id)
            self.broken("I1", f"{label} was called gone, and lives as {fact.order_id}")

    def _alarmed(self, fact: Discrepancy) -> None:
        self._alarms.append(fact.subject)
        if fact.subject.startswith("overfill of"):
            self.sometimes["an overfill is noticed"] += 1
        if "another btcbot" in fact.detail:
            self.sometimes["another btcbot is noticed"] += 1

    def _trading(self, fact: TradingStateChanged) -> None:
        self.sometimes[f"trading is {fact.state}"] += 1
        plan = self._host.plan
        has_cause = plan.beyond_bounds or plan.overfill or plan.foreign
        if fact.state is TradingState.HALTED and not has_cause:
            self.broken("I13", f"halted without a cause: {fact.reason}")

    def _label(self, intent_id: IntentId) -> str:
        return self._sent[intent_id].client_order_id

    def _orders(self, intent_id: IntentId) -> list[Order]:
        """Return what the exchange has under an intent's label."""
        return self._host.orders_of(self._label(intent_id))

    def _acked(self, fact: OrderAcked) -> None:
        began_ns = self._unknown.get(fact.intent_id)
        if began_ns is None:
            return
        how = "found" if fact.found else "acknowledged by a late answer"
        self.sometimes[f"unknown, then {how}"] += 1
        order = self._host.exchange.order(fact.order_id)
        if fact.found and order is not None and not order.left:
            self.sometimes["unknown, then found filled"] += 1

    def _closing(self, fact: OrderClosing) -> None:
        if fact.status in {"Canceled", "Cancelled"} and fact.executed:
            self.sometimes["cancelled after a partial fill"] += 1
        booked = (f.quantity for f in self._fills.values() if f.intent_id == fact.intent_id)
        if sum(booked, start=Decimal(0)) != fact.executed:
            self.sometimes["the trade list lags an order's end"] += 1
        for order in self._orders(fact.intent_id):
            if order.is_open:
                self.broken("I8", f"{order.client_id} is called over, and is open")

    def _closed(self, fact: OrderClosed) -> None:
        """Its successor is sized by what this says: it must be all there was."""
        label = self._label(fact.intent_id)
        for order in self._orders(fact.intent_id):
            traded = sum(
                (t.quantity for t in self._host.exchange.account.trades if t.order_id == order.id),
                start=Decimal(0),
            )
            if traded != fact.filled and order.id not in self._host.overfilled:
                self.broken("I8", f"{label} closed with {fact.filled}; {traded} was executed")

    def _absent(self, fact: OrderAbsent) -> None:
        self.sometimes["unknown, then proven absent"] += 1
        label = self._label(fact.intent_id)
        self._absent_labels[label] = None
        there = self._orders(fact.intent_id)
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
            if row.client_id in self._absent_labels and not self._host.plan.beyond_bounds:
                self.broken("I1", f"{row.client_id} was called absent, and is order {row.id}")
        self._compare_fills(theirs)
        self._judge_alarms()
        for asset, balance in self._host.exchange.balances().items():
            ours = desk.ledger.get(asset, Decimal(0))
            if ours != balance.total:
                self.broken("I3", f"{asset}: books {ours}, exchange {balance.total}")

    def _judge_alarms(self) -> None:
        """See that what broke an assumption was noticed."""
        if self._host.overfilled and not any(a.startswith("overfill of") for a in self._alarms):
            self.broken("I2", f"nobody noticed the overfill of {self._host.overfilled}")

    def nothing_rests(self, prefix: str) -> None:
        """See that a kill has reached every order (I4).

        But for one that the exchange took later than any bound, after it was proven absent: that
        one is known when it is next listed, and at rest it is over like all others.
        """
        for row in self._host.orders_of(prefix):
            is_late = self._host.plan.beyond_bounds and row.client_id in self._absent_labels
            if row.is_open and row.cancel_ns is None and not is_late:
                self.broken("I4", f"{row.client_id} rests long after the kill")

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
