"""The second set of books of a backtest: whatever of the account is wrong, the run dies of it."""

from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from msgspec.structs import replace

from btcbot.backtest import Stage
from btcbot.domain.ids import Asset
from btcbot.domain.money import Bps
from btcbot.domain.recorded import Happening
from btcbot.simulation.account import Account
from tests import stages
from tests.builders import START_NS

TRY, BTC = Asset("TRY"), Asset("BTC")
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


def play(spoil: Callable[[Account], None] | None = None) -> Stage:
    """Play a market; once our first trade is booked, `spoil` is done to the account."""
    stage = Stage(stages.PLAN, START_NS)
    account = stage.exchange.account

    def market() -> Iterator[Happening]:
        left = spoil
        for event in stages.market(SECONDS):
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
    with pytest.raises(AssertionError, match=said):
        play(spoil)


def test_every_trade_and_every_order_of_a_run_is_looked_at() -> None:
    stage = play()

    account = stage.exchange.account
    assert len(account.trades) > 3, "the market must make it trade"
    assert stage.audit.is_maker == {one.id: one.is_maker for one in account.trades}
    assert account.changes() == ([], [])
