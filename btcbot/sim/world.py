"""One simulated world: all actors and the exchange, in one thread and in virtual time.

The actors live on the memory bus, execution over a real database and the real exchange client, and
the exchange behind a network that fails.

What a process is made of dies before its stack unwinds, as with `kill -9`: its network, its disk
handles and its inbox are dead first, so that no `finally` tidies up what a real one would not.
"""

import asyncio
import contextlib
import hashlib
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from actors import CODEC, accounting, execution, market_data, risk_gate, strategy
from btcbot.btcturk.feed import BtcturkFeed
from btcbot.btcturk.venue import BtcturkVenue
from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import default_fees
from btcbot.domain.messages import STREAMS, BookTop, CommandDone
from btcbot.orders.recovery import desk_of
from btcbot.orders.state import Desk, Setup
from btcbot.pipeline.seats import alone
from btcbot.sim import restless
from btcbot.sim.host import KEYS, PAIRS, SECRET, Host
from btcbot.sim.loop import SECOND_NS, VirtualLoop
from btcbot.sim.network import SimulatedLink, SimulatedNetwork
from btcbot.sim.people import People
from btcbot.sim.plan import Plan
from btcbot.sim.seams import (
    BusFaults,
    Died,
    Killed,
    KillSwitch,
    Tracer,
    changed,
    encode,
    is_expected,
    is_submit,
    tracing,
)
from btcbot.sim.setup import (
    ALL_KINDS,
    GREEDY,
    KEPT,
    LIMITS,
    LOOSE,
    PROCESSES,
    RESTART_S,
    TAG,
    WIDE,
    setup_of,
)
from btcbot.sim.watch import Watch
from btcbot.store.vfs import DISK_IS_FULL, Disk
from btcbot.store.writer import Writer
from bus.actor import Actor
from bus.clock import ManualClock
from bus.kept import Fold, revived
from bus.memory import MemoryBus


