"""Every state is bytes: a segment of the journal begins with it, and a replay begins there."""

from typing import Any

import msgspec
import pytest
from msgspec import Struct

from actors import control, dashboard
from btcbot.backtest import ACTORS, Stage
from btcbot.config import Config
from btcbot.domain.control import Asked, Pause
from btcbot.domain.messages import Scope
from btcbot.domain.words import Side
from bus.actor import PeerLost
from bus.kept import restored
from tests import builders as make
from tests.builders import BTCTRY
from tests.stages import MY_PID, fresh, market, stage


@pytest.fixture(scope="module")
def played() -> Stage:
    """Return a stage with all seven actors, after trades, a pause and a command in the air."""
    played = stage()
    done: list[Struct] = []
    played.bus.start(control.actor(Config(pairs=(BTCTRY,)), done.append, MY_PID))
    played.bus.start(dashboard.actor("backtest", (BTCTRY,)))
    played.play(market(20))
    for scope in (Scope(), Scope(pair=BTCTRY, side=Side.BUY)):
        paused = make.pause(scope)
        for name in ("risk_gate", "strategy", "control", "dashboard"):
            played.bus.deliver(name, paused)
    played.bus.deliver("control", PeerLost(source="strategy"))
    played.bus.pause("execution")
    played.bus.deliver("control", Asked(connection=1, uid=1000, command=Pause(pair=BTCTRY)))
    played.bus.run()
    return played


@pytest.mark.parametrize("name", [*ACTORS, "control", "dashboard"])
def test_a_state_is_bytes_and_comes_back_as_it_was(played: Stage, name: str) -> None:
    state: Any = played.bus.state(name)

    frame = msgspec.msgpack.encode(state)

    found = restored(fresh(name), frame)
    assert found == state
