"""Lets over real sockets what `faults.py` draws happen: waits, silence, resets, lies.

The truth under /__truth__/ is never faulted: tests and people look at what is so.
"""

import asyncio
import socket
import struct
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from btcbot.simulation.account import Rejected
from btcbot.simulation.calls import Call, Handler, Json, fields_of
from btcbot.simulation.faults import (
    FOREVER_S,
    PRESETS,
    TOLD,
    End,
    Fate,
    Faults,
    FrameKind,
    Kind,
    Profile,
    Told,
)
from btcbot.simulation.keepalive import Keepalive

TRUTH: Final = "/__truth__/"
ORDER: Final = "/api/v1/order"
LISTS: Final = ("/api/v1/openorders", "/api/v1/allorders")
CUTTING: Final = ("cuts", "maintenance")
CHOICES: Final = {"none": Profile(), **PRESETS}
STALE_S: Final = 10.0
LISTS_MAX: Final = 64
LOOK_S: Final = 0.05
AT_ONCE: Final = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset.


class Answered(Protocol):
    """What the exchange answered."""

    @property
    def status(self) -> int: ...

    @property
    def body(self) -> bytes: ...

    @property
    def headers(self) -> dict[str, str] | None: ...


class Lines:
    """The connections that are open now, by who is at their other end."""

    def __init__(self) -> None:
        self.requests: dict[object, asyncio.Transport] = {}
        self.sockets: dict[object, asyncio.Transport] = {}

    def cut(self, peer: object) -> None:
        """Break one connection off, as a dying machine or a firewall does."""
        for open_ in (self.requests, self.sockets):
            if transport := open_.get(peer):
                _reset(transport)

    def cut_sockets(self) -> None:
        for transport in tuple(self.sockets.values()):
            _reset(transport)

    def protocols(self) -> tuple[type[H11Protocol], type[Keepalive]]:
        """Return uvicorn's protocols, so made that their connections are known here."""
        requests, sockets = self.requests, self.sockets

        class Line(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                requests[self.client] = transport

            def connection_lost(self, exc: Exception | None) -> None:
                requests.pop(self.client, None)
                super().connection_lost(exc)

        class SocketLine(Keepalive):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(transport)
                sockets[self.client] = self.transport

            def connection_lost(self, exc: Exception | None) -> None:
                sockets.pop(self.client, None)
                requests.pop(self.client, None)
                super().connection_lost(exc)

        return Line, SocketLine


class Clock(Protocol):
    """Nanoseconds: UTC, and one that only grows."""

    def now_ns(self) -> int: ...

    def monotonic_ns(self) -> int: ...


class Skewed:
    """The exchange's clock, ahead of ours by so much."""

    def __init__(self, clock: Clock, ahead_s: float) -> None:
        self._clock, self._ahead_ns = clock, round(ahead_s * 1e9)

    def now_ns(self) -> int:
        return self._clock.now_ns() + self._ahead_ns

    def monotonic_ns(self) -> int:
        return self._clock.monotonic_ns()


class Listed(Struct, frozen=True):
    """A list of orders as it was answered last."""

    at_s: float
    told: Told


class Troubled:
    """Stands between the sockets and the exchange; `change` says what goes wrong from now on."""

    def __init__(self, profile: Profile, seed: int, clock: Clock) -> None:
        self.lines = Lines()
        self.counts: Counter[str] = Counter()
        self._faults = Faults(profile, seed)
        self._seed, self._clock = seed, clock
        self._began_ns = clock.monotonic_ns()
        self._lists: OrderedDict[str, Listed] = OrderedDict()

    @property
    def is_down(self) -> bool:
        """Whether the exchange is in maintenance now."""
        return self._faults.is_on("maintenance", self._now_s)

    def handlers(self) -> dict[tuple[str, str], Handler]:
        """Return what tells, and changes, what goes wrong."""

        def tell(_call: Call) -> Json:
            return dict(self.counts)

        def change(call: Call) -> Json:
            name = fields_of(call.body).get("faults", "")
            if name not in CHOICES:
                raise Rejected(1037, f"faults = {name!r}: allowed are {', '.join(CHOICES)}")
            self._faults = Faults(CHOICES[name], self._seed)
            return {"faults": name}

        path = f"{TRUTH}faults"
        return {("GET", path): tell, ("POST", path): change}

    async def answer(
        self, request: Request, take: Callable[[int], Answered], now_ns: Callable[[], int]
    ) -> Response:
        """Answer one request; `take` has the exchange do what was asked, as of its arrival."""
        if request.url.path.startswith(TRUTH):
            return _response(take(now_ns()))
        fate = self._faults.of(kind_of(request.method, request.url.path), self._now_s)
        self.counts[fate.name] += 1
        await asyncio.sleep(fate.arrives_s)
        arrived_ns = now_ns()
        await asyncio.sleep(fate.accepted_s)
        answered = take(arrived_ns) if fate.is_heard else None
        await asyncio.sleep(fate.answered_s)
        if fate.end in ("cut", "silent"):
            return await self._nothing(request, fate.end)
        told = self._told(fate.end) if answered is None or fate.end != "whole" else answered
        return _response(self._edited(request, fate, told))

    def copies(self, kind: FrameKind) -> Sequence[float]:
        """Return after how many seconds each copy of a frame is sent."""
        return self._faults.of_frame(kind, self._now_s)

    async def watch(self) -> None:
        """Break sockets off when it is time to; for ever."""
        were: set[str] = set()
        while True:
            await asyncio.sleep(LOOK_S)
            are = {name for name in CUTTING if self._faults.is_on(name, self._now_s)}
            if are - were:
                self.counts["socket_cut"] += len(self.lines.sockets)
                self.lines.cut_sockets()
            were = are

    @property
    def _now_s(self) -> float:
        return (self._clock.monotonic_ns() - self._began_ns) / 1e9

    async def _nothing(self, request: Request, end: End) -> Response:
        """Let the connection break, or stay silent until the client gives it up."""
        if end == "cut":
            self.lines.cut(request.client)
            await asyncio.sleep(0)
        until_s = self._now_s + FOREVER_S
        while self._now_s < until_s and not await request.is_disconnected():  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)
        return Response()  # To nobody.

    def _told(self, end: End) -> Told:
        return TOLD[end] if end in TOLD else self._faults.garbled()

    def _edited(self, request: Request, fate: Fate, answered: Answered) -> Answered:
        """Return a list of orders as it was a moment ago, or without some of its rows."""
        if request.url.path.lower() not in LISTS:
            return answered
        told = Told(answered.status, answered.body, answered.headers or {})
        what = f"{request.url.path}?{request.url.query}"
        earlier = self._lists.get(what)
        is_recent = earlier is not None and self._now_s - earlier.at_s < STALE_S
        if fate.edit == "stale" and earlier is not None and is_recent:
            return earlier.told
        self._lists[what] = Listed(self._now_s, told)
        if len(self._lists) > LISTS_MAX:
            self._lists.popitem(last=False)
        if fate.edit == "short":
            return Told(told.status, self._faults.shortened(told.body), told.headers)
        return told


def kind_of(method: str, path: str) -> Kind:
    """Return which of the fates are a request's."""
    if path.lower() != ORDER or method not in ("POST", "DELETE"):
        return "read"
    return "submit" if method == "POST" else "cancel"


def _response(answered: Answered) -> Response:
    headers = answered.headers or {}
    media_type = headers.get("Content-Type", "application/json; charset=utf-8")
    return Response(answered.body, answered.status, headers, media_type if answered.body else None)


def _reset(transport: asyncio.Transport) -> None:
    """Close at once: the other end sees a reset, not an end."""
    if (line := transport.get_extra_info("socket")) is not None:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    transport.abort()
