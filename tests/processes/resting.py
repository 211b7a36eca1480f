"""A strategy of the tests that rests orders far below the market, in the place of the real one.

`python -m tests.processes.resting RUN COUNT` waits for the place of the actor `strategy`, then asks
risk_gate for one order after another until COUNT of them were accepted, and goes on living.
"""

import os
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Final

from msgspec import Struct

from actors import CODEC
from btcbot.domain.ids import Pair, intent_id
from btcbot.domain.messages import BookTop, IntentVerdict, OrderIntent
from btcbot.domain.money import Price, Quantity
from btcbot.domain.words import Side
from bus.actor import Actor, Ask, Hears, Step, Wake, Woken
from bus.runtime import PeersView, Place, run
from bus.zeromq import Locked, lock

EVERY_NS: Final = 250_000_000  # Four a second, of the five that execution sends at most.
PAIR: Final = Pair("BTCTRY")
TICK: Final = 10


class State(Struct):
    count: int
    top: BookTop | None = None
    asked: int = 0
    accepted: int = 0


def handle(state: State, message: Struct, now_ns: int) -> Step[State]:
    match message:
        case BookTop() if state.top is None:
            state.top = message
            return Step(state, (Wake("next", now_ns),))
        case BookTop():
            state.top = message
        case IntentVerdict() if message.rule is None:
            state.accepted += 1
        case Woken() if state.accepted < state.count:
            return Step(state, (*_next(state, now_ns), Wake("next", now_ns + EVERY_NS)))
        case _:
            pass
    return Step(state)


def _next(state: State, now_ns: int) -> tuple[Ask, ...]:
    assert state.top is not None
    if state.asked - state.accepted >= 4:
        state.asked = state.accepted  # Those were refused, or are late: others follow.
    state.asked += 1
    number = now_ns % 10**12
    price = Decimal(int(state.top.bid * Decimal("0.9")) // TICK * TICK - TICK * (number % 1_000))
    wish = OrderIntent(
        intent_id=intent_id("resting", now_ns, number, 0),
        strategy="profit_aware",
        slot=f"resting:{number}",
        pair=PAIR,
        side=Side.BUY,
        quantity=Quantity((Decimal(150) / price).quantize(Decimal("1E-8"))),
        limit_price=Price(price),
        reason="to rest",
        seen_ns=state.top.confirmed_ns,
        decided_ns=now_ns,
        expires_ns=now_ns + 3_600 * 10**9,
    )
    return (Ask("risk_gate", wish, wish.intent_id),)


def _place(path: Path) -> int:
    while True:
        try:
            return lock(path)
        except Locked:
            time.sleep(0.002)


def main(folder: Path, count: int) -> None:
    os.umask(0o077)
    os.close(_place(folder / "strategy.pub.lock"))
    actor: Actor[State] = Actor(
        name="strategy",
        state=State(count=count),
        handle=handle,
        hears=(Hears(source="market_data", topic=f"top.{PAIR}"),),
        asks=("risk_gate",),
        needs=("market_data", "risk_gate", "execution"),
    )

    def make(_deliver: object, _peers: PeersView) -> Actor[State]:
        return actor

    home = folder.parent
    run(
        make,
        Place(run=folder, journal=home / "journal", quarantine=home / "quarantine", codec=CODEC),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
