"""What is wrong just now, the level it makes, and that every level ends."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btcbot.domain.words import Anomaly, FeedStatus, RiskMode
from btcbot.risk.degrade import (
    CRITICAL_NS,
    ERROR_NS,
    HEAT_MAX,
    HEAT_OF,
    HEAT_WARN,
    MINUTE_NS,
    MODE_OF,
    SECOND_NS,
    SPIKE_NS,
    Degrade,
    Seen,
    anomalies,
    follow,
    is_critical,
    note,
)
from tests import builders as make
from tests.builders import BTCTRY, ETHTRY, START_NS

AGE_NS = 2 * SECOND_NS
THREE = [START_NS - SPIKE_NS + 1, START_NS - SECOND_NS, START_NS]
WARN, ERROR = (Anomaly.ORDER_REJECTS,), (Anomaly.BOOKS_DIFFER,)


def seen_at(now_ns: int = START_NS, eth: FeedStatus = FeedStatus.LIVE, **seen: Any) -> list[str]:
    """Return what is wrong with two pairs of which ETH's feed is `eth`."""
    marks = {pair: make.book_top(pair=pair) for pair in (BTCTRY, ETHTRY)}
    feeds = {BTCTRY: FeedStatus.LIVE, ETHTRY: eth}
    return [*anomalies(Seen(**seen), marks, feeds, AGE_NS, now_ns)]


FAULTS: list[tuple[Anomaly, list[str]]] = [
    (Anomaly.STALE_MARKET_DATA, seen_at(START_NS + AGE_NS + 1)),
    (Anomaly.CLOCK_SKEW, seen_at(START_NS - 2 * SECOND_NS - 1)),
    (Anomaly.EXCHANGE_LATENCY, seen_at(slow_ns=THREE)),
    (Anomaly.ORDER_REJECTS, seen_at(rejected_ns=THREE)),
    (Anomaly.ORDERS_UNKNOWN, seen_at(unknown_ns=THREE)),
    (Anomaly.BOOKS_DIFFER, seen_at(errors_ns=[START_NS - ERROR_NS + 1])),
]


@pytest.mark.parametrize(("anomaly", "found"), FAULTS)
def test_each_fault_raises_exactly_its_code(anomaly: Anomaly, found: list[str]) -> None:
    assert found == [anomaly]


def test_every_code_has_its_fault() -> None:
    assert [anomaly for anomaly, _ in FAULTS] == list(Anomaly)


def test_a_quiet_market_and_single_failures_are_no_trouble() -> None:
    assert seen_at(START_NS + AGE_NS) == []
    assert seen_at(rejected_ns=THREE[1:], unknown_ns=THREE[1:], slow_ns=THREE[1:]) == []
    two = [START_NS - SPIKE_NS, *THREE[1:]]  # Of the last minutes; the third is over.
    assert seen_at(rejected_ns=two, unknown_ns=two, slow_ns=two) == []
    assert seen_at(errors_ns=[START_NS - ERROR_NS]) == []


def test_half_of_the_pairs_may_be_stale() -> None:
    assert seen_at(eth=FeedStatus.DOWN) == []
    marks = {BTCTRY: make.book_top()}
    feeds = {BTCTRY: FeedStatus.STALE, ETHTRY: FeedStatus.LIVE}
    assert anomalies(Seen(), marks, feeds, AGE_NS, START_NS) == (Anomaly.STALE_MARKET_DATA,)


def after(state: Degrade, found: tuple[Anomaly, ...], seconds: int) -> Degrade:
    for _ in range(seconds):
        state = follow(state, found, state.at_ns + SECOND_NS)
    return state


def test_trouble_that_stays_raises_the_level_but_not_to_the_last() -> None:
    levels = [after(Degrade(at_ns=START_NS), WARN, seconds).level for seconds in (29, 30, 119, 120)]
    assert levels == [0, 1, 1, 2]
    assert after(Degrade(at_ns=START_NS), WARN, 5_000) == Degrade(
        HEAT_WARN, 2, START_NS + 5_000 * SECOND_NS
    )


def test_a_contradiction_only_looks_at_once_and_cools_although_a_lesser_trouble_stays() -> None:
    top = after(Degrade(at_ns=START_NS), ERROR, 1)
    assert (top.level, MODE_OF[top.level]) == (3, RiskMode.OBSERVE)
    assert after(top, WARN, HEAT_MAX).level == 2


def test_a_level_is_left_at_half_of_the_heat_where_it_begins() -> None:
    hot = after(Degrade(at_ns=START_NS), WARN, HEAT_OF[2])
    assert [after(hot, (), cool).level for cool in (59, 60, 104, 105)] == [2, 1, 1, 0]


def test_a_level_does_not_flap_while_trouble_comes_and_goes() -> None:
    state, levels = after(Degrade(at_ns=START_NS), WARN, HEAT_OF[1]), []
    for second in range(200):
        state = follow(state, WARN if second % 2 else (), state.at_ns + SECOND_NS)
        levels.append(state.level)
    assert set(levels) == {1}


def test_seconds_that_were_slept_through_weigh_as_two() -> None:
    awake = Degrade(heat=10, level=0, at_ns=START_NS)
    assert follow(awake, WARN, START_NS + 3_600 * SECOND_NS).heat == 12
    assert follow(awake, (), START_NS + 3_600 * SECOND_NS).heat == 8
    assert follow(awake, WARN, START_NS - SECOND_NS).heat == 11  # The clock was set back.


looks = st.lists(
    st.tuples(st.sampled_from([(), WARN, ERROR, (*WARN, *ERROR)]), st.integers(-5, 90)), max_size=60
)


@given(looks=looks)
@settings(max_examples=300, deadline=None)
def test_after_faults_stop_every_level_ends(looks: list[tuple[tuple[Anomaly, ...], int]]) -> None:
    state = Degrade(at_ns=START_NS)
    for found, seconds in looks:
        state = follow(state, found, state.at_ns + seconds * SECOND_NS)
        assert 0 <= state.heat <= HEAT_MAX
        assert 0 <= state.level <= 3
        assert 2 * state.heat > HEAT_OF[state.level] or not state.level

    levels = [state.level]
    for _ in range(HEAT_MAX):
        state = follow(state, (), state.at_ns + SECOND_NS)
        levels.append(state.level)

    assert levels == sorted(levels, reverse=True)
    assert (state.heat, state.level) == (0, 0)


def test_three_contradictions_within_an_hour_are_critical() -> None:
    times = [START_NS - CRITICAL_NS + 1, START_NS - 1, START_NS]
    assert is_critical(Seen(errors_ns=times), START_NS)
    assert not is_critical(Seen(errors_ns=times), START_NS + 1)
    assert not is_critical(Seen(errors_ns=times[1:]), START_NS)


def test_what_is_noted_is_bounded_by_time_and_stays_sorted() -> None:
    times: list[int] = []
    for at_ns in (START_NS, START_NS - SECOND_NS, START_NS + MINUTE_NS):
        note(times, at_ns)
    assert times == [START_NS, START_NS, START_NS + MINUTE_NS]
    note(times, START_NS + SPIKE_NS)
    assert times == [START_NS + MINUTE_NS, START_NS + SPIKE_NS]
