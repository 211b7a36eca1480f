"""One simulated world: all actors and the exchange, in one thread and in virtual time.

The actors live on the memory bus, execution over a real database and the real exchange client, and
the exchange behind a network that fails.

What a process is made of dies before its stack unwinds, as with `kill -9`: its network, its disk
handles and its inbox are dead first, so that no `finally` tidies up what a real one would not.
"""

import asyncio
import contextlib
import hashlib
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path, PosixPath
from types import FrameType
from typing import Any, Final

import msgspec
from msgspec import Struct

from actors import CODEC, accounting, execution, market_data, risk_gate, strategy
from btcbot.btcturk.feed import BtcturkFeed
from btcbot.btcturk.venue import BtcturkVenue
from btcbot.domain.facts import FACTS
from btcbot.domain.ids import Asset, Pair, instance_tag
from btcbot.domain.instruments import default_fees
from btcbot.domain.messages import STREAMS, CommandDone, SetTradingState
from btcbot.domain.words import TradingState
from btcbot.orders.bounds import OrderBounds
from btcbot.orders.lifecycle import IN_DOUBT
from btcbot.orders.recovery import desk_of
from btcbot.orders.state import Desk, GateLimits, Setup
from btcbot.risk.limits import RiskLimits
from btcbot.sim import restless
from btcbot.sim.host import KEYS, PAIRS, Host
from btcbot.sim.loop import SECOND_NS, VirtualLoop
from btcbot.sim.network import SimulatedLink, SimulatedNetwork
from btcbot.sim.plan import Plan
from btcbot.sim.watch import SAFE, Watch
from btcbot.store.vfs import Disk
from btcbot.store.writer import Writer
from bus.actor import Actor
from bus.clock import ManualClock
from bus.memory import MemoryBus

Tracer = Callable[[FrameType, str, Any], Any]
START_NS: Final = 1_790_000_000_000_000_000
TAG: Final = instance_tag("simulation")
PROCESSES: Final = ("execution", "market_data", "risk_gate", "accounting", "strategy")
RESTART_S: Final = (1.0, 2.0)  # What supervisord takes.
REST_S: Final = 420.0  # After the faults stop: the absence bound, its sweeps, and a margin.
BOUNDS: Final = OrderBounds(absence_wait_s=60, fills_interval_s=5)
LIMITS: Final = RiskLimits(
    order_notional_max_try=Decimal(650), position_notional_max_try=Decimal(3_000),
    open_orders_max=6, orders_per_minute_max=60,
)  # fmt: skip


class KillSwitch(PosixPath):
    """A file whose time of making is virtual: it names the command that it is."""

    clock: ManualClock

    def touch(self, mode: int = 0o666, exist_ok: bool = True) -> None:  # noqa: FBT001, FBT002 - Path's
        """Make it now, by the world's clock."""
        super().touch(mode, exist_ok)
        os.utime(self, ns=(self.clock.now_ns(), self.clock.now_ns()))


class Killed(Exception):
    """A process ends here, as by `kill -9`; its seams are dead already."""


