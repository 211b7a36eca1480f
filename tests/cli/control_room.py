"""A control that answers on a real socket: its real core, in a thread, beside a scripted execution.

What a fleet of processes adds is tested in tests/processes; here it is what the commands make of
each answer.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from actors import CODEC, control
from btcbot.config import Config
from btcbot.domain.ids import Asset, Pair
from btcbot.domain.messages import (
    AccountSnapshot,
    AssetBalance,
    CancelIntent,
    CommandDone,
    FeedState,
    LimitUse,
    Message,
    PnlReport,
    Position,
    ResolveOrder,
    RiskState,
    SetPause,
    SetRiskMode,
    SetTradingState,
    TightenLimit,
)
from btcbot.domain.money import Amount, Notional, Price
from btcbot.domain.status import ACTORS, Life, status_of
from btcbot.domain.words import FeedStatus
from bus.actor import Actor, Answer, Step
from bus.clock import ManualClock, SystemClock
from bus.doorway import Doorway
from bus.memory import MemoryBus

PAIRS = (Pair("BTCTRY"), Pair("ETHTRY"))
COMMANDS = (
    SetTradingState, SetPause, CancelIntent, ResolveOrder, TightenLimit, SetRiskMode,
)  # fmt: skip


class ControlRoom:
    """What the thread holds; a test may change `refusal`, `lives` and `heard` before it asks."""

    def __init__(self, home: Path) -> None:
        self.config = Config(home=home, pairs=PAIRS)
        self.config.run.mkdir(exist_ok=True)
        self.refusal = ""
        self.is_mute = False
        self.heard: list[Message] = []
        life = Life(pid=4, state="READY", age_s=0.1, restarts=0, rss_mb=30.5)
        self.lives = dict.fromkeys(ACTORS, life)
        self.pids = {"strategy": 4, "control": 5}
        self.now_ns = SystemClock().now_ns()
        self.bus = MemoryBus(ManualClock(self.now_ns), CODEC)
        execution: Actor[Any] = Actor(
            name="execution", state=None, handle=self._execute, receives=COMMANDS
        )
        self.bus.start(execution)
        self.bus.start(control.actor(self.config, self._perform, 5))
        self.bus.run()
        self.doorway = Doorway(
            self.config.run / "ctl.sock",
            control.receiver(self._deliver, self._answer),
            control.refused,
        )

    @property
    def view(self) -> Any:
        return self.bus.state("control").view

    def say(self, source: str, topic: str, message: Message) -> None:
        self.bus.publish(source, topic, message)
        self.bus.run()

    def say_all(self) -> None:
        """Let every actor say what it says in a fleet that is well."""
        for pair in PAIRS:
            self.say("market_data", f"feed.{pair}", feed(pair, self.now_ns))
        self.say("accounting", "account", account(self.now_ns))
        self.say("accounting", "pnl", pnl(self.now_ns))
        self.say("risk_gate", "risk", risk(self.now_ns))

    def _execute(self, state: None, message: Any, _now_ns: int) -> Step[None]:
        if not isinstance(message, COMMANDS):
            return Step(state)
        self.heard.append(message)
        done = CommandDone(command_id=message.command_id, refused=self.refusal, seq=7)
        return Step(state, () if self.is_mute else (Answer(message.request_id, done),))

    def _deliver(self, message: Struct) -> None:
        self.bus.state("control").pids.update(self.pids)
        self.bus.deliver("control", message)
        self.bus.run()
        if self.is_mute:
            self.bus.advance(6)

    def _answer(self, connection: int, frame: bytes) -> None:
        self.doorway.answer(connection, frame)

    def _perform(self, effect: Struct) -> None:
        match effect:
            case control.ShowStatus():
                found = status_of(self.view, self.lives, SystemClock().now_ns())
                self._answer(effect.connection, msgspec.msgpack.encode(found))
            case control.Answered():
                self._answer(effect.connection, msgspec.msgpack.encode(effect.reply))
            case control.EndProcess():
                old = self.lives[effect.actor]
                self.lives[effect.actor] = msgspec.structs.replace(old, pid=old.pid + 1000)


@contextmanager
def open_room(home: Path) -> Iterator[ControlRoom]:
    """Yield a room whose socket answers until the end."""
    room, loop, stop = ControlRoom(home), asyncio.new_event_loop(), asyncio.Event()
    opened = threading.Event()

    async def serve() -> None:
        await room.doorway.open()
        opened.set()
        await stop.wait()
        await room.doorway.close()
        await asyncio.sleep(0)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert opened.wait(5)
        yield room
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(5)
        loop.close()


def feed(pair: Pair, at_ns: int, status: FeedStatus = FeedStatus.LIVE) -> FeedState:
    return FeedState(pair=pair, status=status, confirmed_ns=at_ns, reason="", at_ns=at_ns)


def account(at_ns: int) -> AccountSnapshot:
    return AccountSnapshot(
        through=3,
        balances=(AssetBalance(Asset("TRY"), Amount(decimal(100_000)), Amount(decimal(98_000))),),
        positions=(
            Position(
                pair=PAIRS[0], quantity=Amount(decimal("0.012")),
                average_cost=Price(decimal(4_000_000)), realized_pnl=Amount(decimal(0)),
                unrealized_pnl=Amount(decimal("12.5")), mark=Price(decimal(4_001_041)),
            ),
        ),
        equity_asset=Asset("TRY"),
        equity=Amount(decimal("100012.50")),
        at_ns=at_ns,
    )  # fmt: skip


def pnl(at_ns: int) -> PnlReport:
    return PnlReport(
        day="2026-11-18", realized=Amount(decimal(0)), unrealized=Amount(decimal("12.5")),
        fees=Amount(decimal("1.2")), turnover=Notional(decimal(48_000)), fills=1,
        peak_equity=Amount(decimal(100_020)), drawdown=Amount(decimal("7.5")), at_ns=at_ns,
    )  # fmt: skip


def risk(at_ns: int) -> RiskState:
    limit = LimitUse("order_notional_max_try", decimal(500), decimal(5_000))
    return RiskState(limits=(limit,), refusals=(), at_ns=at_ns)


def decimal(value: int | str) -> Any:
    from decimal import Decimal

    return Decimal(value)
