"""The exchange's clock: an offset, and a bound of its error that grows until it is read again."""

from hypothesis import given
from hypothesis import strategies as st

from btcbot.btcturk.server_clock import ServerClock
from btcbot.domain.venue import TimeRead

SECOND_NS = 1_000_000_000
START_NS = 1_790_000_000 * SECOND_NS


def measured(offset_ns: int = 0, error_ns: int = 20_000_000) -> ServerClock:
    clock = ServerClock()
    clock.measured(TimeRead(offset_ns=offset_ns, error_ns=error_ns), START_NS, 0)
    return clock


def test_nothing_is_stamped_before_the_first_reading() -> None:
    clock = ServerClock()

    assert clock.error_ns(START_NS, 0) is None
    assert clock.why_not(START_NS, 0) == "the exchange's clock was not read yet"


def test_the_offset_makes_the_exchanges_time_of_ours() -> None:
    assert measured(-40 * SECOND_NS).now_ms(START_NS) == (START_NS - 40 * SECOND_NS) // 10**6


def test_the_bound_grows_with_the_drift_of_quartz() -> None:
    clock = measured()

    assert clock.error_ns(START_NS + 90 * SECOND_NS, 90 * SECOND_NS) == 20_000_000 + 18_000_000
    assert clock.why_not(START_NS + 90 * SECOND_NS, 90 * SECOND_NS) == ""
    assert "may be 1020 ms wrong" in clock.why_not(START_NS + 5_000 * SECOND_NS, 5_000 * SECOND_NS)


def test_a_wall_clock_that_was_set_and_a_machine_that_slept_are_over_every_bound() -> None:
    clock = measured()

    for wall_s in (12, -8, 4_000):
        why = clock.why_not(START_NS + wall_s * SECOND_NS, 2 * SECOND_NS)
        assert "this machine slept or its time was set" in why


@given(
    offset_ns=st.integers(-(10**12), 10**12),
    error_ns=st.integers(0, 10**9),
    elapsed_ns=st.integers(0, 10**12),
    drift_ppm=st.integers(-150, 150),
    moved_ns=st.integers(-(10**11), 10**11),
)
def test_the_true_time_lies_within_the_bound(
    offset_ns: int, error_ns: int, elapsed_ns: int, drift_ppm: int, moved_ns: int
) -> None:
    clock = measured(offset_ns, error_ns)
    ours_ns = START_NS + elapsed_ns + moved_ns
    true_ns = START_NS + offset_ns + elapsed_ns + elapsed_ns * drift_ppm // 1_000_000

    bound_ns = clock.error_ns(ours_ns, elapsed_ns)
    assert bound_ns is not None
    assert abs(clock.now_ms(ours_ns) * 10**6 - true_ns) <= bound_ns + 10**6 + 1
