"""What crosses the bus for the agent policy: a model's reply, and the record of each decision.

A decision limits what may be bought. There is no word for selling, for more, or for another price.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from btcbot.domain.ids import CommandId, Pair
from btcbot.domain.messages import Message
from btcbot.domain.money import Amount

AGENT_OWNER, AGENT_MODE = "agent", "mode"  # Of the records that execution keeps for it.
RAW_MAX = 16_384  # Bytes of a model's whole reply; more is not read.
Percent = Annotated[int, Meta(ge=0, le=100)]


class AgentMode(StrEnum):
    OFF = "off"  # Nobody is asked.
    SHADOW = "shadow"  # Asked and recorded; nothing follows from it.
    ADVISE = "advise"  # Its limits stand for as long as the answer says.


class AgentOutcome(StrEnum):
    """How asking ended."""

    RULES = "rules"  # No model is configured: the rules alone.
    ADVISED = "advised"
    REFUSED = "refused"  # It answered, and that was no answer; see the fault.
    NOT_SENT = "not_sent"  # Nothing reached the model; nothing was paid.
    TIMEOUT = "timeout"
    BROKEN = "broken"  # The connection ended within the reply.
    HTTP_STATUS = "http_status"  # Anything but 200.
    TOO_LARGE = "too_large"
    SECRET = "secret"  # noqa: S105 - the reply held a secret of ours: none of it is kept
    LOST = "lost"  # No outcome arrived: whoever asked is gone.
    BUDGET = "budget"  # Not asked: the day's tokens or money could be exceeded.
    BREAKER = "breaker"  # Not asked: it failed too often; asked again later.


class AnswerFault(StrEnum):
    """Why a reply was no answer."""

    NOT_A_COMPLETION = "not_a_completion"
    CUT_OFF = "cut_off"  # By its own limit of tokens.
    TOO_LONG = "too_long"
    NOT_JSON = "not_json"
    DUPLICATE_KEY = "duplicate_key"
    WRONG_SHAPE = "wrong_shape"
    UNKNOWN_PAIR = "unknown_pair"
    PAIR_TWICE = "pair_twice"
    CONTRADICTION = "contradiction"


class LimitReason(StrEnum):
    """Who limits, or which rule."""

    MODEL = "model"
    TRADING_STATE = "trading_state"
    ACCOUNT_UNKNOWN = "account_unknown"
    DRAWDOWN = "drawdown"
    STALE = "stale"
    SPREAD = "spread"


class BuyLimit(Struct, frozen=True, forbid_unknown_fields=True):
    """Of each wish to buy `pair`, at most `keep_percent` is kept; 0: none of it."""

    pair: Pair
    keep_percent: Percent
    reason: LimitReason


class Advice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model's answer says, once it is known to be an answer."""

    is_observing: bool  # Buy nothing at all.
    ttl_s: int
    confidence: Percent
    limits: tuple[BuyLimit, ...]


class AgentDecision(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything one decision came from and led to: enough to decide it again without a model.

    `question_hash` is over parameters, prompt and context. `raw` is the reply's whole body, at most
    `RAW_MAX` bytes of it. `guarded` are the limits that followed, until `until_ns`; in `shadow`
    nothing was done with them. `dropped` and `shrunk` count the wishes since the decision before.
    """

    decision_id: CommandId
    mode: AgentMode
    model: str  # Empty: the rules alone.
    parameters: str  # JSON: what was asked for besides the text.
    prompt: str
    context: str  # JSON: numbers and closed words.
    question_hash: str
    spread_max_bps: int
    drawdown_max_bps: int
    ttl_max_s: int
    asked_ns: int
    answered_ns: int
    outcome: AgentOutcome
    status: int  # Of HTTP; 0: none.
    raw: str
    raw_bytes: int
    fault: AnswerFault | None
    advice: Advice | None
    rules: tuple[BuyLimit, ...]
    guarded: tuple[BuyLimit, ...]
    until_ns: int
    tokens_in: int
    tokens_out: int
    cost: Amount  # In the currency of the configured prices.
    dropped: int
    shrunk: int


class ModeOrdered(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The payload of the record by which a person changes the mode; it survives every restart."""

    mode: AgentMode
    by: str
    reason: str


class ModelAnswered(Message, frozen=True, kw_only=True, tag="model_answered"):
    """How asking a model ended; `raw` is empty unless bytes of a reply may be kept."""

    ask_id: CommandId
    outcome: AgentOutcome  # ADVISED: a reply with status 200, still to be parsed.
    status: int
    raw: str
    raw_bytes: int


class RecordDecision(Message, frozen=True, kw_only=True, tag="record_decision"):
    """Asks execution to keep a decision for ever; answered by CommandDone."""

    decision: AgentDecision

    @property
    def command_id(self) -> CommandId:
        return self.decision.decision_id

    @property
    def request_id(self) -> str:
        return self.decision.decision_id


AGENT: tuple[type[Message], ...] = (ModelAnswered, RecordDecision)
