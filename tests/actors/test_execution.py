"""Execution on the bus against the exchange model, with a database on disk and lives that end.

The exchange's own lists are the truth; what execution says of itself is never the witness.
"""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import apsw
import pytest
from msgspec import Struct

from actors import CODEC, execution
from btcbot.domain.facts import Fact, Fill, KillCompleted, OrderAbsent, OrderSubmitting
from btcbot.domain.ids import CommandId, OrderId
from btcbot.domain.instruments import DOCUMENTED, default_fees
from btcbot.domain.messages import (
    ApprovedOrder,
    BookTop,
    CommandDone,
    InstrumentRules,
    IntentVerdict,
    Message,
    OrderIntent,
    SetTradingState,
)
from btcbot.domain.money import Price, Quantity
from btcbot.domain.recorded import Quoted
from btcbot.domain.venue import Submit, Submitted, VenueEffect
from btcbot.domain.words import OrderState, Rule, Side, TradingState
from btcbot.orders.recovery import desk_of
from btcbot.orders.state import Desk
from btcbot.simulation.exchange import Exchange
from btcbot.simulation.venue import Latency, SimulatedVenue
from btcbot.store.queries import History
from btcbot.store.writer import Writer
from bus.actor import Health, PeerBack, PeerLost
from bus.clock import ManualClock
from bus.memory import MemoryBus
from tests.orders.desks import ASK, BID, BTC, BTCTRY, ETHTRY, NOW, TRY, intent, label, setup

F = TypeVar("F", bound=Fact)
PAIRS = (BTCTRY, ETHTRY)
DEEP = Decimal(10)


def quoted(at_ns: int, bid: Decimal, ask: Decimal) -> Quoted:
    return Quoted(at_ns, Price(bid), Quantity(DEEP), Price(ask), Quantity(DEEP))


class CrashError(Exception):
    """The process ended just now."""


class Wire:
    """What is between execution and the exchange; it may lose a submit, or the answer to one."""

    def __init__(self, room: "Room") -> None:
        self._room = room
        self._is_cut = False
        self._venue = SimulatedVenue(
            room.exchange, Latency(), room.clock.now_ns, room.bus.at, self._deliver
        )

    def open(self) -> None:
        self._venue.open()

    def cut(self) -> None:
        """End the connections: what the exchange says from now on is heard by nobody."""
        self._is_cut = True

    def ring(self) -> None:
        self._venue.ring()

    def start(self, effect: VenueEffect) -> None:
        if isinstance(effect, Submit):
            self._room.submits.append(effect)
            rows = self._room.rows(OrderSubmitting)
            assert effect.intent_id in {row.intent.intent_id for row in rows}, "sent before written"
            if self._room.loses_requests:
                return
        self._venue.start(effect)

    def _deliver(self, message: Message) -> None:
        is_lost = isinstance(message, Submitted) and self._room.loses_replies
        if not self._is_cut and not is_lost:
            self._room.bus.deliver("execution", message)


