"""`btcbot ledger`: what the owner and the accountant are told, and when they are told nothing."""

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from btcbot.cli import exits
from btcbot.domain.facts import (
    Balances,
    BalancesExplained,
    Fact,
    Fill,
    Opening,
    OrderAcked,
    Posting,
    Recorded,
)
from btcbot.domain.ids import Asset, CommandId, IntentId, OrderId, Pair, TradeId
from btcbot.domain.messages import AssetBalance
from btcbot.domain.money import Amount, Price, Quantity
from btcbot.domain.words import Side
from btcbot.ledger import postings
from btcbot.portfolio.netting import Transfer
from tests.cli.books import START_NS, label, submitting, write
from tests.cli.terminal import Ended, Terminal

BTC, TRY, USDT = Asset("BTC"), Asset("TRY"), Asset("USDT")
DAY = "2026-11-18"  # Of START_NS, in Istanbul.
DAY_NS = 86_400 * 10**9
Say = Callable[..., Ended]


def amount(text: str) -> Amount:
    return Amount(Decimal(text))


def balances(**totals: str) -> tuple[AssetBalance, ...]:
    return tuple(AssetBalance(Asset(a), amount(t), amount(t)) for a, t in totals.items())


def opening() -> Opening:
    rows = balances(BTC="1", TRY="100000")
    return Opening(balances=rows, postings=postings.of_opening(rows), at_ns=START_NS)


def traded(
    number: int, side: Side, quantity: str, price: str, *, days: int = 0, pair: str = "BTCTRY",
) -> Fill:  # fmt: skip
    """Return a fill with a fee of 1 and a tax of 0.2 in its quote."""
    quote = TRY if pair.endswith("TRY") else USDT
    at_ns = START_NS + number + days * DAY_NS
    of = Quantity(Decimal(quantity)), Price(Decimal(price)), amount("1"), amount("0.2")
    return Fill(
        trade_id=TradeId(number), order_id=OrderId(7),
        intent_id=IntentId("closed"), client_order_id=label(IntentId("closed")), pair=Pair(pair),
        side=side, quantity=of[0], price=of[1], fee=of[2], tax=of[3], fee_asset=quote,
        event_ns=at_ns, liquidity=None, at_ns=at_ns,
        postings=postings.of_fill(side, Asset(pair.removesuffix(quote)), quote, *of),
    )  # fmt: skip


def order(name: str = "closed", number: int = 7) -> tuple[Fact, ...]:
    intent = IntentId(name)
    return submitting(intent, START_NS), OrderAcked(
        intent_id=intent, order_id=OrderId(number), at_ns=START_NS
    )


BOUGHT = traded(1, Side.BUY, "2", "100")
SOLD = traded(2, Side.SELL, "1", "300")
AFTER = Balances(balances=balances(BTC="2", TRY="100097.6"), at_ns=START_NS + 9)


@pytest.fixture
def say(terminal: Terminal) -> Say:
    """Return how to call `btcbot ledger` on a home whose journal has the given facts."""

    def call(*arguments: str, facts: tuple[Fact, ...] = ()) -> Ended:
        home = terminal.folder / "home"
        if facts:
            home.mkdir(mode=0o700)
            write(home, *facts)
        return terminal.btcbot("ledger", *arguments, BTCBOT__HOME=str(home))

    return call


def told(ended: Ended) -> Any:
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


BOOKS = (opening(), *order(), BOUGHT, SOLD, AFTER)


def test_balance_shows_every_account_and_each_asset_sums_to_zero(say: Say) -> None:
    rows = told(say("balance", "--json", facts=BOOKS))

    found = {(row["asset"], row["account"]): Decimal(row["amount"]) for row in rows}
    assert found[BTC, "asset"] == 2
    assert found[TRY, "asset"] == Decimal("100097.6")
    assert [found[TRY, "fee"], found[TRY, "tax"]] == [2, Decimal("0.4")]
    for asset in (BTC, TRY):
        assert sum(value for (of, _), value in found.items() if of == asset) == 0


def test_reconcile_agrees_to_the_last_unit(say: Say) -> None:
    found = told(say("reconcile", "--json", facts=BOOKS))

    assert found["unexplained"] == 0
    assert [row["asset"] for row in found["assets"]] == ["BTC", "TRY"]
    assert (found["fills"], found["fills_of_a_person"]) == (2, 0)


def test_fills_that_the_exchanges_word_is_older_than_explain_what_they_moved(say: Say) -> None:
    after_one = Balances(balances=balances(BTC="3", TRY="99798.8"), at_ns=START_NS + 9)
    found = told(say("reconcile", "--json", facts=(opening(), *order(), BOUGHT, after_one, SOLD)))

    [btc, money] = found["assets"]
    assert (btc["ledger"], btc["exchange"], btc["newer"]) == ("2", "3", "-1")
    assert (btc["unexplained"], money["unexplained"], found["unexplained"]) == ("0", "0", 0)


