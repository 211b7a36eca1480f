"""The bench of the live experiments: orders of the least size, far from the market, proven gone.

An order's label is written down before it is sent. What may have been accepted is looked for by its
label, cancelled, and read until the exchange itself says that it ended with nothing executed.
"""

import asyncio
import time
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct

from btcbot.btcturk import wire
from btcbot.btcturk.auth import KeyPair
from btcbot.btcturk.classify import classify
from btcbot.btcturk.grammar import WireError
from btcbot.btcturk.order_body import order_body
from btcbot.btcturk.probe import Evidence, Prober
from btcbot.btcturk.rest import Params
from btcbot.cli.check_exchange import Account
from btcbot.config import Config
from btcbot.domain.ids import ClientOrderId, IntentId, OrderId, Pair
from btcbot.domain.instruments import Instrument
from btcbot.domain.money import Price, Quantity, text
from btcbot.domain.venue import LimitOrder, Outcome, VenueOrder
from btcbot.domain.words import Side

PROBE: Final = IntentId("probe")
ORDER: Final = "/api/v1/order"
OPEN: Final = "/api/v1/openOrders"
ALL: Final = "/api/v1/allOrders"
BALANCES: Final = "/api/v1/users/balances"
TRADES: Final = "/api/v1/users/transactions/trade"
FAR: Final = Decimal("0.5")  # Of the best bid: the exchange takes 0.1 and up.
ABOVE_MIN: Final = Decimal("1.1")
POLL_S: Final = 0.2
PROVE_S: Final = 60.0
LATE_S: Final = 12.0  # A stamp's window, and as long again: nothing is accepted later.


class ProbeError(Exception):
    """The experiment cannot go on; what it sent is looked for and cancelled all the same."""


class Terms(Struct, frozen=True):
    """The smallest order that the exchange takes, where nobody will trade with it."""

    pair: Pair
    price: Price
    quantity: Quantity

    @property
    def notional(self) -> Decimal:
        return self.price * self.quantity

    def __str__(self) -> str:
        cost = text(self.notional)
        return (
            f"limit buy of {text(self.quantity)} {self.pair} at {text(self.price)}, half of the "
            f"best bid: {cost} are held until it is cancelled"
        )


def terms_of(rules: Instrument, bid: Decimal) -> Terms:
    """Return the smallest order far below `bid`."""
    price = rules.price_down(bid * FAR)
    quantity = rules.quantity_down(rules.notional_min * ABOVE_MIN / price)
    if price * quantity < rules.notional_min:
        quantity = Quantity(quantity + rules.step)
    return Terms(rules.pair, price, quantity)


