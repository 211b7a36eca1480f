"""The private side of BTCTurk for execution: one POST an order, reads, cancels, the doorbell."""

import logging
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Protocol, assert_never

from btcbot.btcturk import frames
from btcbot.btcturk.auth import KeyPair
from btcbot.btcturk.classify import classify
from btcbot.btcturk.drift import Drift
from btcbot.btcturk.grammar import WireError
from btcbot.btcturk.hear import Hear, nobody
from btcbot.btcturk.hear import reply as tell
from btcbot.btcturk.network import Network
from btcbot.btcturk.pool import SubmitPool
from btcbot.btcturk.rate_budget import SECOND_NS, RateBudget, retry_after_s
from btcbot.btcturk.reads import Reads
from btcbot.btcturk.rest import Rest, RestError
from btcbot.btcturk.stream import Socket
from btcbot.btcturk.submit import Post, Reply, Waits
from btcbot.btcturk.tasks import Tasks
from btcbot.btcturk.wire import order_body
from btcbot.domain.ids import OrderId
from btcbot.domain.messages import Message
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
        self._offset_ms = 0
        self._last_stamp_ms = 0
        self._budget = RateBudget()
        self._drift = Drift(lambda what: log.warning("exchange_drift", extra={"error": what}))
        self._rest = Rest(
            rest_url,
            clock.monotonic_ns,
            keys=self._keys,
            stamp=self._stamp,
            budget=self._budget,
            network=network,
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
            on_down=lambda reason: log.info("private_socket_down", extra={"error": reason}),
            silence_s=None,  # A quiet account hears nothing: polling is the authority.
            network=network,
        )

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
                self._read(f"open {effect.pair}", reads.open_orders(effect.pair))
            case ReadAllOrders():
                work = reads.all_orders(effect.pair, effect.from_order_id)
                self._read(f"all {effect.pair}", work)
            case ReadFills():
                self._read("fills" if effect.order_id is None else "fills_of", reads.fills(effect))
            case ReadBalances():
                self._read("balances", reads.balances())
            case ReadTime():
                self._read("clock", self._time())
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
        age_ms = self._now_ms() - effect.stamp_ms
        if age_ms > STAMP_AGE_MAX_MS:
            return f"its stamp is {age_ms} ms old; allowed are {STAMP_AGE_MAX_MS}: we were paused"
        if age_ms < -STAMP_AGE_MAX_MS:
            return f"its stamp lies {-age_ms} ms ahead: the clock went back"
        if self._kill_file.exists():
            return f"{self._kill_file} exists"
        now_ns = self._clock.monotonic_ns()
        if not self._budget.take("submit", now_ns):
            wait_s = self._budget.wait_ns("submit", now_ns) / SECOND_NS
            return f"our rate budget for submit opens in {wait_s:.1f} s"
        return ""

    def _post_of(self, effect: Submit) -> Post:
        def on_reply(reply: Reply) -> None:
            tell(self._hear, f"POST {ORDER_PATH}", reply.status, reply.body)
            if reply.status == 429:
                wait_s = retry_after_s(reply.retry_after)
                self._budget.close("submit", wait_s, self._clock.monotonic_ns())
            self._deliver(
                classify(effect.intent_id, effect.client_order_id, reply.status, reply.body)
            )

        def on_doubt(detail: str) -> None:
            self._deliver(
                Submitted(intent_id=effect.intent_id, outcome=Outcome.UNKNOWN, detail=detail)
            )

        body = order_body(
            effect.pair, effect.side, effect.quantity, effect.limit_price, effect.client_order_id
        )
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
            try:
                await self._rest.delete(ORDER_PATH, {"id": order_id})
            except RestError as error:
                answer(str(error))
            else:
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
                failed(str(error), is_unauthorised=error.is_unauthorised)
            except WireError as error:
                failed(str(error))
            else:
                self._deliver(found)

        self._tasks.start(deliver(), failed)

    async def _time(self) -> TimeRead:
        found = await self._reads.time()
        self._offset_ms = found.offset_ns // MILLISECOND_NS
        return found

    # --- time and the private socket ----------------------------------------------------------

    def _now_ms(self) -> int:
        """Return the exchange's time, as far as we have measured it."""
        return self._clock.now_ns() // MILLISECOND_NS + self._offset_ms

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
                self._logged_in(*frames.login_answer(body))
                return
            doorbell = frames.private(kind, body)
        except WireError as error:
            log.warning("private_frame_refused", extra={"error": str(error)[:DETAIL_MAX]})
            return
        if doorbell is not None:
            self._deliver(doorbell)
        elif kind not in frames.KNOWN_TYPES:
            self._drift.note(f"frame: type {kind}")

    def _logged_in(self, is_accepted: bool, message: str) -> None:  # noqa: FBT001
        if is_accepted:
            log.info("private_socket_up")
        else:
            log.warning("private_login_refused", extra={"error": message})
