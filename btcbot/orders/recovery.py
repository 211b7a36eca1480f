"""A desk from what the store remembers, and the first facts of a new life.

A clean start is a crash that lost nothing: there is no other path.
"""

from decimal import Decimal

from msgspec import Struct

from btcbot.domain.facts import (
    AccountBound,
    Balances,
    EpochStarted,
    LimitTightened,
    Opening,
    OrderUnknown,
    PauseChanged,
    RiskModeSet,
    TradingStateChanged,
)
from btcbot.domain.ids import Asset, CommandId, IntentId, OrderId, Pair
from btcbot.domain.messages import CommandDone, IntentVerdict
from btcbot.domain.words import OrderState, Rule, TradingState
from btcbot.orders.accept import live_orders
from btcbot.orders.lifecycle import is_terminal
from btcbot.orders.schedule import start_reads
from btcbot.orders.state import Desk, FillContent, FillKey, Order, Sent, Setup, tighten
from btcbot.orders.turn import Turn


class Recovered(Struct, frozen=True, kw_only=True):
    """Everything execution remembers across lives."""

    epoch: int
    instance: str  # Empty before the first life.
    bound: AccountBound | None  # Whose journal it is; None: nobody's yet.
    head: int
    orders: tuple[Order, ...]  # Every live one, and the newest of those that ended.
    sent: tuple[Sent, ...]
    last_stamp_ms: int
    id_floor: dict[Pair, OrderId]
    verdicts: dict[IntentId, tuple[Rule | None, str]]
    commands: dict[CommandId, tuple[str, int]]
    trading: TradingStateChanged | None
    trading_seq: int
    kill_command: CommandId | None  # A kill that was ordered and is not complete.
    pauses: tuple[PauseChanged, ...]
    tightened: tuple[LimitTightened, ...]
    risk_mode: RiskModeSet | None
    opening: Opening | None
    balances: Balances | None
    ledger: dict[Asset, Decimal]
    positions: dict[Pair, Decimal]
    fills: dict[FillKey, FillContent]
    fills_until_ns: int  # When the newest fill of our books happened; 0: there is none.
    discrepancies: dict[tuple[str, str], int]


def desk_of(setup: Setup, found: Recovered) -> Desk:
    """Return the desk of a new life; reads of the exchange must complete it before it sends."""
    desk = Desk(setup=setup, epoch=found.epoch + 1, head=found.head)
    desk.orders = {order.intent.intent_id: order for order in found.orders}
    for order in found.orders:
        (desk.ended if is_terminal(order.state) else desk.live)[order.intent.intent_id] = None
        if order.order_id is not None:
            desk.by_order_id[order.order_id] = order.intent.intent_id
    desk.sent, desk.last_stamp_ms = found.sent, found.last_stamp_ms
    desk.id_floor, desk.positions = dict(found.id_floor), dict(found.positions)
    desk.discrepancies = dict(found.discrepancies)
    desk.verdicts = {
        intent_id: IntentVerdict(intent_id=intent_id, rule=rule, detail=detail)
        for intent_id, (rule, detail) in found.verdicts.items()
    }
    desk.commands = {
        command: CommandDone(command_id=command, refused=refused, seq=seq)
        for command, (refused, seq) in found.commands.items()
    }
    desk.fills, desk.ledger = dict(found.fills), dict(found.ledger)
    if found.balances is not None:
        desk.balances = {row.asset: row for row in found.balances.balances}
    desk.opened_ns = found.opening.at_ns if found.opening else 0
    desk.fills_read_ns = max(found.fills_until_ns, desk.opened_ns)
    desk.pauses = {pause.scope: pause for pause in found.pauses}
    for fact in found.tightened:
        tighten(desk, fact)
    desk.risk_mode = found.risk_mode
    desk.is_bound = found.bound is not None
    _restore_trading(desk, found)
    desk.first_reads = start_reads(desk)
    return desk


def begin(turn: Turn) -> None:
    """Say the first facts of a life: its epoch, and that whatever was being sent is in doubt."""
    desk, setup = turn.desk, turn.desk.setup
    desk.changed_ns = turn.now_ns  # Whatever happened while we were not there.
    turn.say(EpochStarted(epoch=desk.epoch, instance=setup.tag, mode=setup.mode, at_ns=turn.now_ns))
    if setup.account and not desk.is_bound:
        turn.say(
            AccountBound(
                exchange=setup.exchange,
                account=setup.account,
                by="start",
                reason="first start",
                at_ns=turn.now_ns,
            )
        )
    if not desk.trading_seq:
        is_live = setup.mode == "live"
        turn.say(
            TradingStateChanged(
                state=TradingState.PAUSED if is_live else TradingState.LIVE,
                by="start",
                reason="first start: resume when ready" if is_live else "first start",
                command_id=CommandId(""),
                at_ns=turn.now_ns,
            )
        )
    for order in tuple(live_orders(desk)):
        if order.state is OrderState.SENDING:
            turn.say(
                OrderUnknown(
                    intent_id=order.intent.intent_id,
                    detail="execution ended while it was being sent",
                    at_ns=turn.now_ns,
                )
            )


def _restore_trading(desk: Desk, found: Recovered) -> None:
    if found.trading is None:
        return
    desk.trading, desk.trading_reason = found.trading.state, found.trading.reason
    desk.trading_seq = found.trading_seq
    desk.kill_command = found.kill_command
