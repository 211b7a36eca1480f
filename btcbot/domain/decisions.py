"""What was decided, from which inputs, and why nothing or less than wished came of it."""

from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from btcbot.domain.ids import Asset, IntentId, Pair
from btcbot.domain.messages import Message
from btcbot.domain.money import Price
from btcbot.domain.words import Side


class Trigger(StrEnum):
    """What made the strategies decide."""

    QUOTE = "quote"
    FILL = "fill"
    CLOCK = "clock"


class Why(StrEnum):
    """What became of a wish, or took a part of it; each wish of a decision has exactly one."""

    OK = "ok"
    # Before the plan.
    SLOT_BUSY = "slot_busy"  # An order, or a wish that is not answered, stands for it already.
    REFUSED_LATELY = "refused_lately"  # Its slot rests after a refusal.
    OUTSIDE_UNIVERSE = "outside_universe"
    # The plan's own.
    TRADING_STATE = "trading_state"
    COOLDOWN = "cooldown"
    UNKNOWN_PAIR = "unknown_pair"
    OTHER_QUOTE = "other_quote"
    PAIR_NOT_TRADING = "pair_not_trading"
    NO_PRICE = "no_price"
    EXPOSURE_UNKNOWN = "exposure_unknown"
    NO_BOOK = "no_book"
    NOT_POSITIVE = "not_positive"
    ROUNDED = "rounded"
    PRICE_BOUNDS = "price_bounds"
    PRICE_ROUNDS_TO_ZERO = "price_rounds_to_zero"
    STRATEGY_BUDGET = "strategy_budget"
    STRATEGY_INVENTORY = "strategy_inventory"
    INVENTORY = "inventory"
    NETTED = "netted"
    CASH = "cash"
    POSITION_CAP = "position_cap"
    EXPOSURE_CAP = "exposure_cap"
    CYCLE_CAP = "cycle_cap"
    ORDER_CAP = "order_cap"
    BELOW_MINIMUM = "below_minimum"
    ORDERS_MAX = "orders_max"
    NOT_RISING = "not_rising"
    WITHIN_BAND = "within_band"
    SWEEP_OFF = "sweep_off"
    NOTHING_TO_SWEEP = "nothing_to_sweep"
    # After it.
    POLICY = "policy"  # The policy let pass less, or nothing.


class DecisionCut(Struct, frozen=True, forbid_unknown_fields=True):
    """Something took a part of a wish; `left` is what it left, in base asset."""

    why: Why
    left: Decimal
    detail: str = ""


class DecisionLine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of one wish; `ordered` + `netted` <= `asked`, all in base asset."""

    strategy: str
    pair: Pair
    side: Side | None  # None, and no price: nothing was wished of the pair, and `why` says why.
    asked: Decimal
    limit_price: Price | None
    reason: str  # The strategy's own words.
    ordered: Decimal
    netted: Decimal = Decimal(0)
    why: Why = Why.OK
    cuts: tuple[DecisionCut, ...] = ()
    intent_id: IntentId | None = None  # None: no intent came of it.


class DecisionRecord(Message, frozen=True, kw_only=True, tag="decision_record"):
    """One decision with every wish in it. Said and kept when an intent came of it, or on change.

    `inputs`: 16 hex digits over account, parts, limits and wishes: equal inputs have equal ones.
    `unsaid`: decisions without an intent since the record before this one that were like it, or
    too many to keep. `left_out`: lines without an intent that did not fit.
    """

    decision: str  # "EPOCH.NUMBER"
    trigger: Trigger
    quote: Asset
    inputs: str
    lines: tuple[DecisionLine, ...]
    deploy: Decimal  # What this decision might spend, fees included; in the quote asset.
    spent: Decimal
    policy: str  # Its name; empty: none.
    unsaid: int
    left_out: int
    at_ns: int


DECISIONS: tuple[type[Message], ...] = (DecisionRecord,)
