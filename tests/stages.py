"""The actors of a backtest over a made market: what pipelines, lives and replays are tried on."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import msgspec
from msgspec import Struct

from actors import CODEC, control, dashboard, execution
from btcbot import backtest
from btcbot.backtest import Plan, Stage
from btcbot.config import Config
from btcbot.domain.ids import Pair
from btcbot.domain.instruments import DOCUMENTED
from btcbot.domain.money import Price, Quantity
from btcbot.domain.recorded import BookMoved, Happening, Traded
from btcbot.orders.recovery import desk_of
from btcbot.simulation.defaults import START_PRICES
from btcbot.simulation.market import SyntheticMarket
from btcbot.store.writer import Writer
from btcbot.strategies.profit_aware import DEMO
from bus.actor import Actor, Step
from bus.hosted import Faults
from tests.builders import BTCTRY, START_NS

MY_PID: Final = 4242
STEP_NS: Final = 200_000_000
# The sandbox's lively preset: some ten orders a minute on the sandbox's own market.
PLAN: Final = Plan(strategy="profit_aware", params=DEMO, pair=BTCTRY, has_codec=True)


def market(seconds: int, seed: int = 1, pair: Pair = BTCTRY) -> Iterator[Happening]:
    """Yield what happens on the sandbox's made market of `pair`, five steps a second."""
    made = SyntheticMarket(DOCUMENTED[pair], START_PRICES[pair], seed)
    for at_ns in range(START_NS, START_NS + seconds * 1_000_000_000, STEP_NS):
        moves = made.step(STEP_NS / 1e9)
        for trade in moves.trades:
            yield Traded(at_ns, trade.side, Price(trade.price), Quantity(trade.quantity))
        yield BookMoved(at_ns, moves.bids, moves.asks)


def stage(*, faults: Faults | None = None, has_codec: bool = True) -> Stage:
    """Return a stage that keeps what is said."""
    plan = Plan(strategy=PLAN.strategy, params=DEMO, pair=BTCTRY, has_codec=has_codec)
    return Stage(plan, START_NS, keeps_log=True, faults=faults)


class Tape:
    """What one life of an actor handled, as frames, and what it said to each, as bytes."""

    def __init__(self) -> None:
        self.handled: list[tuple[int, bytes]] = []
        self.said: list[bytes] = []

    def recorded(self, actor: Actor[Any]) -> Actor[Any]:
        """Return `actor` with a handle that records."""

        def handle(state: Any, message: Struct, now_ns: int) -> Step[Any]:
            self.handled.append((now_ns, CODEC.encode_message(message)))
            step = actor.handle(state, message, now_ns)
            self.said.append(spelled(step))
            return step

        return replace(actor, handle=handle)


def spelled(step: Step[Any]) -> bytes:
    """Return the effects of a step as bytes that tell their kinds and every field."""
    return msgspec.msgpack.encode([(type(effect).__name__, effect) for effect in step.effects])


def fresh(name: str) -> Actor[Any]:
    """Return an actor as it stands before its first message."""
    match name:
        case "execution":
            reader = Writer(":memory:").reader
            desk = desk_of(backtest.setup_of(PLAN), reader.recover())
            return execution.actor(desk, lambda _effect: None, reader.facts_after)
        case "control":
            return control.actor(Config(pairs=(BTCTRY,)), lambda _effect: None, MY_PID)
        case "dashboard":
            return dashboard.actor("backtest", (BTCTRY,))
        case _:
            return stage().actor(name)


class Taped(Stage):
    """A stage with all seven actors, each on a tape from its first message."""

    def __init__(self) -> None:
        self.tapes: dict[str, Tape] = {}
        super().__init__(PLAN, START_NS, keeps_log=True)
        for name in ("control", "dashboard"):
            self.tapes[name] = Tape()
            self.bus.start(self.tapes[name].recorded(fresh(name)))

    def actor(self, name: str) -> Actor[Any]:
        self.tapes[name] = Tape()
        return self.tapes[name].recorded(super().actor(name))
