"""A backtest: the real actors on the memory bus, against the exchange model, in virtual time.

The same input gives the same bytes: time is the recording's, ids are derived, and nothing here
asks a clock or draws a number. Scope, stated: limit orders, taker fills against the recorded book,
maker fills by the queue model of `simulation.exchange`, fixed latencies, exchange rules and fees.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from actors import CODEC, accounting, execution, market_data, risk_gate, strategy
from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import DOCUMENTED, default_fees
from btcbot.domain.messages import AccountSnapshot, PnlReport
from btcbot.domain.money import text
from btcbot.domain.venue import VenueEffect
from btcbot.orders.bounds import OrderBounds
from btcbot.orders.recovery import desk_of
from btcbot.orders.state import GateLimits, Setup
from btcbot.risk.limits import RiskLimits
from btcbot.simulation import recording
from btcbot.simulation.defaults import START_PRICES
from btcbot.simulation.exchange import Exchange
from btcbot.simulation.playback import Latency, SimulatedFeed, SimulatedVenue
from btcbot.simulation.recording import Happening
from btcbot.store.queries import History
from btcbot.store.writer import Writer
from bus.clock import ManualClock
from bus.memory import MemoryBus

TAG = "btest"
SETTLE_NS = 30_000_000_000  # After the last event: open orders expire, their fills are read.
BALANCES = {Asset("TRY"): Decimal(100_000), Asset("USDT"): Decimal(10_000)}


class Plan(Struct, frozen=True, kw_only=True):
    """What is run: everything that decides the result, and so its name."""

    strategy: str
    params: Any
    pair: Pair
    limits: RiskLimits = RiskLimits()
    bounds: OrderBounds = OrderBounds()
    balances: Mapping[Asset, Decimal] = field(default_factory=lambda: BALANCES)
    latency: Latency = Latency()
    interval_ns: int = 250_000_000
    has_codec: bool = False


class Point(Struct, frozen=True):
    """The account at one moment, in TRY."""

    at_ns: int
    equity: Decimal | None
    drawdown: Decimal


class Result(Struct, frozen=True, kw_only=True):
    """What came of a run."""

    orders: list[dict[str, Any]]
    fills: list[dict[str, Any]]
    equity: list[Point]
    started_ns: int
    ended_ns: int
    events: int
    refusals: dict[str, int]
    realized: Decimal
    unrealized: Decimal
    positions: list[dict[str, str]]
    balances: dict[str, str]


class Stage:
    """The actors of one backtest, wired; `play` runs a recording through them."""

    def __init__(self, plan: Plan, start_ns: int, *, keeps_log: bool = False) -> None:
        rules = DOCUMENTED[plan.pair]
        fees = {quote: default_fees(quote) for quote in (Asset("TRY"), Asset("USDT"))}
        self.clock = ManualClock(start_ns)
        codec = CODEC if plan.has_codec else None
        self.bus = bus = MemoryBus(self.clock, codec, keeps_log=keeps_log)
        self.exchange = Exchange([rules], fees, plan.balances)
        self.writer = Writer(":memory:")
        self.writer.epoch = 1
        venue = SimulatedVenue(
            self.exchange,
            plan.latency,
            self.clock.now_ns,
            bus.at,
            lambda message: bus.deliver("execution", message),
        )
        self.feed = SimulatedFeed(
            self.exchange,
            plan.pair,
            venue,
            self.clock.now_ns,
            lambda message: bus.deliver("market_data", message),
        )
        self.equity: list[Point] = []
        self.snapshot: AccountSnapshot | None = None
        self.pnl: PnlReport | None = None
        bus.tap(AccountSnapshot, self._note_account)
        bus.tap(PnlReport, self._note_pnl)
        desk = desk_of(_setup(plan, fees), self.writer.reader.recover())
        bus.start(
            execution.actor(desk, _Performer(self.writer, venue), self.writer.reader.facts_after)
        )
        bus.start(market_data.actor((plan.pair,), self.feed.start))
        rates = {plan.pair: fees[rules.quote]}
        bus.start(risk_gate.actor(plan.limits, rates))
        bus.start(accounting.actor())
        chosen = strategy.Setup(
            name=plan.strategy, params=plan.params, interval_ns=plan.interval_ns
        )
        bus.start(strategy.actor(chosen, rates))
        venue.open()
        bus.run()

    def play(self, events: Iterator[Happening]) -> int:
        """Let every event happen at its time, then let open orders settle; return how many."""
        bus, happen, count = self.bus, self.feed.happen, 0
        run_until = bus.run_until
        for event in events:
            run_until(event.at_ns)
            happen(event)
            count += 1
        bus.run_until(self.clock.now_ns() + SETTLE_NS)
        return count

    def result(self, started_ns: int, events: int) -> Result:
        """Return everything the run wrote down."""
        history = History(self.writer.reader)
        refused = (row["rule"] for row in history.intents() if row["rule"])
        refusals: dict[str, int] = {}
        for rule in refused:
            refusals[rule] = refusals.get(rule, 0) + 1
        held = self.exchange.account.balances.items()
        return Result(
            orders=list(history.orders()),
            fills=list(history.fills()),
            equity=self.equity,
            started_ns=started_ns,
            ended_ns=self.clock.now_ns(),
            events=events,
            refusals=dict(sorted(refusals.items())),
            realized=self.pnl.realized if self.pnl else Decimal(0),
            unrealized=self.pnl.unrealized if self.pnl else Decimal(0),
            positions=[
                _position(row) for row in (self.snapshot.positions if self.snapshot else ())
            ],
            balances={asset: text(balance.total) for asset, balance in held},
        )

    def _note_account(self, message: AccountSnapshot) -> None:
        self.snapshot = message

    def _note_pnl(self, message: PnlReport) -> None:
        self.pnl = message
        if self.snapshot is not None:
            self.equity.append(Point(message.at_ns, self.snapshot.equity, message.drawdown))


def run(
    plan: Plan, events: Iterator[Happening], *, keeps_log: bool = False
) -> tuple[Result, Stage]:
    """Run `plan` over `events`. Raises DatasetError for a recording that cannot be used."""
    first = next(events, None)
    if first is None:
        raise recording.DatasetError("the data set holds no event in this time range")

    def all_events() -> Iterator[Happening]:
        yield first
        yield from events

    stage = Stage(plan, first.at_ns, keeps_log=keeps_log)
    count = stage.play(all_events())
    return stage.result(first.at_ns, count), stage


def events_of(
    paths: Sequence[Path], pair: Pair, since_ns: int, until_ns: int
) -> tuple[Iterator[Happening], Decimal]:
    """Return the events of a data set in `pair`'s prices, and the factor that maps them.

    A recording that already lies near the pair's price is not scaled. Raises DatasetError.
    """
    first, start = recording.first_middle(paths), START_PRICES[pair]
    near = start / 5 < first < start * 5
    factor = Decimal(1) if near else start / first
    scaled = recording.scaled(recording.read(paths), factor, DOCUMENTED[pair])
    return (event for event in scaled if since_ns <= event.at_ns < until_ns), factor


def digest_of(paths: Sequence[Path]) -> str:
    """Return a hash over the bytes of a data set, file by file."""
    whole = hashlib.blake2b(digest_size=16)
    for path in paths:
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                whole.update(part)
    return whole.hexdigest()


class _Performer:
    """Execution's own effects without a process around it: commits and the venue."""

    def __init__(self, writer: Writer, venue: SimulatedVenue) -> None:
        self._commit, self._start = writer.commit, venue.start

    def __call__(self, effect: Struct) -> None:
        if isinstance(effect, execution.Persist):
            self._commit(effect.facts, effect.first)
        elif isinstance(effect, VenueEffect):
            self._start(effect)
        # The rest belongs to a process: the kill file, the log, checkpoints, other pids.


def _setup(plan: Plan, fees: dict[Asset, Any]) -> Setup:
    limits = plan.limits
    return Setup(
        tag=TAG,
        mode="backtest",
        pairs=(plan.pair,),
        bounds=plan.bounds,
        fees=fees,
        gate=GateLimits(
            order_notional_max_try=limits.order_notional_max_try,
            open_orders_max=limits.open_orders_max,
            orders_per_minute_max=limits.orders_per_minute_max,
            price_collar_bps=limits.price_collar_bps,
            cash_reserve_min_try=limits.cash_reserve_min_try,
        ),
    )


def _position(row: Any) -> dict[str, str]:  # noqa: ANN401 - a Position
    return {
        "pair": row.pair,
        "quantity": text(row.quantity),
        "average_cost": text(row.average_cost),
        "unrealized_pnl": text(row.unrealized_pnl),
    }
