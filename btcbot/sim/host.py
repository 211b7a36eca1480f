"""The exchange's machine in a simulation: the sandbox's own API, and what goes wrong around it.

Requests arrive after a while, or never; answers are lost, late, garbled, or of somebody else. What
the exchange did with a request is decided by its API alone, at the moment when it takes it up.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Struct

from btcbot.btcturk.auth import KeyPair, is_signed
from btcbot.domain.ids import Asset, OrderId, Pair
from btcbot.domain.instruments import DOCUMENTED
from btcbot.domain.words import Side
from btcbot.sim.plan import Plan
from btcbot.simulation.access import Access
from btcbot.simulation.account import Order, Rejected
from btcbot.simulation.exchange import NewOrder
from btcbot.simulation.sandbox import Delays, Sandbox
from btcbot.simulation.server import Answer, Api, Asked
from btcbot.simulation.sockets import Hub
from bus.clock import ManualClock

SECRET: Final = "c2ltdWxhdGVkLXNlY3JldC1vZi10aGUta2V5LXBhaXI="  # noqa: S105 - opens nothing
KEYS: Final = KeyPair("simulated-key", SECRET)
PAIRS: Final = (Pair("BTCTRY"), Pair("ETHTRY"))
BALANCES: Final = {
    Asset("TRY"): Decimal(100_000), Asset("BTC"): Decimal("0.01"), Asset("ETH"): Decimal("0.2"),
}  # fmt: skip
LITTLE: Final = Decimal(10_000)  # TRY of an account with little cash.
PAST_MINUTES: Final = 60
STALE_S: Final = 10.0
SHOWN_MAX: Final = 60  # Two minutes of changes; a socket that was silent begins with its last.
LISTINGS: Final = ("/api/v1/openOrders", "/api/v1/allOrders")
SECOND_NS: Final = 1_000_000_000
BATCH_S: Final = 1.52
NEAR_S: Final = 0.02  # One way, at the least.
# A third of `absence_wait_s`, which the simulation sets to 60: an honest exchange is no slower.
ACCEPT_MAX_S: Final = 20.0
GARBLED: Final = (
    Answer(504, b"<html><body>504 Gateway Time-out</body></html>", {"Content-Type": "text/html"}),
    Answer(502, b"", None),
    Answer(200, b"", None),
    Answer(200, b'{"success": true, "data": {"id": ', None),
    Answer(500, b'{"data":null,"success":false,"message":"SYSTEM_ERROR","code":1000}', None),
    Answer(200, b'{"success": true, "message": "SUCCESS", "code": 0, "data": null}', None),
    Answer(400, b'{"data":null,"success":false,"message":"FAILED_FOR_A_NEW_REASON","code":9999}'),
)
MAINTENANCE: Final = Answer(503, b"<html>maintenance</html>", {"Content-Type": "text/html"})
TOO_MANY: Final = Answer(
    429, b'{"message":"TOO_MANY_REQUESTS","success":false,"code":429}', {"Retry-After": "2"}
)
BLOCKED: Final = Answer(
    400, b'{"data":null,"success":false,"message":"ORDER_CANCEL_BLOCKED","code":1231}'
)
UNAUTHORISED: Final = Answer(
    401, b'{"success":true,"message":"Unauthorized - Invalid Signature","code":1037,"data":null}'
)


class ExchangeClock:
    """The exchange's own idea of the time."""

    def __init__(self, clock: ManualClock, drift_ppm: float) -> None:
        self._clock, self.offset_ns = clock, 0
        self._began_ns, self._drift_ppb = clock.now_ns(), round(drift_ppm * 1_000)

    def now_ns(self) -> int:
        now_ns = self._clock.now_ns()
        drifted_ns = (now_ns - self._began_ns) * self._drift_ppb // 10**9
        return now_ns + drifted_ns + self.offset_ns

    def monotonic_ns(self) -> int:
        return self._clock.monotonic_ns()


class Fate(Struct, frozen=True):
    """What becomes of one POST."""

    name: str
    arrives_s: float
    accepted_s: float = 0.0  # After it arrived, and its signature was judged.
    answered_s: float | None = NEAR_S  # After that; None: never.


