"""The loop of an actor's process: a poller for pure actors, asyncio for those with outside I/O.

`run` blocks in the poller and drains. `serve` registers the sockets' descriptors with the event
loop; they are edge-triggered, so every wake-up and every send is followed by a drain to the end.
"""

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeAlias

from msgspec import Struct

from bus.actor import Actor, Deliver, Peers
from bus.clock import SECOND_NS, SystemClock
from bus.envelope import Codec
from bus.journal import Journal
from bus.quarantine import Quarantine
from bus.shell import Shell
from bus.zeromq import DRAIN_MAX, Again, Sockets, answered, asked, news_of, poller, published

log = logging.getLogger("btcbot.bus")
ROUNDS_MAX: Final = 10  # Of draining and working, before an event loop has its turn.

PeersView: TypeAlias = Callable[[], Peers]
Make: TypeAlias = Callable[[Deliver, PeersView], Actor[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an actor lives: its folders, the words it speaks, the code it runs.

    `run/NAME.ready` appears when the actor is READY for the first time in a life.
    """

    run: Path
    journal: Path
    quarantine: Path
    codec: Codec
    code: str = ""


class Process:
    """One actor with its sockets and shell, and the two drains both loops share."""

    def __init__(self, make: Make, place: Place) -> None:
        self.clock = SystemClock()
        self._early: list[Struct] = []
        self.deliver: Deliver = self._early.append
        actor = make(self._pass_on, lambda: self.shell.watch.peers)
        journal = Journal(place.journal / actor.name, actor.name, self.clock.now_ns())
        self.sockets = Sockets(actor, place.run, journal.epoch)
        self.shell = Shell(
            actor,
            clock=self.clock,
            codec=place.codec,
            port=self.sockets,
            journal=journal,
            quarantine=Quarantine(place.quarantine, actor.name),
            pid=os.getpid(),
            code=place.code,
            on_ready=(place.run / f"{actor.name}.ready").touch,
        )
        self.is_stopping = False
        self._check_ns = 0
        self.ears = self._ears()

    def _ears(self) -> dict[Any, Callable[[], None]]:
        """Return how one frame of each socket is heard, and who is known to have sent it."""
        shell, sockets = self.shell, self.sockets
        ears: dict[Any, Callable[[], None]] = {
            sockets.router: lambda: shell.heard_request(*asked(sockets.router))
        }
        for source, sub in sockets.subs.items():
            ears[sub] = lambda sub=sub, source=source: shell.heard_stream(source, published(sub))  # type: ignore[misc]
        for source, dealer in sockets.dealers.items():
            ears[dealer] = lambda of=dealer, source=source: shell.heard_answer(source, answered(of))  # type: ignore[misc]
        return ears

    def _pass_on(self, message: Struct) -> None:
        self.deliver(message)

    def start(self) -> None:
        """Say Started, then whatever arrived while the actor was being made."""
        self.shell.start()
        for message in self._early:
            self.shell.deliver(message)
        self.deliver = self.shell.deliver
        gc.collect()
        gc.freeze()  # What lives from here to the end is not looked through again.

    def drain(self) -> bool:
        """Move every waiting frame into the shell; return whether there was one."""
        return self.take((socket, 1) for socket in self.sockets.all)

    def take(self, ready: Iterable[tuple[Any, int]]) -> bool:
        """Move what waits on `ready` sockets into the shell; return whether there was any.

        At most a thousand frames of each, so that timers keep their turn.
        """
        found = False
        for socket, _ in ready:
            hear = self.ears[socket]
            with suppress(Again):
                for _ in range(DRAIN_MAX):
                    hear()
                    found = True
        return found

    def check(self) -> None:
        """See once a second that the paths are still ours. Raises EndpointError."""
        now_ns = self.clock.monotonic_ns()
        if now_ns >= self._check_ns:
            self._check_ns = now_ns + SECOND_NS
            self.sockets.check_paths()

    def end(self) -> None:
        self.shell.stop()
        self.sockets.close()


def run(make: Make, place: Place) -> None:
    """Run a pure actor until SIGTERM. An exception from its code ends the process."""
    process = Process(make, place)

    def stop(_number: int, _frame: FrameType | None) -> None:
        process.is_stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        process.start()
        _turn(process)
        process.end()
    except Exception:  # The one place: a broken actor says so and dies; supervisord starts it.
        log.exception("actor_failed")
        raise SystemExit(1) from None


def _turn(process: Process) -> None:
    """Wait, handle, and see what else came, until told to stop."""
    look = poller(process.sockets.all).poll
    waiter, known = news_of(process.sockets.all)
    ears = {descriptor: process.ears[socket] for descriptor, socket in known.items()}
    shell = process.shell
    while not process.is_stopping:
        # The frame that ends a wait is handled before a look at what else came: the latency of a
        # tick. What piled up meanwhile is drained whole: the newest wins.
        with suppress(InterruptedError, Again):
            for descriptor, _ in waiter.poll(_wait_s(process)):
                ears[descriptor]()
        shell.work()
        shell.serve()
        while process.take(look(0)) and not process.is_stopping:
            shell.work()
            shell.serve()
            process.check()
        process.check()


def _wait_s(process: Process) -> float:
    """Return how long nothing is due; what the kernel rounds up is never a spin."""
    wait_ns = process.shell.next_ns() - process.clock.monotonic_ns()
    return wait_ns / SECOND_NS if wait_ns > 0 else 0


def run_on_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run `main` on uvloop where it is installed, else on the standard event loop."""
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with suppress(ImportError):
        import uvloop  # noqa: PLC0415 - only actors with outside I/O pay for it

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)


async def serve(
    make: Make, place: Place, before: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Run an actor with outside I/O on the running event loop until SIGTERM.

    `before` opens what may be opened only by the one process that has the actor's place.
    """
    process = Process(make, place)
    if before is not None:
        await before()
    await _Loop(process).run()


class _Loop:
    """Feeds a process from the event loop; `pump` is the only thing that touches the shell."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._is_pumping = self._is_called = False
        self._ended = self._loop.create_future()

    async def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._end)
        for descriptor in self._process.sockets.descriptors:
            self._loop.add_reader(descriptor, self.pump)
        self._process.start()
        deliver = self._process.deliver

        def deliver_and_pump(message: Struct) -> None:
            deliver(message)
            if not self._is_pumping and not self._is_called:  # One drain for a burst of them.
                self._is_called = True
                self._loop.call_soon(self.pump)

        self._process.deliver = deliver_and_pump
        self.pump()
        try:
            await self._ended
        finally:
            for descriptor in self._process.sockets.descriptors:
                self._loop.remove_reader(descriptor)
            self._process.end()

    def pump(self) -> None:
        """Drain and work until both are idle, then sleep until something is due.

        Whoever never is, as one that reads a long log, lets the loop have its turn now and then.
        """
        self._is_called = False
        if self._is_pumping or self._ended.done():
            return
        self._is_pumping = True
        process, is_idle = self._process, False
        try:
            process.shell.serve()
            for _ in range(ROUNDS_MAX):
                process.drain()
                process.shell.work()
                # After each work, for sends may have consumed an edge.
                is_idle = not process.drain() and not process.shell.has_mail
                if is_idle:
                    break
            process.check()
        except Exception as error:
            log.exception("actor_failed")
            self._ended.set_exception(SystemExit(1) if not isinstance(error, SystemExit) else error)
            return
        finally:
            self._is_pumping = False
        self._sleep(is_idle=is_idle)

    def _sleep(self, *, is_idle: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait_ns = 0
        if is_idle:
            wait_ns = self._process.shell.next_ns() - self._process.clock.monotonic_ns()
        self._timer = self._loop.call_later(max(wait_ns, 0) / SECOND_NS, self.pump)

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)
