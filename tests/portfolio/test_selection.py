"""The universe over time: due, slow to change, still when the data is bad."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from btcbot.domain.ids import Pair
from btcbot.portfolio.reasons import Exclusion, Freeze
from btcbot.portfolio.selection import (
    Refresh,
    Selection,
    SelectionRules,
    Sight,
    is_due,
    refresh,
)
from btcbot.portfolio.universe import Candidate, PairRules
from tests.portfolio.markets import HOUR, MINUTE, START, D, candidate, instrument, stale

A, B, C, X = Pair("ATRY"), Pair("BTRY"), Pair("CTRY"), Pair("XTRY")
RULES = SelectionRules(size=2, probation=1, rest_min=0, changes_max=100)


def sight(*rows: Candidate, **more: Any) -> Sight:
    return replace(Sight(candidates=rows, resting={}), **more)


def up(base: str, percent: int) -> Candidate:
    """Return a pair that is fit, and the better the more it rose."""
    return candidate(base, momentum=D(percent) / 100)


def settled(*members: Pair, **more: Any) -> Selection:
    """Return a selection refreshed an hour ago."""
    made = Selection(members=members, refreshed_ns=START - HOUR)
    return replace(made, **more)


def why(found: Refresh) -> dict[Pair, Exclusion]:
    return {row.pair: row.reason for row in found.excluded}


def test_refreshes_every_period_and_takes_the_best_of_the_eligible() -> None:
    """Thirty hours asked every ten minutes are thirty refreshes: a reading is no refresh."""
    state, refreshed = Selection(), 0
    for step in range(30 * 6):
        best = "AB" if step < 90 else "BC"
        rows = [up(base, 5 if base in best else 1) for base in "ABC"]
        found = refresh(RULES, state, sight(*rows), START + step * 10 * MINUTE)
        state, refreshed = found.selection, refreshed + found.is_refreshed
        assert state.members == ((A, B) if step < 90 else (B, C))
    assert refreshed == 30


def test_ties_are_broken_by_name() -> None:
    found = refresh(RULES, Selection(), sight(up("C", 1), up("B", 1), up("A", 1)), START)
    assert found.selection.members == (A, B)
    assert [row.pair for row in found.scores] == [A, B, C]
    assert why(found) == {C: Exclusion.RANK}


def test_the_first_selection_waits_for_nothing_and_is_no_change() -> None:
    rules = replace(RULES, probation=3, changes_max=0)
    found = refresh(rules, Selection(), sight(up("A", 1)), START)
    assert found.selection.members == (A,)
    assert found.selection.changed_ns == ()


def test_a_newcomer_has_to_rank_for_some_refreshes_in_a_row() -> None:
    rules, state = replace(RULES, probation=3), settled(A, B)
    for hour, percent in enumerate((9, 9, 0, 9, 9, 9)):
        found = refresh(rules, state, sight(up("A", 2), up("B", 1), up("C", percent)), START
                        + hour * HOUR)  # fmt: skip
        state = found.selection
        assert (C in state.members) is (hour == 5)
        if hour != 5:
            expected = Exclusion.RANK if percent == 0 else Exclusion.PROBATION
            assert why(found) == {C: expected}
    assert state.members == (A, C)


def test_members_are_not_on_probation_again() -> None:
    state = settled(A, B)
    for hour in range(4):
        found = refresh(replace(RULES, probation=3), state, sight(up("A", 1), up("B", 1)),
                        START + hour * HOUR)  # fmt: skip
        state = found.selection
        assert state.members == (A, B)
        assert not found.left


def test_who_left_rests_before_it_may_come_back() -> None:
    rules = replace(RULES, rest_min=90)
    found = refresh(rules, settled(A, B), sight(up("A", 2), up("B", 1), up("C", 9)), START)
    assert (found.came, found.left) == ((C,), (B,))
    again = sight(up("A", 2), up("B", 99), up("C", 9))
    found = refresh(rules, found.selection, again, START + HOUR)
    assert why(found) == {B: Exclusion.COOLDOWN}
    found = refresh(rules, found.selection, again, START + 2 * HOUR)
    assert found.selection.members == (B, C)


def test_no_more_changes_than_the_cap_in_any_day() -> None:
    rules = replace(RULES, changes_max=2)
    found = refresh(rules, settled(A, B), sight(up("C", 9), up("D", 8), up("A", 2), up("B", 1)),
                    START)  # fmt: skip
    assert (found.came, found.left) == ((C,), (B,))  # The best for the worst.
    assert why(found)[Pair("DTRY")] is Exclusion.CHURN_CAP
    rows = sight(up("C", 9), up("D", 8), up("A", 2), up("B", 1))
    before = refresh(rules, found.selection, rows, START + 24 * HOUR - 1)
    assert before.selection.members == (A, C)
    after = refresh(rules, found.selection, rows, START + 24 * HOUR)
    assert after.selection.members == (C, Pair("DTRY"))


def test_one_change_left_replaces_nobody_but_fills_a_free_place() -> None:
    rules = replace(RULES, changes_max=1)
    rows = sight(up("A", 1), up("B", 2), up("C", 9))
    assert refresh(rules, settled(A, B), rows, START).selection.members == (A, B)
    assert refresh(rules, settled(B), rows, START).selection.members == (B, C)


def test_a_member_that_is_unfit_leaves_even_if_nobody_comes() -> None:
    wide = candidate("B", spread_bps=D(61))
    found = refresh(RULES, settled(A, B), sight(up("A", 1), wide), START)
    assert found.selection.members == (A,)
    assert why(found) == {B: Exclusion.SPREAD_TOO_WIDE}
    last = refresh(replace(RULES, changes_max=1), settled(A, B), sight(up("A", 1), wide), START)
    assert last.selection.members == (A,)


def test_the_cap_holds_back_an_unfit_member_but_not_one_that_may_not_trade() -> None:
    rules = replace(RULES, changes_max=0)
    wide = sight(up("A", 1), candidate("B", spread_bps=D(61)))
    assert refresh(rules, settled(A, B), wide, START).selection.members == (A, B)
    halted = Candidate(instrument=instrument("B", is_trading=False))
    for rows in (sight(up("A", 1), halted), sight(up("A", 1)),
                 sight(up("A", 1), up("B", 1), resting={B: START + 1})):  # fmt: skip
        assert refresh(rules, settled(A, B), rows, START).selection.members == (A,)


def test_a_member_that_is_no_longer_listed_has_no_rules() -> None:
    assert why(refresh(RULES, settled(A, B), sight(up("A", 1)), START)) == {B: Exclusion.NO_RULES}


def test_forced_departures_count_as_changes() -> None:
    rules = replace(RULES, changes_max=2, pairs=PairRules(deny=(B,)))
    rows = sight(up("A", 1), up("B", 1), up("C", 9), up("D", 8))
    found = refresh(rules, settled(A, B), rows, START)
    assert (found.came, found.left) == ((C,), (B,))
    assert len(found.selection.changed_ns) == 2
    none = replace(rules, changes_max=1, pairs=PairRules(deny=(A, B)))
    assert refresh(none, settled(A, B), rows, START).selection.changed_ns == (START,)  # Bounded.


def test_degraded_data_freezes_and_the_refresh_stays_due() -> None:
    rows = (up("A", 1), up("C", 9), up("D", 9))
    state = settled(A, B)
    for trouble, freeze in (
        (sight(*rows, is_degraded=True), Freeze.DEGRADED),
        (sight(*rows, resting=None), Freeze.COOLDOWN_UNKNOWN),
        (sight(up("A", 1), _old("C"), _old("D")), Freeze.STALE_SHARE),
    ):
        found = refresh(RULES, state, trouble, START)
        assert found.freeze is freeze
        assert found.selection == state
        assert is_due(RULES, found.selection, START)
    assert refresh(RULES, state, sight(*rows), START + 1).is_refreshed


def test_one_stale_pair_is_left_out_and_freezes_nothing() -> None:
    found = refresh(RULES, settled(A, B), sight(up("A", 1), up("B", 1), _old("C")), START)
    assert found.freeze is None
    assert why(found) == {C: Exclusion.STALE_QUOTE}


def test_a_member_stays_through_a_short_silence_and_not_through_a_long_one() -> None:
    rows = sight(up("A", 1), _old("B", minutes=60), up("C", 9))
    assert refresh(RULES, settled(A, B), rows, START).selection.members == (A, B)
    rows = sight(up("A", 1), _old("B", minutes=61), up("C", 9))
    assert refresh(RULES, settled(A, B), rows, START).selection.members == (A, C)


def test_with_fewer_places_than_members_it_is_due_and_the_least_fit_leave_at_once() -> None:
    rules = replace(RULES, size=1, changes_max=0)
    state = settled(A, B, C, refreshed_ns=START)
    rows = sight(up("A", 1), up("B", 9), _old("C", minutes=1), _old("D"))
    found = refresh(rules, state, rows, START)
    assert found.selection.members == (B,)
    assert refresh(replace(rules, size=0), state, rows, START).selection.members == ()


def test_an_empty_market_empties_the_universe_and_guesses_nothing() -> None:
    found = refresh(RULES, Selection(), sight(candidate("A", momentum=None)), START)
    assert found.selection.members == ()
    assert why(found) == {A: Exclusion.NO_HISTORY}


def _old(base: str, minutes: int = 61) -> Candidate:
    row = stale(base, START - minutes * MINUTE)
    return Candidate(instrument=instrument(base), features=row)


ROWS = st.lists(
    st.tuples(
        st.sampled_from("ABCDEFGH"), st.integers(-3, 3),
        st.sampled_from(["fit", "fit", "fit", "wide", "old", "halted"]),
    ),
    max_size=8, unique_by=lambda row: row[0],
)  # fmt: skip


def _candidate(base: str, percent: int, kind: str) -> Candidate:
    if kind == "halted":
        return Candidate(instrument=instrument(base, is_trading=False))
    if kind == "old":
        return _old(base)
    return candidate(base, momentum=D(percent) / 100, spread_bps=D(99 if kind == "wide" else 9))


@settings(max_examples=100, deadline=None)
@given(st.lists(ROWS, max_size=6), st.integers(0, 4), st.integers(0, 3), st.integers(1, 3))
def test_whatever_comes_the_universe_keeps_its_promises(
    days: list[list[tuple[str, int, str]]], size: int, changes_max: int, probation: int
) -> None:
    rules = SelectionRules(size=size, changes_max=changes_max, probation=probation, rest_min=90)
    state = Selection()
    chosen: list[int] = []
    for hour, rows in enumerate(days):
        now = START + hour * HOUR
        seen = sight(*(_candidate(*row) for row in rows))
        found = refresh(rules, state, seen, now)
        again = refresh(rules, state, replace(seen, candidates=tuple(reversed(seen.candidates))),
                        now)  # fmt: skip
        assert again == found
        after = found.selection
        assert len(after.members) <= size
        assert list(after.members) == sorted(set(after.members))
        assert set(after.members) == (set(state.members) | set(found.came)) - set(found.left)
        assert not set(found.came) & {p for p, until in state.resting.items() if now < until}
        if found.is_refreshed:
            assert set(after.members).isdisjoint(row.pair for row in found.excluded)
            if state.members and found.came:
                chosen += [now] * (len(found.came) + len(found.left))
                assert len(chosen) <= changes_max
        assert msgspec.json.decode(msgspec.json.encode(after), type=Selection) == after
        state = after
