"""Dashboard: one read-only page for people, on 127.0.0.1.

Hears   the same streams as control, heartbeats of all
Says    nothing on the bus
Never   changes anything: the database is opened read-only, and there is nothing to POST to
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from msgspec import Struct, field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import btcbot.web
from actors import CODEC
from btcbot.config import Config
from btcbot.domain.facts import PauseChanged, TradingStateChanged
from btcbot.domain.ids import Pair
from btcbot.domain.messages import AccountSnapshot, FeedState, PnlReport, RiskState, Scope
from btcbot.domain.status import ACTORS, Picture, status_of
from btcbot.store.database import StoreError
from btcbot.store.queries import History
from bus.actor import (
    Actor,
    CaughtUp,
    Deliver,
    Hears,
    PeerBack,
    PeerLost,
    Started,
    Step,
)
from bus.clock import SystemClock
from bus.runtime import PeersView, Place, run_on_loop, serve

Inbox = (
    AccountSnapshot | PnlReport | RiskState | FeedState | TradingStateChanged | PauseChanged
    | PeerBack | PeerLost | CaughtUp | Started
)  # fmt: skip

log = logging.getLogger("btcbot.dashboard")
PAGE = Path(btcbot.web.__file__).parent
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class State(Struct, kw_only=True):
    """What the page shows; owned, changed in place."""

    mode: str
    pairs: tuple[Pair, ...]
    account: AccountSnapshot | None = None
    pnl: PnlReport | None = None
    risk: RiskState | None = None
    feeds: dict[Pair, FeedState] = field(default_factory=dict)
    trading: TradingStateChanged | None = None
    pauses: dict[Scope, PauseChanged] = field(default_factory=dict)


def handle(state: State, message: Inbox, _now_ns: int) -> Step[State]:  # noqa: C901 - one a line
    """Return the state, changed in place; the dashboard says nothing."""
    match message:
        case AccountSnapshot():
            state.account = message
        case PnlReport():
            state.pnl = message
        case RiskState():
            state.risk = message
        case FeedState():
            state.feeds[message.pair] = message
        case TradingStateChanged():
            state.trading = message
        case PauseChanged(is_paused=True):
            state.pauses[message.scope] = message
        case PauseChanged():
            state.pauses.pop(message.scope, None)
        case PeerBack() | PeerLost() | CaughtUp() | Started():
            pass
    return Step(state)


def document(state: State, peers: PeersView, clock: SystemClock, database: Path) -> dict[str, Any]:
    """Return what the page shows: the status document, and the live orders beside it."""
    heard = {
        peer.name: (peer.pid, peer.health.value, (clock.monotonic_ns() - peer.heard_ns) / 1e9)
        for peer in peers().values()
    }
    live: list[dict[str, Any]] = []
    with suppress(StoreError):
        live = History.of(database).live_orders()
    found = status_of(
        Picture(
            mode=state.mode,
            pairs=state.pairs,
            heard={**heard, "dashboard": (0, "READY", 0.0)},
            restarts={},
            rss_mb={},
            orders={},
            trading=state.trading,
            pauses=tuple(state.pauses.values()),
            account=state.account,
            pnl=state.pnl,
            risk=state.risk,
            feeds=state.feeds,
        ),
        clock.now_ns(),
    )
    return {**found, "live_orders": live}


def application(show: Callable[[], dict[str, Any]]) -> Starlette:
    """Return the pages: three files of ours and one document; GET is all there is."""

    def page(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
        content = (PAGE / name).read_bytes()

        async def endpoint(_request: Request) -> Response:
            return Response(content, media_type=kind, headers=HEADERS)

        return endpoint

    async def status(_request: Request) -> Response:
        headers = {**HEADERS, "Cache-Control": "no-store"}
        return Response(msgspec.json.encode(show()), headers=headers, media_type="application/json")

    routes = [Route(path, page(*about)) for path, about in FILES.items()]
    return Starlette(routes=[*routes, Route("/status.json", status)])


def actor(mode: str, pairs: tuple[Pair, ...]) -> Actor[State]:
    """Return the dashboard's actor; the page is served beside it."""
    return Actor(
        name="dashboard",
        state=State(mode=mode, pairs=pairs),
        handle=handle,
        hears=(
            Hears(source="market_data", topic="feed."),
            Hears(source="accounting", topic="account"),
            Hears(source="accounting", topic="pnl"),
            Hears(source="risk_gate", topic="risk"),
            Hears(source="execution", topic="fact", conflate=False),
        ),
        facts=(TradingStateChanged, PauseChanged),
        needs=("execution",),
        watches=tuple(name for name in ACTORS if name != "dashboard"),
    )


def main(config: Config) -> None:
    """Serve the page until SIGTERM."""
    run_on_loop(_serve(config))


async def _serve(config: Config) -> None:
    states: list[State] = []
    views: list[PeersView] = []
    clock = SystemClock()

    def make(_deliver: Deliver, peers: PeersView) -> Actor[State]:
        made = actor(config.mode, config.pairs)
        states.append(made.state)
        views.append(peers)
        return made

    pages = application(lambda: document(states[0], views[0], clock, config.database))
    server = _Server(
        uvicorn.Config(
            pages, host="127.0.0.1", port=config.dashboard.port, log_level="warning",
            access_log=False, server_header=False, lifespan="off", timeout_graceful_shutdown=1,
        )
    )  # fmt: skip
    place = Place(run=config.run, journal=config.journal, quarantine=config.quarantine, codec=CODEC)
    serving = asyncio.create_task(server.serve())
    try:
        await serve(make, place)
    finally:
        server.should_exit = True
        with suppress(SystemExit):  # A taken port ends uvicorn, not the actor's goodbye.
            await serving


class _Server(uvicorn.Server):
    """Uvicorn without signal handlers of its own: the actor's loop has them."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()
