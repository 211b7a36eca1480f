"""A recorded fleet, kills and all, through today's code: nothing differs, or the first is named."""

import json
import signal
from datetime import UTC, datetime
from functools import partial

import pytest

from btcbot.cli import exits
from tests.processes.fleet import ACTORS, Fleet, Json, running, until
from tests.processes.models import model

pytestmark = [pytest.mark.timeout(600), pytest.mark.fleet]
ADVICE = {"stance": "proceed", "ttl_s": 60, "confidence": 90,
          "limits": [{"pair": "BTCTRY", "action": "shrink", "keep_percent": 70}]}  # fmt: skip


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Return a fleet that traded, lost each actor once, was paused, asked a model, and stopped."""
    home = tmp_path_factory.mktemp("recorded") / "home"
    with model(ADVICE) as asked:
        agent = {"MODE": "advise", "URL": asked.url, "MODEL": "tiny", "INTERVAL_S": "10"}
        settings = {f"BTCBOT__AGENT__{name}": value for name, value in agent.items()}
        with running(home, **settings) as fleet:
            until("a fill", lambda: fleet.export("fills"), 150, every=0.5)
            for actor in ACTORS:
                before = fleet.signal(actor, signal.SIGKILL)
                until(f"another {actor}", partial(lives_again, fleet, actor, before), 60)
            fleet.ctl("pause", "--reason", "a test")
            fleet.ctl("resume", "--reason", "a test")
            fills = len(fleet.export("fills"))
            until("another fill", lambda: len(fleet.export("fills")) > fills, 150, every=0.5)
            until("a question", lambda: asked.asked, 60, every=0.5)
            assert fleet.down().returncode == 0
    return fleet


def lives_again(fleet: Fleet, actor: str, before: int) -> bool:
    """Say whether `actor` has a new life, and control has heard of everybody's."""
    done = fleet.ctl("status", "--json")
    if done.returncode != 0:  # Control itself was ended.
        return False
    rows = json.loads(done.stdout)["actors"]
    return all(row["state"] == "READY" and row["pid"] for row in rows) and any(
        row["name"] == actor and row["pid"] != before for row in rows
    )


def replay(fleet: Fleet, *arguments: str, code: int = 0) -> Json:
    done = fleet.run("btcbot", "replay", *arguments, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if done.stdout else done.stderr


def day() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d")


def test_every_life_of_every_actor_says_today_what_it_said(recorded: Fleet) -> None:
    found = replay(recorded, day(), "--verify")

    assert found["first"] is None
    rows = {row["actor"]: row for row in found["actors"]}
    assert set(rows) == set(ACTORS)
    assert all(row["lives"] >= 2 for row in rows.values()), rows
    assert all(row["handled"] > 20 for row in rows.values()), rows
    for name in ("market_data", "strategy", "risk_gate", "execution", "accounting", "control"):
        assert rows[name]["compared"] > 0, rows
    assert sum(row["compared"] for row in rows.values()) > 150
    assert {row["other_code"] for row in rows.values()} == {0}
    # Only what was under way when an actor was killed is not on record.
    assert sum(row["unrecorded"] for row in rows.values()) < 20
    assert found["times_real_time"] > 20  # Some 500 on a quiet machine.


def test_another_setting_of_the_strategy_is_named_by_the_first_intent_that_differs(
    recorded: Fleet,
) -> None:
    file = recorded.home / "run" / "config.json"
    kept = file.read_bytes()
    tree = json.loads(kept)
    tree["config"]["strategy"]["params"] = {
        "order_notional": "300", "position_notional_max": "1500", "entry_dip_bps": 2.0,
        "profit_bps": 1.0, "stop_loss_bps": 80.0, "anchor_s": 5.0, "warm_up_s": 3.0,
        "sell_share": 1.0, "life_s": 4.0, "rest_s": 4.0,
    }  # fmt: skip
    try:
        file.write_text(json.dumps(tree))
        found = replay(recorded, day(), "--verify", code=exits.PROBLEM)
    finally:
        file.write_bytes(kept)

    first = found["first"]
    assert first["actor"] == "strategy"
    assert first["what"].startswith(("OrderIntent ", "Record "))
    assert first["chain"][0].startswith(("BookTop market_data/", "Woken ", "Fill "))
    others = [row for row in found["actors"] if row["actor"] != "strategy"]
    assert [row["differences"] for row in others] == [0] * 6


def test_one_actor_up_to_a_moment_shows_its_state_then(recorded: Fleet) -> None:
    everything = recorded.run("btcbot", "replay", day(), "--actor", "accounting")
    early = recorded.run(
        "btcbot", "replay", day(), "--actor", "accounting", "--until", f"{day()}T00:00:00"
    )

    assert '"accounts"' in everything.stdout
    assert early.returncode == exits.NOT_FOUND


def test_a_day_without_a_journal_and_a_damaged_segment_are_said(recorded: Fleet) -> None:
    assert "no journal" in replay(recorded, "2001-01-01", code=exits.NOT_FOUND)
    [segment, *_] = sorted((recorded.home / "journal" / "strategy").glob("*.seg"))
    kept = segment.read_bytes()
    try:
        segment.write_bytes(kept[:5_000] + bytes([kept[5_000] ^ 1]) + kept[5_001:])
        said = replay(recorded, day(), "--actor", "strategy", code=exits.PROBLEM)
    finally:
        segment.write_bytes(kept)

    assert f"{segment}: " in said
    assert "is not what was written" in said
