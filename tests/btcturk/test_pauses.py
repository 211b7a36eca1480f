"""How often a socket is opened: pauses that grow, and a budget that no bad luck exceeds."""

import random

from hypothesis import given
from hypothesis import strategies as st

from btcbot.btcturk.rate_budget import SECOND_NS, RateBudget
from btcbot.btcturk.stream import LASTING_S, Pauses


def test_pauses_double_up_to_half_a_minute() -> None:
    pauses = Pauses(random.Random(1))

    for middle in (0.5, 1, 2, 4, 8, 16, 30, 30):
        assert 0.8 * middle <= pauses.after(0.1, 0) <= 1.2 * middle


def test_a_good_session_makes_the_next_pause_short_again() -> None:
    pauses = Pauses(random.Random(1))
    for _ in range(9):
        pauses.after(0.1, 0)

    assert pauses.after(LASTING_S + 1, 0) <= 0.6


def test_a_block_of_the_exchange_is_stayed_away_for() -> None:
    assert Pauses(random.Random(1)).after(0.1, 60) == 60


@given(
    sessions=st.lists(st.floats(0, 40) | st.just(0.0), min_size=1, max_size=80),
    seed=st.integers(0, 1_000),
)
def test_two_processes_stay_below_fifteen_connections_a_minute(
    sessions: list[float], seed: int
) -> None:
    budget, pauses = RateBudget(), Pauses(random.Random(seed))
    now_ns, opened = 0, []
    for lasted_s in sessions:
        now_ns += budget.wait_ns("connect", now_ns)
        assert budget.take("connect", now_ns)
        opened.append(now_ns)
        now_ns += round((lasted_s + pauses.after(lasted_s, 0)) * SECOND_NS)

    for at_ns in opened:
        assert 2 * sum(1 for one in opened if 0 <= one - at_ns < 60 * SECOND_NS) < 15
