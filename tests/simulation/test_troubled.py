"""Each fault over real sockets: what the client gets, and what the exchange did."""

import contextlib
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection

from tests.simulation.conftest import Running, Start
from tests.simulation.test_socket import hear, join, login, talk

FAR = {"quantity": "0.0001", "price": "3700000"}
Begin = Callable[..., Running]


@pytest.fixture
def begin(start: Start, tmp_path: Path) -> Begin:
    """Give what starts a sandbox with the faults of a TOML text."""
    names = itertools.count()

    def with_faults(text: str) -> Running:
        path = tmp_path / f"{next(names)}.toml"
        path.write_text(text)
        return start("--faults", str(path))

    return with_faults


def order(running: Running, label: str) -> httpx.Response:
    return running.submit(newOrderClientId=label, **FAR)


def heal(running: Running) -> None:
    """Let nothing go wrong any more."""
    running.http.post("/__truth__/faults", json={"faults": "none"}).raise_for_status()


def labels(running: Running) -> list[str]:
    return [row["client_id"] for row in running.truth("orders")]


def until(is_so: Callable[[], object], seconds: float = 10) -> None:
    give_up = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.05)


# --- orders -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error", "is_live"),
    [
        ("submit_lost", httpx.ReadTimeout, False),
        ("submit_reset", httpx.ReadError, False),
        ("submit_silent", httpx.ReadTimeout, True),
        ("submit_cut", httpx.ReadError, True),
        ("submit_late", httpx.ReadTimeout, True),
        ("submit_beyond", httpx.ReadTimeout, False),
    ],
)
def test_an_order_without_an_answer_lives_or_does_not(
    begin: Begin, fault: str, error: type[Exception], *, is_live: bool
) -> None:
    running = begin(f"{fault} = 1.0")
    running.http.timeout = httpx.Timeout(1.0)

    with pytest.raises(error):
        order(running, "one")

    assert labels(running) == ["one"] * is_live
    assert running.truth("faults") == {fault: 1}


def test_a_garbled_answer_hides_an_order_that_lives(begin: Begin) -> None:
    running = begin("submit_garbled = 1.0")

    answers = [order(running, f"order-{number}") for number in range(10)]

    assert labels(running) == [f"order-{number}" for number in range(10)]
    assert len({(answer.status_code, answer.content) for answer in answers}) > 2
    assert not any(b"order-" in answer.content for answer in answers)


def test_a_stray_answer_names_another_order(begin: Begin) -> None:
    running = begin("submit_stray = 1.0")

    answer = order(running, "mine").json()

    assert answer["success"]
    assert answer["data"]["newOrderClientId"] != "mine"
    assert labels(running) == ["mine"]


def test_a_slow_acceptance_outlives_the_connection_and_the_stamp(begin: Begin) -> None:
    """The stamp was good when the order arrived: it is accepted when its client is long gone."""
    running = begin("submit_slow = 1.0\naccept_max_s = 12.0")
    running.http.timeout = httpx.Timeout(0.2)

    # The slowest of ten takes longer than a stamp is good for: 1 in 10,000 seeds has none such.
    for number in range(10):
        with contextlib.suppress(httpx.ReadTimeout):
            order(running, f"slow-{number}")

    running.http.timeout = httpx.Timeout(5)
    assert len(labels(running)) < 10
    until(lambda: len(labels(running)) == 10, 15)


