"""What is read, repeated and proven, and when."""

from decimal import Decimal
from itertools import pairwise

import pytest
from msgspec.structs import replace

from btcbot.domain.facts import Discrepancy, OrderAbsent, OrderCancelRequested
from btcbot.domain.ids import OrderId
from btcbot.domain.money import Price
from btcbot.domain.venue import (
    AllOrdersRead,
    BalancesRead,
    Cancel,
    FillsRead,
    OpenOrdersRead,
    Outcome,
    ReadAllOrders,
    ReadBalances,
    ReadFailed,
    ReadFills,
    ReadOpenOrders,
    ReadTime,
    TimeRead,
)
from btcbot.domain.words import OrderState as S
from btcbot.domain.words import Rule, Side, TradingState
from btcbot.orders.bounds import OrderBounds
from bus.actor import Woken
from tests.orders.desks import (
    BTC,
    ETHTRY,
    GATE,
    NOW,
    SECOND,
    TRY,
    Floor,
    intent,
    listed,
    ready,
    trade,
)

WANTED = intent()


def seconds(floor: Floor) -> float:
    return (floor.now_ns - NOW) / SECOND


def in_doubt(**changes: object) -> Floor:
    floor = ready(**changes)
    floor.lose(WANTED)
    return floor


def until_absent(floor: Floor, longest_s: float) -> float | None:
    """Wait for the proof; return how long after the stamp it came. None: it did not."""
    began = floor.now_ns
    while floor.now_ns < began + longest_s * SECOND:
        floor.wait(0.5)
        if floor.said(OrderAbsent):
            return (floor.now_ns - floor.order(WANTED).stamp_ms * 10**6) / SECOND
    return None


# --- absence ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wait_s", "interval_s"), [(60, 5), (120, 5), (60, 20), (900, 30)])
def test_absence_is_proven_by_three_whole_sweeps_after_the_bound(
    wait_s: int, interval_s: int
) -> None:
    floor = in_doubt(bounds=OrderBounds(absence_wait_s=wait_s, sweep_interval_s=interval_s))

    took_s = until_absent(floor, wait_s + 10 * interval_s)

    assert took_s is not None
    assert wait_s + 2 * interval_s <= took_s <= wait_s + 4 * interval_s + 5
    order = floor.order(WANTED)
    assert order.state is S.ABSENT
    assert all(began >= order.stamp_ms * 10**6 + wait_s * SECOND for began in order.sweeps)
    assert all(later - earlier >= interval_s * SECOND for earlier, later in pairwise(order.sweeps))
    assert len(order.sweeps) == floor.said(OrderAbsent)[0].sweeps == 3


def test_the_bound_is_by_the_clock_of_the_exchange() -> None:
    """Our clock is 20 s ahead: by it the bound would be over 20 s too early."""
    floor = Floor()
    floor.offset_ns = -20 * SECOND
    floor.open_up()
    floor.lose(WANTED)
    floor.wait(1)
    took_s = until_absent(floor, 200)
    assert took_s is not None
    assert took_s - 20 >= 70


def test_a_sweep_begun_without_a_clock_proves_nothing() -> None:
    floor = in_doubt()
    floor.mute = (ReadTime,)
    floor.desk.clock = None
    assert until_absent(floor, 300) is None


def test_a_sweep_reads_one_thing_after_another_has_come_back() -> None:
    """Each read is asked for by the answer before it, and one asked for earlier does not do."""
    floor = in_doubt()
    floor.mute = (ReadOpenOrders, ReadAllOrders, ReadFills, ReadBalances)
    floor.wait(10)
    pair, since_ms = WANTED.pair, floor.order(WANTED).stamp_ms - 60_000
    balances = tuple(floor.balances)

    def next_after(kind: type, **fields: object) -> list[object]:
        floor.now_ns += 1_000
        asked_ns = floor.desk.hunts[pair].stage_ns
        floor.drop()
        floor.hear(kind(asked_ns=asked_ns - 1, **fields))
        assert not floor.asked
        floor.hear(kind(asked_ns=asked_ns, **fields))
        return list(floor.asked)

    assert next_after(OpenOrdersRead, pair=pair, orders=()) == [ReadAllOrders(pair, OrderId(0))]
    found = next_after(AllOrdersRead, pair=pair, orders=(), is_complete=True)
    assert found == [ReadFills(since_ms, is_settling=True)]
    assert next_after(FillsRead, order_id=None, fills=()) == [ReadBalances(is_settling=True)]
    assert next_after(BalancesRead, balances=balances) == [ReadBalances(is_settling=True)]
    assert next_after(BalancesRead, balances=balances) == []
    assert not floor.desk.hunts


