"""Accounting on the bus: what it says follows from facts and prices, and from nothing else."""

from decimal import Decimal
from itertools import pairwise

import pytest

from actors import CODEC, accounting
from btcbot.domain.facts import Balances, Fill, Opening, Posting, Recorded
from btcbot.domain.ids import Asset, ClientOrderId, CommandId, IntentId, OrderId, Pair, TradeId
from btcbot.domain.instruments import DOCUMENTED
from btcbot.domain.messages import (
    AccountSnapshot,
    AssetBalance,
    BookTop,
    InstrumentRules,
    PnlReport,
    Record,
)
from btcbot.domain.money import Amount, Price, Quantity
from btcbot.domain.words import Side
from btcbot.ledger import history, postings
from bus.actor import Health, PeerBack, Woken
from bus.clock import ManualClock
from bus.memory import MemoryBus

START_NS = 1_795_035_570_000_000_000  # 2026-11-18, 23:59:30 in Istanbul.
BTCTRY, BTCUSDT, USDTTRY = Pair("BTCTRY"), Pair("BTCUSDT"), Pair("USDTTRY")
TRY, BTC, USDT = Asset("TRY"), Asset("BTC"), Asset("USDT")
MINUTE_S = 60


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START_NS)


@pytest.fixture
def bus(clock: ManualClock) -> MemoryBus:
    """Return a bus that encodes every message, with accounting caught up on nothing."""
    bus = MemoryBus(clock, CODEC)
    bus.start(accounting.actor())
    bus.run()
    return bus


def rules(bus: MemoryBus, *pairs: Pair) -> None:
    said = InstrumentRules(instruments=tuple(DOCUMENTED[p] for p in pairs), at_ns=START_NS)
    bus.publish("market_data", "rules", said)


def mark(bus: MemoryBus, pair: Pair, bid: int, ask: int) -> None:
    top = BookTop(
        pair=pair, bid=Price(Decimal(bid)), bid_quantity=Quantity(Decimal(1)),
        ask=Price(Decimal(ask)), ask_quantity=Quantity(Decimal(1)),
        changed_ns=START_NS, confirmed_ns=START_NS,
    )  # fmt: skip
    bus.publish("market_data", f"mark.{pair}", top)


def row(asset: Asset, total: str) -> AssetBalance:
    return AssetBalance(asset, Amount(Decimal(total)), Amount(Decimal(total)))


def opening(*rows: AssetBalance) -> Opening:
    return Opening(balances=rows, postings=postings.of_opening(rows), at_ns=START_NS)


def fill(  # noqa: PLR0913 - a fill is these things
    number: int,
    side: Side,
    quantity: str,
    price: str,
    fee: str = "0",
    pair: Pair = BTCTRY,
    *,
    is_ours: bool = True,
    event_ns: int = START_NS + 1,
) -> Fill:
    amount, each, charge = Quantity(Decimal(quantity)), Price(Decimal(price)), Amount(Decimal(fee))
    about = DOCUMENTED[pair]
    lines: tuple[Posting, ...] = postings.of_fill(
        side, about.base, about.quote, amount, each, charge, Amount(Decimal(0))
    )
    return Fill(
        trade_id=TradeId(number),
        order_id=OrderId(number),
        intent_id=IntentId(f"i{number}") if is_ours else None,
        client_order_id=ClientOrderId(f"c{number}") if is_ours else None,
        pair=pair,
        side=side,
        quantity=amount,
        price=each,
        fee=charge,
        tax=Amount(Decimal(0)),
        fee_asset=about.quote,
        event_ns=event_ns,
        liquidity=None,
        postings=lines,
        at_ns=START_NS + 2,
    )


def account(bus: MemoryBus) -> AccountSnapshot:
    bus.advance(1)
    return bus.heard(AccountSnapshot)[-1]


def report(bus: MemoryBus) -> PnlReport:
    bus.advance(1)
    return bus.heard(PnlReport)[-1]


def said_in(bus: MemoryBus, seconds: float) -> int:
    """Return how often it says where we stand in `seconds`."""
    before = len(bus.heard(AccountSnapshot))
    bus.advance(seconds)
    assert len(bus.heard(PnlReport)) == len(bus.heard(AccountSnapshot))
    return len(bus.heard(AccountSnapshot)) - before


def test_says_where_we_stand_once_a_second_while_prices_move_and_not_more(bus: MemoryBus) -> None:
    bus.advance(10)
    before = len(bus.heard(AccountSnapshot))

    for n in range(100):
        mark(bus, BTCTRY, 100 + n, 102 + n)
        bus.advance(0.1)

    assert len(bus.heard(AccountSnapshot)) - before == 10


def test_what_does_not_change_is_said_again_every_five_seconds(bus: MemoryBus) -> None:
    bus.advance(10)

    for _ in range(200):
        mark(bus, BTCTRY, 100, 102)
        bus.advance(0.1)

    assert said_in(bus, 20) == 4


