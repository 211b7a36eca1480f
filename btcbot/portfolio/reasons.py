"""Why a pair or a wish was left out, cut or put off: closed vocabularies for decision records."""

from enum import StrEnum


class Missing(StrEnum):
    """What the features of a pair lack, and why: warming up is said, never bridged by a guess."""

    QUOTE = "quote"  # No quote was heard.
    STALE_QUOTE = "stale_quote"  # The newest was confirmed too long ago.
    DEPTH = "depth"  # No ten levels of a fresh book; the top is used as the least there is.
    MOMENTUM = "momentum"  # No price near 24 hours ago.
    VOLATILITY = "volatility"  # Fewer buckets in a row than it is taken over.
    TURNOVER = "turnover"  # Too much of the last day was not heard.


class Exclusion(StrEnum):
    """Why a pair is not in the universe."""

    COOLDOWN_UNKNOWN = "cooldown_unknown"  # Nobody can say which pairs rest: none may trade.
    COOLDOWN = "cooldown"
    NOT_ALLOWED = "not_allowed"
    DENIED = "denied"
    OTHER_QUOTE = "other_quote"
    STABLE = "stable"
    NOT_TRADING = "not_trading"
    NO_RULES = "no_rules"
    MINIMUM_TOO_HIGH = "minimum_too_high"
    NO_QUOTE = "no_quote"
    STALE_QUOTE = "stale_quote"
    SPREAD_TOO_WIDE = "spread_too_wide"
    DEPTH_TOO_THIN = "depth_too_thin"
    NO_HISTORY = "no_history"
    RANK = "rank"  # Eligible, and others are better.
    PROBATION = "probation"
    CHURN_CAP = "churn_cap"


class Freeze(StrEnum):
    """Why a due refresh of the universe was put off."""

    DEGRADED = "degraded"
    STALE_SHARE = "stale_share"
    COOLDOWN_UNKNOWN = "cooldown_unknown"


class Reason(StrEnum):
    """What became of a wish, or of a part of it."""

    OK = "ok"
    TRADING_STATE = "trading_state"
    COOLDOWN = "cooldown"
    UNKNOWN_PAIR = "unknown_pair"
    OTHER_QUOTE = "other_quote"
    PAIR_NOT_TRADING = "pair_not_trading"
    NO_PRICE = "no_price"
    EXPOSURE_UNKNOWN = "exposure_unknown"  # Something held has no price: no more may be bought.
    NO_BOOK = "no_book"  # Nobody gave its strategy a part of the capital.
    NOT_POSITIVE = "not_positive"
    ROUNDED = "rounded"  # Down to a step.
    PRICE_BOUNDS = "price_bounds"
    PRICE_ROUNDS_TO_ZERO = "price_rounds_to_zero"
    STRATEGY_BUDGET = "strategy_budget"
    STRATEGY_INVENTORY = "strategy_inventory"
    INVENTORY = "inventory"
    NETTED = "netted"  # Met by another strategy's wish for the opposite.
    CASH = "cash"  # After the reserve and with the fees.
    POSITION_CAP = "position_cap"
    EXPOSURE_CAP = "exposure_cap"
    CYCLE_CAP = "cycle_cap"
    ORDER_CAP = "order_cap"
    BELOW_MINIMUM = "below_minimum"
    ORDERS_MAX = "orders_max"  # Put off: a later cycle may ask again.
    NOT_RISING = "not_rising"  # Not above its price of a day ago, as far as is known.
    WITHIN_BAND = "within_band"
    SWEEP_OFF = "sweep_off"
    NOTHING_TO_SWEEP = "nothing_to_sweep"