class Room:
    """Execution, its database, and an exchange that outlives it."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(NOW)
        self.bus = MemoryBus(self.clock, CODEC)
        self.exchange = Exchange(
            [DOCUMENTED[pair] for pair in PAIRS],
            {TRY: default_fees(TRY)},
            {TRY: Decimal(100_000), BTC: Decimal(1)},
            trades_delay_ns=300_000_000,
        )
        for pair in PAIRS:
            self.exchange.set_top(pair, quoted(NOW, BID, ASK), NOW)
        self.folder, self.kill_file = folder, folder / "KILL"
        self.submits: list[Submit] = []
        self.loses_requests = self.loses_replies = False
        self.left: int | None = None  # How many own effects until the process ends; None: no end.
        self.performed: list[Struct] = []
        self.lives = 0

    def begin(self) -> "Room":
        """Start a life of execution over the database as it is on disk."""
        self.lives += 1
        self.writer = Writer(str(self.folder / "btcbot.db"))
        self.writer.verify()
        desk = desk_of(setup(), self.writer.reader.recover())
        self.writer.epoch = desk.epoch
        self.wire = Wire(self)
        perform = execution.Performer(
            self.writer, self.wire, self.kill_file, lambda m: self.bus.deliver("execution", m)
        )
        actor = execution.actor(desk, self._until_the_end(perform), self.writer.reader.facts_after)
        self.bus.start(actor)
        self.wire.open()
        self.bus.run()
        self.market()
        return self

    def _until_the_end(self, perform: Callable[[Struct], None]) -> Callable[[Struct], None]:
        def counted(effect: Struct) -> None:
            if self.left is not None and self.left == 0:
                self.left = None
                raise CrashError
            self.performed.append(effect)
            perform(effect)
            if self.left is not None:
                self.left -= 1

        return counted

    def end(self) -> None:
        """Kill the process: connections and memory are gone, the disk is not."""
        self.bus.crash("execution")
        self.wire.cut()
        self.writer.close()

    def restart(self) -> "Room":
        self.end()
        return self.begin()

    def market(self) -> None:
        """Say rules and prices, as market_data does each second."""
        bus, now_ns, size = self.bus, self.clock.now_ns(), Quantity(DEEP)
        rules = InstrumentRules(instruments=tuple(DOCUMENTED[p] for p in PAIRS), at_ns=now_ns)
        bus.publish("market_data", "rules", rules)
        for pair in PAIRS:
            top = BookTop(
                pair=pair, bid=BID, bid_quantity=size, ask=ASK, ask_quantity=size,
                changed_ns=now_ns, confirmed_ns=now_ns,
            )  # fmt: skip
            bus.publish("market_data", f"mark.{pair}", top)
        bus.run()

    def wait(self, seconds: float) -> None:
        until_ns = self.clock.now_ns() + round(seconds * 1_000_000_000)
        while self.clock.now_ns() < until_ns:
            self.market()
            step_ns = min(500_000_000, until_ns - self.clock.now_ns())
            self.bus.run_until(self.clock.now_ns() + step_ns)
            self.wire.ring()

    def ask(self, wanted: OrderIntent, approved_ns: int | None = None) -> None:
        """Approve, as risk_gate does."""
        approved_ns = self.clock.now_ns() if approved_ns is None else approved_ns
        request = ApprovedOrder(intent=wanted, approved_ns=approved_ns)
        self.bus.ask("execution", wanted.intent_id, request)
        self.bus.run()

    def approve(self, wanted: OrderIntent) -> IntentVerdict:
        self.ask(wanted)
        return self.bus.heard(IntentVerdict)[-1]

    def command(self, state: TradingState, name: str) -> CommandDone:
        message = SetTradingState(command_id=CommandId(name), state=state, by="uid 1", reason="so")
        self.bus.ask("execution", name, message)
        self.bus.run()
        return self.bus.heard(CommandDone)[-1]

    def fall(self, price: int) -> None:
        """Let the market fall through `price`, and come back."""
        now_ns, below = self.clock.now_ns(), Decimal(price)
        self.exchange.set_top(BTCTRY, quoted(now_ns, below - 20, below - 10), now_ns)
        self.exchange.set_top(BTCTRY, quoted(now_ns, BID, ASK), now_ns)

    # --- what is true -----------------------------------------------------------------------------

    @property
    def desk(self) -> Desk:
        desk = self.bus.state("execution")
        assert isinstance(desk, Desk)
        return desk

    def state(self, wanted: OrderIntent) -> OrderState:
        return self.desk.orders[wanted.intent_id].state

    def is_in(self, state: TradingState) -> bool:
        return self.desk.trading is state

    def rows(self, kind: type[F]) -> list[F]:
        found, _ = self.writer.reader.facts_after(0, (str(kind.__struct_config__.tag),), 500)
        return [fact for _, fact in found if isinstance(fact, kind)]

    def on_exchange(self, wanted: OrderIntent) -> int:
        every = self.exchange.all_orders(self.clock.now_ns(), wanted.pair, OrderId(0))
        return sum(1 for order in every if order.client_id == label(wanted))

    def assert_honest(self) -> None:
        """Hold what execution did and wrote against the exchange's own account."""
        posts = Counter(submit.intent_id for submit in self.submits)
        labels = Counter(o.client_id for o in self.exchange.account.orders.values())
        assert all(count == 1 for count in posts.values()), posts
        assert all(count == 1 for count in labels.values()), labels
        booked = Counter((f.trade_id, f.order_id, f.side) for f in self.rows(Fill))
        traded = Counter((t.id, t.order_id, t.side) for t in self.exchange.account.trades)
        assert booked == traded
        ledger = {asset: total for asset, total in self.desk.ledger.items() if total}
        held = {a: b.total for a, b in self.exchange.balances().items() if b.total}
        assert ledger == held
        assert not self.desk.live
        assert self.desk.trading is not TradingState.HALTED, self.desk.trading_reason


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path).begin()
    room.wait(2)
    yield room
    room.writer.close()