def test_an_order_that_stalls_on_its_way_is_judged_when_it_arrives(begin: Begin) -> None:
    running = begin("submit_stalled = 1.0")
    statuses: dict[str, int] = {}

    def send(label: str) -> None:
        with httpx.Client(base_url=running.url, trust_env=False, timeout=15) as http:
            body = {"pairSymbol": "BTCTRY", "orderType": "buy", "orderMethod": "limit", **FAR}
            headers = running.keys.headers(time.time_ns() // 1_000_000)
            answer = http.post(
                "/api/v1/order", json={**body, "newOrderClientId": label}, headers=headers
            )
            statuses[label] = answer.status_code

    threads = [threading.Thread(target=send, args=(f"stalled-{n}",)) for n in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(statuses.values()) == {200, 401}  # Within the five seconds of a stamp, and after.
    assert sorted(labels(running)) == sorted(n for n, status in statuses.items() if status == 200)


# --- cancels ----------------------------------------------------------------------------------


def test_a_lost_cancel_says_yes_or_nothing_and_the_order_lives(begin: Begin) -> None:
    running = begin("cancel_lost = 1.0")
    number = order(running, "stays").json()["data"]["id"]

    seen: set[object] = set()
    for _ in range(9):  # The exchange takes ten in a second.
        try:
            seen.add(running.call("DELETE", "order", params={"id": number}).status_code)
        except httpx.TransportError as error:
            seen.add(type(error))

    assert seen == {200, httpx.ReadError}
    assert [row["is_open"] for row in running.truth("orders")] == [True]


def test_a_blocked_cancel_says_so_and_a_slow_one_takes_effect_later(begin: Begin) -> None:
    blocked = begin("cancel_blocked = 1.0")
    number = order(blocked, "a").json()["data"]["id"]
    answer = blocked.call("DELETE", "order", params={"id": number})
    assert (answer.status_code, answer.json()["message"]) == (400, "ORDER_CANCEL_BLOCKED")

    slow = begin("cancel_slow_s = 1.0")
    number = order(slow, "a").json()["data"]["id"]
    assert slow.call("DELETE", "order", params={"id": number}).status_code == 200
    assert slow.truth("orders")[0]["is_open"]
    until(lambda: not slow.truth("orders")[0]["is_open"])


# --- reads ------------------------------------------------------------------------------------


def test_reads_fail_in_every_way(begin: Begin) -> None:
    running = begin("read_fails = 1.0")
    running.http.timeout = httpx.Timeout(0.3)

    seen = set()
    for _ in range(40):
        try:
            seen.add(str(running.http.get("/api/v2/server/time").status_code))
        except httpx.TransportError as error:
            seen.add(type(error).__name__)

    assert seen >= {"503", "ReadTimeout", "ReadError"}
    assert running.truth("orders") == []  # The truth is never faulted.


def test_a_storm_of_429_names_its_wait_and_spares_orders(begin: Begin) -> None:
    running = begin("[limited]\nevery_s = 1\nlasts_s = 1")

    answer = running.http.get("/api/v2/server/time")

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")
    assert order(running, "a").status_code == 200


def test_a_slow_read_answers_late(begin: Begin) -> None:
    running = begin("read_slow = 1.0")
    began = time.monotonic()

    assert running.http.get("/api/v2/server/time").status_code == 200
    assert time.monotonic() - began >= 0.5


def test_a_stale_list_is_an_earlier_one_and_a_short_one_lacks_rows(begin: Begin) -> None:
    stale = begin("read_stale = 1.0")
    assert stale.data("openOrders", pairSymbol="BTCTRY")["bids"] == []
    order(stale, "new")
    assert stale.data("openOrders", pairSymbol="BTCTRY")["bids"] == []
    heal(stale)
    assert len(stale.data("openOrders", pairSymbol="BTCTRY")["bids"]) == 1

    short = begin("read_short = 1.0")
    for number in range(8):
        order(short, f"short-{number}")
    seen = [len(short.data("openOrders", pairSymbol="BTCTRY")["bids"]) for _ in range(8)]
    assert min(seen) < 8
    heal(short)
    assert len(short.data("openOrders", pairSymbol="BTCTRY")["bids"]) == 8


def test_lists_lag_behind_what_is_so(begin: Begin) -> None:
    running = begin("lists_lag_s = 1.0\nfills_lag_s = 1.0")
    running.submit(newOrderClientId="taken", orderMethod="market", quantity="500")
    order(running, "resting")

    assert running.data("users/transactions/trade") == []
    assert running.data("openOrders", pairSymbol="BTCTRY")["bids"] == []
    assert running.truth("trades")
    until(lambda: running.data("users/transactions/trade"))
    until(lambda: running.data("openOrders", pairSymbol="BTCTRY")["bids"])


def test_the_clock_may_be_wrong_and_then_judges_stamps(begin: Begin) -> None:
    running = begin("clock_offset_s = 8.0")

    ahead_ms = running.get("/api/v2/server/time")["serverTime"] - time.time() * 1_000
    assert 7_000 < ahead_ms < 9_000
    assert running.call("GET", "users/balances").status_code == 401


# --- sockets ----------------------------------------------------------------------------------


@contextlib.contextmanager
def private(running: Running) -> Iterator[ClientConnection]:
    with talk(running) as connection:
        hear(connection, 991)
        assert login(connection, running)[1]["ok"]
        yield connection


def heard(connection: Any, seconds: float) -> list[Any]:
    """Return every frame that comes within so long."""
    found, give_up = [], time.monotonic() + seconds
    with contextlib.suppress(TimeoutError):
        while True:
            found.append(json.loads(connection.recv(max(0.0, give_up - time.monotonic()))))
    return found


@pytest.mark.parametrize(("rates", "times"), [("", 1), ("frames_repeated = 1.0", 2)])
def test_private_frames_come_once_or_are_repeated(begin: Begin, rates: str, times: int) -> None:
    running = begin(rates)
    with private(running) as connection:
        order(running, "a")
        assert [frame[0] for frame in heard(connection, 0.5)].count(451) == times


def test_private_frames_are_lost_or_late(begin: Begin) -> None:
    lost = begin("frames_lost = 1.0")
    with private(lost) as connection:
        order(lost, "a")
        assert heard(connection, 0.6) == []

    late = begin("frames_late = 1.0")
    with private(late) as connection:
        began = time.monotonic()
        order(late, "a")
        hear(connection, 451, seconds=8)
        assert time.monotonic() - began >= 0.2


def test_a_silent_socket_lives_and_says_nothing(begin: Begin) -> None:
    running = begin("[silence]\nevery_s = 1\nlasts_s = 1")
    with private(running) as connection:
        join(connection, "orderbook", "BTCTRY")
        hear(connection, 100, 431)  # A join is answered.
        order(running, "a")
        assert heard(connection, 2) == []
        assert connection.ping().wait(5)


def test_a_lost_difference_leaves_a_gap_in_the_change_sets(begin: Begin) -> None:
    running = begin("books_lost = 0.7")
    with talk(running) as connection:
        join(connection, "obdiff", "BTCTRY")
        frames = [hear(connection, 432, seconds=20)[0][1]["CS"] for _ in range(6)]
    assert frames != list(range(frames[0], frames[0] + 6))


def test_sockets_are_broken_off_without_a_closing_frame(begin: Begin) -> None:
    running = begin("[cuts]\nevery_s = 1.5\nlasts_s = 0.2")
    with talk(running) as connection:
        with pytest.raises(ConnectionClosedError) as closed:
            heard(connection, 10)
        assert closed.value.rcvd is None


def test_maintenance_answers_everything_with_a_page_and_closes_sockets(begin: Begin) -> None:
    running = begin("[maintenance]\nevery_s = 5\nlasts_s = 5")

    with pytest.raises((ConnectionClosed, InvalidStatus, OSError)), talk(running) as connection:
        heard(connection, 10)
    for answer in (running.http.get("/api/v2/server/time"), order(running, "a")):
        assert (answer.status_code, answer.headers["Content-Type"]) == (503, "text/html")
    assert labels(running) == []
    heal(running)
    assert order(running, "a").status_code == 200


# --- all of it --------------------------------------------------------------------------------


def test_another_profile_is_taken_while_it_runs_and_a_wrong_name_is_refused(begin: Begin) -> None:
    running = begin("read_limited = 1.0")
    answer = running.http.post("/__truth__/faults", json={"faults": "worst"})
    assert answer.status_code == 400
    assert "calm, flaky, hostile" in answer.json()["message"]
    assert running.http.get("/api/v2/server/time").status_code == 429
    heal(running)
    assert running.http.get("/api/v2/server/time").status_code == 200


def test_it_ends_cleanly_while_somebody_waits_for_an_answer_that_never_comes(begin: Begin) -> None:
    running = begin("submit_silent = 1.0")
    running.http.timeout = httpx.Timeout(15)

    def wait() -> None:
        with pytest.raises(httpx.TransportError):
            order(running, "a")

    waiting = threading.Thread(target=wait)
    waiting.start()
    until(lambda: labels_of(running.url) == ["a"])

    assert running.end() == 0
    waiting.join(10)
    assert not waiting.is_alive()


def labels_of(url: str) -> list[str]:
    found = httpx.get(f"{url}/__truth__/orders", trust_env=False).json()
    return [row["client_id"] for row in found]
