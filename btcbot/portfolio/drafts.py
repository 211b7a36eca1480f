"""A wish on its way to an order: how much is left of it, and every cut with its reason."""

from decimal import Decimal

from msgspec import Struct, field

from btcbot.domain.ids import Pair
from btcbot.domain.money import ZERO, Price, Quantity
from btcbot.domain.words import Side
from btcbot.portfolio.account import Line, Wish
from btcbot.portfolio.reasons import Reason


class Cut(Struct, frozen=True):
    """Something took a part of a wish, or all of it: `left` is what it left, in base asset."""

    reason: Reason
    left: Decimal
    detail: str = ""  # What was found and what is allowed, in the quote asset.


class Verdict(Struct, frozen=True, kw_only=True):
    """What became of one wish: `ordered` + `netted` <= `asked`, all in base asset."""

    strategy: str
    pair: Pair
    side: Side
    asked: Decimal
    ordered: Decimal
    netted: Decimal
    cuts: tuple[Cut, ...]  # In the order they were made.

    @property
    def reason(self) -> Reason:
        """The last cut's reason, which is what kept the wish from more; OK: nothing did."""
        return self.cuts[-1].reason if self.cuts else Reason.OK


class Draft(Struct):
    """Owned by one call of the planner, and changed in place by it."""

    wish: Wish
    line: Line | None
    price: Price  # On a tick.
    left: Quantity  # On a step.
    netted: Decimal = ZERO
    cuts: list[Cut] = field(default_factory=list)

    @property
    def notional(self) -> Decimal:
        return self.left * self.price

    def refuse(self, reason: Reason, detail: str = "") -> None:
        self.left = Quantity(ZERO)
        self.cuts.append(Cut(reason, ZERO, detail))

    def cap_quantity(self, reason: Reason, most: Decimal) -> None:
        """Leave at most `most` base asset, rounded down to a step."""
        assert self.line is not None, self.wish
        if self.left > most:
            self.left = self.line.instrument.quantity_down(max(most, ZERO))
            self.cuts.append(Cut(reason, self.left, f"{most} {self.line.instrument.base}"))

    def cap_notional(self, reason: Reason, most: Decimal) -> None:
        """Leave an order of at most `most` in the quote asset, rounded down to a step."""
        assert self.line is not None, self.wish
        if self.notional > most:
            found, rules = self.notional, self.line.instrument
            self.left = rules.quantity_down(max(most, ZERO) / self.price)
            detail = f"{found:.2f}; allowed {most:.2f} {rules.quote}"
            self.cuts.append(Cut(reason, self.left, detail))

    def verdict(self) -> Verdict:
        return Verdict(
            strategy=self.wish.strategy,
            pair=self.wish.pair,
            side=self.wish.side,
            asked=self.wish.quantity,
            ordered=self.left,
            netted=self.netted,
            cuts=tuple(self.cuts),
        )