class World:
    """Everything of one seed; `live` runs it inside its own event loop."""

    def __init__(self, plan: Plan, folder: Path, loop_clock: ManualClock) -> None:
        self.plan, self.folder, self.clock = plan, folder, loop_clock
        self.draws = {
            name: random.Random(f"{name}|{plan.seed}")
            for name in ("host", "network", "disk", "bus", "faults", "operator")
        }
        self.host = Host(plan, loop_clock, self.draws["host"])
        self.disk = Disk(f"disk-{plan.seed}-{id(self):x}", self.draws["disk"])
        self.bus = MemoryBus(loop_clock, CODEC, faults=BusFaults(plan, self), keeps_log=False)
        self.watch = Watch(self.host, loop_clock)
        self.host.on_fate = self._fated
        self.disk.on_trouble = self._noted
        self.kill_file = KillSwitch(folder / "KILL")
        self.kill_file.clock = loop_clock
        self.writer: Writer | None = None
        self.trace = hashlib.blake2b(digest_size=16)
        self.handled = 0
        self.is_failing = True
        self.tracer: Tracer | None = None  # Sees every line that execution runs.
        self._networks: dict[str, SimulatedNetwork] = {}
        self._restarts: set[str] = set()
        self._woken = asyncio.Event()
        self._is_over = False
        for kind in FACTS:
            self.bus.tap(kind, self.watch.heard)
        for stream in STREAMS:  # What only people look at is encoded and decoded all the same.
            self.bus.tap(stream, lambda _message: None)
        self.bus.tap(CommandDone, self._command_done)

    # --- the course of a run ------------------------------------------------------------------

    def start(self) -> None:
        """Start every actor, execution first."""
        self.start_execution()
        for name in PROCESSES[1:]:
            self.start_actor(name)

    async def drive(self) -> None:
        """Let the bus do what is due, for ever; sleep until something is."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        while not self._is_over:
            self.run_bus()
            self._woken.clear()
            due_ns = self.bus.next_ns
            timer = None
            if due_ns is not None:
                timer = loop.call_at(loop.seconds_at(due_ns), self._woken.set)
            await self._woken.wait()
            if timer is not None:
                timer.cancel()

    def run_bus(self) -> None:
        """Handle what is due now; bury who dies of it."""
        while True:
            try:
                self.bus.run()
            except Died as death:
                self.bury(death.name, death.why)
            else:
                return

    def finish(self) -> None:
        """End everything that holds something."""
        self._is_over = True
        for network in self._networks.values():
            network.die()
        self.disk.kill()
        if self.writer is not None:
            self.writer.close()
        self.disk.unregister()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- actors -------------------------------------------------------------------------------

    def start_actor(self, name: str) -> None:
        """Start a new life of one of the four actors without a disk."""
        fees = {pair: default_fees(Asset("TRY")) for pair in self.pairs}
        match name:
            case "market_data":
                network = self._network(name)
                feed = BtcturkFeed(
                    "http://exchange", "ws://exchange/ws", self._to(name, network),
                    self.clock.monotonic_ns, network=network,
                )  # fmt: skip
                actor: Actor[Any] = market_data.actor(self.pairs, feed.start)
            case "risk_gate":
                actor = risk_gate.actor(LIMITS, fees)
            case "accounting":
                actor = accounting.actor()
            case _:
                setup = strategy.Setup(name=restless.NAME, params=restless.Settings())
                actor = strategy.actor(setup, fees, restless)
        self.bus.start(self._guarded(actor))
        self._woken.set()

    def start_execution(self) -> None:
        """Recover from the disk and begin the next life; dies of what it finds, if it must."""
        self.disk.born()
        draw, plan = self.draws["faults"], self.plan
        is_killed = self.is_failing and draw.random() < plan.kills_in_recovery
        try:
            with self._traced("execution"):
                actor = self._recovered()
            if is_killed:
                self._noted("killed inside recovery")
                self.go_dead("execution")
                self.bury("execution", Killed("at the end of recovery"))
                return
        except Exception as death:  # noqa: BLE001 - whatever it dies of is judged in `bury`
            self.go_dead("execution")
            self.bury("execution", death)
        else:
            self.bus.start(self._guarded(actor))
            self._woken.set()

    def _recovered(self) -> Actor[Desk]:
        self.writer = None
        writer = Writer(str(self.folder / "btcbot.db"), vfs=self.disk.name)
        self.writer = writer
        writer.verify()
        found = writer.reader.recover()
        desk = desk_of(self.setup, found)
        writer.epoch = desk.epoch
        network = self._network("execution")
        venue = BtcturkVenue(
            addresses=("http://exchange", "ws://exchange/ws"),
            credentials=(KEYS.key, "c2ltdWxhdGVkLXNlY3JldC1vZi10aGUta2V5LXBhaXI="),
            deliver=self._to("execution", network),
            kill_file=self.kill_file,
            clock=self.clock,
            network=network,
        )
        deliver = self._to("execution", network)
        performer = execution.Performer(writer, venue, self.kill_file, deliver)
        return execution.actor(desk, performer, writer.reader.facts_after)

    def links(self) -> Iterator[SimulatedLink]:
        """Yield every open WebSocket of the fleet."""
        for network in self._networks.values():
            yield from network.links

    @property
    def setup(self) -> Setup:
        gate = GateLimits(
            order_notional_max_try=LIMITS.order_notional_max_try,
            position_notional_max_try=LIMITS.position_notional_max_try,
            open_orders_max=LIMITS.open_orders_max,
            orders_per_minute_max=LIMITS.orders_per_minute_max,
            price_collar_bps=LIMITS.price_collar_bps,
            cash_reserve_min_try=LIMITS.cash_reserve_min_try,
        )
        fees = {Asset("TRY"): default_fees(Asset("TRY"))}
        return Setup(tag=TAG, mode="sandbox", pairs=self.pairs, bounds=BOUNDS, gate=gate, fees=fees)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return PAIRS[: self.plan.pairs]

    @property
    def desk(self) -> Desk:
        found: Desk = self.bus.state("execution")
        return found

    def is_up(self, name: str) -> bool:
        return name not in self._restarts

    # --- death --------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """End an actor now, between two messages."""
        if self.is_up(name):
            self.bury(name, Killed(f"{name} was killed"))

    def go_dead(self, name: str) -> None:
        """Make all that a process can still reach dead, before its stack unwinds."""
        network = self._networks.pop(name, None)
        if network is not None:
            network.die()
        if name == "execution":
            self.disk.kill()

    def bury(self, name: str, why: BaseException) -> None:
        """Take a dead process out of the world and let supervisord start the next."""
        self.go_dead(name)
        if name == "execution" and self.writer is not None:
            self.writer.close()
            self.writer = None
        if not isinstance(why, Killed) and not _is_expected(why):
            self.watch.broken("no traceback", f"{name} died of {type(why).__name__}: {why}")
        self._restarts.add(name)
        if self.bus.is_hosted(name):
            self.bus.crash(name)
        wait_s = self.draws["faults"].uniform(*RESTART_S)
        asyncio.get_running_loop().call_later(wait_s, self._restart, name)

    def _restart(self, name: str) -> None:
        self._restarts.discard(name)
        if self._is_over:
            return
        if name == "execution":
            self.start_execution()
        else:
            self.start_actor(name)

    def cut_power(self) -> None:
        """Let the machine lose power: every process is gone, and what was not synced may be."""
        for name in PROCESSES:
            self.kill(name)
        self.disk.cut_power()
        self._noted("power was cut")

    # --- inside -------------------------------------------------------------------------------

    def _network(self, name: str) -> SimulatedNetwork:
        network = SimulatedNetwork(self.host, self.draws["network"], self._bytes_left)
        self._networks[name] = network
        return network

    def _to(self, name: str, network: SimulatedNetwork) -> Callable[[Struct], None]:
        """Return what puts messages into the inbox of this life of `name`, and of no other."""

        def deliver(message: Struct) -> None:
            if not network.is_dead and self.bus.is_hosted(name):
                self.bus.deliver(name, message)
                self._woken.set()

        return deliver

    def _bytes_left(self, data: bytes) -> None:
        assert self.writer is not None, "bytes of a dead process"
        self.watch.post_left(data, self.desk, self.writer.reader)

    def _guarded(self, actor: Actor[Any]) -> Actor[Any]:
        """Return `actor` with a witness: what it handles is hashed, what it dies of is caught."""
        handle, perform, name = actor.handle, actor.perform, actor.name

        def witnessed(state: Any, message: Struct, now_ns: int) -> Any:  # noqa: ANN401 - a Step
            self.handled += 1
            self.trace.update(name.encode() + _encode(message))
            try:
                with self._traced(name):
                    return handle(state, message, now_ns)
            except Exception as error:
                self.go_dead(name)
                raise Died(name, error) from error

        def performed(effect: Struct) -> None:
            assert perform is not None
            try:
                self._between_effects(name, effect)
                with self._traced(name):
                    perform(effect)
            except Exception as error:
                self.go_dead(name)
                raise Died(name, error) from error

        return _changed(actor, handle=witnessed, perform=performed if perform else None)

    def _traced(self, name: str) -> contextlib.AbstractContextManager[None]:
        traced = name == "execution" and self.tracer is not None
        return _tracing(self.tracer) if traced else contextlib.nullcontext()

    def _between_effects(self, name: str, effect: Struct) -> None:
        """Kill or pause execution after what it committed, before what follows."""
        if name != "execution" or not self.is_failing:
            return
        if isinstance(effect, execution.Persist):
            self.trace.update(_encode(effect))
            return
        draw, plan = self.draws["faults"], self.plan
        if plan.kills_between_effects and draw.random() < plan.kills_between_effects:
            self.watch.sometimes["killed between a commit and what follows"] += 1
            self.go_dead(name)
            raise Killed(f"before {type(effect).__name__}")

    def _fated(self, name: str) -> None:
        self._noted(f"fate {name}")

    def _noted(self, what: str) -> None:
        self.watch.sometimes[what] += 1

    def _command_done(self, done: CommandDone) -> None:
        """Put up a fence at an answered pause or kill; take it down at an answered resume."""
        if done.refused or not done.command_id.startswith("sim-"):
            return
        is_safe = done.command_id.rpartition("-")[2] in SAFE
        self.watch.fence = done.command_id if is_safe else ""

    def command(self, number: int, state: TradingState) -> None:
        """Ask execution for a trading state, as control would."""
        if not self.is_up("execution"):
            return
        self._noted(f"asked for {state}")
        doubtful = [
            o for o in map(self.desk.orders.get, self.desk.live) if o and o.state in IN_DOUBT
        ]
        if state is TradingState.KILLED and doubtful:
            self._noted("asked to kill with an order in doubt")
        command = SetTradingState(
            command_id=f"sim-{number}-{state}", state=state, by="the simulation",  # type: ignore[arg-type]
            reason="a simulated person", acknowledge=str(self.desk.trading_seq),
        )  # fmt: skip
        self.bus.ask("execution", command.command_id, command)
        if state not in SAFE:
            self.watch.fence = ""  # From here on it may be lifted: the answer comes after the deed.
        self._woken.set()


@contextlib.contextmanager
def _tracing(tracer: Tracer | None) -> Iterator[None]:
    """Let `tracer` see what is called inside; a debugger or coverage has its own back after."""
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        yield
    finally:
        sys.settrace(before)


class Died(Exception):
    """An actor's code raised; carries who and what."""

    def __init__(self, name: str, why: Exception) -> None:
        super().__init__(f"{name}: {why}")
        self.name, self.why = name, why


