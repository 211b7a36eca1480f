"""BTCTurk's WebSocket frames, `[type, object]`: what we send, and what private ones mean."""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from btcbot.btcturk.grammar import Id, WireError, decoded
from btcbot.domain.ids import OrderId
from btcbot.domain.venue import Doorbell

FRAME_MAX: Final = 1 << 20
# 411 and 412 are documented and have been silent since 2019.
KNOWN_TYPES: Final = frozenset(
    {100, 101, 112, 114, 151, 201, 401, 402, 411, 412, 421, 422, 423, 428, 431, 432, 441, 451, 452}
    | {453, 801, 802, 991}
)


class _Order(Struct):
    id: Id


class _UserTrade(Struct):
    orderId: Id  # noqa: N815


class _Login(Struct):
    ok: bool
    message: str | None = None


_frame = msgspec.json.Decoder(tuple[int, Raw]).decode
_order = msgspec.json.Decoder(_Order).decode
_user_trade = msgspec.json.Decoder(_UserTrade).decode
_login = msgspec.json.Decoder(_Login).decode
_encode = msgspec.json.Encoder().encode


def split(frame: str | bytes) -> tuple[int, Raw]:
    """Return the type of a frame and its unread body. Raises WireError."""
    if len(frame) > FRAME_MAX:
        raise WireError(f"a frame of {len(frame)} bytes; allowed are {FRAME_MAX}")
    return decoded(_frame, frame)


def private(kind: int, body: Raw) -> Doorbell | None:
    """Return the doorbell that a private frame rings; None when it rings none. Raises WireError."""
    if kind in {441, 451, 452, 453}:
        return Doorbell(order_id=OrderId(decoded(_order, body).id))
    if kind == 423:
        return Doorbell(order_id=OrderId(decoded(_user_trade, body).orderId))
    return Doorbell(order_id=None) if kind == 201 else None


def login_answer(body: Raw) -> tuple[bool, str]:
    """Return (accepted, message) of the answer to a login. Raises WireError."""
    answer = decoded(_login, body)
    return answer.ok, (answer.message or "no reason given")[:200]


def join(channel: str, event: str, *, is_joining: bool = True) -> str:
    """Return the frame that joins or leaves one channel of one event."""
    body = {"type": 151, "channel": channel, "event": event, "join": is_joining}
    return _encode([151, body]).decode()


def login(request: list[object]) -> str:
    """Return the frame of a login that `KeyPair.login` signed."""
    return _encode(request).decode()
