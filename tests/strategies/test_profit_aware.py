"""profit_aware: buys dips, sells when something is left after all fees, or stops out."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from btcbot.domain.instruments import FEES_TRY
from btcbot.domain.messages import BookTop
from btcbot.domain.money import BPS_IN_ONE
from btcbot.domain.words import Side
from btcbot.strategies.contract import Holding, MarketView, Want, gain
from btcbot.strategies.profit_aware import Params, State, decide, start
from tests.strategies.views import BTCTRY, RULES, SECOND, START_NS, top, view

PARAMS = Params(
    order_notional=Decimal(1_000), position_notional_max=Decimal(3_000), entry_dip_bps=50.0,
    profit_bps=20.0, stop_loss_bps=100.0, anchor_s=1_000_000 / 12, warm_up_s=10.0, cross_bps=10.0,
    rest_s=5.0, sell_share=1.0,
)  # fmt: skip
CALM = top("1000000", "1000000")
DIP = top("994900", "995000")  # 50.5 bps under.


def warm() -> State:
    """Return a state whose anchor is at 1,000,000 and warm."""
    state, wants = decide(start(PARAMS), PARAMS, view(), CALM, START_NS)
    assert wants == ()
    return state


def wanted(
    at: MarketView, quote: BookTop, params: Params = PARAMS, after_s: float = 10
) -> list[Want]:
    _, wants = decide(warm(), params, at, quote, START_NS + round(after_s * SECOND))
    return list(wants)


def test_it_buys_a_dip_for_its_notional_reaching_across_the_spread() -> None:
    [want] = wanted(view(), DIP)
    assert want.side is Side.BUY
    assert want.limit_price == 996_000  # The ask and 10 bps, up to the next tick of 10: 995,995.
    assert want.quantity == RULES.quantity_down(Decimal(1_000) / 996_000)
    assert want.quantity * want.limit_price <= 1_000
    assert want.life_ns == 10 * SECOND
    assert "bps under the anchor" in want.reason


@pytest.mark.parametrize(
    ("why", "at", "quote", "after_s"),
    [
        ("not deep enough", view(), top("995000", "995100"), 10),
        ("not warm", view(), DIP, 9.999),
        ("a buy is live", view("0", "0", "buy"), DIP, 10),
        ("no rules", MarketView(fees={BTCTRY: FEES_TRY}), DIP, 10),
        ("no room for the least order", view("0.0029001", "1000000"), DIP, 10),
    ],
)
def test_it_waits_otherwise(why: str, at: MarketView, quote: BookTop, after_s: float) -> None:
    assert wanted(at, quote, after_s=after_s) == [], why


def test_it_buys_no_more_than_there_is_room_for() -> None:
    [want] = wanted(view("0.0025", "1000000"), DIP)
    assert want.side is Side.BUY
    assert Decimal(499) < want.quantity * want.limit_price <= 500


def test_it_rests_between_two_buys() -> None:
    at = view()
    state, [_] = decide(warm(), PARAMS, at, DIP, START_NS + 10 * SECOND)
    state, wants = decide(state, PARAMS, at, DIP, START_NS + 15 * SECOND - 1)
    assert wants == ()
    _, wants = decide(state, PARAMS, at, DIP, START_NS + 15 * SECOND)
    assert len(wants) == 1


# --- out again --------------------------------------------------------------------------------

HELD = "0.001"


def bid_for(gain_bps: float, cost: str = "1000000") -> Decimal:
    """Return the bid at which a sale leaves `gain_bps` over `cost` after the taker's fee."""
    kept = 1 - FEES_TRY.taker_bps / BPS_IN_ONE
    return Decimal(cost) * (1 + Decimal(str(gain_bps)) / BPS_IN_ONE) / kept


@pytest.mark.parametrize(
    ("gain_bps", "reason"),
    [(19.99, ""), (20.01, "profit"), (500, "profit"), (-99.99, ""), (-100.01, "stop loss"),
     (0, ""), (-5_000, "stop loss")],
)  # fmt: skip
def test_it_sells_by_what_is_left_after_all_fees(gain_bps: float, reason: str) -> None:
    bid = bid_for(gain_bps)
    wants = wanted(view(HELD, "1000000"), top(str(bid), str(bid + 10)), after_s=1)
    assert len(wants) == bool(reason)
    for want in wants:
        assert want.side is Side.SELL
        assert want.quantity == Decimal(HELD)
        assert want.reason.startswith(reason)
        assert bid * Decimal("0.999") - 10 < want.limit_price <= bid * Decimal("0.999")


def test_with_a_profit_it_sells_its_share_and_all_where_the_rest_would_be_dust() -> None:
    quarter = replace(PARAMS, sell_share=0.25)
    bid = top("1100000", "1100010")
    [part] = wanted(view("0.001", "1000000"), bid, quarter, after_s=1)
    [whole] = wanted(view("0.0002", "1000000"), bid, quarter, after_s=1)
    assert (part.quantity, whole.quantity) == (Decimal("0.00025"), Decimal("0.0002"))


