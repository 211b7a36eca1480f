"""The people of a simulated world: one who commands at random, one on duty who lets it trade."""

import asyncio
from typing import TYPE_CHECKING, Final

from btcbot.domain.ids import CommandId
from btcbot.domain.messages import CommandDone, Scope, SetPause, SetTradingState
from btcbot.domain.words import TradingState
from btcbot.orders.lifecycle import IN_DOUBT
from btcbot.sim.setup import ON_DUTY_S
from btcbot.sim.watch import SAFE

if TYPE_CHECKING:
    from btcbot.sim.world import World

STATES: Final = tuple(TradingState)


class People:
    """They ask execution, as control would."""

    def __init__(self, world: "World") -> None:
        self._world = world

    async def on_duty(self) -> None:
        """Be the person who looks every few seconds, and lets a bot trade that may."""
        number, draw = 10_000, self._world.draws["operator"]
        while True:
            await asyncio.sleep(draw.uniform(*ON_DUTY_S))
            world = self._world
            if world.is_failing and world.is_up("execution") and world.desk.mismatch is None:
                number += 1
                if world.desk.trading is not TradingState.LIVE:
                    self.command(number, TradingState.LIVE)
                for scope in tuple(world.desk.pauses):
                    self._resume(f"sim-{number}-{scope.strategy}", scope)

    def _resume(self, command_id: str, scope: Scope) -> None:
        command = SetPause(
            command_id=CommandId(command_id), scope=scope, is_paused=False, by="the simulation",
            reason="a simulated person", until_ns=None,
        )  # fmt: skip
        self._world.bus.ask("execution", command.command_id, command)
        self._world.wake()

    def answered(self, done: CommandDone) -> None:
        """Put up a fence at an answered pause or kill; take it down at an answered resume."""
        wanted = done.command_id.rpartition("-")[2]
        if not done.refused and done.command_id.startswith("sim-") and wanted in STATES:
            self._world.watch.fence = done.command_id if wanted in SAFE else ""

    def command(self, number: int, state: TradingState) -> None:
        """Ask execution for a trading state, as control would."""
        world = self._world
        if not world.is_up("execution"):
            return
        # Nobody here deposits: who acknowledged a difference would say what is not so.
        is_halted = world.desk.trading is TradingState.HALTED and world.desk.mismatch is None
        event = str(world.desk.trading_seq) if is_halted else ""
        world.noted(f"asked for {state}")
        live = (world.desk.orders[intent_id] for intent_id in world.desk.live)
        if state is TradingState.KILLED and any(order.state in IN_DOUBT for order in live):
            world.noted("asked to kill with an order in doubt")
        command = SetTradingState(
            command_id=CommandId(f"sim-{number}-{state}"), state=state, by="the simulation",
            reason="a simulated person", acknowledge=event,
        )  # fmt: skip
        world.bus.ask("execution", command.command_id, command)
        if state not in SAFE:
            world.watch.fence = ""  # It may be lifted from here on: the deed precedes its answer.
        world.wake()
