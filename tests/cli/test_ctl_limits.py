"""`btcbot-ctl limits` and `degrade` as a person runs them, against a real control socket."""

import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from btcbot.cli import exits
from btcbot.config import freeze
from btcbot.domain.facts import LimitTightened, RiskModeSet
from btcbot.domain.ids import CommandId
from btcbot.domain.messages import SetRiskMode, TightenLimit
from btcbot.domain.words import RiskMode
from tests.cli.control_room import ControlRoom
from tests.cli.test_ctl import Ctl, ctl, home, room, told

__all__ = ["ctl", "home", "room"]
BY: dict[str, Any] = {"by": "uid 1", "reason": "storm", "command_id": CommandId("c")}


def test_tighten_makes_a_limit_stricter(ctl: Ctl, room: ControlRoom) -> None:
    told(ctl("limits", "tighten", "open_orders_max", "3", "--reason", "storm", "--json"))

    [asked] = room.heard
    assert isinstance(asked, TightenLimit)
    assert (asked.name, asked.value, asked.reason) == ("open_orders_max", Decimal(3), "storm")


@pytest.mark.parametrize(
    ("name", "value", "code", "says"),
    [
        ("open_orders_max", "11", exits.REFUSED, "as strict"),
        ("open_orders_max", "2.5", exits.REFUSED, "whole number"),
        ("open_order_max", "2", exits.NOT_FOUND, "open_orders_max"),
        ("profit_reinvested_bps", "0", exits.NOT_FOUND, "profit_reinvested_bps"),
    ],
)
def test_what_may_not_be_tightened_is_refused_before_execution_hears_of_it(
    ctl: Ctl, room: ControlRoom, name: str, value: str, code: int, says: str
) -> None:
    done = ctl("limits", "tighten", name, value)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert room.heard == []


def test_show_tells_what_is_used_allowed_and_who_tightened_it(ctl: Ctl, room: ControlRoom) -> None:
    (room.config.run / "config.json").write_bytes(freeze(room.config, "t"))
    room.say_all()
    fact = LimitTightened(name="open_orders_max", value=Decimal(3), at_ns=room.now_ns, **BY)
    room.bus.say_fact(fact)
    room.bus.run()

    answer = told(ctl("limits", "show", "--json"))

    [row] = [row for row in answer["limits"] if row["name"] == "open_orders_max"]
    assert (row["limit"], row["configured"], row["tightened_by"]) == ("3", "10", "uid 1")
    assert answer["lift_ns"] == fact.at_ns + 1
    assert "tightened_since_ns" in ctl("limits", "show").stdout


def test_override_holds_a_mode_for_a_time_and_clear_needs_a_reason(
    ctl: Ctl, room: ControlRoom
) -> None:
    before_ns = time.time_ns()
    told(ctl("degrade", "override", "reduce", "--for", "2h", "--json"))
    told(ctl("degrade", "clear", "--reason", "calm", "--yes", "--json"))

    held, cleared = room.heard
    assert isinstance(held, SetRiskMode)
    assert isinstance(cleared, SetRiskMode)
    assert held.mode is RiskMode.REDUCE
    assert held.until_ns is not None
    assert 0 <= held.until_ns - before_ns - 7_200 * 10**9 < 60 * 10**9
    assert (cleared.mode, cleared.until_ns) == (RiskMode.NORMAL, None)

    assert ctl("degrade", "clear", "--yes").returncode == exits.USAGE
    assert ctl("degrade", "clear", "--reason", "calm").returncode == exits.REFUSED
    assert ctl("degrade", "override", "observe").returncode == exits.USAGE


def test_status_shows_the_mode_and_what_a_person_set(ctl: Ctl, room: ControlRoom) -> None:
    room.say_all()
    room.bus.say_fact(RiskModeSet(mode=RiskMode.OBSERVE, until_ns=None, at_ns=room.now_ns, **BY))
    room.bus.run()

    answer = told(ctl("degrade", "status", "--json"))

    assert answer["override"]["mode"] == "OBSERVE"
    assert answer["override"]["reason"] == "storm"
    assert "override   OBSERVE until cleared, by uid 1: storm" in ctl("degrade", "status").stdout


@pytest.mark.parametrize("command", [["limits", "show"], ["degrade", "status"]])
def test_without_a_fleet_they_say_so(ctl: Ctl, home: Path, command: list[str]) -> None:
    assert home.exists()
    assert ctl(*command).returncode == exits.NOT_RUNNING
