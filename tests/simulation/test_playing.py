"""A recording as the sandbox's market, over real sockets; by `btcbot sandbox` and by the fleet."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from btcbot.cli import exits
from btcbot.cli.fleet import make_folders
from btcbot.config import Config, freeze
from btcbot.domain.ids import Pair
from btcbot.sections import Sandbox as SandboxConfig
from btcbot.simulation import defaults
from tests.backtest.tapes import START_NS, depth_rows, l2_recording, quote_rows, walk, write
from tests.simulation.conftest import Json, Running, Start
from tests.simulation.test_socket import hear, join, talk

FAST = ("--speed", "20")
POLL_S = 0.4  # The exchange allows 180 looks at the book a minute.


def middle_of(running: Running, pair: str = "BTCTRY") -> Decimal:
    book = running.get("/api/v2/orderbook", pairSymbol=pair)["data"]
    return (Decimal(book["bids"][0][0]) + Decimal(book["asks"][0][0])) / 2


def test_rest_shows_the_books_of_the_recording_and_nothing_else(
    start: Start, tmp_path: Path
) -> None:
    tape = write(tmp_path / "tape.jsonl", depth_rows(seed=5))
    running = start("--data", str(tape), *FAST)
    recorded = {Decimal(middle) for middle in walk(5, 600)}
    seen: set[Decimal] = set()

    give_up = time.monotonic() + 20
    while len(seen) < 5 and time.monotonic() < give_up:
        # Both sides' nearest levels stand 5 off the middle; on ticks of 10 that is 10 apart.
        book = running.get("/api/v2/orderbook", pairSymbol="BTCTRY")["data"]
        bid, ask = Decimal(book["bids"][0][0]), Decimal(book["asks"][0][0])
        assert bid < ask
        assert any(abs(middle - (bid + ask) / 2) <= 10 for middle in recorded)
        seen.add((bid + ask) / 2)
        time.sleep(POLL_S)

    assert len(seen) == 5


def test_the_socket_tells_books_and_trades_of_the_recording(start: Start, tmp_path: Path) -> None:
    tape = write(tmp_path / "tape.jsonl.gz", depth_rows(seed=6))
    running = start("--data", str(tape), *FAST)

    with talk(running) as connection:
        join(connection, "orderbook", "BTCTRY")
        join(connection, "trade", "BTCTRY")
        [book, trade] = hear(connection, 431, 422, seconds=20)

    levels = {Decimal(row["A"]) for row in book[1]["BO"]}
    assert levels
    assert levels <= {Decimal(n) / 10_000 for n in range(1, 901)}
    assert Decimal(trade[1]["A"]) == Decimal("0.01")
    assert abs(Decimal(trade[1]["P"]) - 4_000_000) < 50_000


def test_the_recording_begins_again_at_its_end(start: Start, tmp_path: Path) -> None:
    rows = [
        "recv_ns,bid,bid_qty,ask,ask_qty",
        f"{START_NS},3990000,0.1,3990100,0.1",
        f"{START_NS + 10**9},4000000,0.1,4000100,0.1",
        f"{START_NS + 2 * 10**9},4010000,0.1,4010100,0.1",
    ]
    running = start("--data", str(write(tmp_path / "tape.csv", rows)))
    turns: list[int] = []

    give_up = time.monotonic() + 30
    while turns.count(3_990_000) < 3 and time.monotonic() < give_up:
        bid = running.bid()
        if not turns or turns[-1] != bid:
            turns.append(bid)
        time.sleep(POLL_S)

    assert turns.count(3_990_000) >= 3
    assert set(turns) == {3_990_000, 4_000_000, 4_010_000}


def test_other_pairs_keep_their_synthetic_market(start: Start, tmp_path: Path) -> None:
    tape = write(tmp_path / "tape.csv", quote_rows(seconds=20))
    running = start("--data", str(tape), "--pairs", "ETHTRY,BTCTRY")

    # The first pair is played: as a foreign market, mapped to what ETHTRY costs.
    assert abs(middle_of(running, "ETHTRY") - 150_000) < 5_000
    depth = running.get("/api/v2/orderbook", pairSymbol="BTCTRY")["data"]
    assert len(depth["bids"]) > 5
    assert len(running.get("/api/v2/orderbook", pairSymbol="ETHTRY")["data"]["bids"]) == 1


def test_an_order_is_filled_from_the_recorded_book(start: Start, tmp_path: Path) -> None:
    tape = write(tmp_path / "tape.jsonl", depth_rows(seed=7))
    running = start("--data", str(tape), *FAST)

    answer = running.submit(
        quantity="0.002", price=str(running.bid() * 101 // 1000 * 10), newOrderClientId="x"
    )

    assert answer.status_code == 200, answer.text
    [trade] = running.truth("trades")
    assert abs(Decimal(str(trade["price"])) - 4_000_000) < 100_000


def test_the_full_depth_recording_plays(start: Start) -> None:
    data = [part for path in l2_recording() for part in ("--data", str(path))]
    running = start(*data, "--speed", "20")
    first = middle_of(running)

    with talk(running) as connection:
        join(connection, "obdiff", "BTCTRY")
        join(connection, "trade", "BTCTRY")
        full, moved, trade = hear(connection, 431, 432, 422, seconds=20)

    assert abs(first - defaults.START_PRICES[Pair("BTCTRY")]) < 40_000
    assert len(full[1]["BO"]) == len(full[1]["AO"]) == 100
    assert moved[1]["CS"] > full[1]["CS"]
    assert Decimal(trade[1]["P"]) > 0


@pytest.mark.parametrize(
    ("name", "rows", "said"),
    [
        ("none.csv", None, "No such file"),
        ("bad.csv", ["recv_ns,bid,bid_qty,ask,ask_qty", "1,2,3"], "row 2"),
        ("empty.jsonl", [], "nothing here states a price"),
    ],
)
def test_a_recording_that_cannot_be_played_ends_with_78(
    tmp_path: Path, name: str, rows: list[str] | None, said: str
) -> None:
    if rows is not None:
        write(tmp_path / name, rows)

    done = subprocess.run(
        [Path(sys.executable).with_name("btcbot"), "sandbox", "--port", "0", "--data",
         tmp_path / name],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == exits.CONFIG
    assert name in done.stderr
    assert said in done.stderr


# --- the fleet's own sandbox ------------------------------------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def fleet_sandbox(config: Config) -> Iterator["subprocess.Popen[str]"]:
    """Run the sandbox as supervisord does."""
    make_folders(config)
    frozen = config.run / "config.json"
    frozen.write_bytes(freeze(config, "test"))
    for path, text in zip(config.key_files, (defaults.API_KEY, defaults.API_SECRET), strict=True):
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("BTCBOT_")}
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "btcbot.cli.process", "sandbox", str(frozen)],
        env=clean, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=10)


def answered(url: str, process: "subprocess.Popen[str]") -> Json:
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        assert process.poll() is None, process.communicate()
        try:
            return httpx.get(url, trust_env=False).json()
        except httpx.TransportError:
            time.sleep(0.05)
    raise TimeoutError(url)


def test_the_fleets_sandbox_plays_sandbox_data_for_the_first_pair(tmp_path: Path) -> None:
    rows = ["recv_ns,bid,bid_qty,ask,ask_qty"]
    rows += [f"{START_NS + n},3990000,0.1,3990100,0.1" for n in range(3)]
    config = Config(
        home=tmp_path / "h",
        pairs=(Pair("BTCTRY"),),
        sandbox=SandboxConfig(port=free_port(), data=write(tmp_path / "tape.csv", rows)),
    )

    with fleet_sandbox(config) as process:
        url = f"{config.addresses.rest}/api/v2/orderbook?pairSymbol=BTCTRY"
        book = answered(url, process)["data"]

    [bid], [ask] = book["bids"], book["asks"]
    assert [Decimal(text) for text in (*bid, *ask)] == [
        Decimal(text) for text in ("3990000", "0.1", "3990100", "0.1")
    ]


def test_the_fleets_sandbox_ends_with_78_when_its_recording_is_broken(tmp_path: Path) -> None:
    tape = write(tmp_path / "tape.csv", ["recv_ns,bid,bid_qty,ask,ask_qty", "1,2"])
    config = Config(home=tmp_path / "h", sandbox=SandboxConfig(port=free_port(), data=tape))

    with fleet_sandbox(config) as process:
        _, said = process.communicate(timeout=60)

    assert process.returncode == exits.CONFIG
    assert "tape.csv, row 2" in said
