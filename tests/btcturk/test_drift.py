"""What nobody told us of is counted and told once, and can neither grow nor break anything."""

import json

from btcbot.btcturk.drift import LOOK_EVERY, NAMES_MAX, Drift


def test_a_new_field_is_told_once_and_counted() -> None:
    told: list[str] = []
    drift = Drift(told.append)
    body = json.dumps({"data": [{"id": 1, "selfTradeMode": "x"}], "success": True})

    for _ in range(LOOK_EVERY + 1):
        drift.look("order", body)

    assert told == ["order: field 'selfTradeMode'"]
    assert drift.counts == {"order: field 'selfTradeMode'": 2}


def test_a_body_of_random_keys_does_not_fill_the_memory() -> None:
    told: list[str] = []
    drift = Drift(told.append)

    for number in range(NAMES_MAX * 2):
        drift.note(f"order status {number}")

    assert len(told) == len(drift.counts) == NAMES_MAX


def test_what_is_no_json_or_too_deep_is_let_be() -> None:
    told: list[str] = []

    for body in (b"", b"<html>", b"[" * 50_000, b"\xff", b'{"data":' * 900 + b"1" + b"}" * 900):
        Drift(told.append).look("time", body)

    assert told == []
