"""The one remote port of execution: what it asks of an exchange, and how the outcomes come back.

`btcturk/venue.py` does it over REST and the private WebSocket; `simulation/venue.py` schedules the
same in virtual time. Outcomes are journaled inbox messages of execution, never on the bus.
"""

from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from btcbot.domain.ids import ClientOrderId, IntentId, OrderId, Pair, TradeId
from btcbot.domain.messages import (
    AssetBalance,
    BookDepth,
    BookTop,
    InstrumentRules,
    Message,
    Trade,
)
from btcbot.domain.money import ZERO, Amount, Notional, Price, Quantity
from btcbot.domain.words import Side

# --- asked --------------------------------------------------------------------------------------


class LimitOrder(Struct, frozen=True, kw_only=True, tag="limit"):
    """Base asset at a price or better; what is left rests."""

    side: Side
    quantity: Quantity
    price: Price


class MarketBuy(Struct, frozen=True, kw_only=True, tag="market_buy"):
    """Spend so much quote, commission included. The exchange calls this `quantity` too."""

    spend: Notional


class MarketSell(Struct, frozen=True, kw_only=True, tag="market_sell"):
    """Sell so much base asset at whatever is bid."""

    quantity: Quantity


class StopLimitOrder(Struct, frozen=True, kw_only=True, tag="stop_limit"):
    """A limit order sent once the market reaches `stop_price`: with an id of its own then."""

    side: Side
    quantity: Quantity
    price: Price
    stop_price: Price


class StopMarketBuy(Struct, frozen=True, kw_only=True, tag="stop_market_buy"):
    """Spend so much quote, commission included, once the market rises to `stop_price`."""

    spend: Notional
    stop_price: Price


class StopMarketSell(Struct, frozen=True, kw_only=True, tag="stop_market_sell"):
    """Sell so much base asset once the market falls to `stop_price`."""

    quantity: Quantity
    stop_price: Price


OrderTerms = LimitOrder | MarketBuy | MarketSell | StopLimitOrder | StopMarketBuy | StopMarketSell
"""What is sent. An amount of quote and a quantity of base are of different types, in every one."""


class Submit(Struct, frozen=True, kw_only=True):
    """Send the one POST of an intent on a connection already handshaken; the journal has it.

    `stamp_ms` was journaled and is what gets signed. Skipped (NOT_SENT) when it is older than
    1.5 s, when `run/KILL` exists, or when no idle connection is left.
    """

    intent_id: IntentId
    client_order_id: ClientOrderId
    pair: Pair
    terms: OrderTerms
    stamp_ms: int


class Cancel(Struct, frozen=True):
    """Send one DELETE; it may be repeated, it is by order id."""

    order_id: OrderId


class ReadOrder(Struct, frozen=True):
    order_id: OrderId


class ReadOpenOrders(Struct, frozen=True):
    pair: Pair
    is_settling: bool = False  # An order is in doubt: ahead of routine polling.


class ReadAllOrders(Struct, frozen=True):
    """Every order of `pair` with id >= `from_order_id`, all pages, the first page read again."""

    pair: Pair
    from_order_id: OrderId


class ReadFills(Struct, frozen=True):
    """Own trades of the whole account since `since_ms`, or of one order when `order_id` is set."""

    since_ms: int
    order_id: OrderId | None = None
    is_settling: bool = False


class ReadBalances(Struct, frozen=True):
    is_settling: bool = False


class ReadTime(Struct, frozen=True):
    """Measure the exchange's clock against ours."""


class ShowMarket(Struct, frozen=True):
    """Show a paper exchange what the market just did; a real one knows, and is never told."""

    seen: BookTop | BookDepth | Trade | InstrumentRules


VenueEffect = (
    ShowMarket
    | Submit
    | Cancel
    | ReadOrder
    | ReadOpenOrders
    | ReadAllOrders
    | ReadFills
    | ReadBalances
    | ReadTime
)


# --- heard --------------------------------------------------------------------------------------


class Outcome(StrEnum):
    """What a submit came to. Only REJECTED and NOT_SENT are evidence that no order exists."""

    ACKED = "acked"
    REJECTED = "rejected"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"


