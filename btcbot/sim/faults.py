"""What goes wrong when: one task per fault of the plan, each at a time drawn for it."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any, Final

from btcbot.domain.words import TradingState
from btcbot.sim.loop import SECOND_NS
from btcbot.sim.world import PROCESSES, World

STATES: Final = (TradingState.PAUSED, TradingState.LIVE, TradingState.KILLED, TradingState.REDUCE)
Work = Coroutine[Any, Any, None]
Make = Callable[[World, random.Random, float, int], Work]


def scheduled(world: World) -> Iterator[Work]:
    """Yield one coroutine per fault that the plan counts."""
    plan, draw = world.plan, world.draws["faults"]
    for name, make in _MAKERS.items():
        count: int = getattr(plan, name)
        times = sorted(draw.uniform(2, max(plan.trading_s - 5, 3)) for _ in range(count))
        for number, at_s in enumerate(times):
            yield make(world, draw, at_s, number)


async def _at(at_s: float, call: Callable[[], None]) -> None:
    await asyncio.sleep(at_s)
    call()


async def _switched(subject: object, name: str, at_s: float, lasts_s: float) -> None:
    await asyncio.sleep(at_s)
    setattr(subject, name, True)
    await asyncio.sleep(lasts_s)
    setattr(subject, name, False)


def _host(name: str, longest_s: float) -> Make:
    """Return what switches a fault of the exchange on for a while."""

    def make(world: World, draw: random.Random, at_s: float, _number: int) -> Work:
        return _switched(world.host, name, at_s, draw.uniform(0.5, longest_s))

    return make


def _kill_execution(world: World, _draw: random.Random, at_s: float, _number: int) -> Work:
    return _at(at_s, partial(world.kill, "execution"))


def _kill_other(world: World, draw: random.Random, at_s: float, _number: int) -> Work:
    return _at(at_s, partial(world.kill, draw.choice(PROCESSES[1:])))


def _cut_power(world: World, _draw: random.Random, at_s: float, _number: int) -> Work:
    return _at(at_s, world.cut_power)


async def _pause(world: World, draw: random.Random, at_s: float, _number: int) -> None:
    name, lasts_s = draw.choice(PROCESSES), draw.uniform(0.1, 30)
    await asyncio.sleep(at_s)
    if world.is_up(name):
        world.watch.sometimes[f"{name} is paused"] += 1
        world.bus.pause(name)
        await asyncio.sleep(lasts_s)
        if world.is_up(name):
            world.bus.wake(name)


def _fail_disk(world: World, draw: random.Random, at_s: float, _number: int) -> Work:
    after = draw.randrange(1, 12)

    def call() -> None:
        world.disk.fails_at = world.disk.calls + after

    return _at(at_s, call)


def _fill_disk(world: World, draw: random.Random, at_s: float, _number: int) -> Work:
    return _switched(world.disk, "is_full", at_s, draw.uniform(1, 20))


def _cut_sockets(world: World, _draw: random.Random, at_s: float, _number: int) -> Work:
    def call() -> None:
        for link in tuple(world.links()):
            link.cut()

    return _at(at_s, call)


def _step_clock(world: World, draw: random.Random, at_s: float, _number: int) -> Work:
    step_ns = round(draw.uniform(-10, 10) * SECOND_NS)

    def call() -> None:
        world.host.clock.offset_ns += step_ns

    return _at(at_s, call)


def _jump(world: World, _draw: random.Random, at_s: float, _number: int) -> Work:
    return _at(at_s, world.host.jump)


def _trade_by_hand(world: World, _draw: random.Random, at_s: float, _number: int) -> Work:
    return _at(at_s, world.host.trade_by_hand)


def _command(world: World, _draw: random.Random, at_s: float, number: int) -> Work:
    return _at(at_s, partial(world.command, number, world.draws["operator"].choice(STATES)))


_MAKERS: Final[dict[str, Make]] = {
    "execution_kills": _kill_execution,
    "other_kills": _kill_other,
    "power_cuts": _cut_power,
    "pauses": _pause,
    "disk_failures": _fail_disk,
    "disk_full": _fill_disk,
    "read_unauthorised": _host("is_refusing_keys", 20),
    "maintenance": _host("is_maintained", 30),
    "socket_silence": _host("is_silent", 60),
    "socket_cuts": _cut_sockets,
    "clock_steps": _step_clock,
    "jumps": _jump,
    "strangers": _trade_by_hand,
    "commands": _command,
}
