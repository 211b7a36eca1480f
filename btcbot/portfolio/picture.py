"""What a strategy that decides by the clock looks at, and what such a strategy is."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol

from msgspec import Struct

from btcbot.domain.ids import Pair
from btcbot.portfolio.account import Account
from btcbot.portfolio.budget import PlanLimits
from btcbot.portfolio.rebalance import Proposal


class Picture(Struct, frozen=True, kw_only=True):
    """One seat's part of the account, and the pairs it may choose from.

    `account.cash_free` is what the seat may still spend and the reserve; its lines hold what the
    seat's own fills hold.
    """

    account: Account
    limits: PlanLimits
    universe: tuple[Pair, ...]  # Of the screen; best first.
    scores: Mapping[Pair, Decimal]  # Of the pairs that the slow selection chose.
    rising: tuple[Pair, ...]  # Of those, what costs more now than a day ago; by name.


class Allocator(Protocol):
    """A strategy that looks at the whole account every `every_s` seconds, and after its fills.

    With `WANTS_DAY` it hears candles, and the selection of pairs by the last day is made for it.
    """

    NAME: str
    WANTS_DEPTH: bool
    WANTS_DAY: bool
    Params: type[Struct]

    def start(self, params: Any) -> Any:  # noqa: ANN401 - its own types
        """Return the state before anything was seen."""

    def every_s(self, params: Any) -> int:  # noqa: ANN401
        """Return the seconds between two looks."""

    def propose(
        self,
        state: Any,  # noqa: ANN401 - its own types
        params: Any,  # noqa: ANN401
        picture: Picture,
        now_ns: int,
    ) -> tuple[Any, Proposal]:
        """Return the next state and the wishes; whose they are is filled in. Pure."""