@pytest.mark.parametrize("who", ["control", "dashboard", "strategy"])
def test_whoever_comes_up_is_told_each_second_for_a_while(bus: MemoryBus, who: str) -> None:
    bus.advance(20)

    bus.deliver("accounting", PeerBack(source=who, epoch=1, pid=1))

    assert said_in(bus, 5) == 5
    assert said_in(bus, 20) <= 5


def test_says_nothing_before_every_fact_is_known() -> None:
    actor = accounting.actor()

    step = actor.handle(actor.state, Woken(name="say", due_ns=0), START_NS)

    assert [type(effect).__name__ for effect in step.effects] == ["Wake"]
    assert actor.health(step.state) is Health.RECOVERING


def test_two_buys_and_a_sell_are_a_position_at_average_cost_and_a_profit(bus: MemoryBus) -> None:
    bus.say_fact(fill(1, Side.BUY, "1", "100", fee="1"))
    bus.say_fact(fill(2, Side.BUY, "1", "200", fee="2"))
    bus.say_fact(fill(3, Side.SELL, "1", "250", fee="2.5"))
    mark(bus, BTCTRY, 299, 301)

    [position] = account(bus).positions
    day = report(bus)

    assert position.quantity == 1
    assert position.average_cost == Decimal("151.5")
    assert position.realized_pnl == 96
    assert position.unrealized_pnl == Decimal("148.5")
    assert position.mark == 300
    assert day.realized == 96
    assert day.unrealized == Decimal("148.5")
    assert day.fees == Decimal("5.5")
    assert day.turnover == 550
    assert (day.fills, day.day) == (3, "2026-11-18")


def test_a_position_without_a_price_says_so(bus: MemoryBus) -> None:
    bus.say_fact(fill(1, Side.BUY, "1", "100"))

    [position] = account(bus).positions

    assert position.mark is None
    assert position.unrealized_pnl == 0


def test_a_trade_that_a_person_made_moves_balances_and_no_position(bus: MemoryBus) -> None:
    bus.say_fact(opening(row(TRY, "1000"), row(BTC, "0")))
    bus.say_fact(fill(1, Side.BUY, "1", "100", is_ours=False))

    said = account(bus)

    assert said.positions == ()
    assert {b.asset: b.total for b in said.balances} == {TRY: 900, BTC: 1}


def test_equity_is_everything_traded_in_try(bus: MemoryBus) -> None:
    rules(bus, BTCTRY, BTCUSDT, USDTTRY)
    bus.say_fact(opening(row(TRY, "1000"), row(BTC, "2"), row(USDT, "10"), row(Asset("X"), "5")))
    mark(bus, BTCUSDT, 90, 110)
    assert account(bus).equity is None

    mark(bus, USDTTRY, 40, 42)

    assert account(bus).equity == 1000 + 2 * 100 * 41 + 10 * 41


@pytest.mark.parametrize(("bid", "ask"), [(95, 110), (90, 115)])
def test_a_price_of_which_one_side_alone_moved_is_a_new_price(
    bus: MemoryBus, bid: int, ask: int
) -> None:
    rules(bus, BTCTRY)
    bus.say_fact(opening(row(TRY, "1000"), row(BTC, "2")))
    mark(bus, BTCTRY, 90, 110)
    assert account(bus).equity == 1_200

    mark(bus, BTCTRY, bid, ask)

    assert account(bus).equity == 1_205


def test_equity_is_unknown_before_the_rules_and_the_account_are_heard(bus: MemoryBus) -> None:
    mark(bus, BTCTRY, 1, 1)
    assert account(bus).equity is None

    bus.say_fact(opening(row(TRY, "1000")))
    assert account(bus).equity is None

    rules(bus, BTCTRY)
    assert account(bus).equity == 1000


def test_a_profit_in_usdt_is_reported_in_try_however_late_its_price_comes(bus: MemoryBus) -> None:
    bus.say_fact(fill(1, Side.BUY, "1", "100", pair=BTCUSDT))
    bus.say_fact(fill(2, Side.SELL, "1", "110", fee="1", pair=BTCUSDT))
    assert report(bus).realized == 0

    mark(bus, USDTTRY, 45, 45)

    day = report(bus)
    assert day.realized == 9 * 45
    assert day.fees == 45
    assert day.turnover == 210 * 45


def test_a_new_day_starts_at_nothing_and_keeps_what_is_held(bus: MemoryBus) -> None:
    bus.say_fact(fill(1, Side.BUY, "2", "100"))
    bus.say_fact(fill(2, Side.SELL, "1", "110"))
    mark(bus, BTCTRY, 120, 120)
    assert report(bus).realized == 10

    bus.advance(MINUTE_S)

    day = report(bus)
    assert (day.day, day.fills) == ("2026-11-19", 0)
    assert day.realized == 0
    assert day.unrealized == 20


