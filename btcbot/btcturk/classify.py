"""What the answer to a submit proves: the outcome table, total over every status and body.

REJECTED needs the exchange's own JSON and a reason known to mean "not accepted". Whatever else is
not a proven order is UNKNOWN: a 504, a page of HTML, an empty 200 and a new error code may all
stand for an order that lives.
"""

from btcbot.btcturk import wire
from btcbot.domain.ids import ClientOrderId, IntentId, OrderId
from btcbot.domain.venue import Outcome, Submitted

# By text first: numbers were changed in place once (May 2024), texts were not.
REFUSALS = frozenset(
    {
        "BALANCE_NOT_ENOUGH",
        "FAILED_MARKET_ORDER",
        "FAILED_LIMIT_ORDER",
        "FAILED_ORDER_WITH_OPEN_ORDERS",
        "FAILED_MIN_TOTAL_AMOUNT",
        "FAILED_STOP_PRICE_GREATER_THAN_BEST_ASK",
        "FAILED_STOP_PRICE_LESS_THAN_BEST_BID",
        "FAILED_INVALID_PRICE_SCALE",
        "FAILED_INVALID_QUANTITY_SCALE",
        "FAILED_INVALID_STOP_PRICE_SCALE",
        "ORDER_METHOD_NOT_SUPPORTED",
        "ORDER_TYPE_NOT_SUPPORTED",
        "PRICE_MUST_BE_LESS_THAN_MAXPRICE",
        "PRICE_MUST_BE_LESS_THAN_MINPRICE",
        "ORDER_MIN_PRICE_EXCEEDED",
        "ORDER_MAX_PRICE_EXCEEDED",
    }
)
REFUSAL_CODES = frozenset(
    {1055, 1118, 1120, 1122, 1123, 1124, 1125, 1126, 1127, 1128, 1134, 1193, 1226, 1227}
)


def classify(
    intent_id: IntentId, client_id: ClientOrderId, status: int, body: bytes
) -> Submitted:
    """Return the outcome of the POST of `intent_id` that was answered by `status` and `body`."""

    def came(outcome: Outcome, detail: str, code: str = "") -> Submitted:
        return Submitted(intent_id=intent_id, outcome=outcome, detail=detail, code=code)

    said = wire.verdict(body)
    if said is None:
        return came(Outcome.UNKNOWN, f"HTTP {status}, not the exchange's JSON: {_start(body)}")
    text = f"{said.message or ''}"
    code = f"{said.code if said.code is not None else ''}"
    if status == 200 and said.success:  # noqa: PLR2004
        return _accepted(intent_id, client_id, body)
    if status == 401:  # noqa: PLR2004
        return Submitted(
            intent_id=intent_id, outcome=Outcome.REJECTED, code=code, detail=text,
            is_unauthorised=True,
        )  # fmt: skip
    if status == 429 and said.success is False:  # noqa: PLR2004
        return came(Outcome.REJECTED, text or "TOO_MANY_REQUESTS", "429")
    if status in (200, 400) and said.success is False and _is_refusal(text, said.code):
        return came(Outcome.REJECTED, text, code)
    return came(Outcome.UNKNOWN, f"HTTP {status}, code {code or 'none'}: {text or _start(body)}")


def _accepted(intent_id: IntentId, client_id: ClientOrderId, body: bytes) -> Submitted:
    order = wire.submitted(body)
    if order is None:
        detail = f"HTTP 200 without an order: {_start(body)}"
        return Submitted(intent_id=intent_id, outcome=Outcome.UNKNOWN, detail=detail)
    if order.newOrderClientId != client_id:
        detail = f"the reply is for {order.newOrderClientId!r}, not for {client_id}"
        return Submitted(intent_id=intent_id, outcome=Outcome.UNKNOWN, detail=detail)
    return Submitted(intent_id=intent_id, outcome=Outcome.ACKED, order_id=OrderId(order.id))


def _is_refusal(text: str, code: int | str | None) -> bool:
    known = text.strip().upper()
    return known in REFUSALS or (not known and code in REFUSAL_CODES)


def _start(body: bytes) -> str:
    return repr(body[:60].decode("utf-8", "replace")) if body else "an empty body"