class BusFaults:
    """Loses, repeats and delays what is sent between actors."""

    def __init__(self, plan: Plan, world: World) -> None:
        self._plan, self._world = plan, world
        self._is_quiet = not (plan.bus_drop or plan.bus_repeat or plan.bus_delay)

    def copies(self, source: str, to: str, message: Struct) -> tuple[int, ...]:
        """Return the delays of the copies that arrive, in ns; none: it is lost."""
        del to, message
        if self._is_quiet or not self._world.is_failing:
            return (0,)
        draw, plan = self._world.draws["bus"], self._plan
        if draw.random() < plan.bus_drop:
            if source == "facts":
                self._world.watch.sometimes["facts were lost and caught up"] += 1
            return ()
        delay_ns = 0
        if draw.random() < plan.bus_delay:
            delay_ns = round(min(draw.expovariate(10), 0.5) * SECOND_NS)
        return (delay_ns, delay_ns + 1_000_000) if draw.random() < plan.bus_repeat else (delay_ns,)


def _is_expected(why: BaseException) -> bool:
    """Return whether an actor may die of `why`: a disk that failed, nothing of ours."""
    return type(why).__module__ == "apsw"


def _changed(actor: Actor[Any], **changes: Any) -> Actor[Any]:  # noqa: ANN401
    fields = {name: getattr(actor, name) for name in actor.__dataclass_fields__}
    return Actor(**{**fields, **changes})


def _hook(value: Any) -> Any:  # noqa: ANN401 - whatever msgspec does not know
    return str(value)


_encode = msgspec.msgpack.Encoder(enc_hook=_hook, decimal_format="string").encode
