"""No order of intents, fills, cancels, doubts, moves and restarts leads past any limit."""

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from btcbot.domain.words import Rule
from btcbot.risk import exposure
from tests.risk.worlds import World

# 10,000 worlds take some 20 s; RISK_WORLDS=1000000 is for a long night.
WORLDS = int(os.environ.get("RISK_WORLDS", "10000"))


@given(seed=st.integers(0, 2**32), steps=st.integers(1, 40))
@settings(max_examples=WORLDS, deadline=None, suppress_health_check=list(HealthCheck))
def test_nothing_leads_past_a_limit(seed: int, steps: int) -> None:
    world = World(seed)
    for _ in range(steps):
        world.step()

    state = world.gate.state
    assert state.exposure == exposure.of(*state.exposure.orders.values())


def test_the_worlds_reach_the_limits_and_trade() -> None:
    refused: set[Rule] = set()
    approvals = fills = 0
    for seed in range(60):
        world = World(seed)
        for _ in range(120):
            world.step()
        refused |= world.refusals
        approvals += world.approvals
        fills += len(world.fills)

    assert approvals > 300
    assert fills > 100
    assert refused >= {
        Rule.NOT_ENOUGH_BASE, Rule.POSITION_NOTIONAL, Rule.GROSS_EXPOSURE, Rule.CASH_RESERVE,
        Rule.OPEN_ORDERS, Rule.DUPLICATE_SLOT, Rule.PAIR_FROZEN, Rule.SELF_CROSS,
        Rule.HOURLY_RATE, Rule.COOLDOWN, Rule.PAIR_ORDERS, Rule.DECISION_NOTIONAL,
        Rule.DECISION_ORDERS, Rule.TURNOVER, Rule.FEES, Rule.DAILY_LOSS, Rule.CONCENTRATION,
        Rule.ORDER_NOTIONAL,
    }  # fmt: skip
