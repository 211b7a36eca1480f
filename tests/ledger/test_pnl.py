"""Trading days, the peak of equity, and what things are worth."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from btcbot.domain.facts import Fill
from btcbot.domain.ids import Asset, IntentId, OrderId, Pair, TradeId
from btcbot.domain.messages import AssetBalance, BookTop
from btcbot.domain.money import Amount, Price, Quantity, is_sane
from btcbot.domain.words import Side
from btcbot.ledger.drawdown import Peak
from btcbot.ledger.pnl import DAYS_KEPT, Days, Sums, add, day_ends_ns, day_of, total
from btcbot.ledger.value import equity, fit, mark_of, rate

DAY_NS = 86_400_000_000_000
TRY, BTC, USDT = Asset("TRY"), Asset("BTC"), Asset("USDT")


def ns(utc: str) -> int:
    return int(datetime.fromisoformat(utc + "+00:00").timestamp()) * 10**9


def fill(event_ns: int, **changes: Any) -> Fill:
    one = Fill(
        trade_id=TradeId(1),
        order_id=OrderId(1),
        intent_id=IntentId("i"),
        client_order_id=None,
        pair=Pair("BTCTRY"),
        side=Side.BUY,
        quantity=Quantity(Decimal(2)),
        price=Price(Decimal(50)),
        fee=Amount(Decimal(1)),
        tax=Amount(Decimal("0.5")),
        fee_asset=TRY,
        event_ns=event_ns,
        liquidity=None,
        postings=(),
        at_ns=event_ns,
    )
    return replace(one, **changes)


@pytest.mark.parametrize(
    ("utc", "day"),
    [
        ("2026-11-23T20:59:59", "2026-11-23"),
        ("2026-11-23T21:00:00", "2026-11-24"),
        ("2026-06-30T20:59:59", "2026-06-30"),  # No summer time since 2016.
        ("2026-06-30T21:00:00", "2026-07-01"),
    ],
)
def test_a_trading_day_begins_at_midnight_in_istanbul(utc: str, day: str) -> None:
    assert day_of(ns(utc)) == day


@given(st.integers(0, 4_000_000_000_000_000_000))
def test_a_day_is_not_over_within_the_hour_that_is_looked_at(at_ns: int) -> None:
    ends_ns = day_ends_ns(at_ns)

    assert at_ns < ends_ns <= at_ns + 3_600_000_000_000
    assert day_of(ends_ns - 1) == day_of(at_ns)


def test_a_day_sums_profit_charges_and_turnover_per_quote_asset() -> None:
    now = ns("2026-11-24T12:00:00")

    days = add({}, fill(now), Decimal(3))
    days = add(days, fill(now), Decimal(4))
    days = add(days, fill(now, fee_asset=USDT), Decimal(5))

    assert days == {
        "2026-11-24": {
            TRY: Sums(Decimal(7), Decimal(3), Decimal(200), 2),
            USDT: Sums(Decimal(5), Decimal("1.5"), Decimal(100), 1),
        }
    }


def test_a_fill_that_is_heard_late_counts_for_the_day_it_happened() -> None:
    today = ns("2026-11-24T12:00:00")
    days = add({}, fill(today), Decimal(1))

    days = add(days, fill(today - DAY_NS), Decimal(2))

    assert days["2026-11-23"][TRY].realized == 2
    assert days["2026-11-24"][TRY].realized == 1


def test_only_the_newest_days_are_kept() -> None:
    days: Days = {}
    for number in range(40):
        days = add(days, fill(number * DAY_NS), Decimal(1))

    assert len(days) == DAYS_KEPT
    assert max(days) == day_of(39 * DAY_NS)
    assert day_of(0) not in add(days, fill(0), Decimal(1))  # Too late even for its own day.


def test_sums_are_valued_at_a_rate_and_added() -> None:
    one = Sums(Decimal(2), Decimal(1), Decimal(10), 3)

    assert total([one.times(Decimal(45)), one]) == Sums(Decimal(92), Decimal(46), Decimal(460), 6)


@given(st.lists(st.decimals("0", "1000000", places=2), min_size=1))
def test_drawdown_is_how_far_equity_is_below_its_highest(seen: list[Decimal]) -> None:
    peak = Peak()
    for one in seen:
        peak = peak.seen(one)

    assert peak.equity == max(seen)
    assert peak.drawdown == max(seen) - seen[-1]


def test_a_recalled_peak_says_nothing_of_drawdown_before_equity_is_seen() -> None:
    peak = Peak().recalled(Decimal(100))

    assert peak.drawdown == 0
    assert peak.seen(Decimal(90)).drawdown == 10


MARKS = {
    Pair("BTCTRY"): Price(Decimal(4_000_000)),
    Pair("USDTTRY"): Price(Decimal(45)),
    Pair("ETHUSDT"): Price(Decimal(3_000)),
}


def test_an_asset_is_worth_its_price_in_try_or_in_usdt() -> None:
    assert rate(MARKS, TRY) == 1
    assert rate(MARKS, BTC) == 4_000_000
    assert rate(MARKS, Asset("ETH")) == 135_000
    assert rate(MARKS, Asset("XRP")) is None


def held(asset: Asset, amount: int) -> AssetBalance:
    return AssetBalance(asset, Amount(Decimal(amount)), Amount(Decimal(0)))


def test_equity_is_unknown_while_a_traded_asset_that_we_hold_has_no_price() -> None:
    traded = frozenset({TRY, BTC, Asset("XRP")})

    assert equity([held(TRY, 5), held(BTC, 1)], MARKS, traded) == 4_000_005
    assert equity([held(TRY, 5), held(Asset("XRP"), 1)], MARKS, traded) is None
    assert equity([held(TRY, 5), held(Asset("XRP"), 0)], MARKS, traded) == 5


def test_an_asset_that_nothing_here_trades_is_no_part_of_equity() -> None:
    assert equity([held(TRY, 5), held(Asset("DUST"), 9)], MARKS, frozenset({TRY})) == 5


@given(st.decimals("-1000000", "1000000", places=24))
def test_a_fitted_number_may_stand_in_a_message(number: Decimal) -> None:
    assert is_sane(fit(number))
    assert abs(fit(number) - number) <= Decimal("5e-17")


def test_the_mark_is_the_exact_middle() -> None:
    one = Quantity(Decimal(1))
    top = BookTop(
        pair=Pair("BTCTRY"), bid=Price(Decimal("0.00000001")), bid_quantity=one,
        ask=Price(Decimal("0.00000002")), ask_quantity=one, changed_ns=0, confirmed_ns=0,
    )  # fmt: skip

    assert mark_of(top) == Decimal("0.000000015")
