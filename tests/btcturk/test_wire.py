"""REST answers read into messages: captured bodies, exact numbers, and what is refused."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcbot.btcturk import account, wire
from btcbot.btcturk.grammar import WireError
from btcbot.btcturk.rules import instruments
from btcbot.domain.feed import TextLevel
from btcbot.domain.ids import Pair
from btcbot.domain.messages import AssetBalance
from btcbot.domain.words import Side

PAIR = Pair("BTCTRY")


def good(data: Any, code: Any = 0) -> bytes:
    return json.dumps({"data": data, "success": True, "message": None, "code": code}).encode()


def order(**changes: Any) -> dict[str, Any]:
    row = {
        "id": 26_947_521_557,
        "price": "3712281",
        "amount": "0.0003",
        "quantity": "0.0003",
        "stopPrice": "0",
        "pairSymbol": "BTCTRY",
        "pairSymbolNormalized": "BTC_TRY",
        "type": "buy",
        "method": "limit",
        "orderClientId": "b1-abcde-x",
        "time": 0,
        "updateTime": 1_618_913_189_253,
        "status": "Partial",
        "leftAmount": "0.0001000000000000",
    }
    return {name: value for name, value in {**row, **changes}.items() if value is not ...}


# As captured: the number is not the rounded amount, and ids exceed 2^53.
TRADES = b"""{"data":[
 {"price":"122.00","numeratorSymbol":"ETHW","denominatorSymbol":"TRY","orderType":"sell",
  "orderId":10938696222,"orderClientId":null,"id":1181163798924649598,
  "timestamp":1663848223334,"amount":"-0.3384","preciseAmount":-0.33840811,
  "fee":"-0.06297817","tax":"-0.01133607"}],"success":true,"message":"SUCCESS","code":0}"""


def trades(precise: str, **changes: Any) -> bytes:
    row = {**json.loads(TRADES)["data"][0], **changes, "preciseAmount": "@"}
    return good([row]).replace(b'"@"', precise.encode())


# --- own trades -------------------------------------------------------------------------------


def test_a_fill_is_exact_and_positive() -> None:
    [fill] = wire.fills(TRADES)

    assert fill.trade_id == 1_181_163_798_924_649_598
    assert fill.order_id == 10_938_696_222
    assert (fill.pair, fill.side, fill.client_id) == ("ETHWTRY", Side.SELL, "")
    assert str(fill.quantity) == "0.33840811"
    assert (str(fill.price), str(fill.fee), str(fill.tax)) == ("122.00", "0.06297817", "0.01133607")
    assert fill.event_ns == 1_663_848_223_334_000_000


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1E-08", "0.00000001"),
        ("-1.5e-8", "0.000000015"),
        ("146.6727", "146.6727"),
        ("0.1000000000000000", "0.1"),
        ("999999999999999", "999999999999999"),
        ('"0.25"', "0.25"),
    ],
)
def test_a_precise_amount_is_read_from_its_text(text: str, value: str) -> None:
    [fill] = wire.fills(trades(text))

    assert fill.quantity == Decimal(value)


@pytest.mark.parametrize(
    "text",
    [
        "0", "-0.0", "null", "true", "[]", "{}", '"NaN"', '"Infinity"', '"1_000"', '" 1 "', '""',
        "1e99", "1e-17", "1.23456789012345678", "1.2345678901234567e-5", "1000000000000001",
        '"\\u0661"',
    ],
)  # fmt: skip
def test_a_precise_amount_that_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(WireError, match="trade 1181163798924649598"):
        wire.fills(trades(text))


@pytest.mark.parametrize(
    "changes",
    [
        {"price": "0"}, {"price": "-1"}, {"price": 122}, {"price": "1e3"}, {"fee": "NaN"},
        {"tax": None}, {"orderType": "swap"}, {"id": "1"}, {"id": 1 << 63}, {"id": 0},
        {"orderId": -4}, {"timestamp": 10**16}, {"timestamp": -1}, {"numeratorSymbol": ""},
    ],
)  # fmt: skip
def test_a_trade_with_any_wrong_part_spoils_the_read(changes: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        wire.fills(trades("1", **changes))


@given(st.decimals(allow_nan=False, min_value=Decimal("1e-16"), max_value=10**12, places=16))
def test_no_digit_of_a_precise_amount_is_lost(value: Decimal) -> None:
    [fill] = wire.fills(trades(format(value, "f")))

    assert fill.quantity == value


# --- orders -----------------------------------------------------------------------------------


def test_an_order_is_read_in_both_spellings() -> None:
    plain = wire.order(good(order()))
    lower = wire.order(good(order(pairSymbol=..., pairsymbol="BTCTRY", type="Buy")))

    assert plain == lower
    assert (plain.order_id, plain.client_id, plain.pair) == (26_947_521_557, "b1-abcde-x", PAIR)
    assert plain.side is Side.BUY
    assert plain.price == 3_712_281
    assert plain.executed == Decimal("0.0002")
    assert plain.is_open


def test_a_status_nobody_documented_is_neither_open_nor_terminal() -> None:
    found = wire.order(good(order(status="Suspended")))

    assert not found.is_open
    assert not found.is_terminal


def test_open_orders_are_bids_and_asks_by_id() -> None:
    body = good({"asks": [order(id=9, type="sell")], "bids": [order(id=12), order(id=5)]})

    assert [row.order_id for row in wire.open_orders(body, PAIR)] == [5, 9, 12]


def test_an_order_of_a_list_that_names_no_pair_is_of_the_pair_asked_for() -> None:
    [row] = wire.all_orders(good([order(pairSymbol=...)]), PAIR)

    assert row.pair == PAIR


@pytest.mark.parametrize(
    "changes",
    [
        {"id": 0}, {"id": "7"}, {"id": 1 << 63}, {"id": 2.0}, {"price": 3712281},
        {"amount": "1E2"}, {"leftAmount": ...}, {"type": "hold"}, {"status": None},
        {"orderClientId": 5}, {"pairSymbol": ...},
    ],
)  # fmt: skip
def test_an_order_with_any_wrong_part_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        wire.order(good(order(**changes)))


# --- balances ---------------------------------------------------------------------------------


def balance_row(asset: str, total: str, free: str, locked: str) -> dict[str, Any]:
    return {"asset": asset, "balance": total, "free": free, "locked": locked, "precision": 2}


def test_balances_are_sorted_and_empty_ones_left_out() -> None:
    body = good(
        [
            balance_row("TRY", "100.25", "60", "40.25"),
            balance_row("XRP", "0", "0", "0"),
            balance_row("BTC", "27223,7283250757643288", "27223,7283250757643288", "0"),
        ]
    )

    btc = Decimal("27223.7283250757643288")
    assert [(row.asset, row.total, row.free) for row in account.balances(body)] == [
        ("BTC", btc, btc),
        ("TRY", Decimal("100.25"), 60),
    ]
    assert isinstance(account.balances(body)[0], AssetBalance)


@pytest.mark.parametrize("text", ["1,234.5", "1,2,3", "1.234,5", "", "1 000", "NaN", "1e3", "+1"])
def test_a_balance_with_marks_that_mean_two_things_is_refused_by_name(text: str) -> None:
    with pytest.raises(WireError, match="balance of TRY"):
        account.balances(good([balance_row("TRY", text, "0", "0")]))


def test_a_balance_read_amid_an_update_is_refused() -> None:
    with pytest.raises(WireError, match="free 60 \\+ locked 41 is not 100"):
        account.balances(good([balance_row("TRY", "100", "60", "41")]))


# --- public -----------------------------------------------------------------------------------


def test_a_book_is_text_levels_and_its_code_may_be_a_text() -> None:
    body = good(
        {"timestamp": 1.5, "bids": [["3712281", "0.03866329"]], "asks": [["3715990", "0.0"]]},
        "SUCCESS",
    )

    assert wire.book(body) == ((TextLevel("3712281", "0.03866329"),), (), 1_000_000)


@pytest.mark.parametrize(
    "row",
    [
        ["0", "1"],
        ["-1", "1"],
        ["1", "-1"],
        ["1e5", "1"],
        ["\u0661", "1"],
        ["1"],
        [1, 2],
        ["1", "NaN"],
    ],
)
def test_a_level_that_is_no_level_spoils_the_book(row: list[Any]) -> None:
    with pytest.raises(WireError):
        wire.book(good({"bids": [row], "asks": []}))


def test_the_clock_has_no_envelope() -> None:
    assert wire.server_ms(b'{"serverTime": 1790133600027, "serverTime2": "x"}') == 1_790_133_600_027


def symbol(name: str = "BTCTRY", **changes: Any) -> dict[str, Any]:
    row = {
        "name": name, "status": "TRADING", "numerator": "BTC", "denominator": "TRY",
        "numeratorScale": 8, "denominatorScale": 2, "hasFraction": False,
        "filters": [{"filterType": "PRICE_FILTER", "tickSize": "10", "minExchangeValue": "99.91"}],
        "orderMethods": ["MARKET", "LIMIT"], "maximumLimitOrderPrice": 37122810.5,
        "minimumLimitOrderPrice": 1e-8,
    }  # fmt: skip
    return {**row, **changes}


def test_rules_take_the_coarser_of_tick_and_scale() -> None:
    [rules], wrong = instruments(good({"symbols": [symbol()]}))

    assert wrong == ()
    assert (rules.price_scale, rules.quantity_scale) == (0, 8)
    assert rules.tick == 10
    assert (rules.price_max, rules.price_min) == (Decimal("37122810.5"), Decimal("1e-8"))
    [fine], _ = instruments(
        good({"symbols": [symbol(hasFraction=True, filters=[{**symbol()["filters"][0],
                                                            "tickSize": "0.001"}])]})
    )  # fmt: skip
    assert (fine.price_scale, fine.tick) == (2, Decimal("0.01"))


def test_the_narrower_of_two_price_bounds_counts() -> None:
    fixed = {**symbol()["filters"][0], "minPrice": "0.5", "maxPrice": "10000000"}
    [rules], _ = instruments(good({"symbols": [symbol(filters=[fixed])]}))
    [open_ended], _ = instruments(
        good({"symbols": [symbol(maximumLimitOrderPrice=None, minimumLimitOrderPrice=None)]})
    )

    assert (rules.price_min, rules.price_max) == (Decimal("0.5"), Decimal(10_000_000))
    assert (open_ended.price_min, open_ended.price_max) == (None, None)


@pytest.mark.parametrize(
    "changes", [{"status": "HALTED"}, {"status": "new word"}, {"orderMethods": ["STOP_LIMIT"]}]
)
def test_a_pair_that_takes_no_limit_orders_is_not_trading(changes: dict[str, Any]) -> None:
    [rules], _ = instruments(good({"symbols": [symbol(**changes)]}))

    assert not rules.is_trading


@pytest.mark.parametrize(
    "changes",
    [
        {"filters": []}, {"filters": [{"filterType": "NEW"}]}, {"numeratorScale": 99},
        {"numeratorScale": None}, {"maximumLimitOrderPrice": "much"}, {"status": 5},
        {"filters": [{"filterType": "PRICE_FILTER", "minExchangeValue": "1e2"}]},
    ],
)  # fmt: skip
def test_a_pair_with_rules_we_cannot_follow_is_left_out_alone(changes: dict[str, Any]) -> None:
    found, wrong = instruments(good({"symbols": [symbol("BADTRY", **changes), symbol()]}))

    assert [rules.pair for rules in found] == [PAIR]
    assert len(wrong) == 1


# --- nothing breaks the reader ----------------------------------------------------------------

READERS: list[Callable[[bytes], object]] = [
    wire.order, wire.fills, account.balances, wire.book, wire.server_ms, instruments,
    lambda body: wire.open_orders(body, PAIR), lambda body: wire.all_orders(body, PAIR),
]  # fmt: skip
BODIES = [
    good(order()), TRADES, good([balance_row("TRY", "1", "1", "0")]), good([order()]),
    good({"bids": [["1", "2"]], "asks": []}), good({"symbols": [symbol()]}),
]  # fmt: skip


@given(
    body=st.sampled_from(BODIES),
    at=st.integers(0, 900),
    junk=st.binary(max_size=8) | st.sampled_from([b"9" * 5_000, b"[" * 5_000, b"\xff", b"\\ud800"]),
    cut=st.integers(0, 8),
)
def test_a_garbled_body_is_read_or_refused_and_nothing_else(
    body: bytes, at: int, junk: bytes, cut: int
) -> None:
    garbled = body[:at] + junk + body[at + cut :]
    for read in READERS:
        try:
            read(garbled)
        except WireError as error:
            assert len(str(error)) < 400  # noqa: PT017 - some are read


@pytest.mark.parametrize("body", [b"", b"<html>block page</html>", b"null", b"[]", b'"x"'])
def test_what_is_no_answer_is_refused_with_how_it_begins(body: bytes) -> None:
    for read in READERS:
        with pytest.raises(WireError, match="it begins"):
            read(body)
    assert wire.verdict(b"<html>") is None
