"""A lookup at a time never says anything from later than that time."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcbot.catalog.lookup import Lookup, Timeline, VirtualClock
from btcbot.catalog.rows import Quote, Trade
from tests.catalog.markets import MINUTE, PAIR, SECOND, START, candle, quote, trade, written

TIMES = st.lists(st.integers(0, 100), max_size=30)


@given(TIMES, st.integers(-5, 105))
def test_the_newest_row_that_is_not_later_is_found(times: list[int], at: int) -> None:
    rows = [trade(float(time), n) for n, time in enumerate(sorted(times))]
    now_ns = START + at * SECOND

    found = Timeline(rows).at(now_ns)

    known = [row for row in rows if row.at_ns <= now_ns]
    assert (found.row if found else None) == (known[-1] if known else None)
    assert found is None or found.age_ns == now_ns - found.row.at_ns >= 0


@given(TIMES, st.integers(-5, 105), st.integers(0, 10))
def test_the_last_rows_are_those_known_by_then(times: list[int], at: int, count: int) -> None:
    rows = [trade(float(time), n) for n, time in enumerate(sorted(times))]
    now_ns = START + at * SECOND
    known = [row for row in rows if row.at_ns <= now_ns]
    assert list(Timeline(rows).last(now_ns, count)) == known[len(known) - min(count, len(known)) :]


class Counting(int):
    """A time that counts how often it is compared."""

    compared = 0

    def __lt__(self, other: int) -> bool:
        Counting.compared += 1
        return int(self) < int(other)

    def __gt__(self, other: int) -> bool:
        Counting.compared += 1
        return int(self) > int(other)


def test_a_lookup_compares_a_handful_of_times_in_a_hundred_thousand() -> None:
    timeline = Timeline([trade(float(n), n) for n in range(100_000)])

    Counting.compared = 0
    found = timeline.at(Counting(START + 77_777 * SECOND))

    assert found is not None
    assert found.row.trade_id == 77_777
    assert 10 < Counting.compared < 20


def test_rows_are_sorted_when_they_are_read() -> None:
    timeline = Timeline([trade(5, 1), trade(1, 2)])
    found = timeline.at(START + 2 * SECOND)
    assert found is not None
    assert found.row.trade_id == 2


def test_the_clock_never_steps_beyond_its_end() -> None:
    clock = VirtualClock(START, START + 25 * SECOND, 10 * SECOND)
    assert [clock.advance() for _ in range(4)] == [True, True, False, False]
    assert clock.now_ns == START + 20 * SECOND
    for wrong in ((START, START - 1, 1), (START, START, 0)):
        with pytest.raises(ValueError, match="expected to go forward"):
            VirtualClock(*wrong)


def test_a_candle_is_known_when_it_has_closed(tmp_path: Path) -> None:
    dataset = written(tmp_path / "x", [candle(0), candle(1), candle(2)])
    clock = VirtualClock(START, START + 10 * MINUTE, MINUTE // 2)
    lookup = Lookup(dataset, PAIR, clock)

    counts = []
    while clock.advance():
        held = lookup.candles(2)
        assert all(one.at_ns <= clock.now_ns for one in held)
        counts.append(len(held))

    assert counts[:7] == [0, 1, 1, 2, 2, 2, 2]


def test_what_is_carried_forward_says_for_how_long_and_whether_anybody_knows(
    tmp_path: Path,
) -> None:
    written(tmp_path / "x", [quote(0), quote(10, update=2)])
    dataset = written(tmp_path / "x", [quote(60, update=3), quote(70, update=4)])
    clock = VirtualClock(START + 5 * SECOND, START + 100 * SECOND, 30 * SECOND)
    lookup = Lookup(dataset, PAIR, clock)

    inside = lookup.quote()
    clock.advance()
    in_the_gap = lookup.quote()

    assert inside is not None
    assert in_the_gap is not None
    assert (inside.age_ns, inside.is_covered) == (5 * SECOND, True)
    assert (in_the_gap.age_ns, in_the_gap.is_covered) == (25 * SECOND, False)
    assert isinstance(in_the_gap.row, Quote)
    assert lookup.trade() is None
    assert lookup.ticker() is None


def test_of_rows_with_one_time_the_last_written_is_the_newest(tmp_path: Path) -> None:
    dataset = written(tmp_path / "x", [trade(1, 1), trade(1, 2)])
    found = Lookup(dataset, PAIR, VirtualClock(START + SECOND, START + SECOND, 1)).trade()
    assert found is not None
    assert isinstance(found.row, Trade)
    assert found.row.trade_id == 2
