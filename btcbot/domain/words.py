"""The closed vocabularies: every enumeration that crosses the bus."""

from enum import StrEnum


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


class TradingState(StrEnum):
    """LIVE < REDUCE < PAUSED < KILLED < HALTED: moving right is safer and always allowed."""

    LIVE = "LIVE"
    REDUCE = "REDUCE"
    PAUSED = "PAUSED"
    KILLED = "KILLED"
    HALTED = "HALTED"


class OrderState(StrEnum):
    SENDING = "SENDING"
    NOT_SENT = "NOT_SENT"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"
    OPEN = "OPEN"
    CANCEL_REQ = "CANCEL_REQ"
    CLOSING = "CLOSING"
    CLOSED = "CLOSED"
    ABSENT = "ABSENT"
    ZOMBIE = "ZOMBIE"


class Resolution(StrEnum):
    """What a person says became of an order that nobody knows of."""

    ABSENT = "absent"  # It never existed on the exchange.
    CLOSED = "closed"  # It did, and is over.


class FeedStatus(StrEnum):
    STARTING = "STARTING"
    LIVE = "LIVE"
    FALLBACK = "FALLBACK"  # Polled over REST: usable, slower, and it says so.
    STALE = "STALE"
    DOWN = "DOWN"


class CandleSource(StrEnum):
    LIVE = "live"  # Made from the trades that market_data heard.
    BACKFILL = "backfill"  # Read from the exchange's charts: for the time we did not listen.


class SocketStatus(StrEnum):
    """The private socket. It only ever rings: polling is the authority, whatever its status."""

    DOWN = "DOWN"
    UP = "UP"
    SUSPECT = "SUSPECT"  # Connected, and silent while our own orders changed.


class Rule(StrEnum):
    """Why an intent was refused; by risk_gate, or by execution's own second check."""

    EXPIRED = "expired"
    DUPLICATE_SLOT = "duplicate_slot"
    REPEATED = "repeated"  # The same order from the same slot within seconds.
    SLOT_RATE = "slot_rate"  # Its strategy is paused until a person resumes it.
    UNKNOWN_PAIR = "unknown_pair"
    PAIR_NOT_TRADING = "pair_not_trading"
    NOT_ON_TICK = "not_on_tick"
    NOT_ON_STEP = "not_on_step"
    BELOW_MINIMUM = "below_minimum"
    PRICE_BOUNDS = "price_bounds"
    ORDER_NOTIONAL = "order_notional"
    POSITION_NOTIONAL = "position_notional"
    OPEN_ORDERS = "open_orders"
    CASH_RESERVE = "cash_reserve"
    NOT_ENOUGH_BASE = "not_enough_base"
    PRICE_COLLAR = "price_collar"
    STALE_BOOK = "stale_book"
    ORDER_RATE = "order_rate"
    SELF_CROSS = "self_cross"
    TRADING_STATE = "trading_state"
    PAUSED_SCOPE = "paused_scope"
    PAIR_FROZEN = "pair_frozen"
    ACCOUNT_UNKNOWN = "account_unknown"
    PEER_LOST = "peer_lost"
    CLOCK = "clock"
    NO_CONNECTION = "no_connection"
    MODE = "mode"
    NOT_ARMED = "not_armed"  # A gate of live trading is shut; which, the detail says by code.
