"""Signatures against the published vectors, and what a key pair never shows."""

import copy
import pickle

import pytest

from btcbot.btcturk.auth import KeyPair, is_signed

FIRST = KeyPair("test-public-key", "dGVzdC1zZWNyZXQta2V5LWZvci11bml0LXRlc3Rz")
SECOND = KeyPair(
    "11111111-2222-3333-4444-555555555555", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
)
UNDECODED = "38qSfoys8cvFpd0FBe50RUaqT6Dl3iMO7iyblkzlqnw="


@pytest.mark.parametrize(
    ("pair", "stamp", "signature"),
    [
        (FIRST, 1_735_689_600_000, "7gyFGcOS+qnq46h/rl83VtpaEAsh8Th3Z3lQrF7g2I0="),
        (SECOND, 1_700_000_000_000, "uIbieNveCKUVO8fHeBoNZw1c/jcNOaLQ1L7hOQpYIQ4="),
    ],
)
def test_signs_requests_like_the_published_vectors(
    pair: KeyPair, stamp: int, signature: str
) -> None:
    assert pair.sign(stamp) == signature
    assert is_signed(pair, stamp, signature)
    assert not is_signed(pair, stamp + 1, signature)


def test_never_uses_the_secret_as_text() -> None:
    assert FIRST.sign(1_735_689_600_000) != UNDECODED


@pytest.mark.parametrize(
    ("pair", "signature"),
    [
        (FIRST, "uLpuzhycwQqE+aC+WnmBoPSIyBrCPo4I0pyJyq6uF98="),
        (SECOND, "LQLqy4DLHVfwTujp7LNhQHe9efYXzHkWYPiVy5oIOVI="),
    ],
)
def test_signs_the_login_over_key_and_nonce_not_the_time(pair: KeyPair, signature: str) -> None:
    kind, body = pair.login(1_700_000_000_000)

    assert kind == 114
    assert body == {
        "type": 114,
        "publicKey": pair.key,
        "timestamp": 1_700_000_000_000,
        "nonce": 3_000,
        "signature": signature,
    }


def test_headers_carry_key_stamp_and_signature() -> None:
    assert FIRST.headers(1_735_689_600_000) == {
        "X-PCK": "test-public-key",
        "X-Stamp": "1735689600000",
        "X-Signature": "7gyFGcOS+qnq46h/rl83VtpaEAsh8Th3Z3lQrF7g2I0=",
        "Content-Type": "application/json",
    }


@pytest.mark.parametrize("key", ["", "a b", "a\r\nX-Other: 1", "anahtar-ğ", "k" * 201])
def test_refuses_a_key_that_cannot_stand_in_a_header(key: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII") as caught:
        KeyPair(key, "AAEC")
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize("secret", ["", "not base64!", "AAE", "gizli-ş"])
def test_refuses_a_secret_that_is_not_base64_without_quoting_it(secret: str) -> None:
    with pytest.raises(ValueError, match="API secret") as caught:
        KeyPair("key", secret)
    assert not secret or secret not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_shows_neither_key_nor_secret_and_is_never_copied() -> None:
    assert repr(FIRST) == str(FIRST) == "KeyPair(hidden)"
    for give_away in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="never"):
            give_away(FIRST)
