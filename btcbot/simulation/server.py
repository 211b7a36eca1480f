"""The sandbox behind BTCTurk's REST and WebSocket, on one port; its own truth under /__truth__/.

Around every REST call: the limits, the signature, the market's time, the handler, the state file,
and only then the answer. Time and sockets are given; nothing here reads a clock.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec
import uvicorn
from msgspec import Struct
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from btcbot.btcturk.auth import STAMP_WINDOW_MS, is_signed
from btcbot.simulation import sandbox as books
from btcbot.simulation import shapes, truth
from btcbot.simulation.access import WEBSOCKET, Access
from btcbot.simulation.account import Rejected
from btcbot.simulation.calls import Call, Handler, fields_of, query_of
from btcbot.simulation.faults import DOWN, Profile
from btcbot.simulation.limiter import SOCKETS, Exceeded, Limiter
from btcbot.simulation.private import PrivateApi
from btcbot.simulation.public import PublicApi
from btcbot.simulation.sandbox import Sandbox
from btcbot.simulation.sockets import Hub, serve_session
from btcbot.simulation.troubled import Clock, Troubled

log = logging.getLogger("btcbot.sandbox")
STEP_S: Final = 0.19
BATCH_EVERY: Final = 4  # Steps: book batches and tickers come every 0.76 s.
PING_S: Final = 15.0
BODY_MAX: Final = 65_536
FRAME_MAX: Final = 65_536
METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
EMPTY: Final = b""


class Answer(Struct, frozen=True):
    status: int
    body: bytes = EMPTY
    headers: dict[str, str] | None = None


class Asked(Struct, frozen=True):
    """One request, whatever brought it; header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = EMPTY
    is_too_large: bool = False


class Api:
    """Answers REST requests from the sandbox."""

    def __init__(
        self,
        sandbox: Sandbox,
        accesses: Iterable[Access],
        hub: Hub,
        clock: Clock,
        troubled: Troubled | None = None,
    ) -> None:
        """`troubled`: what goes wrong between the sockets and here; None: nothing."""
        self._sandbox, self._hub, self._clock = sandbox, hub, clock
        self._troubled = troubled or Troubled(Profile(), 0, clock)
        self._accesses = {access.keys.key: access for access in accesses}
        self._limiter = Limiter()
        self._timer: asyncio.TimerHandle | None = None
        self._private = PrivateApi(sandbox).handlers()
        self._open = PublicApi(sandbox).handlers() | truth.handlers(sandbox)
        self._open |= self._troubled.handlers()
        self._paths = {path for _, path in (*self._private, *self._open)}

    async def endpoint(self, request: Request) -> Response:
        """Answer one request; it is in the truth with its answer, whatever that is."""
        body = await _body(request)
        asked = Asked(
            request.method,
            request.url.path,
            request.url.query,
            request.headers,
            body or EMPTY,
            is_too_large=body is None,
        )
        return await self._troubled.answer(request, partial(self.answer, asked), self._clock.now_ns)

    def answer(self, asked: Asked, at_ns: int) -> Answer:
        """Answer a request that arrived at `at_ns`, and note it with its answer.

        Its signature is judged as of then, however long the exchange took to take it up.
        """
        answer = self._answer(asked, at_ns)
        if not asked.path.startswith("/__truth__/"):
            self._note(asked, at_ns, answer.status)
        return answer

    def refuse_socket(self) -> Answer | None:
        """Count a new WebSocket; return the answer that refuses it, if it may not come."""
        if self._troubled.is_down:
            return Answer(DOWN.status, DOWN.body, DOWN.headers)
        exceeded = self._limiter.exceeded(SOCKETS, self._clock.monotonic_ns())
        return _too_many(exceeded) if exceeded is not None else None

    def _answer(self, asked: Asked, at_ns: int) -> Answer:
        path, last = self._path_of(asked.path)
        if path not in self._paths:
            return Answer(404)
        handler = self._open.get((asked.method, path))
        is_private = handler is None
        handler = handler or self._private.get((asked.method, path))
        if handler is None:
            return Answer(405)
        if is_private and (problem := self.unauthorised(asked.headers, path, at_ns)):
            return _json(401, shapes.bad(f"Unauthorized - {problem}", 1037, is_success=True))
        exceeded = self._limiter.exceeded((asked.method, path), self._clock.monotonic_ns())
        if exceeded is not None:
            return _too_many(exceeded)
        if asked.is_too_large:
            return _json(400, shapes.bad("INVALID_REQUEST_ERROR", 1037))
        query = query_of(asked.query)
        call = Call(asked.method, path, query, asked.body, self._clock.now_ns(), last)
        return self._handle(handler, call)

    def _handle(self, handler: Handler, call: Call) -> Answer:
        self._sandbox.exchange.advance(call.now_ns)
        try:
            answer = _json(200, handler(call))
        except Rejected as no:
            body = shapes.bad(no.message, no.code)
            if call.method == "POST":
                body = {"httpStatusCode": 400, "data": None, **body}
            answer = _json(400, body)
        self._settle()
        if call.path == "/api/v2/server/exchangeinfo":
            return Answer(answer.status, answer.body, {"Cache-Control": "public, max-age=30"})
        return answer

    def _settle(self) -> None:
        """Make what happened durable and known; come back when the next cancel takes effect."""
        now_ns = self._clock.now_ns()
        self._sandbox.settle(now_ns)
        self._hub.tell_now()
        due_ns = self._sandbox.exchange.next_ns
        if due_ns is not None and self._timer is None:
            delay_s = max(0, due_ns - now_ns) / 1e9
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._cancel_due)

    def _cancel_due(self) -> None:
        self._timer = None
        self._settle()

    def _path_of(self, path: str) -> tuple[str, str]:
        """Return the path in lower case without a trailing id, and the id."""
        path = path.lower()
        head, slash, last = path.rpartition("/")
        return (head + slash, last) if last and head + slash in self._paths else (path, "")

    def unauthorised(self, headers: Mapping[str, str], path: str, at_ns: int | None = None) -> str:
        """Return what is wrong with a request's signature or key at a time; "" when it may go."""
        at_ns = self._clock.now_ns() if at_ns is None else at_ns
        names = ("x-pck", "x-stamp", "x-signature")
        key, stamp, signature = (headers.get(name, "") for name in names)
        if not (key and stamp and signature):
            return "Headers are missing"
        access = self._accesses.get(key)
        if access is None:
            return "Invalid Public/Private key"
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 19):
            return "Invalid Nonce"
        if abs(int(stamp) - shapes.ms(at_ns)) > STAMP_WINDOW_MS:
            return "Invalid Nonce"
        if not is_signed(access.keys, int(stamp), signature):
            return "Invalid Signature"
        return "" if access.may_call(path) else "Invalid Request"

    def _note(self, asked: Asked, at_ns: int, status: int) -> None:
        client_id, body = "", asked.body
        if body:
            with contextlib.suppress(Rejected):
                client_id = fields_of(body).get("neworderclientid", "")
        self._sandbox.requests.append(
            books.Request(
                at_ns=at_ns,
                method=asked.method,
                path=asked.path,
                query=asked.query,
                body=body[: books.BODY_MAX].decode("utf-8", "replace"),
                client_id=client_id,
                status=status,
            )
        )