def test_a_difference_that_the_newer_fills_are_not_is_shown_whole(say: Say) -> None:
    other = Balances(balances=balances(BTC="3", TRY="99798.7"), at_ns=START_NS + 9)

    ended = say("reconcile", "--json", facts=(opening(), *order(), BOUGHT, other, SOLD))

    assert ended.code == exits.PROBLEM
    [btc, money] = json.loads(ended.out)["assets"]
    assert (btc["newer"], btc["unexplained"]) == ("0", "1")
    assert money["unexplained"] == "-298.9"
    assert "a fill is newer" in ended.err


def test_a_difference_of_the_last_unit_is_unexplained_with_what_to_do(say: Say) -> None:
    short = replace(AFTER, balances=balances(BTC="1.99999999", TRY="100097.6"))

    ended = say("reconcile", "--json", facts=(*BOOKS[:-1], short))

    assert ended.code == exits.PROBLEM
    [btc, money] = json.loads(ended.out)["assets"]
    assert (btc["unexplained"], money["unexplained"]) == ("-0.00000001", "0")
    assert "btcbot-ctl resume --reason" in ended.err


def test_what_a_person_explained_is_named_and_differs_no_more(say: Say) -> None:
    came = (Posting("asset", TRY, amount("500")), Posting("external", TRY, amount("-500")))
    explained = BalancesExplained(
        postings=came, by="uid 1000", reason="a deposit", command_id=CommandId("c"), at_ns=START_NS
    )
    stated = replace(AFTER, balances=balances(BTC="2", TRY="100597.6"))

    found = told(say("reconcile", "--json", facts=(*BOOKS[:-1], stated, explained)))

    assert found["unexplained"] == 0
    [row] = found["explained"]
    assert (row["by"], row["reason"], row["amounts"]) == ("uid 1000", "a deposit", {"TRY": "500"})


@pytest.mark.parametrize("command", [["balance"], ["reconcile"], ["export"], ["pnl"],
                                     ["tax", "--year", "2026"]])  # fmt: skip
def test_books_that_do_not_add_up_conclude_nothing_and_name_the_fact(
    say: Say, command: list[str]
) -> None:
    ended = say(*command, facts=(opening(), *order(), replace(BOUGHT, postings=())))

    assert ended.code == exits.PROBLEM
    assert ended.out == ""
    assert "event 4: a fill without postings" in ended.err


def test_without_a_database_it_is_exit_4(say: Say) -> None:
    assert say("balance").code == exits.NOT_FOUND


def test_profit_by_pair_day_and_lot_is_net_of_all_charges(say: Say) -> None:
    [pair] = told(say("pnl", "--json", facts=BOOKS))
    # 300 - 100 - 1.2 for the sale - half of 1.2 for the buy.
    assert (pair["pair"], pair["sales"], pair["realized"]) == ("BTCTRY", 1, "198.2")

    [day] = told(say("pnl", "--by", "day", "--json"))
    assert (day["day"], day["realized"]) == (DAY, "198.2")
    [lot] = told(say("pnl", "--by", "lot", "--json"))
    assert (lot["quantity"], lot["cost"], lot["charges"]) == ("1", "100", "1.8")


def test_profit_by_strategy_counts_what_passed_between_two_of_them(say: Say) -> None:
    passed = Transfer(seller="profit_aware", buyer="other", pair=Pair("BTCTRY"),
                      quantity=Quantity(Decimal(1)), price=Price(Decimal(150)))  # fmt: skip
    record = Recorded(
        owner="strategy", kind="transfer", key="1.1", payload=msgspec.json.encode(passed),
        command_id=CommandId("strategy-1-1"), at_ns=START_NS,
    )  # fmt: skip

    rows = told(say("pnl", "--by", "strategy", "--json", facts=(opening(), *order(), BOUGHT,
                                                                 record)))  # fmt: skip

    [one] = rows
    assert (one["strategy"], one["realized"]) == ("profit_aware", "49.4")  # 150 - 100 - 0.6.


def test_what_was_held_before_the_books_has_no_result(say: Say) -> None:
    early = traded(1, Side.SELL, "0.5", "300")

    [pair] = told(say("pnl", "--json", facts=(opening(), *order(), early)))

    assert (pair["sales_without_cost"], pair["realized"]) == (1, "0")