def test_reads_that_were_asked_before_the_sweep_do_not_count() -> None:
    floor = in_doubt()
    floor.mute = (ReadOpenOrders, ReadAllOrders, ReadFills, ReadBalances)
    floor.wait(10)
    began = floor.desk.hunts[WANTED.pair].stage_ns
    floor.drop()
    floor.hear(OpenOrdersRead(pair=WANTED.pair, orders=(), asked_ns=began - 1))
    floor.hear(OpenOrdersRead(pair=ETHTRY, orders=(), asked_ns=began + 1))
    floor.hear(FillsRead(order_id=None, fills=(), asked_ns=began + 1))
    assert not floor.wanted(ReadAllOrders)


@pytest.mark.parametrize("kind", [ReadOpenOrders, ReadAllOrders, ReadFills, ReadBalances])
def test_without_one_of_its_reads_nothing_is_proven(kind: type) -> None:
    floor = in_doubt()
    floor.mute = (kind,)
    assert until_absent(floor, 300) is None
    floor.mute = ()
    assert until_absent(floor, 60) is not None  # It goes on when the answers do.


def test_an_incomplete_history_proves_nothing() -> None:
    floor = in_doubt()
    floor.is_complete = False
    assert until_absent(floor, 300) is None


@pytest.mark.parametrize("sign", [1, -1])
def test_money_that_is_held_for_nobody_knows_what_proves_the_order_may_live(sign: int) -> None:
    floor = in_doubt()
    floor.move(TRY, Decimal(0), Decimal(sign) * -10)
    assert until_absent(floor, 300) is None
    floor.release()
    assert until_absent(floor, 60) is not None


def test_money_that_moved_proves_the_order_may_have_filled() -> None:
    floor = in_doubt()
    floor.move(BTC, Decimal("0.001"), Decimal("0.001"))
    assert until_absent(floor, 300) is None


def test_what_other_orders_hold_is_known() -> None:
    floor = ready()
    floor.place(intent(2, limit_price="2480000"), 7)
    floor.place(intent(3, side=Side.SELL, limit_price="2510000"), 8)
    floor.lose(WANTED)
    theirs = intent(4, quantity="0.01")
    floor.open.append(listed(9, quantity="0.01", left="0.01"))
    floor.hold(theirs)
    assert until_absent(floor, 120) is not None


@pytest.mark.parametrize(
    ("row", "is_like"),
    [
        (listed(9), True),
        (listed(9, client_id=""), True),
        (listed(9, quantity="0.002", left="0.002"), False),
        (listed(9, price="2480000"), False),
        (listed(9, status="Canceled"), True),
    ],
)
def test_a_stranger_that_looks_like_the_order_may_be_it(row: object, is_like: bool) -> None:
    floor = in_doubt()
    assert isinstance(row, type(listed(1)))
    if row.is_open:
        floor.open.append(row)
        floor.hold(intent(4, quantity=row.quantity, limit_price=row.price))
    else:
        floor.ended.append(row)
    assert (until_absent(floor, 150) is None) is is_like


def test_a_stranger_from_before_the_order_cannot_be_it() -> None:
    floor = ready()
    floor.open.append(listed(9))
    floor.hold(WANTED)
    floor.wait(61)
    floor.lose(WANTED)
    assert until_absent(floor, 150) is not None


