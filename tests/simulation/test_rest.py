"""The sandbox over real HTTP: who is let in, what is answered, what is remembered."""

import json
import re
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from btcbot.btcturk import account, rules, wire
from btcbot.btcturk.auth import KeyPair
from btcbot.domain.ids import Pair
from btcbot.simulation import defaults
from tests.simulation.conftest import Running, Start

SAMPLES = Path(__file__).parents[3] / "shared" / "btcturk-samples"
Json = Any


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def sample(name: str) -> Json:
    """Return a sample of the real exchange."""
    if not SAMPLES.is_dir():
        pytest.skip(f"no samples of the real exchange at {SAMPLES}")
    return json.loads((SAMPLES / f"{name}.json").read_text())


def unlike(ours: Json, theirs: Json, where: str = "") -> list[str]:
    """Return where `ours` lacks a key of `theirs`, or has another kind of value."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        missing = [f"{where}.{key} is missing" for key in theirs if key not in ours]
        return missing + [
            text
            for key in theirs.keys() & ours.keys()
            for text in unlike(ours[key], theirs[key], f"{where}.{key}")
        ]
    if isinstance(theirs, list) and isinstance(ours, list):
        if not theirs or not ours:
            return []
        return [text for row in ours for text in unlike(row, theirs[0], f"{where}[]")]
    if ours is None or theirs is None:
        return []
    kinds = [
        "number" if isinstance(v, int | float) and not isinstance(v, bool) else type(v).__name__
        for v in (ours, theirs)
    ]
    return [] if kinds[0] == kinds[1] else [f"{where} is {kinds[0]}, theirs {kinds[1]}"]


# --- shapes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/v2/server/time", "rest-server-time"),
        ("/api/v2/server/ping", "rest-server-ping"),
        ("/api/v2/server/exchangeInfo", "rest-exchangeinfo"),
        ("/api/v2/ticker?pairSymbol=BTCTRY", "rest-ticker"),
        ("/api/v2/ticker?pairSymbol=NOPEUSDT", "rest-ticker-unknown-pair"),
        ("/api/v2/ticker/currency?symbol=usdt", "rest-ticker-currency"),
        ("/api/v2/orderbook?pairSymbol=BTCTRY&limit=3", "rest-orderbook"),
        ("/api/v2/trades?pairSymbol=BTCUSDT&last=2", "rest-trades"),
        ("/api/v2/ohlc?pairSymbol=BTC_USDT&last=1", "rest-ohlc-v2-daily"),
        ("/v1/ohlcs?pair=BTCUSDT&from=0&to=9999999999", "rest-graph-ohlcs"),
        ("/v1/klines/history?symbol=BTCTRY&resolution=60", "rest-graph-klines-history"),
        ("/v1/klines/history?symbol=BTCTRY&from=5&to=9", "rest-graph-klines-no-data"),
    ],
)
def test_public_answers_have_the_shape_of_the_real_ones(
    shared: Running, path: str, name: str
) -> None:
    ours, theirs = shared.http.get(path).json(), sample(name)

    assert not unlike(ours, theirs)
    if isinstance(theirs, dict) and "code" in theirs:
        assert ours["code"] == theirs["code"]
    if not isinstance(theirs, list):
        assert bool(ours.get("data")) == bool(theirs.get("data"))


def test_private_answers_have_the_shape_of_the_real_ones(start: Start) -> None:
    running = start()
    bid = running.bid()
    answer = running.submit(quantity="0.001", price=str(bid * 8 // 10), newOrderClientId="a")
    running.submit(quantity="0.0005", price=str(bid * 101 // 100), newOrderClientId="b")
    order_id = answer.json()["data"]["id"]

    seen = {
        "rest-order-submit-response": answer.json(),
        "rest-balances": running.call("GET", "users/balances").json(),
        "rest-openorders": running.call("GET", "openOrders?pairSymbol=BTCTRY").json(),
        "rest-openorders-empty": running.call("GET", "openOrders?pairSymbol=ETHTRY").json(),
        "rest-allorders": running.call("GET", "allOrders?pairSymbol=BTCTRY").json(),
        "rest-order-get": running.call("GET", f"order/{order_id}").json(),
        "rest-transactions-trade": running.call("GET", "users/transactions/trade").json(),
        "rest-transactions-crypto": running.call("GET", "users/transactions/crypto").json(),
        "rest-transactions-fiat": running.call("GET", "users/transactions/fiat").json(),
        "rest-order-cancel-response": running.call("DELETE", f"order?id={order_id}").json(),
    }

    assert {name: unlike(ours, sample(name)) for name, ours in seen.items()} == {
        key: [] for key in seen
    }
    assert seen["rest-allorders"]["data"][0]["id"] > seen["rest-allorders"]["data"][1]["id"]
    assert seen["rest-openorders"]["data"]["bids"][0]["time"] == 0


def test_our_own_client_reads_every_answer(start: Start) -> None:
    running = start()
    bid = running.bid()
    ack = running.submit(quantity="0.0005", price=str(bid * 101 // 100), newOrderClientId="b")
    running.submit(quantity="0.001", price=str(bid * 8 // 10))
    order_id = ack.json()["data"]["id"]
    pair = Pair("BTCTRY")

    assert wire.submitted(ack.content) is not None
    assert abs(wire.server_ms(running.http.get("/api/v2/server/time").content) - now_ms()) < 5_000
    infos, unread = rules.instruments(running.http.get("/api/v2/server/exchangeinfo").content)
    assert not unread
    assert [row.pair for row in infos] == ["BTCTRY", "ETHTRY", "USDTTRY", "BTCUSDT"]
    assert len(account.balances(running.call("GET", "users/balances").content)) == 4
    assert wire.order(running.call("GET", f"order/{order_id}").content).status == "Closed"
    assert (
        len(wire.all_orders(running.call("GET", "allOrders?pairSymbol=BTCTRY").content, pair)) == 2
    )
    open_orders = running.call("GET", "openOrders?pairSymbol=BTCTRY").content
    assert [row.left for row in wire.open_orders(open_orders, pair)]
    fills = wire.fills(running.call("GET", "users/transactions/trade").content)
    assert (
        sum(fill.quantity for fill in fills)
        == wire.order(running.call("GET", f"order/{order_id}").content).quantity
    )


def test_numbers_leave_exactly(start: Start) -> None:
    running = start()
    running.submit(quantity="0.00054321", price=str(running.bid() * 101 // 100))

    text = running.call("GET", "users/transactions/trade").text

    precise = re.findall(r'"preciseAmount":([^,]+),', text)
    assert sum(int(p.replace("0.", "").ljust(8, "0")) for p in precise) == 54_321
    assert all(re.fullmatch(r"0\.\d{1,8}", p) for p in precise)
    assert all(int(found) > 1 << 53 for found in re.findall(r'"id":(\d+)', text))


# --- who is let in ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"X-PCK": ""}, "Headers are missing"),
        ({"X-PCK": "other"}, "Invalid Public/Private key"),
        ({"X-Stamp": "1735689600000"}, "Invalid Nonce"),
        ({"X-Stamp": "seconds"}, "Invalid Nonce"),
        ({"X-Signature": "AAAA"}, "Invalid Signature"),
    ],
)
def test_refuses_a_request_that_is_not_signed(
    shared: Running, change: dict[str, str], problem: str
) -> None:
    headers = shared.keys.headers(now_ms()) | change

    answer = shared.http.get("/api/v1/users/balances", headers=headers)

    assert answer.status_code == 401
    assert answer.json() == {
        "success": True,  # As the real one says.
        "message": f"Unauthorized - {problem}",
        "code": 1037,
    }


@pytest.mark.parametrize(
    ("skew_ms", "status"), [(-4_500, 200), (4_500, 200), (-5_500, 401), (6_000, 401)]
)
def test_a_stamp_may_be_five_seconds_off(shared: Running, skew_ms: int, status: int) -> None:
    headers = shared.keys.headers(now_ms() + skew_ms)

    assert shared.http.get("/api/v1/users/balances", headers=headers).status_code == status


def test_a_stamp_may_be_used_again(shared: Running) -> None:
    headers = shared.keys.headers(now_ms())

    answers = [shared.http.get("/api/v1/users/balances", headers=headers) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200] * 3


def test_takes_the_published_signature_vectors() -> None:
    vectors = sample("auth-vectors")
    for row in vectors["rest"]:
        keys = KeyPair(row["apiKey"], row["secretBase64"])
        assert keys.sign(int(row["stamp"])) == row["signature"]
    wrong = vectors["rest_wrong_secret_not_decoded"]
    assert (
        KeyPair(wrong["apiKey"], wrong["secretBase64"]).sign(int(wrong["stamp"]))
        != (wrong["signature"])
    )


# --- what is no call --------------------------------------------------------------------------


def test_an_unknown_path_is_an_empty_404_and_a_wrong_method_a_405(shared: Running) -> None:
    for method, path, status in (
        ("GET", "/nope", 404),
        ("GET", "/api/v2/ticker/", 404),
        ("GET", "/api/v1/order/1/2", 404),
        ("POST", "/api/v2/ticker", 405),
        ("PUT", "/api/v1/order", 405),
    ):
        answer = shared.http.request(method, path)
        assert (answer.status_code, answer.content) == (status, b""), (method, path)


def test_public_refusals_are_the_documented_ones(shared: Running) -> None:
    for path, name in (
        ("/api/v2/orderbook?pairSymbol=NOPEUSDT", "error-400-unknown-pair"),
        ("/api/v2/orderbook", "error-400-missing-param"),
    ):
        answer = shared.http.get(path)
        assert (answer.status_code, answer.json()) == (400, sample(name))


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"quantity": [1]}', b"\xff", b"[" * 70_000])
def test_a_body_that_is_no_order_is_refused(shared: Running, body: bytes) -> None:
    answer = shared.call("POST", "order", content=body)

    assert answer.status_code == 400
    assert answer.json()["success"] is False
    time.sleep(0.11)  # Ten orders a second.


def test_order_refusals_are_the_documented_ones(start: Start) -> None:
    running = start("--balance", "TRY=1000")
    low = str(running.bid() * 8 // 10)
    running.submit(quantity="0.0002", price=low)

    refusals = {
        "error-400-min-total": running.submit(quantity="0.00001", price=low),
        "error-400-price-scale": running.submit(quantity="0.001", price=low + ".5"),
        "error-400-quantity-scale": running.submit(quantity="0.123456789", price=low),
        "error-400-balance": running.submit(quantity="1", price=low),
        "error-400-open-orders": running.submit(quantity="0.0002", price=low),
        "error-400-market-order": running.submit(orderMethod="market", quantity="99999999"),
        "error-400-cancel-no-match": running.call("DELETE", "order"),
        "error-400-order-not-found": running.call("GET", "order/7"),
    }

    for name, answer in refusals.items():
        assert answer.status_code == 400
        assert answer.json().items() >= sample(name).items(), name


def test_the_eleventh_order_in_a_second_is_told_when_to_come_back(start: Start) -> None:
    running = start()
    low = str(running.bid() * 8 // 10)

    answers = [running.submit(quantity="0.00005", price=low) for _ in range(11)]

    assert [answer.status_code for answer in answers[:10]] == [200] * 10
    assert answers[10].status_code == 429
    assert answers[10].headers["Retry-After"] == "1"
    body = answers[10].json()
    assert not unlike(body, sample("error-429-account"))
    assert (body["limit"], body["period"], body["policy"]) == ("10", "1s", "account")
    assert len(running.truth("orders")) == 10


# --- what is remembered -----------------------------------------------------------------------


def test_the_truth_has_every_request_with_its_answer(start: Start) -> None:
    running = start()
    before = time.time_ns()
    running.get("/api/v2/ticker")
    running.submit(quantity="0.001", price="1", newOrderClientId="mine")

    ticker, submit = running.truth("requests")

    assert (ticker["method"], ticker["path"], ticker["status"]) == ("GET", "/api/v2/ticker", 200)
    assert (submit["method"], submit["path"]) == ("POST", "/api/v1/order")
    assert (submit["client_id"], submit["status"]) == ("mine", 400)
    assert json.loads(submit["body"])["price"] == "1"
    assert before < ticker["at_ns"] < submit["at_ns"] < time.time_ns()


def test_an_order_gets_a_client_id_of_its_own_when_it_brings_none(start: Start) -> None:
    running = start()
    low = str(running.bid() * 8 // 10)

    first = running.submit(quantity="0.001", price=low, newClientOrderId="ignored").json()["data"]
    second = running.submit(quantity="0.001", price=low).json()["data"]

    ids = {first["newOrderClientId"], second["newOrderClientId"]}
    assert len(ids) == 2
    assert "ignored" not in ids


def test_the_same_client_id_twice_is_two_orders(start: Start) -> None:
    running = start()
    low = str(running.bid() * 8 // 10)

    for _ in range(2):
        assert running.submit(quantity="0.001", price=low, newOrderClientId="x").status_code == 200

    assert [row["client_id"] for row in running.truth("orders")] == ["x", "x"]


def test_nothing_acknowledged_is_lost_to_kill_9(start: Start, tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    for _ in range(3):
        running = start("--state", state, "--speed", "20")
        low = str(running.bid() * 8 // 10)
        for n in range(4):
            assert running.submit(quantity="0.0001", price=low).status_code == 200
            side = "buy" if n % 2 else "sell"
            answer = running.submit(orderType=side, orderMethod="market", quantity=_amount(side))
            assert answer.status_code == 200, answer.text
        kept = {name: running.truth(name) for name in ("orders", "trades", "balances")}
        assert running.end(signal.SIGKILL) == -signal.SIGKILL

        again = start("--state", state)
        for name in ("orders", "trades"):
            found = again.truth(name)
            assert found[: len(kept[name])] == kept[name]
            assert len(found) == len(kept[name])
        assert again.truth("balances") == kept["balances"]
        assert again.end() == 0


def _amount(side: str) -> str:
    return "300" if side == "buy" else "0.0001"


def test_cancels_may_take_effect_later(start: Start) -> None:
    running = start("--cancel-delay", "0.3")
    low = str(running.bid() * 8 // 10)
    order_id = running.submit(quantity="0.001", price=low).json()["data"]["id"]

    assert running.call("DELETE", f"order?id={order_id}").status_code == 200
    assert running.data(f"order/{order_id}")["status"] == "Untouched"
    give_up = time.monotonic() + 5
    while running.data(f"order/{order_id}")["status"] != "Canceled":
        assert time.monotonic() < give_up
        time.sleep(0.05)


# --- the process ------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_cleanly_and_soon(start: Start, number: int) -> None:
    running = start()
    running.get("/api/v2/server/ping")
    began = time.monotonic()

    assert running.end(number) == 0
    assert time.monotonic() - began < 3


def test_a_taken_port_is_exit_75_and_a_wrong_recording_78(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        late = _refused("--port", str(taken.getsockname()[1]))
    assert late[0] == 75
    assert "cannot listen" in late[1]
    wrong = tmp_path / "x.csv"
    wrong.write_text("a,b\n")
    code, text = _refused("--data", str(wrong))
    assert (code, "x.csv" in text) == (78, True)
    assert _refused("--pairs", "NOPE")[0] == 78
    assert _refused("--api-secret", "!")[0] == 78
    assert _refused("--balance", "TRY=1e5")[0] == 2


def _refused(*arguments: str) -> tuple[int, str]:
    import subprocess

    from tests.simulation.conftest import BTCBOT

    port = () if "--port" in arguments else ("--port", "0")
    done = subprocess.run(
        [BTCBOT, "sandbox", *port, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.returncode, done.stderr


def test_answers_without_waiting_for_the_clients_acknowledgement(shared: Running) -> None:
    took = []
    for _ in range(40):
        began = time.monotonic()
        shared.get("/api/v2/server/ping")
        took.append(time.monotonic() - began)

    assert min(took) < 0.038  # Each would take 40 ms and more, with Nagle's algorithm.


def test_holds_the_documented_key_and_balances(shared: Running) -> None:
    assert shared.keys.key == defaults.API_KEY
    held = {row["asset"]: row["total"] for row in shared.truth("balances")}
    assert held["TRY"] == str(defaults.BALANCES["TRY"])  # type: ignore[index]
