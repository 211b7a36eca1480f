"""What a strategy changes of itself after a period, when it goes back, and how far it ever gets."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json, msgpack
from msgspec.structs import asdict, replace

from btcbot.domain.adaptation import Adaptation, Because, Change, Outcome, Period, Values
from btcbot.portfolio.adaptation import (
    CHANGES_MAX,
    VERSIONS_MAX,
    WINDOW,
    Lineage,
    Standing,
    begun,
    fold,
    judge,
    propose,
    should_roll_back,
)
from btcbot.portfolio.tuning import NAMES, Bounds, Rollback, lowered, outside
from tests.portfolio.markets import D

BOUNDS, RULES = Bounds(), Rollback(drawdown_max=D("0.1"), loss_max=D(50), rejects_max=3)
FIRST = Values(
    offset_bps=D(5), orders_max=4, cycle_max=D(5_000), spread_max_bps=D(80), universe_size=5
)
CALM = Period(
    start_ns=0, end_ns=1, sent=4, fills=4, rejected=0, refused=0, throttled=0, unpriced=0,
    result=D(10), net_pnl=D(10), drawdown=D(0),
)  # fmt: skip
HEALTHY = (CALM, CALM, CALM)


def after(**changes: Any) -> Period:
    """Return a calm period with something in it."""
    return replace(CALM, **changes)


def proposed(*window: Period, values: Values = FIRST, bounds: Bounds = BOUNDS) -> dict[str, Any]:
    """Return what is proposed to change, by name."""
    found = asdict(propose(values, window, bounds, RULES).values)
    return {name: value for name, value in found.items() if value != getattr(values, name)}


BAD: list[tuple[tuple[Period, ...], tuple[Because, ...]]] = [
    ((CALM,), ()),
    ((after(drawdown=D("0.1")),), ()),
    ((after(drawdown=D("0.101")), *HEALTHY, CALM), (Because.DRAWDOWN,)),
    ((after(rejected=2),), ()),
    ((after(rejected=3), *HEALTHY, CALM), (Because.REJECTS,)),
    ((after(throttled=1), CALM, CALM), (Because.THROTTLED,)),
    ((after(throttled=1), *HEALTHY), ()),
    ((after(net_pnl=D(-50)),), ()),
    ((after(net_pnl=D(-51)),), (Because.NET_LOSS,)),
    ((after(net_pnl=D(-30)), after(net_pnl=D(-30)), CALM), ()),
    ((after(net_pnl=D(-30)), after(net_pnl=D(-30)), after(net_pnl=D(0))), (Because.NET_LOSS,)),
    ((after(net_pnl=D(-60)), *HEALTHY), ()),
    ((after(net_pnl=None),), ()),
    ((after(rejected=3, throttled=1),), (Because.REJECTS, Because.THROTTLED)),
]


@pytest.mark.parametrize(("window", "reasons"), BAD)
def test_a_version_is_bad_for_these_reasons_and_no_other(
    window: tuple[Period, ...], reasons: tuple[Because, ...]
) -> None:
    assert should_roll_back(window, RULES) == reasons


def test_what_was_lost_before_counts_once_and_in_its_own_period() -> None:
    """The result since the first fill stays at -60: only the period that lost it is a loss."""
    window = (
        after(result=D(-60), net_pnl=D(-60)),
        *(after(result=D(-60), net_pnl=D(0)) for _ in range(3)),
    )

    assert should_roll_back(window[:1], RULES) == (Because.NET_LOSS,)
    assert should_roll_back(window, RULES) == ()


CALLED: list[tuple[tuple[Period, ...], dict[str, Any]]] = [
    ((CALM,), {}),
    ((CALM, CALM), {}),
    ((after(rejected=2),), {}),
    ((after(rejected=3),), {"offset_bps": D(3)}),
    ((after(throttled=1),), {"orders_max": 3}),
    ((after(drawdown=D("0.079")),), {}),
    ((after(drawdown=D("0.08")),), {"cycle_max": D(4_750)}),
    ((after(unpriced=1),), {"spread_max_bps": D(70)}),
    ((after(throttled=1), CALM), {}),  # The newest period alone is answered.
    (HEALTHY, {"universe_size": 6, "cycle_max": D(5_250)}),
    ((CALM, CALM, after(rejected=1)), {}),
    ((CALM, after(net_pnl=D(-1)), CALM), {}),
    ((CALM, after(net_pnl=None), CALM), {}),
    ((CALM, after(fills=0), CALM), {}),
    ((CALM, after(drawdown=D("0.08")), CALM), {}),
    (
        (after(rejected=3, throttled=1, drawdown=D("0.09"), unpriced=1),),
        {"offset_bps": D(3), "orders_max": 3, "cycle_max": D(4_750)},
    ),
]


@pytest.mark.parametrize(("window", "changes"), CALLED)
def test_each_trouble_calls_for_its_own_change_and_three_healthy_periods_for_more(
    window: tuple[Period, ...], changes: dict[str, Any]
) -> None:
    assert proposed(*window) == changes


def test_what_stands_at_its_bound_stays_there() -> None:
    lowest = Values(**{name: getattr(BOUNDS, name)[0] for name in NAMES})
    highest = Values(**{name: getattr(BOUNDS, name)[1] for name in NAMES})

    assert proposed(after(rejected=9, throttled=9, unpriced=9), values=lowest) == {}
    assert proposed(after(drawdown=D(1)), values=lowest) == {}
    assert proposed(*HEALTHY, values=highest) == {}


def test_growth_goes_past_the_first_value_up_to_the_bound() -> None:
    """What a period may buy is not held to what it began with."""
    values, steps = FIRST, []
    for _ in range(20):
        values = propose(values, HEALTHY, BOUNDS, RULES).values
        steps.append(values.cycle_max)

    assert steps[0] == D(5_250)
    assert steps[-1] == D(10_000)


def test_a_calm_first_period_changes_nothing_by_itself() -> None:
    assert list(outside(FIRST, BOUNDS)) == []
    found = judged(begun("b", FIRST), CALM)

    assert (found.outcome, found.changes, found.values) == (Outcome.KEPT, (), FIRST)


def judged(lineage: Lineage, period: Period, **more: Any) -> Adaptation:
    return judge(lineage, period, BOUNDS, RULES, **{"seat": "s", "is_live": True, **more})


def lived(*periods: Period, lineage: Lineage | None = None) -> tuple[Lineage, list[Adaptation]]:
    """Return what is remembered after these periods, and each record, read back from its bytes."""
    state, told = lineage or begun("b", FIRST), []
    for period in periods:
        found = json.decode(json.encode(judged(state, period)), type=Adaptation)
        told.append(found)
        state = fold(state, FIRST, found)
    return state, told


def path(told: list[Adaptation]) -> list[tuple[str, int, int]]:
    return [(row.outcome, row.from_version, row.to_version) for row in told]


LOSS, THROTTLED = after(net_pnl=D(-60)), after(throttled=1)


def test_a_change_is_a_new_version_with_its_diff_reasons_and_the_window_it_follows_from() -> None:
    state, told = lived(*HEALTHY)

    assert path(told)[-1] == ("APPLIED", 1, 2)
    assert told[-1].adaptation == "s.3"
    assert told[-1].changes == (
        Change("cycle_max", D(5_000), D(5_250)),
        Change("universe_size", D(5), D(6)),
    )
    assert told[-1].reasons == (Because.HEALTHY,)
    assert told[-1].window == HEALTHY
    assert state.version.values == told[-1].values
    assert state.window == ()  # The new version answers for no period of the old one.


def test_a_bad_version_gives_way_to_the_last_good_one_and_the_next_has_a_number_of_its_own() -> (
    None
):
    state, told = lived(*HEALTHY, *HEALTHY, LOSS, *HEALTHY)

    assert path(told)[2:] == [
        ("APPLIED", 1, 2), ("KEPT", 2, 2), ("KEPT", 2, 2), ("APPLIED", 2, 3),
        ("ROLLED_BACK", 3, 2), ("KEPT", 2, 2), ("KEPT", 2, 2), ("REJECTED", 2, 2),
    ]  # fmt: skip
    assert told[-4].reasons == (Because.NET_LOSS,)
    assert told[-4].changes[0] == Change("cycle_max", D("5512.50"), D(5_250))
    # What would be the same again as the bad one is not tried twice.
    assert told[-1].reasons == (Because.HEALTHY, Because.KNOWN_BAD)
    assert [row.standing for row in state.versions] == ["good", "good", "bad"]


def test_a_version_that_holds_again_answers_for_nothing_that_happened_since() -> None:
    state, told = lived(*HEALTHY, CALM, THROTTLED)

    assert path(told)[-1] == ("ROLLED_BACK", 2, 1)
    assert state.window == ()


def test_a_version_that_never_had_a_healthy_period_is_not_returned_to() -> None:
    """Version 2 is new when version 3 follows it: what is wrong with 3 leads back to 1."""
    unsure = after(unpriced=1)
    state, told = lived(unsure, unsure, LOSS)

    assert path(told) == [("APPLIED", 1, 2), ("APPLIED", 2, 3), ("ROLLED_BACK", 3, 1)]
    assert state.version.values == FIRST


def test_the_first_version_is_never_given_up_but_may_be_changed() -> None:
    state, told = lived(LOSS, THROTTLED)

    assert path(told) == [("KEPT", 1, 1), ("APPLIED", 1, 2)]
    assert told[0].reasons == (Because.NET_LOSS,)
    assert state.versions[0].standing is Standing.GOOD


def test_unless_trading_is_live_nothing_changes_but_for_going_back() -> None:
    grown, _ = lived(*HEALTHY)
    ready, _ = lived(CALM, CALM)

    rejected = judged(ready, CALM, is_live=False)

    assert (rejected.outcome, rejected.values) == (Outcome.REJECTED, FIRST)
    assert rejected.reasons == (Because.HEALTHY, Because.TRADING_STATE)
    assert judged(grown, LOSS, is_live=False).outcome is Outcome.ROLLED_BACK


def test_what_is_remembered_is_bytes_and_comes_back_as_it_was() -> None:
    """A segment of a journal begins with it."""
    state, _ = lived(*HEALTHY, CALM)

    assert msgpack.decode(msgpack.encode(state), type=Lineage) == state


def test_a_record_that_comes_twice_counts_once() -> None:
    state, told = lived(*HEALTHY, CALM)
    for row in told:
        assert fold(state, FIRST, row) == state


def test_other_parameters_of_the_configuration_begin_anew_with_a_higher_number() -> None:
    _, told = lived(*HEALTHY, CALM)
    second = replace(FIRST, orders_max=2)

    state = begun("other", second)
    for row in told:
        state = fold(state, second, row)

    assert (state.active, state.version.values) == (3, second)
    assert state.judged == 4
    grown, again = lived(*HEALTHY, lineage=state)
    assert again[-1].adaptation == "s.7"
    assert grown.active == 4


def test_bounds_come_down_to_the_caps_and_never_up() -> None:
    caps = replace(FIRST, cycle_max=D(6_000), orders_max=100)

    found = lowered(BOUNDS, caps)

    assert found.cycle_max == (D(500), D(6_000))
    assert found.orders_max == BOUNDS.orders_max


periods = st.builds(
    Period,
    start_ns=st.just(0), end_ns=st.integers(0, 10**18), sent=st.integers(0, 9),
    fills=st.integers(0, 3), rejected=st.integers(0, 4), refused=st.integers(0, 2),
    throttled=st.sampled_from([0, 0, 0, 1]), unpriced=st.sampled_from([0, 0, 0, 2]),
    result=st.one_of(st.none(), st.decimals(-99, 99, places=2)),
    net_pnl=st.one_of(st.none(), st.sampled_from([D(-60), D(-20), D(0), D(5), D(5)])),
    drawdown=st.sampled_from([D(0), D(0), D(0), D("0.09"), D(1)]),
)  # fmt: skip
calm = st.just(CALM)


@st.composite
def somewhere(draw: st.DrawFn) -> tuple[Values, Bounds]:
    """Return bounds anywhere, and values anywhere within."""
    whole = {"orders_max", "universe_size"}
    ranges: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for name in NAMES:
        number: Any = st.integers(0, 90) if name in whole else st.decimals(0, 900, places=1)
        low, value, high = sorted(draw(st.tuples(number, number, number)))
        ranges[name], values[name] = (low, high), value
    return Values(**values), Bounds(**ranges)


@settings(max_examples=120)
@given(somewhere(), st.lists(st.one_of(periods, calm, calm), max_size=25), st.booleans())
def test_no_sequence_of_windows_leaves_the_bounds_or_returns_to_what_was_bad(
    begins: tuple[Values, Bounds], told: list[Period], is_live: bool
) -> None:
    first, bounds = begins
    state, bad, numbers = begun("b", first), set[int](), [1]
    for period in told:
        found = judge(state, period, bounds, RULES, seat="s", is_live=is_live)
        before, state = state, fold(state, first, found)
        assert list(outside(state.version.values, bounds)) == []
        assert state.version.values == found.values
        assert len(found.changes) <= CHANGES_MAX or found.outcome is Outcome.ROLLED_BACK
        assert len(found.window) <= WINDOW
        if found.outcome is Outcome.ROLLED_BACK:
            bad.add(found.from_version)
        if found.outcome is Outcome.APPLIED:
            assert found.to_version > max(numbers)
            numbers.append(found.to_version)
        assert state.active not in bad
        assert state.versions[0] == before.versions[0]
        assert is_live or numbers == [1]


def test_no_more_versions_are_remembered_than_there_is_room_for() -> None:
    state = begun("b", FIRST)
    for number in range(2 * VERSIONS_MAX):
        kept = judged(state, CALM)
        bumped = replace(FIRST, cycle_max=Decimal(number + 1_000))
        state = fold(state, FIRST, replace(
            kept, outcome=Outcome.APPLIED, to_version=state.highest + 1, values=bumped,
        ))  # fmt: skip

    assert len(state.versions) == VERSIONS_MAX
    assert state.versions[0].values == FIRST
    assert state.version.number == 2 * VERSIONS_MAX + 1
