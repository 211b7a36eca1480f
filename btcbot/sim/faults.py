"""What goes wrong when: one task per fault of the plan, each at a time drawn for it."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any, Final

from btcbot.domain.ids import IntentId, client_order_id, instance_tag
from btcbot.domain.words import TradingState
from btcbot.sim.loop import SECOND_NS
from btcbot.sim.setup import PROCESSES
from btcbot.sim.world import World

OTHER_BOT: Final = client_order_id(instance_tag("another"), IntentId(26 * "a"))
STEP_MAX_NS: Final = 10 * SECOND_NS
STATES: Final = (
    TradingState.PAUSED, TradingState.PAUSED, TradingState.REDUCE, TradingState.KILLED,
    TradingState.LIVE,
)  # fmt: skip
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
    name, lasts_s = draw.choice(PROCESSES), 0.1 * 300 ** draw.random()  # Most are short.
    await asyncio.sleep(at_s)
    world.pause(name, lasts_s)


def _fail_disk(world: World, draw: random.Random, at_s: float, _number: int) -> Work:
    after = draw.randrange(1, 12)

    def call() -> None:
        world.disk.fails_at = world.disk.calls + after

    return _at(at_s, call)


def _fill_disk(world: World, draw: random.Random, at_s: float, _number: int) -> Work:
    return _switched(world.disk, "is_full", at_s, draw.uniform(0.5, 6))


def _restart_all(world: World, _draw: random.Random, at_s: float, _number: int) -> Work:
    return _at(at_s, world.restart_all)


async def _part(world: World, draw: random.Random, at_s: float, _number: int) -> None:
    one, other = draw.sample(PROCESSES, 2)
    lasts_s = draw.uniform(0.2, 20)
    await asyncio.sleep(at_s)
    world.lines.part(one, other)
    await asyncio.sleep(lasts_s)
    world.lines.join(one, other)


def _make_kill_file(world: World, draw: random.Random, at_s: float, _number: int) -> Work:
    is_between = draw.random() < 0.5  # Between an order's commit and its POST: the last moment.

    def call() -> None:
        if is_between:
            world.kill_file.awaits_submit = True
        else:
            world.kill_file.touch()
        world.watch.sometimes["somebody makes the kill file"] += 1

    return _at(at_s, call)


async def _overfill(world: World, _draw: random.Random, at_s: float, _number: int) -> None:
    await asyncio.sleep(at_s)
    while not world.host.overfill(world.prefix):  # noqa: ASYNC110 - virtual time is cheap
        await asyncio.sleep(1)
    world.watch.sometimes["the exchange executes more than was ordered"] += 1


def _other_bot(world: World, _draw: random.Random, at_s: float, _number: int) -> Work:
    return _at(at_s, partial(world.host.trade_as, OTHER_BOT))


def _cut_sockets(world: World, _draw: random.Random, at_s: float, _number: int) -> Work:
    def call() -> None:
        for link in tuple(world.links()):
            link.cut()

    return _at(at_s, call)


def _step_clock(world: World, draw: random.Random, at_s: float, _number: int) -> Work:
    step_ns = round(draw.uniform(-10, 10) * SECOND_NS)

    def call() -> None:
        clock = world.host.clock
        clock.offset_ns = min(max(clock.offset_ns + step_ns, -STEP_MAX_NS), STEP_MAX_NS)

    # Books begin by our clock, trades are stamped by the exchange's: a person's trade that is
    # stamped before the books began is in their first balance.
    return _at(max(at_s, 2 * STEP_MAX_NS / SECOND_NS), call)


def _jump(world: World, _draw: random.Random, at_s: float, _number: int) -> Work:
    return _at(at_s, world.host.jump)


def _trade_by_hand(world: World, _draw: random.Random, at_s: float, _number: int) -> Work:
    return _at(at_s, world.host.trade_by_hand)


def _command(world: World, _draw: random.Random, at_s: float, number: int) -> Work:
    return _at(at_s, partial(world.people.command, number, world.draws["operator"].choice(STATES)))


_MAKERS: Final[dict[str, Make]] = {
    "execution_kills": _kill_execution,
    "other_kills": _kill_other,
    "power_cuts": _cut_power,
    "pauses": _pause,
    "restarts": _restart_all,
    "partitions": _part,
    "disk_failures": _fail_disk,
    "disk_full": _fill_disk,
    "read_unauthorised": _host("is_refusing_keys", 20),
    "maintenance": _host("is_maintained", 30),
    "socket_silence": _host("is_silent", 60),
    "socket_cuts": _cut_sockets,
    "clock_steps": _step_clock,
    "jumps": _jump,
    "strangers": _trade_by_hand,
    "kill_files": _make_kill_file,
    "overfill": _overfill,
    "foreign": _other_bot,
    "commands": _command,
}
