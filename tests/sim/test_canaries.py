"""Known-bad worlds: each checker of the simulation sees what it is there to see.

A checker that cannot fail proves nothing, so each promise is broken on purpose and must be missed.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from btcbot.domain.facts import (
    Fact,
    Fill,
    OrderClosed,
    OrderNotSent,
    OrderSubmitting,
    TradingStateChanged,
)
from btcbot.domain.ids import Asset
from btcbot.domain.messages import BookTop
from btcbot.domain.money import Amount, Price
from btcbot.domain.words import TradingState
from btcbot.sim.host import KEYS
from btcbot.sim.network import SimulatedNetwork
from btcbot.sim.plan import Plan
from btcbot.sim.run import simulate
from btcbot.sim.world import World
from btcbot.simulation.server import Answer, Asked

CALM = Plan(seed=7, trading_s=40)
Arm = Callable[[World], None]


@dataclass
class Canary:
    """A world that breaks `invariant`."""

    invariant: str
    arm: Arm
    plan: Plan = CALM


def heard(change: Callable[[Fact], list[Fact]]) -> Arm:
    """Return what lets the watch hear other facts than those that were written."""

    def arm(world: World) -> None:
        hear = world.watch.heard

        def changed(fact: Fact) -> None:
            for other in change(fact):
                hear(other)

        world.watch.heard = changed  # type: ignore[method-assign]

    return arm


def posted(change: Callable[[bytes, Any], bytes]) -> Arm:
    """Return what changes the bytes, or the desk, at the moment when a POST leaves."""

    def arm(world: World) -> None:
        judge = world.watch.post_left

        def changed(data: bytes, desk: Any, reader: Any) -> None:
            judge(change(data, desk), desk, reader)

        world.watch.post_left = changed  # type: ignore[method-assign]

    return arm


class Twice(SimulatedNetwork):
    """Hands every POST to the kernel twice."""

    def left(self, data: bytes) -> None:
        super().left(data)
        super().left(data)


def send_twice(world: World) -> None:
    def network(name: str) -> SimulatedNetwork:
        made = Twice(world.host, world.draws["network"], world._bytes_left)
        world._networks[name] = made
        return made

    world._network = network  # type: ignore[method-assign]


def open_two_orders(world: World) -> None:
    accept = world.host.accept

    def twice(asked: Asked) -> Answer:
        accept(asked)
        return accept(asked)

    world.host.accept = twice  # type: ignore[method-assign]


def lie_about_syncs(world: World) -> None:
    world.disk.is_honest = False


def lose_money(world: World) -> None:
    world.host.exchange.account.balance(Asset("BTC")).total -= Decimal("0.00000001")


def lose_money_later(world: World) -> None:
    world.host.trade_by_hand = lambda: lose_money(world)  # type: ignore[method-assign]


def never_cancel(world: World) -> None:
    world.host.exchange._cancel_delay_ns = 10**15


def stay_paused(world: World) -> None:
    world.watch.fence = "a pause that was answered"


def forget_the_clock(data: bytes, desk: Any) -> bytes:
    desk.clock = None
    return data


def lower_the_limit(data: bytes, desk: Any) -> bytes:
    gate = replace(desk.setup.gate, order_notional_max_try=Decimal(1))
    desk.setup = replace(desk.setup, gate=gate)
    return data


def hold_less(data: bytes, desk: Any) -> bytes:
    gate = replace(desk.setup.gate, position_notional_max_try=Decimal(1))
    desk.setup = replace(desk.setup, gate=gate)
    return data


def ask_for_more_cash(data: bytes, desk: Any) -> bytes:
    gate = replace(desk.setup.gate, cash_reserve_min_try=Decimal(10**9))
    desk.setup = replace(desk.setup, gate=gate)
    return data


def sign_at_another_time(data: bytes, _desk: Any) -> bytes:
    return data.replace(b"X-Stamp: 1", b"X-Stamp: 2")


def approved_long_ago(fact: Fact) -> list[Fact]:
    if isinstance(fact, OrderSubmitting):
        return [replace(fact, approved_ns=fact.approved_ns - 10**9)]
    return [fact]


def booked_twice(fact: Fact) -> list[Fact]:
    return [fact, fact] if isinstance(fact, Fill) else [fact]


def booked_wrong(fact: Fact) -> list[Fact]:
    if isinstance(fact, Fill):
        return [replace(fact, price=Price(fact.price + 1))]
    return [fact]


def closed_too_early(fact: Fact) -> list[Fact]:
    if isinstance(fact, OrderClosed):
        return [replace(fact, filled=Amount(fact.filled + 1))]
    return [fact]


def sent_and_denied(fact: Fact) -> list[Fact]:
    if isinstance(fact, OrderClosed):
        return [fact, OrderNotSent(intent_id=fact.intent_id, detail="", at_ns=fact.at_ns)]
    return [fact]


def halted_for_nothing(fact: Fact) -> list[Fact]:
    if isinstance(fact, TradingStateChanged):
        return [replace(fact, state=TradingState.HALTED)]
    return [fact]


def price_out_of_thin_air(world: World) -> None:
    world.bus.tap(BookTop, lambda top: world.watch.priced(replace(top, bid=Price(top.bid + 1))))


def tell_a_secret(world: World) -> None:
    look = world.watch.looked_at
    world.watch.looked_at = (  # type: ignore[method-assign]
        lambda name, frame: look(name, frame + KEYS.key.encode())
    )


def forget_facts(world: World) -> None:
    """Let a life acknowledge what the next one does not find."""
    loop = asyncio.get_running_loop()
    loop.call_later(20, lambda: setattr(world, "committed", world.committed + 100))
    loop.call_later(20, world.kill, "execution")


def ignore_cancels(world: World) -> None:
    """Let an exchange hear cancels and do nothing, while somebody kills."""
    world.host.exchange.cancel = lambda *_: None  # type: ignore[method-assign]
    asyncio.get_running_loop().call_later(20, world.kill_file.touch)


CANARIES = {
    "a POST leaves twice": Canary("I1", send_twice),
    "one POST makes two orders": Canary("I1", open_two_orders),
    "an order that left is called not sent": Canary("I1", heard(sent_and_denied)),
    "a fill is booked twice": Canary("I2", heard(booked_twice)),
    "a fill is booked at another price": Canary("I2", heard(booked_wrong)),
    "the exchange loses a unit": Canary(
        "I3", lose_money_later, replace(CALM, strangers=1)
    ),
    "a POST leaves after a pause was answered": Canary("I4", stay_paused),
    "a kill does not reach an order": Canary("I4", ignore_cancels),
    "an order above the limit leaves": Canary("I5", posted(lower_the_limit)),
    "more is held than may be": Canary("I5", posted(hold_less)),
    "more is spent than may be": Canary("I5", posted(ask_for_more_cash)),
    "what was acknowledged is gone": Canary("I7", forget_facts),
    "a disk lies about its syncs": Canary(
        "no traceback", lie_about_syncs, replace(CALM, power_cuts=2)
    ),
    "an order closes with fills missing": Canary("I8", heard(closed_too_early)),
    "a price nobody has shown": Canary("I10", price_out_of_thin_air),
    "another stamp is signed than was journaled": Canary("I11", posted(sign_at_another_time)),
    "a POST leaves by an unknown clock": Canary("I12", posted(forget_the_clock)),
    "trading halts for nothing": Canary("I13", heard(halted_for_nothing)),
    "an old approval is taken": Canary("I14", heard(approved_long_ago)),
    "a secret is told": Canary("I15", tell_a_secret),
    "cancels never take effect": Canary("L1", never_cancel),
}  # fmt: skip


def test_a_calm_world_breaks_nothing() -> None:
    report = simulate(CALM)

    assert report.violations == ()
    assert report.orders > 5


@pytest.mark.parametrize("name", CANARIES)
def test_a_broken_promise_is_seen(name: str) -> None:
    canary = CANARIES[name]

    report = simulate(canary.plan, canary.arm)

    found = {violation.split(" at ")[0] for violation in report.violations}
    assert canary.invariant in found, report.violations[:3]
