"""Private frames: each documented one rings for its order, anything else rings for nobody."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcbot.btcturk import frames, private_frames
from btcbot.btcturk.grammar import WireError
from btcbot.domain.ids import OrderId
from btcbot.domain.venue import Doorbell

ORDER = {
    "pairId": 317, "symbol": "HNTUSDT", "id": 26_947_521_557, "method": 0, "userId": 100_001,
    "orderType": 1, "price": "5.7192", "amount": "174.84", "numLeft": "174.84",
    "denomLeft": "998.9449830720000401", "newOrderClientId": "bot-000006",
}  # fmt: skip
MATCH = {
    "type": 441, "id": 7_968_322_274, "user": 100_001, "isBid": False, "method": 0, "pair": 62,
    "symbol": "DOTUSDT", "amount": "0.6393864025", "price": "20.9700000000", "clientId": "e3",
}  # fmt: skip
TRADE = {
    "id": 1_149_163_839_863_900_657, "orderId": 25_327_923_517, "timestamp": 1_729_396_570_700,
    "numeratorSymbol": "APE", "denominatorSymbol": "USDT", "amount": "-205.24",
    "fee": "-0.10467240", "tax": "-0.02093448", "price": "1.020", "orderType": "sell",
    "orderClientId": None, "preciseAmount": -205.24,
}  # fmt: skip


def private(kind: int, body: Any) -> Doorbell | None:
    return private_frames.private(*frames.split(json.dumps([kind, body])))


@pytest.mark.parametrize("kind", [451, 452, 453])
def test_a_frame_of_an_order_rings_for_it(kind: int) -> None:
    body = {"type": kind, **ORDER, "time": 1}  # A field that nobody told us of does no harm.

    assert private(kind, body) == Doorbell(order_id=OrderId(26_947_521_557))


def test_a_match_an_own_trade_and_a_balance_ring() -> None:
    assert private(441, MATCH) == Doorbell(order_id=OrderId(7_968_322_274))
    assert private(423, TRADE) == Doorbell(order_id=OrderId(25_327_923_517))
    assert private(201, {"type": 201, "userId": 1, "payload": "order"}) == Doorbell(order_id=None)


@pytest.mark.parametrize("kind", [100, 114, 422, 432, 801, 991, 4_711])
def test_other_frames_ring_for_nobody(kind: int) -> None:
    assert private(kind, {"type": kind}) is None


@pytest.mark.parametrize(
    ("kind", "body"),
    [(kind, {"type": kind, **ORDER}) for kind in (451, 452, 453)]
    + [(441, MATCH), (423, TRADE), (201, {"type": 201, "userId": 1, "payload": "x"})],
)
def test_a_frame_that_lacks_a_field_or_has_another_type_is_refused(kind: int, body: Any) -> None:
    optional = {"newOrderClientId", "clientId", "orderClientId"}
    for name in body:
        with pytest.raises(WireError):
            private(kind, {**body, name: [1]})
        if name not in optional:
            with pytest.raises(WireError):
                private(kind, {other: value for other, value in body.items() if other != name})


@pytest.mark.parametrize(
    "changes",
    [{"price": "1e5"}, {"amount": "NaN"}, {"numLeft": ""}, {"denomLeft": "1,5"}, {"id": 0},
     {"id": 1 << 63}, {"id": 5.0}, {"type": 452}],
)  # fmt: skip
def test_an_order_with_a_number_outside_the_grammar_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        private(451, {"type": 451, **ORDER, **changes})


@pytest.mark.parametrize(
    "changes",
    [{"preciseAmount": 205.24}, {"preciseAmount": "x"}, {"orderType": "hold"}, {"fee": "-"},
     {"timestamp": -1}, {"orderId": 1.5}],
)  # fmt: skip
def test_an_own_trade_that_contradicts_itself_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        private(423, {**TRADE, **changes})


def test_a_trade_whose_rounded_amount_is_nothing_is_read() -> None:
    assert private(423, {**TRADE, "amount": "0", "preciseAmount": -0.000001}) is not None


def test_the_answer_to_a_login_is_read() -> None:
    good = frames.split('[114,{"ok":true,"message":null}]')[1]
    bad = frames.split('[114,{"type":114,"ok":false,"message":"Invalid Signature"}]')[1]

    assert private_frames.login_answer(good)[0]
    assert private_frames.login_answer(bad) == (False, "Invalid Signature")


@given(
    at=st.integers(0, 300),
    junk=st.binary(max_size=8) | st.sampled_from([b"9" * 5_000, b"[" * 5_000, b"\\ud800"]),
    cut=st.integers(0, 8),
    frame=st.sampled_from([(441, MATCH), (423, TRADE), (451, {"type": 451, **ORDER})]),
)
def test_a_garbled_frame_is_read_or_refused_and_nothing_else(
    at: int, junk: bytes, cut: int, frame: tuple[int, Any]
) -> None:
    raw = json.dumps(frame).encode()
    try:
        kind, body = frames.split(raw[:at] + junk + raw[at + cut :])
        private_frames.private(kind, body)
    except WireError as error:
        assert len(str(error)) < 400  # noqa: PT017 - most are read