def test_an_order_is_sent_filled_and_closed(room: Room) -> None:
    assert room.bus.health("execution") is Health.READY
    assert room.approve(intent(limit_price=ASK)).rule is None
    room.wait(10)

    assert room.state(intent()) is OrderState.CLOSED
    [row] = History(room.writer.reader).orders()
    assert (row["state"], row["filled"]) == ("CLOSED", "0.001")
    room.assert_honest()


def test_every_fact_that_is_said_is_on_disk(room: Room) -> None:
    def on_disk(fact: Fact) -> None:
        other = apsw.Connection(str(room.folder / "btcbot.db"), flags=apsw.SQLITE_OPEN_READONLY)
        rows = other.execute(
            "SELECT count(*) FROM events WHERE at_ns = ? AND kind = ?",
            (fact.at_ns, str(fact.__struct_config__.tag)),
        ).fetchall()
        other.close()
        assert rows != [(0,)], fact
        said.append(fact)

    said: list[Fact] = []
    for kind in (OrderSubmitting, Fill):
        room.bus.tap(kind, on_disk)
    room.approve(intent(limit_price=ASK))
    room.wait(10)
    assert [type(fact) for fact in said] == [OrderSubmitting, Fill]


def test_nothing_is_sent_or_said_when_the_commit_fails(room: Room) -> None:
    room.writer.close()  # As good as a broken disk: every statement fails.
    before = len(room.bus.log)

    with pytest.raises(apsw.CursorClosedError):
        room.ask(intent())

    assert not room.submits
    assert not [m for m in room.bus.log[before:] if isinstance(m, Fact | IntentVerdict)]
    assert room.restart().approve(intent()).rule is not None  # It never was: expired, or unready.
    room.wait(3)
    assert not room.submits


def test_an_order_whose_reply_was_lost_is_found(room: Room) -> None:
    room.loses_replies = True
    room.approve(intent())
    room.wait(20)

    assert room.state(intent()) is OrderState.OPEN
    assert room.on_exchange(intent()) == len(room.submits) == 1


def test_an_order_that_never_arrived_is_proven_absent(room: Room) -> None:
    room.loses_requests = True
    room.approve(intent())
    room.wait(60)
    assert room.state(intent()) is OrderState.UNKNOWN
    room.wait(40)

    assert room.state(intent()) is OrderState.ABSENT
    assert len(room.rows(OrderAbsent)) == 1
    assert room.on_exchange(intent()) == 0
    room.assert_honest()


@pytest.mark.parametrize("after_ms", [0, 10, 24, 26, 40, 49, 51, 300, 1_000, 3_000])
@pytest.mark.parametrize("price", [ASK, intent().limit_price])
def test_a_life_that_ends_around_a_submit_neither_repeats_nor_forgets_it(
    room: Room, after_ms: int, price: Decimal
) -> None:
    wanted = intent(limit_price=price, expires_ns=room.clock.now_ns() + 30_000_000_000)
    approved_ns = room.clock.now_ns()
    room.ask(wanted)
    room.bus.advance(after_ms / 1_000)
    room.restart()
    room.ask(wanted, approved_ns)  # risk_gate asks until it is answered.
    assert room.bus.heard(IntentVerdict)[-1].rule is None
    room.wait(100)

    assert room.on_exchange(wanted) == len(room.submits) == 1
    room.assert_honest()


def story(room: Room) -> list[Callable[[], object]]:
    """Return what happens: a fill at once, a rest that fills, one that expires, and a kill."""
    soon = room.clock.now_ns() + 8_000_000_000
    taker, maker = intent(1, limit_price=ASK), intent(2)
    late = intent(3, pair=ETHTRY, limit_price="2400000", expires_ns=soon)
    killed = intent(4, limit_price="2480000")
    return [
        lambda: room.ask(taker, NOW + 2_000_000_000),
        lambda: room.wait(1),
        lambda: room.ask(maker),
        lambda: room.ask(late),
        lambda: room.wait(1),
        lambda: room.fall(2_490_000),
        lambda: room.wait(8),
        lambda: room.ask(killed),
        lambda: room.wait(1),
        lambda: room.command(TradingState.KILLED, "kill"),
        lambda: room.wait(2),
    ]


