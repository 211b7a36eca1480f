"""Dashboard: one read-only page for people, on 127.0.0.1.

Hears   the same streams and facts as control, heartbeats of all
Says    nothing on the bus
Never   changes anything: the database is opened read-only, and there is nothing to POST to

The page needs the extra `ui`; without it the actor lives and says so once, and the rest runs.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

import btcbot.web
from actors import place_of
from btcbot import vitals
from btcbot.config import Config
from btcbot.domain.ids import Pair
from btcbot.domain.status import ACTORS, SHOWN_FACTS, Shown, View, learn, status_of
from btcbot.store.database import StoreError
from btcbot.store.queries import History
from bus.actor import Actor, CaughtUp, Deliver, Hears, PeerBack, PeerLost, Started, Step
from bus.clock import SystemClock
from bus.kept import revived
from bus.runtime import PeersView, run_on_loop, serve
from bus.standby import waiting_file

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

Inbox = Shown | PeerBack | PeerLost | CaughtUp | Started

log = logging.getLogger("btcbot.dashboard")
HOST: Final = "127.0.0.1"
TRY_LATER: Final = 75  # The exit code of a place that is taken; supervisord tries again.
RECENT: Final = 20
EXCHANGE_IDS: Final = ("trade_id", "order_id")
PAGE: Final = Path(btcbot.web.__file__).parent
FILES: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def handle(view: View, message: Inbox, _now_ns: int) -> Step[View]:
    """Return the view, changed in place; the dashboard says nothing."""
    match message:
        case PeerBack() | PeerLost() | CaughtUp() | Started():
            pass
        case _:
            learn(view, message)
    return Step(view)


def actor(mode: str, pairs: tuple[Pair, ...]) -> Actor[View]:
    """Return the dashboard's actor; the page is served beside it."""
    return Actor(
        name="dashboard",
        state=View(mode=mode, pairs=pairs),
        handle=handle,
        hears=(
            Hears(source="market_data", topic="feed."),
            Hears(source="market_data", topic="mark."),
            Hears(source="accounting", topic="account"),
            Hears(source="accounting", topic="pnl"),
            Hears(source="risk_gate", topic="risk"),
            Hears(source="execution", topic="venue"),
            Hears(source="execution", topic="fact", conflate=False),
        ),
        facts=SHOWN_FACTS,
        needs=("execution",),
        watches=tuple(name for name in ACTORS if name != "dashboard"),
    )


class Page:
    """What the page shows: the status document, and the newest rows of the database beside it."""

    def __init__(self, config: Config, view: View, peers: PeersView) -> None:
        self._config, self._view, self._peers = config, view, peers
        self._clock = SystemClock()
        self._history: History | None = None

    def document(self) -> dict[str, Any]:
        """Return the document; without a database its lists are empty."""
        config, now_ns = self._config, self._clock.monotonic_ns()
        heard = {
            peer.name: (peer.pid, peer.health.value, (now_ns - peer.heard_ns) / 1e9)
            for peer in self._peers().values()
        }
        heard["dashboard"] = (os.getpid(), "READY", 0.0)
        lives = vitals.lives(
            heard,
            config.journal,
            config.run / "config.json",
            waiting_file(config.run / "exec.lock"),
        )
        return {**status_of(self._view, lives, self._clock.now_ns()), **self._rows()}

    def _rows(self) -> dict[str, Any]:
        with suppress(StoreError):
            if self._history is None:
                self._history = History(self._config.database)
            history = self._history
            return {
                "live_orders": [_for_browser(row) for row in history.live_orders()],
                "recent_fills": [_for_browser(row) for row in history.recent_fills(RECENT)],
                "recent_refusals": history.recent_refusals(RECENT),
            }
        return {"live_orders": [], "recent_fills": [], "recent_refusals": []}


def _for_browser(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with the exchange's ids as text: a browser's numbers end at 2^53."""
    ids = {name: str(row[name]) for name in EXCHANGE_IDS if row.get(name) is not None}
    return {**row, **ids}


def application(show: Callable[[], dict[str, Any]]) -> "Starlette":
    """Return the pages: three files of ours and one document; GET is all there is.

    Asked for under another name than this machine's own, it answers 400: a page of somebody else
    cannot read it through a name that leads here.
    """
    from starlette.applications import Starlette  # noqa: PLC0415 - the extra `ui`
    from starlette.middleware import Middleware  # noqa: PLC0415
    from starlette.middleware.trustedhost import TrustedHostMiddleware  # noqa: PLC0415
    from starlette.responses import Response  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415

    def page(name: str, kind: str) -> "Callable[[Request], Awaitable[Response]]":
        content = (PAGE / name).read_bytes()

        async def endpoint(_request: "Request") -> Response:
            return Response(content, media_type=kind, headers=HEADERS)

        return endpoint

    async def status(_request: "Request") -> Response:
        content = msgspec.json.encode(show())
        return Response(content, media_type="application/json", headers=HEADERS)

    routes = [Route(path, page(*about)) for path, about in FILES.items()]
    known = Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    return Starlette(routes=[*routes, Route("/status.json", status)], middleware=[known])


def listen(port: int) -> socket.socket:
    """Return a socket that listens on `port` of this machine alone; exits 75 if it is taken."""
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        log.error("port_taken", extra={"error": f"{HOST}:{port}: {error}"})  # noqa: TRY400
        raise SystemExit(TRY_LATER) from None


async def serve_page(pages: "Starlette", door: socket.socket, stop: asyncio.Event) -> None:
    """Answer browsers at `door` until `stop`; signals are the actor's."""
    import uvicorn  # noqa: PLC0415 - the extra `ui`

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    config = uvicorn.Config(
        pages, http="h11", ws="none", lifespan="off", log_config=None, access_log=False,
        server_header=False, proxy_headers=False, limit_concurrency=32, timeout_keep_alive=5,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = Server(config)
    serving = asyncio.create_task(server.serve(sockets=[door]))
    await stop.wait()
    server.should_exit = True
    await serving


def main(config: Config) -> None:
    """Serve the page until SIGTERM."""
    run_on_loop(_serve(config))


async def _serve(config: Config) -> None:
    pages: list[Page] = []
    stop = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []
    place = place_of(config)

    def make(_deliver: Deliver, peers: PeersView) -> Actor[View]:
        made = revived(actor(config.mode, config.pairs), place.journal, place.code)
        pages.append(Page(config, made.state, peers))
        return made

    async def open_page() -> None:
        door = listen(config.dashboard.port)
        try:
            shown = application(pages[0].document)
        except ImportError as error:
            door.close()
            log.warning("no_page", extra={"error": f"{error}; install btcbot[ui]"})
        else:
            tasks.append(asyncio.create_task(serve_page(shown, door, stop)))

    try:
        await serve(make, place, before=open_page)
    finally:
        stop.set()
        await asyncio.gather(*tasks)
