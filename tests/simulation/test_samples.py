"""The sandbox says everything that the samples of the real exchange show, in the same shape.

Same fields, no more and no fewer, and the same JSON type in each; null goes with anything.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from btcbot.btcturk.auth import KeyPair
from btcbot.simulation import limiter, shapes
from tests.btcturk.captures import names, tree
from tests.simulation.conftest import Running

Json = Any
ASKED = {  # What a client sends.
    "ws-101-request", "ws-111-login-token-request", "ws-114-login-request", "ws-151-join-request",
    "ws-151-leave-request", "rest-order-submit-request-limit",
    "rest-order-submit-request-market-buy", "rest-order-submit-request-market-sell",
    "rest-order-submit-request-stoplimit",
}  # fmt: skip
ELSEWHERE = {"auth-vectors", "ws-chain-obdiff", "ws-chain-private-order"}
# Fields that some answers of the real exchange have and others lack.
SOMETIMES = {"httpStatusCode", "data"}


def kind_of(value: Json) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else type(value).__name__


def unlike(ours: Json, theirs: Json, where: str = "") -> list[str]:
    """Return where `ours` has other keys than `theirs`, or another kind of value."""
    if ours is None or theirs is None:
        return []
    if isinstance(theirs, dict) and isinstance(ours, dict):
        odd = (ours.keys() ^ theirs.keys()) - (SOMETIMES if "code" in theirs else set())
        return [f"{where}.{key} is on one side only" for key in sorted(odd)] + [
            text
            for key in sorted(theirs.keys() & ours.keys())
            for text in unlike(ours[key], theirs[key], f"{where}.{key}")
        ]
    if isinstance(theirs, list) and isinstance(ours, list):
        if not theirs or not ours:
            return []
        return [text for row in ours for text in unlike(row, theirs[0], f"{where}[]")]
    same = kind_of(ours) == kind_of(theirs)
    return [] if same else [f"{where} is {kind_of(ours)}, theirs is {kind_of(theirs)}"]


@pytest.fixture(scope="module")
def said() -> Iterator[dict[str, Json]]:
    """Let everything happen once at a sandbox; return what it said, by the sample's name."""
    running = Running(
        "--speed", "20", "--balance", "TRY=100000", "--balance", "BTC=0.02",
        "--grant", "reader:cmVhZGVy:funds",
    )  # fmt: skip
    try:
        yield {**public(running), **lives(running), **refusals(running), **over_the_socket(running)}
    finally:
        running.end(9)


def public(running: Running) -> dict[str, Json]:
    paths = {
        "rest-server-time": "/api/v2/server/time",
        "rest-server-ping": "/api/v2/server/ping",
        "rest-exchangeinfo": "/api/v2/server/exchangeInfo",
        "rest-ticker": "/api/v2/ticker?pairSymbol=BTC_TRY",
        "rest-ticker-unknown-pair": "/api/v2/ticker?pairSymbol=NOPEUSDT",
        "rest-ticker-currency": "/api/v2/ticker/currency?symbol=usdt",
        "rest-orderbook": "/api/v2/orderbook?pairsymbol=btctry&limit=3",
        "rest-trades": "/api/v2/trades?pairSymbol=BTCUSDT&last=2",
        "rest-ohlc-v2-daily": "/api/v2/ohlc?pairSymbol=BTC_USDT&last=1",
        "rest-graph-ohlcs": "/v1/ohlcs?pair=BTCUSDT&from=0&to=9999999999",
        "rest-graph-klines-history": "/v1/klines/history?symbol=BTCTRY&resolution=60",
        "rest-graph-klines-no-data": "/v1/klines/history?symbol=BTCTRY&from=5&to=9",
        "error-400-unknown-pair": "/api/v2/orderbook?pairSymbol=NOPEUSDT",
        "error-400-missing-param": "/api/v2/orderbook",
    }
    return {name: running.http.get(path).json() for name, path in paths.items()}


