"""The hard gate and the books at their edges: what a fault in one operator would let through."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from btcbot.domain.ids import Asset, OrderId, Pair
from btcbot.domain.instruments import default_fees
from btcbot.domain.money import Price
from btcbot.domain.venue import BalancesRead, ConnectionsIdle, FillsRead
from btcbot.domain.words import Rule, Side
from btcbot.orders.settle import differences
from tests.orders.desks import BTC, BTCTRY, ETHTRY, GATE, TRY, Floor, intent, ready, row

USDT, BTCUSDT, USDTTRY = Asset("USDT"), Pair("BTCUSDT"), Pair("USDTTRY")
FEES = {asset: default_fees(asset) for asset in (TRY, USDT)}
MOST = GATE.position_notional_max_try


def in_usdt(usdt_in_try: int = 1) -> Floor:
    """Return a floor that trades BTCUSDT, with a USDT worth `usdt_in_try` TRY."""
    floor = ready(pairs=(BTCUSDT, USDTTRY), fees=FEES)
    price = Price(Decimal(usdt_in_try))
    floor.desk.marks[USDTTRY] = replace(floor.desk.marks[USDTTRY], bid=price, ask=price)
    return floor


@pytest.mark.parametrize(("short", "rule"), [("0", None), ("0.00000001", Rule.CASH_RESERVE)])
def test_the_reserve_of_try_is_none_of_another_quote(short: str, rule: Rule | None) -> None:
    floor = in_usdt()
    needed = Decimal(2_490) * (1 + FEES[USDT].taker_bps / 10_000)
    floor.desk.ledger[USDT] = needed - Decimal(short)
    assert floor.approve(intent(1, pair=BTCUSDT)).rule is rule


def test_what_the_books_do_not_have_is_nothing() -> None:
    floor = ready()
    del floor.desk.ledger[BTC]
    selling = intent(1, side=Side.SELL, limit_price=2_500_010)
    assert floor.approve(selling).rule is Rule.NOT_ENOUGH_BASE


@pytest.mark.parametrize(("more", "rule"), [("0", None), ("0.00000001", Rule.POSITION_NOTIONAL)])
def test_a_position_may_reach_its_limit_and_no_further(more: str, rule: Rule | None) -> None:
    floor = ready()
    ask = floor.desk.marks[BTCTRY].ask
    # An intent at the ask: what is held and what is wanted are valued alike.
    wanted = intent(1, quantity="0.001", limit_price=ask)
    floor.desk.positions[BTCTRY] = (MOST / ask).quantize(Decimal("1e-8")) - Decimal("0.001")
    worth = (floor.desk.positions[BTCTRY] + Decimal("0.001")) * ask
    gate = replace(GATE, position_notional_max_try=worth - Decimal(more))
    floor.desk.setup = replace(floor.desk.setup, gate=gate)
    assert floor.approve(wanted).rule is rule


def test_a_position_in_usdt_is_valued_in_try() -> None:
    floor = in_usdt(usdt_in_try=40)
    floor.desk.ledger[USDT] = Decimal(10_000)
    floor.desk.positions[BTCUSDT] = Decimal("0.00016")  # 400 USDT, 16,000 TRY.
    wanted = intent(1, pair=BTCUSDT, quantity="0.00005")  # 124.5 USDT, 4,980 TRY.
    assert floor.approve(wanted).rule is Rule.POSITION_NOTIONAL


def test_buys_of_another_pair_are_none_of_this_ones_position() -> None:
    floor = ready()
    floor.place(intent(9, pair=ETHTRY, quantity="0.002"), 90)
    floor.hear(ConnectionsIdle(count=4))
    ask = floor.desk.marks[BTCTRY].ask
    gate = replace(GATE, position_notional_max_try=Decimal("0.001") * ask)
    floor.desk.setup = replace(floor.desk.setup, gate=gate)
    assert floor.approve(intent(1)).rule is None


def test_an_order_of_just_the_exchanges_minimum_goes() -> None:
    floor = ready()
    rules = floor.desk.rules[BTCTRY]
    wanted = intent(1)
    floor.desk.rules[BTCTRY] = replace(rules, notional_min=wanted.quantity * wanted.limit_price)
    assert floor.approve(wanted).rule is None


def test_a_coin_that_only_one_side_knows_is_a_difference() -> None:
    floor = ready()
    floor.balances.append(row(Asset("XRP"), "5"))
    floor.hear(BalancesRead(balances=tuple(floor.balances), asked_ns=floor.now_ns))
    assert differences(floor.desk) == {Asset("XRP"): Decimal(5)}

    floor.balances = [one for one in floor.balances if one.asset not in ("XRP", "BTC")]
    floor.hear(BalancesRead(balances=tuple(floor.balances), asked_ns=floor.now_ns + 1))
    assert differences(floor.desk) == {BTC: Decimal(-1)}


def test_only_a_read_of_all_fills_says_up_to_when_they_are_known() -> None:
    floor = ready()
    before_ns = floor.desk.fills_read_ns
    later_ns = before_ns + 7
    floor.hear(FillsRead(order_id=OrderId(5), fills=(), asked_ns=later_ns))
    assert floor.desk.fills_read_ns == before_ns
    floor.hear(FillsRead(order_id=None, fills=(), asked_ns=later_ns))
    assert floor.desk.fills_read_ns == later_ns
    floor.hear(FillsRead(order_id=None, fills=(), asked_ns=before_ns))  # Answered late.
    assert floor.desk.fills_read_ns == later_ns


@pytest.mark.parametrize(("more", "rule"), [("0", None), ("0.00000001", Rule.GROSS_EXPOSURE)])
def test_all_pairs_together_may_reach_their_limit_and_no_further(
    more: str, rule: Rule | None
) -> None:
    floor = ready()
    ask = floor.desk.marks[ETHTRY].ask
    floor.place(intent(9, pair=ETHTRY, quantity="0.001"), 90)  # What is being bought counts, too.
    floor.hear(ConnectionsIdle(count=4))
    floor.desk.positions[ETHTRY] = Decimal("0.002")
    worst = Decimal("0.003") * ask + Decimal("0.001") * 2_490_000
    gate = replace(GATE, gross_exposure_max_try=worst - Decimal(more))
    floor.desk.setup = replace(floor.desk.setup, gate=gate)
    assert floor.approve(intent(1)).rule is rule


def test_what_is_held_of_a_pair_without_a_price_lets_nothing_be_bought_and_all_be_sold() -> None:
    floor = ready()
    floor.desk.positions[ETHTRY] = Decimal(1)
    del floor.desk.marks[ETHTRY]
    assert floor.approve(intent(1)).rule is Rule.ACCOUNT_UNKNOWN
    assert floor.approve(intent(2, side=Side.SELL, limit_price=2_500_010)).rule is None