def test_the_method_decides_which_lot_is_sold(say: Say) -> None:
    facts = (opening(), *order(), BOUGHT, traded(2, Side.BUY, "2", "200"),
             traded(3, Side.SELL, "2", "300"))  # fmt: skip
    [fifo] = told(say("pnl", "--json", facts=facts))
    [average] = told(say("pnl", "--method", "average", "--json"))

    assert (fifo["cost"], average["cost"]) == ("200", "300")


def test_every_line_is_exported_and_an_accountant_gets_the_sales(say: Say) -> None:
    lines = [json.loads(line) for line in say("export", facts=BOOKS).out.splitlines()]
    assert sum(Decimal(line["amount"]) for line in lines if line["asset"] == "TRY") == 0
    assert {line["kind"] for line in lines} == {"opening", "fill"}

    rows = list(csv.DictReader(io.StringIO(say("export", "--format", "accountant").out)))
    [sale] = rows
    assert (sale["day"], sale["pair"], sale["quantity"], sale["realized_try"]) == (
        DAY, "BTCTRY", "1", "198.2",
    )  # fmt: skip
    assert say("export", "--format", "csv").out.startswith("seq,at_ns,utc,kind,account,asset,")


YEARS = (
    opening(), *order(), BOUGHT, traded(2, Side.SELL, "0.5", "300"),
    traded(3, Side.SELL, "0.5", "50", days=1), traded(4, Side.SELL, "0.5", "300", days=60),
)  # fmt: skip


def test_tax_has_the_sales_of_the_year_alone_and_is_no_advice(say: Say) -> None:
    found = told(say("tax", "--year", "2026", "--json", facts=YEARS))

    assert [row["day"] for row in found["sales"]] == [DAY, "2026-11-19"]
    assert (found["proceeds_try"], found["cost_try"], found["charges_try"]) == ("175", "100", "3")
    assert (found["gains_try"], found["losses_try"]) == ("98.5", "-26.5")
    assert found["realized_try"] == "72"
    assert "Not tax advice" in found["notice"]
    assert "Not tax advice" in say("tax", "--year", "2027").out


RATES = """
[[tax]]
name = "transaction"
since = 2020-01-01
bps = 3
of = "sales"
[[tax]]
name = "transaction"
since = 2026-11-19
bps = "10"
of = "sales"
[[tax]]
name = "withholding"
since = 2026-01-01
bps = 1000
of = "gains"
"""


def test_taxes_follow_the_rates_of_their_days(say: Say, terminal: Terminal) -> None:
    rates = terminal.write("rates.toml", RATES)

    found = told(say("tax", "--year", "2026", "--rates", str(rates), "--json", facts=YEARS))

    assert found["taxes_try"] == {
        "transaction": "0.07",  # 150 at 3 bps, 25 at 10.
        "withholding": "9.85",  # A tenth of what gained; what lost pays nothing.
    }


def test_a_sale_in_another_asset_needs_a_rate_of_its_day(say: Say, terminal: Terminal) -> None:
    in_usdt = traded(9, Side.SELL, "1", "10", pair="BTCUSDT")
    strict = say("tax", "--year", "2026", "--json", facts=(opening(), *order(), SOLD, in_usdt))
    assert strict.code == exits.PROBLEM
    assert f"no rate for USDT {DAY}" in strict.err

    lenient = told(say("tax", "--year", "2026", "--lenient", "--json"))
    assert (lenient["proceeds_try"], lenient["missing_rates"]) == ("300", [f"USDT {DAY}"])

    rates = terminal.write(
        "rates.toml", '[[rate]]\nasset = "USDT"\nsince = 2026-01-01\nvalue = "40"\n'
    )
    given = told(say("tax", "--year", "2026", "--rates", str(rates), "--json"))
    assert (given["proceeds_try"], given["missing_rates"]) == ("700", [])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[rate]]\nasset = 'USDT'\nsince = 2026-01-01\nvalue = -1", "expected above 0"),
        ("[[rate]]\nasset = 'USDT'\nsince = 'soon'\nvalue = 1", "Invalid RFC3339"),
        ("[[tax]]\nname = 'x'\nsince = 2026-01-01\nbps = 1\nof = 'hopes'", "Invalid enum value"),
        ("[[tax]]\nname = 'x'\nsince = 2026-01-01\nbps = 10001\nof = 'sales'", "0 to 10000"),
        ("[[taxes]]\nname = 'x'", "unknown field `taxes`"),
        ("[[tax", "Expected"),
    ],
)
def test_rates_that_make_no_sense_are_refused_with_why(
    say: Say, terminal: Terminal, text: str, words: str
) -> None:
    rates = terminal.write("rates.toml", text)

    ended = say("tax", "--year", "2026", "--rates", str(rates), facts=BOOKS)

    assert ended.code == exits.CONFIG
    assert words in ended.err
    assert str(rates) in ended.err
