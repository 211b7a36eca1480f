"""Saying that something is wrong: written down once, and trading stopped as far as it must be."""

from btcbot.domain.facts import Discrepancy, TradingStateChanged
from btcbot.domain.ids import CommandId
from btcbot.domain.words import TradingState
from btcbot.orders.turn import Turn

STRICTNESS = tuple(TradingState)  # From LIVE to HALTED.


def alarm(turn: Turn, state: TradingState, subject: str, detail: str) -> None:
    """Write down what is wrong, once, and go to `state` unless the bot is as safe already.

    A contradiction stays in the exchange's lists after a person has acknowledged it; said before,
    it does not halt again. A condition that lasts (doubt, a difference) keeps its hold.
    """
    is_new = (subject, detail) not in turn.desk.discrepancies
    if is_new:
        turn.say(Discrepancy(subject=subject, detail=detail, at_ns=turn.now_ns))
    elif state is TradingState.HALTED:
        return
    if is_stricter(state, turn.desk.trading):
        turn.say(
            TradingStateChanged(
                state=state,
                by="execution",
                reason=f"{subject}: {detail}",
                command_id=CommandId(""),
                at_ns=turn.now_ns,
            )
        )


def is_stricter(state: TradingState, than: TradingState) -> bool:
    """Return whether `state` allows less than `than`."""
    return STRICTNESS.index(state) > STRICTNESS.index(than)
