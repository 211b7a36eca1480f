"""The shared captures of the exchange's answers and frames, where they are at hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from btcbot.btcturk import charts, frames, public_frames, wire
from btcbot.btcturk.auth import KeyPair
from btcbot.btcturk.classify import classify
from btcbot.btcturk.drift import KNOWN, unknown_fields
from btcbot.btcturk.rules import instruments
from btcbot.domain.ids import ClientOrderId, IntentId, Pair
from btcbot.domain.venue import Doorbell, Outcome

SAMPLES = Path("/work/shared/btcturk-samples")
pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no samples in {SAMPLES}")


def sample(name: str) -> bytes:
    return (SAMPLES / f"{name}.json").read_bytes()


def tree(name: str) -> Any:
    return json.loads(sample(name))


def names(pattern: str) -> list[str]:
    return sorted(path.stem for path in SAMPLES.glob(pattern)) or ["none"]


def test_every_answer_we_use_is_read() -> None:
    pair = Pair("BTCUSDT")

    assert len(wire.balances(sample("rest-balances"))) > 0
    assert {row.client_id for row in wire.open_orders(sample("rest-openorders"), pair)}
    assert wire.open_orders(sample("rest-openorders-empty"), pair) == ()
    assert len(wire.all_orders(sample("rest-allorders"), pair)) == 3
    stop, child = wire.all_orders(sample("rest-allorders-stop-triggered"), pair)
    assert (stop.status, child.status) == ("Canceled", "Closed")
    assert child.left == 0
    assert wire.order(sample("rest-order-get")).order_id
    assert [str(fill.quantity) for fill in wire.fills(sample("rest-transactions-trade"))] == [
        "0.33840811",
        "146.6727",
    ]
    assert wire.fills(sample("rest-transactions-trade-empty")) == ()
    bids, asks, event_ns = wire.book(sample("rest-orderbook"))
    assert event_ns > 0
    assert len(bids) == len(asks) == 3
    assert wire.server_ms(sample("rest-server-time")) == 1_790_133_600_027


def test_candles_of_the_charts_are_read() -> None:
    assert len(charts.candles(sample("rest-graph-klines-history"))) == 2
    assert charts.candles(sample("rest-graph-klines-no-data")) == ()


def test_exchange_info_is_read_whole() -> None:
    found, wrong = instruments(sample("rest-exchangeinfo"))

    assert wrong == ()
    assert {rules.price_scale for rules in found if rules.pair == "BTCTRY"} == {0}


def test_the_reply_to_a_submit_proves_its_order() -> None:
    client = tree("rest-order-submit-response")["data"]["newOrderClientId"]
    body = sample("rest-order-submit-response")

    assert classify(IntentId("i"), ClientOrderId(client), 200, body).outcome is Outcome.ACKED
    assert classify(IntentId("i"), ClientOrderId("x"), 200, body).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("name", names("error-*"))
def test_errors_are_judged(name: str) -> None:
    status = int(name.split("-")[1])
    outcome = classify(IntentId("i"), ClientOrderId("b1-abcde-label"), status, sample(name)).outcome

    doubtful = ("unknown-pair", "missing-param", "cancel", "not-found", "system")
    is_doubtful = any(word in name for word in doubtful)
    assert outcome is (Outcome.UNKNOWN if is_doubtful else Outcome.REJECTED)


@pytest.mark.parametrize("name", names("ws-[0-9]*"))
def test_every_frame_is_read_or_ignored(name: str) -> None:
    kind, body = frames.split(sample(name))

    assert kind in frames.KNOWN_TYPES or kind == 111
    public_frames.read(sample(name), {"BTCTRY"})
    bell = frames.private(kind, body)
    assert isinstance(bell, Doorbell) == (kind in {201, 423, 441, 451, 452, 453})


def test_a_chain_of_frames_is_consecutive() -> None:
    chain = [json.dumps(frame) for frame in tree("ws-chain-obdiff")["frames"]]
    messages: list[Any] = [public_frames.read(frame.encode(), ())[1] for frame in chain]

    assert [message.change_set for message in messages] == [100, 101, 102]


def test_captures_show_no_drift() -> None:
    kinds = {
        "balances": ["rest-balances"], "order": ["rest-order-get"],
        "open_orders": ["rest-openorders"], "all_orders": ["rest-allorders"],
        "trades": ["rest-transactions-trade"], "order_book": ["rest-orderbook"],
        "time": ["rest-server-time"], "frame": names("ws-4[0-3]*"),
    }  # fmt: skip
    for kind, files in kinds.items():
        for name in files:
            if name != "ws-423-user-trade":
                assert unknown_fields(sample(name), KNOWN[kind]) == set(), name


def test_vectors_of_the_file_are_ours() -> None:
    vectors = tree("auth-vectors")
    for row in vectors["rest"]:
        assert KeyPair(row["apiKey"], row["secretBase64"]).sign(row["stamp"]) == row["signature"]
    for row in vectors["websocket"]:
        assert KeyPair(row["publicKey"], row["secretBase64"]).sign(row["nonce"]) == row["signature"]
