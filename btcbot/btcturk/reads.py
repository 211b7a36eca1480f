"""The private reads, one coroutine each: what was asked, and when, with what came back."""

from typing import Any, Final, Protocol

from btcbot.btcturk import account, wire
from btcbot.btcturk.drift import METHODS, STATUSES, Drift
from btcbot.btcturk.failures import Failure
from btcbot.btcturk.rate_budget import Priority
from btcbot.btcturk.rest import Params, Rest, RestError
from btcbot.domain.ids import OrderId, Pair
from btcbot.domain.venue import (
    AllOrdersRead,
    BalancesRead,
    FillsRead,
    OpenOrdersRead,
    OrderRead,
    ReadFills,
    TimeRead,
    VenueOrder,
)

PAGE: Final = 1_000
PAGES_MAX: Final = 50


def priority_of(is_settling: bool) -> Priority:  # noqa: FBT001 - it is all there is to say
    """Return the priority of a read that does or does not settle what is in doubt."""
    return Priority.SETTLING if is_settling else Priority.ROUTINE


class Clock(Protocol):
    def now_ns(self) -> int: ...

    def monotonic_ns(self) -> int: ...


class Reads:
    """Each raises RestError or WireError: then nothing may be concluded."""

    def __init__(self, rest: Rest, clock: Clock, drift: Drift) -> None:
        self._rest, self._clock, self._drift = rest, clock, drift

    async def order(self, order_id: OrderId) -> OrderRead:
        """Return one order; None only when the exchange itself says that it knows no such id."""
        try:
            body = await self._private(
                "order", f"/api/v1/order/{order_id}", priority=Priority.SETTLING
            )
        except RestError as error:
            if error.failure is not Failure.NOT_FOUND:
                raise
            return OrderRead(order_id=order_id, order=None)
        found = wire.order(body)
        if found.order_id != order_id:
            detail = f"asked for order {order_id}, was told of {found.order_id}"
            raise RestError(Failure.MALFORMED, detail)
        return OrderRead(order_id=order_id, order=self._seen((found,))[0])

    async def open_orders(
        self, pair: Pair, priority: Priority = Priority.ROUTINE
    ) -> OpenOrdersRead:
        asked_ns = self._clock.now_ns()
        body = await self._private(
            "open_orders", "/api/v1/openOrders", {"pairSymbol": pair}, priority
        )
        orders = self._seen(wire.open_orders(body, pair))
        return OpenOrdersRead(pair=pair, orders=orders, asked_ns=asked_ns)

    async def all_orders(self, pair: Pair, from_id: OrderId) -> AllOrdersRead:
        """Read every page, then the first again.

        Complete only if nothing speaks against it. The pages end with an empty one, and only the
        last of the others may be shorter than the first. The first, asked for without a number, is
        equal to page 1 at the end: the list stood still, and pages do count from 1. The order
        `from_id` itself is there: no cap on the history (some have seen 25 and 50) hides the rest.
        """
        asked_ns = self._clock.now_ns()
        first = await self._page(pair, from_id, None)
        pages = [first]
        while pages[-1] and len(pages) < PAGES_MAX:
            pages.append(await self._page(pair, from_id, len(pages) + 1))
        again = await self._page(pair, from_id, 1)
        rows = {row.order_id: row for page in pages for row in page}
        sizes = [len(page) for page in pages]
        is_complete = (
            sizes[-1] == 0
            and len(set(sizes[:-2])) <= 1
            and all(size >= sizes[-2] for size in sizes[:-2])
            and len(rows) == sum(sizes)
            and [row.order_id for row in first] == [row.order_id for row in again]
            and (from_id in rows or not from_id)
        )
        return AllOrdersRead(
            pair=pair,
            orders=tuple(rows[key] for key in sorted(rows)),
            is_complete=is_complete,
            asked_ns=asked_ns,
        )

    async def fills(self, effect: ReadFills) -> FillsRead:
        asked_ns = self._clock.now_ns()
        params: Params = (
            {"startDate": effect.since_ms}
            if effect.order_id is None
            else {"orderId": effect.order_id}  # The exchange wants it alone.
        )
        is_settling = effect.order_id is not None or effect.is_settling
        body = await self._private(
            "trades", "/api/v1/users/transactions/trade", params, priority_of(is_settling)
        )
        return FillsRead(order_id=effect.order_id, fills=wire.fills(body), asked_ns=asked_ns)

    async def balances(self, priority: Priority = Priority.ROUTINE) -> BalancesRead:
        asked_ns = self._clock.now_ns()
        body = await self._private("balances", "/api/v1/users/balances", priority=priority)
        return BalancesRead(balances=account.balances(body), asked_ns=asked_ns)

    async def transfers(self, group: str, since_ms: int) -> tuple[account.Transfer, ...]:
        """Return deposits and withdrawals since then: of coins ("crypto") or of money ("fiat")."""
        path = f"/api/v1/users/transactions/{group}"
        found = account.transfers(await self._private(group, path, {"startDate": since_ms}))
        for row in found:
            if row.kind not in ("deposit", "withdrawal"):
                self._drift.note(f"transfer of kind {row.kind!r}")
        return found

    async def time(self) -> TimeRead:
        """Measure once: a second try would stretch the trip, and with it the error."""
        sent_ns, began = self._clock.now_ns(), self._clock.monotonic_ns()
        body = await self._rest.get("public", "/api/v2/server/time", tries=1)
        half_trip_ns = (self._clock.monotonic_ns() - began) // 2
        self._drift.look("time", body)
        # It is told in whole milliseconds, cut off: on average it is half of one later.
        server_ns = wire.server_ms(body) * 1_000_000 + 500_000
        return TimeRead(
            offset_ns=server_ns - (sent_ns + half_trip_ns), error_ns=half_trip_ns + 500_000
        )

    async def _page(self, pair: Pair, from_id: OrderId, page: int | None) -> tuple[VenueOrder, ...]:
        params: dict[str, Any] = {"pairSymbol": pair, "orderId": from_id, "limit": PAGE}
        if page is not None:
            params["page"] = page
        body = await self._private(
            "all_orders", "/api/v1/allOrders", params, priority=Priority.SETTLING
        )
        return self._seen(wire.all_orders(body, pair))

    async def _private(
        self,
        group: str,
        path: str,
        params: Params | None = None,
        priority: Priority = Priority.ROUTINE,
    ) -> bytes:
        body = await self._rest.get(group, path, params, priority=priority)
        self._drift.look(group, body)
        return body

    def _seen(self, rows: tuple[VenueOrder, ...]) -> tuple[VenueOrder, ...]:
        for row in rows:
            if row.status not in STATUSES:
                self._drift.note(f"order status {row.status!r}")
            if row.method not in METHODS:
                self._drift.note(f"order method {row.method!r}")
        return rows