def test_nothing_touches_the_money_while_it_is_a_witness() -> None:
    floor = in_doubt()
    floor.mute = (ReadFills,)
    while not floor.desk.hunts or not floor.desk.hunts[WANTED.pair].holds:
        floor.wait(0.5)
        assert seconds(floor) < 120
    floor.desk.trading = TradingState.LIVE

    verdict = floor.approve(intent(2, pair=ETHTRY))
    assert verdict.rule is Rule.PAIR_FROZEN
    assert "sweep" in verdict.detail

    floor.mute = ()
    while floor.desk.hunts:
        floor.wait(0.5)
    floor.desk.trading = TradingState.LIVE
    assert floor.approve(intent(3, pair=ETHTRY)).rule is None


def test_a_sweep_that_counts_no_money_yet_keeps_none_still() -> None:
    floor = in_doubt()
    floor.mute = (ReadOpenOrders, ReadAllOrders)
    while not floor.desk.hunts:
        floor.wait(0.5)
        assert seconds(floor) < 120
    assert not floor.desk.hunts[WANTED.pair].holds
    floor.desk.trading = TradingState.LIVE

    assert floor.approve(intent(2, pair=ETHTRY)).rule is None


def test_sweeps_are_counted_again_after_a_restart() -> None:
    floor = in_doubt()
    while len(floor.order(WANTED).sweeps) < 2:
        floor.wait(0.5)
    floor.restart().open_up()
    assert floor.order(WANTED).sweeps == ()
    assert until_absent(floor, 60) is not None


def test_found_after_two_sweeps_is_found() -> None:
    floor = in_doubt()
    while len(floor.order(WANTED).sweeps) < 2:
        floor.wait(0.5)
    floor.open.append(listed(7, WANTED))
    floor.hold(WANTED)
    floor.wait(30)
    assert floor.state(WANTED) is S.OPEN


# --- doubt --------------------------------------------------------------------------------------


def test_three_orders_in_doubt_allow_no_new_risk() -> None:
    floor = ready()
    floor.lose(intent(1))
    floor.lose(intent(2, pair=ETHTRY))
    floor.wait(1)
    assert floor.is_in(TradingState.LIVE)
    floor.lose(intent(3, side=Side.SELL, limit_price="2510000"))
    floor.wait(1)
    assert floor.is_in(TradingState.REDUCE)
    floor.wait(10)
    assert len(floor.said(Discrepancy)) == 1


def test_an_order_in_doubt_for_a_minute_allows_no_new_risk() -> None:
    floor = ready(bounds=OrderBounds(absence_wait_s=900))
    floor.lose(WANTED)
    floor.wait(59)
    assert floor.is_in(TradingState.LIVE)
    floor.wait(2)
    assert floor.is_in(TradingState.REDUCE)
    floor.wait(60)
    assert len(floor.said(Discrepancy)) == 1


def test_doubt_loosens_nothing() -> None:
    floor = ready(bounds=OrderBounds(absence_wait_s=900))
    floor.lose(WANTED)
    floor.command(TradingState.PAUSED, "p")
    floor.wait(70)
    assert floor.is_in(TradingState.PAUSED)


# --- expiry and cancels -------------------------------------------------------------------------


def cancels(floor: Floor, seconds_: float) -> list[float]:
    """Wait, and return when each DELETE went, in seconds from now."""
    began, found = floor.now_ns, []
    while floor.now_ns < began + seconds_ * SECOND:
        before = len(floor.wanted(Cancel))
        floor.wait(0.5)
        found += [(floor.now_ns - began) / SECOND] * (len(floor.wanted(Cancel)) - before)
    return found


def test_an_order_is_cancelled_when_its_time_is_over() -> None:
    floor = ready()
    short = intent(expires_ns=floor.now_ns + 10 * SECOND)
    floor.place(short, 7)
    floor.wait(9)
    assert not floor.said(OrderCancelRequested)
    floor.wait(2)
    [asked] = floor.said(OrderCancelRequested)
    assert (asked.by, asked.reason) == ("execution", "expired")
    assert floor.state(short) is S.CANCEL_REQ


