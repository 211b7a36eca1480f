"""A seat that changes its own parameters: its period ends, it is judged, the record is asked for.

What was judged counts when execution has written it down and it comes back: as with transfers, the
log alone says which version holds.
"""

from msgspec import json

from btcbot.domain.adaptation import Adaptation
from btcbot.domain.facts import Recorded
from btcbot.domain.words import TradingState
from btcbot.pipeline.seats import Seat
from btcbot.pipeline.state import State
from btcbot.portfolio.account import Account
from btcbot.portfolio.adaptation import Lineage, fold, judge
from btcbot.portfolio.adaptive import Params, screened
from btcbot.portfolio.reasons import Reason
from btcbot.portfolio.rebalance import Proposal
from btcbot.portfolio.universe import UniverseRules

KIND = "adaptation"
SECOND_NS = 1_000_000_000
UNPRICED = (Reason.NO_PRICE, Reason.EXPOSURE_UNKNOWN)


def rules_of(seat: Seat, universe: UniverseRules) -> UniverseRules:
    """Return the screen of a seat: that of all, narrowed by a version that holds."""
    inner = seat.inner
    return screened(inner.version.values, universe) if isinstance(inner, Lineage) else universe


def watch(state: State, seat: Seat, account: Account, made: Proposal, now_ns: int) -> None:
    """Take in a look of a seat that changes itself; judge its period when that is over.

    A clock that was set back ends the period too.
    """
    lineage, params, tally = seat.inner, seat.setup.params, seat.tally
    if not isinstance(lineage, Lineage):
        return
    assert isinstance(params, Params), f"{seat.setup.name}: whose bounds?"
    tally.see(account, now_ns, is_priced=all(row.reason not in UNPRICED for row in made.idle))
    if tally.is_asked or 0 <= now_ns - tally.since_ns < params.period_s * SECOND_NS:
        return
    found = judge(
        lineage, tally.period(account, now_ns), params.bounds, params.rollback,
        seat=seat.setup.name, is_live=state.trading is TradingState.LIVE,
    )  # fmt: skip
    tally.is_asked = True
    state.unkept.append((f"{KIND} {found.adaptation}", json.encode(found)))


def recall(state: State, fact: Recorded) -> None:
    """Take in what is written down: from here on its version holds, and the next period runs."""
    found = json.decode(fact.payload, type=Adaptation)
    seat = state.seats.get(found.seat)
    if seat is None or not isinstance(seat.inner, Lineage):
        return
    before = seat.inner
    after = seat.inner = fold(before, seat.setup.params.values, found)
    if found.base != before.base:
        seat.tally.begin_anew()
    elif after.judged > before.judged:
        seat.tally.settle(found.window[-1], after.window)
