"""What execution remembers: its orders, its books, and how far it trusts the exchange just now.

The desk is owned by execution and changed in place by `turn.py` alone: one place says what a fact
means. Maps of live things are bounded by the hard gate, histories by `remember`.
"""

from decimal import Decimal
from typing import TypeVar

from msgspec import Struct, field

from btcbot.domain.facts import PauseChanged
from btcbot.domain.ids import Asset, ClientOrderId, CommandId, IntentId, OrderId, Pair
from btcbot.domain.instruments import FeeRates, Instrument
from btcbot.domain.messages import (
    AssetBalance,
    BookTop,
    CommandDone,
    IntentVerdict,
    OrderIntent,
    Scope,
)
from btcbot.domain.venue import TimeRead
from btcbot.domain.words import OrderState, TradingState
from btcbot.orders.bounds import OrderBounds

K = TypeVar("K")
V = TypeVar("V")
REMEMBERED = 10_000
FillKey = tuple[int, int, str]
FillContent = tuple[str, str, str, str]


class Order(Struct, frozen=True, kw_only=True):
    """One order of ours, until it is terminal."""

    intent: OrderIntent
    client_order_id: ClientOrderId
    state: OrderState
    stamp_ms: int
    id_floor: OrderId
    reserved: Decimal  # Quote for a buy, worst fee included; base for a sell.
    created_ns: int
    order_id: OrderId | None = None
    filled: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)  # Sum of price x quantity of our fills.
    executed: Decimal | None = None  # What the exchange executed, once it left the book.
    status: str = ""  # The exchange's last word, once it left the book.
    cancel_by: str | None = None
    cancel_reason: str = ""
    cancel_due_ns: int = 0  # When the next DELETE goes.
    cancels_sent: int = 0
    sweeps: tuple[int, ...] = ()  # When each full reading began that proved nothing is there.

    @property
    def left(self) -> Decimal:
        """What may still be executed, in base asset; a buy by quote may get a little more."""
        return max(self.intent.quantity - self.filled, Decimal(0))


class Hunt(Struct, frozen=True, kw_only=True):
    """One sweep for the unknown orders of a pair: open orders, then all, then trades, balances."""

    began_ns: int
    has_open: bool = False
    has_all: bool = False
    has_fills: bool = False
    balances: tuple[AssetBalance, ...] | None = None
    balances_agree: bool = False  # Two equal reads.


class Setup(Struct, frozen=True, kw_only=True):
    """What does not change within a life."""

    tag: str  # Of this installation, in every client order id.
    mode: str
    pairs: tuple[Pair, ...]
    bounds: OrderBounds
    gate: "GateLimits"
    fees: dict[Asset, FeeRates]
    needs_risk_gate: bool = True


class GateLimits(Struct, frozen=True, kw_only=True):
    """The second, independent check inside execution; TRY and bps."""

    order_notional_max_try: Decimal
    open_orders_max: int
    orders_per_minute_max: int
    price_collar_bps: Decimal
    cash_reserve_min_try: Decimal


class Desk(Struct, kw_only=True):
    """Everything; see the module's docstring for who may change it."""

    setup: Setup
    epoch: int = 0
    head: int = 0
    # Orders and books.
    orders: dict[IntentId, Order] = field(default_factory=dict)  # Ended ones too, bounded.
    live: dict[IntentId, None] = field(default_factory=dict)  # Those that are not terminal.
    ended: dict[IntentId, None] = field(default_factory=dict)  # Those that are, oldest first.
    by_order_id: dict[OrderId, IntentId] = field(default_factory=dict)
    verdicts: dict[IntentId, IntentVerdict] = field(default_factory=dict)
    commands: dict[CommandId, CommandDone] = field(default_factory=dict)
    fills: dict[FillKey, FillContent] = field(default_factory=dict)
    ledger: dict[Asset, Decimal] = field(default_factory=dict)
    balances: dict[Asset, AssetBalance] = field(default_factory=dict)
    opened_ns: int = 0  # When the ledger began; 0: not yet.
    id_floor: dict[Pair, OrderId] = field(default_factory=dict)
    # Modes.
    trading: TradingState = TradingState.PAUSED
    trading_reason: str = ""
    trading_seq: int = 0  # The fact that set it: what an operator names to leave HALTED.
    kill_command: CommandId | None = None  # A kill that is not complete yet.
    pauses: dict[Scope, PauseChanged] = field(default_factory=dict)
    # What is known of the world just now; not recovered, learnt again.
    marks: dict[Pair, BookTop] = field(default_factory=dict)
    rules: dict[Pair, Instrument] = field(default_factory=dict)
    clock: TimeRead | None = None
    clock_read_ns: int = 0
    last_stamp_ms: int = 0
    idle_connections: int = 0
    risk_gate_is_heard: bool = False
    control_pid: int = 0  # 0: not heard yet.
    control_is_lost: bool = False
    sent_ns: tuple[int, ...] = ()  # When the POSTs of the last minute went.
    changed_ns: int = 0  # When an order or a fill last changed anything.
    # Reading.
    due: dict[str, int] = field(default_factory=dict)  # Name of a read: when it goes next.
    waiting: dict[str, int] = field(default_factory=dict)  # Reads without an answer, since when.
    hunts: dict[Pair, Hunt] = field(default_factory=dict)
    first_reads: tuple[str, ...] = ()  # What must still come back before READY.
    unauthorised: int = 0  # In a row.
    troubles: dict[str, str] = field(default_factory=dict)  # Why a read fails; "": any other.
    mismatch: tuple[AssetBalance, ...] | None = None  # A balance read that did not agree, once.

    @property
    def trouble(self) -> str:
        """Why reads fail; empty: they do not."""
        return next(iter(self.troubles.values()), "")


def remember(memory: dict[K, V], key: K, value: V, limit: int = REMEMBERED) -> None:
    """Put into a bounded history; the oldest goes."""
    memory[key] = value
    if len(memory) > limit:
        del memory[next(iter(memory))]
