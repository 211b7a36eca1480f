"""Spoilt answers of the exchange: read or refused by every decoder, and nothing else."""

from decimal import Decimal
from typing import Any

import pytest

from btcbot.domain.ids import IntentId
from btcbot.domain.venue import Outcome, Submitted
from tests.btcturk import fuzz
from tests.btcturk.mutations import Mutator

COUNT = 50_000


@pytest.mark.timeout(300)
def test_fifty_thousand_spoilt_bodies_break_nothing() -> None:
    counts = fuzz.run(COUNT, seed=20_261_126)

    for name in (*fuzz.REST, *fuzz.FRAMES):
        # It was given what it can read and what it cannot: neither check was idle.
        assert counts[name, "read"] > 20, name
        assert counts[name, "refused"] > 20, name
    assert {outcome for name, outcome in counts if name == "classify"} == {
        "acked",
        "rejected",
        "unknown",
    }


def test_one_seed_spoils_in_one_way() -> None:
    first, second = ([Mutator(7).spoil(b'{"a":[1,{"b":"2"}]}')] for _ in range(2))

    assert first == second
    assert fuzz.run(300, 5) == fuzz.run(300, 5)
    assert fuzz.run(300, 5) != fuzz.run(300, 6)


@pytest.mark.parametrize(
    ("name", "read", "words"),
    [
        ("raises", lambda _: 1 // 0, "ZeroDivisionError"),
        ("float", lambda _: (1, [0.5]), "the float 0.5"),
        ("nan", lambda _: Decimal("NaN"), "the number NaN"),
        ("long", lambda _: 1 << 64, "the integer"),
    ],
)
def test_a_decoder_that_breaks_a_promise_is_seen(name: str, read: Any, words: str) -> None:
    with pytest.raises(fuzz.Broken, match=words):
        fuzz.Fuzz(1)._read(name, read, b"{}")


@pytest.mark.parametrize(
    ("outcome", "status", "raw"),
    [
        (Outcome.NOT_SENT, 400, b"{}"),
        (Outcome.REJECTED, 400, b"<html>"),
        (Outcome.REJECTED, 504, b'{"success":false}'),
        (Outcome.REJECTED, 400, b'{"data":{"id":5}}'),
        (Outcome.REJECTED, 400, b'{"message":"' + fuzz.LABEL.encode() + b'"}'),
        (Outcome.ACKED, 200, b'{"data":{"id":5,"newOrderClientId":"x"}}'),
    ],
)
def test_a_verdict_that_proves_too_much_is_seen(outcome: Outcome, status: int, raw: bytes) -> None:
    judged = Submitted(intent_id=IntentId("i"), outcome=outcome)

    assert fuzz.wrong_verdict(judged, status, raw)
