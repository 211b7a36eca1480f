"""The private socket's frames, read strictly; each only rings: a REST read tells what happened.

They carry no time and no trade id, come twice, late, merged or not at all, so nothing is ever
booked from one. A frame that is not as documented rings for nobody and is told of.
"""

from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Raw, Struct

from btcbot.btcturk.grammar import Count, Id, Millis, WireError, decoded, json_number, number
from btcbot.domain.ids import OrderId
from btcbot.domain.venue import Doorbell

_ORDER_KINDS: Final = frozenset({451, 452, 453})
KINDS: Final = _ORDER_KINDS | {201, 423, 441}


class _Balance(Struct):
    type: int
    userId: Count  # noqa: N815 - the exchange's names
    payload: str


class _UserTrade(Struct):
    id: Id
    orderId: Id  # noqa: N815
    timestamp: Millis
    numeratorSymbol: str  # noqa: N815
    denominatorSymbol: str  # noqa: N815
    amount: str
    fee: str
    tax: str
    price: str
    orderType: str  # noqa: N815
    preciseAmount: Raw  # noqa: N815
    orderClientId: str | None = None  # noqa: N815


class _Match(Struct):
    type: int
    id: Id  # Of the order: there is none of the trade.
    user: Count
    isBid: bool  # noqa: N815
    method: int
    pair: Count
    symbol: str
    amount: str
    price: str
    clientId: str | None = None  # noqa: N815


class _Order(Struct):
    type: int
    pairId: Count  # noqa: N815
    symbol: str
    id: Id
    method: int
    userId: Count  # noqa: N815
    orderType: int  # noqa: N815
    price: str
    amount: str
    numLeft: str  # noqa: N815
    denomLeft: str  # noqa: N815
    newOrderClientId: str | None = None  # noqa: N815


class _Login(Struct):
    ok: bool
    message: str | None = None


_balance = msgspec.json.Decoder(_Balance).decode
_user_trade = msgspec.json.Decoder(_UserTrade).decode
_match = msgspec.json.Decoder(_Match).decode
_order = msgspec.json.Decoder(_Order).decode
_login = msgspec.json.Decoder(_Login).decode


def private(kind: int, body: Raw) -> Doorbell | None:
    """Return the doorbell that a private frame rings; None when it rings none. Raises WireError."""
    if kind in _ORDER_KINDS:
        order = decoded(_order, body)
        _numbers(order.price, order.amount, order.numLeft, order.denomLeft)
        _of_kind(kind, order.type)
        return Doorbell(order_id=OrderId(order.id))
    if kind == 441:
        match = decoded(_match, body)
        _numbers(match.amount, match.price)
        _of_kind(kind, match.type)
        return Doorbell(order_id=OrderId(match.id))
    if kind == 423:
        return Doorbell(order_id=_order_of_trade(decoded(_user_trade, body)))
    if kind == 201:
        _of_kind(kind, decoded(_balance, body).type)
        return Doorbell(order_id=None)
    return None


def login_answer(body: Raw) -> tuple[bool, str]:
    """Return (accepted, message) of the answer to a login. Raises WireError."""
    answer = decoded(_login, body)
    return answer.ok, (answer.message or "no reason given")[:200]


def _order_of_trade(trade: _UserTrade) -> OrderId:
    _numbers(trade.amount, trade.fee, trade.tax, trade.price)
    precise, rounded = json_number(trade.preciseAmount), number(trade.amount)
    # The rounded one may be nothing; both have the sign of the side.
    if trade.orderType not in ("buy", "sell") or precise * rounded < 0:
        raise WireError(
            f"trade {trade.id}: {trade.orderType[:20]!r} of {rounded}, precisely {precise}"
        )
    return OrderId(trade.orderId)


def _numbers(*texts: str) -> tuple[Decimal, ...]:
    return tuple(number(text) for text in texts)


def _of_kind(kind: int, inner: int) -> None:
    if kind != inner:
        raise WireError(f"a frame of type {kind} whose object says {inner}")
