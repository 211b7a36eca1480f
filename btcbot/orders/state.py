"""What execution remembers: its orders, its books, and how far it trusts the exchange just now.

The desk is owned by execution and changed in place by `turn.py` alone: one place says what a fact
means. Maps of live things are bounded by the hard gate, histories by `remember`.
"""

from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from btcbot.domain.facts import LimitTightened, PauseChanged, RiskModeSet
from btcbot.domain.ids import Asset, ClientOrderId, CommandId, IntentId, OrderId, Pair
from btcbot.domain.instruments import FeeRates, Instrument
from btcbot.domain.messages import (
    AssetBalance,
    BookTop,
    CommandDone,
    IntentVerdict,
    OrderIntent,
    ResolveOrder,
    Scope,
)
from btcbot.domain.money import Price, Quantity
from btcbot.domain.tightening import tightest
from btcbot.domain.venue import TimeRead, VenueOrder
from btcbot.domain.words import PAPER_MODES, OrderState, Side, TradingState
from btcbot.orders.bounds import OrderBounds

K = TypeVar("K")
V = TypeVar("V")
REMEMBERED = 10_000
ALARMS_REMEMBERED = 1_000
MINUTE_NS = 60_000_000_000
UNAUTHORISED_MAX = 3
FillKey = tuple[int, int, str]
FillContent = tuple[Decimal, Decimal, Decimal, Decimal]  # Quantity, price, fee, tax.


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
    cancel_by: str | None = None
    cancel_reason: str = ""
    cancel_due_ns: int = 0  # When the next DELETE goes.
    cancels_sent: int = 0
    sweeps: tuple[int, ...] = ()  # When each full reading began that proved nothing is there.

    @property
    def left(self) -> Decimal:
        """What may still be executed, in base asset; a buy by quote may get a little more."""
        return max(self.intent.quantity - self.filled, Decimal(0))


class Stage(StrEnum):
    """What a sweep waits for: an order only moves open -> all -> trades, so they are read so."""

    OPEN = "open"
    ALL = "all"
    FILLS = "fills"
    BALANCES = "balances"
    AGAIN = "balances again"


class Hunt(Struct, frozen=True, kw_only=True):
    """One sweep for the unknown orders of a pair, read by read."""

    began_ns: int
    exchange_ns: int  # By the exchange's clock; 0: it is not known, so the sweep proves nothing.
    holds: tuple[Asset, ...] = ()  # No new order may touch these while it may prove something.
    stage: Stage = Stage.OPEN
    stage_ns: int  # When its read was asked for.
    balances: tuple[AssetBalance, ...] = ()  # The first of the two reads that must be equal.
    strangers: tuple[VenueOrder, ...] = ()  # Listed, and not known to be ours.


class Sent(Struct, frozen=True, kw_only=True):
    """What was sent lately: for the throttles."""

    at_ns: int
    slot: str
    pair: Pair
    side: Side
    quantity: Quantity
    limit_price: Price

    @classmethod
    def of(cls, intent: OrderIntent, at_ns: int) -> "Sent":
        """Return the sending of `intent` at `at_ns`."""
        return cls(
            at_ns=at_ns,
            slot=intent.slot,
            pair=intent.pair,
            side=intent.side,
            quantity=intent.quantity,
            limit_price=intent.limit_price,
        )


class Resolving(Struct, frozen=True, kw_only=True):
    """A person's word on an order in doubt, while the exchange's lists are read once more."""

    command: ResolveOrder
    since_ns: int  # The read that it waits for was asked for then.
    has_open: bool = False  # The open orders were read; all orders are next.


class Setup(Struct, frozen=True, kw_only=True):
    """What does not change within a life."""

    tag: str  # Of this installation, in every client order id.
    mode: str
    pairs: tuple[Pair, ...]
    bounds: OrderBounds
    gate: "GateLimits"
    fees: dict[Asset, FeeRates]
    needs_risk_gate: bool = True
    exchange: str = ""  # Which exchange, and whose account there; empty: a simulated one.
    account: str = ""

    @property
    def is_paper(self) -> bool:
        """Whether the exchange is the model in our own process, shown the live market."""
        return self.mode in PAPER_MODES