def test_a_profit_that_stays_sells_one_share_after_a_rest_and_a_stop_loss_waits_for_nothing() -> (
    None
):
    quarter, rich = replace(PARAMS, sell_share=0.25), top("1100000", "1100010")
    at = view("0.001", "1000000")
    state, [_] = decide(warm(), quarter, at, rich, START_NS + SECOND)

    _, early = decide(state, quarter, at, rich, START_NS + 6 * SECOND - 1)
    _, [again] = decide(state, quarter, at, rich, START_NS + 6 * SECOND)
    _, [stop] = decide(state, quarter, at, top("900000", "900010"), START_NS + SECOND + 1)
    _, [set_back] = decide(state, quarter, at, rich, START_NS)

    assert early == ()
    assert again.quantity == set_back.quantity == Decimal("0.00025")
    assert stop.quantity == Decimal("0.001")


def test_a_stop_loss_sells_everything_whatever_the_share() -> None:
    quarter = replace(PARAMS, sell_share=0.25)
    [want] = wanted(view(HELD, "1000000"), top("900000", "900010"), quarter, after_s=1)
    assert want.quantity == Decimal(HELD)


@pytest.mark.parametrize(("spread_max_bps", "buys"), [(1_000.0, True), (0.05, False)])
def test_it_buys_within_its_spread_only(spread_max_bps: float, buys: bool) -> None:
    params = replace(PARAMS, spread_max_bps=spread_max_bps)
    assert bool(wanted(view(), DIP, params)) is buys


def test_a_price_above_cost_that_only_pays_the_fee_is_no_profit() -> None:
    bid = top("1002000", "1002010")  # 20 bps over cost, and the fee takes 24.
    params = replace(PARAMS, profit_bps=0.0)
    assert wanted(view(HELD, "1000000"), bid, params, after_s=1) == []


def test_the_gain_is_of_the_bid_after_the_takers_fee_over_the_average_cost() -> None:
    held = Holding(Decimal(1), Decimal(1_000_000))
    assert gain(held, top("1000000", "1000010"), Decimal(24)) == pytest.approx(-24)
    assert gain(held, top("1010000", "1010010"), Decimal(0)) == pytest.approx(100)


@given(
    cost=st.integers(100_000, 10_000_000), bid=st.integers(100_000, 10_000_000),
    profit=st.floats(0, 500), fee_bps=st.integers(0, 100),
)  # fmt: skip
def test_no_sale_for_profit_brings_less_than_what_was_paid(
    cost: int, bid: int, profit: float, fee_bps: int
) -> None:
    at = view(HELD, str(cost))
    at.fees = {BTCTRY: replace(FEES_TRY, taker_bps=Decimal(fee_bps))}
    params = replace(PARAMS, profit_bps=profit, stop_loss_bps=10_000.0, cross_bps=0.0)
    for want in wanted(at, top(str(bid), str(bid + 1)), params, after_s=1):
        proceeds = want.quantity * bid * (1 - Decimal(fee_bps) / BPS_IN_ONE)
        assert proceeds >= Decimal(HELD) * cost


def test_nothing_is_sold_twice_or_without_rules_or_too_small_to_sell() -> None:
    rich = top("2000000", "2000010")
    assert wanted(view(HELD, "1000000", "sell"), rich, after_s=1) == []
    assert wanted(view("0.00004", "1000000"), rich, after_s=1) == []
    bare = view(HELD, "1000000")
    bare.rules = {}
    assert wanted(bare, rich, after_s=1) == []


def test_getting_out_goes_before_getting_in() -> None:
    deep = top("900000", "900010")
    [want] = wanted(view(HELD, "1000000"), deep)
    assert want.side is Side.SELL


# --- the anchor -------------------------------------------------------------------------------


def test_the_anchor_follows_the_middle_by_the_time_that_passed() -> None:
    params = replace(PARAMS, anchor_s=10.0)
    state, _ = decide(start(params), params, view(), CALM, START_NS)
    state, _ = decide(state, params, view(), top("2000000", "2000000"), START_NS + 10 * SECOND)
    assert state.anchors[BTCTRY].value == pytest.approx(1_000_000 + 632_121, rel=1e-6)


def test_a_clock_that_is_set_back_moves_nothing() -> None:
    params = replace(PARAMS, anchor_s=1.0)
    state, _ = decide(start(params), params, view(), CALM, START_NS)
    state, _ = decide(state, params, view(), top("2000000", "2000000"), START_NS - 86_400 * SECOND)
    assert state.anchors[BTCTRY].value == 1_000_000


def test_equal_arguments_give_equal_wishes_and_leave_the_state_alone() -> None:
    state, at = warm(), view()
    before = dict(state.anchors)
    one = decide(state, PARAMS, at, DIP, START_NS + 10 * SECOND)
    assert one == decide(state, PARAMS, at, DIP, START_NS + 10 * SECOND)
    assert state.anchors == before
