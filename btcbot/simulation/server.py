"""The sandbox behind BTCTurk's REST and WebSocket, on one port; its own truth under /__truth__/."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from btcbot.btcturk.auth import STAMP_WINDOW_MS, KeyPair, is_signed
from btcbot.domain.ids import OrderId, Pair
from btcbot.domain.money import MoneyError, parse, text
from btcbot.domain.words import Side
from btcbot.simulation import shapes
from btcbot.simulation.account import Order, Rejected
from btcbot.simulation.exchange import Exchange, NewOrder
from btcbot.simulation.limiter import Limiter
from btcbot.simulation.sandbox import PairView, Sandbox
from btcbot.simulation.sockets import Hub, session

STEP_S = 0.19
BATCH_EVERY = 4  # Steps: book batches and tickers come every 0.76 s.
BODY_MAX = 4_096
Json = Any
Handler = Callable[[Request], Json]


class Api:
    """Answers requests from the sandbox; every answer that acknowledges is saved first."""

    def __init__(self, sandbox: Sandbox, keys: KeyPair, hub: Hub) -> None:
        self._sandbox, self._keys, self._hub = sandbox, keys, hub
        self._limiter = Limiter()

    @property
    def _exchange(self) -> Exchange:
        return self._sandbox.exchange

    def routes(self) -> list[Route]:
        public: dict[str, Handler] = {
            "/api/v2/server/time": self._time,
            "/api/v2/server/ping": lambda _: {"pong": True},
            "/api/v2/server/exchangeinfo": lambda _: {
                **shapes.good(shapes.exchange_info(self._sandbox, time.time_ns()), ""),
                "extensions": None,
            },
            "/api/v2/ticker": self._ticker,
            "/api/v2/ticker/currency": self._ticker,
            "/api/v2/orderbook": self._book,
            "/api/v2/trades": self._trades,
            "/api/v1/trades": self._trades,
            "/api/v2/ohlc": self._ohlc,
            "/v1/klines/history": self._klines,
            "/v1/ohlcs": self._ohlcs,
        }
        private: dict[tuple[str, str], Handler] = {
            ("GET", "/api/v1/users/balances"): lambda _: shapes.good(
                shapes.balances(self._exchange.account, time.time_ns())
            ),
            ("GET", "/api/v1/users/transactions/trade"): self._own_trades,
            ("GET", "/api/v1/users/transactions/crypto"): lambda _: shapes.good([], "SUCCESS"),
            ("GET", "/api/v1/users/transactions/fiat"): lambda _: shapes.good([], "SUCCESS"),
            ("GET", "/api/v1/openOrders"): self._open_orders,
            ("GET", "/api/v1/allOrders"): self._all_orders,
            ("GET", "/api/v1/order/{order_id:int}"): self._order,
            ("POST", "/api/v1/order"): self._submit,
            ("DELETE", "/api/v1/order"): self._cancel,
        }
        truth: dict[str, Callable[[], Json]] = {
            "orders": lambda: [truth_order(o) for o in self._exchange.account.orders.values()],
            "trades": self._truth_trades,
            "balances": self._truth_balances,
            "requests": lambda: list(self._sandbox.requests),
        }
        return [
            *(Route(path, self._public(handler)) for path, handler in public.items()),
            Route(
                "/api/v2/server/exchangeInfo", self._public(public["/api/v2/server/exchangeinfo"])
            ),
            Route("/api/v2/orderBook", self._public(self._book)),
            *(
                Route(path, self._private(handler), methods=[method])
                for (method, path), handler in private.items()
            ),
            *(
                Route(f"/__truth__/{name}", _plain(tell), methods=["GET"])
                for name, tell in truth.items()
            ),
        ]

    # --- around every request -----------------------------------------------------------------

    def _public(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return self._answer(request, handler)

        return endpoint

    def _private(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            at_ns = time.time_ns()
            request.state.body = await request.body()
            problem = self._unauthorised(request)
            if problem is not None:
                answer = reply({"success": True, "message": problem, "code": 1037}, 401)
            else:
                answer = self._answer(request, handler)
            self._note(request, at_ns, answer)
            return answer

        return endpoint

    def _answer(self, request: Request, handler: Handler) -> Response:
        exceeded = self._limiter.exceeded(request.method, request.url.path, time.monotonic_ns())
        if exceeded is not None:
            return _too_many(exceeded.limit, exceeded.wait_s)
        self._exchange.advance(time.time_ns())
        try:
            found = handler(request)
            status = 200
        except Rejected as no:
            found = {"success": False, "message": no.message, "code": no.code}
            status = 400
        self._sandbox.save()
        self._hub.tell_private(self._exchange)
        return reply(found, status)

    def _unauthorised(self, request: Request) -> str | None:
        """Return the text of a 401, or None when the request is signed."""
        headers = request.headers
        key, stamp, signature = (
            headers.get(name, "") for name in ("X-PCK", "X-Stamp", "X-Signature")
        )
        if not (key and stamp and signature):
            return "Unauthorized - Headers are missing"
        if key != self._keys.key:
            return "Unauthorized - Invalid Public/Private key"
        if not (stamp.isascii() and stamp.isdigit()):
            return "Unauthorized - Invalid Nonce"
        if abs(int(stamp) - shapes.ms(time.time_ns())) > STAMP_WINDOW_MS:
            return "Unauthorized - Invalid Nonce"
        if not is_signed(self._keys, int(stamp), signature):
            return "Unauthorized - Invalid Signature"
        return None

    def _note(self, request: Request, at_ns: int, answer: Response) -> None:
        self._sandbox.requests.append(
            {
                "at_ns": at_ns,
                "method": request.method,
                "path": request.url.path,
                "query": str(request.url.query),
                "body": request.state.body[:BODY_MAX].decode("utf-8", "replace"),
                "status": answer.status_code,
            }
        )

    # --- public -------------------------------------------------------------------------------

    def _view(self, request: Request, name: str = "pairSymbol") -> PairView:
        asked = request.query_params.get(name, "")
        view = self._sandbox.views.get(Pair(asked.upper().replace("_", "")))
        if view is None:
            raise Rejected(1037, f"Pair {asked} does not exists.")
        return view

    def _time(self, _request: Request) -> Json:
        now_ns = time.time_ns()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_ns // 10**9))
        return {
            "serverTime": shapes.ms(now_ns),
            "serverTime2": f"{stamp}.{now_ns % 10**9 // 100:07d}+00:00",
        }

    def _ticker(self, request: Request) -> Json:
        asked = request.query_params.get("pairSymbol", "").upper().replace("_", "")
        asset = request.query_params.get("symbol", "").upper()
        rows = [
            shapes.ticker(self._sandbox, view, time.time_ns())
            for pair, view in self._sandbox.views.items()
            if asked in ("", pair) and asset in ("", view.rules.base, view.rules.quote)
        ]
        return shapes.good(rows)

    def _book(self, request: Request) -> Json:
        limit = min(_int(request, "limit", 100), 100)
        book = shapes.order_book(self._sandbox, self._view(request), limit, time.time_ns())
        return shapes.good(book, None, "SUCCESS")

    def _trades(self, request: Request) -> Json:
        last = min(_int(request, "last", _int(request, "limit", 50)), 50)
        return shapes.good(shapes.public_trades(self._view(request), last))

    def _ohlc(self, request: Request) -> Json:
        view, count = self._view(request), min(_int(request, "last", 10), 100)
        day = int(time.time()) // 86_400
        rows = []
        for start in range(day - count + 1, day + 1):
            o, h, low, c, v = shapes.candle(view, start * 86_400, 86_400)
            rows.append(
                {
                    "pairSymbol": view.rules.pair,
                    "pairNormalized": shapes.normalized(view.rules),
                    "time": start * 86_400_000,
                    **{
                        name: str(value)
                        for name, value in zip(
                            ("open", "high", "low", "close", "volume", "average"),
                            (o, h, low, c, v, (h + low) / 2),
                            strict=True,
                        )
                    },
                    "dailyChangeAmount": str(c - o),
                    "dailyChangePercentage": str(round((c - o) / o * 100, 2)),
                }
            )
        return shapes.good(rows)

    def _klines(self, request: Request) -> Json:
        view = self._view(request, "symbol")
        seconds = _resolution(request.query_params.get("resolution", "1"))
        until = min(_int(request, "to", int(time.time())), int(time.time()))
        since = max(_int(request, "from", 0), until - 11_000 * seconds, 0)
        starts = range(-(-since // seconds) * seconds, until + 1, seconds)
        rows = [shapes.candle(view, start, seconds) for start in starts]
        if not rows:
            return {"s": "no_data", "t": [], "o": [], "h": [], "l": [], "c": [], "v": []}
        columns = list(zip(*rows, strict=True))
        return {"s": "ok", "t": list(starts), **dict(zip("ohlcv", map(list, columns), strict=True))}

    def _ohlcs(self, request: Request) -> Json:
        view = self._view(request, "pair")
        until = min(_int(request, "to", int(time.time())), int(time.time())) // 86_400
        since = max(_int(request, "from", 0) // 86_400, until - 365)
        rows = []
        for day in range(since, until + 1):
            o, h, low, c, v = shapes.candle(view, day * 86_400, 86_400)
            rows.append(
                {
                    "pair": view.rules.pair, "time": day * 86_400, "open": o, "high": h,
                    "low": low, "close": c, "volume": v, "total": v * c, "average": (h + low) / 2,
                    "dailyChangeAmount": c - o,
                    "dailyChangePercentage": round((c - o) / o * 100, 2),
                }
            )  # fmt: skip
        return rows

    # --- private ------------------------------------------------------------------------------

    def _open_orders(self, request: Request) -> Json:
        asked = request.query_params.get("pairSymbol")
        pair = self._view(request).rules.pair if asked else None
        ours = [
            row
            for row in self._exchange.account.orders.values()
            if row.is_open and pair in (None, row.pair)
        ]
        sides = {"asks": Side.SELL, "bids": Side.BUY}
        return shapes.good(
            {
                name: [self._row(row, in_open_list=True) for row in ours if row.side is side]
                for name, side in sides.items()
            }
        )

    def _all_orders(self, request: Request) -> Json:
        pair = self._view(request).rules.pair
        floor, page = _int(request, "orderId", 0), max(1, _int(request, "page", 1))
        limit = min(_int(request, "limit", _int(request, "last", 100)), 1_000)
        rows = [
            row
            for row in self._exchange.account.orders.values()
            if row.pair == pair and row.id >= floor
        ]
        rows.sort(key=lambda row: -row.id)
        return shapes.good([self._row(row) for row in rows[(page - 1) * limit : page * limit]])

    def _order(self, request: Request) -> Json:
        row = self._exchange.account.orders.get(OrderId(request.path_params["order_id"]))
        if row is None:
            raise Rejected(1152, "Order not found")
        return shapes.good(self._row(row))

    def _own_trades(self, request: Request) -> Json:
        params = request.query_params
        order_id, since_ms = _int(request, "orderId", 0), _int(request, "startDate", 0)
        until_ms = _int(request, "endDate", 1 << 62)
        symbols = {s.upper() for s in params.getlist("symbol")}
        sides = {s.lower() for s in params.getlist("type")}
        pair = params.get("pairSymbol", "").upper().replace("_", "")
        rows = [
            shapes.own_trade(trade)
            for trade in reversed(self._exchange.account.trades)
            if (not order_id or trade.order_id == order_id)
            and since_ms <= shapes.ms(trade.at_ns) <= until_ms
            and (not symbols or {trade.base, trade.quote} & symbols)
            and (not sides or trade.side in sides)
            and pair in ("", trade.pair)
        ]
        head = '{"data":[' + ",".join(rows) + "],"
        return head + '"success":true,"message":"SUCCESS","code":0}'

    def _submit(self, request: Request) -> Json:
        try:
            body = json.loads(request.state.body, parse_float=str, parse_int=str)
        except ValueError:
            raise Rejected(1037, "INVALID_REQUEST_ERROR") from None
        if not isinstance(body, dict):
            raise Rejected(1037, "INVALID_REQUEST_ERROR")
        order = self._exchange.submit(_new_order(body), time.time_ns())
        rules = self._exchange.markets[order.pair].rules
        return shapes.good(shapes.submitted(order, rules), "SUCCESS")

    def _cancel(self, request: Request) -> Json:
        asked = request.query_params.get("id", "")
        if not (asked.isascii() and asked.isdigit()):
            raise Rejected(1052, "NO_ORDER_MATCHES_YOUR_REQUEST")
        self._exchange.cancel(OrderId(int(asked)), time.time_ns())
        return {"success": True, "message": "SUCCESS", "code": 0}

    def _row(self, row: Order, *, in_open_list: bool = False) -> Json:
        rules = self._exchange.markets[row.pair].rules
        return shapes.order(row, rules, in_open_list=in_open_list)

    # --- truth --------------------------------------------------------------------------------

    def _truth_trades(self) -> Json:
        return [
            {
                "trade_id": t.id, "order_id": t.order_id, "client_id": t.client_id, "pair": t.pair,
                "side": t.side, "quantity": text(t.quantity), "price": text(t.price),
                "fee": text(t.fee), "tax": text(t.tax), "is_maker": t.is_maker, "at_ns": t.at_ns,
            }
            for t in self._exchange.account.trades
        ]  # fmt: skip

    def _truth_balances(self) -> Json:
        return [
            {"asset": asset, "total": text(b.total), "free": text(b.free), "locked": text(b.locked)}
            for asset, b in self._exchange.account.balances.items()
        ]


def truth_order(row: Order) -> Json:
    return {
        "id": row.id, "client_id": row.client_id, "pair": row.pair, "side": row.side,
        "method": row.method, "quantity": text(row.quantity), "left": text(row.left),
        "price": text(row.price), "status": row.status, "is_open": row.is_open,
        "created_ns": row.created_ns, "updated_ns": row.updated_ns,
    }  # fmt: skip


def reply(found: Json, status: int = 200) -> Response:
    """Return `found` as the exchange's JSON; a text is JSON already."""
    content = found if isinstance(found, str) else json.dumps(found, separators=(",", ":"))
    return Response(content, status, media_type="application/json; charset=utf-8")