class GateLimits(Struct, frozen=True, kw_only=True):
    """The second, independent check inside execution; TRY and bps."""

    order_notional_max_try: Decimal
    position_notional_max_try: Decimal
    open_orders_max: int
    orders_per_minute_max: int
    price_collar_bps: Decimal
    cash_reserve_min_try: Decimal
    gross_exposure_max_try: Decimal
    tightened_since_ns: int = 0


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
    positions: dict[Pair, Decimal] = field(default_factory=dict)  # Of our own fills, in base.
    balances: dict[Asset, AssetBalance] = field(default_factory=dict)
    opened_ns: int = 0  # When the ledger began; 0: not yet.
    id_floor: dict[Pair, OrderId] = field(default_factory=dict)
    sent: tuple[Sent, ...] = ()  # The POSTs of the minute before the last one.
    last_stamp_ms: int = 0
    discrepancies: dict[tuple[str, str], int] = field(default_factory=dict)  # Each said once.
    # Modes.
    trading: TradingState = TradingState.PAUSED
    trading_reason: str = ""
    is_bound: bool = False  # The journal says whose account it is of.
    trading_seq: int = 0  # The fact that set it: what an operator names to leave HALTED.
    kill_command: CommandId | None = None  # A kill that is not complete yet.
    pauses: dict[Scope, PauseChanged] = field(default_factory=dict)
    tightened: dict[str, LimitTightened] = field(default_factory=dict)  # The last of each limit.
    tight_gate: GateLimits | None = None  # With what was tightened; None: nothing was.
    risk_mode: RiskModeSet | None = None  # What a person set.
    # What is known of the world just now; not recovered, learnt again.
    marks: dict[Pair, BookTop] = field(default_factory=dict)
    instruments: tuple[Instrument, ...] = ()  # As heard last; `rules` follow from all that came.
    rules: dict[Pair, Instrument] = field(default_factory=dict)
    clock: TimeRead | None = None
    clock_read_ns: int = 0
    idle_connections: int = 0
    shut_gates: tuple[str, ...] | None = None  # Of live trading; None: nobody has looked yet.
    risk_gate_is_heard: bool = False
    control_pid: int = 0  # 0: not heard yet.
    control_is_lost: bool = False
    changed_ns: int = 0  # When an order or a fill last changed anything.
    tick_ns: int = 0  # When the clockwork is looked at next.
    quiet_until_ns: int = 0  # Unless something is heard, it finds nothing to do before.
    # Reading.
    due: dict[str, int] = field(default_factory=dict)  # Name of a read: when it goes next.
    waiting: dict[str, int] = field(default_factory=dict)  # Reads without an answer, since when.
    hunts: dict[Pair, Hunt] = field(default_factory=dict)
    resolving: dict[CommandId, Resolving] = field(default_factory=dict)
    first_reads: tuple[str, ...] = ()  # What must still come back before READY.
    unauthorised: int = 0  # Private calls in a row.
    is_disk_full: bool = False
    rival_ns: int = 0  # When an order of another btcbot was open last; 0: never seen.
    troubles: dict[str, str] = field(default_factory=dict)  # Why a read fails; "": any other.
    mismatch: tuple[AssetBalance, ...] | None = None  # A balance read that did not agree.
    foreign: dict[Pair, tuple[VenueOrder, ...]] = field(default_factory=dict)  # Open, not ours.
    fills_read_ns: int = 0  # Up to when the trade list was read last.

    @property
    def gate(self) -> GateLimits:
        """The limits that hold: as configured, and as tightened since."""
        return self.tight_gate or self.setup.gate

    @property
    def is_blind(self) -> bool:
        """Whether the exchange refuses our key: it blocks an address after 50 of these."""
        return self.unauthorised >= UNAUTHORISED_MAX

    @property
    def trouble(self) -> str:
        """Why reads fail; empty: they do not."""
        return next(iter(self.troubles.values()), "")


def held_after(held: Decimal, side: Side, quantity: Decimal) -> Decimal:
    """Return what our fills hold after one more; what was held before them may be sold too."""
    return held + quantity if side is Side.BUY else max(held - quantity, Decimal(0))


def learn_rules(desk: Desk, instruments: tuple[Instrument, ...]) -> None:
    """Take the rules as they are now; a pair that is gone keeps its own, and is not traded."""
    if instruments == desk.instruments:
        return
    desk.instruments = instruments
    gone = {pair: replace(rules, is_trading=False) for pair, rules in desk.rules.items()}
    desk.rules = {**gone, **{rules.pair: rules for rules in instruments}}


def tighten(desk: Desk, fact: LimitTightened) -> None:
    """Take a stricter limit; one that is no limit of ours is risk_gate's alone."""
    desk.tightened[fact.name] = fact
    gate = desk.setup.gate
    desk.tight_gate = tightest(gate, desk.tightened.values(), gate.tightened_since_ns)


def remember(memory: dict[K, V], key: K, value: V, limit: int = REMEMBERED) -> None:
    """Put into a bounded history; the oldest goes."""
    memory[key] = value
    if len(memory) > limit:
        del memory[next(iter(memory))]