class Submitted(Message, frozen=True, kw_only=True, tag="submitted"):
    """The outcome of a Submit. May come twice: UNKNOWN on time-out, then a late reply."""

    intent_id: IntentId
    outcome: Outcome
    order_id: OrderId | None = None  # Set when ACKED.
    code: str = ""  # The exchange's number, when REJECTED.
    detail: str = ""
    is_unauthorised: bool = False


class CancelAnswered(Message, frozen=True, kw_only=True, tag="cancel_answered"):
    """The exchange heard a DELETE (or did not). Never proof that the order is cancelled."""

    order_id: OrderId
    is_accepted: bool
    detail: str = ""


class VenueOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    order_id: OrderId
    client_id: str  # Whatever label it carries: ours or anybody's.
    pair: Pair
    side: Side
    quantity: Amount
    left: Amount
    price: Price
    status: str  # "Untouched", "Partial", "Closed", "Canceled", or what the exchange invents next.
    method: str = "limit"  # "limit", "market", "stoplimit", "stopmarket", or what it invents next.
    stop_price: Price = Price(ZERO)  # 0: none.
    created_ms: int = 0  # By its clock; always 0 in lists of open orders.
    updated_ms: int = 0

    @property
    def is_open(self) -> bool:
        return self.status in {"Untouched", "Partial"}

    @property
    def is_terminal(self) -> bool:
        return self.status in {"Closed", "Canceled", "Filled", "Cancelled"}

    @property
    def executed(self) -> Amount:
        return Amount(self.quantity - self.left)


class OrderRead(Message, frozen=True, kw_only=True, tag="order_read"):
    """One order, or None when the exchange says it knows no such id."""

    order_id: OrderId
    order: VenueOrder | None


class OpenOrdersRead(Message, frozen=True, kw_only=True, tag="open_orders_read"):
    pair: Pair
    orders: tuple[VenueOrder, ...]
    asked_ns: int


class AllOrdersRead(Message, frozen=True, kw_only=True, tag="all_orders_read"):
    """`is_complete`: every page was full or the last, and the first page did not move meanwhile."""

    pair: Pair
    orders: tuple[VenueOrder, ...]
    is_complete: bool
    asked_ns: int


class VenueFill(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One own trade; quantity, fee and tax are positive, whatever signs the exchange prints."""

    trade_id: TradeId
    order_id: OrderId
    client_id: str
    pair: Pair
    side: Side
    quantity: Quantity
    price: Price
    fee: Amount
    tax: Amount
    event_ns: int


class FillsRead(Message, frozen=True, kw_only=True, tag="fills_read"):
    order_id: OrderId | None
    fills: tuple[VenueFill, ...]
    asked_ns: int


class BalancesRead(Message, frozen=True, kw_only=True, tag="balances_read"):
    balances: tuple[AssetBalance, ...]
    asked_ns: int


class TimeRead(Message, frozen=True, kw_only=True, tag="time_read"):
    """Exchange minus own clock, and the bound of its error (half the round trip)."""

    offset_ns: int
    error_ns: int


class ReadFailed(Message, frozen=True, kw_only=True, tag="read_failed"):
    """A read gave no usable answer; nothing may be concluded from it."""

    what: str  # "open_orders BTCTRY"
    detail: str
    is_unauthorised: bool = False


class Doorbell(Message, frozen=True, kw_only=True, tag="doorbell"):
    """The private socket says something moved; go and read. Never evidence by itself."""

    order_id: OrderId | None


class ConnectionsIdle(Message, frozen=True, kw_only=True, tag="connections_idle"):
    """How many handshaken connections stand ready for a POST."""

    count: int


class ArmingSeen(Message, frozen=True, kw_only=True, tag="arming_seen"):
    """What execution's own shell found of the gates of live trading; said when it changes."""

    shut: tuple[str, ...]  # The codes of the gates that forbid new orders; empty: none does.


VENUE: tuple[type[Message], ...] = (
    Submitted, CancelAnswered, OrderRead, OpenOrdersRead, AllOrdersRead, FillsRead, BalancesRead,
    TimeRead, ReadFailed, Doorbell, ConnectionsIdle, ArmingSeen,
)  # fmt: skip


class Venue(Protocol):
    """Where remote effects go. `start` returns at once; the outcome is a later inbox message."""

    def start(self, effect: VenueEffect) -> None: ...