class Host:
    """One exchange with one account, and the faults of `plan` while `is_failing`."""

    def __init__(self, plan: Plan, clock: ManualClock, draw: random.Random) -> None:
        self.plan, self._draw, self.pairs = plan, draw, PAIRS[: plan.pairs]
        self.clock = ExchangeClock(clock, plan.clock_drift_ppm)
        self.sandbox = Sandbox(
            [DOCUMENTED[pair] for pair in self.pairs],
            BALANCES | ({Asset("TRY"): LITTLE} if plan.has_little_cash else {}),
            self.clock.now_ns(),
            seed=plan.seed,
            delays=Delays(
                cancels_ns=round(plan.cancel_slow_s * SECOND_NS),
                trades_ns=round(plan.fills_lag_s * SECOND_NS),
                orders_ns=round(plan.lists_lag_s * SECOND_NS),
            ),
            minutes=PAST_MINUTES,
        )
        self.exchange = self.sandbox.exchange
        self.hub = Hub(self.sandbox, lambda key, n, s: key == KEYS.key and is_signed(KEYS, n, s))
        self.api = Api(self.sandbox, (Access(KEYS),), self.hub, self.clock)
        self.is_failing = True
        self.is_maintained = False
        self.is_refusing_keys = False
        self.is_silent = False  # Sockets stay open and say nothing.
        self.on_fate: Callable[[str], None] = lambda _name: None
        self.overfilled: list[OrderId] = []
        self.shown = {pair: deque[tuple[Decimal, Decimal]](maxlen=SHOWN_MAX) for pair in self.pairs}
        self._listed: dict[str, tuple[float, Answer]] = {}  # Listings as they were answered last.
        self._show()

    # --- the market ---------------------------------------------------------------------------

    async def live(self) -> None:
        """Move the market every few seconds, and show it; for ever."""
        until_step_s = 0.0
        while True:
            await asyncio.sleep(BATCH_S)
            until_step_s -= BATCH_S
            if until_step_s <= 0:
                until_step_s = self._draw.uniform(3, 12)
                self.sandbox.step(until_step_s / 2, self.clock.now_ns())
            else:
                self.sandbox.settle(self.clock.now_ns())
            if not self.is_silent:
                self._show()
                self.hub.tell_now()
                self.hub.tell_batch(self.clock.now_ns())

    def _show(self) -> None:
        """Remember the best prices that somebody is shown now."""
        for pair, shown in self.shown.items():
            (bid, *_), (ask, *_) = self.sandbox.window(pair)
            if not shown or shown[-1] != (bid[0], ask[0]):
                shown.append((bid[0], ask[0]))

    def jump(self) -> None:
        """Move the market by up to a half at once."""
        for pair, market in self.sandbox._markets.items():  # noqa: SLF001 - a fault, not a reader
            factor = Decimal(repr(round(self._draw.uniform(0.5, 1.5), 3)))
            market.resume_at(self.exchange.markets[pair].price * factor)
        self.sandbox.step(1, self.clock.now_ns())

    def trade_by_hand(self) -> None:
        """Let the account's owner place an order past the bot, without a label of ours."""
        self._place("a-person", Decimal("1.001"))

    def trade_as(self, label: str) -> None:
        """Let another bot rest an order on this account."""
        self._place(label, Decimal("0.9"))

    def _place(self, label: str, of_ask: Decimal) -> None:
        pair = self._draw.choice(self.pairs)
        market = self.exchange.markets[pair]
        price = market.rules.price_up(market.ask * of_ask)
        quantity = market.rules.quantity_down(Decimal(150) / price)
        new = NewOrder(
            pair=pair, side=Side.BUY, method="limit", quantity=quantity, price=price,
            stop_price=Decimal(0), client_id=label,
        )  # fmt: skip
        try:
            self.exchange.submit(new, self.clock.now_ns())
        except Rejected:
            return
        self.sandbox.settle(self.clock.now_ns())

    def overfill(self, prefix: str) -> bool:
        """Execute a step more of a filled order of ours than it was for; False: there is none."""
        account = self.exchange.account
        filled = [o for o in self.orders_of(prefix) if not o.left and o.side is Side.BUY]
        if not filled:
            return False
        order = filled[-1]
        rules = self.exchange.markets[order.pair].rules
        now_ns = self.clock.now_ns()
        account.execute(order, rules, order.price, rules.step, now_ns, is_maker=False)
        order.left = Decimal(0)
        account.end(order, rules, now_ns)
        order.status = "Closed"
        self.overfilled.append(order.id)
        return True

    # --- requests -----------------------------------------------------------------------------

    def fate_of_post(self) -> Fate:
        """Draw what becomes of the next POST."""
        draw, plan = self._draw, self.plan
        near = draw.uniform(NEAR_S, 0.08)
        if not self.is_failing:
            return Fate("well", near)
        if plan.beyond_bounds and draw.random() < 0.3:
            return Fate("beyond_bounds", near, draw.uniform(70, 140), None)
        if draw.random() < plan.submit_stalled:
            return Fate("submit_stalled", draw.uniform(1, 9))
        slow = draw.uniform(1, ACCEPT_MAX_S) if draw.random() < plan.submit_slow else 0.0
        ends = {
            "submit_lost": Fate("submit_lost", near, 0, None),
            "submit_reset": Fate("submit_reset", near, 0, near),
            "submit_silent": Fate("submit_silent", near, slow, None),
            "submit_late": Fate("submit_late", near, slow, draw.uniform(4, 100)),
            "submit_garbled": Fate("submit_garbled", near, slow, near),
            "submit_stray": Fate("submit_stray", near, slow, near),
            "submit_cut": Fate("submit_cut", near, slow, near),
        }
        for name, fate in ends.items():
            if draw.random() < getattr(plan, name):
                return fate
        return Fate("submit_slow" if slow else "well", near, slow, near)

    def is_refused(self, asked: Asked) -> bool:
        """Return whether a POST's signature is bad on arrival: the fence that time is."""
        return bool(self.api.unauthorised(asked.headers, asked.path))

    def accept(self, asked: Asked) -> Answer:
        """Take up a POST whose signature was good when it arrived."""
        if self.is_maintained:
            return MAINTENANCE
        stamp_ms = self.clock.now_ns() // 1_000_000
        signed = {name.lower(): value for name, value in KEYS.headers(stamp_ms).items()}
        fresh = Asked(
            asked.method, asked.path, asked.query, {**asked.headers, **signed}, asked.body
        )
        return self.api.answer(fresh, self.clock.now_ns())

    def garbled(self) -> Answer:
        return self._draw.choice(GARBLED)

    async def rest(self, asked: Asked) -> Answer:
        """Answer a read or a cancel, after its way there and back. Raises OSError."""
        draw, plan = self._draw, self.plan
        await asyncio.sleep(draw.uniform(NEAR_S, 0.08))
        is_private = asked.path.startswith("/api/v1/")
        if self.is_maintained or (self.is_refusing_keys and is_private):
            return MAINTENANCE if self.is_maintained else UNAUTHORISED
        if self.is_failing:
            if asked.method == "DELETE" and draw.random() < plan.cancel_lost:
                self.on_fate("cancel_lost")
                if draw.random() < 0.5:
                    raise ConnectionResetError("the cancel was lost")
                return Answer(200, b'{"success":true,"message":"SUCCESS","code":0}')
            if draw.random() < plan.read_fails:
                return await self._failed(asked)
            if draw.random() < plan.read_slow:
                await asyncio.sleep(draw.uniform(0.5, 6))
        answer = self._listed_late(asked, self.api.answer(asked, self.clock.now_ns()))
        await asyncio.sleep(draw.uniform(NEAR_S, 0.08))
        return answer

    def _listed_late(self, asked: Asked, answer: Answer) -> Answer:
        """Return a listing as it was a moment ago, or without some of its rows."""
        plan = self.plan
        if asked.path == "/api/v2/orderbook":
            self._show()
        if not (plan.read_stale or plan.read_short) or asked.path not in LISTINGS:
            return answer
        what, now_s = f"{asked.path}?{asked.query}", self.clock.monotonic_ns() / SECOND_NS
        then_s, earlier = self._listed.get(what, (now_s, answer))
        if self.is_failing and self._draw.random() < plan.read_stale and now_s - then_s < STALE_S:
            self.on_fate("listing_stale")
            return earlier
        self._listed[what] = now_s, answer
        if self.is_failing and self._draw.random() < plan.read_short:
            self.on_fate("listing_short")
            return _shortened(answer, self._draw)
        return answer

    async def _failed(self, asked: Asked) -> Answer:
        """Let a read or a cancel fail on its way there, or on its way back."""
        draw = self._draw
        if draw.random() < 0.5:
            self.api.answer(asked, self.clock.now_ns())  # It was heard; the answer is lost.
        kind = draw.randrange(5)
        if kind == 0:
            raise ConnectionResetError("the connection was cut")
        if kind == 1:
            await asyncio.sleep(3_600)
        if kind == 2:
            self.on_fate("too_many_requests" if asked.method == "GET" else "cancel_blocked")
            return TOO_MANY if asked.method == "GET" else BLOCKED
        return draw.choice(GARBLED[:4]) if kind == 3 else MAINTENANCE

    # --- the truth ----------------------------------------------------------------------------

    def orders_of(self, prefix: str) -> list[Order]:
        """Return every order whose label starts with `prefix`."""
        orders = self.exchange.account.orders.values()
        return [order for order in orders if order.client_id.startswith(prefix)]


def _shortened(answer: Answer, draw: random.Random) -> Answer:
    """Return a listing that lacks rows which are there."""
    found = msgspec.json.decode(answer.body)
    listed = found.get("data") if isinstance(found, dict) else None
    sides = [listed] if isinstance(listed, list) else list((listed or {}).values())
    for rows in sides:
        if isinstance(rows, list):
            rows[:] = [row for row in rows if draw.random() < 0.5]
    return Answer(answer.status, msgspec.json.encode(found), answer.headers)