class World:
    """Everything of one seed; `live` runs it inside its own event loop."""

    def __init__(self, plan: Plan, folder: Path, loop_clock: ManualClock) -> None:
        self.plan, self.folder, self.clock = plan, folder, loop_clock
        self.draws = {
            name: random.Random(f"{name}|{plan.seed}")
            for name in ("host", "network", "disk", "bus", "faults", "operator", "ending", "kept")
        }
        self.host = Host(plan, loop_clock, self.draws["host"])
        self.disk = Disk(f"disk-{plan.seed}-{id(self):x}", self.draws["disk"])
        self.lines = BusFaults(plan, self)
        self.bus = MemoryBus(loop_clock, CODEC, faults=self.lines, keeps_log=False)
        self.watch = Watch(self.host, loop_clock)
        self.host.on_fate = lambda name: self.noted(f"fate {name}")
        self.disk.on_trouble = self.noted
        self.kill_file = KillSwitch(folder / "KILL")
        self.kill_file.clock = loop_clock
        self.writer: Writer | None = None
        self.trace = hashlib.blake2b(digest_size=16)
        self.handled = 0
        self.is_failing = True
        self.tracer: Tracer | None = None  # Sees every line that execution runs.
        self._folds: dict[str, Fold[Any]] = {}  # Of each actor that has facts, the newest.
        self._networks: dict[str, SimulatedNetwork] = {}
        self._restarts: set[str] = set()
        self._woken = asyncio.Event()
        self._is_over = False
        for stream in STREAMS:  # What only people look at is encoded and decoded all the same.
            self.bus.tap(stream, lambda _message: None)
        self.committed = 0  # The last fact that the disk was said to have.
        self.people = People(self)
        self.bus.tap(CommandDone, self.people.answered)
        self.bus.tap(BookTop, self.watch.priced)

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
                timer = loop.call_at(loop.seconds_at(due_ns), self.wake)
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
                actor = risk_gate.actor(LOOSE if self.plan.loose_gate else LIMITS, fees)
            case "accounting":
                actor = accounting.actor()
            case _:
                params = GREEDY if self.plan.loose_gate else restless.Settings()
                setup = replace(alone(restless.NAME, params), limits=WIDE)
                actor = strategy.actor(setup, fees, (restless,))
        self._begin(actor)
        self.wake()

    def _begin(self, actor: Actor[Any]) -> None:
        """Begin a life as its process would: with what an earlier one kept of the facts."""
        fold = None
        if actor.facts:
            (self.folder / actor.name).mkdir(exist_ok=True)
            actor = revived(actor, self.folder, "simulated")
            assert actor.kept is not None, "revived, and not to be kept"
            if actor.kept.sequence:
                self.noted("a life begins with what an earlier one kept")
            fold = self._folds[actor.name] = Fold(actor, actor.kept, CODEC.encode_message)
        self.bus.start(self._guarded(actor), fold)

    def start_execution(self) -> None:
        """Recover from the disk and begin the next life; dies of what it finds, if it must."""
        self.disk.born()
        draw, plan = self.draws["faults"], self.plan
        is_killed = self.is_failing and draw.random() < plan.kills_in_recovery
        try:
            with self._traced("execution"):
                actor = self._recovered()
            if is_killed:
                self.noted("killed inside recovery")
                self.go_dead("execution")
                self.bury("execution", Killed("at the end of recovery"))
                return
        except Exception as death:  # noqa: BLE001 - whatever it dies of is judged in `bury`
            self.go_dead("execution")
            self.bury("execution", death)
        else:
            self.bus.start(self._guarded(actor))
            self.wake()

    def _recovered(self) -> Actor[Desk]:
        self.writer = None
        writer = Writer(str(self.folder / "btcbot.db"), vfs=self.disk.name)
        self.writer = writer
        writer.verify()
        self._hear_what_survived(writer)
        found = writer.reader.recover()
        desk = desk_of(self.setup, found)
        writer.epoch = desk.epoch
        network = self._network("execution")
        venue = BtcturkVenue(
            addresses=("http://exchange", "ws://exchange/ws"),
            credentials=(KEYS.key, SECRET),
            deliver=self._to("execution", network),
            kill_file=self.kill_file,
            clock=self.clock,
            network=network,
        )
        deliver = self._to("execution", network)
        performer = execution.Performer(writer, venue, self.kill_file, deliver)
        return execution.actor(desk, performer, writer.reader.facts_after)

    def _hear_what_survived(self, writer: Writer) -> None:
        """See that every acknowledged fact is there; follow those whose commit was cut short."""
        if writer.head < self.committed:
            lost = f"{self.committed - writer.head} of {self.committed} acknowledged facts"
            self.watch.broken("I7", f"{lost} are lost")
        while self.committed < writer.head:
            rows, self.committed = writer.reader.facts_after(self.committed, ALL_KINDS, 500)
            for _, fact in rows:
                self.watch.heard(fact)

    def links(self) -> Iterator[SimulatedLink]:
        """Yield every open WebSocket of the fleet."""
        for network in self._networks.values():
            yield from network.links

    @property
    def setup(self) -> Setup:
        return setup_of(self.pairs)

    @property
    def prefix(self) -> str:
        """Return how every label of ours begins."""
        return f"b1-{TAG}-"

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
        if not isinstance(why, Killed) and not is_expected(why):
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

    def pause(self, name: str, lasts_s: float) -> None:
        """Stop an actor as SIGSTOP does, and let it go on later."""
        if self.is_up(name):
            self.noted(f"{name} is paused")
            self.bus.pause(name)
            asyncio.get_running_loop().call_later(lasts_s, self._go_on, name)

    def _go_on(self, name: str) -> None:
        if self.is_up(name) and not self._is_over:
            self.bus.wake(name)
            self.wake()

    def restart_all(self) -> None:
        """End every process; supervisord starts them again."""
        for name in PROCESSES:
            self.kill(name)
        self.noted("everything was started again")

    def cut_power(self) -> None:
        """Let the machine lose power: every process is gone, and what was not synced may be."""
        for name in PROCESSES:
            self.kill(name)
        self.disk.cut_power()
        self.noted("power was cut")

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
                self.wake()

        return deliver

    def _bytes_left(self, data: bytes) -> None:
        assert self.writer is not None, "bytes of a dead process"
        if self.kill_file.exists():
            self.watch.broken("I4", f"bytes left while {self.kill_file.name} exists: {data[:20]!r}")
        self.watch.post_left(data, self.desk, self.writer.reader)

    def _guarded(self, actor: Actor[Any]) -> Actor[Any]:
        """Return `actor` with a witness: what it handles is hashed, what it dies of is caught."""
        handle, perform, name = actor.handle, actor.perform, actor.name

        def witnessed(state: Any, message: Struct, now_ns: int) -> Any:  # noqa: ANN401 - a Step
            self._look(name, message)
            try:
                with self._traced(name):
                    return handle(state, message, now_ns)
            except Exception as error:
                self.go_dead(name)
                raise Died(name, error) from error

        def performed(effect: Struct) -> None:
            assert perform is not None, f"{name} performs nothing"
            try:
                self._between_effects(name, effect)
                with self._traced(name):
                    perform(effect)
                self._follow(effect)
            except Exception as error:
                if isinstance(error, DISK_IS_FULL) and is_submit(effect):
                    self.noted("the disk was full when an order was to be written down")
                self.go_dead(name)
                raise Died(name, error) from error

        return changed(actor, handle=witnessed, perform=performed if perform else None)

    def _look(self, name: str, message: Struct) -> None:
        self.handled += 1
        self.watch.came(message)
        frame = encode(message)
        self.trace.update(name.encode() + frame)
        self.watch.looked_at(name, frame)

    def _follow(self, effect: Struct) -> None:
        """Note what the disk was said to have."""
        if isinstance(effect, execution.Persist):
            self.committed = effect.first + len(effect.facts) - 1
            for fact in effect.facts:
                self.watch.heard(fact)
            for fold in self._folds.values():
                fold.work(self.clock.now_ns(), is_caught_up=False)
                if self.draws["kept"].random() < KEPT:
                    fold.keep()
        self.kill_file.follow(effect)

    def _traced(self, name: str) -> contextlib.AbstractContextManager[None]:
        traced = name == "execution" and self.tracer is not None
        return tracing(self.tracer) if traced else contextlib.nullcontext()

    def _between_effects(self, name: str, effect: Struct) -> None:
        """Kill or pause execution after what it committed, before what follows."""
        if name != "execution" or not self.is_failing:
            return
        if isinstance(effect, execution.Persist):
            self.trace.update(encode(effect))
            return
        draw, plan = self.draws["faults"], self.plan
        if plan.freezes and draw.random() < plan.freezes:
            self.noted("the machine froze between two effects")
            self.clock.advance(ns=round(draw.uniform(0.1, 8) * SECOND_NS))
        if plan.kills_between_effects and draw.random() < plan.kills_between_effects:
            self.watch.sometimes["killed between a commit and what follows"] += 1
            self.go_dead(name)
            raise Killed(f"before {type(effect).__name__}")

    def wake(self) -> None:
        """Let the bus look again for what is due."""
        self._woken.set()

    def noted(self, what: str) -> None:
        """Count something that must happen sometimes."""
        self.watch.sometimes[what] += 1
