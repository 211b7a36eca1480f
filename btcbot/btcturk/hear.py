"""Who is told what the exchange said, byte for byte, before anybody reads it."""

from collections.abc import Callable
from typing import TypeAlias

# Source ("ws.public", "rest GET /path?query", " -> STATUS" after it unless that is 200), the number
# of the socket's connection (0: no socket), the bytes. Must not raise, must not wait.
Hear: TypeAlias = Callable[[str, int, bytes], None]


def nobody(_source: str, _session: int, _payload: bytes) -> None:
    """Keep nothing."""


def reply(hear: Hear, request: str, status: int, body: bytes) -> None:
    """Tell `hear` of the answer to `request`, "METHOD /path?query": never of its headers."""
    hear(f"rest {request}" if status == 200 else f"rest {request} -> {status}", 0, body)
