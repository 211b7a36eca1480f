"""Plans and replies for the agent's tests: valid ones, of which a test changes what matters."""

import json
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from btcbot.agent.context import Money
from btcbot.agent.contracts import AgentSetup, AskModel
from btcbot.agent.desk import Desk
from btcbot.agent.policy import AgentPolicy
from btcbot.domain.agent import AgentMode, AgentOutcome, ModelAnswered, RecordDecision
from btcbot.domain.ids import CommandId, Pair
from btcbot.domain.messages import CommandDone, Record
from btcbot.domain.money import Price, Quantity
from btcbot.domain.policy import PairFacts, Planned, Policy, PolicyContext
from btcbot.domain.words import Side, TradingState
from tests.builders import BTCTRY, ETHTRY, START_NS, TRY

PAIRS = (BTCTRY, ETHTRY)
NOTHING = Decimal(0)
SETUP = AgentSetup(mode=AgentMode.ADVISE, model="tiny", money_per_mtok_in=Decimal(3))


def facts(**changes: Any) -> PairFacts:
    """Return a pair with a fresh price of 2,500,000 and nothing held."""
    default = PairFacts(
        middle=Decimal(2_500_000),
        spread_bps=Decimal("0.08"),
        held=Decimal(0),
        average_cost=Decimal(0),
        buying=Decimal(0),
        selling=Decimal(0),
        quote_age_ns=1_000_000,
    )
    return replace(default, **changes)


def known(number: int = 1, now_ns: int = START_NS, **changes: Any) -> PolicyContext:
    """Return what a decision at `now_ns` is judged by."""
    default = PolicyContext(
        decision=f"7.{number}",
        now_ns=now_ns,
        trading=TradingState.LIVE,
        quote=TRY,
        cash_free=Decimal(90_000),
        exposure=Decimal(10_000),
        deploy=Decimal(500),
        pairs={pair: facts() for pair in PAIRS},
    )
    return replace(default, **changes)


def planned(pair: Pair = BTCTRY, side: Side = Side.BUY, quantity: str = "0.001") -> Planned:
    return Planned(
        strategy="profit_aware",
        pair=pair,
        side=side,
        quantity=Quantity(Decimal(quantity)),
        limit_price=Price(Decimal(2_500_000)),
        life_ns=60_000_000_000,
        reason="test",
    )


def said(**changes: Any) -> str:
    """Return an answer as a model would write it."""
    answer = {"stance": "proceed", "ttl_s": 600, "confidence": 80, "limits": []}
    return json.dumps({**answer, **changes})


def shrink(pair: str = "BTCTRY", keep: int = 50) -> dict[str, Any]:
    return {"pair": pair, "action": "shrink", "keep_percent": keep}


def drop(pair: str = "BTCTRY") -> dict[str, Any]:
    return {"pair": pair, "action": "drop", "keep_percent": 0}


def reply(content: str, tokens: tuple[int, int] | None = (300, 40), **choice: Any) -> str:
    """Return the body of a completion with `content`."""
    usage = {} if tokens is None else {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
    body = {
        "id": "x",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, **choice}],
        **({"usage": usage} if usage else {}),
    }
    return json.dumps(body)


class Bench:
    """An agent whose requests are answered at once, and whose model is the test."""

    def __init__(self, setup: AgentSetup = SETUP) -> None:
        self.policy = AgentPolicy(setup)
        self.hosted: Policy = self.policy  # What the strategy actor knows of it.
        self.desk: Desk = self.policy.start()
        self.now_ns, self.number = START_NS, 0
        self.desk.money = Money(equity=Decimal(100_000), drawdown=Decimal(0), realized=Decimal(5))
        self.asked: list[AskModel] = []
        self.aside: list[Record] = []
        self.records: list[RecordDecision] = []

    def judge(self, *orders: Planned, **changes: Any) -> tuple[Decimal, ...]:
        """Return what is let pass of `orders`, which are one buy of BTCTRY if none are given."""
        self.number += 1
        context = known(self.number, self.now_ns, **changes)
        made = self.policy.judge(self.desk, context, orders or (planned(),))
        self._do(made.effects)
        return tuple(ruling.quantity for ruling in made.rulings)

    def answer(self, raw: str, outcome: AgentOutcome = AgentOutcome.ADVISED) -> None:
        """Let the newest question end so."""
        self.hear(
            ModelAnswered(
                ask_id=self.asked[-1].ask_id,
                outcome=outcome,
                status=200,
                raw=raw,
                raw_bytes=len(raw.encode()),
            )
        )

    def hear(self, message: Struct) -> None:
        self.policy.hear(self.desk, message, self.now_ns)
        self._do(self.policy.due(self.desk))

    def later(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1_000_000_000)

    def _do(self, effects: tuple[Struct, ...]) -> None:
        for effect in effects:
            if isinstance(effect, AskModel):
                self.asked.append(effect)
            elif isinstance(effect, RecordDecision):
                self.records.append(effect)
            else:
                assert isinstance(effect, Record)
                self.aside.append(effect)
                self.hear(done(effect.command_id))


def done(command: CommandId, refused: str = "") -> CommandDone:
    return CommandDone(command_id=command, refused=refused, seq=1)
