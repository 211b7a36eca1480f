"""Where a simulated process touches the world, and how it ends there."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import PosixPath
from types import FrameType
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from actors import execution
from btcbot.domain.facts import OrderSubmitting
from btcbot.domain.messages import ApprovedOrder
from btcbot.sim.loop import SECOND_NS
from btcbot.sim.plan import Plan
from btcbot.store.vfs import DISK_FAILED
from bus.actor import Actor
from bus.clock import ManualClock

if TYPE_CHECKING:
    from btcbot.sim.world import World

Tracer = Callable[[FrameType, str, Any], Any]


class Killed(Exception):
    """A process ends here, as by `kill -9`; its seams are dead already."""


class KillSwitch(PosixPath):
    """A file whose time of making is virtual: it names the command that it is."""

    clock: ManualClock
    awaits_submit = False  # To be made when the next order is written down, before it is sent.

    def follow(self, effect: Struct) -> None:
        """Be made now if this is what was awaited."""
        if self.awaits_submit and is_submit(effect):
            self.awaits_submit = False
            self.touch()

    def touch(self, mode: int = 0o666, exist_ok: bool = True) -> None:  # noqa: FBT001, FBT002 - Path's
        """Make it now, by the world's clock."""
        super().touch(mode, exist_ok)
        os.utime(self, ns=(self.clock.now_ns(), self.clock.now_ns()))


@contextlib.contextmanager
def tracing(tracer: Tracer | None) -> Iterator[None]:
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

    def __init__(self, plan: Plan, world: "World") -> None:
        self._plan, self._world = plan, world
        self.cuts: set[frozenset[str]] = set()  # Pairs of actors that do not hear each other.
        faults = ("bus_drop", "bus_repeat", "bus_delay", "partitions", "pauses_at_approval")
        self._is_quiet = not any(getattr(plan, name) for name in faults)

    def part(self, one: str, other: str) -> None:
        """Let two actors not hear each other; each is told as silence tells it."""
        self.cuts.add(frozenset((one, other)))
        self._tell_of(one, other, is_lost=True)
        self._world.noted("two actors were parted")

    def join(self, one: str, other: str) -> None:
        """Let them hear each other again."""
        self.cuts.discard(frozenset((one, other)))
        self._tell_of(one, other, is_lost=False)

    def _tell_of(self, one: str, other: str, *, is_lost: bool) -> None:
        for source, to in ((one, other), (other, one)):
            if self._world.bus.is_hosted(source) and self._world.bus.is_hosted(to):
                self._world.bus.tell_of_peer(source, to, is_lost=is_lost)
                self._world.wake()

    def copies(self, source: str, to: str, message: Struct) -> tuple[int, ...]:
        """Return the delays of the copies that arrive, in ns; none: it is lost."""
        if self._is_quiet or not self._world.is_failing:
            return (0,)
        cuts = self.cuts
        if cuts and frozenset(("execution" if source == "facts" else source, to)) in cuts:
            return ()
        draw, plan = self._world.draws["bus"], self._plan
        if isinstance(message, ApprovedOrder) and draw.random() < plan.pauses_at_approval:
            self._world.pause(to, 0.3 * 10 ** draw.random())
        if draw.random() < plan.bus_drop:
            if source == "facts":
                self._world.watch.sometimes["facts were lost and caught up"] += 1
            return ()
        delay_ns = 0
        if draw.random() < plan.bus_delay:
            delay_ns = round(min(draw.expovariate(4), 1.5) * SECOND_NS)
        return (delay_ns, delay_ns + 1_000_000) if draw.random() < plan.bus_repeat else (delay_ns,)


def is_expected(why: BaseException) -> bool:
    """Return whether an actor may die of `why`: a disk that failed, nothing of ours."""
    return isinstance(why, DISK_FAILED)


def is_submit(effect: Struct) -> bool:
    """Return whether `effect` writes down that an order is being sent."""
    facts = effect.facts if isinstance(effect, execution.Persist) else ()
    return any(isinstance(fact, OrderSubmitting) for fact in facts)


def changed(actor: Actor[Any], **changes: Any) -> Actor[Any]:  # noqa: ANN401
    fields = {name: getattr(actor, name) for name in actor.__dataclass_fields__}
    return Actor(**{**fields, **changes})


def _hook(value: Any) -> Any:  # noqa: ANN401 - whatever msgspec does not know
    return str(value)


encode = msgspec.msgpack.Encoder(enc_hook=_hook, decimal_format="string").encode
