"""Wishes from money and prices: towards weights, by momentum, from excess cash."""

from decimal import Decimal
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from btcbot.domain.ids import Pair
from btcbot.domain.words import Side, TradingState
from btcbot.portfolio.account import Account, Book
from btcbot.portfolio.budget import PlanLimits
from btcbot.portfolio.plan import Cycle, Plan, plan
from btcbot.portfolio.reasons import Reason
from btcbot.portfolio.rebalance import (
    Proposal,
    RebalanceRules,
    SweepRules,
    by_momentum,
    rebalance,
    sweep,
)
from btcbot.portfolio.targets import equal
from tests.portfolio.accounts import FEES, LIMITS, A, B, C, account, line, ordered
from tests.portfolio.markets import START, D, instrument

AT_MIDDLE = RebalanceRules(offset_bps=D(0))
SWEEP = SweepRules(is_on=True, cash_target=D(300), offset_bps=D(0))


def wished(found: Proposal) -> list[tuple[Pair, Side, Decimal]]:
    return [(wish.pair, wish.side, wish.quantity) for wish in found.wishes]


def idle(found: Proposal) -> list[tuple[Pair | None, Reason]]:
    return [(row.pair, row.reason) for row in found.idle]


def to(*weights: str) -> dict[Pair, Decimal]:
    return {pair: D(weight) for pair, weight in zip((A, B, C), weights, strict=False)}


def executed(on: Account, found: Plan) -> Account:
    """Return the account once every order has filled at its price, without fees."""
    lines, cash = dict(on.lines), on.cash_free
    for order in found.orders:
        sign = 1 if order.side is Side.BUY else -1
        row = lines[order.pair]
        lines[order.pair] = replace(
            row, held=row.held + sign * order.quantity, free=row.free + sign * order.quantity
        )
        cash -= sign * order.quantity * order.limit_price
    return replace(on, cash_free=cash, lines=lines)


def all_of(on: Account, strategy: str) -> tuple[Book, ...]:
    return (Book(strategy=strategy, held={pair: row.held for pair, row in on.lines.items()}),)


def carried_out(on: Account, found: Proposal, limits: PlanLimits = LIMITS) -> Plan:
    books = all_of(on, found.wishes[0].strategy if found.wishes else "rebalance")
    return plan(on, books, found.wishes, limits, Cycle(now_ns=START, trading=TradingState.LIVE))


# --- towards weights ------------------------------------------------------------------------------


def test_wishes_move_each_pair_to_its_part_of_the_capital() -> None:
    on = account(1_300, line("A", held="6", free="6"), line("B", held="1", free="1"))
    found = rebalance(on, to("0.25", "0.5"), replace(LIMITS, cash_reserve=D(300)), AT_MIDDLE)
    # 1,000 + 600 + 100 = 1,700: 425 of A, 850 of B.
    assert wished(found) == [(A, Side.SELL, D("1.75")), (B, Side.BUY, D("7.5"))]


def test_what_is_near_enough_stays() -> None:
    on = account(500, line("A", held="5", free="5"))
    rules = replace(AT_MIDDLE, band=D("0.02"))  # 20 of 1,000.
    assert idle(rebalance(on, to("0.52"), LIMITS, rules)) == [(A, Reason.WITHIN_BAND)]
    assert wished(rebalance(on, to("0.521"), LIMITS, rules)) == [(A, Side.BUY, D("0.21"))]
    assert wished(rebalance(on, to("0.479"), LIMITS, rules)) == [(A, Side.SELL, D("0.21"))]


def test_a_weight_of_zero_sells_what_is_left_whatever_the_band() -> None:
    on = account(9_990, line("A", held="0.1", free="0.1"), line("B", held="9", free="9"))
    found = rebalance(on, to("0"), LIMITS, AT_MIDDLE)
    assert wished(found) == [(A, Side.SELL, D("0.1"))]  # B has no weight: it is left alone.


def test_too_small_a_step_is_left_alone() -> None:
    on = account(500, line("A", held="5", free="5"))
    found = rebalance(on, to("0.55"), replace(LIMITS, notional_min=D("50.01")), AT_MIDDLE)
    assert idle(found) == [(A, Reason.BELOW_MINIMUM)]


def test_a_step_of_the_minimum_is_taken_and_its_order_lives_as_long_as_said() -> None:
    on = account(500, line("A", held="5", free="5"))
    rules = replace(AT_MIDDLE, life_s=7)
    [wish] = rebalance(on, to("0.55"), replace(LIMITS, notional_min=D(50)), rules).wishes
    assert wish.quantity == D("0.5")
    assert wish.life_ns == 7_000_000_000


def test_a_target_is_no_more_than_the_position_cap() -> None:
    found = rebalance(account(1_000), to("1"), replace(LIMITS, position_max=D(400)), AT_MIDDLE)
    assert wished(found) == [(A, Side.BUY, D(4))]


