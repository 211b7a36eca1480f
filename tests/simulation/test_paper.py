"""The paper exchange: live prices, simulated orders, and an account that outlives its process."""

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec import Struct

from btcbot.domain.ids import Asset, ClientOrderId, OrderId
from btcbot.domain.instruments import DOCUMENTED, default_fees
from btcbot.domain.messages import BookDepth, InstrumentRules, Level, Trade, VenueState
from btcbot.domain.money import Price, Quantity
from btcbot.domain.venue import (
    BalancesRead,
    Cancel,
    FillsRead,
    LimitOrder,
    OpenOrdersRead,
    Outcome,
    ReadBalances,
    ReadFills,
    ReadOpenOrders,
    ShowMarket,
    Submit,
    Submitted,
    VenueFill,
    VenueOrder,
)
from btcbot.domain.words import Side
from btcbot.simulation.paper import PaperVenue
from btcbot.simulation.statefile import StateError, StateFile
from btcbot.simulation.venue import Latency
from tests.builders import BTCTRY, START_NS, book_top, intent_id

M = TypeVar("M", bound=Struct)
TRY, BTC = Asset("TRY"), Asset("BTC")
START = {TRY: Decimal(100_000), BTC: Decimal("0.01")}
RULES = InstrumentRules(instruments=(DOCUMENTED[BTCTRY],), at_ns=START_NS)


class Life:
    """One life of the paper exchange in a folder, in virtual time."""

    def __init__(self, folder: Path, at_ns: int = START_NS) -> None:
        self.now_ns, self._count = at_ns, 0
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self.heard: list[Struct] = []
        self.venue = PaperVenue(
            StateFile(folder), START, {TRY: default_fees(TRY)}, Latency(),
            now=lambda: self.now_ns, call_at=self._call_at, deliver=self.heard.append,
        )  # fmt: skip
        self.venue.open()

    def _call_at(self, at_ns: int, call: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._due, (at_ns, self._count, call))

    def pass_s(self, seconds: float) -> None:
        until_ns = self.now_ns + round(seconds * 1e9)
        while self._due and self._due[0][0] <= until_ns:
            self.now_ns, _, call = heappop(self._due)
            call()
        self.now_ns = until_ns

    def show(self, seen: Any) -> None:
        self.venue.start(ShowMarket(seen))

    def ask(self, effect: Any, kind: type[M]) -> M:
        """Begin an effect; return the answer of `kind` that comes within a second."""
        self.heard.clear()
        self.venue.start(effect)
        self.pass_s(1)
        [answer] = [message for message in self.heard if isinstance(message, kind)]
        return answer

    def order(self, number: int, side: Side, quantity: str, price: int) -> OrderId:
        terms = LimitOrder(side=side, quantity=qty(quantity), price=Price(Decimal(price)))
        submit = Submit(
            intent_id=intent_id(number), client_order_id=ClientOrderId(f"label-{number}"),
            pair=BTCTRY, terms=terms, stamp_ms=self.now_ns // 1_000_000,
        )  # fmt: skip
        said = self.ask(submit, Submitted)
        assert said.outcome is Outcome.ACKED, said
        assert said.order_id is not None
        return said.order_id

    def fills(self) -> tuple[VenueFill, ...]:
        """Return the fills, oldest first."""
        return self.ask(ReadFills(since_ms=0), FillsRead).fills[::-1]

    def open_orders(self) -> tuple[VenueOrder, ...]:
        return self.ask(ReadOpenOrders(BTCTRY), OpenOrdersRead).orders

    def balances(self) -> dict[Asset, tuple[Decimal, Decimal]]:
        rows = self.ask(ReadBalances(), BalancesRead).balances
        return {row.asset: (row.total, row.free) for row in rows}


def qty(text: str) -> Quantity:
    return Quantity(Decimal(text))


def depth(bids: dict[int, str], asks: dict[int, str]) -> BookDepth:
    def side(rows: dict[int, str]) -> tuple[Level, ...]:
        return tuple(Level(Price(Decimal(price)), qty(size)) for price, size in rows.items())

    return BookDepth(pair=BTCTRY, bids=side(bids), asks=side(asks), confirmed_ns=START_NS)


def trade(number: int, taker: Side, quantity: str, price: int) -> Trade:
    return Trade(
        pair=BTCTRY, trade_id=number, side=taker, price=Price(Decimal(price)),
        quantity=qty(quantity), event_ns=START_NS, received_ns=START_NS,
    )  # fmt: skip


def a_buy() -> Submit:
    terms = LimitOrder(side=Side.BUY, quantity=qty("0.001"), price=Price(Decimal(2_400_000)))
    return Submit(
        intent_id=intent_id(1), client_order_id=ClientOrderId("label"), pair=BTCTRY, terms=terms,
        stamp_ms=0,
    )  # fmt: skip


BOOK = depth({2_499_990: "0.002", 2_499_980: "1"}, {2_500_010: "0.001", 2_500_020: "1"})


@pytest.fixture
def life(tmp_path: Path) -> Life:
    made = Life(tmp_path)
    made.show(RULES)
    made.show(BOOK)
    return made


