"""`btcbot-ctl status` on the exchange: its limits and their use, the private socket, the clock."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from btcbot.domain.messages import RateUse, VenueState
from btcbot.domain.words import SocketStatus
from tests.cli.control_room import ControlRoom, open_room

CTL = Path(sys.executable).with_name("btcbot-ctl")


@pytest.fixture
def room() -> Iterator[ControlRoom]:
    with tempfile.TemporaryDirectory() as folder, open_room(Path(folder)) as made:
        yield made


def shown(room: ControlRoom, *options: str) -> str:
    done = subprocess.run(
        [CTL, "status", "--home", str(room.config.home), *options],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def say(room: ControlRoom, status: SocketStatus, reason: str, trouble: str = "") -> None:
    state = VenueState(
        rate=(
            RateUse(group="submit", window_s=60, used=12, allowed=150, documented=300),
            RateUse(group="cancel", window_s=60, used=0, allowed=120, documented=300, closed_s=41),
            RateUse(group="trades", window_s=60, used=0, allowed=72, documented=120),
        ),
        private_socket=status,
        socket_reason=reason,
        clock_offset_ms=-12,
        clock_error_ms=8,
        trouble=trouble,
        drift=0,
        at_ns=room.now_ns,
    )
    room.say("execution", "venue", state)


def test_what_is_used_or_closed_is_shown_and_the_rest_is_not(room: ControlRoom) -> None:
    say(room, SocketStatus.UP, "")
    text = shown(room)

    assert "private socket UP, clock -12 ms, within 8 ms" in text
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
    assert rows["submit"] == ["60", "12", "150"]
    assert rows["cancel"] == ["60", "0", "120", "41"]
    assert "trades" not in rows


def test_a_suspect_socket_and_what_is_wrong_are_shown_with_their_reasons(room: ControlRoom) -> None:
    say(room, SocketStatus.SUSPECT, "silent while 2 of our orders changed", "cannot find x")
    text = shown(room)

    assert "private socket SUSPECT (silent while 2 of our orders changed)" in text
    assert "exchange  cannot find x" in text


def test_programs_get_every_limit(room: ControlRoom) -> None:
    say(room, SocketStatus.UP, "")
    found = json.loads(shown(room, "--json"))

    assert [row["group"] for row in found["rate"]] == ["submit", "cancel", "trades"]
    assert found["exchange"]["private_socket"] == "UP"


def test_before_execution_was_heard_nothing_is_claimed(room: ControlRoom) -> None:
    assert "private socket" not in shown(room)
    found = json.loads(shown(room, "--json"))
    assert (found["rate"], found["exchange"]["private_socket"]) == ([], None)
