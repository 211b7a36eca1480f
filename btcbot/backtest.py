"""A backtest: the real actors on the memory bus, against the exchange model, in virtual time.

The same input gives the same bytes: time is the recording's, ids are derived, and nothing here
asks a clock or draws a number. Several pairs are one market and one account: what happens at one
moment happens by their names. Scope, stated: limit orders, taker fills against the recorded book,
maker fills by the queue model of `simulation.exchange`, fixed latencies, the exchange's rules and
fees. Our orders do not move the recorded market. Cash, units, fees and locked funds are computed a
second time after every change of the account (`simulation.audit`).
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from heapq import merge
from itertools import chain, repeat
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from actors import CODEC, accounting, execution, market_data, risk_gate, strategy
from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import DOCUMENTED, FeeRates, Instrument, default_fees
from btcbot.domain.messages import AccountSnapshot, OrderIntent, PnlReport
from btcbot.domain.money import text
from btcbot.domain.recorded import DatasetError, Happening
from btcbot.domain.venue import VenueEffect
from btcbot.orders.accept import live_orders
from btcbot.orders.bounds import OrderBounds
from btcbot.orders.recovery import desk_of
from btcbot.orders.state import GateLimits, Setup
from btcbot.pipeline.registry import is_allocator
from btcbot.pipeline.seats import SeatSetup, alone
from btcbot.pipeline.seats import Setup as StrategySetup
from btcbot.portfolio.budget import PlanLimits
from btcbot.portfolio.universe import UniverseRules
from btcbot.risk.limits import RiskLimits
from btcbot.sections import Plan as PlanCaps
from btcbot.simulation.audit import Audit
from btcbot.simulation.defaults import USDTTRY
from btcbot.simulation.exchange import Exchange
from btcbot.simulation.feed import SimulatedFeeds, fixed_rate
from btcbot.simulation.minutes import Minute, sample
from btcbot.simulation.venue import Latency, SimulatedVenue
from btcbot.store.batch import Batch
from btcbot.store.queries import History, Row
from btcbot.store.writer import Writer
from bus.actor import Actor
from bus.clock import ManualClock
from bus.hosted import Faults
from bus.memory import MemoryBus

TAG: Final = "btest"
ACTORS: Final = ("execution", "market_data", "risk_gate", "accounting", "strategy")
MEMORY: Final = ":memory:"
AT_ONCE: Final = 500  # Facts that are written in one go, where no crash can lose them alone.
SILENCE_NS: Final = 5_000_000_000  # Without an event: candles are made of such silences.
LINGER_NS: Final = 400_000_000  # Of time as usual after an event: what it led to is sent by then.
LEAD_NS: Final = 500_000_000  # And before the next one; the two are less than a second's tick.
SETTLE_NS: Final = 30_000_000_000  # After the last event: open orders expire, their fills are read.
RATE_EVERY_NS: Final = 1_000_000_000
TRY, USDT = Asset("TRY"), Asset("USDT")
Happen = Callable[[Happening], None]
BALANCES: Final = {TRY: Decimal(100_000), USDT: Decimal(10_000)}


class Plan(Struct, frozen=True, kw_only=True):
    """What is run: everything but the data that decides the result."""

    strategy: str
    params: Any  # The strategy's own type.
    pair: Pair
    rules: Instrument | None = None  # None: as documented.
    others: tuple[Instrument, ...] = ()  # Further pairs that are traded.
    limits: RiskLimits = RiskLimits()
    bounds: OrderBounds = OrderBounds()
    fees: Mapping[Asset, FeeRates] = field(
        default_factory=lambda: {quote: default_fees(quote) for quote in (TRY, USDT)}
    )
    balances: Mapping[Asset, Decimal] = field(default_factory=lambda: BALANCES)
    latency: Latency = Latency()
    is_first_in_queue: bool = False  # Where our resting orders stand: the best case, or the worst.
    interval_ns: int = 250_000_000  # Between two decisions; 0: on every quote.
    has_codec: bool = False
    seats: tuple[SeatSetup, ...] = ()  # Several strategies; else `strategy` alone.
    caps: PlanLimits = PlanCaps()
    universe: UniverseRules = UniverseRules()
    hosted: tuple[Any, ...] = ()  # The strategies of the seats, where btcbot has none of the name.

    @property
    def setup(self) -> StrategySetup:
        """The seats of the strategy actor."""
        one = alone(self.strategy, self.params, self.interval_ns)
        return msgspec.structs.replace(
            one, seats=self.seats or one.seats, limits=self.caps, universe=self.universe
        )

    @property
    def instrument(self) -> Instrument:
        return self.rules or DOCUMENTED[self.pair]

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """The rules of every pair, by name."""
        return tuple(sorted((self.instrument, *self.others), key=lambda rules: rules.pair))

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return tuple(rules.pair for rules in self.instruments)

    @property
    def rates(self) -> dict[Pair, FeeRates]:
        return {rules.pair: self.fees[rules.quote] for rules in self.instruments}

    @property
    def digest(self) -> str:
        """A hash over everything that decides the result; the codec must not."""
        parts = msgspec.structs.replace(self, has_codec=False, hosted=())
        encoded = msgspec.json.encode(parts, enc_hook=str, order="deterministic")
        return hashlib.blake2b(encoded, digest_size=16).hexdigest()


class Point(Struct, frozen=True):
    """The account when its value changed, in TRY; equity None: something has no price."""

    at_ns: int
    equity: Decimal | None
    drawdown: Decimal


class Result(Struct, frozen=True, kw_only=True):
    """What came of a run.

    Rows are those of `btcbot export`; an order has its `arrival_price` too, the middle of the book
    when it was decided, and a fill says whether it rested.
    """

    orders: list[Row]
    fills: list[Row]
    refusals: dict[str, int]
    equity: list[Point]
    account: AccountSnapshot | None  # The last one; None: the recording was over in a second.
    balances: dict[Asset, Decimal]  # As the exchange has them at the end.
    started_ns: int
    ended_ns: int
    events: int
    balances_first: dict[Asset, Decimal]
    minutes: Mapping[Pair, list[Minute]]  # Of the middle.
    adaptations: list[Row] = field(default_factory=list)  # Of strategies that change themselves.


class Stage:
    """The actors of one backtest, wired; `play` runs a recording through them."""

    def __init__(
        self,
        plan: Plan,
        start_ns: int,
        *,
        keeps_log: bool = False,
        faults: Faults | None = None,
        database: str = MEMORY,
    ) -> None:
        instruments = plan.instruments
        self.plan = plan
        self.clock = clock = ManualClock(start_ns)
        codec = CODEC if plan.has_codec else None
        self.bus = bus = MemoryBus(clock, codec, faults=faults, keeps_log=keeps_log)
        self.exchange = Exchange(
            list(instruments), plan.fees, plan.balances,
            cancel_delay_ns=plan.latency.cancel_effect_ns,
            trades_delay_ns=plan.latency.fills_ns,
            is_first_in_queue=plan.is_first_in_queue,
        )  # fmt: skip
        self.journal = Batch(Writer(database), AT_ONCE if database == MEMORY else 1)
        self.audit = Audit(self.exchange.account, instruments)
        self.venue = SimulatedVenue(
            self.exchange, plan.latency, clock.now_ns, bus.at, bus.inlet("execution"),
            audit=self.audit,
        )  # fmt: skip
        self.feeds = SimulatedFeeds(
            self.exchange, plan.pairs, clock.now_ns, bus.at, bus.inlet("market_data")
        )
        self.equity: list[Point] = []
        self.minutes: dict[Pair, list[Minute]] = {pair: [] for pair in plan.pairs}
        self._account: AccountSnapshot | None = None
        self._events = 0  # Of what was followed.
        self._arrivals: dict[str, str] = {}  # Of an intent: the middle when it was decided.
        bus.tap(OrderIntent, self._note_arrival)
        bus.tap(AccountSnapshot, self._note_account)
        bus.tap(PnlReport, self._note_pnl)
        for name in ACTORS:
            self.start(name)
        if USDTTRY not in plan.pairs and any(rules.quote != TRY for rules in instruments):
            self._say_rate()
        bus.run()

    def start(self, name: str) -> None:
        """Begin a life of an actor: the first, or another one after `bus.crash`."""
        self.bus.start(self.actor(name))
        if name == "execution":
            self.venue.open()

    def _say_rate(self) -> None:
        """Say what a USDT is worth once a second: an old rate is none."""
        now_ns = self.clock.now_ns()
        self.bus.publish("market_data", f"mark.{USDTTRY}", fixed_rate(now_ns))
        self.bus.at(now_ns + RATE_EVERY_NS, self._say_rate)

    def actor(self, name: str) -> Actor[Any]:
        """Return the actor `name` as its process would start it; execution recovers its desk."""
        plan = self.plan
        match name:
            case "execution":
                desk = desk_of(setup_of(plan), self.journal.reader.recover())
                self.journal.begin_epoch(desk.epoch)
                performer = _performer(self.journal, self.venue)
                return execution.actor(desk, performer, self.journal.facts_after)
            case "market_data":
                return market_data.actor(
                    plan.pairs,
                    self.feeds.start,
                    has_depth=any(one.WANTS_DEPTH for one in plan.hosted),
                    wants_day=any(is_allocator(one) and one.WANTS_DAY for one in plan.hosted),
                )
            case "risk_gate":
                return risk_gate.actor(plan.limits, plan.rates)
            case "accounting":
                return accounting.actor()
            case _:
                assert name == "strategy", f"a backtest has no {name}"
                return strategy.actor(plan.setup, plan.rates, plan.hosted or None)

    def play(self, events: Iterable[Happening]) -> int:
        """Play one recording, that of the plan's own pair; return how many events it had."""
        return self.play_all({self.plan.pair: events})

    def play_all(self, recordings: Mapping[Pair, Iterable[Happening]]) -> int:
        """Let every event happen at its time, then let open orders settle; return how many."""
        count = self.follow_all(recordings)
        self.bus.run_until(self.clock.now_ns() + SETTLE_NS)
        self.audit()
        self.journal.flush()
        return count

    def follow(self, events: Iterable[Happening]) -> int:
        """Let every event of the plan's own pair happen at its time; return how many."""
        return self.follow_all({self.plan.pair: events})

    def follow_all(self, recordings: Mapping[Pair, Iterable[Happening]]) -> int:
        """Let every event happen at its time, those of one moment by pair; return how many."""
        lines = [
            zip(repeat(self.feeds.of[pair].happen), recordings[pair], strict=False)
            for pair in sorted(recordings)
        ]
        line = lines[0] if len(lines) == 1 else merge(*lines, key=_when)
        self.bus.run_through(self._happen(line))
        return self._events

    def _happen(self, line: Iterable[tuple[Happen, Happening]]) -> Iterator[int]:
        """Let each event happen when all that comes before its time, which is yielded, is done."""
        exchange, count, last_ns = self.exchange, 0, self.clock.now_ns()
        for count, (happen, event) in enumerate(line, 1):  # noqa: B007
            at_ns = event.at_ns
            if at_ns - last_ns > SILENCE_NS:
                self._skip_silence(at_ns)
            yield at_ns
            happen(event)
            last_ns = at_ns
            if exchange.events:
                self.venue.ring()
        self._events = count

    def _skip_silence(self, until_ns: int) -> None:
        """Let time pass in which nothing happens; while nothing of ours is alive, at one leap.

        Timers passed meanwhile are due once, at its end: one tick between two events, early enough
        before the next to confirm the price and to read the exchange again.
        """
        desk = self.bus.state("execution")
        self.bus.run_until(self.clock.now_ns() + LINGER_NS)
        if desk.waiting:  # What was asked of the exchange comes back before the leap.
            answered_ns = self.clock.now_ns() + 2 * self.plan.latency.read_ns
            self.bus.run_until(min(answered_ns, until_ns - LEAD_NS))
        while any(live_orders(desk)) and self.clock.now_ns() < until_ns - LEAD_NS:
            self.bus.advance(1)
        if self.clock.now_ns() < until_ns - LEAD_NS:
            self.bus.leap(until_ns - LEAD_NS)

    def result(self, started_ns: int, events: int) -> Result:
        """Return everything the run wrote down."""
        history = History(self.journal.reader)
        refusals: dict[str, int] = {}
        for row in history.intents():
            if row["rule"]:
                refusals[row["rule"]] = refusals.get(row["rule"], 0) + 1
        held = sorted(self.exchange.balances().items())
        return Result(
            orders=[self._with_arrival(row) for row in history.orders()],
            fills=[self._with_liquidity(row) for row in history.fills()],
            refusals=dict(sorted(refusals.items())),
            equity=self.equity,
            account=self._account,
            balances={asset: balance.total for asset, balance in held},
            started_ns=started_ns,
            ended_ns=self.clock.now_ns(),
            events=events,
            balances_first=dict(self.plan.balances),
            minutes=self.minutes,
            adaptations=list(history.adaptations()),
        )

    @property
    def unpriced(self) -> tuple[Pair, ...]:
        """The pairs that never had a price: nothing could be traded in them."""
        feeds = self.bus.state("market_data").feeds
        return tuple(pair for pair in self.plan.pairs if not feeds[pair].quotes.told_ns)

    def _with_arrival(self, row: Row) -> Row:
        return {**row, "arrival_price": self._arrivals.get(row["intent_id"])}

    def _with_liquidity(self, row: Row) -> Row:
        is_maker = self.audit.is_maker.get(row["trade_id"])
        return {**row, "liquidity": _LIQUIDITY[is_maker]}

    def _middle(self, pair: Pair) -> Decimal | None:
        market = self.exchange.markets[pair]
        return (market.bid + market.ask) / 2 if market.bid and market.ask else None

    def _note_arrival(self, intent: OrderIntent) -> None:
        middle = self._middle(intent.pair)
        if middle is not None:  # Asked again until it is answered: the first time counts.
            self._arrivals.setdefault(intent.intent_id, text(middle))

    def _note_account(self, message: AccountSnapshot) -> None:
        self._account = message

    def _note_pnl(self, message: PnlReport) -> None:
        """Keep the account's value where it changed; accounting says both once a second."""
        assert self._account is not None, "a report before any account"
        for pair, minutes in self.minutes.items():
            middle = self._middle(pair)
            if middle is not None:
                sample(minutes, message.at_ns, middle)
        point = Point(message.at_ns, self._account.equity, message.drawdown)
        last = self.equity[-1] if self.equity else None
        if last is None or (point.equity, point.drawdown) != (last.equity, last.drawdown):
            self.equity.append(point)


