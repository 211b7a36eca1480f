"""The policy's place in a decision: it looks at what was planned and lets it pass, or less of it.

Between the plan and the guardrails of the strategy actor. A policy can take away and can never add:
it answers with a quantity for each planned order, and whatever is more than planned counts as what
was planned. What a model outside says arrives later, as a message in the actor's inbox, and holds
for the decisions after it.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol

from msgspec import Struct

from btcbot.domain.ids import Asset, Pair
from btcbot.domain.money import Price, Quantity
from btcbot.domain.words import Side, TradingState


class Planned(Struct, frozen=True, kw_only=True):
    """One order of the plan: on a tick and a step, within its strategy's budget and all caps."""

    strategy: str
    pair: Pair
    side: Side
    quantity: Quantity  # Base asset, above 0.
    limit_price: Price
    life_ns: int
    reason: str


class PairFacts(Struct, frozen=True, kw_only=True):
    """What is known of a pair; amounts in its quote."""

    middle: Decimal | None  # None: no fresh price.
    spread_bps: Decimal | None
    held: Decimal  # Base asset, by our own fills.
    average_cost: Decimal  # Quote per base, fees included; 0: nothing is held.
    buying: Decimal  # What live buys may still spend.
    selling: Decimal  # What live sells may still sell, base asset.
    quote_age_ns: int | None  # Since it was last confirmed; None: never heard.


class PolicyContext(Struct, frozen=True, kw_only=True):
    """Numbers alone, nothing that a stranger wrote: what a policy may judge by."""

    decision: str  # The id of the decision: "EPOCH.NUMBER".
    now_ns: int
    trading: TradingState
    quote: Asset  # Of the plan and of every amount in it.
    cash_free: Decimal
    exposure: Decimal | None  # None: something held has no price.
    deploy: Decimal  # What this plan might spend, fees included.
    pairs: Mapping[Pair, PairFacts]  # By name, of this quote asset.


class Ruling(Struct, frozen=True):
    """What is let pass of one planned order: 0 is nothing, more than planned is as planned."""

    quantity: Decimal
    reason: str = ""  # Why it is less; at most 256 characters are kept.


class Judgement(Struct, frozen=True, kw_only=True):
    """The policy's next state, a ruling for each planned order in their order, and its effects.

    An effect with a `request_id` is asked of execution. Any other (to ask a model, say) goes to
    the `perform` of the actor that hosts the policy: it is only started, and what comes of it is a
    later message.
    """

    state: Any
    rulings: tuple[Ruling, ...]
    effects: tuple[Struct, ...] = ()


class Policy(Protocol):
    """Synchronous and pure: equal arguments give equal judgements. Nothing here raises.

    `HEARS`: the types of messages from outside it takes in, through `hear`.
    A judgement with another number of rulings than orders lets nothing pass.
    """

    NAME: str
    HEARS: tuple[type[Struct], ...]

    def start(self) -> Any:  # noqa: ANN401 - its own type
        """Return the state before anything was heard."""

    def hear(self, state: Any, message: Struct, now_ns: int) -> Any:  # noqa: ANN401
        """Return the state after a message of `HEARS`."""

    def due(self, state: Any) -> tuple[Struct, ...]:  # noqa: ANN401
        """Return what follows from what was heard, each effect once; asked after every `hear`."""

    def judge(
        self,
        state: Any,  # noqa: ANN401
        context: PolicyContext,
        planned: tuple[Planned, ...],
    ) -> Judgement:
        """Return what is let pass of `planned`."""
