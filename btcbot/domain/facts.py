"""Facts: what happened to orders, money and mode. A row in `events` first, then said.

A fact's sequence is its row number; it travels in the envelope. Facts are maps on the wire,
because they rest for years: a new field needs a default, anything else a new schema version.
"""

from decimal import Decimal

from msgspec import Struct

from btcbot.domain.agent import AgentDecision
from btcbot.domain.ids import Asset, ClientOrderId, CommandId, IntentId, OrderId, Pair, TradeId
from btcbot.domain.messages import AssetBalance, Message, OrderIntent, Scope
from btcbot.domain.money import Amount, Price, Quantity
from btcbot.domain.words import Resolution, RiskMode, Rule, Side, TradingState


class Fact(Message, frozen=True, kw_only=True):
    at_ns: int


class EpochStarted(Fact, frozen=True, kw_only=True, tag="epoch_started"):
    """Execution began a life: the lock is held and the journal verified."""

    epoch: int
    instance: str
    mode: str


class AccountBound(Fact, frozen=True, kw_only=True, tag="account_bound"):
    """From here on this journal is of that account on that exchange."""

    exchange: str
    account: str  # A fingerprint of the API key.
    by: str
    reason: str


class IntentRefused(Fact, frozen=True, kw_only=True, tag="intent_refused"):
    intent: OrderIntent
    rule: Rule
    detail: str


class OrderSubmitting(Fact, frozen=True, kw_only=True, tag="order_submitting"):
    """SENDING: written before any byte leaves. `stamp_ms` is the stamp that will be signed."""

    intent: OrderIntent
    client_order_id: ClientOrderId
    approved_ns: int
    stamp_ms: int
    id_floor: OrderId  # Highest order id known for the pair: bounds the search for this one.
    reserved: Amount  # Quote for a buy (worst fee included), base for a sell.


class OrderNotSent(Fact, frozen=True, kw_only=True, tag="order_not_sent"):
    """Proven: not one byte of the request was handed to the kernel."""

    intent_id: IntentId
    detail: str


class OrderAcked(Fact, frozen=True, kw_only=True, tag="order_acked"):
    """The exchange has it; `found` when a listing, not the reply, said so."""

    intent_id: IntentId
    order_id: OrderId
    found: bool = False


class OrderRejected(Fact, frozen=True, kw_only=True, tag="order_rejected"):
    intent_id: IntentId
    code: str
    detail: str


class OrderUnknown(Fact, frozen=True, kw_only=True, tag="order_unknown"):
    """Sent, and nobody knows what became of it: hunted until found or proven absent."""

    intent_id: IntentId
    detail: str


class OrderCancelRequested(Fact, frozen=True, kw_only=True, tag="order_cancel_requested"):
    intent_id: IntentId
    by: str
    reason: str


class OrderClosing(Fact, frozen=True, kw_only=True, tag="order_closing"):
    """It left the book with `executed` base filled; fills are awaited until they add up."""

    intent_id: IntentId
    executed: Amount
    status: str


class OrderClosed(Fact, frozen=True, kw_only=True, tag="order_closed"):
    """Terminal and conserved: the sum of our fills is exactly what the exchange executed."""

    intent_id: IntentId
    filled: Amount
    average_price: Price | None  # None: nothing filled.
    reason: str  # "filled", "canceled"


class OrderAbsent(Fact, frozen=True, kw_only=True, tag="order_absent"):
    """Proven never to have existed: past every bound, after full sweeps, with balances agreeing."""

    intent_id: IntentId
    sweeps: int  # 0: a person says so (`OrderResolved`).


class OrderResolved(Fact, frozen=True, kw_only=True, tag="order_resolved"):
    """A person ended the doubt about an order; the fact that follows says how it ended."""

    intent_id: IntentId
    resolution: Resolution
    by: str
    reason: str
    command_id: CommandId


class OrderZombie(Fact, frozen=True, kw_only=True, tag="order_zombie"):
    """An order with our label believed absent or not known: adopted, halted, cancelled."""

    intent_id: IntentId
    order_id: OrderId


