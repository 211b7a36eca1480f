"""The closed vocabularies: every enumeration that crosses the bus."""

from enum import StrEnum
from typing import Final


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


# In these the exchange is the model in execution's own process, at the real exchange's prices.
PAPER_MODES: Final = ("paper", "dry_run")


class SocketStatus(StrEnum):
    """The private socket. It only ever rings: polling is the authority, whatever its status."""

    DOWN = "DOWN"
    UP = "UP"
    SUSPECT = "SUSPECT"  # Connected, and silent while our own orders changed.


class Rule(StrEnum):
    """Why an intent was refused; by risk_gate, or by execution's own second check."""

    EXPIRED = "expired"  # It is older than its strategy allowed.
    PEER_LOST = "peer_lost"  # An actor that has to watch over the order is silent.
    ACCOUNT_UNKNOWN = "account_unknown"  # A balance, a price or a result it needs is not known.
    TRADING_STATE = "trading_state"  # PAUSED, KILLED or HALTED; in REDUCE only sells may go.
    PAUSED_SCOPE = "paused_scope"  # Its pair, strategy or side is paused.
    OVERRIDE = "override"  # A person set a mode that forbids it, for a time.
    DEGRADED = "degraded"  # Too much went wrong lately; it passes by itself.
    UNKNOWN_PAIR = "unknown_pair"  # Not configured, or its rules are not known yet.
    PAIR_NOT_TRADING = "pair_not_trading"  # The exchange does not trade the pair now.
    NOT_ON_STEP = "not_on_step"  # The quantity is no multiple of the pair's step.
    NOT_ON_TICK = "not_on_tick"  # The price is no multiple of the pair's tick.
    BELOW_MINIMUM = "below_minimum"  # Worth less than the exchange takes.
    PRICE_BOUNDS = "price_bounds"  # Outside the prices that the exchange takes.
    STALE_BOOK = "stale_book"  # The price it would be judged by is old, or from the future.
    PRICE_COLLAR = "price_collar"  # It reaches too far past the middle of the book.
    TOO_FAR = "too_far"  # It would rest too far from the middle, and be cancelled for that.
    ORDER_NOTIONAL = "order_notional"  # One order is worth too much.
    SIZE_REDUCED = "size_reduced"  # Right on a good day; now orders must be smaller.
    OPEN_ORDERS = "open_orders"  # Too many orders are live.
    DUPLICATE_SLOT = "duplicate_slot"  # Its slot has an order already.
    PAIR_FROZEN = "pair_frozen"  # Nobody knows what became of another order of the pair.
    SELF_CROSS = "self_cross"  # It would trade with our own order.
    ORDER_RATE = "order_rate"  # Too many orders in a minute.
    HOURLY_RATE = "hourly_rate"  # Too many orders in an hour.
    DECISION_ORDERS = "decision_orders"  # One decision wants too many orders.
    NOT_ENOUGH_BASE = "not_enough_base"  # More would be sold than is held and not promised.
    CASH_RESERVE = "cash_reserve"  # Cash that must stay would be spent.
    SPREAD = "spread"  # Bid and ask are too far apart to buy.
    COOLDOWN = "cooldown"  # The last buy of the pair was just now.
    PAIR_ORDERS = "pair_orders"  # Too many orders of the pair are live.
    POSITION_NOTIONAL = "position_notional"  # Too much of the pair would be held.
    GROSS_EXPOSURE = "gross_exposure"  # Too much of all pairs together would be held.
    CAPITAL = "capital"  # More would be held than the capital that may be risked.
    CONCENTRATION = "concentration"  # One pair would be too large a part of the account.
    DECISION_NOTIONAL = "decision_notional"  # One decision wants to buy too much.
    TURNOVER = "turnover"  # Too much was traded today.
    FEES = "fees"  # The day's budget for fees would be spent.
    DAILY_LOSS = "daily_loss"  # Too much was lost today, open positions included.
    WEEKLY_LOSS = "weekly_loss"  # Too much was lost since Monday.
    DRAWDOWN = "drawdown"  # Too far below the highest result so far.
    REPEATED = "repeated"  # The same order from the same slot within seconds.
    SLOT_RATE = "slot_rate"  # Its strategy is paused until a person resumes it.
    CLOCK = "clock"  # The exchange's clock is not known well enough to sign.
    NO_CONNECTION = "no_connection"  # No idle connection to the exchange.
    NOT_ARMED = "not_armed"  # A gate of live trading is shut; which, the detail says by code.
    DRY_RUN = "dry_run"  # Mode dry_run: it would have been sent; nothing is.


class RiskMode(StrEnum):
    """What risk_gate lets through; each allows less than the one before."""

    NORMAL = "NORMAL"
    REDUCE = "REDUCE"  # Sells only; cancels always.
    OBSERVE = "OBSERVE"  # Nothing new; open orders are managed, cancels always.


class Concern(StrEnum):
    """Why the risk mode is what it is, or orders must be smaller."""

    ACCOUNT_UNKNOWN = "account_unknown"
    DAILY_LOSS = "daily_loss"
    WEEKLY_LOSS = "weekly_loss"
    DRAWDOWN = "drawdown"
    FEES = "fees"
    TURNOVER = "turnover"
    GROSS_EXPOSURE = "gross_exposure"
    LOSS_STREAK = "loss_streak"
    DEGRADED = "degraded"
    OVERRIDE = "override"


class Anomaly(StrEnum):
    """What is wrong just now, as far as risk_gate can see."""

    STALE_MARKET_DATA = "stale_market_data"  # More than half of the pairs have no fresh price.
    CLOCK_SKEW = "clock_skew"  # A price is from the future: some clock jumped.
    EXCHANGE_LATENCY = "exchange_latency"  # Three orders in 5 min were answered after 2 s or more.
    ORDER_REJECTS = "order_rejects"  # The exchange rejected three orders in 5 min.
    ORDERS_UNKNOWN = "orders_unknown"  # Three orders came into doubt in 5 min.
    BOOKS_DIFFER = "books_differ"  # Our books and the exchange contradict each other.
