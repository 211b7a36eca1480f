"""Why a call to the exchange gave nothing to use, and what a person may do about it.

Every text names the cause and the remedy: it is read by whoever is woken by it.
"""

import socket
import ssl
from collections.abc import Iterator
from enum import StrEnum
from typing import Final


class Failure(StrEnum):
    """The closed list. Only the first two are evidence: the exchange itself said so."""

    REFUSED = "refused"  # Its own JSON says no, with a code.
    NOT_FOUND = "not_found"  # Its own JSON says that it knows no such order.
    NO_ANSWER = "no_answer"  # Nothing came back, or a server error in its place.
    LIMITED = "limited"  # Too many requests: by its word, or by our own budget.
    UNAUTHORISED = "unauthorised"  # Key, signature, stamp, permission or address.
    MALFORMED = "malformed"  # Something came back that is not the exchange's answer.

    @property
    def is_evidence(self) -> bool:
        """Whether the exchange itself has spoken about what was asked."""
        return self in (Failure.REFUSED, Failure.NOT_FOUND)


# Of the groups of `rate_budget.py`: which permission of a key each call needs.
PERMISSIONS: Final = {
    "balances": "Total Funds",
    "trades": "Account",
    "crypto": "Account",
    "fiat": "Account",
    "order": "Trade",
    "open_orders": "Trade",
    "all_orders": "Trade",
    "submit": "Trade",
    "cancel": "Trade",
}
_REMEDIES: Final = (
    ("nonce", "our stamps are over 5 s off its clock: set this machine's time (timedatectl)"),
    ("signature", "the secret is not this key's: check exchange.api_secret_file"),
    (
        "public/private key",
        "the exchange does not know the key: check exchange.api_key_file; was it revoked?",
    ),
    ("headers are missing", "something between us and the exchange strips headers"),
)
_VERIFY: Final = {  # OpenSSL's X509_V_ERR_*.
    10: "has expired: check this machine's date; else wait, nothing is sent meanwhile",
    18: "is self-signed: something else answers in the exchange's place (a proxy?)",
    19: "is signed by nobody we trust: something else answers in the exchange's place (a proxy?)",
    20: "is signed by nobody we trust: install ca-certificates, or a proxy answers",
    62: "is for another host: check the address (exchange.rest_url) and DNS",
    64: "is for another host: check the address (exchange.rest_url) and DNS",
}


def remedy_of_401(group: str, text: str) -> str:
    """Return what to do about a 401 whose text is `text`, for a call of `group`."""
    said = text.casefold()
    for word, remedy in _REMEDIES:
        if word in said:
            return remedy
    permission = PERMISSIONS.get(group, "")
    return (
        f"the key lacks the permission {permission!r}, is used from an address that is not on its"
        " list, or the account is not verified: see the key's page at the exchange"
    )


def why_no_connection(base: str, error: BaseException) -> str:
    """Return why nobody answered at `base` (an address or //host), from an error of any library."""
    host = base.removeprefix("//")
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            known = _VERIFY.get(cause.verify_code)
            return f"the certificate of {host} {known or f'is refused: {cause.verify_message}'}"
        if isinstance(cause, ssl.SSLError):
            detail = cause.reason or str(cause)
            return f"{host} does not speak TLS as we do ({detail}): check the address and proxies"
        if isinstance(cause, socket.gaierror):
            return f"cannot find {host} ({cause.strerror}): check the address and DNS"
        if isinstance(cause, ConnectionRefusedError):
            return f"nothing listens at {host} (connection refused): check the address"
        if isinstance(cause, ConnectionResetError):
            return f"{host} broke the connection (reset by peer)"
    told = next((str(cause) for cause in _causes(error) if str(cause)), "no detail")
    return f"no connection to {host}: {type(error).__name__}: {told}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and what it came from, innermost last; groups by their first."""
    seen: BaseException | None = error
    for _ in range(12):
        if seen is None:
            return
        yield seen
        if isinstance(seen, BaseExceptionGroup):
            seen = seen.exceptions[0]
        else:
            seen = seen.__cause__ or seen.__context__
