"""Live, against an exchange on loopback: what arms it, and what takes the arming back."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from btcbot.cli import exits
from btcbot.secret import write_secret
from btcbot.simulation import defaults
from tests.processes.fleet import Exchange, Fleet, until

pytestmark = [pytest.mark.timeout(600), pytest.mark.fleet]
# It buys at once, and again every second.
EAGER = (
    "{entry_dip_bps = 0.0, warm_up_s = 0.0, rest_s = 1.0, anchor_s = 1.0, life_s = 1.0,"
    " order_notional = 200, position_notional_max = 15000}"
)


@contextlib.contextmanager
def live(folder: Path) -> Iterator[Fleet]:
    """Yield a fleet of mode live, armed by its configuration, for an exchange on loopback."""
    for name, content in (("key", defaults.API_KEY), ("secret", defaults.API_SECRET)):
        write_secret(folder / name, content)
    exchange = Exchange(folder)
    fleet = Fleet(
        folder / "home",
        BTCBOT__MODE="live",
        BTCBOT__EXCHANGE__REST_URL=exchange.url,
        BTCBOT__EXCHANGE__GRAPH_URL=exchange.url,
        BTCBOT__EXCHANGE__WS_URL=exchange.url.replace("http", "ws") + "/ws",
        BTCBOT__EXCHANGE__API_KEY_FILE=str(folder / "key"),
        BTCBOT__EXCHANGE__API_SECRET_FILE=str(folder / "secret"),
        BTCBOT__LIVE__ARMED="true",
        BTCBOT__LIVE__ACKNOWLEDGE="I_UNDERSTAND",
        BTCBOT__ORDERS__ABSENCE_WAIT_S="900",
        BTCBOT__STRATEGY__PARAMS=EAGER,
    )
    fleet.port = exchange.port
    try:
        yield fleet
    finally:
        fleet.end()
        exchange.end()


def test_live_trades_only_while_every_gate_is_open(tmp_path: Path) -> None:
    with live(tmp_path) as fleet:
        until("the exchange answers", lambda: answers(fleet), 20)
        assert fleet.run("btcbot", "init", str(tmp_path), "--home", str(fleet.home)).returncode == 0
        blocked = fleet.up()
        assert blocked.returncode == exits.CONFIG
        assert blocked.stdout.startswith("BLOCKED by live_check [mode ok: ")
        assert fleet.processes() == []

        waive(fleet)
        started = fleet.up()
        assert started.returncode == 0, f"{started.stdout}\n{started.stderr}"
        assert started.stdout.startswith(f"ARMED: orders go to http://127.0.0.1:{fleet.port} [")
        status = fleet.status()
        assert (status["mode"], status["trading_state"]) == ("live", "PAUSED")
        assert fleet.posts() == 0

        fleet.json("resume", "--reason", "ready")
        until("an order", fleet.posts, 30)

        (fleet.home / "checks" / "live.json").unlink()
        until("a refusal by the gate", lambda: "not_armed" in refusals(fleet), 30, every=0.5)
        sent = fleet.posts()
        seen = refusals(fleet).count("not_armed")
        until("more refusals", lambda: refusals(fleet).count("not_armed") > seen, 30, every=0.5)
        assert fleet.posts() == sent


def answers(fleet: Fleet) -> bool:
    with contextlib.suppress(OSError):
        fleet.truth("orders")
        return True
    return False


def waive(fleet: Fleet) -> None:
    """Answer for the experiments: this exchange is our own."""
    arguments = ("check", "--live", "--waive", "experiments", "--reason", "a sandbox", "--json")
    done = fleet.run("btcbot", *arguments)
    red = [row["name"] for row in json.loads(done.stdout)["checks"] if not row["ok"]]
    assert red == ["experiments"], done.stdout


def refusals(fleet: Fleet) -> list[str]:
    """Return the rule of every intent that was refused."""
    return [row["rule"] for row in fleet.export("intents") if row["rule"]]