def _plain(tell: Callable[[], Json]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(_request: Request) -> Response:
        return reply(tell())

    return endpoint


def _too_many(limit: Any, wait_s: int) -> Response:  # noqa: ANN401
    details = f"Quota exceeded. Maximum allowed: {limit.requests} per {limit.period}."
    if limit.policy == "account":
        details += f" Please try again in {wait_s} second(s)."
    answer = reply(
        {
            "message": "TOO_MANY_REQUESTS", "success": False, "code": 429, "details": details,
            "limit": str(limit.requests), "period": limit.period, "policy": limit.policy,
        },
        429,
    )  # fmt: skip
    answer.headers["Retry-After"] = str(wait_s)
    return answer


def _new_order(body: dict[str, Any]) -> NewOrder:
    """Read a submit's body; names match without regard to case. Raises Rejected."""
    given = {str(name).lower(): value for name, value in body.items()}
    sides = {"buy": Side.BUY, "sell": Side.SELL}
    side = sides.get(str(given.get("ordertype", "")).lower())
    if side is None:
        raise Rejected(1193, "ORDER_TYPE_NOT_SUPPORTED")
    client_id = str(given.get("neworderclientid") or f"auto-{time.time_ns()}")
    if len(client_id) > 50:
        raise Rejected(1121, "FAILED_ORDER_PARAMETER")
    return NewOrder(
        pair=Pair(str(given.get("pairsymbol", "")).upper().replace("_", "")),
        side=side,
        method=str(given.get("ordermethod", "")).lower(),
        quantity=_decimal(given.get("quantity")),
        price=_decimal(given.get("price")),
        stop_price=_decimal(given.get("stopprice")),
        client_id=client_id,
    )


def _decimal(value: object) -> Decimal:
    try:
        return parse(str(value)) if value not in (None, "") else Decimal(0)
    except MoneyError:
        raise Rejected(1121, "FAILED_ORDER_PARAMETER") from None


def _int(request: Request, name: str, default: int) -> int:
    value = request.query_params.get(name, "")
    try:
        return int(value) if value and len(value) < 20 else default
    except ValueError:
        raise Rejected(1037, "INVALID_REQUEST_ERROR") from None


def _resolution(asked: str) -> int:
    """Return seconds; minutes are numbers, days and longer have a letter, in two spellings."""
    units = {"d": 86_400, "w": 7 * 86_400, "m": 30 * 86_400, "y": 365 * 86_400}
    unit = units.get(asked.strip().lower()[-1:])
    if unit is not None:
        return unit
    return max(1, int(asked)) * 60 if asked.isascii() and asked.isdigit() else 60


async def serve(sandbox: Sandbox, keys: KeyPair, host: str, port: int, speed: float) -> None:
    """Serve until SIGTERM or SIGINT; the market moves `speed` times as fast as the clock."""
    hub = Hub(sandbox, keys)
    api = Api(sandbox, keys, hub)

    async def socket(websocket: WebSocket) -> None:
        await session(websocket, hub)

    routes = [*api.routes(), WebSocketRoute("/", socket), WebSocketRoute("/ws", socket)]
    config = uvicorn.Config(
        Starlette(routes=routes, exception_handlers={404: _empty, 405: _empty}),
        host=host,
        port=port,
        ws="websockets-sansio",
        ws_ping_interval=15,
        ws_ping_timeout=30,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
        server_header=False,
    )
    server = uvicorn.Server(config)
    mover = asyncio.create_task(_move(sandbox, hub, speed))
    try:
        await server.serve()
    finally:
        mover.cancel()
        sandbox.close()


async def _empty(_request: Request, error: Exception) -> Response:
    return Response(status_code=getattr(error, "status_code", 404))


async def _move(sandbox: Sandbox, hub: Hub, speed: float) -> None:
    """Step the market and send the batches, for ever."""
    steps = 0
    while True:
        await asyncio.sleep(STEP_S)
        steps += 1
        sandbox.step(STEP_S * speed, time.time_ns())
        sandbox.save()
        hub.tell_private(sandbox.exchange)
        hub.tell_trades()
        if steps % BATCH_EVERY == 0:
            hub.tell_batches()
