"""Streams and requests. Streams of state are arrays on the wire; requests are maps.

`at_ns` is UTC nanoseconds, by the clock of the actor that speaks. Prices are quote per base,
quantities base, notionals quote. Bytes become messages only through the codec, which checks them.
"""

from decimal import Decimal

from msgspec import Struct

from btcbot.domain.ids import Asset, ClientOrderId, CommandId, IntentId, Pair
from btcbot.domain.instruments import Instrument
from btcbot.domain.money import BPS_IN_ONE, Amount, Notional, Price, Quantity
from btcbot.domain.words import (
    Anomaly,
    CandleSource,
    Concern,
    FeedStatus,
    Resolution,
    RiskMode,
    Rule,
    Side,
    SocketStatus,
    TradingState,
)

SCHEMA_VERSION = 1


class Message(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Anything that crosses the bus."""


# --- streams of state -------------------------------------------------------------------------


class BookTop(Message, frozen=True, kw_only=True, array_like=True, tag="book_top", gc=False):
    """Best bid and ask; said on every change, and again each second while confirmed.

    `changed_ns`: when these values were first received. `confirmed_ns`: when market_data last knew
    them to be current (contiguous book and any data frame on that session). Age is judged by it.
    """

    pair: Pair
    bid: Price
    bid_quantity: Quantity
    ask: Price
    ask_quantity: Quantity
    changed_ns: int
    confirmed_ns: int


class Level(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    price: Price
    quantity: Quantity


class BookDepth(Message, frozen=True, kw_only=True, array_like=True, tag="book_depth"):
    """Up to 10 levels a side, best first; at most one a second, for pairs that ask for it."""

    pair: Pair
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    confirmed_ns: int


class Trade(Message, frozen=True, kw_only=True, array_like=True, tag="trade", gc=False):
    """One public trade; `side` is the taker's. An increment: never conflated."""

    pair: Pair
    trade_id: int
    side: Side
    price: Price
    quantity: Quantity
    event_ns: int
    received_ns: int


class TradesGap(Message, frozen=True, kw_only=True, array_like=True, tag="trades_gap", gc=False):
    """Trades of `pair` after `after_trade_id` (0: none seen) may have been missed."""

    pair: Pair
    after_trade_id: int
    at_ns: int


class Ohlc(Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """First, highest, lowest and last price of the trades of some time."""

    open: Price
    high: Price
    low: Price
    close: Price


class Candle(Message, frozen=True, kw_only=True, array_like=True, tag="candle"):
    """The trades of one pair in `span_ns` from `start_ns` on, by the exchange's clock.

    `prices` None: no trade. With `is_complete` false trades may be missing: a candle without prices
    then says nothing. Told again when trades came late or were read later: the newest counts.
    """

    pair: Pair
    start_ns: int
    span_ns: int
    prices: Ohlc | None
    volume: Quantity  # Base asset; 0: no trade.
    turnover: Notional | None  # None: not told by a backfill.
    trades: int | None  # None: not told by a backfill.
    is_complete: bool
    source: CandleSource
    at_ns: int


class FeedState(Message, frozen=True, kw_only=True, array_like=True, tag="feed_state", gc=False):
    """How far one pair's market data can be trusted.

    Said as it changes, each second unless it is LIVE, and with the rules; LIVE, the price that is
    confirmed each second says the rest.
    """

    pair: Pair
    status: FeedStatus
    confirmed_ns: int  # 0: never.
    reason: str
    at_ns: int


class InstrumentRules(Message, frozen=True, kw_only=True, array_like=True, tag="instrument_rules"):
    """The rules of every configured pair, read each minute; said then, and every 10 s.

    For 5 s after a change, and after an actor that needs them came up, they are said each second.

    A pair that exchange info names no longer keeps its last rules and does not trade.
    """

    instruments: tuple[Instrument, ...]
    at_ns: int


class LimitUse(Struct, frozen=True, forbid_unknown_fields=True):
    name: str  # As in the configuration: order_notional_max_try.
    used: Decimal
    limit: Decimal


class RiskState(Message, frozen=True, kw_only=True, array_like=True, tag="risk_state"):
    """How much of each limit is used; refusals since start by rule, one for each refused intent.

    `mode` is the strictest of budget, degrade level and override; `size_bps` is how much of the
    limits on buys is left in it. Said as it changes, at most once a second, and every five, while
    control or the dashboard is there.
    """

    limits: tuple[LimitUse, ...]
    refusals: tuple[tuple[Rule, int], ...]
    at_ns: int
    mode: RiskMode = RiskMode.NORMAL
    size_bps: Decimal = BPS_IN_ONE
    concerns: tuple[Concern, ...] = ()
    level: int = 0  # Of the degrade rules, 0 to 3.
    anomalies: tuple[Anomaly, ...] = ()


class AssetBalance(Struct, frozen=True, forbid_unknown_fields=True):
    asset: Asset
    total: Amount
    free: Amount


class Position(Struct, frozen=True, forbid_unknown_fields=True):
    """What our own fills hold of a pair; `average_cost` is quote per base, fees included."""

    pair: Pair
    quantity: Amount
    average_cost: Price
    realized_pnl: Amount
    unrealized_pnl: Amount
    mark: Price | None  # None: no price yet, unrealized_pnl is 0.


class AccountSnapshot(Message, frozen=True, kw_only=True, array_like=True, tag="account_snapshot"):
    """Balances as the exchange said last, positions folded from every fill that was heard.

    `through` is the head of the fact log when accounting last caught up: no fill before it is
    missing, and later ones are folded as they come. Said as it changes, at most once a second, and
    every five; with it the PnlReport.
    """

    through: int
    balances: tuple[AssetBalance, ...]
    positions: tuple[Position, ...]
    equity_asset: Asset
    equity: Amount | None  # None: some asset has no price.
    at_ns: int


class PnlReport(Message, frozen=True, kw_only=True, array_like=True, tag="pnl_report"):
    """Profit and loss of one trading day (Europe/Istanbul), in the equity asset."""

    day: str  # "2026-11-24"
    realized: Amount
    unrealized: Amount
    fees: Amount
    turnover: Notional
    fills: int
    peak_equity: Amount
    drawdown: Amount
    at_ns: int


class RateUse(Struct, frozen=True, forbid_unknown_fields=True):
    """How much of one rate limit of the exchange we have used within its window."""

    group: str  # "submit", "cancel", "order", ...: what the exchange counts together.
    window_s: int
    used: int
    allowed: int  # Our part of what is documented.
    documented: int
    closed_s: int = 0  # After a 429: nothing of this group goes for so long.


class VenueState(Message, frozen=True, kw_only=True, array_like=True, tag="venue_state"):
    """How execution's connection to the exchange is; said every few seconds."""

    rate: tuple[RateUse, ...]
    private_socket: SocketStatus
    socket_reason: str  # Why it is not UP; empty when it is.
    clock_offset_ms: int | None  # Exchange minus ours; None: not measured yet.
    clock_error_ms: int | None  # The bound of its error, which grows until it is measured again.
    trouble: str  # Why it cannot be read, or what it says to our key; empty: nothing is wrong.
    drift: int  # Fields, words and frames that nobody told us of, by distinct name.
    at_ns: int


# --- requests and their answers ---------------------------------------------------------------


class OrderIntent(Message, frozen=True, kw_only=True, tag="order_intent"):
    """What a strategy wants; nothing is promised until the risk gate approves.

    `slot` is a stable name for the wish ("profit_aware:BTCTRY:buy"): at most one live order each.
    At `expires_ns` we cancel what is left: the exchange has no time in force. `wants_market`: at
    once, at `limit_price` or better; whether that is a market order is execution's to say.
    """

    intent_id: IntentId
    strategy: str
    slot: str
    pair: Pair
    side: Side
    quantity: Quantity
    limit_price: Price
    reason: str
    seen_ns: int  # `confirmed_ns` of the book top it was decided on.
    decided_ns: int
    expires_ns: int
    wants_market: bool = False

    @property
    def request_id(self) -> str:
        return self.intent_id


class ApprovedOrder(Message, frozen=True, kw_only=True, tag="approved_order"):
    """Only risk_gate makes one; single use by intent id, accepted within 500 ms."""

    intent: OrderIntent
    approved_ns: int

    @property
    def request_id(self) -> str:
        return self.intent.intent_id


class RefuseIntent(Message, frozen=True, kw_only=True, tag="refuse_intent"):
    """risk_gate asks execution to record a refusal: a verdict is durable before it is said."""

    intent: OrderIntent
    rule: Rule
    detail: str

    @property
    def request_id(self) -> str:
        return self.intent.intent_id


class IntentVerdict(Message, frozen=True, kw_only=True, tag="intent_verdict"):
    """The answer to an intent, from execution's durable record, passed on by risk_gate.

    `rule` None: accepted, the order is journaled and its story continues in facts.
    """

    intent_id: IntentId
    rule: Rule | None
    detail: str

    @property
    def request_id(self) -> str:
        return self.intent_id


class CancelIntent(Message, frozen=True, kw_only=True, tag="cancel_intent"):
    """Cancel one order; `by` is a strategy's name or an operator ("uid 1000")."""

    command_id: CommandId
    client_order_id: ClientOrderId
    by: str
    reason: str

    @property
    def request_id(self) -> str:
        return self.command_id


class SetTradingState(Message, frozen=True, kw_only=True, tag="set_trading_state"):
    """Pause, resume or kill the whole bot."""

    command_id: CommandId
    state: TradingState
    by: str
    reason: str
    acknowledge: str = ""  # Names the event when leaving HALTED.

    @property
    def request_id(self) -> str:
        return self.command_id


class ResolveOrder(Message, frozen=True, kw_only=True, tag="resolve_order"):
    """A person ends the doubt about one order; the exchange's lists are read once more first."""

    command_id: CommandId
    client_order_id: ClientOrderId
    resolution: Resolution
    by: str
    reason: str

    @property
    def request_id(self) -> str:
        return self.command_id


class Scope(Struct, frozen=True, forbid_unknown_fields=True):
    """What a pause covers: everything that matches all the given parts."""

    pair: Pair | None = None
    strategy: str | None = None
    side: Side | None = None

    def covers(self, intent: OrderIntent) -> bool:
        """Return whether `intent` falls under this scope."""
        return (
            self.pair in (None, intent.pair)
            and self.strategy in (None, intent.strategy)
            and self.side in (None, intent.side)
        )


class SetPause(Message, frozen=True, kw_only=True, tag="set_pause"):
    """Pause or resume one scope; `until_ns` None: until resumed."""

    command_id: CommandId
    scope: Scope
    is_paused: bool
    until_ns: int | None
    by: str
    reason: str

    @property
    def request_id(self) -> str:
        return self.command_id


class TightenLimit(Message, frozen=True, kw_only=True, tag="tighten_limit"):
    """Make one limit of [risk] stricter; the other way is the configuration's."""

    command_id: CommandId
    name: str
    value: Decimal
    by: str
    reason: str

    @property
    def request_id(self) -> str:
        return self.command_id


class SetRiskMode(Message, frozen=True, kw_only=True, tag="set_risk_mode"):
    """Hold the risk mode at `mode` or stricter until then; NORMAL: leave it to risk_gate again."""

    command_id: CommandId
    mode: RiskMode
    until_ns: int | None
    by: str
    reason: str

    @property
    def request_id(self) -> str:
        return self.command_id


class CommandDone(Message, frozen=True, kw_only=True, tag="command_done"):
    """The answer to a command, after its commit. `refused` empty: done; else why not."""

    command_id: CommandId
    refused: str
    seq: int  # Head of the fact log after the command.

    @property
    def request_id(self) -> str:
        return self.command_id


class Record(Message, frozen=True, kw_only=True, tag="record"):
    """Another actor asks execution to keep `payload` (at most 64 KiB); answered by CommandDone."""

    command_id: CommandId
    owner: str
    kind: str
    key: str
    payload: bytes

    @property
    def request_id(self) -> str:
        return self.command_id


class DiskSeen(Message, frozen=True, kw_only=True, tag="disk_seen"):
    """What execution's own shell found on the disk of the journal."""

    is_reserved: bool  # False: the disk is full but for what the reserve gave up.
    free: int  # Bytes.
    wal: int  # Bytes of the write-ahead log.
    trouble: str = ""  # Why a checkpoint or a backup failed; empty: none did.


STREAMS: tuple[type[Message], ...] = (
    BookTop, BookDepth, Trade, TradesGap, Candle, FeedState, InstrumentRules, RiskState,
    AccountSnapshot, PnlReport, VenueState,
)  # fmt: skip
REQUESTS: tuple[type[Message], ...] = (
    OrderIntent, ApprovedOrder, RefuseIntent, IntentVerdict, CancelIntent, SetTradingState,
    SetPause, CommandDone, Record, ResolveOrder, DiskSeen,
    TightenLimit, SetRiskMode,
)  # fmt: skip
