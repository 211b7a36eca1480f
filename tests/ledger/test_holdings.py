"""Balances: the exchange's statements and our postings, whichever comes first."""

from decimal import Decimal

from btcbot.domain.facts import Posting
from btcbot.domain.ids import Asset
from btcbot.domain.messages import AssetBalance
from btcbot.domain.money import Amount
from btcbot.ledger.holdings import (
    BOOKS_LEAD_NS,
    NOTHING_SHOWN,
    Accounts,
    explain,
    post,
    show,
    state,
)

TRY = Asset("TRY")
SECOND = 1_000_000_000


def stated(total: str, free: str | None = None) -> tuple[AssetBalance, ...]:
    return (AssetBalance(TRY, Amount(Decimal(total)), Amount(Decimal(free or total))),)


def posted(amount: str) -> tuple[Posting, ...]:
    return (
        Posting("asset", TRY, Amount(Decimal(amount))),
        Posting("trading", TRY, Amount(-Decimal(amount))),
    )


def opened() -> Accounts:
    return post(state({}, stated("100"), SECOND), posted("100"), SECOND)


def shown(accounts: Accounts, at_ns: int) -> tuple[int, int]:
    row = accounts[TRY].shown(TRY, at_ns)
    return int(row.total), int(row.free)


def test_a_fill_moves_the_balance_before_the_exchange_is_asked_again() -> None:
    accounts = post(opened(), posted("-30"), 2 * SECOND)

    assert shown(accounts, 3 * SECOND) == (70, 70)


def test_a_statement_that_knew_of_a_fill_first_is_not_moved_by_it_again() -> None:
    accounts = state(opened(), stated("70"), 2 * SECOND)
    assert shown(accounts, 2 * SECOND) == (70, 70)

    accounts = post(accounts, posted("-30"), 3 * SECOND)

    assert shown(accounts, 4 * SECOND) == (70, 70)


def test_what_is_reserved_on_the_exchange_stays_reserved_when_a_fill_moves_the_total() -> None:
    accounts = state(opened(), stated("100", free="40"), 2 * SECOND)

    accounts = post(accounts, posted("-50"), 3 * SECOND)

    assert shown(accounts, 4 * SECOND) == (50, 0)


def test_a_deposit_is_believed_although_our_books_do_not_know_it() -> None:
    accounts = post(opened(), posted("-30"), 2 * SECOND)

    accounts = state(accounts, stated("170"), 3 * SECOND)

    assert shown(accounts, 4 * SECOND) == (170, 170)


def test_a_difference_that_the_exchange_never_confirms_ends_with_the_exchange() -> None:
    accounts = state(opened(), stated("170"), 2 * SECOND)  # A fill of -30 and a deposit of 100.
    accounts = post(accounts, posted("-30"), 3 * SECOND)

    assert shown(accounts, 3 * SECOND + BOOKS_LEAD_NS) == (170, 170)


def test_an_asset_that_a_statement_leaves_out_is_gone() -> None:
    accounts = state(opened(), (), 2 * SECOND)

    assert shown(accounts, 2 * SECOND) == (0, 0)


def test_only_lines_of_the_asset_account_move_a_balance() -> None:
    accounts = post(opened(), (Posting("fee", TRY, Amount(Decimal(5))),), 2 * SECOND)

    assert shown(accounts, 3 * SECOND) == (100, 100)


def test_what_a_person_explained_is_in_our_books_and_leads_nobody() -> None:
    came = Amount(Decimal(500))
    known = state(post({}, (Posting("asset", TRY, Amount(Decimal(100))),), 1), stated("600"), 2)

    after = explain(known, (Posting("asset", TRY, came), Posting("external", TRY, Amount(-came))))

    account = after[TRY]
    assert [account.booked, account.booked_ns] == [600, 1]
    # The next fill makes our books lead: they have the deposit too.
    spent = post(after, (Posting("asset", TRY, Amount(Decimal(-40))),), 3)
    assert spent[TRY].shown(TRY, 3).total == 560


def test_what_is_shown_stays_until_a_fact_or_the_end_of_a_lead_changes_it() -> None:
    accounts = post(opened(), posted("-30"), 2 * SECOND)
    ends_ns = 2 * SECOND + BOOKS_LEAD_NS

    first = show(accounts, 3 * SECOND, NOTHING_SHOWN)
    assert [row.total for row in first.balances] == [70]
    assert show(accounts, ends_ns - 1, first) is first

    assert [row.total for row in show(accounts, ends_ns, first).balances] == [100]
    bought = post(accounts, posted("-20"), 4 * SECOND)
    assert [row.total for row in show(bought, 4 * SECOND, first).balances] == [50]