def test_an_order_that_reaches_across_pays_level_by_level_and_the_takers_fee(life: Life) -> None:
    life.order(1, Side.BUY, "0.003", 2_500_020)

    fills = life.fills()

    assert [(Decimal(f.quantity), Decimal(f.price)) for f in fills] == [
        (Decimal("0.001"), Decimal(2_500_010)), (Decimal("0.002"), Decimal(2_500_020)),
    ]  # fmt: skip
    rate = default_fees(TRY).taker_bps / 10_000
    for fill in fills:
        assert abs(fill.fee + fill.tax - fill.quantity * fill.price * rate) < Decimal("0.0000001")


def test_what_was_taken_stays_gone_until_the_market_changes_that_level(life: Life) -> None:
    life.order(1, Side.BUY, "0.001", 2_500_010)
    life.show(BOOK)  # Told again, as every second: nobody put anything there.
    life.order(2, Side.BUY, "0.001", 2_500_010)
    assert [row.client_id for row in life.open_orders()] == ["label-2"]

    life.show(depth({2_499_990: "0.002"}, {2_500_010: "0.005"}))

    assert life.open_orders() == ()
    assert len(life.fills()) == 2


def test_a_resting_order_waits_for_the_queue_in_front_of_it_and_fills_in_parts(life: Life) -> None:
    life.order(1, Side.BUY, "0.003", 2_499_990)  # Behind 0.002.

    life.show(trade(1, Side.SELL, "0.002", 2_499_990))
    assert life.fills() == ()
    life.show(trade(2, Side.SELL, "0.001", 2_499_990))

    [fill] = life.fills()
    assert (fill.quantity, fill.price) == (qty("0.001"), Price(Decimal(2_499_990)))
    [left] = life.open_orders()
    assert left.left == Decimal("0.002")


def test_a_newer_touch_moves_the_book_before_the_next_levels_come(life: Life) -> None:
    life.order(1, Side.BUY, "0.0005", 2_500_000)
    assert life.fills() == ()

    life.show(book_top(bid=2_499_900, ask=2_499_950, ask_quantity="0.4"))

    [fill] = life.fills()
    assert fill.price == 2_500_000  # It rested there, and the seller came to it.


def test_a_pair_without_rules_is_refused_and_its_trades_are_nobodys(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.show(BOOK)
    life.show(trade(1, Side.SELL, "1", 2_499_990))

    said = life.ask(a_buy(), Submitted)

    assert (said.outcome, said.code) == (Outcome.REJECTED, "1037")


def test_orders_fills_and_balances_go_on_in_the_next_life(life: Life, tmp_path: Path) -> None:
    life.order(1, Side.BUY, "0.001", 2_500_010)
    resting = life.order(2, Side.BUY, "0.004", 2_499_980)
    life.show(trade(1, Side.SELL, "1.001", 2_499_980))
    before = life.fills(), life.open_orders(), life.balances()
    assert len(before[0]) == 2

    after = Life(tmp_path, life.now_ns)  # Nothing was closed: so ends what is killed.

    assert (after.fills(), after.open_orders(), after.balances()) == before
    after.show(trade(2, Side.SELL, "0.003", 2_499_980))  # It kept its place in the queue.
    assert after.open_orders() == ()
    third = after.order(3, Side.SELL, "0.001", 2_600_000)
    assert third > resting


def test_an_order_can_be_cancelled_before_the_market_is_heard_again(
    life: Life, tmp_path: Path
) -> None:
    number = life.order(1, Side.BUY, "0.004", 2_499_980)

    after = Life(tmp_path, life.now_ns)
    after.venue.start(Cancel(number))
    after.pass_s(1)

    assert after.open_orders() == ()
    assert after.balances()[TRY] == (START[TRY], START[TRY])


def test_the_balances_of_the_configuration_count_on_the_first_start_alone(
    life: Life, tmp_path: Path
) -> None:
    assert {asset: total for asset, (total, _) in life.balances().items()} == START
    life.order(1, Side.SELL, "0.002", 2_499_990)
    [fill] = life.fills()

    totals = {asset: total for asset, (total, _) in Life(tmp_path).balances().items()}

    got = fill.quantity * fill.price - fill.fee - fill.tax
    assert totals == {BTC: START[BTC] - fill.quantity, TRY: START[TRY] + got}


@contextmanager
def full_disk(file: Path) -> Iterator[None]:
    """Let no file of this process grow beyond what `file` has by now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 10, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_nothing_is_said_that_could_not_be_written_down(life: Life, tmp_path: Path) -> None:
    file = tmp_path / "account.jsonl"
    before = file.read_bytes()
    life.heard.clear()
    with full_disk(file):
        life.venue.start(a_buy())
        life.pass_s(1)

    assert [message for message in life.heard if isinstance(message, Submitted)] == []
    assert file.read_bytes() == before  # Not the begin of a line either.

    [found] = life.open_orders()  # The disk has room again: whoever asks finds the order.

    assert found.client_id == "label"
    assert Life(tmp_path).open_orders() == (found,)


def test_a_file_that_is_damaged_is_refused_by_its_line(tmp_path: Path) -> None:
    Life(tmp_path)
    file = tmp_path / "account.jsonl"
    file.write_bytes(file.read_bytes() + b'{"orders": 7}\n')

    with pytest.raises(StateError, match=r"account\.jsonl:\d+: .*move it away to begin anew"):
        Life(tmp_path)


def test_it_says_how_its_connections_are(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.pass_s(11)

    assert sum(isinstance(message, VenueState) for message in life.heard) == 3