def test_live_orders_count_as_done() -> None:
    on = account(500, line("A", held="5", free="2", buying="300"))
    assert idle(rebalance(on, to("0.5"), LIMITS, AT_MIDDLE)) == [(A, Reason.WITHIN_BAND)]


def test_without_a_price_of_what_is_held_nothing_is_moved() -> None:
    on = account(500, line("A", None, held="5"), line("B", None), line("C"))
    found = rebalance(on, to("0.5", "0.3", "0.2"), LIMITS, AT_MIDDLE)
    assert idle(found) == [(pair, Reason.EXPOSURE_UNKNOWN) for pair in (A, B, C)]
    on = account(500, line("B", None), line("C"))
    found = rebalance(on, to("0.5", "0.3", "0.2"), LIMITS, AT_MIDDLE)
    assert idle(found) == [(A, Reason.UNKNOWN_PAIR), (B, Reason.NO_PRICE)]
    assert [wish.pair for wish in found.wishes] == [C]


def test_orders_stand_on_the_patient_side_of_the_middle() -> None:
    on = account(500, line("A", held="5", free="5"), line("B"))
    found = rebalance(on, to("0", "1"), LIMITS, RebalanceRules(offset_bps=D(5)))
    assert [(wish.side, wish.limit_price) for wish in found.wishes] == [
        (Side.SELL, D("100.05")), (Side.BUY, D("99.95")),
    ]  # fmt: skip


MONEY = st.decimals("0", "5000", places=2)
LINES = st.builds(
    lambda middle, held: (str(middle), str(held)),
    st.decimals("0.5", "500", places=2), st.decimals("0", "20", places=4),
)  # fmt: skip


def _account(cash: Decimal, rows: Any) -> Account:
    return account(str(cash), *(
        line(base, middle, held=held, free=held) for base, (middle, held) in
        zip("ABC", rows, strict=True)
    ))  # fmt: skip


def _gaps(on: Account, weights: dict[Pair, Decimal]) -> list[Decimal]:
    values = {pair: row.value or D(0) for pair, row in on.lines.items()}
    capital = on.cash_free + sum(values.values(), D(0))
    return [abs(weights[pair] * capital - values[pair]) for pair in (A, B, C)]


@settings(max_examples=100, deadline=None)
@example(D("213.45"), (("240.85", "1.4089"), ("0.50", "0"), ("277.86", "1.2561")), [7, 5, 7])
@given(MONEY, st.tuples(LINES, LINES, LINES), st.lists(st.integers(0, 9), min_size=3, max_size=3))
def test_executing_the_plan_moves_weights_toward_targets_sells_first_within_the_caps(
    cash: Decimal, rows: Any, parts: list[int]
) -> None:
    on = _account(cash, rows)
    weights = to(*(str(D(part) / max(sum(parts), 10)) for part in parts))
    limits = replace(LIMITS, cycle_max=D(700), orders_max=2)
    before = _gaps(on, weights)
    for _ in range(3):
        found = carried_out(on, rebalance(on, weights, limits, AT_MIDDLE), limits)
        sides = [order.side for order in found.orders]
        assert sides == sorted(sides, key=lambda side: side is Side.BUY)
        assert len(sides) <= 2
        assert found.spent <= 700
        on = executed(on, found)
        after = _gaps(on, weights)
        # A cent for rounding a price to its tick, times what is traded, is all that may be lost.
        assert all(x <= y + D("0.5") for x, y in zip(after, before, strict=True))
        before = after
    wide = LIMITS  # Once nothing narrows it, two more cycles come within band, step and minimum.
    for _ in range(2):
        on = executed(on, carried_out(on, rebalance(on, weights, wide, AT_MIDDLE), wide))
    capital = on.cash_free + (on.exposure or D(0))
    # A band each: what two pairs keep above their part is missing from what the third may cost.
    assert all(gap <= 3 * D("0.02") * capital + 2 for gap in _gaps(on, weights))


# --- by momentum ----------------------------------------------------------------------------------


def test_the_deploy_budget_is_split_by_positive_scores_under_all_caps() -> None:
    on = account(1_300)
    limits = replace(LIMITS, cash_reserve=D(300), position_max=D(600))
    found = by_momentum(on, {A: D(3), B: D(1), C: D(-1)}, limits, AT_MIDDLE)
    assert wished(found) == [(A, Side.BUY, D("7.5")), (B, Side.BUY, D("2.5"))]
    assert idle(found) == [(C, Reason.BELOW_MINIMUM)]
    done = carried_out(on, found, limits)
    assert ordered(done) == [(A, Side.BUY, D(6)), (B, Side.BUY, D("2.5"))]


def test_half_the_share_is_half_the_budget_and_none_is_none() -> None:
    half, none = (replace(LIMITS, use_share=D(share)) for share in ("0.5", "0"))
    assert wished(by_momentum(account(1_000), {A: D(1)}, half, AT_MIDDLE)) == [(A, Side.BUY, D(5))]
    assert not by_momentum(account(1_000), {A: D(1)}, none, AT_MIDDLE).wishes


