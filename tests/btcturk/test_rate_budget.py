"""Our share of the exchange's limits: no window of a documented length is ever exceeded."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcbot.btcturk.rate_budget import (
    LIMITS,
    PRIVATE,
    SECOND_NS,
    SPACED_NS,
    Priority,
    RateBudget,
    retry_after_s,
)

DOCUMENTED = {
    "submit": ((10, 1), (300, 60)), "cancel": ((10, 1), (300, 60)), "order": ((30, 1), (900, 60)),
    "open_orders": ((300, 60),), "all_orders": ((300, 60),), "trades": ((120, 60),),
    "crypto": ((90, 60),), "fiat": ((90, 60),), "balances": ((120, 60),),
    "ticker": ((600, 60),), "order_book": ((180, 60),), "ohlcs": ((120, 60),),
    "chart": ((600, 600),), "connect": ((15, 60),),
}  # fmt: skip
SHARES = {"submit": 50, "cancel": 90, "connect": 40}

steps = st.lists(
    st.integers(0, SECOND_NS // 50) | st.integers(0, 20 * SECOND_NS), min_size=1, max_size=400
)


@given(
    asked=st.lists(
        st.tuples(
            st.integers(0, SECOND_NS // 50) | st.integers(0, 20 * SECOND_NS),
            st.sampled_from(sorted(LIMITS)),
            st.sampled_from(Priority),
            st.booleans(),
        ),
        min_size=1,
        max_size=600,
    ),
    start=st.integers(0, 1 << 60),
)
def test_no_window_is_exceeded_however_requests_and_penalties_come(
    asked: list[tuple[int, str, Priority, bool]], start: int
) -> None:
    budget, now_ns = RateBudget(), start
    sent: dict[str, list[int]] = {group: [] for group in LIMITS}
    for step, group, priority, is_penalty in asked:
        now_ns += step
        if is_penalty and not now_ns % 7:
            budget.close(group, 1, now_ns)
        elif budget.take(group, now_ns, priority):
            sent[group].append(now_ns)
    sent["chart"] = sorted(sent["chart"] + sent["ohlcs"])

    for group, limits in LIMITS.items():
        for limit in limits:
            for first, past in zip(sent[group], sent[group][limit.requests :], strict=False):
                assert past - first >= limit.window_ns


@pytest.mark.parametrize("group", sorted(LIMITS))
@given(steps=steps, start=st.integers(0, 1 << 60))
def test_no_window_of_one_group_is_exceeded_when_all_is_asked_of_it(
    group: str, steps: list[int], start: int
) -> None:
    budget, now_ns, sent = RateBudget(), start, []
    for step in steps:
        now_ns += step
        while budget.take(group, now_ns):
            sent.append(now_ns)

    for limit in LIMITS[group]:
        for first, past in zip(sent, sent[limit.requests :], strict=False):
            assert past - first >= limit.window_ns


def test_routine_polling_leaves_a_fifth_of_every_private_read_to_what_is_in_doubt() -> None:
    for group in sorted(set(PRIVATE) - {"submit", "cancel"}):
        budget, limit = RateBudget(), LIMITS[group][-1]
        # Spread over a minute, so that only the long window counts.
        times = [n * limit.window_ns // limit.requests // 2 for n in range(2 * limit.requests)]
        routine = sum(budget.take(group, at, Priority.ROUTINE) for at in times)
        settling = sum(
            budget.take(group, times[-1], Priority.SETTLING) for _ in range(limit.requests)
        )

        assert routine == limit.requests * 80 // 100, group
        assert settling >= min(limit.requests - routine, LIMITS[group][0].requests * 20 // 100)


def test_after_a_429_a_group_goes_on_with_half_its_part_for_ten_minutes() -> None:
    budget = RateBudget()
    budget.close("submit", 1, 0)

    def burst(now_ns: int) -> int:
        return sum(budget.take("submit", now_ns) for _ in range(20))

    assert [burst(at * SECOND_NS) for at in (0, 1, 2, 600)] == [0, 2, 2, 2]
    assert burst(602 * SECOND_NS) == 5


def test_the_chart_host_counts_what_is_asked_of_one_of_its_paths_too() -> None:
    budget = RateBudget()
    for n in range(360):
        assert budget.take("ohlcs", n * SECOND_NS)

    assert not budget.take("chart", 360 * SECOND_NS)
    assert budget.take("chart", 600 * SECOND_NS)


def test_uses_say_what_is_sent_allowed_documented_and_closed() -> None:
    budget = RateBudget()
    for _ in range(3):
        budget.take("submit", 0)
    budget.take("submit", 2 * SECOND_NS)
    budget.close("cancel", 30, 2 * SECOND_NS)
    second, minute, cancel, _ = budget.uses(("submit", "cancel"), 2 * SECOND_NS)

    assert (second.window_s, second.used, second.allowed, second.documented) == (1, 1, 5, 10)
    assert (minute.window_s, minute.used, minute.allowed, minute.documented) == (60, 4, 150, 300)
    assert (cancel.group, cancel.allowed, cancel.closed_s) == ("cancel", 4, 30)


@pytest.mark.parametrize("group", sorted(DOCUMENTED))
def test_our_share_of_every_documented_limit(group: str) -> None:
    share = SHARES.get(group, 60)

    assert [(limit.requests, limit.window_ns) for limit in LIMITS[group]] == [
        (requests * share // 100, seconds * SECOND_NS) for requests, seconds in DOCUMENTED[group]
    ]


@given(steps=steps)
def test_a_wait_is_exactly_as_long_as_it_must_be(steps: list[int]) -> None:
    budget, now_ns, sent = RateBudget(), 0, []
    for step in steps:
        now_ns += step
        wait_ns = budget.wait_ns("cancel", now_ns)
        if wait_ns:
            assert not budget.take("cancel", now_ns)
            assert budget.wait_ns("cancel", now_ns + wait_ns - 1) == 1
            now_ns += wait_ns
        assert budget.take("cancel", now_ns)
        sent.append(now_ns)
    assert all(after - before >= SPACED_NS["cancel"] for before, after in pairwise(sent))
    for first, tenth in zip(sent, sent[9:], strict=False):
        assert tenth - first >= SECOND_NS


def test_cancels_and_reads_go_on_while_submits_are_closed() -> None:
    budget = RateBudget()
    budget.close("submit", 30, 0)

    assert not budget.take("submit", 30 * SECOND_NS - 1)
    assert budget.take("submit", 30 * SECOND_NS)
    assert all(budget.take(group, 0) for group in LIMITS if group != "submit")


def test_a_shorter_block_never_ends_a_longer_one() -> None:
    budget = RateBudget()
    budget.close("order", 30, 0)
    budget.close("order", 1, 0)

    assert budget.wait_ns("order", 0) == 30 * SECOND_NS


def test_ten_minutes_is_the_longest_block_anybody_documented() -> None:
    budget = RateBudget()
    budget.close("order", 9_999, 0)

    assert budget.wait_ns("order", 0) == 600 * SECOND_NS


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("53", 53), ("0", 1), ("", 60), ("soon", 60), ("-5", 60), ("1.5", 60), ("99999", 60),
     ("Wed, 21 Oct 2026 07:28:00 GMT", 60), ("٣", 60)],
)  # fmt: skip
def test_a_retry_after_that_cannot_be_read_is_a_minute(header: str, seconds: float) -> None:
    assert retry_after_s(header) == seconds


def test_reconnecting_as_fast_as_allowed_stays_below_fifteen_a_minute_for_two_processes() -> None:
    budget, now_ns, sent = RateBudget(), 0, []
    while now_ns < 600 * SECOND_NS:
        if budget.take("connect", now_ns):
            sent.append(now_ns)
        now_ns += max(budget.wait_ns("connect", now_ns), 1)

    assert max(sum(1 for at in sent if 0 <= at - start < 60 * SECOND_NS) for start in sent) * 2 < 15
    assert all(second > first for first, second in pairwise(sent))
