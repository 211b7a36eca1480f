"""What goes wrong is drawn from a seed: the same again, as often as asked, within its bounds."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcbot.fault_profile import problems, profile_of
from btcbot.layers import ConfigError
from btcbot.simulation.faults import BEYOND_S, HIDDEN_MAX_S, PRESETS, Faults, Profile, Spell

KINDS = ("submit", "cancel", "read")
RATES = [
    name
    for name in Profile.__struct_fields__
    if name.startswith(("submit_", "cancel_", "read_")) and not name.endswith("_s")
]


def rated(name: str, rate: float) -> Profile:
    return msgspec.convert({name: rate}, Profile)


def kind_of(rate: str) -> Any:
    return rate.partition("_")[0]


@given(st.integers(), st.sampled_from(sorted(PRESETS)))
def test_one_seed_has_one_story(seed: int, preset: str) -> None:
    def story() -> list[object]:
        faults = Faults(PRESETS[preset], seed)
        fates = [faults.of(kind, now_s) for now_s in range(20) for kind in KINDS]  # type: ignore[arg-type]
        return [*fates, *(faults.of_frame("private", now_s) for now_s in range(20))]

    assert story() == story()


@pytest.mark.parametrize("rate", RATES)
def test_a_fault_happens_as_often_as_asked_and_never_unasked(rate: str) -> None:
    always = Faults(rated(rate, 1.0), 1)
    assert {always.of(kind_of(rate), 0).name for _ in range(50)} == {rate}

    some = Faults(rated(rate, 0.2), 1)
    met = Counter(some.of(kind_of(rate), 0).name for _ in range(2_000))
    assert set(met) == {rate, "well"}
    assert 300 < met[rate] < 500

    never = Faults(Profile(), 1)
    for kind in KINDS:
        fate = never.of(kind, 0)  # type: ignore[arg-type]
        assert (fate.name, fate.arrives_s, fate.accepted_s, fate.answered_s) == ("well", 0, 0, 0)


@pytest.mark.parametrize("preset", PRESETS)
def test_no_preset_hides_an_order_longer_than_a_third_of_the_absence_bound(preset: str) -> None:
    profile, faults = PRESETS[preset], Faults(PRESETS[preset], 3)
    fates = [faults.of("submit", 0) for _ in range(5_000)]

    assert max(fate.accepted_s for fate in fates) <= HIDDEN_MAX_S
    assert max(profile.fills_lag_s, profile.lists_lag_s, profile.cancel_slow_s) <= HIDDEN_MAX_S
    assert profile.submit_beyond == 0


def test_only_the_key_that_says_so_breaks_the_bound() -> None:
    fate = Faults(Profile(submit_beyond=1.0), 1).of("submit", 0)

    assert BEYOND_S[0] <= fate.accepted_s <= BEYOND_S[1]
    for name in ("accept_max_s", "cancel_slow_s", "fills_lag_s", "lists_lag_s"):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({name: HIDDEN_MAX_S + 1}, Profile)


@given(st.integers(), st.floats(1, 200), st.floats(0.01, 1), st.integers(0, 1_000))
def test_a_spell_comes_once_in_its_time_and_lasts_so_long(
    seed: int, every_s: float, share: float, number: int
) -> None:
    faults = Faults(Profile(silence=Spell(every_s=every_s, lasts_s=every_s * share)), seed)
    looks = [faults.is_on("silence", (number + part / 400) * every_s) for part in range(400)]

    assert abs(sum(looks) / 400 - share) < 0.02
    edges = sum(one != other for one, other in pairwise(looks))
    assert edges <= 2


def test_frames_are_lost_repeated_late_or_silent() -> None:
    def copies(kind: Any = "private", **rates: Any) -> Any:
        return Faults(Profile(**rates), 1).of_frame(kind, 0)

    assert copies() == (0.0,)
    assert copies(frames_lost=1.0) == ()
    assert copies(frames_repeated=1.0) == (0.0, 0.0)
    [late_s] = copies(frames_late=1.0)
    assert 0.2 <= late_s <= 5
    assert copies("book", books_lost=1.0) == ()
    assert copies("book", frames_lost=1.0, frames_late=1.0) == (0.0,)
    assert copies("other", frames_lost=1.0, books_lost=1.0) == (0.0,)
    always = Spell(every_s=1.0, lasts_s=1.0)
    assert [copies(kind, silence=always) for kind in ("private", "book", "other")] == [()] * 3


def test_a_short_list_lacks_rows_and_invents_none() -> None:
    rows = [{"id": number} for number in range(100)]
    faults = Faults(Profile(), 1)

    found = json.loads(faults.shortened(json.dumps({"data": {"bids": rows, "asks": []}}).encode()))

    left = found["data"]["bids"]
    assert 20 < len(left) < 80
    assert [row for row in rows if row in left] == left
    assert faults.shortened(b"no json") == b"no json"
    assert json.loads(faults.shortened(b"[1]")) == [1]


# --- files ------------------------------------------------------------------------------------


def test_a_file_has_the_same_keys_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("submit_lost = 0.5\n[cuts]\nevery_s = 10\nlasts_s = 1\n")
    found = profile_of(str(path))
    assert found == Profile(submit_lost=0.5, cuts=Spell(every_s=10, lasts_s=1))

    for text, words in (
        ("sbmit_lost = 0.1", "did you mean 'submit_lost'"),
        ("submit_lost = 1.5", "submit_lost = 1.5"),
        ("submit_lost = nan", "submit_lost = NaN"),
        ("[cuts]\nevery_s = 5", "lasts_s = 0.0: expected both 0"),
        ("[cuts]\nevery_s = 5\nlasts_s = 9", "no longer than every_s"),
        ("submit_lost", "not TOML"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=words):
            profile_of(str(path))


def test_a_name_is_a_preset_or_refused_with_what_there_is(tmp_path: Path) -> None:
    for name, profile in PRESETS.items():
        assert profile_of(name) is profile
        assert list(problems("sandbox.faults", name)) == []
    [said] = problems("sandbox.faults", "hostil")
    assert said.startswith("sandbox.faults = 'hostil': allowed are calm, flaky")
    assert said.endswith("did you mean 'hostile'?")
    assert "path from / or ~" in next(problems("sandbox.faults", "x/y.toml"))
    assert "No such file" in next(problems("sandbox.faults", str(tmp_path / "none.toml")))
