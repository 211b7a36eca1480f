"""Arming: each gate by its code, what shuts it, and when a check of live trading counts."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from btcbot.arming import (
    DAY_NS,
    GateWatch,
    LiveCheck,
    checks,
    digest,
    gates,
    headline,
    refusals,
    settled,
    why_unchecked,
    withdrawn,
)
from btcbot.config import Config
from btcbot.orders.bounds import OrderBounds
from btcbot.sections import Exchange, Live, Seat, Strategy

NOW_NS = 1_795_000_000_000_000_000
CODES = ["mode", "armed", "acknowledge", "key", "absence_wait", "kill_switch", "live_check"]


def config(home: Path, **changes: object) -> Config:
    base = Config(
        mode="live",
        home=home,
        live=Live(armed=True, acknowledge="I_UNDERSTAND"),
        exchange=Exchange(api_key_file=home / "key", api_secret_file=home / "secret"),
        orders=OrderBounds(absence_wait_s=900),
    )
    return msgspec.structs.replace(base, **changes)


def keep(settings: Config, **changes: object) -> None:
    green = LiveCheck(at_ns=NOW_NS, config=digest(settings), red=())
    checks(settings).mkdir(exist_ok=True)
    found = msgspec.json.encode(msgspec.structs.replace(green, **changes))
    (checks(settings) / "live.json").write_bytes(found)


def kill(settings: Config) -> None:
    settings.run.mkdir(exist_ok=True)
    (settings.run / "KILL").touch()


def shut(settings: Config, now_ns: int = NOW_NS + 1) -> list[str]:
    return [gate.code for gate in gates(settings, now_ns) if not gate.is_open]


def test_live_is_armed_when_every_gate_is_open(tmp_path: Path) -> None:
    keep(config(tmp_path))

    assert [gate.code for gate in gates(config(tmp_path), NOW_NS + 1)] == CODES
    assert shut(config(tmp_path)) == []
    assert refusals(gates(config(tmp_path), NOW_NS + 1)) == []


GATES: dict[str, tuple[dict[str, object], str]] = {
    "armed": ({"live": Live(acknowledge="I_UNDERSTAND")}, "live.armed = false; must be true"),
    "acknowledge": (
        {"live": Live(armed=True, acknowledge="I UNDERSTAND")},
        "live.acknowledge = 'I UNDERSTAND'; must be 'I_UNDERSTAND'",
    ),
    "key": ({"exchange": Exchange(api_key_file=Path("/k"))}, "not both set; name the two files"),
    "absence_wait": ({"orders": OrderBounds(absence_wait_s=899)}, "= 899; must be at least 900"),
}


@pytest.mark.parametrize("code", GATES)
def test_each_shut_gate_of_the_configuration_is_reported_by_its_code(
    tmp_path: Path, code: str
) -> None:
    changes, words = GATES[code]
    settings = config(tmp_path, **changes)
    keep(settings)

    assert shut(settings) == [code]
    [reason] = refusals(gates(settings, NOW_NS + 1))
    assert reason.startswith(f"{code}: ")
    assert words in reason
    assert withdrawn(settings) == (code,)
    assert refusals(list(settled(settings))) == [reason]


def test_a_strategy_that_changes_itself_wants_its_own_allowance_in_live_and_nowhere_else(
    tmp_path: Path,
) -> None:
    for params, code in (({}, ["adaptation"]), ({"allow_live": True}, [])):
        for uses in ({"strategy": Strategy(name="adaptive", params=params)},
                     {"strategies": {"mine": Seat(uses="adaptive", params=params)}}):  # fmt: skip
            settings = config(tmp_path, **uses)
            keep(settings)
            assert shut(settings) == code
            assert withdrawn(settings) == tuple(code)
            for mode in ("sandbox", "dry_run", "paper"):
                assert shut(msgspec.structs.replace(settings, mode=mode)) == []
    refused = config(tmp_path, strategies={"mine": Seat(uses="adaptive")})
    keep(refused)
    [reason] = refusals(gates(refused, NOW_NS + 1))
    assert reason.startswith(
        "adaptation: strategies.mine.params.allow_live = false; must be true for adaptive to change"
    )


def test_the_kill_switch_is_a_gate(tmp_path: Path) -> None:
    keep(config(tmp_path))
    kill(config(tmp_path))

    assert shut(config(tmp_path)) == ["kill_switch"]
    assert withdrawn(config(tmp_path)) == ("kill_switch",)
    assert refusals(list(settled(config(tmp_path)))) == []  # An actor restarts all the same.


@pytest.mark.parametrize(
    ("mode", "whither"),
    [
        ("paper", "a simulated account, at the prices of https://api.btcturk.com"),
        ("dry_run", "nobody: each is recorded, at the prices of https://api.btcturk.com"),
    ],
)
def test_what_can_reach_no_exchange_needs_no_arming_and_says_where_orders_go(
    tmp_path: Path, mode: str, whither: str
) -> None:
    settings = config(tmp_path, mode=mode, live=Live())

    assert refusals(gates(settings)) == []
    assert headline(settings, gates(settings)).startswith(f"ARMED: orders go to {whither} [")


def test_the_headline_names_all_gates_and_which_are_shut(tmp_path: Path) -> None:
    settings = config(tmp_path, live=Live())

    line = headline(settings, gates(settings, NOW_NS))

    assert line.startswith("BLOCKED by armed, acknowledge, live_check [mode ok: mode = 'live'; ")
    for code in CODES:
        assert f"{code} ok: " in line or f"{code} NO: " in line
    assert "\n" not in line


def test_the_headline_of_sandbox_and_of_live_says_where_orders_go(tmp_path: Path) -> None:
    keep(config(tmp_path))

    sandbox, live = Config(home=tmp_path), config(tmp_path)

    assert headline(sandbox, gates(sandbox)).startswith("ARMED: orders go to http://127.0.0.1:8790")
    assert headline(live, gates(live)).startswith("ARMED: orders go to https://api.btcturk.com [")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"red": ("disk", "pairs")}, "not green: disk, pairs"),
        ({"config": "0" * 16}, "another configuration"),
        ({"at_ns": NOW_NS - DAY_NS - 1}, "more than a day ago"),
        ({"at_ns": NOW_NS + 10}, "more than a day ago"),
    ],
)
def test_any_check_but_a_green_one_of_today_is_refused_with_its_reason(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    keep(config(tmp_path), **changes)

    assert words in why_unchecked(config(tmp_path), NOW_NS + 1)
    assert shut(config(tmp_path)) == ["live_check"]
    assert words in " ".join(refusals(gates(config(tmp_path), NOW_NS + 1)))


def test_no_check_and_one_that_cannot_be_read_are_the_same(tmp_path: Path) -> None:
    assert "was not run" in why_unchecked(config(tmp_path), NOW_NS)
    checks(config(tmp_path)).mkdir()
    (checks(config(tmp_path)) / "live.json").write_bytes(b'{"at_ns":1}')
    assert "was not run" in why_unchecked(config(tmp_path), NOW_NS)
    assert withdrawn(config(tmp_path)) == ("live_check",)


def test_each_setting_changes_what_was_checked(tmp_path: Path) -> None:
    keep(config(tmp_path))
    other = config(tmp_path, pairs=("BTCTRY",))

    assert "another configuration" in why_unchecked(other, NOW_NS)


def nothing(_settings: Config) -> None:
    """Leave the home as it was at the start."""


def grow_old(settings: Config) -> None:
    keep(settings, at_ns=NOW_NS - 30 * DAY_NS)


def check_another(settings: Config) -> None:
    keep(settings, config="0" * 16, red=("disk",))


def turn_red(settings: Config) -> None:
    keep(settings, red=("key files",))


def remove(settings: Config) -> None:
    (checks(settings) / "live.json").unlink()


@pytest.mark.parametrize(
    ("happens", "seen"),
    [
        (nothing, ()),
        (grow_old, ()),
        (check_another, ()),
        (turn_red, ("live_check",)),
        (remove, ("live_check",)),
        (kill, ("kill_switch",)),
    ],
)
def test_a_fleet_that_lives_notices_what_was_withdrawn_and_says_it_once(
    tmp_path: Path, happens: Callable[[Config], None], seen: tuple[str, ...]
) -> None:
    settings = config(tmp_path)
    keep(settings)
    look = GateWatch(settings)
    first = look()
    assert first is not None
    assert first.shut == ()

    happens(settings)
    told = look()

    assert (told.shut if told else ()) == seen
    assert look() is None
