"""The static universe, the scores, and pairs that rest after refusals."""

from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from btcbot.domain.ids import Asset, Pair
from btcbot.portfolio.reasons import Exclusion
from btcbot.portfolio.rejects import Rejected, RejectRules, counts, note, resting
from btcbot.portfolio.scores import Score, ScoreRules, judge
from btcbot.portfolio.universe import (
    Candidate,
    Excluded,
    PairRules,
    UniverseRules,
    barred,
    screen,
)
from tests.portfolio.markets import MINUTE, START, D, candidate, features, instrument, stale

RULES = UniverseRules(pairs=PairRules(deny=(Pair("XTRY"),)))
A, B, C = Pair("ATRY"), Pair("BTRY"), Pair("CTRY")


def test_filters_and_ranking_are_deterministic() -> None:
    """Tightest first, an unknown spread last, then most traded, then by name; in any order told."""
    rows = [
        candidate("B", spread_bps=D(10), turnover=D(5)),
        candidate("C", spread_bps=D(10), turnover=D(9)),
        candidate("D", spread_bps=D(10), turnover=D(5)),
        candidate("A", spread_bps=D(20)),
        candidate("E", spread_bps=None),
        Candidate(instrument=instrument("F")),
        candidate("G", spread_bps=D(0)),
        candidate("H", spread_bps=D(10), turnover=None),
    ]
    expected = ("GTRY", "CTRY", "BTRY", "DTRY", "HTRY", "ATRY", "ETRY", "FTRY")
    for seed in range(5):
        shuffled = rows.copy()
        Random(seed).shuffle(shuffled)
        assert screen(RULES, shuffled, {}, START).selected == expected


def test_a_cooldown_that_cannot_be_read_empties_the_list() -> None:
    found = screen(RULES, [candidate("A"), candidate("B")], None, START)
    assert found.selected == ()
    assert [row.reason for row in found.excluded] == [Exclusion.COOLDOWN_UNKNOWN] * 2


@pytest.mark.parametrize(
    ("rules", "changes", "reason"),
    [
        ({"allow": (B,)}, {}, Exclusion.NOT_ALLOWED),
        ({"deny": (A,)}, {}, Exclusion.DENIED),
        ({"quote": Asset("USDT")}, {}, Exclusion.OTHER_QUOTE),
        ({"stables": (Asset("A"),)}, {}, Exclusion.STABLE),
        ({}, {"is_trading": False}, Exclusion.NOT_TRADING),
        ({"notional_min_max": D(99)}, {}, Exclusion.MINIMUM_TOO_HIGH),
        ({"allow": (A,), "notional_min_max": D(100)}, {}, None),
    ],
)
def test_each_filter_names_itself(
    rules: dict[str, Any], changes: dict[str, Any], reason: Exclusion | None
) -> None:
    found = barred(PairRules(**rules), instrument("A", **changes), {}, START)
    assert (found.reason if found else None) is reason


def test_a_pair_rests_until_its_time_and_no_longer() -> None:
    until = START + 1
    found = screen(RULES, [candidate("A")], {A: until}, START)
    assert found.excluded == (Excluded(A, Exclusion.COOLDOWN, "1 s left"),)
    assert screen(RULES, [candidate("A")], {A: until}, until).selected == (A,)


def test_a_spread_at_the_limit_passes_and_a_wider_one_does_not() -> None:
    rows = [candidate("A", spread_bps=D(200)), candidate("B", spread_bps=D("200.1"))]
    found = screen(RULES, rows, {}, START)
    assert found.selected == (A,)
    expected = Excluded(B, Exclusion.SPREAD_TOO_WIDE, "200.1 bps; at most 200")
    assert found.excluded == (expected,)


def test_the_list_is_cut_at_its_size_and_zero_means_none() -> None:
    rows = [candidate("A"), candidate("B")]
    found = screen(replace(RULES, size=1), rows, {}, START)
    assert found.selected == (A,)
    assert found.excluded == (Excluded(B, Exclusion.RANK),)
    assert screen(replace(RULES, size=0), rows, {}, START).selected == ()


@given(st.lists(st.sampled_from("ABCDEFX"), max_size=12), st.integers(0, 4))
def test_every_pair_is_in_or_out_with_one_reason(bases: list[str], size: int) -> None:
    found = screen(replace(RULES, size=size), [candidate(b) for b in bases], {A: START + 1}, START)
    named = [*found.selected, *(row.pair for row in found.excluded)]
    assert sorted(named) == sorted({f"{base}TRY" for base in bases})
    assert len(found.selected) <= size
    assert A not in found.selected


@pytest.mark.parametrize("value", ["-1", "NaN", "Infinity", "1e16"])
def test_an_amount_out_of_bounds_is_refused_with_what_is_allowed(value: str) -> None:
    with pytest.raises(ValueError, match=r"depth_min = .*: allowed is 0 to 1e15"):
        ScoreRules(depth_min=Decimal(value))


# --- scores ---------------------------------------------------------------------------------------


def test_the_score_weighs_momentum_spread_depth_and_rejects() -> None:
    rules = ScoreRules(
        depth_min=D(1), momentum_weight=D(2), spread_weight=D("0.01"), depth_weight=D("0.1"),
        reject_weight=D("0.05"),
    )  # fmt: skip
    row = features("A", momentum=D("0.5"), spread_bps=D(10), depth=D("146.6"))
    found = judge(rules, A, row, rejects=2)
    assert isinstance(found, Score)
    assert found.value == pytest.approx(D("0.8") + D(148).ln() / 10, abs=D("1e-8"))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (None, Exclusion.NO_QUOTE),
        (stale("A", START), Exclusion.STALE_QUOTE),
        (features("A", spread_bps=D(61)), Exclusion.SPREAD_TOO_WIDE),
        (features("A", depth=D(24_999)), Exclusion.DEPTH_TOO_THIN),
        (features("A", depth=None), Exclusion.DEPTH_TOO_THIN),
        (features("A", momentum=None), Exclusion.NO_HISTORY),
        (features("A", spread_bps=D(60), depth=D(25_000)), None),
    ],
)
def test_a_market_that_is_unfit_or_unknown_has_no_score(row: Any, reason: Exclusion | None) -> None:
    found = judge(ScoreRules(), A, row, 0)
    assert (found.reason if isinstance(found, Excluded) else None) is reason


# --- rejects --------------------------------------------------------------------------------------


def test_three_minimum_rejects_in_an_hour_block_the_pair_for_four_hours() -> None:
    state: dict[Pair, Rejected] = {}
    for minute in (0, 30, 59):
        assert resting(state, START + minute * MINUTE) == {}
        state = note(state, RejectRules(), A, START + minute * MINUTE)
    until = START + 59 * MINUTE + 240 * MINUTE
    assert resting(state, until - 1) == {A: until}
    assert resting(state, until) == {}
    assert counts(state, RejectRules(), START + 59 * MINUTE) == {A: 3}


def test_rejects_an_hour_apart_do_not_add_up() -> None:
    state: dict[Pair, Rejected] = {}
    for minute in (0, 30, 60):
        state = note(state, RejectRules(), A, START + minute * MINUTE)
    assert resting(state, START + 60 * MINUTE) == {}
    assert counts(state, RejectRules(), START + 90 * MINUTE) == {A: 1}


def test_no_more_rejects_are_remembered_than_count() -> None:
    state: dict[Pair, Rejected] = {}
    for second in range(100):
        state = note(state, RejectRules(), A, START + second)
    assert len(state[A].at_ns) == 3
