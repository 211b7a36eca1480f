"""The private side of BTCTurk for execution: one POST an order, reads, cancels, the doorbell."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Protocol

import msgspec

from btcbot.btcturk import frames, wire
from btcbot.btcturk.auth import KeyPair
from btcbot.btcturk.classify import classify
from btcbot.btcturk.rest import ORDER_NOT_FOUND, Rest, RestError
from btcbot.btcturk.stream import Socket
from btcbot.btcturk.submit import SubmitPool
from btcbot.domain.ids import OrderId, Pair
from btcbot.domain.messages import Message
from btcbot.domain.venue import (
    AllOrdersRead,
    BalancesRead,
    Cancel,
    CancelAnswered,
    ConnectionsIdle,
    FillsRead,
    OpenOrdersRead,
    OrderRead,
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
    VenueOrder,
)

log = logging.getLogger("btcbot.btcturk")
STAMP_AGE_MAX_MS = 1_500
PAGE = 1_000
PAGES_MAX = 50
ORDER_PATH = "/api/v1/order"


class Clock(Protocol):
    def now_ns(self) -> int: ...

    def monotonic_ns(self) -> int: ...


class BtcturkVenue:
    """Performs venue effects on the running event loop; outcomes go to `deliver`."""

    def __init__(
        self,
        *,
        addresses: tuple[str, str],
        credentials: tuple[str, str],
        deliver: Callable[[Message], None],
        kill_file: Path,
        clock: Clock,
    ) -> None:
        """`addresses`: REST and WebSocket. `credentials`: key and secret, as BTCTurk shows them."""
        rest_url, ws_url = addresses
        self._keys = KeyPair(*credentials)
        self._deliver, self._kill_file, self._clock = deliver, kill_file, clock
        self._offset_ms = 0
        self._last_stamp_ms = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._rest = Rest(rest_url, clock.monotonic_ns, keys=self._keys, stamp=self._stamp)
        self._pool = SubmitPool(rest_url, lambda count: deliver(ConnectionsIdle(count=count)))
        self._socket = Socket(
            ws_url,
            on_up=self._login,
            on_frame=self._frame,
            on_down=lambda reason: log.info("private_socket_down", extra={"error": reason}),
            silence_s=None,  # A quiet account hears nothing: polling is the authority.
        )

    def start(self, effect: VenueEffect) -> None:
        """Begin one effect. A Submit is written before this returns, or not at all."""
        match effect:
            case Submit():
                self._submit(effect)
            case Cancel():
                self._run(self._cancel(effect.order_id))
            case ReadOrder():
                self._run(self._order(effect.order_id))
            case ReadOpenOrders():
                self._read(f"open {effect.pair}", self._open_orders(effect.pair))
            case ReadAllOrders():
                self._read(
                    f"all {effect.pair}", self._all_orders(effect.pair, effect.from_order_id)
                )
            case ReadFills():
                name = "fills" if effect.order_id is None else "fills_of"
                self._read(name, self._fills(effect))
            case ReadBalances():
                self._read("balances", self._balances())
            case ReadTime():
                self._read("clock", self._time())

    async def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await self._pool.close()
        await self._socket.close()
        await self._rest.close()

    # --- the one POST -------------------------------------------------------------------------

    def _submit(self, effect: Submit) -> None:
        """Send, unless it is too late to; nothing here waits."""

        def not_sent(detail: str) -> None:
            self._deliver(
                Submitted(
                    intent_id=effect.intent_id, outcome=Outcome.NOT_SENT, detail=detail
                )
            )

        def on_reply(status: int, body: bytes) -> None:
            self._deliver(classify(effect.intent_id, effect.client_order_id, status, body))

        def on_doubt(detail: str) -> None:
            self._deliver(
                Submitted(intent_id=effect.intent_id, outcome=Outcome.UNKNOWN, detail=detail)
            )

        age_ms = self._clock.now_ns() // 1_000_000 + self._offset_ms - effect.stamp_ms
        if age_ms > STAMP_AGE_MAX_MS:
            not_sent(f"its stamp is {age_ms} ms old; allowed are {STAMP_AGE_MAX_MS}: we were paused")
            return
        if self._kill_file.exists():
            not_sent(f"{self._kill_file} exists")
            return
        self._last_stamp_ms = max(self._last_stamp_ms, effect.stamp_ms)
        body = wire.order_body(
            effect.pair, effect.side, effect.quantity, effect.limit_price, effect.client_order_id
        )
        headers = self._keys.headers(effect.stamp_ms)
        if not self._pool.post(ORDER_PATH, headers, body, on_reply, on_doubt):
            not_sent("no usable connection")

    # --- reads and cancels --------------------------------------------------------------------

    async def _cancel(self, order_id: OrderId) -> None:
        try:
            await self._rest.delete(ORDER_PATH, {"id": order_id})
        except RestError as error:
            answer = CancelAnswered(order_id=order_id, is_accepted=False, detail=str(error)[:300])
        else:
            answer = CancelAnswered(order_id=order_id, is_accepted=True)
        self._deliver(answer)

    async def _order(self, order_id: OrderId) -> None:
        found: VenueOrder | None = None
        try:
            found = wire.order(
                await self._rest.get("order", f"{ORDER_PATH}/{order_id}", private=True)
            )
        except (RestError, wire.WireError) as error:
            if not isinstance(error, RestError) or error.code != str(ORDER_NOT_FOUND):
                self._failed(f"order {order_id}", error)
                return
        self._deliver(OrderRead(order_id=order_id, order=found))

    async def _open_orders(self, pair: Pair) -> Message:
        asked_ns = self._clock.now_ns()
        body = await self._private("open_orders", "/api/v1/openOrders", {"pairSymbol": pair})
        return OpenOrdersRead(pair=pair, orders=wire.open_orders(body, pair), asked_ns=asked_ns)

    async def _all_orders(self, pair: Pair, from_id: OrderId) -> Message:
        """Read every page, then the first again: a list that moved proves nothing."""
        asked_ns = self._clock.now_ns()
        first = await self._page(pair, from_id, 1)
        rows = {row.order_id: row for row in first}
        page, number = first, 1
        while len(page) == PAGE and number < PAGES_MAX:
            number += 1
            page = await self._page(pair, from_id, number)
            rows.update((row.order_id, row) for row in page)
        again = await self._page(pair, from_id, 1)
        same = [row.order_id for row in first] == [row.order_id for row in again]
        return AllOrdersRead(
            pair=pair,
            orders=tuple(rows[key] for key in sorted(rows)),
            is_complete=same and len(page) < PAGE,
            asked_ns=asked_ns,
        )

    async def _page(self, pair: Pair, from_id: OrderId, page: int) -> tuple[VenueOrder, ...]:
        params = {"pairSymbol": pair, "orderId": from_id, "page": page, "limit": PAGE}
        body = await self._private("all_orders", "/api/v1/allOrders", params)
        return wire.all_orders(body, pair)

    async def _fills(self, effect: ReadFills) -> Message:
        asked_ns = self._clock.now_ns()
        params = (
            {"startDate": effect.since_ms}
            if effect.order_id is None
            else {"orderId": effect.order_id}  # The exchange wants it alone.
        )
        body = await self._private("trades", "/api/v1/users/transactions/trade", params)
        return FillsRead(order_id=effect.order_id, fills=wire.fills(body), asked_ns=asked_ns)

    async def _balances(self) -> Message:
        asked_ns = self._clock.now_ns()
        body = await self._private("balances", "/api/v1/users/balances", {})
        return BalancesRead(balances=wire.balances(body), asked_ns=asked_ns)

    async def _time(self) -> Message:
        sent_ns, began = self._clock.now_ns(), self._clock.monotonic_ns()
        body = await self._rest.get("public", "/api/v2/server/time")
        half_trip_ns = (self._clock.monotonic_ns() - began) // 2
        offset_ns = wire.server_ms(body) * 1_000_000 - (sent_ns + half_trip_ns)
        self._offset_ms = offset_ns // 1_000_000
        # The exchange's clock is read in whole milliseconds.
        return TimeRead(offset_ns=offset_ns, error_ns=half_trip_ns + 1_000_000)

    async def _private(self, group: str, path: str, params: dict[str, Any]) -> bytes:
        return await self._rest.get(group, path, params, private=True)

    # --- small parts --------------------------------------------------------------------------

    def _stamp(self) -> int:
        """Return the stamp of the next private request, by the exchange's clock; it only grows."""
        stamp = self._clock.now_ns() // 1_000_000 + self._offset_ms
        self._last_stamp_ms = max(stamp, self._last_stamp_ms + 1)
        return self._last_stamp_ms

    def _read(self, name: str, work: Coroutine[Any, Any, Message]) -> None:
        async def deliver() -> None:
            try:
                self._deliver(await work)
            except (RestError, wire.WireError) as error:
                self._failed(name, error)

        self._run(deliver())

    def _failed(self, name: str, error: RestError | wire.WireError) -> None:
        is_unauthorised = isinstance(error, RestError) and error.is_unauthorised
        self._deliver(
            ReadFailed(what=name, detail=str(error)[:300], is_unauthorised=is_unauthorised)
        )

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _login(self) -> Iterator[str]:
        yield msgspec.json.encode(self._keys.login(self._stamp())).decode()

    def _frame(self, frame: str | bytes) -> None:
        try:
            answer = frames.login(frame)
            doorbell = frames.private(frame) if answer is None else None
        except wire.WireError as error:
            log.warning("private_frame_refused", extra={"error": str(error)[:300]})
            return
        if answer is not None and not answer[0]:
            log.warning("private_login_refused", extra={"error": answer[1]})
        if doorbell is not None:
            self._deliver(doorbell)
