"""A fleet against an exchange where everything goes wrong: its books are right in the end."""

import json
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from tests.processes.agreement import differences, settle
from tests.processes.fleet import Fleet, running, until

pytestmark = [pytest.mark.timeout(600), pytest.mark.fleet]
TRADING_S = 60.0
# What is lost is taken for absent after 30 s, and `hostile` hides no order for more than 10 s.
SETTINGS = {"BTCBOT__SANDBOX__FAULTS": "hostile", "BTCBOT__ORDERS__ABSENCE_WAIT_S": "30"}


def heal(fleet: Fleet) -> None:
    url = f"http://127.0.0.1:{fleet.port}/__truth__/faults"
    body = json.dumps({"faults": "none"}).encode()
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=10) as reply:
        assert reply.status == 200


def has_gone_wrong(fleet: Fleet) -> bool:
    """Say whether an order and more than ten requests met a fault: else nothing was tried."""
    met = fleet.truth("faults")
    wrong = [number for name, number in met.items() if name != "well"]
    return sum(wrong) > 10 and any(name.startswith("submit_") for name in met)


def test_a_minute_against_a_hostile_exchange_ends_with_equal_books(tmp_path: Path) -> None:
    with running(tmp_path / "home", **SETTINGS) as fleet:
        until_s = time.monotonic() + TRADING_S
        until("an order", lambda: fleet.truth("orders"), 180, every=1)
        # Which requests come, and so which faults they draw, is up to the machine: a minute is
        # not promised to hold one of an order.
        until("faults of orders and reads", lambda: has_gone_wrong(fleet), 180, every=1)
        time.sleep(max(0.0, until_s - time.monotonic()))
        heal(fleet)
        settle(fleet)

        assert differences(fleet) == []
        # An order is sent once in its life: its label is in one POST, whatever became of it.
        sent = Counter(
            row["client_id"]
            for row in fleet.truth("requests")
            if row["method"] == "POST" and row["path"] == "/api/v1/order"
        )
        assert max(sent.values()) == 1
