"""One message being handled, and the one place that says what each fact means for the desk."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from btcbot.domain.facts import (
    AccountBound,
    AgentDecided,
    Balances,
    BalancesExplained,
    CommandRefused,
    Discrepancy,
    EpochStarted,
    Fact,
    Fill,
    IntentRefused,
    KillCompleted,
    LimitTightened,
    Opening,
    OrderAbsent,
    OrderAcked,
    OrderCancelRequested,
    OrderClosed,
    OrderClosing,
    OrderNotSent,
    OrderRejected,
    OrderResolved,
    OrderSubmitting,
    OrderUnknown,
    OrderZombie,
    PauseChanged,
    Posting,
    Recorded,
    RiskModeSet,
    TradingStateChanged,
)
from btcbot.domain.ids import CommandId, IntentId, OrderId, Pair
from btcbot.domain.messages import CommandDone, IntentVerdict
from btcbot.domain.venue import ReadTime, Submit, VenueEffect
from btcbot.domain.words import OrderState, TradingState
from btcbot.orders.lifecycle import is_terminal, may_move
from btcbot.orders.state import (
    ALARMS_REMEMBERED,
    MINUTE_NS,
    REMEMBERED,
    Desk,
    FillContent,
    Order,
    Sent,
    held_after,
    remember,
    tighten,
)


class Turn:
    """Facts as they are said, and what is to be done once they are durable."""

    __slots__ = ("answers", "asks", "desk", "facts", "now_ns")

    def __init__(self, desk: Desk, now_ns: int) -> None:
        self.desk = desk
        self.now_ns = now_ns
        self.facts: list[Fact] = []
        self.asks: list[VenueEffect] = []
        self.answers: list[IntentVerdict | CommandDone] = []

    def say(self, fact: Fact) -> None:
        """State a fact: the desk knows it from here on, the disk before anybody is told."""
        self.facts.append(fact)
        self.desk.head += 1
        fold(self.desk, fact)

    def ask(self, effect: VenueEffect) -> None:
        """Ask the exchange, after the facts are durable.

        While it refuses our key, reads and cancels are dropped: they are repeated until answered.
        """
        if not self.desk.is_blind or isinstance(effect, Submit | ReadTime):
            self.asks.append(effect)

    def probe(self, effect: VenueEffect) -> None:
        """Ask although the exchange refuses our key."""
        self.asks.append(effect)

    def answer(self, message: IntentVerdict | CommandDone) -> None:
        """Answer a request, after the facts are durable."""
        self.answers.append(message)

    def change(self, order: Order, **changes: Any) -> Order:  # noqa: ANN401 - fields of Order
        """Note what no fact says about an order: when to repeat a cancel, which sweep saw it."""
        changed = replace(order, **changes)
        self.desk.orders[order.intent.intent_id] = changed
        return changed


def fold(desk: Desk, fact: Fact) -> None:
    """Change `desk` by what `fact` means; a fact without an entry changes nothing."""
    apply = _MEANING.get(type(fact))
    if apply is not None:
        apply(desk, fact)


def _move(desk: Desk, intent_id: IntentId, to: OrderState, now_ns: int, **changes: Any) -> Order:  # noqa: ANN401
    order = desk.orders[intent_id]
    assert may_move(order.state, to), f"{order.client_order_id}: {order.state} -> {to}"
    moved = replace(order, state=to, **changes)
    desk.orders[intent_id] = moved
    desk.changed_ns = now_ns
    if is_terminal(to):
        del desk.live[intent_id]
        desk.ended[intent_id] = None
    elif is_terminal(order.state):
        del desk.ended[intent_id]
        desk.live[intent_id] = None
    return moved


def _end(desk: Desk, intent_id: IntentId, to: OrderState, now_ns: int) -> None:
    """Move an order to a terminal state; it stays findable for late contradictions, bounded."""
    _move(desk, intent_id, to, now_ns)
    if len(desk.ended) > REMEMBERED:
        oldest = next(iter(desk.ended))
        del desk.ended[oldest]
        old = desk.orders.pop(oldest)
        if old.order_id is not None:
            desk.by_order_id.pop(old.order_id, None)


def _epoch(desk: Desk, fact: EpochStarted) -> None:
    desk.epoch = fact.epoch


def _bound(desk: Desk, _fact: AccountBound) -> None:
    desk.is_bound = True


def _refused(desk: Desk, fact: IntentRefused) -> None:
    verdict = IntentVerdict(intent_id=fact.intent.intent_id, rule=fact.rule, detail=fact.detail)
    remember(desk.verdicts, fact.intent.intent_id, verdict)


def _submitting(desk: Desk, fact: OrderSubmitting) -> None:
    intent = fact.intent
    desk.orders[intent.intent_id] = Order(
        intent=intent,
        client_order_id=fact.client_order_id,
        state=OrderState.SENDING,
        stamp_ms=fact.stamp_ms,
        id_floor=fact.id_floor,
        reserved=fact.reserved,
        created_ns=fact.at_ns,
    )
    desk.live[intent.intent_id] = None
    verdict = IntentVerdict(intent_id=intent.intent_id, rule=None, detail="")
    remember(desk.verdicts, intent.intent_id, verdict)
    desk.last_stamp_ms = fact.stamp_ms
    recent = (sent for sent in desk.sent if fact.at_ns - sent.at_ns < MINUTE_NS)
    desk.sent = (*recent, Sent.of(intent, fact.at_ns))
    _raise_floor(desk, intent.pair, fact.id_floor)
    desk.changed_ns = fact.at_ns


def _raise_floor(desk: Desk, pair: Pair, order_id: OrderId) -> None:
    desk.id_floor[pair] = max(desk.id_floor.get(pair, order_id), order_id)


def _acked(desk: Desk, fact: OrderAcked) -> None:
    order = _move(desk, fact.intent_id, OrderState.OPEN, fact.at_ns, order_id=fact.order_id)
    desk.by_order_id[fact.order_id] = fact.intent_id
    _raise_floor(desk, order.intent.pair, fact.order_id)
    if order.cancel_by is not None:  # Asked for while it was in doubt.
        _move(desk, fact.intent_id, OrderState.CANCEL_REQ, fact.at_ns, cancel_due_ns=fact.at_ns)


def _unknown(desk: Desk, fact: OrderUnknown) -> None:
    _move(desk, fact.intent_id, OrderState.UNKNOWN, fact.at_ns)


def _cancel_requested(desk: Desk, fact: OrderCancelRequested) -> None:
    order = desk.orders[fact.intent_id]
    order = replace(order, cancel_by=fact.by, cancel_reason=fact.reason, cancel_due_ns=fact.at_ns)
    desk.orders[fact.intent_id] = order
    if order.state is OrderState.OPEN:
        _move(desk, fact.intent_id, OrderState.CANCEL_REQ, fact.at_ns)


def _closing(desk: Desk, fact: OrderClosing) -> None:
    _move(
        desk, fact.intent_id, OrderState.CLOSING, fact.at_ns, executed=fact.executed,
    )  # fmt: skip


def _zombie(desk: Desk, fact: OrderZombie) -> None:
    order = _move(
        desk, fact.intent_id, OrderState.ZOMBIE, fact.at_ns,
        order_id=fact.order_id, cancel_by="execution", cancel_due_ns=fact.at_ns,
    )  # fmt: skip
    desk.by_order_id[fact.order_id] = fact.intent_id
    _raise_floor(desk, order.intent.pair, fact.order_id)


def _fill(desk: Desk, fact: Fill) -> None:
    key = (fact.trade_id, fact.order_id, fact.side)
    content: FillContent = (fact.quantity, fact.price, fact.fee, fact.tax)
    remember(desk.fills, key, content, 2 * REMEMBERED)
    _post(desk, fact.postings)
    desk.changed_ns = fact.at_ns
    order = desk.orders.get(fact.intent_id) if fact.intent_id else None
    if fact.intent_id is not None:
        held = desk.positions.get(fact.pair, Decimal(0))
        desk.positions[fact.pair] = held_after(held, fact.side, fact.quantity)
    if order is not None:
        desk.orders[order.intent.intent_id] = replace(
            order,
            filled=order.filled + fact.quantity,
            cost=order.cost + fact.quantity * fact.price,
        )


def _post(desk: Desk, postings: tuple[Posting, ...]) -> None:
    for posting in postings:
        if posting.account == "asset":
            total = desk.ledger.get(posting.asset, Decimal(0))
            desk.ledger[posting.asset] = total + posting.amount


def _balances(desk: Desk, fact: Balances) -> None:
    desk.balances = {row.asset: row for row in fact.balances}


def _opening(desk: Desk, fact: Opening) -> None:
    _post(desk, fact.postings)
    desk.opened_ns = fact.at_ns


def _trading(desk: Desk, fact: TradingStateChanged) -> None:
    desk.trading, desk.trading_reason, desk.trading_seq = fact.state, fact.reason, desk.head
    if fact.state is TradingState.KILLED:
        desk.kill_command = fact.command_id
    elif fact.state is not TradingState.HALTED:  # A kill goes on while the bot is HALTED.
        desk.kill_command = None
    _done(desk, fact.command_id, "")


def _kill_completed(desk: Desk, _fact: KillCompleted) -> None:
    desk.kill_command = None


def _discrepancy(desk: Desk, fact: Discrepancy) -> None:
    remember(desk.discrepancies, (fact.subject, fact.detail), desk.head, ALARMS_REMEMBERED)


def _pause(desk: Desk, fact: PauseChanged) -> None:
    if fact.is_paused:
        desk.pauses[fact.scope] = fact
    else:
        desk.pauses.pop(fact.scope, None)
    _done(desk, fact.command_id, "")


def _tightened(desk: Desk, fact: LimitTightened) -> None:
    tighten(desk, fact)
    _done(desk, fact.command_id, "")


def _risk_mode(desk: Desk, fact: RiskModeSet) -> None:
    desk.risk_mode = fact
    _done(desk, fact.command_id, "")


def _done(desk: Desk, command: CommandId, refused: str) -> None:
    if command:
        done = CommandDone(command_id=command, refused=refused, seq=desk.head)
        remember(desk.commands, command, done)


_MEANING: dict[type[Fact], Callable[[Desk, Any], None]] = {
    EpochStarted: _epoch,
    AccountBound: _bound,
    IntentRefused: _refused,
    OrderSubmitting: _submitting,
    OrderAcked: _acked,
    OrderNotSent: lambda d, f: _end(d, f.intent_id, OrderState.NOT_SENT, f.at_ns),
    OrderRejected: lambda d, f: _end(d, f.intent_id, OrderState.REJECTED, f.at_ns),
    OrderUnknown: _unknown,
    OrderCancelRequested: _cancel_requested,
    OrderClosing: _closing,
    OrderClosed: lambda d, f: _end(d, f.intent_id, OrderState.CLOSED, f.at_ns),
    OrderResolved: lambda d, f: _done(d, f.command_id, ""),
    OrderAbsent: lambda d, f: _end(d, f.intent_id, OrderState.ABSENT, f.at_ns),
    OrderZombie: _zombie,
    Fill: _fill,
    Balances: _balances,
    Opening: _opening,
    Discrepancy: _discrepancy,
    BalancesExplained: lambda d, f: _post(d, f.postings),
    TradingStateChanged: _trading,
    KillCompleted: _kill_completed,
    PauseChanged: _pause,
    LimitTightened: _tightened,
    RiskModeSet: _risk_mode,
    CommandRefused: lambda d, f: _done(d, f.command_id, f.detail),
    Recorded: lambda d, f: _done(d, f.command_id, ""),
    AgentDecided: lambda d, f: _done(d, f.command_id, ""),
}
