"""Several pairs in one backtest: one market in one order, one account, one gate."""

from decimal import Decimal

import pytest

from btcbot import backtest
from btcbot.backtest import Plan, Result, Stage
from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import DOCUMENTED
from btcbot.domain.messages import AccountSnapshot, BookTop
from btcbot.domain.money import Price, Quantity
from btcbot.domain.recorded import Quoted
from btcbot.strategies.profit_aware import DEMO
from tests.builders import START_NS
from tests.stages import market

SECOND_NS = 1_000_000_000
BTC, ETH, USDT = Pair("BTCTRY"), Pair("ETHTRY"), Pair("USDTTRY")
DOLLARS = Pair("BTCUSDT")


def plan(*others: Pair, pair: Pair = BTC, has_codec: bool = False) -> Plan:
    return Plan(
        strategy="profit_aware",
        params=DEMO,
        pair=pair,
        others=tuple(DOCUMENTED[other] for other in others),
        has_codec=has_codec,
    )


def played(*, has_codec: bool = False, seconds: int = 180) -> tuple[Result, Stage]:
    recordings = {BTC: market(seconds, 3, BTC), ETH: market(seconds, 4, ETH)}
    return backtest.run_all(plan(ETH, has_codec=has_codec), recordings, keeps_log=True)


def quote(at_s: float, bid: str, ask: str) -> Quoted:
    size = Quantity(Decimal(1))
    at_ns = START_NS + round(at_s * SECOND_NS)
    return Quoted(at_ns, Price(Decimal(bid)), size, Price(Decimal(ask)), size)


def test_two_pairs_trade_on_one_account_that_adds_up() -> None:
    result, stage = played()

    assert {row["pair"] for row in result.fills} == {BTC, ETH}
    fees = stage.plan.fees[Asset("TRY")]
    assert fees.taker_bps > 0
    cash, held = backtest.BALANCES[Asset("TRY")], {BTC: Decimal(0), ETH: Decimal(0)}
    for row in result.fills:
        sign = 1 if row["side"] == "buy" else -1
        charges = Decimal(row["fee"]) + Decimal(row["tax"])
        cash -= sign * Decimal(row["price"]) * Decimal(row["quantity"]) + charges
        held[Pair(row["pair"])] += sign * Decimal(row["quantity"])
    assert result.balances[Asset("TRY")] == cash
    assert result.balances[Asset("BTC")] == held[BTC]
    assert result.balances[Asset("ETH")] == held[ETH]


def test_what_happens_at_one_moment_happens_by_the_names_of_the_pairs() -> None:
    stage = Stage(plan(ETH), START_NS, keeps_log=True)
    stage.play_all(
        {
            ETH: [quote(1, "150000", "150001"), quote(3, "150000", "150001")],
            BTC: [quote(1, "4000000", "4000010"), quote(2, "4000000", "4000010")],
        }
    )
    told = [top for top in stage.bus.heard(BookTop) if top.changed_ns == top.confirmed_ns]

    first = [(top.pair, (top.changed_ns - START_NS) // SECOND_NS) for top in told]
    assert list(dict.fromkeys(first))[:4] == [(BTC, 1), (ETH, 1), (BTC, 2), (ETH, 3)]


@pytest.mark.parametrize("has_codec", [False, True])
def test_a_run_of_two_pairs_again_is_the_same_run(*, has_codec: bool) -> None:
    one, again = played(seconds=60)[0], played(seconds=60, has_codec=has_codec)[0]

    assert one.orders
    assert (one.orders, one.fills, one.equity) == (again.orders, again.fills, again.equity)
    assert one.minutes == again.minutes


def test_a_recording_that_ends_does_not_keep_the_other_pair_from_trading() -> None:
    seconds, silent_s = 240, 60
    recordings = {BTC: market(seconds, 3, BTC), ETH: market(silent_s, 4, ETH)}
    result, _ = backtest.run_all(plan(ETH), recordings)
    ends_ns = START_NS + silent_s * SECOND_NS

    late = {row["pair"] for row in result.orders if row["decided_ns"] > ends_ns + 6 * SECOND_NS}
    assert BTC in late
    assert any(row["pair"] == ETH for row in result.orders)


def test_dollars_are_worth_what_is_played_and_nothing_is_known_before_that() -> None:
    recordings = {
        DOLLARS: iter([quote(n, "88000", "88001") for n in range(1, 12)]),
        USDT: iter([quote(n, "50.000", "50.002") for n in range(6, 12)]),
    }
    _, stage = backtest.run_all(plan(USDT, pair=DOLLARS), recordings, keeps_log=True)

    told = [(said.at_ns, said.equity) for said in stage.bus.heard(AccountSnapshot)]
    begins_ns = START_NS + 6 * SECOND_NS
    assert {equity for at_ns, equity in told if at_ns < begins_ns} == {None}
    [equity] = {equity for at_ns, equity in told if at_ns > begins_ns + 2 * SECOND_NS}
    assert equity is not None
    worth = (equity - backtest.BALANCES[Asset("TRY")]) / backtest.BALANCES[Asset("USDT")]
    assert Decimal("50.000") <= worth <= Decimal("50.002")
