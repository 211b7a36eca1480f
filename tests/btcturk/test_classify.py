"""The outcome table of a submit: every row, and the promise behind it, fuzzed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcbot.btcturk.classify import REFUSAL_CODES, REFUSALS, classify
from btcbot.domain.ids import ClientOrderId, IntentId
from btcbot.domain.venue import Outcome, Submitted

INTENT = IntentId("abcdefghijklmnopqrstuvwxyz")
CLIENT = ClientOrderId("b1-abcde-abcdefghijklmnopqrstuvwxyz")
HTML = "<html><head><title>504 Gateway Time-out</title></head></html>"


def judge(status: int, body: Any) -> Submitted:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return classify(INTENT, CLIENT, status, raw)


def accepted(**changes: Any) -> dict[str, Any]:
    data = {
        "id": 26_947_521_557,
        "datetime": 1_787_525_058_187,
        "type": "buy",
        "method": "limit",
        "price": "3700000",
        "stopPrice": None,
        "quantity": "0.0001",
        "pairSymbol": "BTCTRY",
        "pairSymbolNormalized": "BTC_TRY",
        "newOrderClientId": CLIENT,
    }
    return {"data": {**data, **changes}, "success": True, "message": "SUCCESS", "code": 0}


def no(message: str | None, code: Any, **more: Any) -> dict[str, Any]:
    return {"success": False, "message": message, "code": code, **more}


def test_an_order_that_echoes_our_label_is_acked() -> None:
    outcome = judge(200, accepted())

    assert outcome.outcome is Outcome.ACKED
    assert outcome.order_id == 26_947_521_557


@pytest.mark.parametrize(
    "body",
    [
        accepted(newOrderClientId="b1-abcde-somebodyelses"),
        accepted(newOrderClientId=None),
        accepted(newOrderClientId=CLIENT.upper()),
        accepted(id="26947521557"),
        accepted(id=0),
        accepted(id=-1),
        accepted(id=1 << 63),
        accepted(id=1.5),
        accepted(id=True),
        {**accepted(), "success": False},
        {**accepted(), "success": None},
        {"success": True, "message": "SUCCESS", "code": 0},
        {"success": True, "data": None},
        [accepted()],
        "accepted",
        7,
        None,
    ],
)
def test_a_200_that_does_not_prove_our_order_is_unknown(body: Any) -> None:
    assert judge(200, body).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("body", [b"", b" ", b"{", b"\xff\xfe", HTML.encode(), b"[" * 9_999])
@pytest.mark.parametrize("status", [200, 400, 401, 429, 500, 504])
def test_what_is_not_the_exchanges_json_is_unknown_and_says_so(status: int, body: bytes) -> None:
    outcome = judge(status, body)

    assert outcome.outcome is Outcome.UNKNOWN
    assert f"HTTP {status}" in outcome.detail
    assert len(outcome.detail) < 300


@pytest.mark.parametrize("text", sorted(REFUSALS))
@pytest.mark.parametrize("status", [200, 400])
def test_a_reviewed_text_is_a_refusal_whatever_its_number(status: int, text: str) -> None:
    outcome = judge(status, no(text, 9_999, data=None, httpStatusCode=400))

    assert (outcome.outcome, outcome.detail) == (Outcome.REJECTED, text)
    assert outcome.code == "9999"


@pytest.mark.parametrize("code", sorted(REFUSAL_CODES))
@pytest.mark.parametrize("text", [None, ""])
def test_without_a_text_a_reviewed_number_is_a_refusal(code: int, text: str | None) -> None:
    assert judge(400, no(text, code)).outcome is Outcome.REJECTED
    assert judge(400, no(text, str(code))).outcome is Outcome.REJECTED


@pytest.mark.parametrize(
    "body",
    [
        no("SYSTEM_ERROR", 1000),
        no("INVALID_REQUEST_ERROR", 1037),
        no("Something new", 1055),  # A number that was given to another meaning.
        no(None, 1121),
        no(None, None),
        no("BALANCE_NOT_ENOUGH", 1055, data={"id": 5}),
        no(f"BALANCE_NOT_ENOUGH for {CLIENT}", 1055),
        no("BALANCE_NOT_ENOUGH", 1055, clientId=CLIENT),
        {"message": "BALANCE_NOT_ENOUGH", "code": 1055},
        {"success": True, "message": "BALANCE_NOT_ENOUGH", "code": 1055},
        {"success": "false", "message": "BALANCE_NOT_ENOUGH", "code": 1055},
    ],
)
def test_any_other_400_is_unknown(body: Any) -> None:
    assert judge(400, body).outcome is Outcome.UNKNOWN


def test_a_401_of_the_api_is_a_refusal_that_counts_for_the_breaker() -> None:
    outcome = judge(401, {"success": True, "message": "Unauthorized - Invalid Nonce", "code": 1037})

    assert outcome.outcome is Outcome.REJECTED
    assert outcome.is_unauthorised


@pytest.mark.parametrize("body", [b"", b"{}", b'{"error": "login"}', HTML.encode()])
def test_a_401_of_anybody_else_is_unknown(body: bytes) -> None:
    assert judge(401, body).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    "body",
    [
        no("TOO_MANY_REQUESTS", 429, details="Quota exceeded.", limit="10", period="1s"),
        no("Too many requests", 429),
    ],
)
def test_a_429_of_the_api_is_a_refusal(body: Any) -> None:
    outcome = judge(429, body)

    assert (outcome.outcome, outcome.code) == (Outcome.REJECTED, "429")


@pytest.mark.parametrize("body", [{}, no("Slow down", 1), no("TOO_MANY_REQUESTS", 429, data=[1])])
def test_another_429_is_unknown(body: Any) -> None:
    assert judge(429, body).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("status", [100, 201, 204, 301, 307, 403, 404, 405, 408, 500, 503, 520])
@pytest.mark.parametrize("body", [no("BALANCE_NOT_ENOUGH", 1055), accepted()])
def test_no_other_status_proves_anything(status: int, body: Any) -> None:
    assert judge(status, body).outcome is Outcome.UNKNOWN


# --- the promise: nothing that could follow an accept is ever called a refusal ----------------

texts = st.sampled_from([*sorted(REFUSALS)[:3], "TOO_MANY_REQUESTS", "Unauthorized", "", "x"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
codes = st.sampled_from([0, 429, 1037, 1055, "1055", "SUCCESS", None]) | values
orders = st.fixed_dictionaries({"id": values | st.integers(1, 1 << 62)}, optional={"price": values})
statuses = st.sampled_from([200, 400, 401, 429]) | st.integers(100, 599)


@given(
    status=statuses,
    body=st.fixed_dictionaries(
        {"data": orders},
        optional={"success": st.booleans() | values, "message": texts | values, "code": codes},
    ),
)
def test_an_answer_with_an_order_in_it_is_never_a_refusal(status: int, body: Any) -> None:
    assert judge(status, body).outcome in {Outcome.UNKNOWN, Outcome.ACKED}


# An envelope of the exchange, which hypothesis knows from elsewhere here, may well be a refusal.
no_object = st.binary(max_size=200).filter(lambda body: b"{" not in body)


@given(status=statuses, body=no_object)
def test_bytes_of_any_kind_are_judged_and_never_refused(status: int, body: bytes) -> None:
    assert judge(status, body).outcome is Outcome.UNKNOWN


@given(status=statuses, body=values)
def test_json_of_any_kind_is_judged_and_never_acked_by_chance(status: int, body: Any) -> None:
    assert judge(status, body).outcome is Outcome.UNKNOWN


@given(
    status=statuses,
    cut=st.integers(0, 300),
    flip=st.none() | st.tuples(st.integers(0, 300), st.integers(0, 255)),
)
def test_an_acceptance_cut_short_or_garbled_is_never_a_refusal(
    status: int, cut: int, flip: tuple[int, int] | None
) -> None:
    raw = bytearray(json.dumps(accepted()).encode()[:cut])
    if flip is not None and flip[0] < len(raw):
        raw[flip[0]] = flip[1]

    assert judge(status, bytes(raw)).outcome in {Outcome.UNKNOWN, Outcome.ACKED}


def test_a_refusal_that_arrives_garbled_proves_nothing() -> None:
    refusal = json.dumps(no("BALANCE_NOT_ENOUGH", 1055, details="x")).encode()

    assert judge(400, refusal).outcome is Outcome.REJECTED
    for garbled in (b'"d\xd0\xe2ils": "x"', b'"details": "\xff"', b'"details": 1e999400'):
        body = refusal.replace(b'"details": "x"', garbled)
        assert body != refusal
        assert judge(400, body).outcome is Outcome.UNKNOWN
