"""The seats of one account: which strategies decide on it, each with its part of the capital."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from btcbot.domain.ids import Pair
from btcbot.pipeline.tally import Tally
from btcbot.portfolio.budget import PlanLimits
from btcbot.portfolio.features import FeatureRules
from btcbot.portfolio.rejects import RejectRules
from btcbot.portfolio.selection import SelectionRules
from btcbot.portfolio.universe import UniverseRules
from btcbot.strategies.contract import MarketView

INTERVAL_NS: Final = 250_000_000


class SeatSetup(Struct, frozen=True, kw_only=True):
    """One strategy on the account; `interval_ns` 0: it decides on every quote."""

    name: str  # Of the seat: what its intents, its fills and its profit are booked under.
    uses: str  # The strategy's own name, or the file it is in.
    params: Any
    weight: Annotated[int, Meta(ge=0, le=1_000_000)] = 100
    interval_ns: int = INTERVAL_NS


class Setup(Struct, frozen=True, kw_only=True):
    """What does not change within a life."""

    seats: tuple[SeatSetup, ...]
    limits: PlanLimits = PlanLimits()
    universe: UniverseRules = UniverseRules()
    selection: SelectionRules = SelectionRules()
    features: FeatureRules = FeatureRules()
    rejects: RejectRules = RejectRules()


@dataclass(slots=True)  # A Struct's fields are five times as dear to set.
class Seat:
    """What is remembered of one seat; owned by the strategy actor, changed in place."""

    setup: SeatSetup
    inner: Any  # The strategy's own state.
    view: MarketView
    decided_ns: dict[Pair, int] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)


def alone(name: str, params: Any, interval_ns: int = INTERVAL_NS) -> Setup:  # noqa: ANN401
    """Return the setup of one strategy that has the whole account to itself."""
    seat = SeatSetup(name=name, uses=name, params=params, interval_ns=interval_ns)
    return Setup(seats=(seat,))
