"""What others show is said as it changes, at most once a second, and again now and then."""

from hypothesis import given
from hypothesis import strategies as st

from btcbot.domain.repeats import AGAIN_NS, LATE_NS, SAY_NS, Repeats

NOW = 1_795_000_000_000_000_000


def test_what_changes_long_after_it_was_said_is_said_at_once() -> None:
    repeats = Repeats()
    repeats.said(NOW - 2 * SAY_NS)

    assert repeats.changed(NOW) == NOW


def test_what_changes_soon_after_it_was_said_waits_for_its_second_and_asks_once() -> None:
    repeats = Repeats()
    repeats.said(NOW - SAY_NS // 4)

    assert repeats.changed(NOW) == NOW + 3 * SAY_NS // 4
    assert repeats.changed(NOW + 1) is None


def test_what_stays_is_due_every_few_seconds_and_each_second_after_somebody_came() -> None:
    repeats = Repeats()

    assert repeats.said(NOW) == NOW + AGAIN_NS
    assert not repeats.is_due(NOW + AGAIN_NS - 1)
    assert repeats.is_due(NOW + AGAIN_NS)

    repeats.hearer_came(NOW)
    assert repeats.is_due(NOW + LATE_NS)
    assert repeats.said(NOW + 1) == NOW + 1 + SAY_NS


def test_the_first_other_reason_decides_but_not_one_that_is_past() -> None:
    assert Repeats().said(NOW, NOW + 3 * SAY_NS, NOW + 2 * SAY_NS, NOW - 1, 0) == NOW + 2 * SAY_NS
    assert Repeats().said(NOW, NOW + 1) == NOW + SAY_NS


def test_a_clock_that_is_set_back_silences_nobody() -> None:
    repeats = Repeats()
    repeats.said(NOW)
    back = NOW - 3_600 * SAY_NS

    assert repeats.is_due(back)
    assert repeats.changed(back) == back + SAY_NS


@given(st.lists(st.tuples(st.integers(0, 3 * SAY_NS), st.booleans()), max_size=30))
def test_a_change_is_said_within_a_second_and_never_twice_in_one(
    steps: list[tuple[int, bool]],
) -> None:
    repeats, now_ns, said_ns, changed_ns = Repeats(), NOW, NOW, None
    due_ns = repeats.said(now_ns)
    for wait_ns, is_change in steps:
        until_ns = now_ns + wait_ns
        while due_ns <= until_ns:  # The timer rings.
            assert due_ns - said_ns >= SAY_NS
            assert changed_ns is None or due_ns - changed_ns <= SAY_NS
            said_ns, changed_ns = due_ns, None
            due_ns = repeats.said(due_ns)
        now_ns = until_ns
        if is_change:
            changed_ns = changed_ns or now_ns
            due_ns = repeats.changed(now_ns) or due_ns
    assert due_ns - said_ns <= AGAIN_NS
