"""What happened to one seat since its period began: counted from facts, settled by the record.

A period's record takes away what it told of, so what happened between its end and its writing down
belongs to the next one; a life that begins anew counts the facts of the log and comes to the same.
What no fact tells (refusals, looks without a price, the highest result between two ends) a new
life has lost: the period it falls into looks calmer than it was.
"""

from decimal import Decimal

from msgspec import Struct, field

from btcbot.domain.adaptation import Period
from btcbot.domain.facts import Fill
from btcbot.domain.ids import Pair
from btcbot.domain.money import ZERO, half_up
from btcbot.domain.words import Rule, Side
from btcbot.portfolio.account import Account

THROTTLES = (
    Rule.ORDER_RATE, Rule.HOURLY_RATE, Rule.SLOT_RATE, Rule.DECISION_ORDERS, Rule.OPEN_ORDERS,
    Rule.PAIR_ORDERS,
)  # fmt: skip
RATIO_SCALE = 6


class Counts(Struct):
    sent: int = 0
    fills: int = 0
    rejected: int = 0
    refused: int = 0
    throttled: int = 0
    unpriced: int = 0


class Tally(Struct):
    """Of one seat; owned by the strategy actor, changed in place."""

    counts: Counts = field(default_factory=Counts)
    flows: dict[Pair, Decimal] = field(default_factory=dict)  # Got less paid, in each quote asset.
    since_ns: int = 0  # 0: no period has begun.
    opening: Decimal | None = None  # The result at its start.
    highest: Decimal | None = None  # Result of the window.
    drawdown: Decimal = ZERO
    is_asked: bool = False  # A record of the period is asked for.

    def fill(self, one: Fill) -> None:
        """Count a fill, and what it cost or brought, fees included."""
        self.counts.fills += 1
        worth, costs = one.quantity * one.price, one.fee + one.tax
        self.flow(one.pair, -worth - costs if one.side is Side.BUY else worth - costs)

    def flow(self, pair: Pair, amount: Decimal) -> None:
        self.flows[pair] = self.flows.get(pair, ZERO) + amount

    def refuse(self, rule: Rule) -> None:
        self.counts.refused += 1
        self.counts.throttled += rule in THROTTLES

    def see(self, account: Account, now_ns: int, *, is_priced: bool) -> None:
        """Take in how the seat stands at a look; its first look begins its first period."""
        if not self.since_ns:
            self.since_ns, self.counts = now_ns, Counts()
        self.counts.unpriced += not is_priced
        result = result_of(self, account)
        if result is None:
            return
        self.opening = result if self.opening is None else self.opening
        self.highest = result if self.highest is None else max(self.highest, result)
        part = _part(self.highest - result, account)
        self.drawdown = max(self.drawdown, part)

    def period(self, account: Account, now_ns: int) -> Period:
        """Return what happened since the period began."""
        counts, result, opening = self.counts, result_of(self, account), self.opening
        net = None if result is None or opening is None else result - opening
        return Period(
            start_ns=self.since_ns, end_ns=now_ns, sent=counts.sent, fills=counts.fills,
            rejected=counts.rejected, refused=counts.refused, throttled=counts.throttled,
            unpriced=counts.unpriced, result=result, net_pnl=net, drawdown=self.drawdown,
        )  # fmt: skip

    def settle(self, told: Period, window: tuple[Period, ...]) -> None:
        """Begin the next period: `told` is written down, `window` is left of the version."""
        for name in Counts.__struct_fields__:
            left = getattr(self.counts, name) - getattr(told, name)
            setattr(self.counts, name, max(left, 0))
        known = [row.result for row in (*window, told) if row.result is not None]
        self.highest = max(known, default=None)
        self.opening = self.opening if told.result is None else told.result
        self.since_ns, self.drawdown, self.is_asked = told.end_ns, ZERO, False

    def begin_anew(self) -> None:
        """Forget the period: what was written down is of other parameters."""
        self.since_ns, self.opening, self.highest, self.drawdown = 0, None, None, ZERO


def result_of(tally: Tally, account: Account) -> Decimal | None:
    """Return what the seat got less what it paid, and what it holds now; None: without a price."""
    total = ZERO
    for pair, line in account.lines.items():
        if line.held and line.middle is None:
            return None
        total += tally.flows.get(pair, ZERO) + line.held * (line.middle or ZERO)
    return total


def _part(fall: Decimal, account: Account) -> Decimal:
    """Return `fall` as a part of what the seat has, before it fell: 0 to 1."""
    has = account.cash_free + (account.exposure or ZERO) + fall
    return half_up(min(fall / has, Decimal(1)), RATIO_SCALE) if has > 0 else ZERO