@pytest.mark.parametrize(
    ("side", "price", "near", "far"),
    [
        (Side.BUY, "2490000", "2515000", "2516000"),  # 99 and 103 bps of the middle.
        (Side.SELL, "2510000", "2485200", "2484000"),
    ],
)
def test_an_order_that_the_market_leaves_behind_is_cancelled_and_its_slot_free_when_it_is_gone(
    side: Side, price: str, near: str, far: str
) -> None:
    floor = ready(bounds=OrderBounds(drift_max_bps=100))
    resting = intent(side=side, limit_price=price)
    floor.place(resting, 7)
    floor.bid = floor.ask = Price(Decimal(near))
    floor.wait(3)
    assert not floor.said(OrderCancelRequested)

    floor.bid = floor.ask = Price(Decimal(far))
    floor.wait(1)
    [asked] = floor.said(OrderCancelRequested)
    assert asked.by == "execution"
    assert asked.reason.endswith("bps from the middle, allowed are 100")
    assert Cancel(OrderId(7)) in floor.asked
    again = intent(2, slot=resting.slot, side=side, limit_price=price)
    assert floor.approve(again).rule is Rule.DUPLICATE_SLOT  # Not before it is proven gone.


def test_an_old_price_moves_no_order_and_one_in_doubt_is_not_moved() -> None:
    floor = ready(bounds=OrderBounds(drift_max_bps=100))
    floor.place(WANTED, 7)
    doubted = intent(2)
    floor.lose(doubted)
    floor.price(Price(Decimal(2_600_000)), Price(Decimal(2_600_010)))
    floor.is_priced = False
    floor.now_ns += 6 * SECOND
    floor.hear(Woken(name="tick", due_ns=floor.now_ns))
    assert not floor.said(OrderCancelRequested)

    floor.bid = floor.ask = Price(Decimal(2_600_000))
    floor.is_priced = True
    floor.wait(1)
    [asked] = floor.said(OrderCancelRequested)
    assert asked.intent_id == WANTED.intent_id


