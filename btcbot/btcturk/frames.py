"""BTCTurk's WebSocket frames, `[type, object]`: how one is taken apart, and those that we send."""

from typing import Final

import msgspec
from msgspec import Raw

from btcbot.btcturk.grammar import WireError, decoded

FRAME_MAX: Final = 1 << 20
# 411 and 412 are documented and have been silent since 2019.
KNOWN_TYPES: Final = frozenset(
    {100, 101, 112, 114, 151, 201, 401, 402, 411, 412, 421, 422, 423, 428, 431, 432, 441, 451, 452}
    | {453, 801, 802, 991}
)

_frame = msgspec.json.Decoder(tuple[int, Raw]).decode
_encode = msgspec.json.Encoder().encode


def split(frame: str | bytes) -> tuple[int, Raw]:
    """Return the type of a frame and its unread body. Raises WireError."""
    if len(frame) > FRAME_MAX:
        raise WireError(f"a frame of {len(frame)} bytes; allowed are {FRAME_MAX}")
    return decoded(_frame, frame)


def join(channel: str, event: str, *, is_joining: bool = True) -> str:
    """Return the frame that joins or leaves one channel of one event."""
    body = {"type": 151, "channel": channel, "event": event, "join": is_joining}
    return _encode([151, body]).decode()


def login(request: list[object]) -> str:
    """Return the frame of a login that `KeyPair.login` signed."""
    return _encode(request).decode()
