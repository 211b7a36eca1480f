"""BTCTurk's private REST: balances, orders, own trades. Who asks was checked before."""

import hashlib
from functools import partial
from itertools import islice

from btcbot.domain.ids import OrderId
from btcbot.domain.words import Side
from btcbot.simulation import shapes, transfers
from btcbot.simulation.account import Order, Rejected, Trade
from btcbot.simulation.calls import Call, Handler, Json, decimal, fields_of, invalid, pair_of
from btcbot.simulation.rules import NewOrder
from btcbot.simulation.sandbox import Sandbox

MONTH_MS = 30 * 86_400_000
PAGE, PAGE_MAX = 100, 1_000
FILLS_MAX = 10_000
SECONDS_MAX = 100_000_000_000  # A time below this is in seconds: clients send either.


class PrivateApi:
    """Answers from the sandbox; a handler returns the whole body or raises Rejected."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox, self._exchange = sandbox, sandbox.exchange

    def handlers(self) -> dict[tuple[str, str], Handler]:
        """Return them by method and path; a path that ends in "/" takes an id."""
        return {
            ("GET", "/api/v1/users/balances"): self._balances,
            ("GET", "/api/v1/users/transactions/trade"): self._fills,
            ("GET", "/api/v1/users/transactions/trade/"): self._fills,
            ("GET", "/api/v1/users/transactions/crypto"): partial(self._transfers, is_fiat=False),
            ("GET", "/api/v1/users/transactions/fiat"): partial(self._transfers, is_fiat=True),
            ("GET", "/api/v1/openorders"): self._open_orders,
            ("GET", "/api/v1/allorders"): self._all_orders,
            ("GET", "/api/v1/order/"): self._order,
            ("POST", "/api/v1/order"): self._submit,
            ("DELETE", "/api/v1/order"): self._cancel,
        }

    def _balances(self, call: Call) -> Json:
        return shapes.good(shapes.balances(self._exchange.balances(), call.now_ns))

    def _open_orders(self, call: Call) -> Json:
        pair = call.pair() if call.text("pairSymbol") else None
        rows = self._exchange.open_orders(call.now_ns, pair)
        sides = {"asks": Side.SELL, "bids": Side.BUY}
        return shapes.good(
            {
                name: [self._row(row, in_open_list=True) for row in rows if row.side is side]
                for name, side in sides.items()
            }
        )

    def _all_orders(self, call: Call) -> Json:
        pair = call.pair()
        limit = max(1, min(call.number("limit", "last", default=PAGE), PAGE_MAX))
        page = max(1, call.number("page", default=1))
        since_ms = _time_ms(call.number("startTime", default=0))
        until_ms = _time_ms(call.number("endTime", default=0)) or shapes.ms(call.now_ns)
        found = (
            row
            for row in self._exchange.all_orders(
                call.now_ns, pair, call.number("orderId", default=0)
            )
            if since_ms <= shapes.ms(row.created_ns) <= until_ms
        )
        rows = islice(found, (page - 1) * limit, page * limit)
        return shapes.good([self._row(row) for row in rows])

    def _order(self, call: Call) -> Json:
        if not (call.last.isascii() and call.last.isdigit()):
            raise invalid()
        row = self._exchange.order(OrderId(int(call.last[:19])))
        if row is None:
            raise Rejected(1152, "Order not found")
        rules = self._exchange.markets[row.pair].rules
        return shapes.good(shapes.single_order(row, rules))

    def _fills(self, call: Call) -> Json:
        order_id = call.number("orderId", default=int(call.last) if call.last.isdigit() else 0)
        if order_id:
            trades = (t for t in self._exchange.trades(call.now_ns) if t.order_id == order_id)
            return shapes.good([shapes.own_trade(trade) for trade in trades], "SUCCESS")
        since_ms, until_ms = _dates(call)
        rows = [
            shapes.own_trade(trade)
            for trade in self._exchange.trades(call.now_ns, since_ms * 1_000_000)
            if shapes.ms(trade.at_ns) <= until_ms and _is_wanted(trade, call)
        ]
        return shapes.good(rows[:FILLS_MAX], "SUCCESS")

    def _transfers(self, call: Call, *, is_fiat: bool) -> Json:
        since_ms, until_ms = _dates(call)
        kinds = {kind.lower() for kind in call.all("type")}
        symbols = {symbol.upper() for symbol in call.all("symbol")}
        rows = [
            transfers.shape(row)
            for row in reversed(self._sandbox.transfers)
            if (row.asset in transfers.FIAT) is is_fiat
            and since_ms <= shapes.ms(row.at_ns) <= until_ms
            and (not kinds or row.kind in kinds)
            and (not symbols or row.asset in symbols)
        ]
        return shapes.good(rows, "SUCCESS")

    def _submit(self, call: Call) -> Json:
        row = self._exchange.submit(new_order(fields_of(call.body), call.now_ns), call.now_ns)
        rules = self._exchange.markets[row.pair].rules
        return shapes.good(shapes.submitted(row, rules), "SUCCESS")

    def _cancel(self, call: Call) -> Json:
        asked = call.text("id")
        if not (asked.isascii() and asked.isdigit()):
            raise Rejected(1052, "NO_ORDER_MATCHES_YOUR_REQUEST")
        self._exchange.cancel(OrderId(int(asked[:19])), call.now_ns)
        return {"success": True, "message": "SUCCESS", "code": 0}

    def _row(self, row: Order, *, in_open_list: bool = False) -> Json:
        rules = self._exchange.markets[row.pair].rules
        return shapes.order(row, rules, in_open_list=in_open_list)


def new_order(fields: dict[str, str], now_ns: int) -> NewOrder:
    """Return the order that a body asks for; unknown fields are ignored. Raises Rejected."""
    sides = {"buy": Side.BUY, "sell": Side.SELL}
    side = sides.get(fields.get("ordertype", "").lower())
    if side is None:
        raise Rejected(1193, "ORDER_TYPE_NOT_SUPPORTED")
    return NewOrder(
        pair=pair_of(fields.get("pairsymbol", "")),
        side=side,
        method=fields.get("ordermethod", "").lower(),
        quantity=decimal(fields.get("quantity", "")),
        price=decimal(fields.get("price", "")),
        stop_price=decimal(fields.get("stopprice", "")),
        client_id=fields.get("neworderclientid") or _guid(now_ns),
    )


def _guid(now_ns: int) -> str:
    """Return the label of an order that brings none: a GUID, as the exchange sets one."""
    digits = hashlib.blake2b(str(now_ns).encode(), digest_size=16).hexdigest()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _dates(call: Call) -> tuple[int, int]:
    """Return (from, to) in ms; without any, the last thirty days."""
    now_ms = shapes.ms(call.now_ns)
    since_ms = call.number("startDate", default=now_ms - MONTH_MS)
    return since_ms, call.number("endDate", default=now_ms)


def _time_ms(given: int) -> int:
    return given * 1_000 if given < SECONDS_MAX else given


def _is_wanted(trade: Trade, call: Call) -> bool:
    symbols = {symbol.upper() for symbol in call.all("symbol")}
    sides = {side.lower() for side in call.all("type")}
    return (
        (not symbols or bool({trade.base, trade.quote} & symbols))
        and (not sides or trade.side in sides)
        and pair_of(call.text("pairSymbol")) in ("", trade.pair)
    )
