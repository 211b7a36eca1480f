"""What the sandbox shows late, to whom it opens what, and money that comes and goes."""

import json
import subprocess
import time
from pathlib import Path

import pytest
from websockets.sync.client import connect

from btcbot.btcturk.auth import KeyPair
from tests.simulation.conftest import BTCBOT, Running, Start

SECRET = "cmVhZGVy"
CALLS = {
    "funds": ("GET", "users/balances"),
    "account": ("GET", "users/transactions/trade"),
    "trade": ("GET", "openOrders?pairSymbol=BTCTRY"),
}


def status_of(running: Running, keys: KeyPair, method: str, path: str) -> tuple[int, str]:
    headers = keys.headers(time.time_ns() // 1_000_000)
    answer = running.http.request(method, f"/api/v1/{path}", headers=headers)
    return answer.status_code, answer.json()["message"] or ""


@pytest.mark.parametrize("granted", ["funds", "account", "trade", "websocket"])
def test_a_key_opens_what_it_was_given_and_nothing_else(start: Start, granted: str) -> None:
    running = start("--grant", f"other:{SECRET}:{granted}")
    keys = KeyPair("other", SECRET)

    for permission, (method, path) in CALLS.items():
        status, message = status_of(running, keys, method, path)
        assert status == (200 if permission == granted else 401), permission
        assert permission == granted or message == "Unauthorized - Invalid Request"
    for method in ("POST", "DELETE"):
        assert (status_of(running, keys, method, "order")[0] == 401) == (granted != "trade")
    with connect(running.ws_url) as connection:
        connection.recv()
        connection.send(json.dumps(keys.login(0)))
        assert json.loads(connection.recv())[1]["ok"] is (granted == "websocket")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("other:c2VjcmV0:trades", "no permission trades; allowed: funds, trade"),
        ("x", "expected KEY"),
    ],
)
def test_a_grant_that_makes_no_sense_is_refused(given: str, words: str) -> None:
    done = subprocess.run(
        [BTCBOT, "sandbox", "--port", "0", "--grant", given],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert done.returncode == 2
    assert words in done.stderr


def test_lists_show_a_new_order_late_and_the_order_itself_at_once(start: Start) -> None:
    running = start("--orders-delay", "1.5")
    low = str(running.bid() * 8 // 10)
    order_id = running.submit(quantity="0.001", price=low).json()["data"]["id"]

    def listed() -> bool:
        rows = running.data("openOrders", pairSymbol="BTCTRY")["bids"]
        both = {row["id"] for row in running.data("allOrders", pairSymbol="BTCTRY")}
        assert {row["id"] for row in rows} == both
        return bool(rows)

    assert not listed()
    assert running.data(f"order/{order_id}")["status"] == "Untouched"
    give_up = time.monotonic() + 10
    while not listed():
        assert time.monotonic() < give_up
        time.sleep(0.1)


def test_own_trades_are_listed_late_though_the_order_is_closed(start: Start) -> None:
    running = start("--trades-delay", "1.5")
    high = str(running.bid() * 101 // 100)
    order_id = running.submit(quantity="0.0005", price=high).json()["data"]["id"]

    assert running.data(f"order/{order_id}")["status"] == "Closed"
    assert running.data("users/transactions/trade", orderId=str(order_id)) == []
    give_up = time.monotonic() + 10
    while not running.data("users/transactions/trade", orderId=str(order_id)):
        assert time.monotonic() < give_up
        time.sleep(0.1)


def test_money_comes_and_goes_is_listed_and_survives(start: Start, tmp_path: Path) -> None:
    running = start("--state", str(tmp_path), "--balance", "TRY=1000", "--balance", "BTC=1")

    def move(asset: str, amount: str) -> int:
        body = {"asset": asset, "amount": amount}
        return running.http.post("/__truth__/transfers", json=body).status_code

    assert [move("TRY", "250.5"), move("BTC", "-0.4"), move("BTC", "-1"), move("NOPE", "1")] == [
        200, 200, 400, 400,
    ]  # fmt: skip
    running.end(9)
    running = start("--state", str(tmp_path))

    held = {row["asset"]: row["balance"] for row in running.data("users/balances")}
    assert (held["TRY"], held["BTC"]) == ("1250.5", "0.6")
    fiat = running.data("users/transactions/fiat")
    assert [(row["balanceType"], row["amount"]) for row in fiat] == [
        ("deposit", "250.5"),
        ("deposit", "1000"),
    ]
    coins = running.data("users/transactions/crypto", type="withdrawal", symbol="btc")
    assert [(row["currencySymbol"], row["amount"]) for row in coins] == [("BTC", "-0.4")]
    assert running.data("users/transactions/fiat", startDate="0", endDate="1") == []


def test_parameters_are_read_in_either_spelling(start: Start) -> None:
    running = start()
    low = str(running.bid() * 8 // 10)
    body = {
        "PairSymbol": "BTC_TRY", "OrderType": "Buy", "OrderMethod": "Limit", "Quantity": 0.001,
        "Price": low, "NewOrderClientId": "a",
    }  # fmt: skip
    assert running.call("POST", "order", content=json.dumps(body)).status_code == 200

    for query in ("pairSymbol=BTCTRY", "pairsymbol=btc_try", "PAIRSYMBOL=BTC_TRY"):
        assert len(running.call("GET", f"allOrders?{query}").json()["data"]) == 1
    assert running.call("GET", "allOrders?pairSymbol=BTCTRY&last=1").status_code == 200
    ours = running.data("allOrders", pairSymbol="BTCTRY")[0]
    assert ours["orderClientId"] == "a"


def test_a_label_under_the_wrong_name_is_ignored_as_on_the_exchange(start: Start) -> None:
    running = start()
    low = str(running.bid() * 8 // 10)
    made = running.submit(quantity="0.001", price=low, newClientOrderId="mine").json()["data"]

    assert made["newOrderClientId"] != "mine"
    assert [len(part) for part in made["newOrderClientId"].split("-")] == [8, 4, 4, 4, 12]
