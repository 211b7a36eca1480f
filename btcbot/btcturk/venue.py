"""The private side of BTCTurk for execution: one POST an order, reads, cancels, the doorbell."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Protocol, assert_never

from msgspec.structs import replace

from btcbot.btcturk import frames, private_frames
from btcbot.btcturk.auth import KeyPair
from btcbot.btcturk.breaker import Breaker
from btcbot.btcturk.classify import classify
from btcbot.btcturk.drift import Drift
from btcbot.btcturk.failures import Failure, remedy_of_401
from btcbot.btcturk.grammar import WireError
from btcbot.btcturk.hear import Hear, nobody
from btcbot.btcturk.hear import reply as tell
from btcbot.btcturk.network import Network
from btcbot.btcturk.order_body import order_body
from btcbot.btcturk.pool import SubmitPool
from btcbot.btcturk.rate_budget import PRIVATE, SECOND_NS, RateBudget, retry_after_s
from btcbot.btcturk.reads import Reads, priority_of
from btcbot.btcturk.rest import Rest, RestError, Signing
from btcbot.btcturk.server_clock import ServerClock
from btcbot.btcturk.stream import Socket
from btcbot.btcturk.submit import Post, Reply, Waits
from btcbot.btcturk.tasks import Tasks
from btcbot.btcturk.watch import Watch
from btcbot.domain.ids import OrderId
from btcbot.domain.messages import Message, VenueState
from btcbot.domain.venue import (
    Cancel,
    CancelAnswered,
    ConnectionsIdle,
    Outcome,
    ReadAllOrders,
    ReadBalances,
    ReadFailed,
    ReadFills,
    ReadOpenOrders,
    ReadOrder,
    ReadTime,
    ShowMarket,
    Submit,
    Submitted,
    TimeRead,
    VenueEffect,
)

log = logging.getLogger("btcbot.btcturk")
STAMP_AGE_MAX_MS = 1_500
MILLISECOND_NS = 1_000_000
DETAIL_MAX = 300
ORDER_PATH = "/api/v1/order"


class Clock(Protocol):
    def now_ns(self) -> int: ...

    def monotonic_ns(self) -> int: ...


class BtcturkVenue:
    """Performs venue effects on the running event loop; outcomes go to `deliver`."""

    def __init__(  # noqa: PLR0913 - what a venue is made of
        self,
        *,
        addresses: tuple[str, str],
        credentials: tuple[str, str],
        deliver: Callable[[Message], None],
        kill_file: Path,
        clock: Clock,
        waits: Waits | None = None,
        network: Network | None = None,
        hear: Hear = nobody,
    ) -> None:
        """`addresses`: REST and WebSocket. `credentials`: key and secret, as BTCTurk shows them.

        `hear` is told every frame and reply as it came: never what we send, nor its headers.
        Raises ValueError, which quotes neither, when these cannot be a key and a secret.
        """
        rest_url, ws_url = addresses
        self._keys = KeyPair(*credentials)
        self._deliver, self._kill_file, self._clock = deliver, kill_file, clock
        self._hear, self._session = hear, 0
        self._server, self._measuring = ServerClock(), asyncio.Lock()
        self._last_stamp_ms = 0
        self._budget, self._breaker, self._watch = RateBudget(), Breaker(), Watch()
        self._drift = Drift(lambda what: log.warning("exchange_drift", extra={"error": what}))
        self._rest = Rest(
            rest_url,
            clock.monotonic_ns,
            signing=Signing(self._keys, self._stamp, self._know_the_time),
            budget=self._budget,
            network=network,
            breaker=self._breaker,
            hear=hear,
        )
        self._reads = Reads(self._rest, clock, self._drift)
        self._tasks = Tasks()
        self._pool = SubmitPool(
            rest_url, lambda count: deliver(ConnectionsIdle(count=count)), waits=waits,
            network=network,
        )  # fmt: skip
        self._socket = Socket(
            ws_url,
            clock.monotonic_ns,
            on_up=self._login,
            on_frame=self._frame,
            on_down=self._down,
            silence_s=None,  # A quiet account hears nothing: polling is the authority.
            network=network,
        )
        self._tasks.start(self._report((waits or Waits()).report_s), lambda _: None)

    def start(self, effect: VenueEffect) -> None:  # noqa: C901 - one line each
        """Begin one effect. A Submit is written before this returns, or not at all."""
        reads = self._reads
        match effect:
            case Submit():
                self._submit(effect)
            case Cancel():
                self._cancel(effect.order_id)
            case ReadOrder():
                self._read(f"order {effect.order_id}", reads.order(effect.order_id))
            case ReadOpenOrders():
                priority = priority_of(effect.is_settling)
                self._read(f"open {effect.pair}", reads.open_orders(effect.pair, priority))
            case ReadAllOrders():
                work = reads.all_orders(effect.pair, effect.from_order_id)
                self._read(f"all {effect.pair}", work)
            case ReadFills():
                self._read("fills" if effect.order_id is None else "fills_of", reads.fills(effect))
            case ReadBalances():
                self._read("balances", reads.balances(priority_of(effect.is_settling)))
            case ReadTime():
                self._read("clock", self._time())
            case ShowMarket():
                raise AssertionError("an exchange knows its own market")
            case _:
                assert_never(effect)

    @property
    def drift(self) -> dict[str, int]:
        """What the exchange said that nobody told us of, counted by name."""
        return dict(self._drift.counts)

    async def close(self) -> None:
        """End everything. What is under way has no outcome; the journal knows what was begun."""
        await self._tasks.close()
        await self._pool.close()
        await self._socket.close()
        await self._rest.close()

    # --- the one POST -------------------------------------------------------------------------

    def _submit(self, effect: Submit) -> None:
        """Send, unless it is too late to; nothing here waits."""
        detail = self._why_not(effect)
        if not detail:
            self._last_stamp_ms = max(self._last_stamp_ms, effect.stamp_ms)
            if self._pool.post(self._post_of(effect)):
                return
            detail = f"no usable connection: {self._pool.trouble}"
        self._deliver(
            Submitted(
                intent_id=effect.intent_id, outcome=Outcome.NOT_SENT, detail=detail[:DETAIL_MAX]
            )
        )

    def _why_not(self, effect: Submit) -> str:
        """Return why not one byte of `effect` may leave; empty when it may."""
        now_ns = self._clock.monotonic_ns()
        if why_not := self._why_no_stamp():
            return why_not
        age_ms = self._now_ms() - effect.stamp_ms
        if age_ms > STAMP_AGE_MAX_MS:
            return f"its stamp is {age_ms} ms old; allowed are {STAMP_AGE_MAX_MS}: we were paused"
        if age_ms < -STAMP_AGE_MAX_MS:
            return f"its stamp lies {-age_ms} ms ahead: the clock went back"
        if self._kill_file.exists():
            return "run/KILL exists"
        if not self._budget.take("submit", now_ns):
            wait_s = self._budget.wait_ns("submit", now_ns) / SECOND_NS
            return f"our rate budget for submit opens in {wait_s:.1f} s"
        return "" if self._breaker.take("submit", now_ns) else self._rest.why_refused("submit")

    def _post_of(self, effect: Submit) -> Post:
        sent_ns = self._clock.monotonic_ns()

        def on_reply(reply: Reply) -> None:
            now_ns = self._clock.monotonic_ns()
            tell(self._hear, f"POST {ORDER_PATH}", reply.status, reply.body)
            if reply.status == 429:
                self._budget.close("submit", retry_after_s(reply.retry_after), now_ns)
            said = classify(effect.intent_id, effect.client_order_id, reply.status, reply.body)
            if said.is_unauthorised:
                remedy = remedy_of_401("submit", said.detail)
                said = replace(said, detail=f"{said.detail}; {remedy}")
                self._breaker.refused("submit", said.detail, now_ns)
            elif said.outcome in (Outcome.ACKED, Outcome.REJECTED):
                self._breaker.accepted("submit")
            if said.order_id is not None:
                self._watch.changed(said.order_id, sent_ns)
            self._deliver(said)

        def on_doubt(detail: str) -> None:
            self._deliver(
                Submitted(intent_id=effect.intent_id, outcome=Outcome.UNKNOWN, detail=detail)
            )

        body = order_body(effect.pair, effect.terms, effect.client_order_id)
        return Post(ORDER_PATH, self._keys.headers(effect.stamp_ms), body, on_reply, on_doubt)

    # --- cancels and reads --------------------------------------------------------------------

    def _cancel(self, order_id: OrderId) -> None:
        def answer(detail: str, *, is_accepted: bool = False) -> None:
            self._deliver(
                CancelAnswered(
                    order_id=order_id, is_accepted=is_accepted, detail=detail[:DETAIL_MAX]
                )
            )

        async def work() -> None:
            sent_ns = self._clock.monotonic_ns()
            try:
                await self._rest.delete(ORDER_PATH, {"id": order_id})
            except RestError as error:
                answer(str(error))
            else:
                self._watch.changed(order_id, sent_ns)
                answer("", is_accepted=True)

        self._tasks.start(work(), answer)

    def _read(self, what: str, work: Coroutine[Any, Any, Message]) -> None:
        def failed(detail: str, *, is_unauthorised: bool = False) -> None:
            self._deliver(
                ReadFailed(what=what, detail=detail[:DETAIL_MAX], is_unauthorised=is_unauthorised)
            )

        async def deliver() -> None:
            try:
                found = await work
            except RestError as error:
                failed(str(error), is_unauthorised=error.failure is Failure.UNAUTHORISED)
            except WireError as error:
                failed(str(error))
            else:
                self._deliver(found)

        self._tasks.start(deliver(), failed)

    async def _time(self) -> TimeRead:
        found = await self._reads.time()
        self._server.measured(found, self._clock.now_ns(), self._clock.monotonic_ns())
        return found

    async def _know_the_time(self) -> None:
        """Measure the exchange's clock before anything is signed by one that may be wrong.

        A stamp from a wrong clock would be refused, and, as stamps only grow, so would those that
        follow it. Raises RestError.
        """
        async with self._measuring:
            if self._why_no_stamp():
                self._deliver(await self._time())

    def _why_no_stamp(self) -> str:
        return self._server.why_not(self._clock.now_ns(), self._clock.monotonic_ns())

    # --- time, the private socket, and how all of it is ---------------------------------------

    def _now_ms(self) -> int:
        """Return the exchange's time, as far as we have measured it."""
        return self._server.now_ms(self._clock.now_ns())

    def _stamp(self) -> int:
        """Return the stamp of the next private request; no two are equal and they only grow."""
        self._last_stamp_ms = max(self._now_ms(), self._last_stamp_ms + 1)
        return self._last_stamp_ms

    def _login(self) -> Iterator[str]:
        self._session += 1
        yield frames.login(self._keys.login(self._now_ms()))

    def _frame(self, frame: bytes) -> None:
        self._hear("ws.private", self._session, frame)
        try:
            kind, body = frames.split(frame)
            if kind == 114:
                self._logged_in(*private_frames.login_answer(body))
                return
            doorbell = private_frames.private(kind, body)
        except WireError as error:
            log.warning("private_frame_refused", extra={"error": str(error)[:DETAIL_MAX]})
            self._drift.note("a private frame that is not as documented")
            return
        if doorbell is not None:
            self._watch.heard(doorbell.order_id, self._clock.monotonic_ns())
            self._drift.look("private_frame", frame)
            self._deliver(doorbell)
        elif kind not in frames.KNOWN_TYPES:
            self._drift.note(f"frame: type {kind}")

    def _logged_in(self, is_accepted: bool, message: str) -> None:  # noqa: FBT001
        if is_accepted:
            log.info("private_socket_up")
            self._watch.up()
        else:
            why = (
                f"login refused: {message}; is exchange.api_secret_file this key's, and has the"
                " key the permission 'WebSocket'?"
            )
            log.warning("private_login_refused", extra={"error": why})
            self._watch.down(why)

    def _down(self, reason: str) -> None:
        log.info("private_socket_down", extra={"error": reason})
        self._watch.down(reason[:DETAIL_MAX])

    async def _report(self, every_s: float) -> None:
        """Say how the connection is every few seconds, and look for a socket that keeps silent."""
        while True:
            await asyncio.sleep(every_s)
            if silence := self._watch.look(self._clock.monotonic_ns()):
                log.warning("private_socket_suspect", extra={"error": silence})
            if self._why_no_stamp():
                self._read("clock", self._time())
            self._deliver(self._state())

    def _state(self) -> VenueState:
        now_ns, monotonic_ns = self._clock.now_ns(), self._clock.monotonic_ns()
        status, reason = self._watch.status
        error_ns = self._server.error_ns(now_ns, monotonic_ns)
        is_measured = error_ns is not None
        return VenueState(
            rate=self._budget.uses(tuple(PRIVATE), monotonic_ns),
            private_socket=status,
            socket_reason=reason,
            clock_offset_ms=self._server.offset_ms if is_measured else None,
            clock_error_ms=error_ns // MILLISECOND_NS if error_ns is not None else None,
            trouble=self._breaker.trouble,
            drift=len(self._drift.counts),
            at_ns=now_ns,
        )
