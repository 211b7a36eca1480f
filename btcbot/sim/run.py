"""Running one seed: trade while things fail, let the faults stop, and judge what is left.

Safety is judged at every byte and every fact; then everything that was broken works again, new
orders are paused, and within a bounded time every order must be over and every book equal.
"""

import asyncio
import contextlib
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Final

from msgspec import Struct

from btcbot.domain.words import OrderState, TradingState
from btcbot.orders.commands import STOPPED
from btcbot.orders.recovery import desk_of
from btcbot.sim import restless
from btcbot.sim.faults import scheduled
from btcbot.sim.loop import VirtualLoop
from btcbot.sim.plan import Plan
from btcbot.sim.setup import PROCESSES, REST_S, START_NS
from btcbot.sim.world import World
from btcbot.strategies.contract import NO_HOLDING
from bus.clock import ManualClock

KILL_TAKES_S: Final = 90.0  # A key that was refused is tried again after a minute.
KILLED_AT_END: Final = 0.3  # Of the worlds that still trade: a kill ends them, else a pause.
RESTS_WITHIN_S: Final = 60
QUIET_S: Final = 5.0  # Nothing moves for this long: the world is at rest.


class Report(Struct, frozen=True, kw_only=True):
    """What came of one run."""

    plan: Plan
    violations: tuple[str, ...]
    sometimes: dict[str, int]
    trace: str  # A hash over every message handled and every fact committed.
    handled: int
    orders: int
    fills: int
    trading: str
    rest_s: float  # Virtual seconds until everything was at rest.
    cut: str = ""  # At which line execution was killed.


def simulate(plan: Plan, arm: Callable[[World], None] | None = None) -> Report:
    """Run one plan to its end. `arm` may change the world before it starts."""
    clock = ManualClock(START_NS)
    loop = VirtualLoop(clock)
    shm = Path("/dev/shm")  # noqa: S108 - a folder of our own is made there
    base = str(shm) if shm.is_dir() else None
    with _silence(), tempfile.TemporaryDirectory(prefix="btcbot-sim-", dir=base) as folder:
        try:
            return loop.run_until_complete(_course(plan, Path(folder), clock, arm))
        finally:
            _empty(loop)


async def _course(
    plan: Plan, folder: Path, clock: ManualClock, arm: Callable[[World], None] | None
) -> Report:
    world = World(plan, folder, clock)
    if arm is not None:
        arm(world)
    driver = asyncio.create_task(_guarded(world))
    market = asyncio.create_task(world.host.live())
    world.start()
    faults = [asyncio.create_task(work) for work in (*scheduled(world), world.people.on_duty())]
    rest_s = -1.0
    try:
        await _passing(plan.trading_s, driver, market)
        for task in faults:
            task.cancel()
        rest_s = await _settle(world, driver, market)
        _judge(world)
    finally:
        for task in (driver, market, *faults):
            task.cancel()
        await asyncio.gather(driver, market, *faults, return_exceptions=True)
        report = _report(world, rest_s)
        world.finish()
    return report


async def _guarded(world: World) -> None:
    try:
        await world.drive()
    except Exception as error:
        world.watch.broken("no traceback", f"the world: {type(error).__name__}: {error}")
        raise


async def _passing(seconds: float, *tasks: asyncio.Task[None]) -> None:
    """Let time pass; what ends meanwhile ends the run."""
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def _passing_until_one_rests(world: World, *tasks: asyncio.Task[None]) -> None:
    """Let the bot go on until an order of its own rests: that is what a kill has to reach."""
    for _ in range(RESTS_WITHIN_S):
        if world.is_up("execution"):
            desk = world.desk
            rests = any(desk.orders[name].state is OrderState.OPEN for name in desk.live)
            if rests or desk.trading is not TradingState.LIVE:
                return
        await _passing(1, *tasks)


def _end_faults(world: World) -> None:
    host = world.host
    world.is_failing = host.is_failing = False
    host.is_maintained = host.is_refusing_keys = host.is_silent = False
    world.disk.is_full, world.disk.fails_at = False, 0
    for one, other in combinations(PROCESSES, 2):
        world.lines.join(one, other)
    for name in PROCESSES:
        if world.is_up(name):
            world.bus.wake(name)