class Posting(Struct, frozen=True, forbid_unknown_fields=True):
    """One line of double entry; the lines of a fact sum to zero per asset."""

    account: str  # "asset", "trading", "fee", "tax", "external"
    asset: Asset
    amount: Amount


class Fill(Fact, frozen=True, kw_only=True, tag="fill"):
    """One execution, once, keyed by (trade_id, order_id, side). Fee and tax are costs, >= 0."""

    trade_id: TradeId
    order_id: OrderId
    intent_id: IntentId | None  # None: not ours (a person traded on the account).
    client_order_id: ClientOrderId | None
    pair: Pair
    side: Side
    quantity: Quantity
    price: Price
    fee: Amount
    tax: Amount
    fee_asset: Asset
    event_ns: int
    liquidity: str | None  # "maker", "taker"; None: the exchange does not say.
    postings: tuple[Posting, ...]


class Balances(Fact, frozen=True, kw_only=True, tag="balances"):
    """All balances as the exchange stated them, when they differ from the last stated."""

    balances: tuple[AssetBalance, ...]


class Opening(Fact, frozen=True, kw_only=True, tag="opening"):
    """What the account held when btcbot first read it, posted as external: the ledger's start."""

    balances: tuple[AssetBalance, ...]
    postings: tuple[Posting, ...]


class Discrepancy(Fact, frozen=True, kw_only=True, tag="discrepancy"):
    """Our books and the exchange's disagree; a person should look."""

    subject: str
    detail: str


class BalancesExplained(Fact, frozen=True, kw_only=True, tag="balances_explained"):
    """A person says that a difference is a deposit or a withdrawal; our books follow."""

    postings: tuple[Posting, ...]
    by: str
    reason: str
    command_id: CommandId


class TradingStateChanged(Fact, frozen=True, kw_only=True, tag="trading_state_changed"):
    state: TradingState
    by: str
    reason: str
    command_id: CommandId


class KillCompleted(Fact, frozen=True, kw_only=True, tag="kill_completed"):
    """Every order known when the kill was ordered, or found since, is proven closed."""

    command_id: CommandId


class PauseChanged(Fact, frozen=True, kw_only=True, tag="pause_changed"):
    scope: Scope
    is_paused: bool
    until_ns: int | None
    by: str
    reason: str
    command_id: CommandId


class LimitTightened(Fact, frozen=True, kw_only=True, tag="limit_tightened"):
    name: str  # A key of [risk].
    value: Decimal
    by: str
    reason: str
    command_id: CommandId


class RiskModeSet(Fact, frozen=True, kw_only=True, tag="risk_mode_set"):
    """A person holds the risk mode at `mode` or stricter; NORMAL: no longer."""

    mode: RiskMode
    until_ns: int | None
    by: str
    reason: str
    command_id: CommandId


class CommandRefused(Fact, frozen=True, kw_only=True, tag="command_refused"):
    command_id: CommandId
    by: str
    detail: str


class Recorded(Fact, frozen=True, kw_only=True, tag="recorded"):
    owner: str
    kind: str
    key: str
    payload: bytes
    command_id: CommandId


class AgentDecided(Fact, frozen=True, kw_only=True, tag="agent_decided"):
    """A decision of the agent policy, as it was made; `btcbot agent replay` makes it again."""

    decision: AgentDecision
    command_id: CommandId


FACTS: tuple[type[Fact], ...] = (
    EpochStarted, IntentRefused, OrderSubmitting, OrderNotSent, OrderAcked, OrderRejected,
    OrderUnknown, OrderCancelRequested, OrderClosing, OrderClosed, OrderAbsent, OrderZombie, Fill,
    Balances, Opening, Discrepancy, BalancesExplained, TradingStateChanged, KillCompleted,
    PauseChanged, CommandRefused, Recorded, AccountBound, OrderResolved,
    LimitTightened, RiskModeSet, AgentDecided,
)  # fmt: skip
