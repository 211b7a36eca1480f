"""When a check of live trading counts: green, of this configuration, of today."""

from pathlib import Path

import msgspec
import pytest

from btcbot.arming import DAY_NS, LiveCheck, checks, digest, refusals, why_unchecked
from btcbot.config import Config
from btcbot.sections import Live

NOW_NS = 1_795_000_000_000_000_000


def config(home: Path, **changes: object) -> Config:
    base = Config(mode="live", home=home, live=Live(armed=True, acknowledge="I_UNDERSTAND"))
    return msgspec.structs.replace(base, **changes)


def keep(settings: Config, **changes: object) -> None:
    green = LiveCheck(at_ns=NOW_NS, config=digest(settings), red=())
    checks(settings).mkdir(exist_ok=True)
    found = msgspec.json.encode(msgspec.structs.replace(green, **changes))
    (checks(settings) / "live.json").write_bytes(found)


def test_a_green_check_of_today_counts_and_live_is_refused_all_the_same(tmp_path: Path) -> None:
    keep(config(tmp_path))

    assert why_unchecked(config(tmp_path), NOW_NS + 1) == ""
    [reason] = refusals(config(tmp_path), NOW_NS + 1)
    assert "trades in sandbox only" in reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"red": ("disk", "pairs")}, "not green: disk, pairs"),
        ({"config": "0" * 16}, "another configuration"),
        ({"at_ns": NOW_NS - DAY_NS - 1}, "more than a day ago"),
        ({"at_ns": NOW_NS + 10}, "more than a day ago"),
    ],
)
def test_any_other_check_is_refused_with_its_reason(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    keep(config(tmp_path), **changes)

    assert words in why_unchecked(config(tmp_path), NOW_NS + 1)
    assert words in " ".join(refusals(config(tmp_path), NOW_NS + 1))


def test_no_check_and_one_that_cannot_be_read_are_the_same(tmp_path: Path) -> None:
    assert "was not run" in why_unchecked(config(tmp_path), NOW_NS)
    checks(config(tmp_path)).mkdir()
    (checks(config(tmp_path)) / "live.json").write_bytes(b'{"at_ns":1}')
    assert "was not run" in why_unchecked(config(tmp_path), NOW_NS)


def test_each_setting_changes_what_was_checked(tmp_path: Path) -> None:
    keep(config(tmp_path))
    other = config(tmp_path, pairs=("BTCTRY",))

    assert "another configuration" in why_unchecked(other, NOW_NS)
