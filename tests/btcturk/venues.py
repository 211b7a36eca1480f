"""A venue, and an exchange that answers what a test says."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import parse_qs, urlsplit

from btcbot.btcturk.submit import Waits
from btcbot.btcturk.venue import BtcturkVenue
from btcbot.domain import ids
from btcbot.domain.ids import Pair
from btcbot.domain.messages import Message
from btcbot.domain.money import Price, Quantity
from btcbot.domain.venue import (
    ConnectionsIdle,
    LimitOrder,
    Submit,
    TimeRead,
)
from btcbot.domain.words import Side
from bus.clock import SystemClock
from tests.btcturk.servers import RawExchange, Wire, raw_exchange, until

PAIR = Pair("BTCTRY")
INTENT = ids.intent_id("test", 1, 1, 0)
CLIENT = ids.client_order_id("abcde", INTENT)
CLOCK = SystemClock()
KEYS = ("test-public-key", "dGVzdC1zZWNyZXQta2V5LWZvci11bml0LXRlc3Rz")
M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class Asked:
    """One request, as the exchange sees it."""

    method: str
    path: str
    query: dict[str, str]


Answers = Callable[[Asked], tuple[int, Any]]
"""Status and body; a body of bytes is sent as it is."""


class SteppedClock:
    """The machine's clock, set wrong by some seconds."""

    def __init__(self, wrong_s: int = 0) -> None:
        self.wrong_ns = wrong_s * 10**9

    def now_ns(self) -> int:
        return CLOCK.now_ns() + self.wrong_ns

    def monotonic_ns(self) -> int:
        return CLOCK.monotonic_ns()


def submit(at_ms: int | None = None) -> Submit:
    return Submit(
        intent_id=INTENT,
        client_order_id=CLIENT,
        pair=PAIR,
        terms=LimitOrder(
            side=Side.BUY,
            quantity=Quantity(Decimal("0.0001")),
            price=Price(Decimal(3_700_000)),
        ),
        stamp_ms=CLOCK.now_ns() // 10**6 if at_ms is None else at_ms,
    )


def good(data: Any) -> dict[str, Any]:
    return {"data": data, "success": True, "message": "SUCCESS", "code": 0}


def accepted(client_id: str = CLIENT, order_id: int = 26_947_521_557) -> dict[str, Any]:
    return good({"id": order_id, "newOrderClientId": client_id})


def row(order_id: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": order_id, "price": "10", "amount": "1", "leftAmount": "1", "pairSymbol": "BTCTRY",
        "type": "buy", "orderClientId": "x", "status": "Untouched", **changes,
    }  # fmt: skip


@asynccontextmanager
async def rest_exchange(answers: Answers) -> AsyncIterator[RawExchange]:
    async def script(wire: Wire) -> None:
        while True:
            method, target, _ = (await wire.request()).split(b" ", 2)
            parts = urlsplit(target.decode())
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            status, body = answers(Asked(method.decode(), parts.path, query))
            await wire.answer(status, body if isinstance(body, bytes) else json.dumps(body))

    async with raw_exchange(script) as exchange:
        yield exchange


class Venue:
    """One venue, and what it delivered."""

    def __init__(
        self, exchange: RawExchange, run: Path, ws_url: str = "ws://127.0.0.1:9/",
        clock: SteppedClock | None = None, waits: Waits | None = None,
        keys: tuple[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.said: list[Message] = []
        self.kill_file = run / "KILL"
        self.clock = clock or SteppedClock()
        self.btcturk = BtcturkVenue(
            addresses=(exchange.url, ws_url),
            credentials=keys or KEYS,
            deliver=self.said.append,
            kill_file=self.kill_file,
            clock=self.clock,
            waits=waits,
        )

    def measure(self, error_ns: int = 0) -> None:
        """Take the exchange's clock for read just now, as execution's first reads do."""
        found = TimeRead(offset_ns=-self.clock.wrong_ns, error_ns=error_ns)
        self.btcturk._server.measured(found, self.clock.now_ns(), self.clock.monotonic_ns())

    def of(self, kind: type[M]) -> list[M]:
        return [message for message in self.said if isinstance(message, kind)]

    async def asked(self, effect: Any, kind: type[M], within_s: float = 5.0) -> M:
        """Start `effect` and return its outcome, which must be of `kind`."""
        before = len(self.of(kind))
        self.btcturk.start(effect)
        await until(lambda: len(self.of(kind)) > before, within_s)
        return self.of(kind)[-1]

    async def __aenter__(self) -> Self:
        await until(lambda: ConnectionsIdle(count=4) in self.said)
        self.measure()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.btcturk.close()


def always(status: int, body: Any) -> Answers:
    return lambda _: (status, body)