def lives(running: Running) -> dict[str, Json]:
    """Let orders rest, fill, be cancelled; and a stop be triggered."""
    bid = running.bid()
    resting = running.submit(quantity="0.001", price=str(bid * 8 // 10), newOrderClientId="a")
    sell = running.submit(orderType="sell", quantity="0.001", price=str(bid * 12 // 10))
    running.submit(quantity="0.0005", price=str(bid * 101 // 100), newOrderClientId="b")
    order_id = resting.json()["data"]["id"]
    found = {
        "rest-order-submit-response": resting.json(),
        "rest-balances": running.call("GET", "users/balances").json(),
        "rest-openorders": running.call("GET", "openOrders?pairSymbol=BTCTRY").json(),
        "rest-openorders-empty": running.call("GET", "openOrders?pairSymbol=ETHTRY").json(),
        "rest-allorders": running.call("GET", "allOrders?pairSymbol=BTCTRY").json(),
        "rest-order-get": running.call("GET", f"order/{order_id}").json(),
        "rest-transactions-trade": running.call("GET", "users/transactions/trade").json(),
        "rest-transactions-trade-empty": running.call(
            "GET", f"users/transactions/trade?orderId={order_id}"
        ).json(),
        "rest-transactions-crypto": running.call("GET", "users/transactions/crypto").json(),
        "rest-transactions-fiat": running.call("GET", "users/transactions/fiat").json(),
        "rest-order-cancel-response": running.call("DELETE", f"order?id={order_id}").json(),
    }
    running.call("DELETE", f"order?id={sell.json()['data']['id']}")
    return {**found, "rest-allorders-stop-triggered": triggered(running)}


def triggered(running: Running) -> Json:
    """Let a stop near the market be triggered; return the list that shows it and its child."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        label = f"stop-{time.monotonic_ns()}"
        running.submit(
            orderType="sell", orderMethod="stopmarket", quantity="0.001",
            stopPrice=str(running.bid() - 1), newOrderClientId=label,
        )  # fmt: skip
        until = time.monotonic() + 3
        while time.monotonic() < until:
            answer = running.call("GET", "allOrders?pairSymbol=BTCTRY&limit=2").json()
            rows = [row for row in answer["data"] if row["orderClientId"] == label]
            if len(rows) == 2:
                return answer
            time.sleep(0.2)
    raise AssertionError("no stop was triggered in a minute")


def refusals(running: Running) -> dict[str, Json]:
    def refused(**fields: str) -> Json:
        answer = running.submit(**fields)
        assert answer.status_code == 400, answer.text
        return answer.json()

    time.sleep(1.1)  # Ten orders a second are allowed, as on the exchange.
    bid = running.bid()
    low, high = str(bid * 8 // 10), str(bid * 12 // 10)
    free = {row["asset"]: row["free"] for row in running.data("users/balances")}
    rest = Decimal(free["BTC"]).quantize(Decimal("0.00000001"))
    hold = running.submit(orderType="sell", quantity=str(rest), price=high).json()["data"]["id"]
    found = {
        "error-400-min-total": refused(quantity="0.00000001", price=low),
        "error-400-price-scale": refused(quantity="0.001", price=f"{low}.5"),
        "error-400-quantity-scale": refused(quantity="0.0000000001", price=low),
        "error-400-balance": refused(quantity="9", price=low),
        "error-400-open-orders": refused(orderType="sell", quantity="0.001", price=high),
        "error-400-market-order": refused(orderMethod="market", quantity="99000000000"),
        "error-400-cancel-no-match": running.call("DELETE", "order").json(),
        "error-400-order-not-found": running.call("GET", "order/7").json(),
    }
    running.call("DELETE", f"order?id={hold}")
    closed = running.data("allOrders", pairSymbol="BTCTRY")
    done = next(row["id"] for row in closed if row["status"] == "Closed")
    return {
        **found,
        "error-400-cancel-not-cancelable": running.call("DELETE", f"order?id={done}").json(),
        "error-401-invalid-nonce": stamped(running, running.keys, 0),
        "error-401-invalid-request": stamped(
            running, KeyPair("reader", "cmVhZGVy"), time.time_ns() // 1_000_000
        ),
        "error-429-ip": too_many("GET", "/api/v1/users/balances"),
        "error-429-account": too_many("POST", "/api/v1/order"),
        "error-500-system": shapes.system_error(),
    }


def too_many(method: str, path: str) -> Json:
    limit = limiter.LIMITS[(method, path)][-1]
    return json.loads(
        shapes.encode(shapes.too_many(limit.requests, limit.period, limit.policy, 53))
    )


def stamped(running: Running, keys: KeyPair, stamp_ms: int) -> Json:
    answer = running.http.get("/api/v1/openOrders", headers=keys.headers(stamp_ms))
    assert answer.status_code == 401
    return answer.json()


def over_the_socket(running: Running) -> dict[str, Json]:
    with connect(running.ws_url, compression=None) as connection:
        found = {"ws-991-welcome": json.loads(connection.recv(timeout=5))}
        say, hear = talkers(connection)
        for name in ("ws-151-join-request", "ws-151-join-request", "ws-151-leave-request"):
            say(tree(name))
        duplicates = [hear(100) for _ in range(3)]
        found |= dict(
            zip(
                ("ws-100-join-ok", "ws-100-join-duplicate", "ws-100-leave-ok"),
                duplicates,
                strict=True,
            )
        )
        say(tree("ws-111-login-token-request"))
        found["ws-112-login-token-result"] = hear(112)
        say(KeyPair(running.keys.key, "d3Jvbmc=").login(0))
        found["ws-114-login-failed"] = hear(114)
        say(running.keys.login(time.time_ns() // 1_000_000))
        found["ws-114-login-ok"] = hear(114)
        for channel, event in (
            ("ticker", "all"), ("ticker", "BTCTRY"), ("trade", "BTCTRY"), ("orderbook", "BTCTRY"),
            ("tradeview", "BTCTRY_60"),
        ):  # fmt: skip
            say([151, {"type": 151, "channel": channel, "event": event, "join": True}])
        found["ws-421-trade-list"] = hear(421)
        found["ws-431-orderbook"] = hear(431)
        found["ws-401-ticker-all"] = hear(401)
        found["ws-402-ticker-pair"] = hear(402)
        found["ws-428-tradeview"] = hear(428)
        found["ws-422-trade-single"] = hear(422)
        return {**found, **books(running), **private(running, hear)}


def books(running: Running) -> dict[str, Json]:
    with connect(running.ws_url, compression=None) as connection:
        say, hear = talkers(connection)
        say(tree("ws-151-join-request"))
        return {"ws-431-obdiff-snapshot": hear(431), "ws-432-obdiff": hear(432)}


def private(running: Running, hear: Callable[[int], Json]) -> dict[str, Json]:
    time.sleep(1.1)
    bid = running.bid()
    running.submit(quantity="0.0005", price=str(bid * 102 // 100))
    found = {"ws-451-order-insert": hear(451), "ws-423-user-trade": hear(423)}
    found["ws-441-user-order-match"] = hear(441)
    order = running.submit(quantity="0.001", price=str(bid * 8 // 10)).json()["data"]
    running.call("DELETE", f"order?id={order['id']}")
    found["ws-452-order-delete"] = hear(452)
    # Nobody can edit an order with an API key: the frame is that of an insert, of another type.
    [[_, body]] = [found["ws-451-order-insert"]]
    found["ws-453-order-update"] = [453, {**body, "type": 453}]
    posted = running.http.post("/__truth__/transfers", json={"asset": "TRY", "amount": "-10"})
    assert posted.json()["amount"] == "-10"
    found["ws-201-balance-updated"] = hear(201)
    running.http.post("/__truth__/notices", json={"message": "text"})
    found["ws-801-system-message"] = hear(801)
    return found


def talkers(
    connection: ClientConnection,
) -> tuple[Callable[[Json], None], Callable[[int], Json]]:
    """Return what sends a frame, and what waits for the next of a type."""

    def say(frame: Json) -> None:
        connection.send(json.dumps(frame))

    def hear(kind: int) -> Json:
        give_up = time.monotonic() + 30
        while time.monotonic() < give_up:
            with contextlib.suppress(TimeoutError):
                frame = json.loads(connection.recv(timeout=1))
                if frame[0] == kind:
                    return frame
        raise AssertionError(f"no frame of type {kind} in 30 s")

    return say, hear


@pytest.mark.parametrize("name", names())
def test_the_sandbox_says_what_the_exchange_says_in_its_shape(
    said: dict[str, Json], name: str
) -> None:
    if name in ASKED | ELSEWHERE:
        assert name not in said
        return
    ours, theirs = said[name], tree(name)

    if name.startswith("ws-"):
        assert ours[0] == theirs[0]
        ours, theirs = ours[1], theirs[1]
    assert unlike(ours, theirs) == []
    if isinstance(theirs, dict) and "code" in theirs:
        assert ours["code"] == theirs["code"]
        assert bool(ours.get("data")) == bool(theirs.get("data"))
    if name.startswith("error-") and "unknown-pair" not in name:
        assert ours["message"] == theirs["message"]


def test_a_comparison_sees_a_missing_field_an_extra_one_and_another_type() -> None:
    theirs = tree("ws-441-user-order-match")[1]
    for spoil in (
        {"amount": None, "price": 20.97},
        {"extra": 1},
        {"isBid": 0},
        {"id": "7968322274"},
    ):
        assert unlike({**theirs, **spoil}, theirs)
    assert unlike({k: v for k, v in theirs.items() if k != "user"}, theirs)