# --- sweep ----------------------------------------------------------------------------------------


def test_excess_cash_above_the_target_becomes_patient_buys_or_is_explicitly_off() -> None:
    on = account(1_300, line("A"), line("B"))
    found = sweep(on, (B, A), LIMITS, replace(SWEEP, offset_bps=D(20)))
    assert wished(found) == [(A, Side.BUY, D(5)), (B, Side.BUY, D(5))]
    assert [wish.limit_price for wish in found.wishes] == [D("99.80")] * 2
    off = sweep(on, (B, A), LIMITS, SweepRules())
    assert (off.wishes, idle(off)) == ((), [(None, Reason.SWEEP_OFF)])


def test_no_excess_is_nothing_to_sweep() -> None:
    assert idle(sweep(account(300), (A,), LIMITS, SWEEP)) == [(None, Reason.NOTHING_TO_SWEEP)]
    limits = replace(LIMITS, cash_reserve=D(1_000))
    assert idle(sweep(account(1_000), (A,), limits, SWEEP)) == [(None, Reason.NOTHING_TO_SWEEP)]


def test_a_sweep_too_small_for_all_pairs_buys_fewer() -> None:
    limits = replace(LIMITS, notional_min=D(60))
    found = sweep(account(400), (A, B), limits, SWEEP)
    assert wished(found) == [(A, Side.BUY, D(1))]
    assert idle(found) == [(B, Reason.BELOW_MINIMUM)]


@settings(max_examples=100, deadline=None)
@given(MONEY, st.tuples(LINES, LINES, LINES), st.decimals("0", "300", places=0),
       st.decimals("0", "100", places=0))  # fmt: skip
def test_what_is_swept_and_its_fees_leave_the_target_and_no_order_is_below_the_minimum(
    cash: Decimal, rows: Any, least: Decimal, offset: Decimal
) -> None:
    on = _account(cash, rows)
    on = replace(on, lines={pair: replace(row, fees=FEES) for pair, row in on.lines.items()})
    limits = replace(LIMITS, notional_min=least)
    found = sweep(on, tuple(on.lines), limits, replace(SWEEP, offset_bps=offset))
    for wish in found.wishes:
        assert wish.quantity * wish.limit_price >= least
    done = carried_out(on, found, limits)
    assert cash - done.spent >= min(D(300), cash)
    assert len(found.wishes) + len(found.idle) == (3 if cash > 300 else 1)


def test_a_budget_of_the_minimum_is_not_lost_to_rounding() -> None:
    """A part is wished only when it stays at the minimum after its tick, its step and its fee."""
    rows = line("A", "97.77", rules=instrument("A"))
    wishes = 0
    for cents in range(40_000, 41_500, 25):
        on = account(str(D(cents) / 100), rows)
        found = sweep(on, (A,), LIMITS, replace(SWEEP, offset_bps=D(20)))
        wishes += len(found.wishes)
        assert len(carried_out(on, found).orders) == len(found.wishes)
    assert wishes > 50


def test_a_part_holds_the_minimum_a_step_for_rounding_and_the_fee() -> None:
    limits = replace(LIMITS, notional_min=D(60))  # 0.6001 of A at 100, and 24 bps: 60.1540...
    on = account("360.16", line("A", fees=FEES))
    assert wished(sweep(on, (A,), limits, SWEEP)) == [(A, Side.BUY, D("0.6001"))]
    assert not sweep(replace(on, cash_free=D("360.15")), (A,), limits, SWEEP).wishes


def test_the_fee_is_taken_from_the_part() -> None:
    on = account("1302.40", line("A", fees=FEES))
    assert wished(sweep(on, (A,), LIMITS, SWEEP)) == [(A, Side.BUY, D(10))]


def test_the_highest_minimum_of_the_pairs_is_the_least_part_of_each() -> None:
    on = account(400, line("A", rules=instrument("A", notional_min=D(60))), line("B"))
    assert wished(sweep(on, (A, B), LIMITS, SWEEP)) == [(A, Side.BUY, D(1))]


def test_a_sweep_leaves_out_what_it_does_not_know_the_price_of() -> None:
    on = account(400, line("A", None), line("B", "0.004"), line("C"))
    found = sweep(on, (A, B, C, Pair("XTRY")), LIMITS, SWEEP)
    assert wished(found) == [(C, Side.BUY, D(1))]
    assert idle(found) == [(pair, Reason.NO_PRICE) for pair in (A, B, "XTRY")]


def test_equal_weights_of_a_universe_make_a_plan_with_room_for_fees() -> None:
    on = account(1_000, *(line(base, fees=FEES) for base in "ABC"))
    found = carried_out(on, rebalance(on, equal((A, B, C)), LIMITS, AT_MIDDLE))
    assert len(found.orders) == 3
    assert found.spent <= 1_000