def test_a_cancel_is_repeated_until_the_order_is_gone() -> None:
    floor = ready()
    floor.place(intent(expires_ns=floor.now_ns + SECOND // 10), 7)
    times = cancels(floor, 40)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(gaps) >= 4
    for gap, wanted in zip(gaps, [2, 5, 10, 10], strict=False):
        assert wanted - 0.1 <= gap <= wanted + 0.6


def test_an_order_in_doubt_is_cancelled_once_it_is_found_also_in_another_life() -> None:
    floor = ready()
    short = intent(expires_ns=floor.now_ns + SECOND)
    floor.lose(short)
    floor.wait(2)
    assert floor.said(OrderCancelRequested)
    assert not floor.wanted(Cancel)  # It has no id yet.

    floor.restart().open_up()
    floor.reply(short, Outcome.ACKED, order_id=OrderId(7))
    assert floor.state(short) is S.CANCEL_REQ
    floor.restart().open_up()

    assert floor.state(short) is S.CANCEL_REQ
    assert Cancel(OrderId(7)) in floor.asked


def test_no_more_than_ten_cancels_are_asked_for_in_a_second() -> None:
    floor = ready(gate=replace(GATE, open_orders_max=20))
    for number in range(1, 16):
        floor.place(
            intent(number, quantity="0.0001", expires_ns=floor.now_ns + SECOND), 10 + number
        )
    times = cancels(floor, 4)
    assert len({c.order_id for c in floor.wanted(Cancel)}) == 15
    assert all(sum(1 for t in times if s <= t < s + 1) <= 10 for s in range(4))


# --- reads --------------------------------------------------------------------------------------


def test_a_read_that_failed_goes_again_in_two_seconds() -> None:
    floor = ready()
    floor.wait(2)
    floor.mute = (ReadBalances,)
    while not floor.wanted(ReadBalances):
        floor.wait(0.5)
    failed_ns = floor.now_ns
    floor.hear(ReadFailed(what="balances", detail="HTTP 503"))
    floor.drop()
    while not floor.wanted(ReadBalances):
        floor.wait(0.5)
    assert 1.9 <= (floor.now_ns - failed_ns) / SECOND <= 2.6


def test_a_read_that_failed_is_the_trouble_until_that_very_read_comes_back() -> None:
    floor = ready()
    floor.wait(2)
    floor.mute = (ReadBalances,)
    floor.hear(ReadFailed(what="balances", detail="HTTP 503"))
    floor.wait(60)
    assert floor.desk.trouble == "balances: HTTP 503", "other reads came back, this one did not"
    floor.mute = ()
    floor.drop()
    floor.wait(60)
    assert floor.desk.trouble == ""


def test_a_read_without_an_answer_goes_again_in_twelve_seconds() -> None:
    floor = ready()
    floor.mute = (ReadBalances,)
    while not floor.wanted(ReadBalances):
        floor.wait(0.5)
    asked_ns = floor.now_ns
    floor.drop()
    floor.wait(9)
    assert not floor.wanted(ReadBalances)
    while not floor.wanted(ReadBalances):
        floor.wait(0.5)
    assert (floor.now_ns - asked_ns) / SECOND <= 14


def test_trades_are_read_more_often_while_an_order_is_live() -> None:
    floor = ready()
    floor.wait(60)
    idle = len(floor.wanted(ReadFills))
    floor.place(WANTED, 7)
    floor.drop()
    floor.wait(60)
    assert idle <= 3
    assert len(floor.wanted(ReadFills)) >= 25


# --- a key that is refused ----------------------------------------------------------------------


def refused(floor: Floor, times: int) -> None:
    for _ in range(times):
        floor.hear(ReadFailed(what="fills", detail="HTTP 401", is_unauthorised=True))


def test_three_refusals_of_the_key_pause_trading_and_leave_a_probe_now_and_then() -> None:
    floor = ready()
    floor.place(WANTED, 7)
    refused(floor, 2)
    floor.hear(ReadFailed(what="fills", detail="time-out"))  # Says nothing of the key.
    assert not floor.desk.is_blind
    refused(floor, 1)
    floor.mute = (ReadBalances,)
    floor.drop()
    floor.wait(121)

    assert floor.is_in(TradingState.PAUSED)
    private = [e for e in floor.asked if not isinstance(e, ReadTime)]
    assert private == [ReadBalances()] * 13  # At once, then every 10 s; one a minute gets through.
    assert floor.wanted(ReadTime)  # A wrong clock is one reason, and asking for it is public.


def test_a_refusal_of_the_key_has_the_clock_read_at_once() -> None:
    floor = ready()
    floor.wait(2)
    floor.drop()
    refused(floor, 1)
    floor.wait(0.5)
    assert floor.wanted(ReadTime)


def test_the_public_clock_is_no_proof_of_the_key() -> None:
    floor = ready()
    refused(floor, 3)
    floor.hear(TimeRead(offset_ns=0, error_ns=0))
    assert floor.desk.is_blind


def test_a_kill_while_the_key_is_refused_is_carried_out_when_it_is_taken_again() -> None:
    floor = ready()
    floor.place(WANTED, 7)
    refused(floor, 3)
    floor.mute = (ReadBalances,)
    floor.wait(1)
    floor.command(TradingState.KILLED, "k")
    floor.wait(30)
    assert not floor.wanted(Cancel)
    floor.mute = ()
    floor.wait(60)
    assert Cancel(OrderId(7)) in floor.asked
    assert floor.is_in(TradingState.KILLED)


# --- frozen, or the clock was set ---------------------------------------------------------------


@pytest.mark.parametrize("jump_s", [5, -5, 1_800])
def test_a_tick_out_of_time_blocks_sending_until_the_clock_is_measured(jump_s: int) -> None:
    floor = ready()
    floor.mute = (ReadTime,)
    floor.drop()
    due_ns = floor.now_ns
    floor.now_ns += jump_s * SECOND
    floor.price()
    floor.hear(Woken(name="tick", due_ns=due_ns))

    assert ReadTime() in floor.asked
    assert floor.approve(WANTED).rule is Rule.CLOCK
    floor.hear(TimeRead(offset_ns=0, error_ns=0))
    assert floor.approve(intent(2)).rule is None


def test_a_trade_seen_by_a_sweep_is_no_absence() -> None:
    floor = in_doubt()
    floor.wait(66)
    floor.trades.append(trade(1, 7, WANTED))
    floor.move(BTC, Decimal("0.001"), Decimal("0.001"))
    floor.move(TRY, Decimal(-2490), Decimal(-2490))
    floor.wait(30)
    assert floor.state(WANTED) is S.OPEN
    assert floor.order(WANTED).filled == WANTED.quantity
