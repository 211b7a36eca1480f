"""What the agent is told and how it is set up: numbers and closed words, no text from outside."""

from decimal import Decimal
from typing import Final

from msgspec import Struct

from btcbot.domain.agent import AgentMode
from btcbot.domain.ids import Asset, CommandId, Pair
from btcbot.domain.words import TradingState

PAIRS_MAX: Final = 20  # Told of; what is held first.
ANSWER_TOKENS_MAX: Final = 800
TTL_MIN_S, TTL_MAX_S = 60, 3_600
SECOND_NS: Final = 1_000_000_000


class PairContext(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One pair; amounts in its quote. None: no fresh price."""

    pair: Pair
    middle: Decimal | None
    spread_bps: int | None
    change_bps: int | None  # Of the middle, since the question before.
    age_ms: int | None  # Since the price was last confirmed.
    held: Decimal  # Base asset.
    average_cost: Decimal
    buying: Decimal  # What live buys may still spend.
    selling: Decimal  # What live sells may still sell, base asset.


class Context(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that a policy is told; None: not known now."""

    quote: Asset
    trading: TradingState
    cash_free: Decimal
    exposure: Decimal | None
    deploy: Decimal  # What the plan at hand might spend.
    equity: Decimal | None  # Of the whole account, in TRY.
    drawdown_bps: int | None
    day_realized: Decimal | None
    pairs: tuple[PairContext, ...]


class AgentSetup(Struct, frozen=True, kw_only=True):
    """What a person set. Prices and `money_per_day_max` are in the currency the model is paid in.

    `model` empty: the rules alone, nobody is asked.
    """

    mode: AgentMode
    model: str = ""
    interval_ns: int = 300 * SECOND_NS
    timeout_ns: int = 10 * SECOND_NS
    tokens_per_day_max: int = 1_000_000
    money_per_day_max: Decimal = Decimal(1)
    money_per_mtok_in: Decimal = Decimal(0)
    money_per_mtok_out: Decimal = Decimal(0)
    spread_max_bps: int = 120
    drawdown_max_bps: int = 1_000

    @property
    def ttl_max_s(self) -> int:
        """No answer stands longer than three questions."""
        return min(TTL_MAX_S, max(TTL_MIN_S, 3 * self.interval_ns // SECOND_NS))


class AskModel(Struct, frozen=True, tag="ask_model"):
    """Send `body` to the model; its end arrives as ModelAnswered, `timeout_ns` later at most."""

    ask_id: CommandId
    body: bytes
    timeout_ns: int