def test_what_the_exchange_states_wins_over_what_was_booked(bus: MemoryBus) -> None:
    bus.say_fact(opening(row(TRY, "1000")))
    bus.say_fact(fill(1, Side.BUY, "1", "100", is_ours=False))
    assert {b.asset: b.total for b in account(bus).balances} == {TRY: 900, BTC: 1}

    late = Balances(balances=(row(TRY, "1900"), row(BTC, "1")), at_ns=START_NS + 3)
    bus.say_fact(late)

    assert {b.asset: b.total for b in account(bus).balances} == {TRY: 1900, BTC: 1}


def test_drawdown_is_measured_from_the_highest_equity(bus: MemoryBus) -> None:
    rules(bus, BTCTRY)
    bus.say_fact(opening(row(TRY, "0"), row(BTC, "1")))
    for price in (100, 150, 120):
        mark(bus, BTCTRY, price, price)
        bus.advance(1)

    day = bus.heard(PnlReport)[-1]

    assert day.peak_equity == 150
    assert day.drawdown == 30


def test_the_highest_equity_is_recorded_at_most_once_a_minute(bus: MemoryBus) -> None:
    rules(bus, BTCTRY)
    bus.say_fact(opening(row(TRY, "0"), row(BTC, "1")))
    for second in range(120):
        mark(bus, BTCTRY, 1000 + second, 1000 + second)
        bus.advance(1)

    peaks = [record for record in bus.heard(Record) if record.kind == "peak"]
    asked = {record.command_id: record for record in peaks}

    assert 2 <= len(asked) <= 3
    assert {(r.owner, r.kind, r.key) for r in asked.values()} == {("accounting", "peak", "BTC,TRY")}


def test_a_new_life_recalls_the_highest_equity(bus: MemoryBus) -> None:
    recorded = Recorded(
        owner="accounting", kind="peak", key="BTC,TRY", payload=b"500.25",
        command_id=CommandId("accounting-1-1"), at_ns=START_NS,
    )  # fmt: skip
    bus.say_fact(recorded)
    bus.say_fact(opening(row(TRY, "400")))
    rules(bus, BTCTRY)

    day = report(bus)

    assert (day.peak_equity, day.drawdown) == (Decimal("500.25"), Decimal("100.25"))
    assert not [record for record in bus.heard(Record) if record.kind == "peak"]


def test_what_others_record_is_none_of_its_business(bus: MemoryBus) -> None:
    bus.say_fact(
        Recorded(
            owner="strategy",
            kind="peak",
            key="BTC,TRY",
            payload=b"\xff",
            command_id=CommandId("x"),
            at_ns=START_NS,
        )
    )

    assert report(bus).peak_equity == 0


def test_a_new_life_says_what_the_old_one_said(bus: MemoryBus) -> None:
    rules(bus, BTCTRY)
    bus.say_fact(opening(row(TRY, "1000"), row(BTC, "1")))
    bus.say_fact(fill(1, Side.BUY, "1.5", "99.5", fee="0.123456789"))
    bus.say_fact(fill(2, Side.SELL, "0.7", "101.5", fee="0.987654321"))
    mark(bus, BTCTRY, 100, 101)
    bus.advance(1)
    before = account(bus), report(bus)

    bus.crash("accounting")
    bus.start(accounting.actor())
    rules(bus, BTCTRY)
    mark(bus, BTCTRY, 100, 101)
    after = account(bus), report(bus)

    assert after[0].positions == before[0].positions
    assert after[0].balances == before[0].balances
    assert after[0].equity == before[0].equity
    assert after[1].realized == before[1].realized
    assert after[1].unrealized == before[1].unrealized


def course(bus: MemoryBus, kind: str) -> list[history.Point]:
    records = [record for record in bus.heard(Record) if record.kind == kind]
    return [history.recorded(record.payload) for record in records]


def known(bus: MemoryBus) -> None:
    """Let everything be heard that an equity needs."""
    rules(bus, BTCTRY)
    mark(bus, BTCTRY, 99, 101)
    bus.say_fact(opening(row(TRY, "1000"), row(BTC, "1")))


def test_where_the_account_stands_is_kept_every_five_minutes(bus: MemoryBus) -> None:
    known(bus)
    bus.advance(1_000)

    points = course(bus, history.EQUITY)

    assert len(points) == 4
    assert {b.at_ns - a.at_ns for a, b in pairwise(points)} == {history.EVERY_NS}
    assert {point.equity for point in points} == {Decimal(1_100)}


def test_nothing_is_kept_of_an_equity_that_nobody_knows(bus: MemoryBus) -> None:
    bus.advance(1_000)

    assert course(bus, history.EQUITY) == []


def test_how_a_day_ended_is_kept_once_when_the_next_begins(bus: MemoryBus) -> None:
    known(bus)
    bus.say_fact(fill(1, Side.BUY, "2", "100", fee="3"))
    bus.advance(20)  # It is 23:59:50.
    assert course(bus, history.DIGEST) == []

    bus.advance(3_600)

    [ended] = course(bus, history.DIGEST)
    assert (ended.day, ended.fills) == ("2026-11-18", 1)
    assert [ended.fees, ended.equity] == [3, 1_097]
