"""What the answer to a submit proves: the outcome table, total over every status and body.

REJECTED needs the exchange's own JSON, a reason known to mean "not accepted" and nothing that
speaks of an order. Whatever else is not a proven order is UNKNOWN: a 504, a page of HTML, an empty
200 and a new error code may all stand for an order that lives.
"""

from typing import Final

from btcbot.btcturk import wire
from btcbot.btcturk.grammar import start
from btcbot.domain.ids import ClientOrderId, IntentId, OrderId
from btcbot.domain.venue import Outcome, Submitted

# By text first: numbers were changed in place (May 2024), texts were not. So a number counts only
# where there is no text, and a text nobody has reviewed proves nothing whatever its number.
REFUSALS: Final = frozenset(
    {
        "BALANCE_NOT_ENOUGH",
        "FAILED_MARKET_ORDER",
        "FAILED_LIMIT_ORDER",
        "FAILED_ORDER_PARAMETER",
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
REFUSAL_CODES: Final = frozenset(
    {1055, 1118, 1120, 1122, 1123, 1124, 1125, 1126, 1127, 1128, 1134, 1193, 1226, 1227}
)
TOO_MANY: Final = "TOO_MANY_REQUESTS"
DETAIL_MAX: Final = 200


def classify(intent_id: IntentId, client_id: ClientOrderId, status: int, body: bytes) -> Submitted:
    """Return the outcome of the POST of `intent_id` that was answered by `status` and `body`."""
    said = wire.verdict(body)
    if said is None or not wire.is_whole(body):
        detail = f"HTTP {status}, not the exchange's JSON: {start(body)}"
        return Submitted(intent_id=intent_id, outcome=Outcome.UNKNOWN, detail=detail)
    if status == 200 and said.success:
        return _accepted(intent_id, client_id, body)
    # Nothing that names our label is taken for a refusal, whatever else it says.
    if said.is_bare and client_id.encode() not in body and _is_refusal(status, said):
        return Submitted(
            intent_id=intent_id,
            outcome=Outcome.REJECTED,
            code=said.code_text,
            detail=said.text[:DETAIL_MAX],
            is_unauthorised=status == 401,
        )
    code, text = said.code_text or "none", said.text[:DETAIL_MAX] or start(body)
    return Submitted(
        intent_id=intent_id,
        outcome=Outcome.UNKNOWN,
        detail=f"HTTP {status}, code {code}: {text}",
        is_unauthorised=status == 401,
    )


def _accepted(intent_id: IntentId, client_id: ClientOrderId, body: bytes) -> Submitted:
    order = wire.submitted(body)
    if order is None:
        detail = f"HTTP 200 without an order: {start(body)}"
        return Submitted(intent_id=intent_id, outcome=Outcome.UNKNOWN, detail=detail)
    if order.newOrderClientId != client_id:
        other = repr(order.newOrderClientId)[:DETAIL_MAX]
        detail = f"the reply is for {other} (order {order.id}), not for {client_id}"
        return Submitted(intent_id=intent_id, outcome=Outcome.UNKNOWN, detail=detail)
    return Submitted(intent_id=intent_id, outcome=Outcome.ACKED, order_id=OrderId(order.id))


def _is_refusal(status: int, said: wire.Verdict) -> bool:
    """Return whether an answer without an order in it means that none was accepted."""
    known = said.text.strip().upper().replace(" ", "_")
    if status == 401:  # Says success: true, of all things.
        return said.success is not None and bool(known) and bool(said.code_text)
    if said.success is not False:
        return False
    if status == 429:
        return known == TOO_MANY or (not known and said.code_text == "429")
    if status not in (200, 400):
        return False
    return known in REFUSALS or (not known and said.number in REFUSAL_CODES)