async def _settle(world: World, *tasks: asyncio.Task[None]) -> float:
    """Let everything work, send nothing new, and wait for rest; return how long it took."""
    _end_faults(world)
    took_s, stopped_s, number, ending = 0.0, 0.0, 0, TradingState.PAUSED
    if world.draws["ending"].random() < KILLED_AT_END:
        ending = TradingState.KILLED
        await _passing_until_one_rests(world, *tasks)
    while took_s < REST_S:
        if world.is_up("execution") and world.desk.trading in {
            TradingState.LIVE, TradingState.REDUCE,
        }:  # fmt: skip
            number += 1
            world.people.command(1_000 + number, ending)
        is_stopped = world.is_up("execution") and world.desk.trading in STOPPED
        await _passing(QUIET_S, *tasks)
        took_s += QUIET_S
        stopped_s = stopped_s + QUIET_S if is_stopped else 0
        if stopped_s == KILL_TAKES_S:
            world.watch.nothing_rests(world.prefix)
        up = all(map(world.is_up, PROCESSES))
        if up and world.watch.is_at_rest(world.desk):
            return took_s
    return took_s


def _judge(world: World) -> None:
    watch = world.watch
    if not world.is_up("execution") or world.writer is None:
        watch.broken("L1", "execution is not up at the end")
        return
    watch.at_rest(world.desk)
    watch.states(world.writer.reader)
    if world.desk.first_reads:
        watch.broken("L1", f"still reading: {world.desk.first_reads}")
    _judge_replay(world)
    _judge_hearers(world)


def _judge_hearers(world: World) -> None:
    """Hold what each actor made of the facts it heard against what was written (I10)."""
    desk, bus = world.desk, world.bus
    booked = {a: row.booked for a, row in bus.state("accounting").accounts.items() if row.booked}
    if booked != {asset: total for asset, total in desk.ledger.items() if total}:
        world.watch.broken("I10", f"accounting has {booked}, the books say {desk.ledger}")
    seats, gate = bus.state("strategy").seats, bus.state("risk_gate")
    for pair in desk.setup.pairs:
        ours = desk.positions.get(pair, Decimal(0))
        wanted = seats[restless.NAME].view.holdings.get(pair, NO_HOLDING).quantity
        if wanted != ours or gate.held.get(pair, Decimal(0)) != ours:
            said = f"strategy says {wanted}, risk_gate {gate.held.get(pair)}"
            world.watch.broken("I10", f"{pair}: held are {ours}; {said}")
    if gate.exposure.orders:
        world.watch.broken("I10", f"risk_gate believes in {sorted(gate.exposure.orders)}")


def _judge_replay(world: World) -> None:
    """Hold what a next life would recover against what this life knows (I7)."""
    assert world.writer is not None
    world.writer.verify()
    desk, fresh = world.desk, desk_of(world.setup, world.writer.reader.recover())
    for name in ("ledger", "trading", "pauses", "fills"):
        ours, theirs = getattr(desk, name), getattr(fresh, name)
        if isinstance(ours, dict):
            ours = {key: value for key, value in ours.items() if value}
            theirs = {key: value for key, value in theirs.items() if value}
        if ours != theirs:
            world.watch.broken("I7", f"{name} is {ours}, and is recovered as {theirs}")


def _report(world: World, rest_s: float) -> Report:
    orders = sum(world.watch.posts.values())
    trading = world.desk.trading.value if world.is_up("execution") else "DOWN"
    return Report(
        plan=world.plan,
        violations=tuple(world.watch.violations),
        sometimes=dict(sorted(world.watch.sometimes.items())),
        trace=world.trace.hexdigest(),
        handled=world.handled,
        orders=orders,
        fills=len(world.host.exchange.account.trades),
        trading=trading,
        rest_s=rest_s,
    )


# --- tidying up -------------------------------------------------------------------------------


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep the log of a thousand failing worlds off the terminal."""
    logger = logging.getLogger("btcbot")
    before = logger.level, logger.propagate
    logger.setLevel(logging.CRITICAL + 1)
    asyncio_log = logging.getLogger("asyncio")
    asyncio_before = asyncio_log.level
    asyncio_log.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            # Who is killed between the making of a coroutine and its start leaves it so.
            warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
            yield
    finally:
        logger.setLevel(before[0])
        asyncio_log.setLevel(asyncio_before)


def _empty(loop: VirtualLoop) -> None:
    """Cancel what still runs, and close the loop."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.close()