class Server(uvicorn.Server):
    """Ends by SIGTERM and SIGINT with exit code 0; uvicorn would raise the signal again."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        yield
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    def _end(self) -> None:
        self.should_exit = True


async def serve(
    sandbox: Sandbox,
    accesses: Sequence[Access],
    listener: socket.socket,
    speed: float,
    clock: Clock,
    troubled: Troubled | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; the market moves `speed` times as fast as the clock.

    Whatever goes wrong in the market ends the server too: an exchange whose market stands still
    must not look alive.
    """
    troubled = troubled or Troubled(Profile(), 0, clock)
    hub = Hub(sandbox, partial(_may_listen, accesses), troubled.copies)
    api = Api(sandbox, accesses, hub, clock, troubled)
    server = Server(_config(api, hub, troubled))
    tasks = [
        asyncio.create_task(_move(sandbox, hub, speed, clock)),
        asyncio.create_task(troubled.watch()),
    ]
    for task in tasks:
        task.add_done_callback(lambda _: server._end())  # noqa: SLF001 - ours
    try:
        await server.serve(sockets=[listener])
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        sandbox.close()


def _may_listen(accesses: Sequence[Access], key: str, nonce: int, signature: str) -> bool:
    """Return whether a socket is logged in by this; not told apart, as on the exchange."""
    return any(
        access.keys.key == key
        and is_signed(access.keys, nonce, signature)
        and WEBSOCKET in access.permissions
        for access in accesses
    )


def _config(api: Api, hub: Hub, troubled: Troubled) -> uvicorn.Config:
    async def accept(websocket: WebSocket) -> None:
        refusal = api.refuse_socket()
        if refusal is None:
            await serve_session(websocket, hub)
        else:
            answer = Response(refusal.body, refusal.status, refusal.headers, "application/json")
            await websocket.send_denial_response(answer)

    async def broken(_request: Request, error: Exception) -> Response:
        log.error("request_failed", exc_info=error)
        return Response(shapes.encode(shapes.system_error()), 500, None, "application/json")

    routes = [
        WebSocketRoute("/", accept),
        WebSocketRoute("/ws", accept),
        Route("/{path:path}", api.endpoint, methods=METHODS),
    ]
    http, ws = troubled.lines.protocols()
    return uvicorn.Config(
        Starlette(routes=routes, exception_handlers={500: broken}),
        http=http,
        ws=ws,
        ws_ping_interval=PING_S,
        ws_max_size=FRAME_MAX,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
        server_header=False,
    )


async def _move(sandbox: Sandbox, hub: Hub, speed: float, clock: Clock) -> None:
    """Step the market and tell what moved, for ever; after a pause, go on and do not catch up."""
    loop = asyncio.get_running_loop()
    due, steps = loop.time(), 0
    while True:
        due = max(due + STEP_S, loop.time())
        await asyncio.sleep(due - loop.time())
        steps += 1
        now_ns = clock.now_ns()
        sandbox.step(STEP_S * speed, now_ns)
        hub.tell_now()
        if steps % BATCH_EVERY == 0:
            hub.tell_batch(now_ns)


async def _body(request: Request) -> bytes | None:
    """Return the body; None when it is too large to be an order, unread then."""
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > BODY_MAX:
            return None
    return bytes(parts)


def _json(status: int, body: object) -> Answer:
    try:
        return Answer(status, shapes.encode(body))
    except msgspec.MsgspecError as error:
        raise AssertionError(f"a shape that is no JSON: {error}") from error


def _too_many(exceeded: Exceeded) -> Answer:
    limit, wait_s = exceeded.limit, exceeded.wait_s
    body = shapes.too_many(limit.requests, limit.period, limit.policy, wait_s)
    return Answer(429, shapes.encode(body), {"Retry-After": str(wait_s)})