def play(room: Room) -> None:
    """Let the story happen; a process that ends in it starts again, and is asked again."""
    for happening in story(room):
        try:
            happening()
        except CrashError:
            room.restart()
            happening()


@pytest.fixture(scope="module")
def length(tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many own effects the story has when nothing goes wrong."""
    room = Room(tmp_path_factory.mktemp("whole")).begin()
    room.wait(2)
    before = len(room.performed)
    play(room)
    effects = len(room.performed) - before
    room.wait(100)
    room.assert_honest()
    assert len(room.rows(Fill)) == 2
    assert len(room.submits) == 4
    room.writer.close()
    return effects


PARTS = 8


@pytest.mark.parametrize("part", range(PARTS))
def test_a_life_may_end_between_any_two_effects_of_a_story(
    tmp_path: Path, length: int, part: int
) -> None:
    for place in range(part, length, PARTS):
        folder = tmp_path / str(place)
        folder.mkdir()
        room = Room(folder).begin()
        room.wait(2)
        room.left = place

        play(room)
        room.wait(100)

        assert room.lives == 2, f"nothing ended at {place}"
        room.assert_honest()
        assert room.is_in(TradingState.KILLED)
        assert len(room.rows(KillCompleted)) == 1, place
        room.writer.close()


# --- peers, the kill file, and a control that hangs -----------------------------------------------


def test_nothing_is_sent_without_a_risk_gate(room: Room) -> None:
    room.bus.deliver("execution", PeerLost(source="risk_gate"))
    assert room.approve(intent()).rule is Rule.PEER_LOST
    room.bus.deliver("execution", PeerBack(source="risk_gate", epoch=2, pid=0))
    assert room.approve(intent(2)).rule is None


def test_the_kill_file_kills_and_a_resume_removes_it(room: Room) -> None:
    room.approve(intent())
    room.wait(1)
    room.kill_file.touch()
    room.wait(5)

    assert room.is_in(TradingState.KILLED)
    assert room.state(intent()) is OrderState.CLOSED
    assert len(room.rows(KillCompleted)) == 1
    assert room.kill_file.exists()

    assert not room.command(TradingState.LIVE, "resume").refused
    room.wait(2)
    assert not room.kill_file.exists()
    assert room.is_in(TradingState.LIVE)


def test_a_kill_by_command_leaves_the_file_for_those_who_look_at_nothing_else(room: Room) -> None:
    room.command(TradingState.KILLED, "k")
    assert room.kill_file.exists()
    room.restart().wait(2)
    assert room.is_in(TradingState.KILLED)
    assert not room.command(TradingState.LIVE, "resume").refused
    assert not room.kill_file.exists()


def test_a_kill_file_made_while_execution_was_down_is_obeyed_first(room: Room) -> None:
    room.end()
    room.kill_file.touch()
    room.begin().wait(1)
    assert room.is_in(TradingState.KILLED)


def test_a_kill_file_made_at_the_moment_of_another_change_is_not_lost(room: Room) -> None:
    room.kill_file.touch()
    room.command(TradingState.PAUSED, "pause")
    assert room.kill_file.exists()
    room.wait(1)
    assert room.is_in(TradingState.KILLED)


def test_a_kill_file_made_again_at_the_moment_of_a_resume_is_not_lost(room: Room) -> None:
    room.kill_file.touch()
    room.wait(1)
    os.utime(room.kill_file, ns=(1, 1))
    room.command(TradingState.LIVE, "resume")
    assert room.kill_file.exists()
    room.wait(1)
    assert room.is_in(TradingState.KILLED)


def test_a_control_that_hangs_is_ended_and_one_that_lives_is_not(room: Room) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        room.bus.deliver("execution", PeerBack(source="control", epoch=1, pid=process.pid))
        room.bus.deliver("execution", PeerLost(source="control"))
        room.wait(3)
        room.bus.deliver("execution", PeerBack(source="control", epoch=1, pid=process.pid))
        room.wait(10)
        assert process.poll() is None

        room.bus.deliver("execution", PeerLost(source="control"))
        room.wait(3.5)
        assert process.poll() is None
        room.wait(1)
        assert process.wait(10) == -signal.SIGKILL
    finally:
        process.kill()
        process.wait()


def test_side_of_a_sale_is_kept_to_the_books(room: Room) -> None:
    wanted = intent(side=Side.SELL, limit_price=BID)
    assert room.approve(wanted).rule is None
    room.wait(10)
    assert room.state(wanted) is OrderState.CLOSED
    room.assert_honest()