class Bench:
    """One experiment: what it asked, what came back, and what it left on the exchange."""

    def __init__(
        self, config: Config, keys: KeyPair, account: Account, terms: Terms, *,
        is_in_doubt: bool = False,
    ) -> None:  # fmt: skip
        """`is_in_doubt`: an order may come that was sent already."""
        self.config, self.account, self.terms = config, account, terms
        self.seen: list[Evidence] = []
        self.labels: list[str] = []
        self.orders: list[OrderId] = []
        self._is_in_doubt = is_in_doubt
        self._prober = Prober(config.addresses.rest, keys, time.monotonic_ns)
        self._stamp_ms = 0

    def stamp(self, ahead_ms: int = 0) -> dict[str, str]:
        """Return headers signed for the exchange's time, each with a stamp of its own."""
        self._stamp_ms = max(self._stamp_ms + 1, self.account.stamp_ms())
        return self._prober.headers(self._stamp_ms + ahead_ms)

    async def get(
        self, path: str, params: Params | None = None, headers: dict[str, str] | None = None
    ) -> Evidence:
        found = await self._prober.send("GET", path, headers or self.stamp(), params=params)
        self.seen.append(found)
        return found

    async def place(self, label: str) -> Evidence:
        """Send the order under `label`, once; a label of no note is refused."""
        assert label in self.labels, f"{label} is not written down"
        terms = LimitOrder(side=Side.BUY, quantity=self.terms.quantity, price=self.terms.price)
        body = order_body(self.terms.pair, terms, ClientOrderId(label))
        found = await self._prober.send("POST", ORDER, self.stamp(), body=body)
        self.seen.append(found)
        told = classify(PROBE, ClientOrderId(label), found.status, found.body.encode())
        self._is_in_doubt |= told.outcome is Outcome.UNKNOWN
        if told.outcome is Outcome.ACKED and told.order_id is not None:
            self.orders.append(told.order_id)
        return found

    async def placed(self, label: str) -> OrderId:
        """Send the order; raises ProbeError unless it was accepted."""
        found = await self.place(label)
        if found.status != 200 or not self.orders:
            raise ProbeError(f"the order was not accepted: HTTP {found.status} {found.body[:300]}")
        return self.orders[-1]

    async def cancel(self, order_id: OrderId) -> Evidence:
        found = await self._prober.send("DELETE", ORDER, self.stamp(), params={"id": order_id})
        self.seen.append(found)
        return found

    async def order(self, order_id: OrderId) -> VenueOrder | None:
        """Return one order as the exchange has it; None: it gave no answer that can be read."""
        found = await self.get(f"{ORDER}/{order_id}")
        try:
            return wire.order(found.body.encode()) if found.status == 200 else None
        except WireError:
            return None

    async def listed(self) -> list[VenueOrder] | None:
        """Return the open orders of the pair; None: no answer that can be read."""
        found = await self.get(OPEN, {"pairSymbol": self.terms.pair})
        try:
            body = found.body.encode()
            return list(wire.open_orders(body, self.terms.pair)) if found.status == 200 else None
        except WireError:
            return None

    async def until(self, is_so: Any) -> float:  # noqa: ANN401 - any coroutine function
        """Return after how many ms `is_so()` was true. Raises ProbeError after a minute."""
        began = time.monotonic()
        while not await is_so():
            if time.monotonic() - began > PROVE_S:
                raise ProbeError(f"not seen within {PROVE_S:.0f} s")
            await asyncio.sleep(POLL_S)
        return round((time.monotonic() - began) * 1_000, 1)

    async def clean(self) -> str:
        """Cancel everything this experiment may have left; return "" when it is proven gone."""
        began = time.monotonic()
        wait_s = LATE_S if self._is_in_doubt else 0.0
        quiet = 0  # Readings in a row that show nothing of ours.
        while time.monotonic() - began < PROVE_S + wait_s:
            left = await self._left()
            if left:
                quiet = 0
                for order_id in left:
                    await self.cancel(order_id)
            elif left is not None and time.monotonic() - began >= wait_s:
                quiet += 1
                if quiet == 2:
                    return await self._unproven()
            await asyncio.sleep(POLL_S)
        return f"orders with the labels {', '.join(self.labels)} may rest: look at the exchange"

    async def _left(self) -> set[OrderId] | None:
        listed = await self.listed()
        if listed is None:
            return None
        found = {row.order_id for row in listed if row.client_id in self.labels}
        self.orders += sorted(found - set(self.orders))
        for order_id in self.orders:
            row = await self.order(order_id)
            if row is None:
                return None
            if not row.is_terminal:
                found.add(order_id)
        return found

    async def _unproven(self) -> str:
        for order_id in self.orders:
            row = await self.order(order_id)
            if row is None or not row.is_terminal or row.executed:
                return f"order {order_id} did not end with nothing executed: {row}"
        return ""

    async def close(self) -> None:
        await self._prober.close()


def decoded(found: Evidence) -> Any:  # noqa: ANN401 - evidence is whatever came
    """Return a body's `data`, None when it is no JSON with one."""
    try:
        return msgspec.json.decode(found.body).get("data")
    except (msgspec.DecodeError, AttributeError):
        return None
