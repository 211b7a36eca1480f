"""Every sample of the real exchange's answers and frames is read by the client, none left out."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from btcbot.btcturk import (
    account,
    exchange_info,
    frames,
    private_frames,
    public,
    public_frames,
    wire,
)
from btcbot.btcturk.auth import KeyPair
from btcbot.btcturk.classify import classify
from btcbot.btcturk.drift import KNOWN, unknown_fields
from btcbot.btcturk.rules import instruments
from btcbot.domain.ids import ClientOrderId, IntentId, Pair
from btcbot.domain.venue import Doorbell, Outcome
from tests.btcturk.captures import COPY, SHARED, names, sample, tree

PAIR = Pair("BTCTRY")
# Each answer: who reads it, and under which name `drift.py` knows its fields.
READERS: dict[str, tuple[Callable[[bytes], Any], str]] = {
    "rest-server-time": (public.server_time, "time"),
    "rest-server-ping": (public.ping, ""),
    "rest-exchangeinfo": (exchange_info.exchange_info, "exchange_info"),
    "rest-ticker": (public.tickers, "ticker"),
    "rest-ticker-unknown-pair": (public.tickers, "ticker"),
    "rest-ticker-currency": (public.tickers, "ticker"),
    "rest-orderbook": (public.order_book, "order_book"),
    "rest-trades": (public.public_trades, "public_trades"),
    "rest-ohlc-v2-daily": (public.daily, "daily"),
    "rest-graph-ohlcs": (public.chart_days, "chart_days"),
    "rest-graph-klines-history": (public.candles, "candles"),
    "rest-graph-klines-no-data": (public.candles, "candles"),
    "rest-balances": (account.balances, "balances"),
    "rest-transactions-trade": (wire.fills, "trades"),
    "rest-transactions-trade-empty": (wire.fills, "trades"),
    "rest-transactions-crypto": (account.transfers, "crypto"),
    "rest-transactions-fiat": (account.transfers, "fiat"),
    "rest-openorders": (lambda body: wire.open_orders(body, PAIR), "open_orders"),
    "rest-openorders-empty": (lambda body: wire.open_orders(body, PAIR), "open_orders"),
    "rest-allorders": (lambda body: wire.all_orders(body, PAIR), "all_orders"),
    "rest-allorders-stop-triggered": (lambda body: wire.all_orders(body, PAIR), "all_orders"),
    "rest-order-get": (wire.order, "order"),
    "rest-order-submit-response": (wire.submitted, ""),
    "rest-order-cancel-response": (wire.verdict, ""),
}
EMPTY = ("unknown-pair", "no-data", "empty")
ELSEWHERE = {  # Read by tests of their own, below or beside this file.
    "auth-vectors", "ws-chain-obdiff", "ws-chain-private-order",
    "rest-order-submit-request-limit", "rest-order-submit-request-market-buy",
    "rest-order-submit-request-market-sell", "rest-order-submit-request-stoplimit",
}  # fmt: skip


def test_no_sample_is_left_out() -> None:
    judged = {*READERS, *ELSEWHERE, *names("error-*"), *names("ws-[0-9]*")}

    assert set(names()) == judged


def test_our_copy_is_the_shared_folder() -> None:
    if not SHARED.is_dir():
        pytest.skip(f"no shared samples at {SHARED}: our copy is all there is")
    ours = {path.name: json.loads(path.read_bytes()) for path in COPY.glob("*.json")}

    assert ours == {path.name: json.loads(path.read_bytes()) for path in SHARED.glob("*.json")}


@pytest.mark.parametrize("name", sorted(READERS))
def test_every_answer_is_read_and_holds_nothing_unknown(name: str) -> None:
    read, kind = READERS[name]
    found = read(sample(name))

    assert bool(found) is not any(word in name for word in EMPTY)
    assert not kind or unknown_fields(sample(name), KNOWN[kind]) == set()
    assert not list(floats_in(found))


def floats_in(value: Any) -> list[float]:
    """Return every float anywhere in a parsed answer."""
    if isinstance(value, float):
        return [value]
    if isinstance(value, tuple | list):
        return [found for part in value for found in floats_in(part)]
    if hasattr(value, "__struct_fields__"):
        return [f for name in value.__struct_fields__ for f in floats_in(getattr(value, name))]
    return []


def test_figures_are_exact() -> None:
    [ticker] = public.tickers(sample("rest-ticker"))
    assert ticker.daily == ticker.ask - ticker.open == 29_711
    assert (ticker.volume, ticker.daily_percent) == (Decimal("27.81911204"), Decimal("0.74"))
    info = exchange_info.exchange_info(sample("rest-exchangeinfo"))
    assert [row.deposit_min for row in info.currencies] == [0, Decimal("0.000005")]
    assert [row.asset for row in info.blocks] == ["BTC", "ETH"]
    assert info.pairs[1].limit_price_min == Decimal("4.7832")
    newest = public.public_trades(sample("rest-trades"))[0]
    assert (newest.trade_id, newest.quantity) == (101_963_779_399_182_809, Decimal("0.00687442"))
    [day] = public.chart_days(sample("rest-graph-ohlcs"))
    assert day.turnover == Decimal("9634561.91977406")
    assert day.change == Decimal(570)
    assert public.server_time(sample("rest-server-time")).ms == 1_790_133_600_027
    lira = account.balance_rows(sample("rest-balances"))[0]
    assert (lira.name, lira.in_orders) == ("Türk Lirası", Decimal("4874.3628685722294523"))  # noqa: RUF001
    assert account.transfers(sample("rest-transactions-crypto"))[0].amount == Decimal("-146.7576")
    fills = wire.fills(sample("rest-transactions-trade"))
    assert [str(fill.quantity) for fill in fills] == ["0.33840811", "146.6727"]


def test_a_triggered_stop_is_cancelled_and_its_child_has_its_client_id() -> None:
    stop, child = wire.all_orders(sample("rest-allorders-stop-triggered"), PAIR)

    assert (stop.status, stop.method) == ("Canceled", "stopmarket")
    assert (child.status, child.method) == ("Closed", "market")
    assert child.left == Decimal(0)
    assert stop.client_id == child.client_id
    assert child.created_ms == stop.updated_ms


def test_exchange_info_gives_the_rules_of_every_pair() -> None:
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
    said = wire.verdict(sample(name))
    assert said is not None
    assert said.says_not_found == (
        name in {"error-400-order-not-found", "error-400-cancel-no-match"}
    )


@pytest.mark.parametrize("name", names("ws-[0-9]*"))
def test_every_frame_is_read_or_ignored(name: str) -> None:
    kind, body = frames.split(sample(name))

    assert kind in frames.KNOWN_TYPES or kind == 111
    public_frames.read(sample(name), {"BTCTRY"})
    bell = private_frames.private(kind, body)
    assert isinstance(bell, Doorbell) == (kind in private_frames.KINDS)
    if isinstance(bell, Doorbell):
        assert unknown_fields(bytes(body), KNOWN["private_frame"]) == set()
    if kind == 114 and "request" not in name:
        assert private_frames.login_answer(body)[0] == name.endswith("ok")


@pytest.mark.parametrize("name", names("ws-4[0-3]*"))
def test_public_frames_hold_nothing_unknown(name: str) -> None:
    if name != "ws-423-user-trade":
        assert unknown_fields(sample(name), KNOWN["frame"]) == set()


def test_a_chain_of_frames_is_consecutive() -> None:
    chain = [json.dumps(frame) for frame in tree("ws-chain-obdiff")["frames"]]
    messages: list[Any] = [public_frames.read(frame.encode(), ())[1] for frame in chain]

    assert [message.change_set for message in messages] == [100, 101, 102]


def test_every_frame_of_an_orders_life_rings_for_it() -> None:
    chain = tree("ws-chain-private-order")
    rung = [private_frames.private(*frames.split(json.dumps(f))) for f in chain["frames"]]

    assert [bell.order_id for bell in rung if bell] == [7_968_322_274] * 3
    matched = [Decimal(body["amount"]) for kind, body in chain["frames"] if kind == 441]
    assert sum(matched) == Decimal(chain["expected"]["filled"])


def test_vectors_of_the_file_are_ours() -> None:
    vectors = tree("auth-vectors")
    for row in vectors["rest"]:
        assert KeyPair(row["apiKey"], row["secretBase64"]).sign(row["stamp"]) == row["signature"]
    for row in vectors["websocket"]:
        assert KeyPair(row["publicKey"], row["secretBase64"]).sign(row["nonce"]) == row["signature"]
