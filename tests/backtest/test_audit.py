"""The second set of books of a backtest: whatever of the account is wrong, the run dies of it."""

from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from msgspec.structs import replace

from btcbot.backtest import Stage
from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import DOCUMENTED, default_fees
from btcbot.domain.money import Bps
from btcbot.domain.recorded import Happening
from btcbot.domain.words import Side
from btcbot.simulation.account import Account, Order
from btcbot.simulation.audit import Audit
from btcbot.simulation.exchange import Exchange, NewOrder
from tests import stages
from tests.builders import START_NS

PAIR, TRY, BTC = Pair("BTCTRY"), Asset("TRY"), Asset("BTC")
SECONDS = 40
UNIT = Decimal("0.00000001")


def money(account: Account) -> None:
    account.balances[TRY].total += UNIT


def units(account: Account) -> None:
    account.balances[BTC].total -= UNIT


def hold(account: Account) -> None:
    account.balances[TRY].locked += UNIT


def fees(account: Account) -> None:
    account.fees = {TRY: replace(account.fees[TRY], maker_bps=Bps(Decimal(1)), taker_bps=Bps(UNIT))}


def sold_short(account: Account) -> None:
    account.balances[BTC].total -= 1
    account.balances[TRY].total += 4_000_000


def play(
    spoil: Callable[[Account], None] | None = None, seen: list[Happening] | None = None
) -> Stage:
    """Play a market; once our first trade is booked, `spoil` is done to the account."""
    stage = Stage(stages.PLAN, START_NS)
    account = stage.exchange.account

    def market() -> Iterator[Happening]:
        left = spoil
        for event in stages.market(SECONDS):
            if seen is not None:
                seen.append(event)
            yield event
            if left is not None and account.trades:
                left(account)
                left = None

    stage.play(market())
    return stage


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (money, "trades make it"),
        (units, "trades make it"),
        (sold_short, "trades make it"),
        (hold, "open orders hold"),
        (fees, "is owed"),
    ],
)
def test_a_run_in_which_money_units_holds_or_fees_do_not_add_up_dies(
    spoil: Callable[[Account], None], said: str
) -> None:
    seen: list[Happening] = []

    with pytest.raises(AssertionError, match=said):
        play(spoil, seen)

    assert seen[-1].at_ns < START_NS + SECONDS * 10**9 // 2, "it died at the next change, not later"


def resting() -> tuple[Exchange, Audit, Order]:
    """Return an exchange on which a buy of ours rests, and its second books."""
    rules = DOCUMENTED[PAIR]
    made = Exchange([rules], {TRY: default_fees(TRY)}, {TRY: Decimal(100_000)})
    made.set_book(PAIR, [(Decimal(3_990_000), UNIT)], [(Decimal(4_010_000), UNIT)], 0)
    audit = Audit(made.account, [rules])
    new = NewOrder(
        pair=PAIR,
        side=Side.BUY,
        method="limit",
        quantity=Decimal("0.01"),
        price=Decimal(4_000_000),
    )
    order = made.submit(new, 1)
    audit()
    return made, audit, order


def test_a_trade_beyond_its_limit_dies() -> None:
    made, audit, order = resting()

    made.account.execute(
        order, DOCUMENTED[PAIR], Decimal(4_000_010), Decimal("0.001"), 2, is_maker=True
    )

    with pytest.raises(AssertionError, match="the limit is 4000000"):
        audit()


def test_an_order_of_which_more_or_less_is_left_than_was_not_executed_dies() -> None:
    made, audit, order = resting()
    made.print_trade(PAIR, Side.SELL, Decimal(4_000_000), Decimal("0.001"), 2)
    audit()

    order.left += UNIT
    made.print_trade(PAIR, Side.SELL, Decimal(4_000_000), Decimal("0.001"), 3)

    with pytest.raises(AssertionError, match="is left"):
        audit()


def test_every_trade_and_every_order_of_a_run_is_looked_at() -> None:
    stage = play()

    account = stage.exchange.account
    assert len(account.trades) > 3, "the market must make it trade"
    assert stage.audit.is_maker == {one.id: one.is_maker for one in account.trades}
    assert account.changes() == ([], [])
