"""The agent as a policy of the strategy actor: it hears, and lets pass what was planned or less."""

from decimal import Decimal
from typing import Any, assert_never

from msgspec import Struct

from btcbot.agent import desk as desks
from btcbot.agent import guardrails
from btcbot.agent.contracts import AgentSetup, AskModel
from btcbot.agent.desk import Desk
from btcbot.domain.agent import BuyLimit, ModelAnswered, RecordDecision
from btcbot.domain.facts import Recorded
from btcbot.domain.messages import AccountSnapshot, CommandDone, PnlReport
from btcbot.domain.policy import Judgement, Planned, PolicyContext, Ruling

Heard = AccountSnapshot | PnlReport | ModelAnswered | CommandDone | Recorded


class AgentPolicy:
    """Rules and, where one is configured, a model. Its state is a Desk, changed in place."""

    NAME = "agent"
    HEARS: tuple[type[Struct], ...] = (
        AccountSnapshot,
        PnlReport,
        ModelAnswered,
        CommandDone,
        Recorded,
    )

    def __init__(self, setup: AgentSetup) -> None:
        self._setup = setup

    def start(self) -> Desk:
        return desks.start(self._setup)

    def hear(self, state: Desk, message: Any, now_ns: int) -> Desk:  # noqa: ANN401
        """Return the state after a message of `HEARS`; what follows from it waits in `due`."""
        heard: Heard = message
        effects: tuple[AskModel | RecordDecision, ...] = ()
        match heard:
            case AccountSnapshot():
                state.money.equity = heard.equity
            case PnlReport():
                state.money.drawdown, state.money.realized = heard.drawdown, heard.realized
            case ModelAnswered():
                effects = desks.answered(state, heard, now_ns)
            case CommandDone():
                effects = desks.set_aside(state, heard, now_ns)
            case Recorded():
                desks.recalled(state, heard)
            case _:
                assert_never(heard)
        state.due.extend(effects)
        return state

    def due(self, state: Desk) -> tuple[Struct, ...]:
        """Return what is to be sent since this was asked last; each effect is returned once.

        Requests are asked of execution, AskModel is started. Whoever hosts the policy calls this
        after each `hear`; what is not called for goes with the next judgement.
        """
        effects, state.due = tuple(state.due), []
        return effects

    def judge(self, state: Desk, context: PolicyContext, planned: tuple[Planned, ...]) -> Judgement:
        """Return what is let pass of `planned`, and a question to ask when one is due."""
        limits = desks.limits_now(state, context)
        rulings = tuple(_ruling(state, limits.get(one.pair), one) for one in planned)
        return Judgement(
            state=state, rulings=rulings, effects=(*self.due(state), *desks.consult(state, context))
        )


def _ruling(state: Desk, limit: BuyLimit | None, one: Planned) -> Ruling:
    left: Decimal = guardrails.kept(limit, one.side, one.quantity)
    if limit is None or left == one.quantity:
        return Ruling(one.quantity)
    if left:
        state.shrunk += 1
    else:
        state.dropped += 1
    return Ruling(left, f"{limit.reason}: {limit.keep_percent} % of {one.quantity}")