def run(
    plan: Plan, events: Iterator[Happening], *, keeps_log: bool = False
) -> tuple[Result, Stage]:
    """Run `plan` over the recording of its own pair. Raises DatasetError when nothing happens."""
    return run_all(plan, {plan.pair: events}, keeps_log=keeps_log)


def run_all(
    plan: Plan, recordings: Mapping[Pair, Iterator[Happening]], *, keeps_log: bool = False
) -> tuple[Result, Stage]:
    """Run `plan` over one recording a pair. Raises DatasetError when nothing happens in one."""
    began, starts_ns = {}, []
    for pair in sorted(recordings):
        first = next(recordings[pair], None)
        if first is None:
            raise DatasetError(f"nothing happens in {pair} within the time range")
        began[pair] = chain((first,), recordings[pair])
        starts_ns.append(first.at_ns)
    stage = Stage(plan, min(starts_ns), keeps_log=keeps_log)
    count = stage.play_all(began)
    return stage.result(min(starts_ns), count), stage


def _when(line: tuple[object, Happening]) -> int:
    return line[1].at_ns


_LIQUIDITY: Final = {True: "maker", False: "taker", None: None}


def _performer(journal: Batch, venue: SimulatedVenue) -> Callable[[Struct], None]:
    """Return who does execution's own effects without a process: commits, and the venue's."""

    def perform(effect: Struct) -> None:
        if type(effect) is execution.LookForKill:  # The hottest, and a process's own.
            return
        if isinstance(effect, execution.Persist):
            journal.commit(effect.facts, effect.first)
        elif isinstance(effect, VenueEffect):
            venue.start(effect)
        # The rest belongs to a process too: the kill file, the log, the disk, other pids.

    return perform


def setup_of(plan: Plan) -> Setup:
    """Return what a plan fixes for the lives of execution."""
    return Setup(
        tag=TAG,
        mode="backtest",
        pairs=plan.pairs,
        bounds=plan.bounds,
        fees=dict(plan.fees),
        gate=msgspec.convert(plan.limits, GateLimits, from_attributes=True),
    )
