"""BTCTurk's signatures: base64(HMAC-SHA256(base64-decoded secret, key + stamp)); nothing else.

Method, path and body are not signed, so captured headers open anything until the stamp is 5 s old:
they are never logged and every request has a stamp of its own.
"""

import base64
import hmac
import re
from typing import Final, NoReturn, Protocol

STAMP_WINDOW_MS: Final = 5_000
LOGIN_NONCE: Final = 3_000  # Of every published example; it is signed, the time is not.
_KEY: Final = re.compile(r"[!-~]{1,200}", re.ASCII)


class KeyPair:
    """A public key and its secret; `repr` hides both, pickling and copying raise TypeError."""

    __slots__ = ("_secret", "key")

    def __init__(self, key: str, secret: str) -> None:
        """Take the secret as BTCTurk shows it. Raises ValueError, which quotes neither."""
        if not _KEY.fullmatch(key):
            raise ValueError("the API key is not 1 to 200 visible ASCII characters")
        self.key = key
        try:
            self._secret = base64.b64decode(secret, validate=True)
        except ValueError:
            raise ValueError("the API secret is not base64 text as BTCTurk shows it") from None
        if not self._secret:
            raise ValueError("the API secret is empty")

    def sign(self, stamp: int) -> str:
        """Return the signature over key and `stamp` (ms for REST, the nonce for the socket)."""
        digest = hmac.digest(self._secret, f"{self.key}{stamp}".encode(), "sha256")
        return base64.b64encode(digest).decode()

    def headers(self, stamp_ms: int) -> dict[str, str]:
        """Return the headers of one private request."""
        return {
            "X-PCK": self.key,
            "X-Stamp": str(stamp_ms),
            "X-Signature": self.sign(stamp_ms),
            "Content-Type": "application/json",
        }

    def login(self, now_ms: int) -> list[object]:
        """Return the WebSocket login frame: signed over key and nonce, not over the time.

        So the signature is the same for ever: it is as secret as the key.
        """
        return [
            114,
            {
                "type": 114,
                "publicKey": self.key,
                "timestamp": now_ms,
                "nonce": LOGIN_NONCE,
                "signature": self.sign(LOGIN_NONCE),
            },
        ]

    def __repr__(self) -> str:
        return "KeyPair(hidden)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a KeyPair is never pickled or copied")


class Signer(Protocol):
    """What signs: a KeyPair, or what stands for one."""

    def sign(self, stamp: int, /) -> str: ...


def is_signed(pair: Signer, stamp_ms: int, signature: str) -> bool:
    """Return whether `signature` is right, in constant time; for a server of the protocol."""
    return hmac.compare_digest(pair.sign(stamp_ms).encode(), signature.encode())
